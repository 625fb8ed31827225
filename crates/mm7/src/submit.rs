//! SubmitReq and SubmitRsp (TS 23.140 clauses 8.7.1.1 and 8.7.1.2): a provider sends a message.

use jiff::Timestamp;

use crate::address::Recipients;
use crate::element::{Application, ContentReference, ReplyCharging, SenderIdentification};
use crate::emit::{Out, positive};
use crate::pdu::MissingElement;
use crate::status::Status;
use crate::when::When;
use crate::words::{ChargedParty, ContentClass, MessageClass, Priority};
use crate::write::WriteError;
use crate::xml::Element;

/// SubmitReq. Elements are of REL-5 unless marked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubmitReq {
    /// `SenderIdentification`.
    pub sender: SenderIdentification,
    /// `Recipients`; not empty.
    pub recipients: Recipients,
    /// `ServiceCode`: for billing.
    pub service_code: Option<String>,
    /// `LinkedID`: the LinkedID of the DeliverReq, or MessageID, that this one answers.
    pub linked_id: Option<String>,
    /// `MessageClass`.
    pub message_class: Option<MessageClass>,
    /// `TimeStamp`: when it was submitted.
    pub time_stamp: Option<Timestamp>,
    /// `ReplyCharging`: the sender pays for the answer.
    pub reply_charging: Option<ReplyCharging>,
    /// `EarliestDeliveryTime`.
    pub earliest_delivery_time: Option<When>,
    /// `ExpiryDate`.
    pub expiry_date: Option<When>,
    /// `DeliveryReport`: wanted; default false.
    pub delivery_report: Option<bool>,
    /// `ReadReply`: wanted; default false.
    pub read_reply: Option<bool>,
    /// `Priority`.
    pub priority: Option<Priority>,
    /// `Subject`.
    pub subject: Option<String>,
    /// `ChargedParty`; `ThirdParty` is REL-6.
    pub charged_party: Option<ChargedParty>,
    /// `ChargedPartyID` (REL-6): the third party.
    pub charged_party_id: Option<String>,
    /// `DistributionIndicator`: false forbids passing it on.
    pub distribution_indicator: Option<bool>,
    /// `DeliveryCondition` (REL-6): 1 only to terminals that know MMS, 2 only in the home network,
    /// others by agreement.
    pub delivery_condition: Vec<u32>,
    /// `ApplicID`, `ReplyApplicID`, `AuxApplicInfo` (REL-6).
    pub application: Application,
    /// `ContentClass` (REL-6).
    pub content_class: Option<ContentClass>,
    /// `DRMContent` (REL-6): contains protected content.
    pub drm_content: Option<bool>,
    /// `Content`.
    pub content: Option<ContentReference>,
}

impl SubmitReq {
    pub(crate) fn read(element: Element<'_>) -> Result<Self, MissingElement> {
        let recipients = element.child(&["Recipients"]).map(Recipients::read).unwrap_or_default();
        if recipients.is_empty() {
            return Err(MissingElement("Recipients"));
        }
        Ok(Self {
            sender: SenderIdentification::inside(element),
            recipients,
            service_code: element.maybe(&["ServiceCode"]),
            linked_id: element.maybe(&["LinkedID"]),
            message_class: element.maybe(&["MessageClass"]),
            time_stamp: element.maybe(&["TimeStamp"]),
            reply_charging: ReplyCharging::inside(element),
            earliest_delivery_time: element.maybe(EARLIEST),
            expiry_date: element.maybe(&["ExpiryDate"]),
            delivery_report: element.maybe(&["DeliveryReport"]),
            read_reply: element.maybe(&["ReadReply"]),
            priority: element.maybe(&["Priority"]),
            subject: element.maybe(&["Subject"]),
            charged_party: element.maybe(&["ChargedParty"]),
            charged_party_id: element.maybe(&["ChargedPartyID"]),
            distribution_indicator: element.maybe(&["DistributionIndicator"]),
            delivery_condition: read_conditions(element),
            application: Application::inside(element),
            content_class: element.maybe(&["ContentClass"]),
            drm_content: element.maybe(&["DRMContent"]),
            content: ContentReference::inside(element),
        })
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        self.sender.write(out)?;
        self.recipients.write(out)?;
        out.maybe("ServiceCode", self.service_code.as_ref())?;
        out.maybe("LinkedID", self.linked_id.as_ref())?;
        out.maybe("MessageClass", self.message_class.as_ref())?;
        out.maybe("TimeStamp", self.time_stamp.as_ref())?;
        if let Some(reply_charging) = &self.reply_charging {
            reply_charging.write(out)?;
        }
        out.maybe("EarliestDeliveryTime", self.earliest_delivery_time.as_ref())?;
        out.maybe("ExpiryDate", self.expiry_date.as_ref())?;
        out.maybe("DeliveryReport", self.delivery_report.as_ref())?;
        out.maybe("ReadReply", self.read_reply.as_ref())?;
        out.maybe("Priority", self.priority.as_ref())?;
        out.maybe("Subject", self.subject.as_ref())?;
        let sayable = |party: &&ChargedParty| out.is_rel6() || **party != ChargedParty::ThirdParty;
        let charged_party = self.charged_party.as_ref().filter(sayable);
        out.maybe("ChargedParty", charged_party)?;
        out.rel6("ChargedPartyID", self.charged_party_id.as_ref())?;
        out.maybe("DistributionIndicator", self.distribution_indicator.as_ref())?;
        self.write_conditions(out)?;
        self.application.write(out)?;
        out.rel6("ContentClass", self.content_class.as_ref())?;
        out.rel6("DRMContent", self.drm_content.as_ref())?;
        ContentReference::write(self.content.as_ref(), out)
    }

    fn write_conditions(&self, out: &mut Out) -> Result<(), WriteError> {
        if self.delivery_condition.is_empty() || !out.is_rel6() {
            return Ok(());
        }
        out.open("DeliveryCondition");
        for condition in &self.delivery_condition {
            out.text("DC", &positive("DC", *condition)?)?;
        }
        out.close("DeliveryCondition");
        Ok(())
    }
}

/// SubmitRsp (REL-5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmitRsp {
    /// `Status`.
    pub status: Status,
    /// `MessageID`: reports will quote it. Written empty if none, as the schema wants the element.
    pub message_id: Option<String>,
}

impl SubmitRsp {
    pub(crate) fn read(element: Element<'_>) -> Result<Self, MissingElement> {
        let status = Status::inside(element).ok_or(MissingElement("StatusCode"))?;
        Ok(Self { status, message_id: element.maybe(&["MessageID"]) })
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        self.status.write(out)?;
        out.text("MessageID", &self.message_id.clone().unwrap_or_default())
    }
}

/// EarliestDeliveryTime and its misspellings.
pub(crate) const EARLIEST: &[&str] = &["EarliestDeliveryTime", "EarlistDeliveryTime", "EarlestDeliveryTime"];

fn read_conditions(element: Element<'_>) -> Vec<u32> {
    let Some(list) = element.child(&["DeliveryCondition"]) else { return Vec::new() };
    list.mm7_children().filter(|e| e.is(&["DC"])).filter_map(|e| e.text().parse().ok()).collect()
}
