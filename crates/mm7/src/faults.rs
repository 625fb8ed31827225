//! SOAP Faults of MM7 (TS 23.140 clause 8.7.3; SOAP 1.1 clause 4.4): what is wrong with a request, as an
//! answer.
//!
//! Says which fault code, status and HTTP status each kind of trouble gets; whether a peer wants all
//! faults with HTTP 200 is its configuration, not decided here.

use crate::pdu::{Message, Pdu};
use crate::read::{Context, ReadError, ReadErrorKind};
use crate::status::Status;
use crate::words::words;
use crate::write::{WriteOptions, write_envelope};
use crate::xml;

/// A Fault with the error response in its detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `faultcode`, without prefix.
    pub code: FaultCode,
    /// `faultstring`.
    pub text: String,
    /// Whose error response is inside; [`ErrorSide::RelayServer`] if none was.
    pub side: ErrorSide,
    /// Status of the error response. Where the peer sent none it is made from the fault: a number at the
    /// start of faultstring, else 2000, 3000 or 4002 by faultcode.
    pub status: Status,
}

words! {
    /// faultcode of SOAP 1.1 clause 4.4.1.
    pub enum FaultCode {
        /// The request is wrong.
        Client = "Client",
        /// The server is in trouble.
        Server = "Server",
        /// Not a SOAP 1.1 envelope.
        VersionMismatch = "VersionMismatch",
        /// A header block is not understood.
        MustUnderstand = "MustUnderstand",
    }
}

/// Who answers with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorSide {
    /// The relay/server: `RSErrorRsp`.
    RelayServer,
    /// The value added service provider: `VASPErrorRsp`.
    Vasp,
}

impl ErrorSide {
    /// Name of the element in the detail.
    pub fn element(self) -> &'static str {
        match self {
            Self::RelayServer => "RSErrorRsp",
            Self::Vasp => "VASPErrorRsp",
        }
    }
}

/// What a request is refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Not XML, no envelope, or a mandatory element missing.
    Malformed,
    /// The envelope is of another SOAP version.
    WrongEnvelope,
    /// A header block with mustUnderstand that is not understood.
    MustUnderstand,
    /// A body entry that is no operation, or one not offered.
    UnknownOperation,
    /// MM7Version or namespace not accepted.
    UnsupportedVersion,
    /// VASPID or relay/server not known.
    Unidentified,
    /// HTTP Basic credentials missing or wrong.
    Unauthorized,
    /// No room now; come back later.
    Overloaded,
    /// Trouble of our own.
    Internal,
    /// Refused on its merits (address, content) where a peer wants a Fault instead of the ordinary
    /// response.
    Refused,
}

impl FaultKind {
    /// faultcode.
    pub fn code(self) -> FaultCode {
        match self {
            Self::WrongEnvelope => FaultCode::VersionMismatch,
            Self::MustUnderstand => FaultCode::MustUnderstand,
            Self::Overloaded | Self::Internal => FaultCode::Server,
            _ => FaultCode::Client,
        }
    }

    /// StatusCode when the caller has no better one.
    pub fn status_code(self) -> u16 {
        match self {
            Self::Malformed | Self::MustUnderstand => 2007,
            Self::WrongEnvelope | Self::UnsupportedVersion => 4002,
            Self::UnknownOperation => 4003,
            Self::Unidentified | Self::Unauthorized => 4001,
            Self::Overloaded => 4006,
            Self::Internal => 3000,
            Self::Refused => 2000,
        }
    }

    /// HTTP status: 500 for faults (SOAP 1.1 clause 6.2) but for those that HTTP has a word for.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Overloaded => 503,
            Self::Refused => 200,
            _ => 500,
        }
    }
}

impl ReadError {
    /// The fault that answers a request which could not be read.
    pub fn fault_kind(&self) -> FaultKind {
        match &self.kind {
            ReadErrorKind::WrongEnvelope { .. } => FaultKind::WrongEnvelope,
            ReadErrorKind::MustUnderstand { .. } => FaultKind::MustUnderstand,
            ReadErrorKind::UnknownOperation { .. } | ReadErrorKind::Unexpected { .. } => {
                FaultKind::UnknownOperation
            }
            ReadErrorKind::UnknownNamespace { .. } => FaultKind::UnsupportedVersion,
            ReadErrorKind::Empty
            | ReadErrorKind::NotXml { .. }
            | ReadErrorKind::Xml(_)
            | ReadErrorKind::NotSoap { .. }
            | ReadErrorKind::MissingTransactionId
            | ReadErrorKind::Missing { .. }
            | ReadErrorKind::Mime(_) => FaultKind::Malformed,
        }
    }
}

/// Writes the Fault that answers a request, in its namespace and version and with its TransactionID.
/// `status` replaces the usual one of the kind. The HTTP status to send with it is
/// [`FaultKind::http_status`].
///
/// Never fails: characters that XML cannot carry are dropped, status code 0 is written as that of the kind.
pub fn write_fault(kind: FaultKind, status: Option<Status>, context: &Context, side: ErrorSide) -> Vec<u8> {
    let mut status = status.unwrap_or_else(|| Status::of(kind.status_code()));
    if status.code == 0 {
        status.code = kind.status_code();
    }
    status.text = clean(&status.text);
    status.details = status.details.as_deref().map(clean);
    let code = kind.code();
    let text = if code == FaultCode::Server { "Server error" } else { "Client error" }.to_owned();
    let namespace = context.namespace.clone().unwrap_or_default();
    let message = Message {
        transaction_id: clean(context.transaction_id.as_deref().unwrap_or_default()),
        version: clean(context.version.as_deref().unwrap_or_default()),
        namespace,
        pdu: Pdu::Fault(Fault { code, text, side, status }),
    };
    // Only a namespace with characters that no XML document can hold fails; it did not come from one.
    let in_default = |_| {
        let message = Message { namespace: crate::Namespace::default(), ..message.clone() };
        write_envelope(&message, &WriteOptions::default())
    };
    write_envelope(&message, &WriteOptions::default())
        .or_else(in_default)
        .expect("every value was cleaned and the code is not 0")
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| xml::is_legal(*c)).collect()
}
