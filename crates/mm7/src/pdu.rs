//! The PDUs of MM7 and the message around one (TS 23.140 clause 8.7.1).
//!
//! Answers for which operations there are, their names and which response belongs to which request. The
//! elements of each are in `submit`, `deliver`, `report` and `cancel`.

use crate::cancel::{CancelReq, ExtendedCancelReq, ExtendedReplaceReq, ExtendedReplaceRsp, ReplaceReq};
use crate::deliver::{DeliverReq, DeliverRsp};
use crate::emit::Out;
use crate::faults::Fault;
use crate::report::{DeliveryReportReq, ReadReplyReq};
use crate::status::Status;
use crate::submit::{SubmitReq, SubmitRsp};
use crate::version::Namespace;
use crate::write::WriteError;
use crate::xml::Element;

/// One MM7 message: the header block, the version and a PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `TransactionID` of the SOAP header: ties a response to its request, unique per sender.
    pub transaction_id: String,
    /// Namespace of the PDU.
    pub namespace: Namespace,
    /// `MM7Version`; empty if the peer sent none, and then written as is usual with the namespace.
    pub version: String,
    /// The PDU.
    pub pdu: Pdu,
}

impl Message {
    /// A message in a namespace with its usual version.
    pub fn new(transaction_id: impl Into<String>, namespace: Namespace, pdu: Pdu) -> Self {
        let version = namespace.usual_version().to_owned();
        Self { transaction_id: transaction_id.into(), namespace, version, pdu }
    }

    /// A message that answers this one: same transaction, namespace and version.
    pub fn answer(&self, pdu: Pdu) -> Self {
        Self {
            pdu,
            transaction_id: self.transaction_id.clone(),
            namespace: self.namespace.clone(),
            version: self.version.clone(),
        }
    }
}

/// A request, a response or a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pdu {
    /// `SubmitReq`: provider to relay/server.
    SubmitReq(Box<SubmitReq>),
    /// `SubmitRsp`.
    SubmitRsp(SubmitRsp),
    /// `DeliverReq`: relay/server to provider.
    DeliverReq(Box<DeliverReq>),
    /// `DeliverRsp`.
    DeliverRsp(DeliverRsp),
    /// `DeliveryReportReq`: relay/server to provider.
    DeliveryReportReq(Box<DeliveryReportReq>),
    /// `DeliveryReportRsp`.
    DeliveryReportRsp(Status),
    /// `ReadReplyReq`: relay/server to provider.
    ReadReplyReq(Box<ReadReplyReq>),
    /// `ReadReplyRsp`.
    ReadReplyRsp(Status),
    /// `CancelReq`: provider to relay/server.
    CancelReq(Box<CancelReq>),
    /// `CancelRsp`.
    CancelRsp(Status),
    /// `ReplaceReq`: provider to relay/server.
    ReplaceReq(Box<ReplaceReq>),
    /// `ReplaceRsp`.
    ReplaceRsp(Status),
    /// `extendedCancelReq` (REL-6): provider to relay/server.
    ExtendedCancelReq(Box<ExtendedCancelReq>),
    /// `extendedCancelRsp` (REL-6); only the code of the status is written.
    ExtendedCancelRsp(Status),
    /// `extendedReplaceReq` (REL-6): provider to relay/server.
    ExtendedReplaceReq(Box<ExtendedReplaceReq>),
    /// `extendedReplaceRsp` (REL-6).
    ExtendedReplaceRsp(ExtendedReplaceRsp),
    /// A SOAP Fault with `RSErrorRsp` or `VASPErrorRsp`.
    Fault(Fault),
}

