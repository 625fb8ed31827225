//! DeliverReq and DeliverRsp (TS 23.140 clauses 8.7.1.3 and 8.7.1.4): a message comes to the provider.

use jiff::Timestamp;

use crate::address::{Address, Recipients};
use crate::element::{Application, ContentReference, SenderIdentification, UaCapabilities};
use crate::emit::{Out, Value, positive};
use crate::pdu::MissingElement;
use crate::status::Status;
use crate::when::When;
use crate::words::Priority;
use crate::write::WriteError;
use crate::xml::Element;

/// DeliverReq. Elements are of REL-5 unless marked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliverReq {
    /// `MMSRelayServerID`: who delivers.
    pub relay_server_id: Option<String>,
    /// `VASPID` (REL-6): the provider addressed. Read from a SenderIdentification too.
    pub vasp_id: Option<String>,
    /// `VASID` (REL-6): the service addressed.
    pub vas_id: Option<String>,
    /// `LinkedID`: to be quoted in a SubmitReq that answers.
    pub linked_id: Option<String>,
    /// `Sender`. The schema demands it; some peers leave it out, or put it into a SenderIdentification.
    pub sender: Option<Address>,
    /// `Recipients`; may be empty.
    pub recipients: Recipients,
    /// `Previouslysentby` (REL-6): who sent it on.
    pub previously_sent_by: Vec<PreviousSender>,
    /// `Previouslysentdateandtime` (REL-6): when it was sent on.
    pub previously_sent_date: Vec<PreviousDate>,
    /// `SenderSPI` (REL-6): the sender's service provider.
    pub sender_spi: Option<String>,
    /// `RecipientSPI` (REL-6): the recipient's service provider.
    pub recipient_spi: Option<String>,
    /// `TimeStamp`: when the message was sent.
    pub time_stamp: Option<Timestamp>,
    /// `ReplyChargingID`: the message that this answers under reply charging.
    pub reply_charging_id: Option<String>,
    /// `Priority`.
    pub priority: Option<Priority>,
    /// `Subject`.
    pub subject: Option<String>,
    /// `ApplicID`, `ReplyApplicID`, `AuxApplicInfo` (REL-6).
    pub application: Application,
    /// `UACapabilities` (REL-6).
    pub ua_capabilities: Option<UaCapabilities>,
    /// `Content`.
    pub content: Option<ContentReference>,
}

/// One forwarder: UserAgent in Previouslysentby (REL-6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSender {
    /// Its address.
    pub address: Address,
    /// `sequence`: place in the chain, from 1.
    pub sequence: Option<u32>,
}

/// One date of forwarding: DateTime in Previouslysentdateandtime (REL-6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousDate {
    /// The date.
    pub date: When,
    /// `sequence`: place in the chain, from 1.
    pub sequence: Option<u32>,
}

