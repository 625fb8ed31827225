//! `/mmsgw/v1/gateways`: the caller's gateway groups, how they are and what waits for them.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{
    GatewayView, GatewaysView, InstanceView, InstancesView, Problem, ProblemCode, ProblemView,
};
use mmsgw_domain::GroupStatus;

use crate::api::Api;
use crate::auth::{Caller, Reader};
use crate::error::Refused;
use crate::templates::answer;

/// Lists the gateway groups of the key: health, queues, instances and counts.
#[utoipa::path(
    get, path = "/mmsgw/v1/gateways", tag = "gateways",
    responses((status = 200, body = GatewaysView)), security(("key" = ["read"]))
)]
pub(crate) async fn list_gateways(
    State(api): State<Api>,
    Reader(caller): Reader,
) -> Result<Response, Refused> {
    let mut all = api.engine.overview().await?;
    all.retain(|status| caller.owns_group(&status.name));
    let gateways = all.into_iter().map(|status| GatewayView::of(status, api.now())).collect();
    Ok(answer(StatusCode::OK, None, &GatewaysView { gateways }))
}

/// Shows a gateway group.
#[utoipa::path(
    get, path = "/mmsgw/v1/gateways/{group}", tag = "gateways",
    params(("group" = String, Path, description = "The group's name")),
    responses(
        (status = 200, body = GatewayView),
        (status = 404, description = "There is none", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn read_gateway(
    State(api): State<Api>,
    Reader(caller): Reader,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let status = find(&api, &caller, &name).await?;
    Ok(answer(StatusCode::OK, None, &GatewayView::of(status, api.now())))
}

/// Lists the instances of a gateway group: health, heartbeat, what is in flight, the last error.
#[utoipa::path(
    get, path = "/mmsgw/v1/gateways/{group}/instances", tag = "gateways",
    params(("group" = String, Path, description = "The group's name")),
    responses(
        (status = 200, body = InstancesView),
        (status = 404, description = "There is none", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn read_instances(
    State(api): State<Api>,
    Reader(caller): Reader,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let status = find(&api, &caller, &name).await?;
    let instances = status.instances.iter().map(InstanceView::of).collect();
    Ok(answer(StatusCode::OK, None, &InstancesView { instances }))
}

/// A group of the caller's.
async fn find(api: &Api, caller: &Caller, name: &str) -> Result<GroupStatus, Refused> {
    let all = api.engine.overview().await?;
    let found =
        all.into_iter().find(|status| status.name.as_str() == name && caller.owns_group(&status.name));
    found.ok_or_else(|| Problem::new(ProblemCode::NotFound, "there is no such gateway group").into())
}