impl Pdu {
    /// Name of the element; `Fault` for a fault.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SubmitReq(_) => "SubmitReq",
            Self::SubmitRsp(_) => "SubmitRsp",
            Self::DeliverReq(_) => "DeliverReq",
            Self::DeliverRsp(_) => "DeliverRsp",
            Self::DeliveryReportReq(_) => "DeliveryReportReq",
            Self::DeliveryReportRsp(_) => "DeliveryReportRsp",
            Self::ReadReplyReq(_) => "ReadReplyReq",
            Self::ReadReplyRsp(_) => "ReadReplyRsp",
            Self::CancelReq(_) => "CancelReq",
            Self::CancelRsp(_) => "CancelRsp",
            Self::ReplaceReq(_) => "ReplaceReq",
            Self::ReplaceRsp(_) => "ReplaceRsp",
            Self::ExtendedCancelReq(_) => "extendedCancelReq",
            Self::ExtendedCancelRsp(_) => "extendedCancelRsp",
            Self::ExtendedReplaceReq(_) => "extendedReplaceReq",
            Self::ExtendedReplaceRsp(_) => "extendedReplaceRsp",
            Self::Fault(_) => "Fault",
        }
    }

    /// Whether it asks for something.
    pub fn is_request(&self) -> bool {
        self.status().is_none()
    }

    /// Whether Release 5 lacks it.
    pub fn is_rel6(&self) -> bool {
        self.name().starts_with("extended")
    }

    /// Status of a response or fault; none for requests.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::SubmitRsp(response) => Some(&response.status),
            Self::DeliverRsp(response) => Some(&response.status),
            Self::ExtendedReplaceRsp(response) => Some(&response.status),
            Self::Fault(fault) => Some(&fault.status),
            Self::DeliveryReportRsp(status)
            | Self::ReadReplyRsp(status)
            | Self::CancelRsp(status)
            | Self::ReplaceRsp(status)
            | Self::ExtendedCancelRsp(status) => Some(status),
            Self::SubmitReq(_)
            | Self::DeliverReq(_)
            | Self::DeliveryReportReq(_)
            | Self::ReadReplyReq(_)
            | Self::CancelReq(_)
            | Self::ReplaceReq(_)
            | Self::ExtendedCancelReq(_)
            | Self::ExtendedReplaceReq(_) => None,
        }
    }

    /// MessageID of a response that carries one.
    pub fn message_id(&self) -> Option<&str> {
        match self {
            Self::SubmitRsp(response) => response.message_id.as_deref(),
            Self::ExtendedReplaceRsp(response) => response.message_id.as_deref(),
            _ => None,
        }
    }

    /// The ordinary response to this request; `message_id` goes where one belongs. None for what is no
    /// request.
    pub fn response(&self, status: Status, message_id: Option<String>) -> Option<Self> {
        Some(match self {
            Self::SubmitReq(_) => Self::SubmitRsp(SubmitRsp { status, message_id }),
            Self::DeliverReq(_) => Self::DeliverRsp(DeliverRsp { status, service_code: None }),
            Self::DeliveryReportReq(_) => Self::DeliveryReportRsp(status),
            Self::ReadReplyReq(_) => Self::ReadReplyRsp(status),
            Self::CancelReq(_) => Self::CancelRsp(status),
            Self::ReplaceReq(_) => Self::ReplaceRsp(status),
            Self::ExtendedCancelReq(_) => Self::ExtendedCancelRsp(status),
            Self::ExtendedReplaceReq(_) => {
                Self::ExtendedReplaceRsp(ExtendedReplaceRsp { message_id, status })
            }
            _ => return None,
        })
    }

    /// Whether a body entry has the name of a PDU.
    pub(crate) fn is_known(name: &str) -> bool {
        NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Reads a body entry other than a Fault; none if its name is not that of a PDU.
    pub(crate) fn read(element: Element<'_>) -> Result<Option<Self>, MissingElement> {
        let status = || Status::inside(element).ok_or(MissingElement("StatusCode"));
        let name = element.name().to_ascii_lowercase();
        Ok(Some(match name.as_str() {
            "submitreq" => Self::SubmitReq(Box::new(SubmitReq::read(element)?)),
            "submitrsp" => Self::SubmitRsp(SubmitRsp::read(element)?),
            "deliverreq" => Self::DeliverReq(Box::new(DeliverReq::read(element))),
            "deliverrsp" => Self::DeliverRsp(DeliverRsp::read(element)?),
            "deliveryreportreq" => Self::DeliveryReportReq(Box::new(DeliveryReportReq::read(element)?)),
            "deliveryreportrsp" => Self::DeliveryReportRsp(status()?),
            "readreplyreq" => Self::ReadReplyReq(Box::new(ReadReplyReq::read(element)?)),
            "readreplyrsp" => Self::ReadReplyRsp(status()?),
            "cancelreq" => Self::CancelReq(Box::new(CancelReq::read(element)?)),
            "cancelrsp" => Self::CancelRsp(status()?),
            "replacereq" => Self::ReplaceReq(Box::new(ReplaceReq::read(element)?)),
            "replacersp" => Self::ReplaceRsp(status()?),
            "extendedcancelreq" => Self::ExtendedCancelReq(Box::new(ExtendedCancelReq::read(element)?)),
            "extendedcancelrsp" => Self::ExtendedCancelRsp(status()?),
            "extendedreplacereq" => Self::ExtendedReplaceReq(Box::new(ExtendedReplaceReq::read(element))),
            "extendedreplacersp" => Self::ExtendedReplaceRsp(ExtendedReplaceRsp::read(element)?),
            _ => return Ok(None),
        }))
    }

    /// Writes what stands after MM7Version.
    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        match self {
            Self::SubmitReq(request) => request.write(out),
            Self::SubmitRsp(response) => response.write(out),
            Self::DeliverReq(request) => request.write(out),
            Self::DeliverRsp(response) => response.write(out),
            Self::DeliveryReportReq(request) => request.write(out),
            Self::ReadReplyReq(request) => request.write(out),
            Self::CancelReq(request) => request.write(out),
            Self::ReplaceReq(request) => request.write(out),
            Self::ExtendedCancelReq(request) => request.write(out),
            Self::ExtendedCancelRsp(status) => status.write_short(out),
            Self::ExtendedReplaceReq(request) => request.write(out),
            Self::ExtendedReplaceRsp(response) => response.write(out),
            Self::DeliveryReportRsp(status)
            | Self::ReadReplyRsp(status)
            | Self::CancelRsp(status)
            | Self::ReplaceRsp(status) => status.write(out),
            Self::Fault(fault) => fault.status.write(out),
        }
    }
}

/// A PDU lacks an element without which it means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MissingElement(pub(crate) &'static str);

const NAMES: [&str; 16] = [
    "SubmitReq",
    "SubmitRsp",
    "DeliverReq",
    "DeliverRsp",
    "DeliveryReportReq",
    "DeliveryReportRsp",
    "ReadReplyReq",
    "ReadReplyRsp",
    "CancelReq",
    "CancelRsp",
    "ReplaceReq",
    "ReplaceRsp",
    "extendedCancelReq",
    "extendedCancelRsp",
    "extendedReplaceReq",
    "extendedReplaceRsp",
];
