//! The paths, and the listener that serves them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mmsgw_contract::Keys;
use mmsgw_domain::Clock;
use mmsgw_engine::Engine;
use mmsgw_net::{Drain, HttpLimits, serve_http};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::admin;
use crate::config::OpsSettings;
use crate::metrics::{Depth, Metrics, counts};

/// The paths. The clock tells the age of what waits; `keys` are asked for by administration.
pub fn router(engine: Engine, clock: Arc<dyn Clock>, settings: &OpsSettings, keys: Keys) -> Router {
    let on_loopback = settings.listen.ip().to_canonical().is_loopback();
    let ops = Ops { engine, clock, patience: settings.store_timeout.0, keys: Arc::new(keys), on_loopback };
    admin::router()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(ops)
}

/// Serves [`router`] on a listener that was bound to `settings.listen`, until the drain begins.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    clock: Arc<dyn Clock>,
    settings: &OpsSettings,
    keys: Keys,
    drain: Drain,
) {
    let limits = HttpLimits {
        max_connections: settings.max_connections.max(1),
        // Longer than the slowest answer, which waits for the store.
        stall_timeout: settings.store_timeout.0 + HttpLimits::default().stall_timeout,
        ..HttpLimits::default()
    };
    serve_http(listener, None, limits, drain, router(engine, clock, settings, keys)).await;
}

#[derive(Clone)]
pub(crate) struct Ops {
    pub(crate) engine: Engine,
    clock: Arc<dyn Clock>,
    pub(crate) patience: Duration,
    pub(crate) keys: Arc<Keys>,
    /// Whether only this host reaches the listener.
    pub(crate) on_loopback: bool,
}

impl Ops {
    /// What waits where, or why the store does not say.
    async fn depths(&self) -> Result<Vec<Depth>, String> {
        let queues = match timeout(self.patience, self.engine.queues()).await {
            Ok(Ok(queues)) => queues,
            Ok(Err(refusal)) => return Err(refusal.to_string()),
            Err(_) => return Err("the store does not answer".into()),
        };
        let depths = queues.into_iter().map(|status| Depth {
            queue: status.queue,
            waiting: status.waiting,
            leased: status.leased,
            dead: status.dead,
            oldest: status.oldest,
        });
        Ok(depths.collect())
    }

    /// What an operator should know about the storage.
    async fn warnings(&self) -> Vec<String> {
        match timeout(self.patience, self.engine.warnings()).await {
            Ok(Ok(warnings)) => warnings,
            Ok(Err(refusal)) => vec![format!("the storage does not tell of its state: {refusal}")],
            Err(_) => vec!["the storage does not tell of its state in time".to_owned()],
        }
    }
}

/// Body of `/readyz`.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    /// Why not, for people.
    reasons: Vec<String>,
    /// What works, but not as well as it should.
    warnings: Vec<String>,
}

async fn ready(State(ops): State<Ops>) -> Response {
    let reasons: Vec<String> = ops.depths().await.err().into_iter().collect();
    let ready = reasons.is_empty();
    let warnings = if ready { ops.warnings().await } else { Vec::new() };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, reasons, warnings })).into_response()
}

async fn metrics(State(ops): State<Ops>) -> Response {
    let groups: Vec<_> = ops.engine.groups().iter().map(|group| counts(group)).collect();
    let queues = ops.depths().await.ok();
    let metrics = Metrics { groups: &groups, queues: queues.as_deref(), now: ops.clock.now() };
    match metrics.write() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
pub(crate) mod tests;
