//! What a carrier tells about a message of ours, in words that fit both protocols.

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
}

/// Kind of a [`CarrierReport`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// The carrier took the message, or did not (MM4_forward.RES).
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
