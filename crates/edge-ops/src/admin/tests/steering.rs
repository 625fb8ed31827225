//! What administrators change.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use mmsgw_contract::{ApiKey, KeySettings, Scope};
use mmsgw_engine::Submission;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{World, ids, settings};
use crate::admin::openapi;
use crate::router::tests::{draft, group};

impl World {
    pub(super) async fn order(
        &self,
        (method, path): (Method, &str),
        body: &str,
        key: Option<&ApiKey>,
    ) -> (StatusCode, Value) {
        let mut request =
            Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {}", key.secret.expose_secret()));
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = self.router().oneshot(request).await.unwrap();
        let status = answer.status();
        // A stream of events has no end to wait for.
        if answer.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(STREAM)) {
            return (status, Value::Null);
        }
        let octets = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&octets).unwrap_or(Value::Null))
    }

    pub(super) async fn set_level(&self, level: &str) -> (StatusCode, Value) {
        let body = json!({"level": level, "reason": "r"}).to_string();
        self.order((Method::PUT, "/admin/v1/log"), &body, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.order((Method::POST, path), &body.to_string(), None).await
    }
}

#[tokio::test]
async fn a_group_is_paused_with_a_reason_and_goes_on() {
    let world = World::new(&[]);
    world.rig.engine.know_group(group("east"));
    let (_, before) = world.ask("/admin/v1/gateways", None).await;
    assert_eq!(
        (&before["gateways"][0]["group"], &before["gateways"][0]["health"]),
        (&"east".into(), &"down".into())
    );
    assert_eq!(before["gateways"][0]["settings"]["events_url"][0], "http://app.example/");
    let pause = "/admin/v1/gateways/east/pause";
    for bad in ["", "{}", r#"{"reason": " "}"#, r#"{"reason": "a\nb"}"#, r#"{"reason": "x", "for": 1}"#] {
        let (status, problem) = world.order((Method::POST, pause), bad, None).await;
        assert!(status.is_client_error() && problem["code"].is_string(), "{bad}: {status} {problem}");
    }
    let (status, shown) = world.post(pause, &json!({"reason": "the carrier's night"})).await;
    assert_eq!((status, &shown["health"]), (StatusCode::OK, &"paused".into()));
    assert_eq!(shown["paused"]["reason"], "the carrier's night");
    let (_, queues) = world.ask("/admin/v1/queues", None).await;
    let paused = queues["queues"].as_array().unwrap().iter().filter(|queue| queue["paused"].is_object());
    assert_eq!(paused.count(), 2, "messages and reports: {queues}");
    let (_, shown) = world.post("/admin/v1/gateways/east/resume", &json!({"reason": "morning"})).await;
    assert_eq!((&shown["health"], &shown["paused"]), (&"down".into(), &Value::Null));
    let (status, _) = world.post("/admin/v1/gateways/west/pause", &json!({"reason": "x"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn dead_jobs_are_counted_before_they_are_forgotten_or_tried_again() {
    let world = World::new(&[]);
    let mut buried = Vec::new();
    for _ in 0..5 {
        buried.push(world.bury("east/rx").await.to_string());
        world.rig.clock.advance(std::time::Duration::from_secs(1));
    }
    let other = world.bury("west/rx").await;
    let order = |dry_run: bool| json!({"queue": "east/rx", "matching": "192.0.2.1", "dry_run": dry_run, "reason": "r"});
    let (status, counted) = world.post("/admin/v1/dead/retry", &order(true)).await;
    assert_eq!((status, &counted["matched"], &counted["done"]), (StatusCode::OK, &5.into(), &0.into()));
    let (status, _) =
        world.post(&format!("/admin/v1/dead/{}/purge", buried[0]), &json!({"reason": "r"})).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) =
        world.post(&format!("/admin/v1/dead/{}/retry", buried[0]), &json!({"reason": "r"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let none = json!({"queue": "east/rx", "matching": "198.51.100.1", "dry_run": false, "reason": "r"});
    assert_eq!(world.post("/admin/v1/dead/purge", &none).await.1["matched"], 0);
    let two = json!({"queue": "east/rx", "dry_run": false, "reason": "r", "max": 2});
    let (_, done) = world.post("/admin/v1/dead/purge", &two).await;
    assert_eq!((&done["done"], &done["next"]), (&2.into(), &Value::from(buried[2].as_str())));
    let (_, done) = world.post("/admin/v1/dead/retry", &order(false)).await;
    assert_eq!((&done["matched"], &done["done"], &done["next"]), (&2.into(), &2.into(), &Value::Null));
    let (_, queues) = world.ask("/admin/v1/queues", None).await;
    let east = &queues["queues"][0];
    assert_eq!((&east["dead"], &east["waiting"]), (&0.into(), &2.into()), "{queues}");
    assert_eq!(ids(&world.ask("/admin/v1/dead?queue=west/rx", None).await.1), [other.to_string()]);
    let late = json!({"queue": "west/rx", "since_ts": 4_000_000_000_i64, "dry_run": true, "reason": "r"});
    assert_eq!(world.post("/admin/v1/dead/purge", &late).await.1["matched"], 0);
}

#[tokio::test]
async fn messages_are_found_by_their_id_and_by_ours_as_carriers_show_it() {
    let world = World::new(&[]);
    world.rig.engine.know_group(group("east"));
    let submission = Submission {
        to: vec!["+12065550102".parse().unwrap()],
        group: Some("east".parse().unwrap()),
        ..Submission::default()
    };
    let (message, _) = world.rig.engine.submit_new(draft(), submission).await.unwrap();
    let (status, shown) = world.ask(&format!("/admin/v1/messages/{}", message.id), None).await;
    assert_eq!((status, &shown["id"]), (StatusCode::OK, &message.id.to_string().into()));
    let (_, found) = world.ask(&format!("/admin/v1/messages?peer_ref=%22{}-0%22", message.id), None).await;
    assert_eq!(found["messages"][0]["id"], message.id.to_string());
    let (_, found) = world.ask("/admin/v1/messages?peer_ref=stranger", None).await;
    assert_eq!(found["messages"], json!([]));
    assert_eq!(world.ask("/admin/v1/messages/x", None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn messages_are_found_by_what_they_are_like() {
    let east = ApiKey::generate();
    let key = KeySettings { gateways: Some(vec!["east".parse().unwrap()]), ..settings(&east, Scope::Admin) };
    let all = ApiKey::generate();
    let world = World::new(&[key, settings(&all, Scope::Admin)]);
    let mut sent = Vec::new();
    for name in ["east", "west", "east"] {
        world.rig.engine.know_group(group(name));
        let submission = Submission {
            to: vec!["+12065550102".parse().unwrap()],
            group: Some(name.parse().unwrap()),
            ..Submission::default()
        };
        world.rig.clock.advance(std::time::Duration::from_secs(1));
        let (message, _) = world.rig.engine.submit_new(draft(), submission).await.unwrap();
        sent.push(message.id.to_string());
    }
    let found = async |query: &str, key: &ApiKey| {
        let (status, page) = world.ask(&format!("/admin/v1/messages{query}"), Some(key)).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let ids = page["messages"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), page["next_cursor"].as_str().map(str::to_owned))
    };
    let newest: Vec<_> = sent.iter().rev().cloned().collect();
    assert_eq!(found("", &all).await, (newest.clone(), None));
    assert_eq!(found("", &east).await.0, [&*newest[0], &newest[2]], "only what the key sees");
    assert_eq!(found("?gateway=west", &east).await.0.len(), 0);
    assert_eq!(found("?direction=outbound&state=SCHEDULED&destination=12065550102", &all).await.0.len(), 3);
    assert_eq!(found("?direction=inbound", &all).await.0.len(), 0);
    let (first, cursor) = found("?limit=2", &all).await;
    assert_eq!(first, newest[..2]);
    assert_eq!(found(&format!("?limit=2&cursor={}", cursor.unwrap()), &all).await.0, newest[2..]);
    for (query, pointer) in [
        ("?direction=up", "/direction"),
        ("?limit=0", "/limit"),
        ("?peer_ref=x&state=SENT", "/peer_ref"),
        ("?ref=x", "/ref"),
    ] {
        let (status, problem) = world.ask(&format!("/admin/v1/messages{query}"), Some(&all)).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &pointer.into()), "{problem}");
    }
}

#[tokio::test]
async fn the_log_level_changes_while_it_runs() {
    let world = World::new(&[]);
    let set = async |level: &str| world.set_level(level).await;
    assert_eq!(set("debug").await, (StatusCode::OK, json!({"level": "debug"})));
    let (status, problem) = set("loud").await;
    assert_eq!((status.as_u16(), &problem["detail"]), (422, &"level: no such level".into()));
}

#[tokio::test]
async fn who_may_administrate_some_groups_changes_those_only() {
    let east = ApiKey::generate();
    let key = KeySettings { gateways: Some(vec!["east".parse().unwrap()]), ..settings(&east, Scope::Admin) };
    let world = World::new(&[key]);
    world.rig.engine.know_group(group("east"));
    world.rig.engine.know_group(group("west"));
    let dead = world.bury("west/rx").await;
    let because = json!({"reason": "r"}).to_string();
    let many = json!({"queue": "west/rx", "dry_run": false, "reason": "r"}).to_string();
    for (path, body) in [
        ("/admin/v1/gateways/west/pause".to_owned(), &because),
        (format!("/admin/v1/dead/{dead}/purge"), &because),
        ("/admin/v1/dead/purge".to_owned(), &many),
    ] {
        let (status, _) = world.order((Method::POST, &path), body, Some(&east)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    let (status, shown) =
        world.order((Method::POST, "/admin/v1/gateways/east/pause"), &because, Some(&east)).await;
    assert_eq!((status, &shown["paused"]["by"]), (StatusCode::OK, &"admin".into()));
    let (_, gateways) = world.ask("/admin/v1/gateways", Some(&east)).await;
    assert_eq!(gateways["gateways"].as_array().unwrap().len(), 1);
    assert_eq!(world.ask("/admin/v1/log", Some(&east)).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn every_path_is_described_and_served() {
    let world = World::new(&[]);
    let described = openapi::described();
    let routes = include_str!("../../admin.rs").matches(".route(\"/admin/v1/").count();
    let paths: std::collections::BTreeSet<_> = described.iter().map(|(_, path)| path).collect();
    assert_eq!(paths.len(), routes, "{paths:?}");
    for (method, path) in described {
        let there = path.replace("{id}", "019a0000000070008000000000000020").replace("{group}", "nobody");
        let there = there.replace("{part}", "019a0000000070008000000000000021");
        let (status, answer) = world.order((method.parse().unwrap(), &there), "", None).await;
        assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_ne!(answer["code"], "no_such_path", "{method} {path}");
    }
}

const STREAM: &[u8] = b"text/event-stream";
