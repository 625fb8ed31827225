//! Messages are cancelled and replaced, before they are sent and after, against a carrier that does so or does not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mmsgw_mmsc_sim::Received;
use serde_json::{Value, json};

use crate::rig::{World, text, wait_until};

/// No reports, so that no message comes to an end by itself.
const QUIET: &str = "[features]\nrequest_delivery_report = false\nrequest_read_receipt = false\n";

fn message(group: &str, subject: &str) -> Value {
    json!({
        "origin": "54321", "subject": subject,
        "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "first {{ word }}"}],
        "send": {"destination": "+15555550101", "gateway": group, "variables": {"word": "one"}},
    })
}

fn of_kind(world: &World, kind: &str) -> Vec<Received> {
    world.carrier.received().into_iter().filter(|received| received.kind == kind).collect()
}

/// The description of the last event, once it contains `words`.
async fn told(world: &World, id: &str, words: &str) -> Value {
    wait_until(words, async || {
        let message = world.api.message(id).await;
        let last = message["events"].as_array().unwrap().last().unwrap().clone();
        text(&last, "description").contains(words).then_some(last)
    })
    .await
}

#[tokio::test]
async fn an_mm7_carrier_takes_messages_back_or_says_why_not() {
    let world = World::start("", QUIET, QUIET).await;
    let id = world.api.send(&message("mm7", "back")).await;
    world.api.reaches(&id, &["ACKNOWLEDGED"]).await;
    let submitted = of_kind(&world, "SubmitReq").remove(0);
    let reply = world.api.delete(&format!("mms/outbound/{id}")).await;
    assert_eq!((reply.status, text(&reply.body, "id")), (202, &*id), "{}", reply.body);
    world.api.reaches(&id, &["CANCELLED"]).await;
    let asked = of_kind(&world, "CancelReq");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].message_id, submitted.message_id);
    assert!(asked[0].problems.is_empty(), "{:?}", asked[0].problems);
    assert!(world.told(&id, "gateway").contains(&"CANCELLED".to_owned()));
    let late = world.api.delete(&format!("mms/outbound/{id}")).await;
    assert_eq!((late.status, text(&late.body, "code")), (409, "too_late"));

    // A carrier that will not, one that is busy, one that cannot be understood.
    for (answer, words, status) in [
        ("kind = 'status'\ncode = 2005\n", "not withdrawn", Some("2005")),
        ("kind = 'status'\ncode = 4003\n", "not withdrawn", Some("4003")),
        ("kind = 'fault'\ncode = 4006\n", "given up after", Some("4006")),
    ] {
        let id = world.api.send(&message("mm7", "stays")).await;
        world.api.reaches(&id, &["ACKNOWLEDGED"]).await;
        world.script(&format!("[mm7.answer]\n{answer}"));
        assert_eq!(world.api.delete(&format!("mms/outbound/{id}")).await.status, 202);
        let last = told(&world, &id, words).await;
        assert_eq!(text(&last, "state"), "ACKNOWLEDGED", "{last}");
        if let Some(status) = status {
            assert_eq!(text(&last, "carrier_status"), status, "{last}");
        }
        world.script("");
    }
}

#[tokio::test]
async fn an_mm7_carrier_is_given_other_content() {
    let world = World::start("", QUIET, QUIET).await;
    let id = world.api.send(&message("mm7", "old words")).await;
    let template = text(&world.api.reaches(&id, &["ACKNOWLEDGED"]).await["template"], "id").to_owned();
    let submitted = of_kind(&world, "SubmitReq").remove(0);
    let part = json!({"name": "b.txt", "content_type": "text/plain", "content": "second {{ word }}"});
    let change = json!({"subject": "new words", "parts": [null, part]});
    assert_eq!(world.api.put(&format!("mms/{template}"), &change).await.status, 200);
    let reply = world.api.put(&format!("mms/outbound/{id}"), &json!({"variables": {"word": "two"}})).await;
    assert_eq!(
        (reply.status, text(&reply.body["template"], "subject")),
        (202, "new words"),
        "{}",
        reply.body
    );
    told(&world, &id, "").await;
    let replaced = wait_until("ReplaceReq", async || of_kind(&world, "ReplaceReq").into_iter().next()).await;
    assert_eq!(replaced.message_id, submitted.message_id);
    let words: Vec<_> =
        replaced.parts.iter().map(|part| String::from_utf8_lossy(&part.octets).into_owned()).collect();
    assert_eq!(words, ["second two"]);
    let events = wait_until("the event", async || {
        let message = world.api.message(&id).await;
        let events = message["events"].as_array().unwrap().clone();
        (events.len() == 4).then_some(events)
    })
    .await;
    assert_eq!(text(&events[3], "state"), "ACKNOWLEDGED");
}

#[tokio::test]
async fn over_mm4_only_what_is_unsent_can_be_changed() {
    let world = World::start("", QUIET, QUIET).await;
    let id = world.api.send(&message("mm4", "gone")).await;
    world.arrives("gone").await;
    world.api.reaches(&id, &["SENT", "ACKNOWLEDGED"]).await;
    for reply in [
        world.api.delete(&format!("mms/outbound/{id}")).await,
        world.api.put(&format!("mms/outbound/{id}"), &json!({})).await,
    ] {
        assert_eq!((reply.status, text(&reply.body, "code")), (409, "not_amendable"), "{}", reply.body);
    }

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for subject in ["early", "replaced"] {
        let mut later = message("mm4", subject);
        later["earliest_delivery"] = json!(now + 6);
        let id = world.api.send(&later).await;
        let reply = if subject == "early" {
            world.api.delete(&format!("mms/outbound/{id}")).await
        } else {
            world.api.put(&format!("mms/outbound/{id}"), &json!({"variables": {"word": "changed"}})).await
        };
        assert_eq!(reply.status, 200, "{}", reply.body);
        if subject == "early" {
            assert_eq!(text(&reply.body, "state"), "CANCELLED");
            assert_eq!(text(&reply.body["recipients"][0], "state"), "CANCELLED");
        }
    }
    let arrived = world.arrives("replaced").await;
    assert_eq!(String::from_utf8_lossy(&arrived.parts[0].octets), "first changed");
    assert!(
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() >= now + 6,
        "held until its time"
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(world.received("early").is_empty(), "what was cancelled is never sent");
}

#[tokio::test]
async fn what_is_not_sent_in_time_expires_with_an_event() {
    let world = World::start("", "gateway.retry_delays = ['300ms']\ngateway.max_tries = 100", "").await;
    world.script("[mm7.answer]\nkind = 'status'\ncode = 4006\n");
    let mut body = message("mm7", "over");
    body["expire_after"] = json!(2);
    let id = world.api.send(&body).await;
    let message = world.api.reaches(&id, &["EXPIRED"]).await;
    assert_eq!(
        (text(&message["recipients"][0], "state"), text(&message["recipients"][0], "code")),
        ("EXPIRED", "408")
    );
    let late = world.api.delete(&format!("mms/outbound/{id}")).await;
    assert_eq!((late.status, text(&late.body, "code")), (409, "too_late"));
}
