//! `GET /admin/v1/instances`: every process and what it says of itself.

use axum::extract::State;
use axum::response::Response;
use mmsgw_contract::{InstanceView, InstancesView};
use mmsgw_engine::Announced;

use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// Lists all processes and instances that are known.
#[utoipa::path(
    get, path = "/admin/v1/instances", tag = "gateways", responses((status = 200, body = InstancesView))
)]
pub(super) async fn list(administrator: Administrator, State(ops): State<Ops>) -> Result<Response, Refused> {
    let known = in_time(&ops, ops.engine.instances()).await?;
    let seen = |known: &Announced| known.record.group.as_ref().is_none_or(|group| administrator.sees(group));
    let instances = known.iter().filter(|known| seen(known)).map(InstanceView::of).collect();
    Ok(answer(InstancesView { instances }))
}
