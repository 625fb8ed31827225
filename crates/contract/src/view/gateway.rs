//! Gateway groups, with their queues and instances, as operators and applications see them.

use mmsgw_domain::{GroupCounts, GroupSettings, GroupStatus, Timestamp, without_secrets};
use serde::Serialize;
use utoipa::ToSchema;

use super::instance::InstanceView;
use super::queue::{PauseView, QueueView};

/// Gateway groups.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gateways)]
pub struct GatewaysView {
    /// The groups, by name.
    pub gateways: Vec<GatewayView>,
}

/// A gateway group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gateway)]
pub struct GatewayView {
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
    /// Messages and reports that instances have in hand, to be handed to the carrier or given back to the queue.
    in_hand: u64,
    /// Its queues, as far as they hold something.
    queues: Vec<QueueView>,
    /// Its instances, in all processes.
    instances: Vec<InstanceView>,
}

/// A group's settings in short.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GatewaySettings)]
pub struct SettingsView {
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
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Counts)]
pub struct CountsView {
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

impl GatewayView {
    /// The view of a group, at that time.
    pub fn of(status: GroupStatus, now: Timestamp) -> Self {
        let instances: Vec<InstanceView> = status.instances.iter().map(InstanceView::of).collect();
        let queues: Vec<QueueView> =
            status.queues.into_iter().map(|queue| QueueView::of(queue, now)).collect();
        let paused = queues.iter().find_map(QueueView::way_paused);
        let in_hand = queues.iter().map(QueueView::on_the_way).sum();
        let health = if paused.is_some() { "paused" } else { health(&instances) };
        let settings = status.settings.as_ref().map(SettingsView::of);
        let counts = status.counts.map(CountsView::of);
        Self { group: status.name.to_string(), health, paused, settings, counts, in_hand, queues, instances }
    }

    /// How much instances have in hand that is to go to the carrier.
    pub fn in_hand(&self) -> u64 {
        self.in_hand
    }
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
/// The best that an instance has.
fn health(instances: &[InstanceView]) -> &'static str {
    let has = |health: &str| instances.iter().any(|instance| instance.carrier_health() == Some(health));
    ["well", "unwell", "draining"].into_iter().find(|health| has(health)).unwrap_or("down")
}
