//! The six PDUs (TS 23.140 clauses 8.4.4.1 to 8.4.4.6) as values.

use crate::address::Mm4Address;
use crate::date::Expiry;
use crate::field::{ContentClass, MessageClass, Priority, Version, Visibility};
use crate::id::Id;
use crate::status::{MmStatus, MmStatusExtension, ReadStatus, RequestStatus};
use jiff::Timestamp;

/// A PDU. The body of a forward request stands apart from it.
#[derive(Debug, Clone, PartialEq)]
pub enum Pdu {
    /// `MM4_forward.REQ`.
    ForwardReq(Box<ForwardReq>),
    /// `MM4_forward.RES`.
    ForwardRes(ForwardRes),
    /// `MM4_delivery_report.REQ`.
    DeliveryReportReq(DeliveryReportReq),
    /// `MM4_delivery_report.RES`.
    DeliveryReportRes(DeliveryReportRes),
    /// `MM4_read_reply_report.REQ`.
    ReadReplyReportReq(ReadReplyReportReq),
    /// `MM4_read_reply_report.RES`.
    ReadReplyReportRes(ReadReplyReportRes),
}

impl Pdu {
    /// Which of the six it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::ForwardReq(_) => Kind::ForwardReq,
            Self::ForwardRes(_) => Kind::Res(ResKind::Forward),
            Self::DeliveryReportReq(_) => Kind::DeliveryReportReq,
            Self::DeliveryReportRes(_) => Kind::Res(ResKind::DeliveryReport),
            Self::ReadReplyReportReq(_) => Kind::ReadReplyReportReq,
            Self::ReadReplyReportRes(_) => Kind::Res(ResKind::ReadReplyReport),
        }
    }

    /// What all PDUs have.
    pub fn head(&self) -> &Head {
        match self {
            Self::ForwardReq(req) => &req.head,
            Self::DeliveryReportReq(req) => &req.report.head,
            Self::ReadReplyReportReq(req) => &req.report.head,
            Self::ForwardRes(res) | Self::DeliveryReportRes(res) | Self::ReadReplyReportRes(res) => &res.head,
        }
    }

    /// What an answer needs of it.
    pub fn echo(&self) -> Echo {
        let (message_id, reply_to, ack_request) = match self {
            Self::ForwardReq(req) => {
                let to = req.originator_system.clone().or_else(|| req.head.sender.clone());
                (Some(req.message_id.clone()), to, req.wishes.ack_request)
            }
            Self::DeliveryReportReq(DeliveryReportReq { report, .. })
            | Self::ReadReplyReportReq(ReadReplyReportReq { report, .. }) => {
                (Some(report.message_id.clone()), report.head.sender.clone(), report.ack_request)
            }
            Self::ForwardRes(res) | Self::DeliveryReportRes(res) | Self::ReadReplyReportRes(res) => {
                (res.message_id.clone(), None, None)
            }
        };
        Echo {
            kind: Some(self.kind()),
            transaction_id: Some(self.head().transaction_id.clone()),
            message_id,
            reply_to,
            ack_request: ack_request.unwrap_or(false),
        }
    }
}

/// `X-Mms-Message-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `MM4_forward.REQ`.
    ForwardReq,
    /// `MM4_delivery_report.REQ`.
    DeliveryReportReq,
    /// `MM4_read_reply_report.REQ`.
    ReadReplyReportReq,
    /// One of the three answers.
    Res(ResKind),
}

