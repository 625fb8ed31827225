//! What is secret stays so: keys and passwords, right ones and wrong ones, are in no log however chatty, in no answer of
//! administration, in no metrics, in no trace, in no list of processes and in nothing that `check` says.

use encodify::base64::STANDARD;
use mmsgw_contract::ApiKey;
use mmsgw_mmsc_sim::{Credentials, HttpAuth, SimConfig, Simulator};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::rig::{World, run, run_python, text};

/// Every password in the settings, and every one that a stranger tries.
const PASSWORDS: [&str; 8] = [
    "s3cret-mm7-out",
    "s3cret-mm7-in",
    "s3cret-mm4-out",
    "s3cret-mm4-in",
    "wr0ng-mm7",
    "wr0ng-mm4",
    "wr0ng-api",
    "wr0ng-session",
];
const SIGNING: &str = "c2lnbmVkLXdpdGgtc29tZXRoaW5nLXNlY3JldA==";

/// Tries users of SMTP: a wrong password in two ways.
const GUESSER: &str = r#"
import smtplib, sys
host, port = sys.argv[1].rsplit(":", 1)
for method in ("auth_plain", "auth_login"):
    with smtplib.SMTP(host, int(port)) as server:
        server.ehlo()
        server.user, server.password = "peer", sys.argv[2]
        try:
            server.auth(method[5:].upper(), getattr(server, method))
            raise AssertionError("let in")
        except smtplib.SMTPAuthenticationError:
            pass
"#;

async fn world(key: &ApiKey) -> World {
    let user = |name: &str, password: &str| Credentials { username: name.into(), password: password.into() };
    let basic =
        |name: &str, password: &str| HttpAuth::Basic { username: name.into(), password: password.into() };
    let mut config = SimConfig::default();
    config.mm7.auth = Some(basic("us", PASSWORDS[0]));
    config.mm7.report_auth = Some(basic("mmsc", PASSWORDS[1]));
    config.mm4.auth = Some(user("us", PASSWORDS[2]));
    config.mm4.report_auth = Some(user("peer", PASSWORDS[3]));
    let main = format!(
        "[log]\nlevel = 'trace'\n[callbacks]\nkeys = [{{ secret = 'whsec_{SIGNING}' }}]\n\
         [[api.key]]\nname = 'ops'\nscopes = ['admin']\nhash = '{}'\n\
         [mm4rx]\nauth_in_clear = true\n[mm4rx.users]\npeer = '{}'\n",
        key.hash, PASSWORDS[3]
    );
    let mm7 = format!(
        "[outbound]\nusername = 'us'\npassword = '{}'\n[inbound]\nusername = 'mmsc'\npassword = '{}'\n",
        PASSWORDS[0], PASSWORDS[1]
    );
    let mm4 = format!("[outbound]\nusername = 'us'\npassword = '{}'\nauth_in_clear = true\n", PASSWORDS[2]);
    World::around(Simulator::start(config).await.unwrap(), &main, &mm7, &mm4, &[])
}

/// What must be found nowhere.
fn hidden(key: &ApiKey) -> Vec<String> {
    let mut forms = vec![key.secret.expose_secret().to_owned(), SIGNING.to_owned()];
    for password in PASSWORDS {
        forms.push(password.to_owned());
        forms.push(STANDARD.encode(password));
        for user in ["us", "mmsc", "peer"] {
            forms.push(STANDARD.encode(format!("{user}:{password}")));
            forms.push(STANDARD.encode(format!("\0{user}\0{password}")));
        }
    }
    forms
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_passwords_are_shown_nowhere() {
    let key = ApiKey::generate();
    let (world, secret) = (world(&key).await, key.secret.expose_secret());
    let hidden = hidden(&key);
    let clean = |place: &str, text: &str| {
        for form in &hidden {
            assert!(!text.contains(form), "{place} shows {form}");
        }
    };
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for group in ["mm7", "mm4"] {
        let letter = json!({
            "origin": "54321", "subject": "discreet",
            "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "hello"}],
            "send": {"destination": "+15555550102", "gateway": group},
        });
        let answer = http.post(world.api.url("mms")).bearer_auth(secret).json(&letter).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        let message: Value = answer.json().await.unwrap();
        world.application.hears(text(&message, "id"), "gateway", "READ").await;
    }

    let ops = format!("http://{}", world.gateway.awaited("health and metrics"));
    let mm7 = format!("http://{}/mmsgw/v1/mms/inbound/mm7", world.gateway.awaited("HTTP for carriers"));
    let guesses = [
        http.post(mm7).basic_auth("mmsc", Some(PASSWORDS[4])).body("<x/>"),
        http.post(world.api.url("mms")).bearer_auth(PASSWORDS[6]).body("{}"),
        http.get(format!("{ops}/admin/v1/queues")).bearer_auth(PASSWORDS[6]),
        http.post(format!("{ops}/admin/v1/session")).json(&json!({"key": PASSWORDS[7]})),
    ];
    for guess in guesses {
        let answer = guess.send().await.unwrap();
        assert!([401, 403].contains(&answer.status().as_u16()), "{} {}", answer.url(), answer.status());
        clean("a refusal", &answer.text().await.unwrap());
    }
    run_python(GUESSER, &[&world.gateway.awaited("SMTP for carriers"), PASSWORDS[5]], b"").await;

    for page in [
        "metrics",
        "health",
        "admin/v1/openapi",
        "admin/v1/gateways",
        "admin/v1/gateways/mm4",
        "admin/v1/instances",
        "admin/v1/queues",
        "admin/v1/messages",
        "admin/v1/dead",
        "admin/v1/callbacks",
        "admin/v1/log",
    ] {
        let answer = http.get(format!("{ops}/{page}")).bearer_auth(secret).send().await.unwrap();
        clean(page, &answer.text().await.unwrap());
    }
    let command_line = std::fs::read(format!("/proc/{}/cmdline", world.gateway.id())).unwrap();
    clean("the list of processes", &String::from_utf8_lossy(&command_line));
    let environment = std::fs::read(format!("/proc/{}/environ", world.gateway.id())).unwrap();
    clean("the environment", &String::from_utf8_lossy(&environment));
    let main = world.gateway.files().main();
    let checked = run(&["check", main.to_str().unwrap()]).await;
    assert_eq!(checked.status.code(), Some(0));
    clean("check", &String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()));
    // A mistake beside a secret is told without the line that it stands in.
    let broken = std::fs::read_to_string(&main).unwrap().replace("peer = ", "pe er = ");
    std::fs::write(&main, broken).unwrap();
    let checked = run(&["check", main.to_str().unwrap()]).await;
    assert_eq!(checked.status.code(), Some(1));
    clean("a fault of the settings", &String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()));

    let log = world.gateway.log();
    assert!(
        log.contains("TRACE") && log.contains("wrong user name or password"),
        "the log is not chatty enough"
    );
    clean("the log", &log);
}
