//! The paths, and the listener that serves them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mmsgw_contract::{KeyRing, Links};
use mmsgw_domain::Clock;
use mmsgw_engine::{Engine, QueueStatus};
use mmsgw_net::{Drain, HttpLimits, Listener, ServerTls, serve_http};
use serde::Serialize;
use tokio::time::timeout;

use crate::admin;
use crate::config::OpsSettings;
use crate::controls::Controls;
use crate::dashboard::{self, Sessions};
use crate::lag::Lag;
use crate::metrics::{Metrics, NamedListener, Told, plain};
use crate::process::Process;

/// What the listener stands on.
#[derive(Clone)]
pub struct OpsParts {
    /// What it looks into and steers.
    pub engine: Engine,
    /// Tells the age of what waits.
    pub clock: Arc<dyn Clock>,
    /// What administration asks for.
    pub keys: KeyRing,
    /// Where media are found; may be replaced at any time.
    pub links: Arc<ArcSwap<Links>>,
    /// The process itself.
    pub controls: Arc<dyn Controls>,
    /// When it ends.
    pub drain: Drain,
    /// The listeners of this process, for metrics; may be replaced at any time.
    pub listeners: Arc<ArcSwap<Vec<NamedListener>>>,
}

/// The paths.
pub fn router(parts: OpsParts, settings: &OpsSettings) -> Router {
    routes(parts, Lag::default(), settings)
}

fn routes(parts: OpsParts, lag: Lag, settings: &OpsSettings) -> Router {
    let OpsParts { engine, clock, keys, links, controls, drain, listeners } = parts;
    let on_loopback = settings.listen.ip().to_canonical().is_loopback();
    let (sessions, patience, over_tls) = (Arc::default(), settings.store_timeout.0, settings.tls.is_some());
    let ops = Ops {
        engine,
        clock,
        patience,
        keys,
        sessions,
        links,
        controls,
        drain,
        on_loopback,
        over_tls,
        lag,
        listeners,
    };
    let pages = if settings.dashboard { dashboard::router() } else { Router::new() };
    admin::router()
        .merge(pages)
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(ops)
}

/// Serves [`router`] on a listener that was bound to `settings.listen`, until `parts.drain` begins. `tls` is what was
/// loaded for `settings.tls`.
pub async fn serve(
    listener: impl Into<Listener>,
    tls: Option<Arc<ServerTls>>,
    parts: OpsParts,
    settings: &OpsSettings,
) {
    let limits = HttpLimits {
        max_connections: settings.max_connections.max(1),
        // Longer than the slowest answer, which waits for the store.
        stall_timeout: settings.store_timeout.0 + HttpLimits::default().stall_timeout,
        ..HttpLimits::default()
    };
    let (drain, lag) = (parts.drain.clone(), Lag::default());
    drain.spawn(lag.clone().measure(drain.clone()));
    serve_http(listener, tls, limits, drain, routes(parts, lag, settings)).await;
}

#[derive(Clone)]
pub(crate) struct Ops {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) patience: Duration,
    pub(crate) keys: KeyRing,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) links: Arc<ArcSwap<Links>>,
    pub(crate) controls: Arc<dyn Controls>,
    pub(crate) drain: Drain,
    /// Whether only this host reaches the listener.
    pub(crate) on_loopback: bool,
    /// Whether the listener speaks TLS.
    pub(crate) over_tls: bool,
    lag: Lag,
    listeners: Arc<ArcSwap<Vec<NamedListener>>>,
}

impl Ops {
    /// What waits where, or why the store does not say.
    async fn depths(&self) -> Result<Vec<QueueStatus>, String> {
        let queues = match timeout(self.patience, self.engine.queues()).await {
            Ok(Ok(queues)) => queues,
            Ok(Err(refusal)) => return Err(refusal.to_string()),
            Err(_) => return Err("the store does not answer".into()),
        };
        Ok(queues)
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

async fn metrics(State(ops): State<Ops>, headers: HeaderMap) -> Response {
    let groups: Vec<_> = ops.engine.groups().iter().map(|group| Told::of(group)).collect();
    let queues = ops.depths().await.ok();
    let (store, process) = (ops.engine.store_measured(), Process::read());
    let metrics = Metrics {
        groups: &groups,
        queues: queues.as_deref(),
        store: &store,
        process: &process,
        spans: ops.engine.span_counts(),
        lag: ops.lag.read(),
        listeners: &ops.listeners.load(),
        now: ops.clock.now(),
    };
    let wanted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match metrics.write() {
        Ok(text) if wanted.is_empty() || wanted.contains("openmetrics-text") || wanted.starts_with("*/*") => {
            ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response()
        }
        Ok(text) => ([(header::CONTENT_TYPE, PLAIN_METRICS)], plain(&text)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
pub(crate) mod tests;