/// Which request an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResKind {
    /// `MM4_forward.RES`.
    Forward,
    /// `MM4_delivery_report.RES`.
    DeliveryReport,
    /// `MM4_read_reply_report.RES`.
    ReadReplyReport,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::ForwardReq,
        Self::DeliveryReportReq,
        Self::ReadReplyReportReq,
        Self::Res(ResKind::Forward),
        Self::Res(ResKind::DeliveryReport),
        Self::Res(ResKind::ReadReplyReport),
    ];

    /// Reads the type in any case (one stack capitalises `Delivery` and `Read`).
    pub fn read(text: &str) -> Option<Self> {
        let text = crate::field::unquote(text);
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text))
    }

    /// The type as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ForwardReq => "MM4_forward.REQ",
            Self::DeliveryReportReq => "MM4_delivery_report.REQ",
            Self::ReadReplyReportReq => "MM4_read_reply_report.REQ",
            Self::Res(ResKind::Forward) => "MM4_forward.RES",
            Self::Res(ResKind::DeliveryReport) => "MM4_delivery_report.RES",
            Self::Res(ResKind::ReadReplyReport) => "MM4_read_reply_report.RES",
        }
    }

    /// Which answer this request has; `None` for an answer, which is never answered.
    pub fn answer(self) -> Option<ResKind> {
        match self {
            Self::ForwardReq => Some(ResKind::Forward),
            Self::DeliveryReportReq => Some(ResKind::DeliveryReport),
            Self::ReadReplyReportReq => Some(ResKind::ReadReplyReport),
            Self::Res(_) => None,
        }
    }
}

/// What every PDU has (the rows common to TS 23.140 clauses 8.4.4.1 to 8.4.4.6, and the headers of
/// RFC 5322).
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// `X-Mms-3GPP-MMS-Version` as read; on writing that of [`WriteOptions`](crate::WriteOptions)
    /// counts.
    pub version: Option<Version>,
    /// `X-Mms-Transaction-ID`, mandatory: new for each request, copied by its answer.
    pub transaction_id: Id,
    /// `Sender`: the mailbox the mail comes from. Mandatory by the standard, missing at some peers.
    pub sender: Option<String>,
    /// `Message-ID` of the mail without angle brackets, not the id of the message.
    pub mail_id: Option<String>,
    /// `Date`, whole seconds; missing at one peer.
    pub date: Option<Timestamp>,
}

impl Head {
    /// A head with a transaction id and nothing else.
    pub fn new(transaction_id: Id) -> Self {
        Self { version: None, transaction_id, sender: None, mail_id: None, date: None }
    }
}

/// `MM4_forward.REQ` (TS 23.140 clause 8.4.4.1): carries a message to another relay/server.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardReq {
    /// Common headers.
    pub head: Head,
    /// `X-Mms-Message-ID`, mandatory: given by the first relay/server, never changed.
    pub message_id: Id,
    /// `From`, mandatory, also when hidden; where missing `Sender` is read in its place.
    pub from: Option<Mm4Address>,
    /// `To`: everyone the user addressed, for display. Whom to deliver to says the envelope.
    pub to: Vec<Mm4Address>,
    /// `Cc`, like `To`.
    pub cc: Vec<Mm4Address>,
    /// `Subject`, decoded; conditional.
    pub subject: Option<String>,
    /// `X-Mms-Message-Class`, conditional; Personal if absent.
    pub message_class: Option<MessageClass>,
    /// `X-Mms-Priority`, conditional; Normal if absent.
    pub priority: Option<Priority>,
    /// `X-Mms-Sender-Visibility`, conditional; Show if absent.
    pub sender_visibility: Option<Visibility>,
    /// `X-Mms-Expiry`, conditional.
    pub expiry: Option<Expiry>,
    /// Reports and answers that are wanted.
    pub wishes: Wishes,
    /// `X-Mms-Originator-System`, conditional with an answer wanted: where the answer goes.
    pub originator_system: Option<String>,
    /// `X-Mms-Forward-Counter`, conditional. Some stacks write 1 on a first sending.
    pub forward_counter: Option<u32>,
    /// `X-Mms-Previously-sent-by` and `-date-and-time`, conditional, by position.
    pub previously_sent: Vec<PreviouslySent>,
    /// Application addressing (Release 6), conditional.
    pub applic: ApplicIds,
    /// `X-Mms-Content-Class` (Release 6), conditional.
    pub content_class: Option<ContentClass>,
    /// `X-Mms-Drm-Content` (Release 6), conditional.
    pub drm_content: Option<bool>,
    /// `X-Mms-Adaptation-Allowed` (Release 6), conditional.
    pub adaptation_allowed: Option<bool>,
    /// Interconnect routing (Release 6), optional.
    pub routing: Routing,
}

