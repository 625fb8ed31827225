//! The application of the demo: takes callbacks, answers them, hands them on to be printed.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use mmsgw_net::{Drain, HttpLimits, bind, serve_http};
use serde_json::Value;
use tokio::sync::mpsc;

/// A listener for callbacks.
pub(super) struct Application {
    address: std::net::SocketAddr,
    callbacks: mpsc::Receiver<Callback>,
    _drain: Drain,
}

/// One callback as it came.
pub(super) enum Callback {
    /// Something happened to a message.
    Event(Value),
    /// A message came in.
    Message(Value),
}

/// Callbacks that wait to be printed.
const BACKLOG: usize = 1_000;

impl Application {
    pub(super) fn start() -> anyhow::Result<Self> {
        let (sender, callbacks) = mpsc::channel(BACKLOG);
        let router = axum::Router::new()
            .route("/events", post(async |state, body| take(state, body, Callback::Event)))
            .route("/received", post(async |state, body| take(state, body, Callback::Message)))
            .with_state(sender);
        let (listener, address) = bind(([127, 0, 0, 1], 0).into())?;
        let drain = Drain::new();
        drain.spawn(serve_http(listener, None, HttpLimits::default(), drain.child(), router));
        Ok(Self { address, callbacks, _drain: drain })
    }

    /// Where events go.
    pub(super) fn events_url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Where messages go.
    pub(super) fn received_url(&self) -> String {
        format!("http://{}/received", self.address)
    }

    pub(super) async fn next(&mut self) -> Option<Callback> {
        self.callbacks.recv().await
    }
}

fn take(
    State(sender): State<mpsc::Sender<Callback>>,
    Json(body): Json<Value>,
    wrap: impl FnOnce(Value) -> Callback,
) -> StatusCode {
    match sender.try_send(wrap(body)) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// A field of a callback as text; empty where it is not there.
pub(super) fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}
