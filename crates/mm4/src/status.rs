//! Status words of answers and reports (TS 23.140 clauses 8.4.4.2 to 8.4.4.6).

use crate::field::Word;

/// `X-Mms-Request-Status-Code` of the three `.RES` (TS 23.140 clause 8.4.4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestStatus {
    /// Accepted.
    Ok,
    /// Anything the other words do not say.
    ErrorUnspecified,
    /// Policy, barring, an unknown peer.
    ErrorServiceDenied,
    /// Headers or body cannot be read.
    ErrorMessageFormatCorrupt,
    /// The recipient is not known here.
    ErrorSendingAddressUnresolved,
    /// A report names a message nobody knows.
    ErrorMessageNotFound,
    /// A passing failure or overload.
    ErrorNetworkProblem,
    /// Size, type or content refused.
    ErrorContentNotAccepted,
    /// A PDU or version that is not known.
    ErrorUnsupportedMessage,
    /// A word from elsewhere: the `Error-transient-*` and `Error-permanent-*` of MM1, or a peer's own.
    Other {
        /// The word as it came.
        word: String,
        /// Whether it says of itself that trying again makes sense.
        transient: bool,
    },
}

impl RequestStatus {
    /// Whether the request was accepted. The bare number `0` that one test client sends is
    /// [`Other`](Self::Other), for a peer's setting to judge.
    pub fn is_ok(&self) -> bool {
        *self == Self::Ok
    }

    /// Whether the word itself says that the same request may succeed later. `Error-unspecified`
    /// says nothing and is not transient here.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::ErrorNetworkProblem | Self::Other { transient: true, .. })
    }
}

impl Word for RequestStatus {
    const KNOWN: &'static [(Self, &'static str)] = &[
        (Self::Ok, "Ok"),
        (Self::ErrorUnspecified, "Error-unspecified"),
        (Self::ErrorServiceDenied, "Error-service-denied"),
        (Self::ErrorMessageFormatCorrupt, "Error-message-format-corrupt"),
        (Self::ErrorSendingAddressUnresolved, "Error-sending-address-unresolved"),
        (Self::ErrorMessageNotFound, "Error-message-not-found"),
        (Self::ErrorNetworkProblem, "Error-network-problem"),
        (Self::ErrorContentNotAccepted, "Error-content-not-accepted"),
        (Self::ErrorUnsupportedMessage, "Error-unsupported-message"),
    ];

    fn other(word: &str) -> Self {
        let transient = word.to_ascii_lowercase().starts_with("error-transient");
        Self::Other { word: word.to_owned(), transient }
    }

    fn other_word(&self) -> Option<&str> {
        match self {
            Self::Other { word, .. } => Some(word),
            _ => None,
        }
    }
}

/// `X-Mms-MM-Status-Code` of a delivery report (TS 23.140 clause 8.4.4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MmStatus {
    /// Ran out before it was retrieved.
    Expired,
    /// The recipient has it.
    Retrieved,
    /// The recipient, or its relay/server, refused it.
    Rejected,
    /// The recipient put it off; more will follow.
    Deferred,
    /// The terminal could not make sense of it. Also read as `Unrecognized`.
    Unrecognised,
    /// What became of it cannot be known.
    Indeterminate,
    /// The recipient sent it on without retrieving it.
    Forwarded,
    /// A word that is not known.
    Other(String),
}

impl MmStatus {
    /// Whether no further report will follow. A word that is not known is not taken for final.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Deferred | Self::Other(_))
    }
}

impl Word for MmStatus {
    const KNOWN: &'static [(Self, &'static str)] = &[
        (Self::Expired, "Expired"),
        (Self::Retrieved, "Retrieved"),
        (Self::Rejected, "Rejected"),
        (Self::Deferred, "Deferred"),
        (Self::Unrecognised, "Unrecognised"),
        (Self::Unrecognised, "Unrecognized"),
        (Self::Indeterminate, "Indeterminate"),
        (Self::Forwarded, "Forwarded"),
    ];

    fn other(word: &str) -> Self {
        Self::Other(word.to_owned())
    }

    fn other_word(&self) -> Option<&str> {
        match self {
            Self::Other(word) => Some(word),
            _ => None,
        }
    }
}

/// `X-Mms-MM-Status-Extension`, which says who rejected (TS 23.140 clause 8.4.4.3, with `Rejected`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MmStatusExtension {
    /// The recipient.
    RejectionByMmsRecipient,
    /// Another relay/server.
    RejectionByOtherRs,
    /// A word that is not known.
    Other(String),
}

impl Word for MmStatusExtension {
    const KNOWN: &'static [(Self, &'static str)] = &[
        (Self::RejectionByMmsRecipient, "Rejection-By-MMS-Recipient"),
        (Self::RejectionByOtherRs, "Rejection-by-Other-RS"),
    ];

    fn other(word: &str) -> Self {
        Self::Other(word.to_owned())
    }

    fn other_word(&self) -> Option<&str> {
        match self {
            Self::Other(word) => Some(word),
            _ => None,
        }
    }
}

/// `X-Mms-Read-Status` of a read reply report (TS 23.140 clause 8.4.4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadStatus {
    /// The recipient looked at it.
    Read,
    /// The recipient threw it away unseen.
    DeletedWithoutBeingRead,
    /// A word that is not known.
    Other(String),
}

impl Word for ReadStatus {
    const KNOWN: &'static [(Self, &'static str)] =
        &[(Self::Read, "Read"), (Self::DeletedWithoutBeingRead, "Deleted without being read")];

    fn other(word: &str) -> Self {
        Self::Other(word.to_owned())
    }

    fn other_word(&self) -> Option<&str> {
        match self {
            Self::Other(word) => Some(word),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_any_case() {
        assert_eq!(RequestStatus::read(" OK "), RequestStatus::Ok);
        assert_eq!(RequestStatus::read("error-NETWORK-problem"), RequestStatus::ErrorNetworkProblem);
        assert_eq!(MmStatus::read("unrecognized"), MmStatus::Unrecognised);
        assert_eq!(MmStatus::Unrecognised.as_str(), "Unrecognised");
        assert_eq!(ReadStatus::read("DELETED  without being read"), ReadStatus::DeletedWithoutBeingRead);
        assert_eq!(ReadStatus::DeletedWithoutBeingRead.as_str(), "Deleted without being read");
    }

    #[test]
    fn words_of_others_are_kept() {
        let later = RequestStatus::read("Error-Transient-failure");
        assert!(later.is_transient() && later.as_str() == "Error-Transient-failure");
        assert!(!RequestStatus::read("Error-permanent-failure").is_transient());
        assert!(!RequestStatus::read("0").is_ok());
        assert!(RequestStatus::ErrorNetworkProblem.is_transient());
        assert!(!MmStatus::read("Pondering").is_final() && !MmStatus::Deferred.is_final());
        assert!(MmStatus::Indeterminate.is_final());
    }
}
