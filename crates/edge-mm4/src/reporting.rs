//! What we tell a carrier about its messages, and what we answer to its reports, as mails
//! (TS 23.140 clauses 8.4.4.2 to 8.4.4.6). Pure: values in, mails out.
//!
//! | code | Request-Status-Code | MM-Status-Code | Read-Status |
//! |---|---|---|---|
//! | 200 | Ok | Retrieved | Read |
//! | 202 | Ok | Forwarded | Deleted without being read |
//! | 400 | Error-message-format-corrupt | Rejected | " |
//! | 404 | Error-sending-address-unresolved, of a report Error-message-not-found | Unrecognised | " |
//! | 406 | Error-service-denied | Rejected, by the recipient | " |
//! | 408 | Error-unspecified | Expired | " |
//! | 410 | Error-network-problem | Deferred | " |
//! | 415 | Error-unsupported-message | Rejected | " |
//! | 500 | Error-unspecified | Indeterminate | " |
//!
//! 406 becomes `Error-service-denied` rather than `Error-content-not-accepted`, since the code alone does
//! not say that it was for the content. The protocol's own word, where the application gave one, goes out
//! as it is.

use aws_lc_rs::digest::{SHA256, digest};
use mmsgw_domain::{
    Address, AddressKind, AnswerJob, Code, Message, Recipient, ReportKind, ReportOrder, Timestamp,
};
use mmsgw_engine::OutboundReport;
use mmsgw_mm4::{
    ApplicIds, DeliveryReportReq, Head, Id, MmStatus, MmStatusExtension, ReadReplyReportReq, ReadStatus,
    Report, RequestStatus, Res, ResKind, Word, WriteError,
};
use mmsgw_smtp::Envelope;

use crate::link::Mail;
use crate::render::Body;
use crate::translate::{Translator, to_mm4};

/// Why a report or an answer cannot be sent, ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsendable {
    #[error("the carrier gave no address, within the domains it is trusted with, that this may go to")]
    NoAddress,
    #[error("the carrier's ids of this message are not known")]
    NoIds,
    #[error("the message has none of these numbers")]
    NoRecipient,
    #[error("cannot be written as a mail: {0}")]
    Unwritable(#[from] WriteError),
}

/// One mail, and the numbers that it is about.
#[derive(Debug)]
pub(crate) struct ReportMail<'a> {
    pub(crate) recipients: Vec<&'a Recipient>,
    pub(crate) mail: Mail,
}

impl Translator {
    /// The mails that a report goes out as: one acknowledgement for all its numbers, else one for each.
    pub(crate) fn report_mails<'a>(
        &self,
        report: &'a OutboundReport,
    ) -> Result<Vec<ReportMail<'a>>, Unsendable> {
        let order = &report.order;
        let named = |r: &&Recipient| order.recipients.is_empty() || order.recipients.contains(&r.address);
        let recipients: Vec<&Recipient> = report.message.recipients.iter().filter(named).collect();
        if recipients.is_empty() {
            return Err(Unsendable::NoRecipient);
        }
        if order.kind == ReportKind::Acknowledgement {
            let mail = self.acknowledgement(report, &recipients)?;
            return Ok(vec![ReportMail { recipients, mail }]);
        }
        let single = recipients.len() == 1;
        let mails = recipients.into_iter().enumerate().map(|(index, recipient)| {
            let mark = if single { String::new() } else { format!(".{}", index + 1) };
            let transaction = format!("{}{mark}", report.transaction_id);
            let mail = self.report_mail(report, &recipient.address, transaction)?;
            Ok(ReportMail { recipients: vec![recipient], mail })
        });
        mails.collect()
    }

    /// The answer to a request of the carrier's.
    pub(crate) fn answer_mail(&self, answer: &AnswerJob, now: Timestamp) -> Result<Mail, Unsendable> {
        let to = self.trust.mailbox(&answer.to.address).ok_or(Unsendable::NoAddress)?;
        let kind = match answer.to.kind {
            ReportKind::Acknowledgement => ResKind::Forward,
            ReportKind::Delivery => ResKind::DeliveryReport,
            ReportKind::Read => ResKind::ReadReplyReport,
        };
        // The read reply answer has no message id.
        let message = answer.to.message.as_ref().filter(|_| kind != ResKind::ReadReplyReport);
        let res = Res {
            head: self.head(Id::new(&answer.to.transaction), &answer_id(answer, now), now),
            message_id: message.map(Id::new),
            status: request_status(answer.code, kind),
            status_text: status_text(answer.description.as_deref()),
            recipients: Vec::new(),
            to: Some(to.clone()),
        };
        Ok(self.system_mail(to, res.write(kind, &self.options)?))
    }

    fn acknowledgement(&self, report: &OutboundReport, about: &[&Recipient]) -> Result<Mail, Unsendable> {
        let OutboundReport { message, order, .. } = report;
        let to = message.ack_at_addr.as_deref().and_then(|to| self.trust.mailbox(to));
        let to = to.ok_or(Unsendable::NoAddress)?;
        let ids = message.carrier_ids.as_ref().ok_or(Unsendable::NoIds)?;
        let some_only = about.len() < message.recipients.len();
        let recipients = about.iter().filter(|_| some_only).map(|r| to_mm4(&r.address)).collect();
        let kind = ResKind::Forward;
        let res = Res {
            head: self.head(Id::new(&ids.transaction), &report.transaction_id, report.now),
            message_id: ids.message.as_ref().map(Id::new),
            status: order
                .word
                .as_deref()
                .map_or_else(|| request_status(order.code, kind), RequestStatus::read),
            status_text: status_text(order.description.as_deref()),
            recipients,
            to: Some(to.clone()),
        };
        Ok(self.system_mail(to, res.write(kind, &self.options)?))
    }

    fn report_mail(
        &self,
        outbound: &OutboundReport,
        about: &Address,
        transaction: String,
    ) -> Result<Mail, Unsendable> {
        let OutboundReport { message, order, .. } = outbound;
        let rcpt_to = self.originator(message).ok_or(Unsendable::NoAddress)?;
        let ids = message.carrier_ids.as_ref().ok_or(Unsendable::NoIds)?;
        let id = ids.message.as_ref().ok_or(Unsendable::NoIds)?;
        let report = Report {
            head: self.head(Id::new(&transaction), &transaction, outbound.now),
            from: Some(to_mm4(about)),
            to: Some(to_mm4(&message.origin)),
            status_text: status_text(order.description.as_deref()),
            applic: applic_ids(message),
            ..Report::new(Id::new(&transaction), Id::new(id))
        };
        let head = if order.kind == ReportKind::Read {
            ReadReplyReportReq { report, status: read_status(order) }.write(&self.options)?
        } else {
            let status = mm_status(order);
            let refused = status == MmStatus::Rejected && order.code == Code::REFUSED;
            let extension = refused.then_some(MmStatusExtension::RejectionByMmsRecipient);
            let forward_to_originator_ua = Some(true);
            DeliveryReportReq { report, status, extension, forward_to_originator_ua }.write(&self.options)?
        };
        Ok(self.system_mail(rcpt_to, head))
    }

    /// Where reports on a message go: to the system that asked for them, else to its user at the
    /// carrier's domain.
    fn originator(&self, message: &Message) -> Option<String> {
        let system = message.ack_at_addr.as_deref().and_then(|address| self.trust.mailbox(address));
        system.or_else(|| match message.origin.kind() {
            AddressKind::Number | AddressKind::ShortCode => Some(self.user_mailbox(&message.origin)),
            AddressKind::Mail => self.trust.mailbox(message.origin.as_str()),
            AddressKind::Other => None,
        })
    }

    fn head(&self, transaction_id: Id, mail_id: &str, now: Timestamp) -> Head {
        Head {
            version: None,
            transaction_id,
            sender: Some(self.system.clone()),
            mail_id: Some(format!("{mail_id}@{}", self.local_domain)),
            date: Some(now.to_jiff()),
        }
    }

    /// A mail without a body, from our system's mailbox.
    fn system_mail(&self, rcpt_to: String, head: Vec<u8>) -> Mail {
        let envelope = Envelope {
            mail_from: self.system.clone(),
            rcpt_to: vec![rcpt_to],
            size: head.len() as u64,
            ..Envelope::default()
        };
        Mail { envelope, head, body: Body::none() }
    }
}

