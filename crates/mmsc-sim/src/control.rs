//! The control listener: looking at a carrier that runs in a process of its own, and changing its behaviour.
//!
//! | Request | Meaning |
//! |---|---|
//! | `GET /received?since=N` | messages after number N, octets in base64 |
//! | `DELETE /received` | forgets messages, report answers and transactions |
//! | `GET /answers` | what the gateway answered to reports |
//! | `GET /counts` | totals |
//! | `GET /script`, `PUT /script` | behaviour |
//! | `GET /targets`, `PUT /targets` | where the gateway is |
//! | `POST /mo` | `{"protocol": "mm4", "message": {…}}` sends a message from a phone |
//! | `POST /submit` | `{…}`, a message as above, is submitted as SubmitReq, as a service provider does |

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::mo::{self, Mo, MoAnswer};
use crate::record::{Counts, Protocol, Received, ReportAnswer};
use crate::script::{LiveScript, Script};
use crate::shared::{Shared, Targets};

/// Serves one connection until it closes.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let service = TowerToHyperService::new(router(shared));
    // An error means that the peer is gone; there is nobody to tell.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/received", get(received).delete(clear))
        .route("/answers", get(answers))
        .route("/counts", get(counts))
        .route("/script", get(script).put(set_script))
        .route("/targets", get(targets).put(set_targets))
        .route("/mo", post(send_mo))
        .route("/submit", post(submit))
        .with_state(shared)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Since {
    since: u64,
}

async fn received(State(shared): State<Arc<Shared>>, Query(query): Query<Since>) -> Json<Vec<Received>> {
    Json(shared.recorder.received(query.since))
}

async fn clear(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.recorder.clear();
    StatusCode::NO_CONTENT
}

async fn answers(State(shared): State<Arc<Shared>>) -> Json<Vec<ReportAnswer>> {
    Json(shared.recorder.answers())
}

async fn counts(State(shared): State<Arc<Shared>>) -> Json<Counts> {
    Json(shared.recorder.counts())
}

async fn script(State(shared): State<Arc<Shared>>) -> Json<Script> {
    Json(shared.script().script.clone())
}

async fn set_script(State(shared): State<Arc<Shared>>, Json(script): Json<Script>) -> StatusCode {
    shared.set_script(LiveScript::new(script));
    StatusCode::NO_CONTENT
}

async fn targets(State(shared): State<Arc<Shared>>) -> Json<Targets> {
    Json(shared.targets.read().clone())
}

async fn set_targets(State(shared): State<Arc<Shared>>, Json(targets): Json<Targets>) -> StatusCode {
    *shared.targets.write() = targets;
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MoOrder {
    protocol: Protocol,
    message: Mo,
}

async fn submit(State(shared): State<Arc<Shared>>, Json(message): Json<Mo>) -> Json<MoAnswer> {
    Json(mo::submit_mm7(&shared, &message).await)
}

async fn send_mo(State(shared): State<Arc<Shared>>, Json(order): Json<MoOrder>) -> Json<MoAnswer> {
    Json(match order.protocol {
        Protocol::Mm4 => mo::send_mm4(&shared, &order.message).await,
        Protocol::Mm7 => mo::send_mm7(&shared, &order.message).await,
    })
}
