//! CancelReq, ReplaceReq (TS 23.140 clauses 8.7.1.5 to 8.7.1.10) and the `extended…` ones of REL-6: a
//! provider takes a message back or puts another in its place. CancelRsp, ReplaceRsp and
//! extendedCancelRsp are a bare [`Status`].

use jiff::Timestamp;

use crate::element::{Application, ContentReference, SenderIdentification};
use crate::emit::Out;
use crate::pdu::MissingElement;
use crate::status::Status;
use crate::submit::EARLIEST;
use crate::when::When;
use crate::words::ContentClass;
use crate::write::WriteError;
use crate::xml::Element;

/// CancelReq (REL-5): withdraw a message not yet retrieved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelReq {
    /// `SenderIdentification`.
    pub sender: SenderIdentification,
    /// `MessageID` of the SubmitRsp.
    pub message_id: String,
    /// `ApplicID`, `ReplyApplicID`, `AuxApplicInfo` (REL-6).
    pub application: Application,
}

impl CancelReq {
    pub(crate) fn read(element: Element<'_>) -> Result<Self, MissingElement> {
        Ok(Self {
            sender: SenderIdentification::inside(element),
            message_id: element.maybe(&["MessageID"]).ok_or(MissingElement("MessageID"))?,
            application: Application::inside(element),
        })
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        self.sender.write(out)?;
        out.text("MessageID", &self.message_id)?;
        self.application.write(out)
    }
}

/// ReplaceReq: put another message in the place of one not yet retrieved. Elements are of REL-5 unless
/// marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaceReq {
    /// `SenderIdentification`.
    pub sender: SenderIdentification,
    /// `MessageID` of the SubmitRsp.
    pub message_id: String,
    /// `ServiceCode`: for billing.
    pub service_code: Option<String>,
    /// `TimeStamp` of the request.
    pub time_stamp: Option<Timestamp>,
    /// `ReadReply`: wanted.
    pub read_reply: Option<bool>,
    /// `EarliestDeliveryTime`.
    pub earliest_delivery_time: Option<When>,
    /// `DistributionIndicator`: false forbids passing it on.
    pub distribution_indicator: Option<bool>,
    /// `ContentClass` (REL-6).
    pub content_class: Option<ContentClass>,
    /// `DRMContent` (REL-6).
    pub drm_content: Option<bool>,
    /// `ApplicID`, `ReplyApplicID`, `AuxApplicInfo` (REL-6).
    pub application: Application,
    /// `Content`: the new content.
    pub content: Option<ContentReference>,
}

impl ReplaceReq {
    pub(crate) fn read(element: Element<'_>) -> Result<Self, MissingElement> {
        Ok(Self {
            sender: SenderIdentification::inside(element),
            message_id: element.maybe(&["MessageID"]).ok_or(MissingElement("MessageID"))?,
            service_code: element.maybe(&["ServiceCode"]),
            time_stamp: element.maybe(&["TimeStamp"]),
            read_reply: element.maybe(&["ReadReply"]),
            earliest_delivery_time: element.maybe(EARLIEST),
            distribution_indicator: element.maybe(&["DistributionIndicator"]),
            content_class: element.maybe(&["ContentClass"]),
            drm_content: element.maybe(&["DRMContent"]),
            application: Application::inside(element),
            content: ContentReference::inside(element),
        })
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        self.sender.write(out)?;
        out.text("MessageID", &self.message_id)?;
        out.maybe("ServiceCode", self.service_code.as_ref())?;
        out.maybe("TimeStamp", self.time_stamp.as_ref())?;
        out.maybe("ReadReply", self.read_reply.as_ref())?;
        out.maybe("EarliestDeliveryTime", self.earliest_delivery_time.as_ref())?;
        out.maybe("DistributionIndicator", self.distribution_indicator.as_ref())?;
        out.rel6("ContentClass", self.content_class.as_ref())?;
        out.rel6("DRMContent", self.drm_content.as_ref())?;
        self.application.write(out)?;
        ContentReference::write(self.content.as_ref(), out)
    }
}

