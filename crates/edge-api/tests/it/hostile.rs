//! What the API refuses, and how little it costs.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request};
use mmsgw_engine::EngineSettings;
use serde_json::json;

use crate::world::{World, request};

fn raw(path: &str, kind: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let builder = Request::post(path);
    let builder = kind.into_iter().fold(builder, |builder, kind| builder.header("content-type", kind));
    builder.body(body.into()).unwrap()
}

const JSON: Option<&str> = Some("application/json");

#[tokio::test]
async fn malformed_json_is_told_with_its_place() {
    let world = World::new();
    let answer = world.call(raw("/mmsgw/v1/mms", JSON, "{\n \"origin\": oops}")).await;
    answer.problem(400, "malformed_json");
    assert!(answer.json()["detail"].as_str().unwrap().contains("line 2 column"), "{:?}", answer.body);
    let deep = world.call(raw("/mmsgw/v1/mms", JSON, "[".repeat(1_000_000))).await;
    deep.problem(400, "malformed_json");
    world.call(raw("/mmsgw/v1/mms", JSON, "")).await.problem(400, "malformed_json");
}

#[tokio::test]
async fn a_body_too_large_is_refused_before_it_is_read() {
    let world = World::new();
    let large = Bytes::from(vec![b' '; 50_000_000]);
    let answer = world.call(raw("/mmsgw/v1/mms", JSON, large.clone())).await;
    answer.problem(413, "body_too_large");
    let small = World::with("max_body = 1000", EngineSettings::default());
    let read = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&read);
    let endless = stream::repeat_with(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from_static(&[b' '; 100]))
    });
    let answer = small.call(raw("/mmsgw/v1/mms", JSON, Body::from_stream(endless))).await;
    answer.problem(413, "body_too_large");
    assert!(read.load(Ordering::Relaxed) <= 11, "the rest was read all the same");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_given_up() {
    let world = World::new();
    let silent = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    world.call(raw("/mmsgw/v1/mms", JSON, silent)).await.problem(408, "request_timeout");
}

#[tokio::test]
async fn other_types_paths_and_methods_are_refused_as_problems() {
    let world = World::new();
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("text/json")] {
        world.call(raw("/mmsgw/v1/mms", kind, "{}")).await.problem(415, "unsupported_media_type");
    }
    for kind in ["application/json; charset=utf-8", "application/merge-patch+json"] {
        world.call(raw("/mmsgw/v1/mms", Some(kind), "{}")).await.problem(422, "invalid_request");
    }
    world.get("/mmsgw/v2").await.problem(404, "no_such_path");
    let other = world.post("/mmsgw/v1/mms/inbound/nack/1", &json!({})).await;
    other.problem(404, "no_such_path");
    let patch = world.send(Method::PATCH, "/mmsgw/v1/mms", &json!({})).await;
    patch.problem(405, "method_not_allowed");
    assert!(patch.header("allow").contains("POST"));
    world.get("/mmsgw/v1/mms/%ff").await.problem(400, "bad_request");
}

#[tokio::test]
async fn fields_at_fault_are_told_with_their_pointers() {
    let world = World::new();
    let body = json!({
        "origin": "54321", "subjct": "x", "subject": "a\r\nBcc: everybody",
        "parts": [{"name": "a\u{0}", "content_type": "text/plain", "content": "x"}],
    });
    let answer = world.post("/mmsgw/v1/mms", &body).await;
    assert_eq!(answer.problem(422, "invalid_request"), ["/subject", "/parts/0/name", "/subjct"]);
    let id =
        world.post("/mmsgw/v1/mms", &json!({"origin": "54321", "parts": []})).await.expect(201)["id"].clone();
    let path = format!("/mmsgw/v1/mms/outbound/{}", id.as_str().unwrap());
    let many: Vec<String> = (0..10_000).map(|i| format!("1555{i:07}")).collect();
    for form in [json!(many), json!(many.join(","))] {
        let answer = world.post(&path, &json!({"destination": form})).await;
        assert_eq!(answer.problem(422, "invalid_request"), ["/destination"]);
        assert!(answer.json()["detail"].as_str().unwrap().contains("at most 1000"));
    }
}

#[tokio::test]
async fn request_ids_are_passed_on_only_if_harmless() {
    let world = World::new();
    let with = |id: &str| {
        let mut request = request(Method::GET, "/nowhere", &json!({}));
        request.headers_mut().insert("x-request-id", id.parse().unwrap());
        request
    };
    assert_eq!(world.call(with("proxy-1")).await.header("x-request-id"), "proxy-1");
    for bad in ["a b", "<script>", &"x".repeat(65)] {
        let answer = world.call(with(bad)).await;
        answer.problem(404, "no_such_path");
        assert_eq!(answer.header("x-request-id").len(), 16);
    }
}

#[tokio::test]
async fn names_in_media_paths_cannot_break_out() {
    let world = World::new();
    let part =
        json!({"name": "x.html", "content_type": "text/html", "content": "PGI+", "encoding": "base64"});
    world.post("/mmsgw/v1/mms_part", &part).await.expect(201);
    let png = json!({"name": "x.png", "content_type": "image/png", "content": "AAAA", "encoding": "base64"});
    let view = world.post("/mmsgw/v1/mms_part", &png).await.expect(201);
    let path = view["content_url"].as_str().unwrap().replace("x.png", "a%0d%0aX:%20y%22%3b.html");
    let media = world.get(&path).await;
    assert_eq!(
        media.header("content-disposition"),
        "attachment; filename*=UTF-8''a%0D%0AX%3A%20y%22%3B.html"
    );
    assert!(media.headers.get("x").is_none());
    world.get("/mmsgw/v1/media/..%2f..%2fetc/passwd").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_panic_is_a_problem_and_not_the_end() {
    let world = World::new();
    let part = json!({"name": "x", "content_type": "image/png", "content_url": "http://panic.example/"});
    let answer = world.post("/mmsgw/v1/mms_part", &part).await;
    answer.problem(500, "internal");
    assert!(!String::from_utf8_lossy(&answer.body).contains("a fault of ours"), "nothing leaks");
    world.get("/mmsgw/v1/openapi.json").await.expect(200);
}
