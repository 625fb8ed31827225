//! Status codes of responses and faults (TS 23.140 clause 8.7.8) and the status words of reports.
//!
//! Says what a code means and what a sender may do about it by default; a peer with its own habits is
//! dealt with by its configuration, not here.

use crate::words::words;

/// The outcome of a request: StatusCode, StatusText and Details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// StatusCode as received, also a vendor's own; see [`Status::class`] and [`Status::known`].
    pub code: u16,
    /// StatusText; empty if the peer sent none. Written as the usual text of the code when empty.
    pub text: String,
    /// Details: any content, here its text.
    pub details: Option<String>,
}

impl Status {
    /// A status with the usual text of its code.
    pub fn of(code: u16) -> Self {
        Self { code, text: text(code).to_owned(), details: None }
    }

    /// The code with unknown ones replaced by the first code of their class; outside 1000–4999 that is
    /// 3000.
    pub fn known(&self) -> u16 {
        known(self.code)
    }

    /// Class of the code.
    pub fn class(&self) -> Class {
        class(self.code)
    }

    /// Whether everything that was asked for has been done.
    pub fn is_success(&self) -> bool {
        self.class() == Class::Success
    }

    /// Whether sending again later may help; see [`retryable`].
    pub fn is_retryable(&self) -> bool {
        retryable(self.code)
    }
}

/// Who caused the outcome: the thousands of a status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 1xxx: done, wholly (1000) or partly (1100).
    Success,
    /// 2xxx: the request is wrong.
    Client,
    /// 3xxx: the server failed on a valid request; also codes outside all classes.
    Server,
    /// 4xxx: the service cannot be used.
    Service,
}

/// Class of a code; what lies outside 1000–4999 counts as [`Class::Server`].
pub fn class(code: u16) -> Class {
    match code {
        1000..=1999 => Class::Success,
        2000..=2999 => Class::Client,
        4000..=4999 => Class::Service,
        _ => Class::Server,
    }
}

/// The code itself if the standard has it, else the general code of its class.
pub fn known(code: u16) -> u16 {
    if TABLE.iter().any(|(c, _)| *c == code) {
        return code;
    }
    match class(code) {
        Class::Success => 1000,
        Class::Client => 2000,
        Class::Server => 3000,
        Class::Service => 4000,
    }
}

/// Usual StatusText of a code, of its class if the code is unknown.
pub fn text(code: u16) -> &'static str {
    let known = known(code);
    TABLE.iter().find(|(c, _)| *c == known).map_or("Server Error", |(_, text)| text)
}

/// Default answer to "may it be sent again later?" for a peer of which nothing is known: general errors
/// of server and service, service unavailable, and 3510 (throughput exceeded at Sinch and Skycore).
pub fn retryable(code: u16) -> bool {
    code == 3510 || matches!(known(code), 3000 | 4000 | 4006)
}

/// Every code of the standard (REL-6) with its text. 3003 is worth a retry only after splitting the
/// recipients.
const TABLE: [(u16, &str); 27] = [
    (1000, "Success"),
    (1100, "Partial success"),
    (2000, "Client error"),
    (2001, "Operation restricted"),
    (2002, "Address Error"),
    (2003, "Address Not Found"),
    (2004, "Multimedia content refused"),
    (2005, "Message ID Not found"),
    (2006, "LinkedID not found"),
    (2007, "Message format corrupt"),
    (2008, "Application ID not found"),
    (2009, "Reply Application ID not found"),
    (3000, "Server Error"),
    (3001, "Not Possible"),
    (3002, "Message rejected"),
    (3003, "Multiple addresses not supported"),
    (3004, "Application Addressing not supported"),
    (4000, "General service error"),
    (4001, "Improper identification"),
    (4002, "Unsupported version"),
    (4003, "Unsupported operation"),
    (4004, "Validation error"),
    (4005, "Service error"),
    (4006, "Service unavailable"),
    (4007, "Service denied"),
    (4008, "Application denied"),
    // Not in the standard: Mbuni answers it for a command it does not carry out.
    (3005, "Command Rejected"),
];

