//! Small records that belong to no message: answers kept for their repetition, bulk orders, what is known of
//! an endpoint. And tallies, which are counted up inside a batch.

use bytes::Bytes;
use mmsgw_domain::{GroupName, Timestamp};

/// Names a [`Record`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// The group whose work it is about, so that a store that spreads groups over servers keeps it beside their
    /// jobs; `None` where it is about none or where that is not known when it is looked for.
    pub group: Option<GroupName>,
    /// What it is.
    pub kind: RecordKind,
    /// Whose it is; records are listed by owner.
    pub owner: String,
    /// Which one of its owner's; ids sort by their octets.
    pub id: String,
}

/// What a [`Record`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// The answer to a request that carried an `Idempotency-Key`.
    Idempotency,
    /// A bulk order.
    Bulk,
    /// A line of a bulk order that was refused.
    RefusedLine,
    /// What is known of an application's endpoint for callbacks.
    Endpoint,
    /// An API key that administration made.
    Key,
}

impl RecordKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Idempotency, Self::Bulk, Self::RefusedLine, Self::Endpoint, Self::Key];

    /// The name in stores.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idempotency => "idem",
            Self::Bulk => "bulk",
            Self::RefusedLine => "line",
            Self::Endpoint => "endpoint",
            Self::Key => "key",
        }
    }
}

/// A small record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub key: RecordKey,
    /// Counts changes, from 1.
    pub version: u64,
    /// What it says; its form is its writer's.
    pub value: Bytes,
    /// When it may be forgotten.
    pub until: Timestamp,
}

/// Names a tally: a set of counters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TallyKey {
    /// As [`RecordKey::group`].
    pub group: Option<GroupName>,
    /// Whose it is.
    pub owner: String,
}