/// extendedCancelReq (REL-6): withdraw a message by its CancelID, perhaps already on the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedCancelReq {
    /// `SenderIdentification`.
    pub sender: SenderIdentification,
    /// `CancelID`.
    pub cancel_id: String,
}

impl ExtendedCancelReq {
    pub(crate) fn read(element: Element<'_>) -> Result<Self, MissingElement> {
        let cancel_id = element.maybe(&["CancelID"]).ok_or(MissingElement("CancelID"))?;
        Ok(Self { sender: SenderIdentification::inside(element), cancel_id })
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        self.sender.write(out)?;
        out.text("CancelID", &self.cancel_id)
    }
}

/// extendedReplaceReq (REL-6): replace a message by its ReplaceID. It has no SenderIdentification around
/// VASPID and VASID, as far as its schema is known; one is understood when reading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtendedReplaceReq {
    /// `VASPID`: the provider's account.
    pub vasp_id: Option<String>,
    /// `VASID`: the provider's service.
    pub vas_id: Option<String>,
    /// `ServiceCode`: for billing.
    pub service_code: Option<String>,
    /// `ReplaceID`.
    pub replace_id: Option<String>,
    /// `TimeStamp` of the request.
    pub time_stamp: Option<Timestamp>,
    /// `EarliestDeliveryTime`.
    pub earliest_delivery_time: Option<When>,
    /// `ExpiryDate`.
    pub expiry_date: Option<When>,
    /// `ReadReply`: wanted.
    pub read_reply: Option<bool>,
    /// `DeliveryReport`: wanted.
    pub delivery_report: Option<bool>,
    /// `Content`: the new content.
    pub content: Option<ContentReference>,
}

impl ExtendedReplaceReq {
    pub(crate) fn read(element: Element<'_>) -> Self {
        let identification = SenderIdentification::inside(element);
        Self {
            vasp_id: element.maybe(&["VASPID"]).or(identification.vasp_id),
            vas_id: element.maybe(&["VASID"]).or(identification.vas_id),
            service_code: element.maybe(&["ServiceCode"]),
            replace_id: element.maybe(&["ReplaceID"]),
            time_stamp: element.maybe(&["TimeStamp"]),
            earliest_delivery_time: element.maybe(EARLIEST),
            expiry_date: element.maybe(&["ExpiryDate"]),
            read_reply: element.maybe(&["ReadReply"]),
            delivery_report: element.maybe(&["DeliveryReport"]),
            content: ContentReference::inside(element),
        }
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        out.maybe("VASPID", self.vasp_id.as_ref())?;
        out.maybe("VASID", self.vas_id.as_ref())?;
        out.maybe("ServiceCode", self.service_code.as_ref())?;
        out.maybe("ReplaceID", self.replace_id.as_ref())?;
        out.maybe("TimeStamp", self.time_stamp.as_ref())?;
        out.maybe("EarliestDeliveryTime", self.earliest_delivery_time.as_ref())?;
        out.maybe("ExpiryDate", self.expiry_date.as_ref())?;
        out.maybe("ReadReply", self.read_reply.as_ref())?;
        out.maybe("DeliveryReport", self.delivery_report.as_ref())?;
        ContentReference::write(self.content.as_ref(), out)
    }
}

/// extendedReplaceRsp (REL-6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedReplaceRsp {
    /// `MessageID` of the new message; written empty if none.
    pub message_id: Option<String>,
    /// `Status`; only its code is written.
    pub status: Status,
}

impl ExtendedReplaceRsp {
    pub(crate) fn read(element: Element<'_>) -> Result<Self, MissingElement> {
        let status = Status::inside(element).ok_or(MissingElement("StatusCode"))?;
        Ok(Self { message_id: element.maybe(&["MessageID"]), status })
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        out.text("MessageID", &self.message_id.clone().unwrap_or_default())?;
        self.status.write_short(out)
    }
}
