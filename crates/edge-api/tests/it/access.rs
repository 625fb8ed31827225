//! Who may do what.

use axum::body::Body;
use http::{Method, Request};
use mmsgw_edge_api::ApiKey;
use mmsgw_engine::EngineSettings;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::world::{Answer, World, request};

pub(crate) struct Site {
    pub(crate) world: World,
    keys: Vec<ApiKey>,
}

impl Site {
    /// A world with one key for each line of settings.
    pub(crate) fn new(keys: &[&str]) -> Self {
        Self::with("", keys)
    }

    /// The same with further settings before the keys.
    fn with(head: &str, keys: &[&str]) -> Self {
        let made: Vec<ApiKey> = keys.iter().map(|_| ApiKey::generate()).collect();
        let tables = keys.iter().zip(&made).enumerate().map(|(index, (rest, key))| {
            format!("[[key]]\nname = \"{index}\"\nhash = \"{}\"\n{rest}\n", key.hash)
        });
        let text: String = std::iter::once(head.to_owned()).chain(tables).collect();
        Self { world: World::with(&text, EngineSettings::default()), keys: made }
    }

    async fn call(&self, key: usize, method: Method, path: &str, body: &Value) -> Answer {
        let mut request = request(method, path, body);
        let bearer = format!("Bearer {}", self.keys[key].secret.expose_secret());
        request.headers_mut().insert("authorization", bearer.parse().unwrap());
        self.world.call(request).await
    }

    pub(crate) async fn post(&self, key: usize, path: &str, body: &Value) -> Answer {
        self.call(key, Method::POST, path, body).await
    }

    pub(crate) async fn get(&self, key: usize, path: &str) -> Answer {
        self.call(key, Method::GET, path, &Value::Null).await
    }
}

fn template(origin: &str) -> Value {
    json!({"origin": origin, "parts": []})
}

#[tokio::test]
async fn without_a_known_key_nothing_is_done() {
    let site = Site::new(&["scopes = [\"admin\"]"]);
    let anonymous = site.world.post("/mmsgw/v1/mms", &template("54321")).await;
    anonymous.problem(401, "unauthorized");
    assert!(anonymous.header("www-authenticate").starts_with("Bearer"));
    let hash = site.keys[0].hash.to_string();
    for wrong in ["Bearer", "Bearer ", "Bearer mmsgw_x", "Basic YTpi", &format!("Bearer {hash}")] {
        let request = Request::get("/mmsgw/v1/mms/1").header("authorization", wrong).body(Body::empty());
        site.world.call(request.unwrap()).await.problem(401, "unauthorized");
    }
    site.post(0, "/mmsgw/v1/mms", &template("54321")).await.expect(201);
}

#[tokio::test]
async fn scopes_are_kept_apart() {
    let site = Site::new(&["scopes = [\"send\"]", "scopes = [\"read\"]", "scopes = [\"admin\"]"]);
    site.post(1, "/mmsgw/v1/mms", &template("54321")).await.problem(403, "forbidden");
    let created = site.post(0, "/mmsgw/v1/mms", &template("54321")).await;
    created.expect(201);
    let path = created.header("location");
    site.get(0, path).await.problem(403, "forbidden");
    site.get(1, path).await.expect(200);
    site.get(2, path).await.expect(200);
    site.call(1, Method::PUT, path, &json!({})).await.problem(403, "forbidden");
    site.call(1, Method::DELETE, path, &json!({})).await.problem(403, "forbidden");
    let media = format!("/mmsgw/v1/media/{}/a", "0".repeat(64));
    site.get(0, &media).await.problem(403, "forbidden");
    site.world.get("/mmsgw/v1/openapi.json").await.expect(200);
}

#[tokio::test]
async fn gateways_and_origins_limit_what_is_used_and_seen() {
    let narrow = "scopes = [\"send\", \"read\"]\ngateways = [\"other\"]\norigins = [\"54321\"]";
    let site = Site::new(&[narrow, "scopes = [\"send\", \"read\"]"]);
    let refused = site.post(0, "/mmsgw/v1/mms", &template("55555")).await;
    assert_eq!(refused.problem(403, "forbidden"), ["/origin"]);
    let theirs = site.post(1, "/mmsgw/v1/mms", &template("55555")).await.expect(201);
    let theirs = theirs["id"].as_str().unwrap();
    site.get(0, &format!("/mmsgw/v1/mms/{theirs}")).await.problem(404, "not_found");
    let send = json!({"destination": "15555550101", "gateway": "other"});
    let path = format!("/mmsgw/v1/mms/outbound/{theirs}");
    site.post(0, &path, &send).await.problem(404, "not_found");
    site.call(0, Method::DELETE, &format!("/mmsgw/v1/mms/{theirs}"), &json!({}))
        .await
        .problem(404, "not_found");

    let ours = site.post(0, "/mmsgw/v1/mms", &template("54321")).await.expect(201);
    let path = format!("/mmsgw/v1/mms/outbound/{}", ours["id"].as_str().unwrap());
    let by_default = site.post(0, &path, &json!({"destination": "15555550101"})).await;
    assert_eq!(by_default.problem(403, "forbidden"), ["/gateway"]);
    let mut other_origin = send.clone();
    other_origin["origin"] = json!("55555");
    assert_eq!(site.post(0, &path, &other_origin).await.problem(403, "forbidden"), ["/origin"]);
    let sent = site.post(0, &path, &send).await;
    assert_eq!(sent.expect(202)["origin"], "54321");
    site.get(0, sent.header("location")).await.expect(200);

    let elsewhere = site.post(1, &path, &json!({"destination": "15555550101"})).await;
    elsewhere.expect(202);
    site.get(0, elsewhere.header("location")).await.problem(404, "not_found");
    let change = json!({"origin": "55555"});
    let path = format!("/mmsgw/v1/mms/{}", ours["id"].as_str().unwrap());
    assert_eq!(site.call(0, Method::PUT, &path, &change).await.problem(403, "forbidden"), ["/origin"]);
}

#[tokio::test]
async fn a_key_has_its_rate_and_others_have_theirs() {
    let keys = ["scopes = [\"send\"]", "scopes = [\"send\"]"];
    let site = Site::with("requests_per_second = 0.01\n", &keys);
    site.post(0, "/mmsgw/v1/mms", &template("54321")).await.expect(201);
    for _ in 0..2 {
        let refused = site.post(0, "/mmsgw/v1/mms", &template("54321")).await;
        refused.problem(429, "rate_limited");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((90..=100).contains(&wait), "{wait}");
    }
    site.post(1, "/mmsgw/v1/mms", &template("54321")).await.expect(201);
    // Without keys each peer counts; these have no address and are one.
    let open = World::with("requests_per_second = 0.01\n", EngineSettings::default());
    open.post("/mmsgw/v1/mms", &template("54321")).await.expect(201);
    open.post("/mmsgw/v1/mms", &template("54321")).await.problem(429, "rate_limited");
    let quick = Site::with("requests_per_second = 500\n", &keys);
    for _ in 0..100 {
        quick.post(0, "/mmsgw/v1/mms", &template("54321")).await.expect(201);
    }
}
