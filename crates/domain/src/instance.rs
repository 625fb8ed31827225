//! A running instance of a gateway group, as it tells others of itself.

use serde::{Deserialize, Serialize};

use crate::{GroupName, InstanceId, Timestamp};

/// What an instance says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// The instance.
    pub id: InstanceId,
    /// What its process does: `serve`, `gateway`, `api`, `mm4rx`, `callout`.
    pub role: String,
    /// Its group; `None` for a process that serves all of them.
    pub group: Option<GroupName>,
    /// The carrier's protocol.
    pub protocol: Option<String>,
    /// Host that it runs on.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started: Timestamp,
    /// When it said this.
    pub updated: Timestamp,
    /// Whether it takes jobs.
    pub health: InstanceHealth,
    /// Its heartbeat to the carrier.
    pub heartbeat: Option<Heartbeat>,
    /// Jobs in its hands.
    pub in_flight: u64,
    /// Messages that the carrier took from it since it started.
    pub sent: u64,
    /// Hand-overs that it had to put off.
    pub deferred: u64,
    /// Messages that it gave up.
    pub failed: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// An instance as the registry knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Announced {
    /// What it said of itself.
    pub record: InstanceRecord,
    /// False where it did not renew that in time: it has died, or cannot reach the store.
    pub alive: bool,
}

/// Whether an instance takes jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum InstanceHealth {
    /// It does.
    Well,
    /// It does not: its carrier does not answer.
    Unwell {
        /// Why.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
    /// It does not take new ones and finishes those in hand.
    Draining,
}

/// How an instance's heartbeats to its carrier went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// When the last one was tried.
    pub at: Timestamp,
    /// Whether the carrier answered as it should.
    pub ok: bool,
    /// How many in a row it did not.
    pub missed: u32,
    /// How long the last answer took, in milliseconds.
    pub took_ms: Option<u64>,
}
