//! The command line: what people see and scripts rely on.

use std::process::Output;

use crate::rig::{Files, Gateway, World, mm7, picture, run, scratch};

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_both_lives_and_succeeds() {
    let output = run(&["demo", "--once"]).await;
    let shown = out(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}\n{}", err(&output));
    for state in ["SCHEDULED", "SENT", "ACKNOWLEDGED", "DELIVERED", "READ"] {
        for protocol in ["MM7", "MM4"] {
            let told = shown.lines().any(|line| line.contains(&format!("{protocol}  {state}")));
            assert!(told, "{protocol} {state}:\n{shown}");
        }
    }
    assert_eq!(shown.matches("octet for octet").count(), 4, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_file_line_and_remedy() {
    let good = Files::write("", &[("a", mm7("a", "http://127.0.0.1:9/", ""))]);
    let output = run(&["check", good.main().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    assert!(out(&output).contains("MM7 to http://127.0.0.1:9/"), "{}", out(&output));

    let bad = Files::write(
        "",
        &[(
            "a",
            "[gateway]\nprotocol = 'MM7'\nversion = '6.8.0'\nname = 'a'\ngroup = 'a'\n\
        windov = 3\n[outbound]\nremote_host = 'http://127.0.0.1:9/'\n"
                .to_owned(),
        )],
    );
    std::fs::write(bad.main(), "[general]\nmms_ttl = 'three weeks'\n").unwrap();
    let output = run(&["check", bad.main().to_str().unwrap()]).await;
    let said = out(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for hint in ["mmsgw.toml", "line 2", "three weeks", "a.toml", "line 6", "windov", "`window`"] {
        assert!(said.contains(hint), "`{hint}` is missing:\n{said}");
    }
    let serving = run(&["serve", "-c", bad.main().to_str().unwrap()]).await;
    assert_eq!(serving.status.code(), Some(1));
    assert!(err(&serving).contains("line 2") && err(&serving).contains("windov"), "{}", err(&serving));

    let own =
        |name: &str| mm7(name, "http://127.0.0.1:9/", "[inbound]\nhost = '127.0.0.1:9443'\npath = '/mm7'\n");
    let at_odds = Files::write("", &[("a", own("a")), ("b", own("b"))]);
    let output = run(&["check", at_odds.main().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert!(out(&output).contains("inbound.path: `/mm7` is that of gateway"), "{}", out(&output));

    let missing = run(&["check", "/nowhere/mmsgw.toml"]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(out(&missing).contains("/nowhere/mmsgw.toml: cannot be read"), "{}", out(&missing));
    assert_eq!(run(&["chekc"]).await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_is_a_configuration() {
    let files = Files::write("", &[]);
    std::fs::write(files.main(), run(&["reference"]).await.stdout).unwrap();
    for protocol in ["mm7", "mm4"] {
        let text =
            out(&run(&["reference", protocol]).await).replace("\"carrier\"", &format!("\"{protocol}\""));
        std::fs::write(files.path().join(format!("gateways/{protocol}.toml")), text).unwrap();
    }
    let output = run(&["check", files.main().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn send_follows_a_message_to_its_end() {
    let world = World::start("general.default_gateway = 'mm7'\n", "", "").await;
    let (root, photo, api) = (scratch(), picture(20_000, 6), world.api.url(""));
    let (file, api) = (root.path().join("photo.jpg"), api.split("/mmsgw").next().unwrap().to_owned());
    std::fs::write(&file, &photo).unwrap();
    let file = file.to_str().unwrap();
    let send = |more: &[&'static str]| {
        let mut arguments = vec!["send", "--api", api.as_str(), "--from", "54321", "--to", "+15555550102"];
        arguments.extend_from_slice(more);
        arguments.into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let running = async |more: &[&'static str], with_file: bool| {
        let mut arguments = send(more);
        arguments.extend(with_file.then(|| file.to_owned()));
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
    };

    let fine = running(&["--subject", "from the shell", "--text", "Hello"], true).await;
    assert_eq!(fine.status.code(), Some(0), "{}\n{}", out(&fine), err(&fine));
    assert!(out(&fine).contains("SCHEDULED") && out(&fine).contains("DELIVERED"), "{}", out(&fine));
    let received = world.arrives("from the shell").await;
    assert!(received.parts.iter().any(|part| part.octets == photo));

    let through = running(&["--gateway", "mm4", "--text", "x", "--no-wait"], false).await;
    assert_eq!(through.status.code(), Some(0));
    world.api.reaches(out(&through).trim(), &["READ"]).await;

    world.script("[mm7]\nanswer = { kind = 'status', code = 2002 }\n");
    let refused = running(&["--text", "x"], false).await;
    assert_eq!(refused.status.code(), Some(1), "{}", out(&refused));
    assert!(out(&refused).contains("FAILED"), "{}", out(&refused));

    world.script("[mm7]\ndelivery = { send = 'never' }\nread = { send = 'never' }\n");
    let open = running(&["--text", "x", "--timeout", "1s"], false).await;
    assert_eq!(open.status.code(), Some(3), "{}\n{}", out(&open), err(&open));

    let nothing = running(&[], false).await;
    assert_eq!(nothing.status.code(), Some(1));
    assert!(err(&nothing).contains("nothing to send"), "{}", err(&nothing));
    let nowhere = running(&["--gateway", "nowhere", "--text", "x"], false).await;
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(err(&nowhere).contains("nowhere"), "{}", err(&nowhere));
    assert_eq!(run(&["send", "--from", "nobody", "--to", "x", "--text", "x"]).await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_the_api_and_nothing_else_does() {
    let made = run(&["key", "crm", "--scope", "send"]).await;
    assert_eq!(made.status.code(), Some(0));
    let shown = out(&made);
    let (head, section) = shown.split_once("[[api.key]]").unwrap();
    let key =
        head.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.contains(' ')).unwrap().to_owned();
    let files = Files::write(&format!("[[api.key]]{section}"), &[("a", mm7("a", "http://127.0.0.1:9/", ""))]);
    let gateway = Gateway::start(files);
    let api = gateway.api();
    let template = serde_json::json!({"origin": "54321", "parts": []});
    let refused = api.post("mms", &template).await;
    assert_eq!((refused.status, refused.body["code"].as_str()), (401, Some("unauthorized")));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (token, status) in [(key.as_str(), 201), ("wrong", 401)] {
        let request = http.post(api.url("mms")).bearer_auth(token).json(&template);
        assert_eq!(request.send().await.unwrap().status().as_u16(), status);
    }
    let reading = http.get(api.url("mms/x")).bearer_auth(&key).send().await.unwrap();
    assert_eq!(reading.status().as_u16(), 403, "the key may send, not read");
    assert!(!gateway.log().contains(&key) && gateway.files().path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_and_a_port_in_use_are_told() {
    let world = World::start("", "", "").await;
    let second = run(&["serve", "-c", world.gateway.files().main().to_str().unwrap()]).await;
    assert_eq!(second.status.code(), Some(1));
    assert!(err(&second).contains("in use") || err(&second).contains("another process"), "{}", err(&second));
    let taken = world.gateway.awaited("API");
    let files =
        Files::write(&format!("api.listen = '{taken}'\n"), &[("a", mm7("a", "http://127.0.0.1:9/", ""))]);
    let third = run(&["serve", "-c", files.main().to_str().unwrap()]).await;
    assert_eq!(third.status.code(), Some(1));
    assert!(err(&third).contains("api") && err(&third).contains("in use"), "{}", err(&third));
}
