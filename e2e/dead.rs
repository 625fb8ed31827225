//! What was given up: kept, listed and shown as it came, to whom it may be shown.

use std::process::Output;

use mmsgw_contract::ApiKey;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::rig::{World, run, run_python, wait_until};

/// Hands in mails that are no MM4, by Python's own SMTP.
const SENDER: &str = r#"
import smtplib, sys
host, port = sys.argv[1].rsplit(":", 1)
with smtplib.SMTP(host, int(port)) as server:
    for octets in (b"Subject: spam\r\n\r\nbuy \x1b[2J now\r\n", b"X-Mms-Message-Type: MM4_forward.REQ\r\n\r\n\xff\xfe\r\n"):
        server.sendmail("x@mms.sim.example", ["system-user@mms.gw.example"], octets)
"#;

fn out(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn dead(world: &World, arguments: &[&str]) -> Output {
    let ops = format!("http://{}", world.gateway.awaited("health and metrics"));
    run(&[&["dead"], arguments, &["--ops", &ops]].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_read_is_kept_listed_and_shown_as_it_came() {
    let world = World::start("", "", "").await;
    assert_eq!(out(&dead(&world, &["list"]).await), "No job was given up.\n");
    run_python(SENDER, &[&world.gateway.awaited("SMTP for carriers")], b"").await;
    let jobs = wait_until("both to be given up", async || {
        let listed: Value = serde_json::from_str(&out(&dead(&world, &["list", "--json"]).await)).unwrap();
        let jobs = listed["jobs"].as_array().unwrap().clone();
        (jobs.len() == 2).then_some(jobs)
    })
    .await;
    for job in &jobs {
        assert_eq!(
            (&job["queue"], &job["job"], &job["tries"]),
            (&"mm4/rx".into(), &"intake".into(), &1.into())
        );
        assert!(job["reason"].as_str().unwrap().starts_with("unreadable: "), "{job}");
        assert!(job["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{job}");
    }
    let id = |index: usize| jobs[index]["id"].as_str().unwrap();
    let table = out(&dead(&world, &["list", "mm4/rx"]).await);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.starts_with("QUEUE") && table.contains(id(0)) && table.contains("unreadable: "), "{table}");
    let paged = out(&dead(&world, &["list", "mm4/rx", "--max", "1"]).await);
    assert!(paged.contains(id(0)) && !paged.contains(&format!("mm4/rx  {}", id(1))), "{paged}");
    assert!(paged.contains(&format!("mmsgw dead list mm4/rx --after {}", id(0))), "{paged}");
    let rest = out(&dead(&world, &["list", "mm4/rx", "--after", id(0)]).await);
    assert!(rest.contains(id(1)) && !rest.contains(id(0)), "{rest}");

    let of_size = |size: u64| {
        let found = jobs.iter().find(|job| job["size"] == size).unwrap_or_else(|| panic!("{jobs:#?}"));
        found["id"].as_str().unwrap()
    };
    let (spam, noise) = (of_size(31), of_size(43));
    let shown = out(&dead(&world, &["show", spam]).await);
    for line in
        ["MAIL FROM     x@mms.sim.example", "RCPT TO       system-user@mms.gw.example", "buy \\u{1b}[2J now"]
    {
        assert!(shown.contains(line), "`{line}` is missing:\n{shown}");
    }
    assert!(out(&dead(&world, &["show", noise]).await).contains("--octets"));
    let octets = dead(&world, &["show", noise, "--octets"]).await.stdout;
    assert_eq!(octets, b"X-Mms-Message-Type: MM4_forward.REQ\r\n\r\n\xff\xfe\r\n");
    let whole: Value = serde_json::from_str(&out(&dead(&world, &["show", spam, "--json"]).await)).unwrap();
    assert_eq!(whole["intake"]["form"], "mail");

    let nothing = dead(&world, &["show", "019a0000000070008000000000000020"]).await;
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("404"), "{nothing:?}");
    assert_eq!(dead(&world, &["show", "x"]).await.status.code(), Some(2));
    assert_eq!(dead(&world, &["list", "mm4"]).await.status.code(), Some(2));
    let nobody = run(&["dead", "list", "--ops", "http://127.0.0.1:9"]).await;
    assert_eq!(nobody.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_it_takes_an_administrators() {
    let [admin, reader] = [ApiKey::generate(), ApiKey::generate()];
    let key = |name: &str, key: &ApiKey| {
        format!("[[api.key]]\nname = '{name}'\nhash = '{}'\nscopes = ['{name}']\n", key.hash)
    };
    let world = World::start(&[key("admin", &admin), key("read", &reader)].concat(), "", "").await;
    assert_eq!(dead(&world, &["list"]).await.status.code(), Some(1), "no key");
    let with = async |key: &ApiKey| dead(&world, &["list", "--key", key.secret.expose_secret()]).await;
    let refused = with(&reader).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("lacks the scope admin"), "{refused:?}");
    assert_eq!(out(&with(&admin).await), "No job was given up.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_read_over_mm7_is_refused_and_kept() {
    let world = World::start("", "", "").await;
    let door = format!("http://{}/mmsgw/v1/mms/inbound/mm7", world.gateway.awaited("HTTP for carriers"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.post(door).header("content-type", "text/xml").body("<Envelope>").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 500);
    assert!(answer.text().await.unwrap().contains("<StatusCode>2007<"));
    let job = wait_until("it to be given up", async || {
        let listed: Value = serde_json::from_str(&out(&dead(&world, &["list", "--json"]).await)).unwrap();
        listed["jobs"].get(0).cloned()
    })
    .await;
    assert_eq!((&job["queue"], &job["size"]), (&"mm7/rx".into(), &10.into()), "{job}");
    let shown = out(&dead(&world, &["show", job["id"].as_str().unwrap()]).await);
    assert!(shown.contains("Content-Type  text/xml") && shown.contains("<Envelope>"), "{shown}");
}
