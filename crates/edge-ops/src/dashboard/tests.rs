//! What browsers get, and who may do what with a session.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use mmsgw_contract::{ApiKey, KeyRing, KeySettings, Scope};
use mmsgw_net::ServerTlsSettings;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{FILES, INDEX, POLICY};
use crate::config::OpsSettings;
use crate::router::tests::{Rig, group};

struct World {
    rig: Rig,
    router: Router,
}

impl World {
    fn new(keys: &[KeySettings], settings: &OpsSettings) -> Self {
        let rig = Rig::new();
        rig.engine.know_group(group("east"));
        let router = crate::router(rig.parts(KeyRing::new(keys)), settings);
        Self { rig, router }
    }

    async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> (StatusCode, HeaderMap, String) {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request =
            Request::builder().method(method).uri(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer =
            self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let octets = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8_lossy(&octets).into_owned())
    }

    async fn status(&self, line: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        self.ask(line, headers, body).await.0.as_u16()
    }

    /// Cookie and token of a session with this key.
    async fn log_in(&self, key: &ApiKey) -> (String, String) {
        let body = json!({"key": key.secret.expose_secret()}).to_string();
        let (status, headers, answer) = self.ask("POST /admin/v1/session", &[], &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let cookie = headers["set-cookie"].to_str().unwrap();
        for word in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(word), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "{cookie}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        (cookie.split_once(';').unwrap().0.to_owned(), answer["csrf"].as_str().unwrap().to_owned())
    }
}

fn key(scope: Scope) -> (ApiKey, KeySettings) {
    let key = ApiKey::generate();
    let name = format!("{scope:?}").to_lowercase();
    let settings = KeySettings { name, hash: key.hash, scopes: vec![scope], gateways: None, origins: None };
    (key, settings)
}

const PAUSE: &str = "POST /admin/v1/gateways/east/pause";
const BECAUSE: &str = r#"{"reason": "r"}"#;

#[tokio::test]
async fn the_page_and_its_files_are_served_with_a_strict_policy() {
    let world = World::new(&[key(Scope::Admin).1], &OpsSettings::default());
    let files = FILES.iter().map(|(name, _)| format!("GET /dashboard/{name}"));
    for line in files.chain(["GET /".to_owned(), "GET /dashboard".to_owned()]) {
        let (status, headers, body) = world.ask(&line, &[], "").await;
        assert_eq!((status, body.is_empty()), (StatusCode::OK, false), "{line}");
        assert_eq!(headers["content-security-policy"], POLICY);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["referrer-policy"], "no-referrer");
    }
    assert_eq!(world.status("GET /dashboard/nothing.js", &[], "").await, 404);
    let off = World::new(&[], &OpsSettings { dashboard: false, ..OpsSettings::default() });
    assert_eq!(off.status("GET /", &[], "").await, 404);
    assert_eq!(off.status("GET /admin/v1/queues", &[], "").await, 200);
}

#[test]
fn every_file_that_a_page_or_module_names_is_there() {
    let text = |octets: &'static [u8]| std::str::from_utf8(octets).unwrap();
    let known = |name: &str| FILES.iter().any(|(known, _)| *known == name);
    let index = text(INDEX.1);
    let named: Vec<&str> =
        index.split("\"/dashboard/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(named.len() >= 4 && named.iter().all(|name| known(name)), "{named:?}");
    let mut imports = 0;
    for (name, octets) in FILES.iter().filter(|(name, _)| name.ends_with(".js")) {
        for rest in text(octets).split(" from \"./").skip(1) {
            let import = rest.split('"').next().unwrap();
            assert!(known(import), "{name} imports {import}");
            imports += 1;
        }
    }
    assert!(imports > 10);
    let all = FILES.iter().chain([&INDEX]).map(|(_, octets)| text(octets));
    assert!(all.clone().all(|text| !text.contains("innerHTML") && !text.contains("eval(")));
    assert!(
        all.map(|text| text.replace("http://www.w3.org/", "")).all(|text| !text.contains("://")),
        "outside resources"
    );
}

#[tokio::test]
async fn a_session_stands_for_its_key_and_changes_show_its_token() {
    let (admin, settings) = key(Scope::Admin);
    let (reader, reading) = key(Scope::Read);
    let world = World::new(&[settings, reading], &OpsSettings::default());
    for (key, status) in [("mmsgw_x", 401), (reader.secret.expose_secret(), 403)] {
        let body = json!({ "key": key }).to_string();
        assert_eq!(world.status("POST /admin/v1/session", &[], &body).await, status);
    }
    assert_eq!(world.status("GET /admin/v1/session", &[], "").await, 401);
    let (cookie, csrf) = world.log_in(&admin).await;
    let with = [("cookie", cookie.as_str())];
    let (_, _, who) = world.ask("GET /admin/v1/session", &with, "").await;
    let who: Value = serde_json::from_str(&who).unwrap();
    assert_eq!((&who["name"], &who["csrf"]), (&"admin".into(), &csrf.as_str().into()));
    assert_eq!(world.status("GET /admin/v1/gateways", &with, "").await, 200);
    let (_, other) = world.log_in(&admin).await;
    for (token, status) in [("", 403), (other.as_str(), 403), (csrf.as_str(), 200)] {
        let both = [("cookie", cookie.as_str()), ("x-csrf-token", token)];
        assert_eq!(world.status(PAUSE, &both, BECAUSE).await, status, "{token}");
    }
    assert_eq!(world.status(PAUSE, &with, BECAUSE).await, 403);
    let both = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())];
    let (status, headers, _) = world.ask("DELETE /admin/v1/session", &both, "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(world.status("GET /admin/v1/gateways", &with, "").await, 401);
    let body = json!({"key": admin.secret.expose_secret()}).to_string();
    let (_, headers, _) = world.ask("POST /admin/v1/session", &[("x-forwarded-proto", "https")], &body).await;
    assert!(headers["set-cookie"].to_str().unwrap().ends_with("; Secure"));
}