impl DeliverReq {
    pub(crate) fn read(element: Element<'_>) -> Self {
        let identification = SenderIdentification::inside(element);
        Self {
            relay_server_id: element.maybe(&["MMSRelayServerID"]),
            vasp_id: element.maybe(&["VASPID"]).or(identification.vasp_id),
            vas_id: element.maybe(&["VASID"]).or(identification.vas_id),
            linked_id: element.maybe(&["LinkedID"]),
            sender: element.child(&["Sender"]).and_then(Address::inside).or(identification.address),
            recipients: element.child(&["Recipients"]).map(Recipients::read).unwrap_or_default(),
            previously_sent_by: list(element, "Previouslysentby", "UserAgent", PreviousSender::read),
            previously_sent_date: list(element, "Previouslysentdateandtime", "DateTime", PreviousDate::read),
            sender_spi: element.maybe(&["SenderSPI"]),
            recipient_spi: element.maybe(&["RecipientSPI"]),
            time_stamp: element.maybe(&["TimeStamp"]),
            reply_charging_id: element.maybe(&["ReplyChargingID", "ReplayChargingID"]),
            priority: element.maybe(&["Priority"]),
            subject: element.maybe(&["Subject"]),
            application: Application::inside(element),
            ua_capabilities: UaCapabilities::inside(element),
            content: ContentReference::inside(element),
        }
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        out.maybe("MMSRelayServerID", self.relay_server_id.as_ref())?;
        out.rel6("VASPID", self.vasp_id.as_ref())?;
        out.rel6("VASID", self.vas_id.as_ref())?;
        out.maybe("LinkedID", self.linked_id.as_ref())?;
        self.sender.as_ref().ok_or(WriteError::Missing { field: "Sender" })?.write_sender("Sender", out)?;
        if !self.recipients.is_empty() {
            self.recipients.write(out)?;
        }
        self.write_previous(out)?;
        out.rel6("SenderSPI", self.sender_spi.as_ref())?;
        out.rel6("RecipientSPI", self.recipient_spi.as_ref())?;
        out.maybe("TimeStamp", self.time_stamp.as_ref())?;
        out.maybe("ReplyChargingID", self.reply_charging_id.as_ref())?;
        out.maybe("Priority", self.priority.as_ref())?;
        out.maybe("Subject", self.subject.as_ref())?;
        self.application.write(out)?;
        UaCapabilities::write(self.ua_capabilities.as_ref(), out)?;
        ContentReference::write(self.content.as_ref(), out)
    }

    fn write_previous(&self, out: &mut Out) -> Result<(), WriteError> {
        if !out.is_rel6() {
            return Ok(());
        }
        if !self.previously_sent_by.is_empty() {
            out.open("Previouslysentby");
            self.previously_sent_by.iter().try_for_each(|sender| sender.write(out))?;
            out.close("Previouslysentby");
        }
        if !self.previously_sent_date.is_empty() {
            out.open("Previouslysentdateandtime");
            self.previously_sent_date.iter().try_for_each(|date| date.write(out))?;
            out.close("Previouslysentdateandtime");
        }
        Ok(())
    }
}

impl PreviousSender {
    fn read(element: Element<'_>) -> Option<Self> {
        Some(Self { address: Address::inside(element)?, sequence: element.value("sequence") })
    }

    fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        begin_numbered("UserAgent", self.sequence, out)?;
        self.address.write(out)?;
        out.close("UserAgent");
        Ok(())
    }
}

impl PreviousDate {
    fn read(element: Element<'_>) -> Option<Self> {
        Some(Self { date: When::of_text(element.text())?, sequence: element.value("sequence") })
    }

    fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        begin_numbered("DateTime", self.sequence, out)?;
        out.escaped("DateTime", &self.date.to_text(), false)?;
        out.close("DateTime");
        Ok(())
    }
}

/// DeliverRsp (REL-5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverRsp {
    /// `Status`.
    pub status: Status,
    /// `ServiceCode`: for billing.
    pub service_code: Option<String>,
}

impl DeliverRsp {
    pub(crate) fn read(element: Element<'_>) -> Result<Self, MissingElement> {
        let status = Status::inside(element).ok_or(MissingElement("StatusCode"))?;
        Ok(Self { status, service_code: element.maybe(&["ServiceCode"]) })
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        self.status.write(out)?;
        out.maybe("ServiceCode", self.service_code.as_ref())
    }
}

fn begin_numbered(name: &'static str, sequence: Option<u32>, out: &mut Out) -> Result<(), WriteError> {
    let sequence = sequence.map(|number| positive("sequence", number)).transpose()?;
    out.begin(name);
    out.attribute("sequence", sequence.as_ref())?;
    out.raw(">");
    Ok(())
}

fn list<'a, T>(request: Element<'a>, holder: &str, name: &str, read: fn(Element<'a>) -> Option<T>) -> Vec<T> {
    let Some(holder) = request.child(&[holder]) else { return Vec::new() };
    holder.mm7_children().filter(|e| e.is(&[name])).filter_map(read).collect()
}
