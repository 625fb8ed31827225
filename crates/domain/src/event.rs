//! What happened to a message.

use serde::{Deserialize, Serialize};

use crate::{Address, Code, InstanceId, State, Timestamp};

/// One thing that happened to a message, kept with it and told to the application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts the events of one message from 1, so that a receiver can drop stale ones.
    pub sequence: u32,
    /// The state that this event reports.
    pub state: State,
    /// The canonical code.
    pub code: Code,
    /// A sentence for people.
    pub description: String,
    /// The carrier's own word or number, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier_status: Option<String>,
    /// What the carrier said besides, as text (MM7 Details).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// When it happened: the carrier's time where a report states one, else ours.
    pub at: Timestamp,
    /// The instance that saw it; none for what happened before an instance took the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The numbers concerned; empty means all of the message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<Address>,
}
