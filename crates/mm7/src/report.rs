//! DeliveryReportReq and ReadReplyReq (TS 23.140 clauses 8.7.1.11 to 8.7.1.14): what became of a
//! submitted message. Their responses are a bare [`crate::Status`].
//!
//! In both, Sender is the address that submitted and Recipient the user. Only MessageID is demanded when
//! reading, as a report without a readable date is still a report.

use jiff::Timestamp;

use crate::address::Address;
use crate::element::{Application, UaCapabilities};
use crate::emit::Out;
use crate::pdu::MissingElement;
use crate::status::{MmStatus, MmStatusExtension, ReadStatus};
use crate::write::WriteError;
use crate::xml::Element;

/// DeliveryReportReq. Elements are of REL-5 unless marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReportReq {
    /// `MMSRelayServerID`: who reports.
    pub relay_server_id: Option<String>,
    /// `MessageID` of the SubmitRsp.
    pub message_id: String,
    /// `Recipient`: the user reported on; must be given to write.
    pub recipient: Option<Address>,
    /// `Sender`: who submitted; must be given to write.
    pub sender: Option<Address>,
    /// `Date` of the event; must be given to write.
    pub date: Option<Timestamp>,
    /// `MMStatus`; `Indeterminate` if the peer sent none. `DeliveryConditionNotMet` (REL-6) is written
    /// as `Rejected` in REL-5.
    pub mm_status: MmStatus,
    /// `MMStatusExtension` (REL-6).
    pub mm_status_extension: Option<MmStatusExtension>,
    /// `StatusText`: for people.
    pub status_text: Option<String>,
    /// `ApplicID`, `ReplyApplicID`, `AuxApplicInfo` (REL-6).
    pub application: Application,
    /// `UACapabilities` (REL-6).
    pub ua_capabilities: Option<UaCapabilities>,
}

impl DeliveryReportReq {
    pub(crate) fn read(element: Element<'_>) -> Result<Self, MissingElement> {
        Ok(Self {
            relay_server_id: element.maybe(&["MMSRelayServerID"]),
            message_id: element.maybe(&["MessageID"]).ok_or(MissingElement("MessageID"))?,
            recipient: element.child(&["Recipient"]).and_then(Address::inside),
            sender: element.child(&["Sender"]).and_then(Address::inside),
            date: element.maybe(&["Date"]).or_else(|| element.maybe(&["TimeStamp"])),
            mm_status: element.maybe(&["MMStatus"]).unwrap_or(MmStatus::Indeterminate),
            mm_status_extension: element.maybe(&["MMStatusExtension"]),
            status_text: element.maybe(&["StatusText"]),
            application: Application::inside(element),
            ua_capabilities: UaCapabilities::inside(element),
        })
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        out.maybe("MMSRelayServerID", self.relay_server_id.as_ref())?;
        out.text("MessageID", &self.message_id)?;
        write_parties(self.recipient.as_ref(), self.sender.as_ref(), out)?;
        out.text("Date", self.date.as_ref().ok_or(WriteError::Missing { field: "Date" })?)?;
        let too_new = self.mm_status == MmStatus::DeliveryConditionNotMet && !out.is_rel6();
        out.text("MMStatus", if too_new { &MmStatus::Rejected } else { &self.mm_status })?;
        out.rel6("MMStatusExtension", self.mm_status_extension.as_ref())?;
        out.maybe("StatusText", self.status_text.as_ref())?;
        self.application.write(out)?;
        UaCapabilities::write(self.ua_capabilities.as_ref(), out)
    }
}

/// ReadReplyReq. Elements are of REL-5 unless marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadReplyReq {
    /// `MMSRelayServerID`: who reports.
    pub relay_server_id: Option<String>,
    /// `MessageID` of the SubmitRsp.
    pub message_id: String,
    /// `Recipient`: the user reported on; must be given to write.
    pub recipient: Option<Address>,
    /// `Sender`: who submitted; must be given to write.
    pub sender: Option<Address>,
    /// `TimeStamp` of the event (not `Date` as in a delivery report); must be given to write.
    pub time_stamp: Option<Timestamp>,
    /// `MMStatus`; `Indeterminate` if the peer sent none.
    pub mm_status: ReadStatus,
    /// `StatusText`: for people.
    pub status_text: Option<String>,
    /// `ApplicID`, `ReplyApplicID`, `AuxApplicInfo` (REL-6).
    pub application: Application,
}

impl ReadReplyReq {
    pub(crate) fn read(element: Element<'_>) -> Result<Self, MissingElement> {
        Ok(Self {
            relay_server_id: element.maybe(&["MMSRelayServerID"]),
            message_id: element.maybe(&["MessageID"]).ok_or(MissingElement("MessageID"))?,
            recipient: element.child(&["Recipient"]).and_then(Address::inside),
            sender: element.child(&["Sender"]).and_then(Address::inside),
            time_stamp: element.maybe(&["TimeStamp"]).or_else(|| element.maybe(&["Date"])),
            mm_status: element.maybe(&["MMStatus"]).unwrap_or(ReadStatus::Indeterminate),
            status_text: element.maybe(&["StatusText"]),
            application: Application::inside(element),
        })
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        out.maybe("MMSRelayServerID", self.relay_server_id.as_ref())?;
        out.text("MessageID", &self.message_id)?;
        write_parties(self.recipient.as_ref(), self.sender.as_ref(), out)?;
        out.text("TimeStamp", self.time_stamp.as_ref().ok_or(WriteError::Missing { field: "TimeStamp" })?)?;
        out.text("MMStatus", &self.mm_status)?;
        out.maybe("StatusText", self.status_text.as_ref())?;
        self.application.write(out)
    }
}

fn write_parties(
    recipient: Option<&Address>,
    sender: Option<&Address>,
    out: &mut Out,
) -> Result<(), WriteError> {
    recipient.ok_or(WriteError::Missing { field: "Recipient" })?.write_in("Recipient", out)?;
    sender.ok_or(WriteError::Missing { field: "Sender" })?.write_sender("Sender", out)
}
