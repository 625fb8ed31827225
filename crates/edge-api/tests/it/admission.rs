//! More than may be in hand is told to come again, and nothing of it is done.

use axum::body::Body;
use futures_util::stream;
use http::{Method, Request};
use mmsgw_engine::EngineSettings;
use serde_json::json;
use tokio::sync::mpsc;

use crate::world::{World, request};

fn template() -> serde_json::Value {
    json!({"origin": "54321", "subject": "x", "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "x"}]})
}

/// A request whose body comes when it is given.
fn slow() -> (mpsc::Sender<String>, Request<Body>) {
    let (give, take) = mpsc::channel::<String>(1);
    let octets = stream::unfold(take, |mut take| async {
        let octets = take.recv().await?;
        Some((Ok::<_, std::io::Error>(octets), take))
    });
    let request = Request::post("/mmsgw/v1/mms").header("content-type", "application/json");
    (give, request.body(Body::from_stream(octets)).unwrap())
}

#[tokio::test]
async fn requests_beyond_those_in_hand_are_told_to_come_again() {
    let world = World::with("max_requests = 1", EngineSettings::default());
    let (give, slow) = slow();
    let router = world.router.clone();
    let first = tokio::spawn(tower::ServiceExt::oneshot(router, slow));
    // Once a piece was taken the request is in hand.
    give.send(" ".to_owned()).await.unwrap();
    give.send(" ".to_owned()).await.unwrap();
    give.send(" ".to_owned()).await.unwrap();
    let refused = world.post("/mmsgw/v1/mms", &template()).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.json()["code"], "busy");
    give.send(template().to_string()).await.unwrap();
    drop(give);
    assert_eq!(first.await.unwrap().unwrap().status(), 201);
    assert_eq!(world.post("/mmsgw/v1/mms", &template()).await.status, 201);
}

#[tokio::test]
async fn bodies_beyond_the_memory_for_them_are_told_to_come_again() {
    let world = World::with("body_memory = '4KiB'", EngineSettings::default());
    let (give, slow) = slow();
    let first = tokio::spawn(tower::ServiceExt::oneshot(world.router.clone(), slow));
    give.send(" ".repeat(3_000)).await.unwrap();
    give.send(" ".to_owned()).await.unwrap();
    give.send(" ".to_owned()).await.unwrap();
    let large = json!({"subject": "x".repeat(2_000)});
    let refused = world.call(request(Method::POST, "/mmsgw/v1/mms", &large)).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (503, &json!("busy")));
    // It grows to more than there is room for beside the first.
    let mut grown = Request::post("/mmsgw/v1/mms").header("content-type", "application/json");
    grown = grown.header("x-request-id", "grown");
    let pieces = stream::iter((0..4).map(|_| Ok::<_, std::io::Error>(" ".repeat(1_000))));
    let refused = world.call(grown.body(Body::from_stream(pieces)).unwrap()).await;
    assert_eq!(refused.json()["code"], "busy");
    give.send(template().to_string()).await.unwrap();
    drop(give);
    assert_eq!(first.await.unwrap().unwrap().status(), 201);
}
