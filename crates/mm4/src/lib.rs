//! MM4 (3GPP TS 23.140 clause 8.4): the PDUs between two MMS relay/servers, read from and written
//! as Internet mails.
//!
//! Rung 0 of the ladder: no I/O, no clock. A mail is one PDU; the answer, if one was asked for, is
//! another mail the other way. What a header means for a message, whom to answer and how often to
//! try again is decided elsewhere.
//!
//! | to do | see |
//! |---|---|
//! | read a mail | [`read::read`] |
//! | write a message | [`ForwardReq::write_head`](pdu::ForwardReq::write_head), the body is a [`mmsgw_mime::write::Entity`] |
//! | write a report or an answer | [`DeliveryReportReq::write`](pdu::DeliveryReportReq::write), [`ReadReplyReportReq::write`](pdu::ReadReplyReportReq::write), [`Res::write`](pdu::Res::write) |
//! | answer a request, even a broken one | [`Echo::res`](pdu::Echo::res) |

pub mod address;
pub mod date;
pub mod field;
pub mod id;
pub mod pdu;
pub mod read;
pub mod status;
pub mod write;

pub use address::{AddressKind, AddressStyle, Mm4Address};
pub use date::Expiry;
pub use field::{ContentClass, MessageClass, Priority, Version, Visibility, Word};
pub use id::{Id, IdStyle};
pub use pdu::{
    ApplicIds, DeliveryReportReq, DeliveryReportRes, Echo, ForwardReq, ForwardRes, Head, Kind, Pdu,
    PreviouslySent, ReadReplyReportReq, ReadReplyReportRes, Report, Res, ResKind, Routing, Wishes,
};
pub use read::{ReadError, Reason, Received, read};
pub use status::{MmStatus, MmStatusExtension, ReadStatus, RequestStatus};
pub use write::{WriteError, WriteOptions};
