//! Why a door of the engine says no, by what the application can do about it.

use std::time::Duration;

use mmsgw_domain::GroupName;
use mmsgw_store::StoreError;

use crate::fit::Unfit;
use crate::gateway::FetchError;

/// Why something was refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing, or its time is over.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// A field does not hold what it must.
    #[error("{why}")]
    Invalid {
        /// Which field.
        field: Field,
        /// Why, for people.
        why: String,
    },
    /// The template has variables for which there is no value.
    #[error("no value is given for {}, and the template has no default", .0.join(", "))]
    MissingVariables(Vec<String>),
    /// The carrier does not take the content.
    #[error("{unfit}")]
    Unfit {
        /// The part of that index in the request, where it is about one.
        part: Option<usize>,
        /// Why.
        unfit: Unfit,
    },
    /// No gateway group is named and none is the default.
    #[error("no gateway is named, and no default gateway is configured")]
    NoGroup,
    /// The named gateway group is not configured.
    #[error("there is no gateway group `{0}`")]
    UnknownGroup(GroupName),
    /// Neither a destination nor a copy.
    #[error("a message needs at least one number in destination, cc or bcc")]
    NoRecipient,
    /// Somebody else changed it at the same time.
    #[error("changed by another request at the same time; read it and try again")]
    Conflict,
    /// The idempotency key belongs to another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// The same request, by its idempotency key, is being carried out.
    #[error("a request with this Idempotency-Key is being carried out")]
    StillRunning {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The message has come to an end for all its numbers.
    #[error("nothing of this message can be changed any more: all of it has come to an end")]
    TooLate,
    /// The carrier has the message, and its protocol knows no way to change that.
    #[error("the carrier has this message, and its protocol has no request to take it back or replace it")]
    NotAmendable,
    /// The message is being handed to the carrier.
    #[error("the message is being handed to the carrier at this moment")]
    BeingSent {
        /// When to try again.
        retry_after: Duration,
    },
    /// The bulk order was withdrawn.
    #[error("the batch was cancelled; start another one")]
    BulkCancelled,
    /// Too much waits already.
    #[error("too many messages wait for this gateway; try again later")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store cannot do it now.
    #[error(transparent)]
    Store(StoreError),
}

/// The field that a [`Refusal`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The list of parts.
    Parts,
    /// The part of that index in the request.
    Part(usize),
    /// The content URL of the part of that index.
    PartUrl(usize),
    /// The subject.
    Subject,
    /// The variables taken together.
    Variables,
    /// The recipients taken together.
    Recipients,
    /// `earliest_delivery`.
    EarliestDelivery,
    /// `latest_delivery`.
    LatestDelivery,
    /// `gateway`.
    Gateway,
    /// `message`.
    Message,
    /// `peer_ref`.
    PeerRef,
    /// `applies_to`.
    AppliesTo,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => Self::Conflict,
            other => Self::Store(other),
        }
    }
}

impl Refusal {
    pub(crate) fn invalid(field: Field, why: impl Into<String>) -> Self {
        Self::Invalid { field, why: why.into() }
    }

    pub(crate) fn url(index: usize, error: &FetchError) -> Self {
        Self::invalid(Field::PartUrl(index), error.to_string())
    }
}
