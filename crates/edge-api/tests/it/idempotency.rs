//! Requests that come twice.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use mmsgw_domain::{Digest, QueueKind};
use mmsgw_engine::{Claimed, Engine, EngineSettings, Repeatable};
use mmsgw_store::Store;
use serde_json::{Value, json};

use crate::world::{Answer, World, request};

fn template() -> Value {
    json!({"origin": "54321", "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "hello"}]})
}

fn sent() -> Value {
    let mut body = template();
    body["send"] = json!({"destination": "+15555550101"});
    body
}

fn keyed(path: &str, key: &str, body: &Value) -> Request<Body> {
    let mut request = request(Method::POST, path, body);
    request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    request
}

async fn waiting(world: &World) -> u64 {
    let queues = world.store.queues().await.unwrap();
    queues.iter().filter(|q| q.queue.kind == QueueKind::Tx).map(|q| q.waiting).sum()
}

#[track_caller]
fn same(first: &Answer, again: &Answer) {
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert!(first.headers.get("idempotent-replayed").is_none());
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(first.headers.get("location"), again.headers.get("location"));
}

#[tokio::test]
async fn every_request_that_creates_is_carried_out_once() {
    let world = World::new();
    let part = json!({"name": "b.txt", "content_type": "text/plain", "content": "b"});
    let id = world.post("/mmsgw/v1/mms", &template()).await.expect(201)["id"].as_str().unwrap().to_owned();
    let outbound = format!("/mmsgw/v1/mms/outbound/{id}");
    let send = json!({"destination": "+15555550102"});
    for (path, body, status) in [
        ("/mmsgw/v1/mms", &template(), 201),
        ("/mmsgw/v1/mms", &sent(), 202),
        ("/mmsgw/v1/mms_part", &part, 201),
        (&outbound, &send, 202),
    ] {
        let key = format!("\"key of {path} {status}\"");
        let first = world.call(keyed(path, &key, body)).await;
        first.expect(status);
        world.clock.advance(Duration::from_secs(3_600));
        let again = world.call(keyed(path, &key, body)).await;
        same(&first, &again);
        let mut other = body.clone();
        let field =
            ["origin", "name", "destination"].into_iter().find(|field| !body[*field].is_null()).unwrap();
        other[field] = json!("54399");
        world.call(keyed(path, &key, &other)).await.problem(422, "idempotency_key_reused");
        let unkeyed = world.post(path, body).await;
        assert_ne!(unkeyed.header("location"), first.header("location"), "without a key it is a new request");
    }
    assert_eq!(waiting(&world).await, 4, "two with a key, two without");
}

#[tokio::test]
async fn keys_of_other_paths_and_bad_keys_are_told_apart() {
    let world = World::new();
    let first = world.call(keyed("/mmsgw/v1/mms", "1", &template())).await;
    let part = json!({"name": "b.txt", "content_type": "text/plain", "content": "b"});
    world.call(keyed("/mmsgw/v1/mms_part", "1", &part)).await.expect(201);
    same(&first, &world.call(keyed("/mmsgw/v1/mms", "\"1\"", &template())).await);
    for bad in ["", "\"\"", "a\"b", &"k".repeat(256)] {
        world.call(keyed("/mmsgw/v1/mms", bad, &template())).await.problem(400, "bad_idempotency_key");
    }
}

#[tokio::test]
async fn a_key_is_forgotten_after_its_time_and_after_a_refusal() {
    let world = World::new();
    let first = world.call(keyed("/mmsgw/v1/mms", "k", &template())).await;
    world.clock.advance(Duration::from_secs(86_400));
    let later = world.call(keyed("/mmsgw/v1/mms", "k", &template())).await;
    later.expect(201);
    assert_ne!(later.header("location"), first.header("location"));

    let mut refused = sent();
    refused["send"]["gateway"] = json!("nobody");
    world.call(keyed("/mmsgw/v1/mms", "r", &refused)).await.problem(422, "invalid_request");
    world.call(keyed("/mmsgw/v1/mms", "r", &sent())).await.expect(202);
}

#[tokio::test]
async fn of_many_at_once_one_is_carried_out() {
    let world = World::new();
    let body = sent();
    let calls = (0..16).map(|_| world.call(keyed("/mmsgw/v1/mms", "k", &body)));
    let answers = futures_util::future::join_all(calls).await;
    let first =
        answers.iter().find(|a| a.headers.get("idempotent-replayed").is_none() && a.status == 202).unwrap();
    for answer in &answers {
        match answer.status.as_u16() {
            202 => assert_eq!(answer.header("location"), first.header("location")),
            _ => assert!(answer.problem(409, "request_in_progress").is_empty()),
        }
    }
    assert_eq!(waiting(&world).await, 1);
}

fn repeatable(key: &str) -> Repeatable {
    Repeatable { owner: "x".into(), key: key.into(), digest: Digest::new([1; 32]) }
}

async fn granted(engine: &Engine, key: &str) -> mmsgw_engine::Claim {
    match engine.claim(&repeatable(key)).await.unwrap() {
        Claimed::Granted(claim) => claim,
        Claimed::Done(made) => panic!("{made:?}"),
    }
}

#[tokio::test]
async fn a_claim_of_the_dead_is_taken_over_and_the_dead_come_too_late() {
    let world = World::with("", EngineSettings::default());
    let part = || mmsgw_engine::PartDraft::New {
        name: "a.txt".into(),
        content_type: "text/plain".into(),
        content: mmsgw_engine::DraftContent::Text("a".into()),
    };
    let dead = granted(&world.engine, "k").await;
    let busy = world.engine.claim(&repeatable("k")).await.unwrap_err();
    assert!(busy.to_string().contains("being carried out"), "{busy}");
    let other = Repeatable { digest: Digest::new([2; 32]), ..repeatable("k") };
    let reused = world.engine.claim(&other).await.unwrap_err();
    assert!(reused.to_string().contains("another request"), "{reused}");
    world.clock.advance(Duration::from_secs(60));
    let heir = granted(&world.engine, "k").await;
    let late = world.engine.create_part_once(part(), Some(&dead)).await;
    assert!(late.is_err(), "the claim is another's now");
    let made = world.engine.create_part_once(part(), Some(&heir)).await.unwrap();
    let Claimed::Done(mmsgw_engine::Made::Part(found)) = world.engine.claim(&repeatable("k")).await.unwrap()
    else {
        panic!("it was made")
    };
    assert_eq!(found, made);
}
