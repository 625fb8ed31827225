//! `/admin/v1/gateways`: groups, their instances and queues; a group's way to its carrier is closed and opened.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use mmsgw_contract::{GatewayView, GatewaysView, Problem, ProblemCode};
use mmsgw_domain::GroupName;
use serde::Deserialize;
use utoipa::ToSchema;

use super::order::{Because, Order, Reason};
use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// To pause, and to wait until nothing is in hand.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DrainOrder {
    /// Why; it stands in the log.
    reason: Reason,
    /// How long to wait before answering, in seconds, at most 60.
    #[serde(default)]
    wait_seconds: u64,
}

/// Lists the groups.
#[utoipa::path(get, path = "/admin/v1/gateways", tag = "gateways", responses((status = 200, body = GatewaysView)))]
pub(super) async fn list(administrator: Administrator, State(ops): State<Ops>) -> Result<Response, Refused> {
    let mut gateways = in_time(&ops, ops.engine.overview()).await?;
    gateways.retain(|gateway| administrator.sees(&gateway.name));
    let now = ops.clock.now();
    let gateways = gateways.into_iter().map(|gateway| GatewayView::of(gateway, now)).collect();
    Ok(answer(GatewaysView { gateways }))
}

/// Shows one group.
#[utoipa::path(
    get, path = "/admin/v1/gateways/{group}", tag = "gateways",
    params(("group" = String, Path, description = "The group's name")),
    responses((status = 200, body = GatewayView), (status = 404, description = "There is none"))
)]
pub(super) async fn show(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    named(&administrator, &name)?;
    found(&ops, &name).await
}

/// Hands nothing more of a group to its carrier, in any process. Messages and reports are accepted as ever.
#[utoipa::path(
    post, path = "/admin/v1/gateways/{group}/pause", tag = "gateways", request_body = Because,
    params(("group" = String, Path, description = "The group's name")),
    responses((status = 200, body = GatewayView), (status = 404, description = "There is none"))
)]
pub(super) async fn pause(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(name): Path<String>,
    Order(order): Order<Because>,
) -> Result<Response, Refused> {
    let group = named(&administrator, &name)?;
    let (by, reason) = (administrator.name(), order.reason.as_str());
    in_time(&ops, ops.engine.pause(&group, by, reason)).await?;
    administrator.leaves("pause", &name, &order.reason);
    found(&ops, &name).await
}

/// Pauses a group, and waits until nothing of it is in hand any more, in any process: its carrier can then be worked
/// on without anything left unsaid. What waits stays in its queue. It goes on with `resume`.
#[utoipa::path(
    post, path = "/admin/v1/gateways/{group}/drain", tag = "gateways", request_body = DrainOrder,
    params(("group" = String, Path, description = "The group's name")),
    responses(
        (status = 200, description = "It is drained where `in_hand` is 0; else the time was over", body = GatewayView),
        (status = 404, description = "There is none")
    )
)]
pub(super) async fn drain(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(name): Path<String>,
    Order(order): Order<DrainOrder>,
) -> Result<Response, Refused> {
    let group = named(&administrator, &name)?;
    let until = tokio::time::Instant::now() + Duration::from_secs(order.wait_seconds.min(LONGEST_WAIT));
    in_time(&ops, ops.engine.pause(&group, administrator.name(), order.reason.as_str())).await?;
    administrator.leaves("drain", &name, &order.reason);
    loop {
        let gateway = find(&ops, &name).await?;
        if gateway.in_hand() == 0 || tokio::time::Instant::now() >= until || ops.drain.is_draining() {
            return Ok(answer(gateway));
        }
        tokio::time::sleep(DRAIN_LOOK).await;
    }
}

/// Goes on handing messages of a group to its carrier.
#[utoipa::path(
    post, path = "/admin/v1/gateways/{group}/resume", tag = "gateways", request_body = Because,
    params(("group" = String, Path, description = "The group's name")),
    responses((status = 200, body = GatewayView), (status = 404, description = "There is none"))
)]
pub(super) async fn resume(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(name): Path<String>,
    Order(order): Order<Because>,
) -> Result<Response, Refused> {
    let group = named(&administrator, &name)?;
    in_time(&ops, ops.engine.resume(&group, administrator.name(), order.reason.as_str())).await?;
    administrator.leaves("resume", &name, &order.reason);
    found(&ops, &name).await
}

fn named(administrator: &Administrator, name: &str) -> Result<GroupName, Refused> {
    let group: GroupName = name.parse().map_err(|_| no_such_group())?;
    if administrator.sees(&group) { Ok(group) } else { Err(no_such_group()) }
}

async fn found(ops: &Ops, name: &str) -> Result<Response, Refused> {
    find(ops, name).await.map(answer)
}

async fn find(ops: &Ops, name: &str) -> Result<GatewayView, Refused> {
    let gateways = in_time(ops, ops.engine.overview()).await?;
    let found = gateways.into_iter().find(|gateway| gateway.name.as_str() == name);
    found.map(|gateway| GatewayView::of(gateway, ops.clock.now())).ok_or_else(no_such_group)
}

fn no_such_group() -> Refused {
    Problem::new(ProblemCode::NotFound, "there is no such gateway group").into()
}

/// Longest time that a drain is waited for within one request, in seconds.
const LONGEST_WAIT: u64 = 60;
/// How often a drain is looked at.
const DRAIN_LOOK: Duration = Duration::from_millis(200);
