//! Many messages in one request.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::Request;
use mmsgw_domain::{GroupName, InstanceId, Job, Message, Queue, QueueKind};
use mmsgw_engine::EngineSettings;
use mmsgw_store::{LeaseRequest, Store};
use serde_json::{Value, json};

use crate::world::{Answer, World};

async fn template(world: &World) -> String {
    let body = json!({
        "origin": "54321", "subject": "For {{ name }}", "defaults": {"city": "Rome"},
        "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "{{ name }} of {{ city }}"}],
    });
    world.post("/mmsgw/v1/mms", &body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

fn line(number: u64) -> String {
    json!({"destination": format!("+1555{number:07}"), "variables": {"name": format!("N{number}")}})
        .to_string()
}

fn lines(numbers: std::ops::RangeInclusive<u64>) -> String {
    numbers.map(|number| line(number) + "\n").collect()
}

fn posted(path: &str, kind: &str, key: Option<&str>, body: Body) -> Request<Body> {
    let mut request = Request::post(path).header("content-type", kind);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.body(body).unwrap()
}

async fn ndjson(world: &World, id: &str, key: Option<&str>, text: impl Into<String>) -> Answer {
    let path = format!("/mmsgw/v1/mms/outbound/{id}/batch");
    world.call(posted(&path, "application/x-ndjson", key, Body::from(text.into()))).await
}

/// Every message that waits, in the order in which they would go out.
async fn queued(world: &World) -> Vec<Message> {
    let group: GroupName = "gw".parse().unwrap();
    let request = LeaseRequest {
        owner: InstanceId::new(&group, "test", "host", 1),
        queue: Queue { group, kind: QueueKind::Tx },
        max: 100_000,
        hold: Duration::from_secs(60),
    };
    let mut messages = Vec::new();
    for job in world.store.lease(request).await.unwrap().jobs {
        let Job::TransmitV1(transmit) = job.job else { panic!("{:?}", job.job) };
        messages.push(world.store.message(transmit.message).await.unwrap().unwrap());
    }
    messages
}

fn numbers(messages: &[Message]) -> Vec<String> {
    let mut numbers: Vec<String> =
        messages.iter().flat_map(|m| m.recipients.iter().map(|r| r.address.to_string())).collect();
    numbers.sort();
    numbers
}

fn expected(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| format!("+1555{number:07}")).collect()
}

#[tokio::test]
async fn every_line_is_a_message_or_a_reason() {
    let world = World::new();
    let id = template(&world).await;
    let text = format!(
        "{}\n\n{{\"destination\": \"x\"}}\n{{\"destination\": \"54322\"}}\nno json\n{}\n{}",
        line(1),
        json!({"destination": "+15550000002", "gateway": "other", "variables": {"name": "x"}}),
        json!({"destination": ["+15550000003", "+15550000004"], "variables": {"name": "y"}}),
    );
    let answer = ndjson(&world, &id, None, text).await;
    let batch = answer.expect(202);
    let path = answer.header("location").to_owned();
    assert_eq!(path, format!("/mmsgw/v1/batches/{}", batch["id"].as_str().unwrap()));
    assert_eq!(
        (&batch["received"], &batch["accepted"], &batch["refused"]),
        (&json!(7), &json!(2), &json!(4)),
        "{batch}"
    );
    assert_eq!((&batch["state"], &batch["counts"]), (&json!("complete"), &json!({"SCHEDULED": 2})));
    assert_eq!((&batch["template"], &batch["gateway"]), (&json!(id), &json!("gw")));
    assert_eq!(world.get(&path).await.expect(200), batch);

    let refused = world.get(&format!("{path}/refused")).await.expect(200);
    let told: Vec<(u64, &str, &str)> = refused["lines"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(
        told,
        [
            (3, "bad_number", "/destination"),
            (4, "missing_variable", "/variables/name"),
            (5, "malformed_json", ""),
            (6, "disagrees", "/gateway"),
        ]
    );
    let page = world.get(&format!("{path}/refused?after=3&limit=2")).await.expect(200);
    assert_eq!((&page["lines"][0]["line"], &page["next"]), (&json!(4), &json!(5)));

    let messages = queued(&world).await;
    assert_eq!(numbers(&messages), expected(1..=1).into_iter().chain(expected(3..=4)).collect::<Vec<_>>());
    let first = messages.iter().find(|message| message.recipients.len() == 1).unwrap();
    let shown = world.get(&format!("/mmsgw/v1/mms/outbound/{}", first.id)).await.expect(200);
    assert_eq!((&shown["batch"], &shown["variables"]["name"]), (&batch["id"], &json!("N1")));
    assert_eq!(shown["recipients"].as_array().unwrap().len(), 1);
}

fn told(line: &Value) -> (u64, &str, &str) {
    (line["line"].as_u64().unwrap(), line["code"].as_str().unwrap(), line["pointer"].as_str().unwrap())
}

#[tokio::test]
async fn a_list_is_taken_as_well_and_what_the_address_says_holds_for_all() {
    let world = World::new();
    let id = template(&world).await;
    let path = format!("/mmsgw/v1/mms/outbound/{id}/batch?gateway=gw&priority=high&origin=54399");
    let body = format!("[{},\n {}]", line(1), line(2));
    let batch = world.call(posted(&path, "application/json", None, Body::from(body))).await.expect(202);
    assert_eq!(batch["accepted"], 2);
    for message in queued(&world).await {
        assert_eq!(message.origin.to_string(), "54399");
        assert_eq!(message.priority, Some(mmsgw_domain::Priority::High));
    }
    let bad = format!("[{}, 7]", line(1));
    world.call(posted(&path, "application/json", None, Body::from(bad))).await.problem(400, "malformed_json");
    world.call(posted(&path, "text/csv", None, Body::from("x"))).await.problem(415, "unsupported_media_type");
    let unknown = path.replace("gateway=gw", "gatewax=gw");
    let refused = world.call(posted(&unknown, "application/json", None, Body::from("[]"))).await;
    assert_eq!(refused.problem(422, "invalid_request"), ["/gatewax"]);
    let nobody = path.replace("gateway=gw", "gateway=nobody");
    let refused = world.call(posted(&nobody, "application/json", None, Body::from("[]"))).await;
    assert_eq!(refused.problem(422, "invalid_request"), ["/gateway"]);
    let gone = posted("/mmsgw/v1/mms/outbound/x/batch", "application/json", None, Body::from("[]"));
    world.call(gone).await.problem(404, "not_found");
}

#[tokio::test]
async fn single_messages_go_before_those_of_a_batch() {
    let world = World::new();
    let id = template(&world).await;
    ndjson(&world, &id, None, lines(1..=1_200)).await.expect(202);
    let single = json!({"destination": "54322", "variables": {"name": "me"}});
    world.post(&format!("/mmsgw/v1/mms/outbound/{id}"), &single).await.expect(202);
    let messages = queued(&world).await;
    assert_eq!(messages.len(), 1_201);
    assert_eq!(messages[0].recipients[0].address.to_string(), "54322");
}

/// A body that breaks off after `text`.
fn broken(text: &str) -> Body {
    let pieces = text.as_bytes().chunks(1_000).map(|piece| Ok(Bytes::copy_from_slice(piece)));
    let end = [Err(std::io::Error::other("gone"))];
    Body::from_stream(stream::iter(pieces.chain(end).collect::<Vec<_>>()))
}

#[tokio::test]
async fn a_stream_that_broke_off_is_sent_again_and_nothing_is_done_twice() {
    let world = World::new();
    let id = template(&world).await;
    let path = format!("/mmsgw/v1/mms/outbound/{id}/batch");
    let whole = lines(1..=1_700) + "bad\n" + &lines(1_702..=2_000);
    for cut in [0, 1, 60_000, 100_001] {
        let request = posted(&path, "application/x-ndjson", Some("k"), broken(&whole[..cut]));
        world.call(request).await.problem(400, "bad_request");
    }
    let done = ndjson(&world, &id, Some("k"), whole.as_str()).await;
    let batch = done.expect(202);
    assert!(done.headers.get("idempotent-replayed").is_none());
    assert_eq!(
        (&batch["received"], &batch["accepted"], &batch["refused"]),
        (&json!(2_000), &json!(1_999), &json!(1))
    );
    assert_eq!((&batch["state"], &batch["counts"]["SCHEDULED"]), (&json!("complete"), &json!(1_999)));

    let again = ndjson(&world, &id, Some("k"), whole.as_str()).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.expect(202), batch);
    let other = lines(1..=1) + &whole[whole.find('\n').unwrap() + 1..].replacen("N7\"", "N8\"", 1);
    for other in [other.as_str(), &whole[..50_000], &(whole.clone() + "{}"), ""] {
        ndjson(&world, &id, Some("k"), other).await.problem(422, "idempotency_key_reused");
    }
    let all: Vec<String> = expected(1..=1_700).into_iter().chain(expected(1_702..=2_000)).collect();
    assert_eq!(numbers(&queued(&world).await), all, "no number twice, none missing");
}

#[tokio::test]
async fn two_streams_under_one_key_are_one() {
    let world = World::new();
    let id = template(&world).await;
    let whole = lines(1..=3_000);
    let calls = (0..4).map(|_| ndjson(&world, &id, Some("k"), whole.as_str()));
    for answer in futures_util::future::join_all(calls).await {
        if answer.status != 202 {
            answer.problem(409, "request_in_progress");
        }
    }
    ndjson(&world, &id, Some("k"), whole.as_str()).await.expect(202);
    assert_eq!(numbers(&queued(&world).await), expected(1..=3_000));
}

#[tokio::test]
async fn a_cancelled_batch_takes_nothing_more() {
    let world = World::new();
    let id = template(&world).await;
    let path = format!("/mmsgw/v1/mms/outbound/{id}/batch");
    let whole = lines(1..=1_000);
    let request = posted(&path, "application/x-ndjson", Some("k"), broken(&whole[..40_000]));
    world.call(request).await.problem(400, "bad_request");
    let batch = queued(&world).await[0].batch.unwrap();
    let place = format!("/mmsgw/v1/batches/{batch}");
    assert_eq!(world.get(&place).await.expect(200)["state"], "receiving");
    let cancel = || Request::delete(&place).body(Body::empty()).unwrap();
    let cancelled = world.call(cancel()).await.expect(200);
    assert_eq!(cancelled["state"], "cancelling");
    assert_eq!(world.call(cancel()).await.expect(200), cancelled);
    ndjson(&world, &id, Some("k"), whole.as_str()).await.problem(409, "batch_cancelled");
    let missing =
        Request::delete(format!("/mmsgw/v1/batches/{}", "0".repeat(32))).body(Body::empty()).unwrap();
    world.call(missing).await.problem(404, "not_found");
}

#[tokio::test]
async fn hostile_lines_cost_only_themselves() {
    let world =
        World::with("max_line = '1KiB'\n", EngineSettings { refused_lines: 3, ..EngineSettings::default() });
    let id = template(&world).await;
    let long = format!("{{\"destination\": \"{}\"}}", "1".repeat(5_000));
    let deep = "[".repeat(900);
    let mut text = format!("{long}\n{deep}\n\0\n{{}}\n");
    text.push_str(&line(5));
    let answer = ndjson(&world, &id, None, text).await;
    let batch = answer.expect(202);
    assert_eq!((&batch["accepted"], &batch["refused"]), (&json!(1), &json!(4)));
    let refused = world.get(&format!("{}/refused", answer.header("location"))).await.expect(200);
    let told: Vec<(u64, &str, &str)> = refused["lines"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(
        told,
        [(1, "too_long", ""), (2, "malformed_json", ""), (3, "malformed_json", "")],
        "three are kept"
    );
}
