//! The application's server: takes callbacks as they come and answers as it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use mmsgw_net::{Drain, HttpLimits, bind, serve_http};
use serde_json::Value;

use super::{text, wait_until};

/// One callback as it came.
#[derive(Debug, Clone)]
pub(crate) struct Callback {
    /// Last part of the path that it was posted to.
    pub(crate) door: String,
    pub(crate) webhook_id: String,
    /// Empty where there was none.
    pub(crate) traceparent: String,
    pub(crate) body: Value,
}

#[derive(Debug)]
struct Shared {
    status: AtomicU16,
    body: Mutex<String>,
    taken: Mutex<Vec<Callback>>,
}

/// A listener for callbacks on loopback.
#[derive(Debug)]
pub(crate) struct Application {
    address: SocketAddr,
    shared: Arc<Shared>,
    _drain: Drain,
}

impl Application {
    pub(crate) fn start() -> Self {
        let shared =
            Arc::new(Shared { status: AtomicU16::new(204), body: Mutex::default(), taken: Mutex::default() });
        let router = axum::Router::new()
            .route("/app/{door}", axum::routing::post(take))
            .with_state(Arc::clone(&shared));
        let (address, drain) = serve(router);
        Self { address, shared, _drain: drain }
    }

    /// A URL of it; callbacks there bear the name `door`.
    pub(crate) fn url(&self, door: &str) -> String {
        format!("http://{}/app/{door}", self.address)
    }

    /// Every callback is answered with this from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// Every callback is answered with 200 and this body from now on.
    pub(crate) fn answer_with(&self, body: &Value) {
        *self.shared.body.lock().unwrap() = body.to_string();
        self.answer(200);
    }

    /// Everything that came to `door`, in the order in which it came.
    pub(crate) fn at(&self, door: &str) -> Vec<Callback> {
        self.shared.taken.lock().unwrap().iter().filter(|c| c.door == door).cloned().collect()
    }

    /// The whole message with `subject`, once it has come to `door`.
    pub(crate) async fn gets(&self, subject: &str, door: &str) -> Callback {
        wait_until(&format!("message `{subject}` at {door}"), async || {
            self.at(door).into_iter().find(|c| c.body["template"]["subject"] == subject)
        })
        .await
    }

    /// All callbacks about `message` at `door`, refused ones too, in the order in which they came.
    pub(crate) fn callbacks(&self, message: &str, door: &str) -> Vec<Callback> {
        let taken = self.shared.taken.lock().unwrap();
        taken.iter().filter(|c| c.door == door && text(&c.body, "message") == message).cloned().collect()
    }

    /// Waits until a callback with `state` about `message` has come to `door`.
    pub(crate) async fn hears(&self, message: &str, door: &str, state: &str) -> Callback {
        wait_until(&format!("callback {state} of {message} at {door}"), async || {
            self.callbacks(message, door).into_iter().find(|c| text(&c.body, "state") == state)
        })
        .await
    }
}

/// Serves HTTP on a free port of loopback until the drain is dropped.
pub(super) fn serve(router: axum::Router) -> (SocketAddr, Drain) {
    let (listener, address) = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let drain = Drain::new();
    drain.spawn(serve_http(listener, None, HttpLimits::default(), drain.child(), router));
    (address, drain)
}

async fn take(
    State(shared): State<Arc<Shared>>,
    Path(door): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> (StatusCode, String) {
    let header = |name| headers.get(name).map_or_else(String::new, |v| v.to_str().unwrap().to_owned());
    let (webhook_id, traceparent) = (header("webhook-id"), header("traceparent"));
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    shared.taken.lock().unwrap().push(Callback { door, webhook_id, traceparent, body });
    let status = StatusCode::from_u16(shared.status.load(Ordering::SeqCst)).unwrap();
    let said = if status == StatusCode::OK { shared.body.lock().unwrap().clone() } else { String::new() };
    (status, said)
}
