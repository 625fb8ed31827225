//! The states of a message, per number, and the moves between them.
//!
//! Reports arrive in any order and more than once, so a move that would go backwards is not an
//! error: the event is kept and the state stays.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a message is on its way to one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Accepted and queued.
    Scheduled,
    /// Inbound: taken from a carrier.
    Received,
    /// The carrier has the octets.
    Sent,
    /// The carrier accepted the message for further handling.
    Acknowledged,
    /// Handed on to another network.
    Forwarded,
    /// The carrier holds it; the handset is not reachable or not ready.
    Deferred,
    /// The carrier cannot say what became of it.
    Undefined,
    /// On the handset.
    Delivered,
    /// Read by its recipient.
    Read,
    /// Deleted unread by its recipient.
    Deleted,
    /// Refused by the recipient, the carrier or another network.
    Rejected,
    /// Its time was over before it was delivered.
    Expired,
    /// Given up.
    Failed,
    /// Withdrawn by the application.
    Cancelled,
}

impl State {
    /// Every state, in the order of a message's life.
    pub const ALL: [Self; 14] = [
        Self::Scheduled,
        Self::Received,
        Self::Sent,
        Self::Acknowledged,
        Self::Forwarded,
        Self::Deferred,
        Self::Undefined,
        Self::Delivered,
        Self::Read,
        Self::Deleted,
        Self::Rejected,
        Self::Expired,
        Self::Failed,
        Self::Cancelled,
    ];

    /// True where a report about `next` moves the state there from `self`.
    pub fn moves_to(self, next: Self) -> bool {
        match (self, next) {
            // Giving up is our own doubt, and a cancellation can come too late: a carrier that delivered knows better.
            (Self::Failed | Self::Expired | Self::Cancelled, Self::Delivered) => true,
            (Self::Rejected | Self::Expired | Self::Failed | Self::Cancelled, _) => false,
            (Self::Forwarded | Self::Deferred | Self::Undefined, n) if n.rank() == self.rank() => self != n,
            _ => next.rank() > self.rank(),
        }
    }

    /// True while mmsgw still owes the carrier this message.
    pub fn is_unsent(self) -> bool {
        self == Self::Scheduled
    }

    /// True where no further report is awaited, save that the recipient reads it.
    pub fn is_final(self) -> bool {
        self.rank() >= Self::Delivered.rank()
    }

    /// The name in the API, in logs and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Received => "RECEIVED",
            Self::Sent => "SENT",
            Self::Acknowledged => "ACKNOWLEDGED",
            Self::Forwarded => "FORWARDED",
            Self::Deferred => "DEFERRED",
            Self::Undefined => "UNDEFINED",
            Self::Delivered => "DELIVERED",
            Self::Read => "READ",
            Self::Deleted => "DELETED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Scheduled | Self::Received => 0,
            Self::Sent => 1,
            Self::Acknowledged => 2,
            Self::Forwarded | Self::Deferred | Self::Undefined => 3,
            Self::Delivered | Self::Rejected | Self::Expired | Self::Failed | Self::Cancelled => 4,
            Self::Read | Self::Deleted => 5,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One state for a message to several numbers: the least advanced one that still moves, else the
/// best end that any number reached. `None` for an empty list.
pub fn summary(states: impl IntoIterator<Item = State>) -> Option<State> {
    let (moving, ended): (Vec<State>, Vec<State>) = states.into_iter().partition(|s| !s.is_final());
    let good = |s: &State| matches!(s, State::Delivered | State::Read | State::Deleted);
    let best = |s: &State| (good(s), s.rank());
    moving.into_iter().min_by_key(|s| s.rank()).or_else(|| ended.into_iter().max_by_key(best))
}

/// Canonical status codes: what an event's `code` says, whatever the carrier's own word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(u16);

impl Code {
    /// It went well.
    pub const OK: Self = Self(200);
    /// Handed on to another network.
    pub const FORWARDED: Self = Self(202);
    /// The carrier could not read what it was sent.
    pub const MALFORMED: Self = Self(400);
    /// Unknown recipient or unknown message.
    pub const UNKNOWN: Self = Self(404);
    /// Refused.
    pub const REFUSED: Self = Self(406);
    /// Time was over.
    pub const EXPIRED: Self = Self(408);
    /// Held for later.
    pub const DEFERRED: Self = Self(410);
    /// A kind of message or of content that is not supported.
    pub const UNSUPPORTED: Self = Self(415);
    /// Anything else that went wrong.
    pub const UNSPECIFIED: Self = Self(500);

    /// The code's number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The code of that number, where it is a canonical one.
    pub fn from_number(number: u16) -> Option<Self> {
        let known = [
            Self::OK,
            Self::FORWARDED,
            Self::MALFORMED,
            Self::UNKNOWN,
            Self::REFUSED,
            Self::EXPIRED,
            Self::DEFERRED,
            Self::UNSUPPORTED,
            Self::UNSPECIFIED,
        ];
        known.into_iter().find(|code| code.0 == number)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_report_never_moves_a_state_back() {
        assert!(State::Sent.moves_to(State::Acknowledged));
        assert!(State::Scheduled.moves_to(State::Delivered));
        assert!(!State::Delivered.moves_to(State::Acknowledged));
        assert!(!State::Read.moves_to(State::Delivered));
        assert!(State::Delivered.moves_to(State::Read));
        assert!(!State::Rejected.moves_to(State::Sent));
        assert!(State::Failed.moves_to(State::Delivered));
        assert!(State::Cancelled.moves_to(State::Delivered) && !State::Delivered.moves_to(State::Cancelled));
        assert!(State::Deferred.moves_to(State::Forwarded));
        for state in State::ALL {
            assert!(!state.moves_to(state), "{state} to itself is no move");
        }
    }

    #[test]
    fn no_chain_of_moves_is_endless_but_among_waiting_states() {
        let waiting = [State::Forwarded, State::Deferred, State::Undefined];
        for from in State::ALL {
            for to in State::ALL.into_iter().filter(|to| from.moves_to(*to)) {
                assert!(
                    !to.moves_to(from) || (waiting.contains(&from) && waiting.contains(&to)),
                    "{from} {to}"
                );
            }
        }
    }

    #[test]
    fn the_summary_waits_for_the_slowest_and_then_names_the_best_end() {
        assert_eq!(summary([State::Delivered, State::Sent]), Some(State::Sent));
        assert_eq!(summary([State::Failed, State::Delivered]), Some(State::Delivered));
        assert_eq!(summary([State::Failed, State::Failed]), Some(State::Failed));
        assert_eq!(summary([]), None);
    }
}
