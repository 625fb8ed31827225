//! What can go wrong in a client's session: the session itself, or a mail before it is begun. Refusals of a mail are no
//! errors; they are its outcome.

use thiserror::Error;

use super::MAX_RECIPIENTS;
use crate::reply::{Reply, ReplyError};
use crate::stage::Stage;
use crate::text::TextError;

/// Why a session cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The server refuses the session: greeting, EHLO, STARTTLS, AUTH.
    #[error("refused at {stage:?}: {reply}")]
    Refused {
        /// What was refused.
        stage: Stage,
        /// In which words.
        reply: Reply,
    },
    /// A reply whose kind makes no sense here.
    #[error("unexpected reply at {stage:?}: {reply}")]
    Unexpected {
        /// What we waited for.
        stage: Stage,
        /// What came.
        reply: Reply,
    },
    /// Octets that are no reply.
    #[error("{source} at {stage:?}")]
    Garbage {
        /// What we waited for.
        stage: Stage,
        /// What is wrong.
        source: ReplyError,
    },
    /// Octets that nobody asked for: replies would be taken for those of other commands.
    #[error("octets without a question")]
    OutOfStep,
    /// Octets between STARTTLS and the handshake: somebody puts words into the server's mouth.
    #[error("octets in clear behind STARTTLS")]
    Injected,
    /// STARTTLS is required and not offered.
    #[error("STARTTLS is not offered")]
    TlsNotOffered,
    /// Neither PLAIN nor LOGIN is offered.
    #[error("no AUTH mechanism in common")]
    AuthNotOffered,
    /// A password would go in clear.
    #[error("AUTH needs an encrypted connection")]
    AuthInClear,
    /// The server closed the connection while we waited for this.
    #[error("connection closed at {stage:?}")]
    PeerClosed {
        /// What we waited for.
        stage: Stage,
    },
}

/// Why a mail cannot be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// The last step was not [`Step::Ready`].
    #[error("the session is not ready")]
    NotReady,
    /// Nobody to send to.
    #[error("no recipient")]
    NoRecipient,
    /// More than [`MAX_RECIPIENTS`].
    #[error("more than {MAX_RECIPIENTS} recipients")]
    TooManyRecipients,
    /// An address that cannot stand in a command; recipients count from 0, `None` is the sender.
    #[error("{source}, recipient {recipient:?}")]
    Address {
        /// Whose address.
        recipient: Option<usize>,
        /// What is wrong.
        source: TextError,
    },
    /// Larger than the server said it takes (RFC 1870).
    #[error("larger than the server's limit of {limit} octets")]
    TooLarge {
        /// The server's limit in octets.
        limit: u64,
    },
    /// Eight bits are wanted, 8BITMIME is not offered.
    #[error("8BITMIME is not offered")]
    EightBitNotOffered,
    /// UTF-8 addresses are wanted, SMTPUTF8 is not offered.
    #[error("SMTPUTF8 is not offered")]
    Utf8NotOffered,
}
