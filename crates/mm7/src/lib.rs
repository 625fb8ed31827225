//! MM7 (3GPP TS 23.140 clause 8.7): the PDUs between an MMS relay/server and a value added service
//! provider, as SOAP 1.1 with attachments.
//!
//! Reading forgives what peers were seen to do; writing follows the schema to the letter. No I/O, no
//! async, no clock.
//!
//! A tour: [`Message`] holds a [`Pdu`]; [`write_envelope`] turns it into XML and [`package()`] adds
//! content for an HTTP body; [`read_request`] and [`read_response`] go the other way; [`write_fault`]
//! answers what could not be read. [`status`] says what codes mean, [`Namespace`] which release a
//! message speaks.

mod address;
mod attachment;
mod cancel;
mod charset;
mod deliver;
mod element;
mod emit;
mod faults;
mod limits;
mod package;
mod pdu;
mod read;
mod report;
mod soap;
pub mod status;
mod submit;
pub mod version;
mod when;
mod words;
mod write;
mod xml;

pub use address::{Address, AddressKind, Recipients};
pub use cancel::{CancelReq, ExtendedCancelReq, ExtendedReplaceReq, ExtendedReplaceRsp, ReplaceReq};
pub use charset::Charset;
pub use deliver::{DeliverReq, DeliverRsp, PreviousDate, PreviousSender};
pub use element::{Application, ContentReference, ReplyCharging, SenderIdentification, UaCapabilities};
pub use faults::{ErrorSide, Fault, FaultCode, FaultKind, write_fault};
pub use limits::Limits;
pub use package::{Packaged, package, package_flat};
pub use pdu::{Message, Pdu};
pub use read::{Context, ReadError, ReadErrorKind, Request, Response, read_request, read_response};
pub use report::{DeliveryReportReq, ReadReplyReq};
pub use status::{MmStatus, MmStatusExtension, ReadStatus, Status};
pub use submit::{SubmitReq, SubmitRsp};
pub use version::{Namespace, Release};
pub use when::{Interval, When, parse_date};
pub use words::{AddressCoding, ChargedParty, ContentClass, MessageClass, Priority};
pub use write::{Prefixes, WriteError, WriteOptions, write_envelope};
pub use xml::XmlError;
