//! How work stands, as people and programs look at it: queues, groups, bulk orders.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Address, Announced, BatchId, GroupName, GroupSettings, Queue, State, TemplateId, Timestamp};

/// What a queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStatus {
    /// The queue.
    pub queue: Queue,
    /// Jobs that wait, due or not.
    pub waiting: u64,
    /// Jobs in a worker's hands.
    pub leased: u64,
    /// Jobs that were given up.
    pub dead: u64,
    /// Due time of the first waiting job.
    pub oldest: Option<Timestamp>,
    /// Why it hands nothing out, where a person stopped it.
    pub paused: Option<Pause>,
    /// Until when it is held back, where that is still to come.
    pub held_until: Option<Timestamp>,
}

/// A queue hands nothing out until a person lifts this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// When.
    pub since: Timestamp,
}

/// How a group is.
#[derive(Debug, Clone)]
pub struct GroupStatus {
    /// Its name.
    pub name: GroupName,
    /// Its settings, where this process knows it.
    pub settings: Option<GroupSettings>,
    /// What this process did for it.
    pub counts: Option<GroupCounts>,
    /// Its queues, as far as they hold something, by name.
    pub queues: Vec<QueueStatus>,
    /// Its instances, in all processes.
    pub instances: Vec<Announced>,
}

/// What a group did since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Messages accepted from applications.
    pub accepted: u64,
    /// Hand-overs that the carrier took.
    pub sent: u64,
    /// Hand-overs put off.
    pub deferred: u64,
    /// Hand-overs given up.
    pub failed: u64,
    /// Reports and messages taken from the carrier.
    pub received: u64,
    /// Callbacks that the application took.
    pub callbacks: u64,
    /// Callbacks put off or given up.
    pub callbacks_failed: u64,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkState {
    /// Lines are still to come.
    Receiving,
    /// All lines came.
    Complete,
    /// It was withdrawn.
    Cancelled,
}

/// What is known of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkStatus {
    /// Its id.
    pub id: BatchId,
    /// The group that carries it.
    pub group: GroupName,
    /// The template.
    pub template: TemplateId,
    /// Where its messages come from, unless a line says otherwise.
    pub origin: Address,
    /// How far it is.
    pub state: BulkState,
    /// Lines that came.
    pub received: u64,
    /// Lines that became messages.
    pub accepted: u64,
    /// Lines that were refused.
    pub refused: u64,
    /// Messages by state.
    pub counts: BTreeMap<String, u64>,
    /// When it began.
    pub created: Timestamp,
}

impl BulkStatus {
    /// How far it is, in a word: `receiving`, `complete`, `cancelling` while withdrawn messages wait for their turn to end,
    /// `cancelled`.
    pub fn word(&self) -> &'static str {
        let waiting = self.counts.contains_key(State::Scheduled.name());
        match self.state {
            BulkState::Receiving => "receiving",
            BulkState::Complete => "complete",
            BulkState::Cancelled if waiting => "cancelling",
            BulkState::Cancelled => "cancelled",
        }
    }
}
