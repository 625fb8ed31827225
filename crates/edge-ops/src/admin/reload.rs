//! `POST /admin/v1/reload`: the configuration is read anew while the process runs.

use axum::extract::State;
use axum::response::Response;
use mmsgw_contract::{Problem, ProblemCode};

use super::order::{Because, Order};
use super::{Administrator, Refused, answer};
use crate::controls::Reloaded;
use crate::router::Ops;

/// Reads the main file, gateway files and dialects of this process anew and takes over what changed. Answers when
/// instances that had to end have ended. A configuration with faults changes nothing.
#[utoipa::path(
    post, path = "/admin/v1/reload", tag = "process", request_body = Because,
    responses(
        (status = 200, body = Reloaded),
        (status = 422, description = "The configuration has faults, which `detail` tells, a line each")
    )
)]
pub(super) async fn run(
    administrator: Administrator,
    State(ops): State<Ops>,
    Order(order): Order<Because>,
) -> Result<Response, Refused> {
    administrator.needs_all()?;
    administrator.leaves("reload", "configuration", &order.reason);
    let reloaded = ops.controls.reload().await;
    reloaded.map(answer).map_err(|faults| Problem::new(ProblemCode::InvalidConfiguration, faults).into())
}