impl ForwardReq {
    /// A request with its two ids and nothing else.
    pub fn new(transaction_id: Id, message_id: Id) -> Self {
        Self {
            head: Head::new(transaction_id),
            message_id,
            from: None,
            to: Vec::new(),
            cc: Vec::new(),
            subject: None,
            message_class: None,
            priority: None,
            sender_visibility: None,
            expiry: None,
            wishes: Wishes::default(),
            originator_system: None,
            forward_counter: None,
            previously_sent: Vec::new(),
            applic: ApplicIds::default(),
            content_class: None,
            drm_content: None,
            adaptation_allowed: None,
            routing: Routing::default(),
        }
    }
}

/// The Yes/No headers of a forward request. `None` is an absent header, which means No.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `X-Mms-Delivery-Report`: the user wants to know.
    pub delivery_report: Option<bool>,
    /// `X-Mms-Originator-R/S-Delivery-Report` (Release 5): the relay/server wants to know.
    pub originator_rs_delivery_report: Option<bool>,
    /// `X-Mms-Read-Reply`: the user wants to know when it was read.
    pub read_reply: Option<bool>,
    /// `X-Mms-Ack-Request`: the relay/server wants a `MM4_forward.RES`.
    pub ack_request: Option<bool>,
}

/// One earlier hop of a forwarded message. At least one of address and time is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviouslySent {
    /// Position in the chain, as the headers number it.
    pub position: u32,
    /// Who sent it on.
    pub address: Option<Mm4Address>,
    /// When.
    pub at: Option<Timestamp>,
}

/// Application addressing (TS 23.140 Release 6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplicIds {
    /// `X-Mms-Applic-ID`.
    pub applic_id: Option<String>,
    /// `X-Mms-Reply-Applic-ID`.
    pub reply_applic_id: Option<String>,
    /// `X-Mms-Aux-Applic-Info`.
    pub aux_applic_info: Option<String>,
}

impl ApplicIds {
    /// What a report on a message with these ids carries: it goes to the application that wanted
    /// the reply, and names the other one only if that is another. Seen at drivefast's mmsgw; the
    /// rule is that of TS 23.140 clause 7.1.18.
    pub fn for_report(&self) -> Self {
        let applic_id = self.reply_applic_id.clone().or_else(|| self.applic_id.clone());
        let reply_applic_id = self.applic_id.clone().filter(|own| Some(own) != applic_id.as_ref());
        Self { applic_id, reply_applic_id, aux_applic_info: self.aux_applic_info.clone() }
    }
}

/// Routing between interconnect providers (TS 23.140 Release 6); passed on as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// `X-Mms-MMSIP-Address`.
    pub mmsip_address: Option<String>,
    /// `X-Mms-Forward-Route`.
    pub forward_route: Option<String>,
    /// `X-Mms-Return-Route`.
    pub return_route: Option<String>,
}

/// What the two reports have in common (TS 23.140 clauses 8.4.4.3 and 8.4.4.5).
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Common headers. `Date` is when the message was handled or read; an answer goes to `sender`.
    pub head: Head,
    /// `X-Mms-Message-ID` of the message reported on, mandatory; written as it came.
    pub message_id: Id,
    /// `From`: the recipient whose state this is.
    pub from: Option<Mm4Address>,
    /// `To`: the originator of the message. Some stacks swap the two.
    pub to: Option<Mm4Address>,
    /// `X-Mms-Ack-Request`; No if absent.
    pub ack_request: Option<bool>,
    /// `X-Mms-Status-Text`, optional.
    pub status_text: Option<String>,
    /// Application addressing, conditional; see [`ApplicIds::for_report`].
    pub applic: ApplicIds,
}

impl Report {
    /// A report on the message `message_id`, with nothing else.
    pub fn new(transaction_id: Id, message_id: Id) -> Self {
        Self {
            head: Head::new(transaction_id),
            message_id,
            from: None,
            to: None,
            ack_request: None,
            status_text: None,
            applic: ApplicIds::default(),
        }
    }
}

/// `MM4_delivery_report.REQ` (TS 23.140 clause 8.4.4.3): the state of one recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryReportReq {
    /// What both reports have.
    pub report: Report,
    /// `X-Mms-MM-Status-Code`, mandatory.
    pub status: MmStatus,
    /// `X-Mms-MM-Status-Extension`, optional, with Rejected.
    pub extension: Option<MmStatusExtension>,
    /// `X-Mms-Forward-To-Originator-UA`: No means that the user is not to see it.
    pub forward_to_originator_ua: Option<bool>,
}