fn request_status(code: Code, kind: ResKind) -> RequestStatus {
    match code {
        Code::OK | Code::FORWARDED => RequestStatus::Ok,
        Code::MALFORMED => RequestStatus::ErrorMessageFormatCorrupt,
        Code::UNKNOWN if kind == ResKind::Forward => RequestStatus::ErrorSendingAddressUnresolved,
        Code::UNKNOWN => RequestStatus::ErrorMessageNotFound,
        Code::REFUSED => RequestStatus::ErrorServiceDenied,
        Code::DEFERRED => RequestStatus::ErrorNetworkProblem,
        Code::UNSUPPORTED => RequestStatus::ErrorUnsupportedMessage,
        _ => RequestStatus::ErrorUnspecified,
    }
}

fn mm_status(order: &ReportOrder) -> MmStatus {
    if let Some(word) = &order.word {
        return MmStatus::read(word);
    }
    match order.code {
        Code::OK => MmStatus::Retrieved,
        Code::FORWARDED => MmStatus::Forwarded,
        Code::UNKNOWN => MmStatus::Unrecognised,
        Code::REFUSED | Code::UNSUPPORTED | Code::MALFORMED => MmStatus::Rejected,
        Code::EXPIRED => MmStatus::Expired,
        Code::DEFERRED => MmStatus::Deferred,
        _ => MmStatus::Indeterminate,
    }
}

/// MM7's word for "deleted" is understood too: an application need not know which protocol it is.
fn read_status(order: &ReportOrder) -> ReadStatus {
    match &order.word {
        Some(word) if word.eq_ignore_ascii_case("deleted") => ReadStatus::DeletedWithoutBeingRead,
        Some(word) => ReadStatus::read(word),
        None if order.code == Code::OK => ReadStatus::Read,
        None => ReadStatus::DeletedWithoutBeingRead,
    }
}

fn applic_ids(message: &Message) -> ApplicIds {
    let ids = ApplicIds {
        applic_id: message.handling_app.clone(),
        reply_applic_id: message.reply_to_app.clone(),
        aux_applic_info: message.app_info.clone(),
    };
    ids.for_report()
}

/// A sentence as a header may hold it.
fn status_text(text: Option<&str>) -> Option<String> {
    let clean =
        |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect();
    text.map(clean).filter(|text: &String| !text.trim().is_empty())
}

/// Names the mail of an answer; it is the same only for the same answer in the same second.
fn answer_id(answer: &AnswerJob, now: Timestamp) -> String {
    let to = &answer.to;
    let facts = format!("{:?} {now:?} {}", (&to.transaction, &to.message, &to.address), answer.code);
    let digest = digest(&SHA256, facts.as_bytes());
    digest.as_ref().iter().take(16).map(|octet| format!("{octet:02x}")).collect()
}

/// Longest status text.
const MAX_TEXT: usize = 400;

#[cfg(test)]
mod tests;
