//! `/admin/v1/gateways`: groups, their instances and queues; a group's way to its carrier is closed and opened.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::response::Response;
use mmsgw_contract::{Problem, ProblemCode};
use mmsgw_domain::{GroupName, GroupSettings};
use mmsgw_engine::{GroupCounts, without_secrets};
use serde::Serialize;
use utoipa::ToSchema;

use super::instances::InstanceView;
use super::order::{Because, Order};
use super::queues::{PauseView, QueueView, views};
use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// The answer.
#[derive(Serialize, ToSchema)]
pub(super) struct Gateways {
    gateways: Vec<GatewayView>,
}

/// A gateway group.
#[derive(Serialize, ToSchema)]
#[schema(as = Gateway)]
pub(super) struct GatewayView {
    /// Its name.
    group: String,
    /// `well`: an instance hands over messages. `paused`: a person stopped it. `unwell`: no instance has a carrier
    /// that answers. `draining`: all instances are ending. `down`: there is no instance.
    health: &'static str,
    /// Who stopped it, when and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseView>,
    /// Its settings, where this process knows the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<SettingsView>,
    /// What this process did for it since it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<CountsView>,
    /// Its queues, as far as they hold something.
    queues: Vec<QueueView>,
    /// Its instances, in all processes.
    instances: Vec<InstanceView>,
}

/// A group's settings in short.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewaySettings)]
struct SettingsView {
    /// Messages handed over at once.
    window: usize,
    /// Messages per second, for all instances together; absent for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    tps_limit: Option<f64>,
    /// Tries of one message.
    max_tries: u32,
    /// Whether high priority leaves the queue first.
    queue_by_priority: bool,
    /// An unsent message expires after so many seconds, where it says nothing itself.
    max_age_seconds: u64,
    /// How often the carrier is asked for a sign of life; absent for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_interval_seconds: Option<f64>,
    /// Where its events are posted to, without secrets.
    events_url: Vec<String>,
    /// Where its inbound messages are posted to, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    mms_received_url: Option<String>,
}

/// What a process did for a group.
#[derive(Serialize, ToSchema)]
#[schema(as = Counts)]
struct CountsView {
    /// Messages accepted from applications.
    accepted: u64,
    /// Hand-overs that the carrier took.
    sent: u64,
    /// Hand-overs put off.
    deferred: u64,
    /// Hand-overs given up.
    failed: u64,
    /// Reports and messages taken from the carrier.
    received: u64,
    /// Callbacks that the application took.
    callbacks: u64,
    /// Callbacks put off or given up.
    callbacks_failed: u64,
}

/// Lists the groups.
#[utoipa::path(get, path = "/admin/v1/gateways", tag = "gateways", responses((status = 200, body = Gateways)))]
pub(super) async fn list(administrator: Administrator, State(ops): State<Ops>) -> Result<Response, Refused> {
    let mut gateways = all(&ops).await?;
    gateways.retain(|gateway| gateway.group.parse().is_ok_and(|group| administrator.sees(&group)));
    Ok(answer(Gateways { gateways }))
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
    let gateway = all(ops).await?.into_iter().find(|gateway| gateway.group == name);
    gateway.map(answer).ok_or_else(no_such_group)
}

fn no_such_group() -> Refused {
    Problem::new(ProblemCode::NotFound, "there is no such gateway group").into()
}

/// Every group that this process knows or that has an instance.
async fn all(ops: &Ops) -> Result<Vec<GatewayView>, Refused> {
    let instances = in_time(ops, ops.engine.instances()).await?;
    let queues = views(ops).await?;
    let known = ops.engine.groups();
    let of_instances = instances.iter().filter_map(|known| known.record.group.clone());
    let names: BTreeSet<GroupName> =
        known.iter().map(|group| group.settings.name.clone()).chain(of_instances).collect();
    let mut instances: Vec<InstanceView> = instances.iter().map(InstanceView::of).collect();
    let mut queues = queues;
    let gateways = names.into_iter().map(|name| {
        let group = known.iter().find(|group| group.settings.name == name);
        let settings = group.map(|group| SettingsView::of(&group.settings));
        let counts = group.map(|group| CountsView::of(group.counts()));
        let name = name.to_string();
        let instances: Vec<_> = instances.extract_if(.., |instance| instance.is_of(&name)).collect();
        let queues: Vec<_> = queues.extract_if(.., |queue| queue.is_of(&name)).collect();
        let paused = queues.iter().find_map(QueueView::way_paused);
        let health = if paused.is_some() { "paused" } else { health(&instances) };
        GatewayView { group: name, health, paused, settings, counts, queues, instances }
    });
    Ok(gateways.collect())
}

/// The best that an instance has.
fn health(instances: &[InstanceView]) -> &'static str {
    let has = |health: &str| instances.iter().any(|instance| instance.carrier_health() == Some(health));
    ["well", "unwell", "draining"].into_iter().find(|health| has(health)).unwrap_or("down")
}

impl SettingsView {
    fn of(settings: &GroupSettings) -> Self {
        Self {
            window: settings.window,
            tps_limit: settings.tps_limit,
            max_tries: settings.retry.max_tries,
            queue_by_priority: settings.queue_by_priority,
            max_age_seconds: settings.max_age.as_secs(),
            heartbeat_interval_seconds: settings.heartbeat_interval.map(|every| every.as_secs_f64()),
            events_url: settings.events_url.iter().map(|url| without_secrets(url)).collect(),
            mms_received_url: settings.mms_received_url.as_deref().map(without_secrets),
        }
    }
}

impl CountsView {
    fn of(counts: GroupCounts) -> Self {
        let GroupCounts { accepted, sent, deferred, failed, received, callbacks, callbacks_failed } = counts;
        Self { accepted, sent, deferred, failed, received, callbacks, callbacks_failed }
    }
}