words! {
    /// MMStatus of a DeliveryReportReq (TS 23.140 clause 8.7.1.12): what became of the message.
    pub enum MmStatus {
        /// Validity ended before retrieval.
        Expired = "Expired",
        /// The recipient has it.
        Retrieved = "Retrieved",
        /// Refused by the recipient or another relay/server.
        Rejected = "Rejected",
        /// Nobody knows; also the reading of words not listed, see [`MmStatus::or_indeterminate`].
        Indeterminate = "Indeterminate",
        /// Sent on to a network that gives no reports.
        Forwarded = "Forwarded",
        /// Discarded as a DeliveryCondition was not met (REL-6).
        DeliveryConditionNotMet = "DeliveryConditionNotMet",
        /// The recipient's side does not know the message (few peers).
        Unrecognised = "Unrecognised",
        /// Notified, not yet fetched (few peers).
        Deferred = "Deferred",
    }
}

impl MmStatus {
    /// Unknown words as [`MmStatus::Indeterminate`], and the other spelling `Unrecognized` as what it
    /// means.
    pub fn or_indeterminate(&self) -> Self {
        match self {
            Self::Other(word) if word.eq_ignore_ascii_case("unrecognized") => Self::Unrecognised,
            Self::Other(_) => Self::Indeterminate,
            known => known.clone(),
        }
    }
}

words! {
    /// MMStatus of a ReadReplyReq (TS 23.140 clause 8.7.1.14).
    pub enum ReadStatus {
        /// Rendered to the user.
        Read = "Read",
        /// Deleted without being read.
        Deleted = "Deleted",
        /// Nobody knows.
        Indeterminate = "Indeterminate",
    }
}

words! {
    /// MMStatusExtension of a DeliveryReportReq (REL-6): who rejected.
    pub enum MmStatusExtension {
        /// The recipient's own terminal or user.
        RejectionByMmsRecipient = "RejectionByMMSRecipient",
        /// Another relay/server on the way.
        RejectionByOtherRs = "RejectionByOtherRS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_fall_to_their_class() {
        for (code, want) in [
            (1000, 1000),
            (1100, 1100),
            (1999, 1000),
            (2101, 2000),
            (2515, 2000),
            (3520, 3000),
            (4009, 4000),
            (4011, 4000),
            (0, 3000),
            (999, 3000),
            (5000, 3000),
            (u16::MAX, 3000),
            (3005, 3005),
        ] {
            assert_eq!(known(code), want, "{code}");
        }
        assert_eq!(text(4009), "General service error");
        assert_eq!(Status::of(2101).class(), Class::Client);
        assert!(Status::of(1100).is_success());
    }

    #[test]
    fn only_passing_trouble_is_retried() {
        let all: Vec<u16> = TABLE.iter().map(|(c, _)| *c).filter(|c| retryable(*c)).collect();
        assert_eq!(all, [3000, 4000, 4006]);
        assert!(retryable(3510) && retryable(7) && !retryable(2500) && !retryable(1200));
    }

    #[test]
    fn report_words_are_read_loosely_and_unknown_ones_kept() {
        assert_eq!(MmStatus::from("retrieved"), MmStatus::Retrieved);
        assert_eq!(MmStatus::from("delivery condition not met"), MmStatus::DeliveryConditionNotMet);
        let odd = MmStatus::from("Unreachable");
        assert_eq!((odd.as_str(), odd.or_indeterminate()), ("Unreachable", MmStatus::Indeterminate));
        assert_eq!(MmStatus::from("Unrecognized").or_indeterminate(), MmStatus::Unrecognised);
        assert_eq!(ReadStatus::from("READ"), ReadStatus::Read);
        assert_eq!(MmStatusExtension::from("RejectionByOtherRS"), MmStatusExtension::RejectionByOtherRs);
    }
}
