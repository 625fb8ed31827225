//! `/admin/v1/log`: what is logged, changed while the process runs.

use axum::extract::State;
use axum::response::Response;
use mmsgw_contract::{Problem, ProblemCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::order::{Order, Reason};
use super::{Administrator, Refused, answer};
use crate::router::Ops;

/// What is logged.
#[derive(Serialize, ToSchema)]
pub(super) struct Log {
    /// The level or filter, as in `[log]`.
    level: String,
}

/// What is to be logged from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogOrder {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter by room such as `info,mmsgw_edge_mm4=debug`.
    level: String,
    /// Why; it stands in the log.
    reason: Reason,
}

/// Shows what this process logs.
#[utoipa::path(get, path = "/admin/v1/log", tag = "process", responses((status = 200, body = Log)))]
pub(super) async fn show(administrator: Administrator, State(ops): State<Ops>) -> Result<Response, Refused> {
    administrator.needs_all()?;
    Ok(answer(Log { level: ops.controls.log_level() }))
}

/// Changes what this process logs, until it ends.
#[utoipa::path(
    put, path = "/admin/v1/log", tag = "process", request_body = LogOrder, responses((status = 200, body = Log))
)]
pub(super) async fn set(
    administrator: Administrator,
    State(ops): State<Ops>,
    Order(order): Order<LogOrder>,
) -> Result<Response, Refused> {
    administrator.needs_all()?;
    let wrong = |why| Problem::new(ProblemCode::InvalidRequest, format!("level: {why}"));
    ops.controls.set_log_level(&order.level).map_err(wrong)?;
    administrator.leaves("log level", &order.level, &order.reason);
    Ok(answer(Log { level: ops.controls.log_level() }))
}
