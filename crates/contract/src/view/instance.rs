//! Instances, as they are shown.

use mmsgw_domain::{Announced, Heartbeat, InstanceHealth, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// Instances and processes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Instances)]
pub struct InstancesView {
    /// The instances.
    pub instances: Vec<InstanceView>,
}

/// An instance of a group, or a process that runs none.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Instance)]
pub struct InstanceView {
    /// Its id: group, gateway, host and process.
    id: String,
    /// Its group; absent for a process that serves all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// What its process does: `serve`, `gateway`, `api`, `mm4rx`, `mm7rx`, `callout`.
    role: String,
    /// `MM4` or `MM7`, where it speaks to a carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    /// Host that it runs on.
    host: String,
    /// Its process.
    pid: u32,
    /// `well`, `unwell` (its carrier does not answer), `draining`, or `gone` (it has not been heard of).
    health: &'static str,
    /// Why it is unwell.
    #[serde(skip_serializing_if = "Option::is_none")]
    health_reason: Option<String>,
    /// Since when it is unwell, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    unwell_since_ts: Option<i64>,
    /// When it started.
    started_ts: i64,
    /// When it last said something of itself.
    updated_ts: i64,
    /// Its heartbeat to the carrier, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat: Option<HeartbeatView>,
    /// Jobs in its hands.
    in_flight: u64,
    /// Messages that the carrier took from it since it started.
    sent: u64,
    /// Hand-overs that it put off.
    deferred: u64,
    /// Messages that it gave up.
    failed: u64,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

/// How the last heartbeat went.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Heartbeat)]
pub struct HeartbeatView {
    /// When it was tried.
    at_ts: i64,
    /// Whether the carrier answered as it should.
    ok: bool,
    /// How many in a row it did not.
    missed: u32,
    /// How long the answer took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
}

impl InstanceView {
    /// The view of one.
    pub fn of(known: &Announced) -> Self {
        let record = known.record.clone();
        let (health, reason, since) = match record.health {
            _ if !known.alive => ("gone", None, None),
            InstanceHealth::Well => ("well", None, None),
            InstanceHealth::Unwell { reason, since } => ("unwell", Some(reason), Some(since)),
            InstanceHealth::Draining => ("draining", None, None),
        };
        Self {
            id: record.id.to_string(),
            group: record.group.as_ref().map(ToString::to_string),
            role: record.role,
            protocol: record.protocol,
            host: record.host,
            pid: record.pid,
            health,
            health_reason: reason,
            unwell_since_ts: since.map(Timestamp::as_secs),
            started_ts: record.started.as_secs(),
            updated_ts: record.updated.as_secs(),
            heartbeat: record.heartbeat.as_ref().map(HeartbeatView::of),
            in_flight: record.in_flight,
            sent: record.sent,
            deferred: record.deferred,
            failed: record.failed,
            last_error: record.last_error,
        }
    }

    /// Its health, where it speaks to a carrier.
    pub(super) fn carrier_health(&self) -> Option<&'static str> {
        self.protocol.as_ref().map(|_| self.health)
    }
}

impl HeartbeatView {
    fn of(heartbeat: &Heartbeat) -> Self {
        let Heartbeat { at, ok, missed, took_ms } = heartbeat.clone();
        Self { at_ts: at.as_secs(), ok, missed, took_ms }
    }
}
