//! A small client of the REST API that shares nothing with the gateway's own.

use serde_json::{Value, json};

use super::wait_until;

/// The API of one gateway.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    base: String,
    http: reqwest::Client,
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) location: Option<String>,
    /// Null where the body is no JSON.
    pub(crate) body: Value,
}

impl Api {
    pub(crate) fn new(base: String) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base, http }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/mmsgw/v1/{path}", self.base)
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        reply(self.http.get(self.url(path))).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        reply(self.http.delete(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_octets(path, "application/json", body.to_string().into_bytes()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        let request = self.http.put(self.url(path)).header("content-type", "application/json");
        reply(request.body(body.to_string())).await
    }

    pub(crate) async fn post_octets(&self, path: &str, content_type: &str, body: Vec<u8>) -> Reply {
        reply(self.http.post(self.url(path)).header("content-type", content_type).body(body)).await
    }

    /// Queues a message with a new template and gives back its id.
    pub(crate) async fn send(&self, body: &Value) -> String {
        let reply = self.post("mms", body).await;
        assert_eq!(reply.status, 202, "{}", reply.body);
        text(&reply.body, "id").to_owned()
    }

    /// Queues a short text through `gateway` to each number, and gives back the message's id.
    pub(crate) async fn send_text(&self, gateway: &str, subject: &str, numbers: &[&str]) -> String {
        self.send(&json!({
            "origin": "54321", "subject": subject,
            "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "hello"}],
            "send": {"destination": numbers, "gateway": gateway},
        }))
        .await
    }

    pub(crate) async fn message(&self, id: &str) -> Value {
        let reply = self.get(&format!("mms/outbound/{id}")).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body
    }

    /// The message once it is in one of `states`.
    pub(crate) async fn reaches(&self, id: &str, states: &[&str]) -> Value {
        let what = format!("message {id} to be {states:?}");
        let mut last = Value::Null;
        wait_until(&what, async || {
            let message = self.message(id).await;
            let there = states.contains(&text(&message, "state"));
            if message["events"] != last["events"] {
                eprintln!("{id}: {} {}", message["state"], message["events"]);
                last = message.clone();
            }
            there.then_some(message)
        })
        .await
    }
}

impl Reply {
    /// The one fault that a refusal names: pointer and code.
    pub(crate) fn fault(&self) -> (&str, &str) {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(errors.len(), 1, "{}", self.body);
        (text(&errors[0], "pointer"), text(&errors[0], "code"))
    }
}

async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let answer = request.send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
    let (status, content_type, location) =
        (answer.status().as_u16(), header("content-type"), header("location"));
    let octets = answer.bytes().await.unwrap();
    let body = serde_json::from_slice(&octets).unwrap_or(Value::Null);
    Reply { status, content_type: content_type.unwrap_or_default(), location, body }
}

/// A text member; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// State and code of each event, in order.
pub(crate) fn codes(message: &Value) -> Vec<(String, String)> {
    let events = message["events"].as_array().unwrap();
    events.iter().map(|event| (text(event, "state").to_owned(), text(event, "code").to_owned())).collect()
}