/// `MM4_read_reply_report.REQ` (TS 23.140 clause 8.4.4.5): what one recipient did.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadReplyReportReq {
    /// What both reports have.
    pub report: Report,
    /// `X-Mms-Read-Status`, mandatory.
    pub status: ReadStatus,
}

/// An answer (TS 23.140 clauses 8.4.4.2, 8.4.4.4 and 8.4.4.6): the three are of one form.
#[derive(Debug, Clone, PartialEq)]
pub struct Res {
    /// Common headers; the transaction id is that of the request, octet for octet.
    pub head: Head,
    /// `X-Mms-Message-ID` of the request. Mandatory in two of the three, missing at old Mbuni and
    /// not part of the read reply answer.
    pub message_id: Option<Id>,
    /// `X-Mms-Request-Status-Code`, mandatory.
    pub status: RequestStatus,
    /// `X-Mms-Status-Text`, optional.
    pub status_text: Option<String>,
    /// `X-Mms-Request-Recipients`, optional, forward answer: whom it is about; none means all.
    pub recipients: Vec<Mm4Address>,
    /// `To`: the mailbox the answer goes to.
    pub to: Option<String>,
}

/// `MM4_forward.RES`.
pub type ForwardRes = Res;
/// `MM4_delivery_report.RES`.
pub type DeliveryReportRes = Res;
/// `MM4_read_reply_report.RES`.
pub type ReadReplyReportRes = Res;

/// What an answer needs of a request, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Echo {
    /// Which PDU it was.
    pub kind: Option<Kind>,
    /// Its transaction id.
    pub transaction_id: Option<Id>,
    /// Its message id.
    pub message_id: Option<Id>,
    /// Where the answer goes: for a forward request `X-Mms-Originator-System`, else `Sender`; for a
    /// report `Sender`. The caller falls back to the envelope, and refuses foreign domains.
    pub reply_to: Option<String>,
    /// Whether an answer was asked for.
    pub ack_request: bool,
}

impl Echo {
    /// The answer to this request with `status`, to be completed with sender, date and mail id.
    /// `None` for what is no request. A missing transaction id is answered with an empty one.
    pub fn res(&self, status: RequestStatus) -> Option<(ResKind, Res)> {
        let kind = self.kind?.answer()?;
        let transaction_id = self.transaction_id.clone().unwrap_or_else(|| Id::new(""));
        let message_id = self.message_id.clone().filter(|_| kind != ResKind::ReadReplyReport);
        let head = Head::new(transaction_id);
        let to = self.reply_to.clone();
        Some((kind, Res { head, message_id, status, status_text: None, recipients: Vec::new(), to }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_in_any_case() {
        for kind in Kind::ALL {
            assert_eq!(Kind::read(&kind.as_str().to_uppercase()), Some(kind));
        }
        assert_eq!(Kind::read("m-send-req"), None);
    }

    #[test]
    fn answers_are_never_answered() {
        let req = Pdu::ForwardReq(Box::new(ForwardReq::new(Id::new("\"T\""), Id::new("M"))));
        let (kind, res) = req.echo().res(RequestStatus::Ok).unwrap();
        assert_eq!((kind, res.head.transaction_id.raw()), (ResKind::Forward, "\"T\""));
        assert_eq!(Pdu::ForwardRes(res).echo().res(RequestStatus::Ok), None);
    }

    #[test]
    fn application_ids_of_reports() {
        let ids = |own: Option<&str>, reply: Option<&str>| ApplicIds {
            applic_id: own.map(str::to_owned),
            reply_applic_id: reply.map(str::to_owned),
            aux_applic_info: None,
        };
        assert_eq!(ids(Some("a"), Some("b")).for_report(), ids(Some("b"), Some("a")));
        assert_eq!(ids(Some("a"), None).for_report(), ids(Some("a"), None));
        assert_eq!(ids(None, None).for_report(), ids(None, None));
    }
}
