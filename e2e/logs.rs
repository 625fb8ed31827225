//! The log: one line for each change of a state, with the ids, readable as it stands.

use serde_json::json;

use crate::rig::{World, text, wait_until};

/// The lines about `id` that say `word`.
fn lines(world: &World, id: &str, word: &str) -> Vec<String> {
    let log = world.gateway.log();
    let found = log.lines().filter(|line| line.contains(&format!("id={id} ")) && line.contains(word));
    found.map(str::to_owned).collect()
}

async fn line(world: &World, id: &str, word: &str) -> String {
    wait_until(&format!("`{word}` of {id} in the log"), async || lines(world, id, word).pop()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_state_is_a_line_with_the_ids() {
    let world = World::start("[log]\nlevel = 'info,mmsgw_engine=debug'\n", "", "").await;
    world.application.answer(503);
    let id = world.api.send_text("mm4", "told", &["+15555550102", "+15555550103"]).await;
    let message = world.api.reaches(&id, &["READ"]).await;
    for event in message["events"].as_array().unwrap() {
        let said = line(&world, &id, &format!("state={} ", text(event, "state"))).await;
        assert!(
            said.contains("INFO") && said.contains("gateway.group=mm4") && said.contains("code="),
            "{said}"
        );
        // An event about some of the numbers names them; the last line is that of the last such event.
        let numbers = text(event, "destinations");
        assert_eq!(numbers != "*", said.contains("to=+1555555010"), "{numbers}: {said}");
    }
    let put_off = line(&world, &id, "callback put off").await;
    assert!(put_off.contains("INFO") && put_off.contains("url=") && put_off.contains("503"), "{put_off}");
    world.application.answer(204);

    let content = json!([{"name": "a.txt", "content_type": "text/plain", "content": "hello"}]);
    let template = world.api.post("mms", &json!({"origin": "54321", "parts": content})).await;
    let path = format!("mms/outbound/{}/batch?gateway=mm7", text(&template.body, "id"));
    let order = "{\"destination\": [\"+15555550102\"]}\n{\"destination\": [\"nobody\"]}\n";
    let batch = world.api.post_octets(&path, "application/x-ndjson", order.into()).await;
    assert_eq!(batch.status, 202, "{}", batch.body);
    let id = text(&batch.body, "id");
    let chunk = line(&world, id, "lines of a batch taken").await;
    assert!(chunk.contains("accepted=1 refused=1") && chunk.contains("gateway.group=mm7"), "{chunk}");
    let sent = line(&world, id, "state=SENT ").await;
    assert!(sent.contains("message.id="), "{sent}");
    line(&world, id, "batch taken").await;
}
