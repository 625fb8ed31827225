//! `/admin/v1/callbacks`: callbacks that no application took are listed and posted once more.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use mmsgw_contract::{Problem, ProblemCode};
use mmsgw_domain::QueueKind;
use serde::Deserialize;

use super::dead::bulk::{BulkDone, CallbackBulk, Deed, bulk};
use super::dead::{self, Page, one};
use super::order::{Because, Order};
use super::{Administrator, Refused};
use crate::router::Ops;

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The gateway group of their messages.
    group: String,
    /// Only those behind this one.
    after: Option<String>,
    /// Most callbacks, 1 to 1000; 100 where absent.
    max: Option<usize>,
}

/// Lists the callbacks of a group's messages that were given up.
#[utoipa::path(
    get, path = "/admin/v1/callbacks", tag = "callbacks",
    params(
        ("group" = String, Query, description = "The gateway group of their messages"),
        ("after" = Option<String>, Query, description = "Only those behind this one"),
        ("max" = Option<usize>, Query, description = "Most of them, 1 to 1000; 100 where absent"),
    ),
    responses((status = 200, body = Page))
)]
pub(super) async fn list(
    administrator: Administrator,
    State(ops): State<Ops>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(Asked { group, after, max }) =
        asked.map_err(|error| Refused::from(Problem::new(ProblemCode::InvalidRequest, error.body_text())))?;
    let queue = format!("{group}/{}", QueueKind::Callback.name());
    dead::page(&administrator, &ops, dead::Asked::of(queue, after, max)).await
}

/// Posts a callback once more, that was given up.
#[utoipa::path(
    post, path = "/admin/v1/callbacks/{id}/replay", tag = "callbacks", request_body = Because,
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 204, description = "It waits to be posted"), (status = 404, description = "There is none"))
)]
pub(super) async fn replay(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(id): Path<String>,
    Order(order): Order<Because>,
) -> Result<StatusCode, Refused> {
    one(&administrator, &ops, &id, (Deed::Retry, order)).await
}

/// Posts callbacks once more that were given up, or counts them.
#[utoipa::path(
    post, path = "/admin/v1/callbacks/replay", tag = "callbacks", request_body = CallbackBulk,
    responses((status = 200, body = BulkDone))
)]
pub(super) async fn replay_many(
    administrator: Administrator,
    State(ops): State<Ops>,
    Order(order): Order<CallbackBulk>,
) -> Result<Response, Refused> {
    bulk(&administrator, &ops, order.of_queue(), Deed::Retry).await
}
