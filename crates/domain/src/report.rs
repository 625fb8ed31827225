//! Reports in both directions: what a carrier tells about a message of ours, and what we tell it about
//! one of its messages, in words that fit both protocols.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Address, Code, State, Timestamp};

/// One report of a carrier on a message that we sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierReport {
    /// What kind of report.
    pub kind: ReportKind,
    /// Which message it is about.
    pub about: Correlation,
    /// The numbers it is about; empty means all.
    pub recipients: Vec<Address>,
    /// Numbers to try where none of `recipients` belongs to the message: some peers swap the sides.
    pub other_party: Vec<Address>,
    /// The state it reports.
    pub state: State,
    /// The canonical code.
    pub code: Code,
    /// The carrier's own word or number.
    pub carrier_status: String,
    /// The carrier's sentence.
    pub description: Option<String>,
    /// When it happened, where the carrier says so.
    pub at: Option<Timestamp>,
    /// Where the numbers that it is about stand in the message, for an answer that names none but was
    /// given to a request made for just these.
    pub places: Option<Range<usize>>,
    /// Whether the carrier asks for the message once more; `state` is what it comes to where that has
    /// been tried often enough.
    pub again: bool,
}

/// Kind of a report, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// The message was taken, or not (MM4_forward.RES).
    Acknowledgement,
    /// What became of it (delivery report).
    Delivery,
    /// What its recipient did with it (read reply).
    Read,
}

/// The ids by which a report names our message; at least one is present.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Correlation {
    /// The transaction id we used.
    pub transaction: Option<String>,
    /// The id of the message: ours in MM4, the carrier's in MM7.
    pub message: Option<String>,
}

/// What is to be told to the carrier about a message that it handed to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportOrder {
    /// What kind of report.
    pub kind: ReportKind,
    /// The canonical code.
    pub code: Code,
    /// The protocol's own word, where the application gave one instead of a code.
    pub word: Option<String>,
    /// A sentence for the other side.
    pub description: Option<String>,
    /// The numbers it is about; empty means all.
    pub recipients: Vec<Address>,
}

impl ReportOrder {
    /// "All is well", for all numbers.
    pub fn well(kind: ReportKind) -> Self {
        Self { kind, code: Code::OK, word: None, description: None, recipients: Vec::new() }
    }

    /// The state that the numbers come to when the carrier was told.
    pub fn state(&self) -> State {
        match (self.kind, self.code) {
            (ReportKind::Acknowledgement, Code::OK) => State::Acknowledged,
            (ReportKind::Acknowledgement, _) => State::Rejected,
            (ReportKind::Read, Code::OK) => State::Read,
            (ReportKind::Read, _) => State::Deleted,
            (ReportKind::Delivery, Code::OK) => State::Delivered,
            (ReportKind::Delivery, Code::FORWARDED) => State::Forwarded,
            (ReportKind::Delivery, Code::DEFERRED) => State::Deferred,
            (ReportKind::Delivery, Code::EXPIRED) => State::Expired,
            (ReportKind::Delivery, Code::REFUSED | Code::UNSUPPORTED | Code::MALFORMED) => State::Rejected,
            (ReportKind::Delivery, Code::UNKNOWN) => State::Failed,
            (ReportKind::Delivery, _) => State::Undefined,
        }
    }
}

/// A request of a carrier that wants an answer of its own (MM4: a .RES mail), as it is to be echoed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerTo {
    /// What the carrier asked.
    pub kind: ReportKind,
    /// Where the answer goes.
    pub address: String,
    /// The carrier's transaction id, to the letter.
    pub transaction: String,
    /// The id of the message, to the letter.
    pub message: Option<String>,
}
