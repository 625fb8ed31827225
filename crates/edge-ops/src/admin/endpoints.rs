//! `/admin/v1/callbacks/endpoints`: endpoints of applications that do not take their callbacks.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use mmsgw_contract::{Problem, ProblemCode};
use mmsgw_domain::Timestamp;
use mmsgw_engine::EndpointStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::order::{Because, Order};
use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// The answer.
#[derive(Serialize, ToSchema)]
pub(super) struct Endpoints {
    endpoints: Vec<EndpointView>,
}

/// An endpoint that fails or is disabled.
#[derive(Serialize, ToSchema)]
#[schema(as = Endpoint)]
struct EndpointView {
    /// By which it is enabled.
    id: String,
    /// The gateway group of the messages that it was to hear of.
    group: String,
    /// Where it is: without user name, password, query and fragment.
    url: String,
    /// `disabled`: it answered 410, and nothing is posted to it. `failing`: callbacks to it are put off.
    state: &'static str,
    /// Since when it fails, in seconds since 1970.
    failing_since_ts: i64,
    /// When it failed last, as far as that is written down, which is every few seconds.
    failed_ts: i64,
    /// What it answered then, or why there was no answer.
    last_answer: String,
    /// Until when it is left alone, where that is still to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_until_ts: Option<i64>,
    /// Since when nothing is posted to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_since_ts: Option<i64>,
}

impl EndpointView {
    fn of(status: EndpointStatus, now: Timestamp) -> Self {
        Self {
            id: status.id,
            group: status.group.to_string(),
            url: status.url,
            state: if status.disabled_since.is_some() { "disabled" } else { "failing" },
            failing_since_ts: status.failing_since.as_secs(),
            failed_ts: status.failed_at.as_secs(),
            last_answer: status.last_answer,
            paused_until_ts: status.paused_until.filter(|until| *until > now).map(Timestamp::as_secs),
            disabled_since_ts: status.disabled_since.map(Timestamp::as_secs),
        }
    }
}

/// Lists the endpoints of applications that fail or are disabled.
#[utoipa::path(
    get, path = "/admin/v1/callbacks/endpoints", tag = "callbacks", responses((status = 200, body = Endpoints))
)]
pub(super) async fn list(administrator: Administrator, State(ops): State<Ops>) -> Result<Response, Refused> {
    let now = ops.clock.now();
    let mut endpoints = Vec::new();
    for group in ops.engine.groups().iter().map(|group| &group.settings.name) {
        if administrator.sees(group) {
            endpoints.extend(in_time(&ops, ops.engine.endpoints(group)).await?);
        }
    }
    endpoints.sort_by(|a, b| (&a.url, &a.group).cmp(&(&b.url, &b.group)));
    let endpoints = endpoints.into_iter().map(|status| EndpointView::of(status, now)).collect();
    Ok(answer(Endpoints { endpoints }))
}

/// Has callbacks posted to an endpoint again that was disabled or left alone. Those that were given up meanwhile stay
/// so: they can be replayed.
#[utoipa::path(
    post, path = "/admin/v1/callbacks/endpoints/{group}/{id}/enable", tag = "callbacks", request_body = Because,
    params(
        ("group" = String, Path, description = "The gateway group"),
        ("id" = String, Path, description = "The endpoint's id"),
    ),
    responses((status = 204, description = "It is called again"), (status = 404, description = "There is none"))
)]
pub(super) async fn enable(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path((group, id)): Path<(String, String)>,
    Order(order): Order<Because>,
) -> Result<StatusCode, Refused> {
    let missing = || Refused::from(Problem::new(ProblemCode::NotFound, "there is no such endpoint"));
    let group = group.parse().map_err(|_| missing())?;
    if !administrator.sees(&group) {
        return Err(missing());
    }
    let status = in_time(&ops, ops.engine.enable_endpoint(&group, &id)).await?;
    administrator.leaves("enable endpoint", &format!("{} of {group}", status.url), &order.reason);
    Ok(StatusCode::NO_CONTENT)
}
