//! The application of the demo: takes callbacks, answers 204, hands them on to be printed.

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
pub(super) struct Callback {
    pub(super) message: String,
    pub(super) state: String,
    pub(super) body: Value,
}

/// Callbacks that wait to be printed.
const BACKLOG: usize = 1_000;

impl Application {
    pub(super) fn start() -> anyhow::Result<Self> {
        let (sender, callbacks) = mpsc::channel(BACKLOG);
        let router = axum::Router::new().route("/events", post(take)).with_state(sender);
        let (listener, address) = bind(([127, 0, 0, 1], 0).into())?;
        let drain = Drain::new();
        drain.spawn(serve_http(listener, None, HttpLimits::default(), drain.child(), router));
        Ok(Self { address, callbacks, _drain: drain })
    }

    /// Where callbacks go.
    pub(super) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    pub(super) async fn next(&mut self) -> Option<Callback> {
        self.callbacks.recv().await
    }
}

async fn take(State(sender): State<mpsc::Sender<Callback>>, Json(body): Json<Value>) -> StatusCode {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let callback = Callback { message: text("message"), state: text("state"), body };
    match sender.try_send(callback) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
