//! One template from a file to many: each has words of their own, over both protocols, and all share the picture.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{World, picture, run, text, wait_until};

fn template() -> Value {
    json!({
        "origin": "54321", "subject": "Für {{ name }}", "defaults": {"city": "Rom"},
        "parts": [
            {"name": "show.smil", "content_type": "application/smil",
             "content": "<smil><body><par><img src=\"p.png\" alt=\"{{ name }}\"/><text src=\"t.txt\"/></par></body></smil>"},
            {"name": "t.txt", "content_type": "text/plain", "content": "{{ name }} aus {{ city }}"},
            {"name": "p.png", "content_type": "image/png", "encoding": "base64",
             "content": encodify::base64::STANDARD.encode(picture(5_000, 7))},
        ],
    })
}

#[tokio::test]
async fn a_file_becomes_messages_with_words_of_their_own() {
    let world = World::start("", "", "").await;
    let id = text(&world.api.post("mms", &template()).await.body, "id").to_owned();
    let directory = crate::rig::scratch();
    let file = directory.path().join("customers.csv");
    let lines = "destination,name,city\n+15555550101,\"<Zoë & \"\"Co\"\">\",\n+15555550102,Ann,Köln\n+15555550103,,x\n";
    std::fs::write(&file, lines).unwrap();
    let base = world.api.url("").replace("/mmsgw/v1/", "");
    for group in ["mm7", "mm4"] {
        let arguments =
            ["batch", "send", file.to_str().unwrap(), "--template", &id, "--gateway", group, "--api", &base];
        let output = run(&arguments).await;
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        assert!(told.contains("3 lines: 2 accepted, 1 refused"), "{told}");
        let batch = told.split_whitespace().nth(1).unwrap().to_owned();

        let again = String::from_utf8(run(&arguments).await.stdout).unwrap();
        assert!(again.contains("was sent before") && again.contains(&batch), "{again}");

        for (name, words) in [("<Zoë & \"Co\">", "<Zoë & \"Co\"> aus Rom"), ("Ann", "Ann aus Köln")] {
            let arrived = arrives(&world, &format!("Für {name}"), group).await;
            let part = |kind: &str| {
                let found = arrived.parts.iter().find(|part| part.content_type.starts_with(kind));
                found.unwrap_or_else(|| panic!("no {kind} in {arrived:?}")).octets.clone()
            };
            assert_eq!(String::from_utf8_lossy(&part("text/plain")), words);
            let smil = String::from_utf8(part("application/smil").to_vec()).unwrap();
            let escaped =
                name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            assert!(smil.contains(&format!("alt=\"{escaped}\"")), "{smil}");
            assert_eq!(part("image/png"), picture(5_000, 7));
        }
        wait_until("both are counted as acknowledged or delivered", async || {
            let seen = world.api.get(&format!("batches/{batch}")).await.body;
            let counts = seen["counts"].as_object().unwrap().clone();
            let after: u64 = counts
                .iter()
                .filter(|(state, _)| *state != "SCHEDULED" && *state != "SENT")
                .map(|(_, count)| count.as_u64().unwrap())
                .sum();
            (after == 2).then_some(())
        })
        .await;
        let shown = run(&["batch", "show", &batch, "--api", &base]).await;
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains("line 3: /variables/name"), "{shown}");
    }
}

/// How many messages the carrier has over MM7.
fn submitted(world: &World) -> u64 {
    world.carrier.received().iter().filter(|received| received.kind == "SubmitReq").count() as u64
}

async fn arrives(world: &World, subject: &str, group: &str) -> mmsgw_mmsc_sim::Received {
    let kind = if group == "mm7" { "SubmitReq" } else { "MM4_forward.REQ" };
    wait_until(subject, async || world.received(subject).into_iter().find(|received| received.kind == kind))
        .await
}

#[tokio::test]
async fn a_cancelled_batch_is_not_sent() {
    let world = World::start("", "gateway.window = 1", "").await;
    world.script("mm7.delay.min_ms = 100\nmm7.delay.max_ms = 100\n");
    let id = text(&world.api.post("mms", &template()).await.body, "id").to_owned();
    let directory = crate::rig::scratch();
    let file = directory.path().join("many.ndjson");
    let line =
        |n: u64| json!({"destination": format!("+1555{n:07}"), "variables": {"name": n}}).to_string() + "\n";
    std::fs::write(&file, (1..=400).map(line).collect::<String>()).unwrap();
    let base = world.api.url("").replace("/mmsgw/v1/", "");
    let arguments =
        ["batch", "send", file.to_str().unwrap(), "--template", &id, "--gateway", "mm7", "--api", &base];
    let told = String::from_utf8(run(&arguments).await.stdout).unwrap();
    let batch = told.split_whitespace().nth(1).unwrap().to_owned();
    wait_until("some are sent", async || (submitted(&world) > 2).then_some(())).await;
    let cancelled = run(&["batch", "cancel", &batch, "--api", &base]).await;
    assert!(String::from_utf8_lossy(&cancelled.stdout).contains("cancel"));
    let ended = wait_until("the batch is cancelled", async || {
        let seen = world.api.get(&format!("batches/{batch}")).await.body;
        (text(&seen, "state") == "cancelled").then_some(seen)
    })
    .await;
    let sent = submitted(&world);
    assert_eq!(ended["counts"]["CANCELLED"].as_u64().unwrap() + sent, 400, "{ended}");
    assert!(sent < 100, "{sent} were sent all the same");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(submitted(&world), sent, "nothing is sent afterwards");
}