#[tokio::test]
async fn the_cookie_of_a_listener_with_tls_is_for_tls_only() {
    let (admin, settings) = key(Scope::Admin);
    let tls = ServerTlsSettings {
        cert_file: "server.pem".into(),
        key_file: "server.key".into(),
        client_ca_file: None,
        client_certificate: None,
    };
    let world = World::new(&[settings], &OpsSettings { tls: Some(tls), ..OpsSettings::default() });
    let body = json!({"key": admin.secret.expose_secret()}).to_string();
    let (_, headers, _) = world.ask("POST /admin/v1/session", &[], &body).await;
    assert!(headers["set-cookie"].to_str().unwrap().ends_with("; Secure"));
}

#[tokio::test]
async fn without_keys_pages_of_other_sites_and_foreign_names_are_refused() {
    let world = World::new(&[], &OpsSettings::default());
    let host = ("host", "localhost:8081");
    for (headers, status) in [
        (vec![host], 200),
        (vec![host, ("origin", "http://localhost:8081")], 200),
        (vec![host, ("origin", "http://evil.example")], 403),
        (vec![("host", "evil.example:8081")], 403),
        (vec![("host", "evil.example:8081"), ("origin", "http://evil.example:8081")], 403),
    ] {
        assert_eq!(world.status(PAUSE, &headers, BECAUSE).await, status, "{headers:?}");
        assert_eq!(world.status("GET /admin/v1/gateways", &headers, "").await, status, "{headers:?}");
    }
    assert_eq!(world.status("POST /admin/v1/session", &[host], r#"{"key": "x"}"#).await, 409);
    // A form of another site cannot say that it is JSON.
    let form = [host, ("content-type", "text/plain")];
    let request = Request::post("/admin/v1/gateways/east/pause").header(form[1].0, form[1].1);
    let answer = world.router.clone().oneshot(request.body(Body::from(BECAUSE)).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_test_message_is_queued_and_its_parts_are_shown() {
    let world = World::new(&[], &OpsSettings::default());
    let order = |field: &str, value: Value| {
        let mut order = json!({
            "gateway": "east", "origin": "54321", "destination": "+12065550102", "subject": "s", "text": "hello",
            "picture": true, "reason": "r",
        });
        order[field] = value;
        order.to_string()
    };
    let line = "POST /admin/v1/test-message";
    for (field, value) in [
        ("gateway", json!("west")),
        ("origin", json!("")),
        ("destination", json!("nobody at all")),
        ("subject", json!("a\nb")),
        ("subject", json!("x".repeat(201))),
        ("text", json!(" ")),
        ("text", json!("x".repeat(2_001))),
        ("reason", json!("")),
        ("cc", json!("+12065550103")),
    ] {
        let (status, _, problem) = world.ask(line, &[], &order(field, value)).await;
        assert!(status == 422 && problem.contains(field), "{field}: {status} {problem}");
    }
    let (status, _, message) = world.ask(line, &[], &order("text", json!("hello"))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{message}");
    let message: Value = serde_json::from_str(&message).unwrap();
    let id = message["id"].as_str().unwrap();
    assert!(world.rig.engine.message(id.parse().unwrap()).await.is_ok());
    let mut kinds = Vec::new();
    for part in message["template"]["parts"].as_array().unwrap() {
        let path = format!("GET /admin/v1/messages/{id}/parts/{}", part["id"].as_str().unwrap());
        let (status, headers, _) = world.ask(&path, &[], "").await;
        assert_eq!(status, StatusCode::OK, "{part}");
        assert_eq!(headers["content-security-policy"], "default-src 'none'; sandbox");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        kinds.push(headers["content-type"].to_str().unwrap().to_owned());
    }
    assert!(
        kinds.contains(&"image/jpeg".to_owned()) && kinds.contains(&"application/octet-stream".to_owned())
    );
    assert_eq!(world.status(&format!("GET /admin/v1/messages/{id}/parts/x"), &[], "").await, 404);
}
