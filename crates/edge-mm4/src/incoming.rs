//! What a carrier's mail means for a message of ours. Pure: octets in, an [`Incoming`] out.
//!
//! | MM4_forward.RES | state | code |
//! |---|---|---|
//! | Ok | acknowledged | 200 |
//! | Error-service-denied, Error-content-not-accepted | rejected | 406 |
//! | Error-sending-address-unresolved, Error-message-not-found | failed | 404 |
//! | Error-message-format-corrupt | failed | 400 |
//! | Error-unsupported-message | failed | 415 |
//! | Error-unspecified, any other word | failed | 500 |
//! | Error-network-problem, Error-transient-* | sent again, as often as the group tries; then failed | 500 |
//!
//! | delivery report | state | code |
//! |---|---|---|
//! | Retrieved | delivered | 200 |
//! | Forwarded | forwarded | 202 |
//! | Unrecognised | failed | 404 |
//! | Rejected | rejected | 406 |
//! | Expired | expired | 408 |
//! | Deferred | deferred | 410 |
//! | Indeterminate, any other word | undefined | 500 |
//!
//! A read report says read (200) or deleted (406). New messages are read by `message`.

use mmsgw_domain::{
    Address, AnswerJob, AnswerTo, CarrierReport, Code, Correlation, IntakeJob, IntakeKind, ReportKind, State,
    Timestamp,
};
use mmsgw_engine::{Incoming, Unreadable};
use mmsgw_mime::Limits;
use mmsgw_mm4::pdu::{DeliveryReportReq, Echo, ReadReplyReportReq, Report, ResKind};
use mmsgw_mm4::{
    AddressKind, ForwardRes, Head, Id, Mm4Address, MmStatus, MmStatusExtension, Pdu, ReadError, ReadStatus,
    Reason, RequestStatus, Word,
};

use crate::bounce;
use crate::config::{Addressing, Mm4Settings};
use crate::translate::{marked_number, marked_places};
use crate::trust::Trust;

mod message;

/// Reads what one carrier sends.
pub(crate) struct Reader {
    limits: Limits,
    addressing: Addressing,
    /// Our own domains, where numbers are users of ours.
    own_domains: Vec<String>,
    trust: Trust,
}

/// The envelope of a mail.
#[derive(Debug, Clone, Copy)]
struct Envelope<'a> {
    mail_from: &'a str,
    rcpt_to: &'a [String],
}

impl Reader {
    pub(crate) fn new(settings: &Mm4Settings, limits: Limits) -> Self {
        Self {
            limits,
            addressing: settings.addressing.clone(),
            own_domains: settings.own_domains(),
            trust: Trust::new(settings),
        }
    }

    /// Reads one mail.
    pub(crate) fn read(&self, intake: &IntakeJob) -> Result<Incoming, Unreadable> {
        let IntakeKind::Mail { mail_from, rcpt_to } = &intake.kind else {
            return Err(Unreadable::because("not a mail, and MM4 is nothing else"));
        };
        let (limits, prefix) = (&self.limits, self.prefix());
        let envelope = Envelope { mail_from, rcpt_to };
        let received = match mmsgw_mm4::read(intake.raw.clone(), limits) {
            Ok(received) => received,
            Err(error)
                if error.reason == Reason::NotMm4 && bounce::may_be(mail_from, &intake.raw, limits) =>
            {
                return Ok(bounce::read(&intake.raw, limits, prefix));
            }
            Err(error) => return Err(self.unreadable(&error, envelope)),
        };
        match received.pdu {
            Pdu::ForwardReq(req) => {
                let content = received.content.as_ref();
                Ok(Incoming::Message(Box::new(self.message(&req, content, envelope))))
            }
            Pdu::ForwardRes(res) => {
                Ok(Incoming::Report { report: acknowledgement(&res, prefix), answer: None })
            }
            Pdu::DeliveryReportReq(req) => {
                let answer = self.answer_to(ReportKind::Delivery, &req.report, envelope);
                Ok(Incoming::Report { report: delivery_report(&req, prefix), answer })
            }
            Pdu::ReadReplyReportReq(req) => {
                let answer = self.answer_to(ReportKind::Read, &req.report, envelope);
                Ok(Incoming::Report { report: read_report(&req, prefix), answer })
            }
            Pdu::DeliveryReportRes(res) | Pdu::ReadReplyReportRes(res) => {
                Ok(Incoming::Nothing(format!("an answer to a report of ours: {}", res.status.as_str())))
            }
        }
    }

    fn prefix(&self) -> &str {
        &self.addressing.dest_prefix
    }

    /// The answer that a report wants: to its `Sender`, else to where the mail came from.
    fn answer_to(&self, kind: ReportKind, report: &Report, envelope: Envelope<'_>) -> Option<AnswerTo> {
        if report.ack_request != Some(true) {
            return None;
        }
        let address = self.trust.first([report.head.sender.as_deref(), Some(envelope.mail_from)])?;
        let transaction = report.head.transaction_id.raw().to_owned();
        Some(AnswerTo { kind, address, transaction, message: Some(report.message_id.raw().to_owned()) })
    }

    /// What cannot be read, and how to say so where an answer was asked for.
    fn unreadable(&self, error: &ReadError, envelope: Envelope<'_>) -> Unreadable {
        let reason = error.to_string();
        let answer = refusal(error).and_then(|(kind, code)| {
            let Echo { transaction_id, message_id, reply_to, .. } = &*error.echo;
            let address = self.trust.first([reply_to.as_deref(), Some(envelope.mail_from)])?;
            let raw = |id: &Option<Id>| id.as_ref().map(|id| id.raw().to_owned());
            let (transaction, message) = (raw(transaction_id).unwrap_or_default(), raw(message_id));
            let to = AnswerTo { kind, address, transaction, message };
            Some(Box::new(AnswerJob { to, code, description: Some(reason.clone()) }))
        });
        Unreadable { reason, answer }
    }
}

/// As what, and with what code, something unreadable is refused. A message type that nobody knows has no
/// answer of its own; the answer to a message, which every peer reads, has to do. What is no MM4 mail,
/// and what is an answer itself, is not answered.
fn refusal(error: &ReadError) -> Option<(ReportKind, Code)> {
    let code = match &error.reason {
        Reason::NotMm4 => return None,
        Reason::UnknownType(_) => Code::UNSUPPORTED,
        Reason::MissingTransactionId | Reason::Missing(_) | Reason::Mime(_) => Code::MALFORMED,
    };
    let kind = match error.echo.kind {
        Some(kind) => kind.answer()?,
        None if matches!(error.reason, Reason::UnknownType(_)) => ResKind::Forward,
        None => return None,
    };
    let wanted = error.echo.ack_request;
    let kind = match kind {
        ResKind::Forward => ReportKind::Acknowledgement,
        ResKind::DeliveryReport => ReportKind::Delivery,
        ResKind::ReadReplyReport => ReportKind::Read,
    };
    wanted.then_some((kind, code))
}

fn acknowledgement(res: &ForwardRes, prefix: &str) -> CarrierReport {
    let (state, code) = request_status(&res.status);
    let mut recipients: Vec<Address> = res.recipients.iter().flat_map(|a| candidates(a, prefix)).collect();
    if recipients.is_empty() {
        recipients.extend(marked_number(res.head.transaction_id.bare()));
    }
    CarrierReport {
        kind: ReportKind::Acknowledgement,
        about: about(Some(&res.head), res.message_id.as_ref()),
        recipients,
        other_party: Vec::new(),
        state,
        code,
        carrier_status: res.status.as_str().to_owned(),
        description: res.status_text.clone(),
        at: date(&res.head),
        places: marked_places(res.head.transaction_id.bare()),
        again: res.status.is_transient(),
    }
}

fn delivery_report(req: &DeliveryReportReq, prefix: &str) -> CarrierReport {
    let (state, code) = mm_status(&req.status);
    let by = req.extension.as_ref().map(|extension| match extension {
        MmStatusExtension::RejectionByMmsRecipient => "rejected by the recipient".to_owned(),
        MmStatusExtension::RejectionByOtherRs => "rejected by another relay/server".to_owned(),
        MmStatusExtension::Other(word) => word.clone(),
    });
    let mut report = report(ReportKind::Delivery, &req.report, (state, code, req.status.as_str()), prefix);
    report.description = match (report.description, by) {
        (Some(text), Some(by)) => Some(format!("{text} ({by})")),
        (text, by) => text.or(by),
    };
    report
}

fn read_report(req: &ReadReplyReportReq, prefix: &str) -> CarrierReport {
    let (state, code) = match &req.status {
        ReadStatus::Read => (State::Read, Code::OK),
        ReadStatus::DeletedWithoutBeingRead => (State::Deleted, Code::REFUSED),
        ReadStatus::Other(_) => (State::Undefined, Code::UNSPECIFIED),
    };
    report(ReportKind::Read, &req.report, (state, code, req.status.as_str()), prefix)
}

/// `From` is whose state it is; some peers swap it with `To`, which is tried next.
fn report(
    kind: ReportKind,
    report: &Report,
    (state, code, word): (State, Code, &str),
    prefix: &str,
) -> CarrierReport {
    let numbers = |address: &Option<Mm4Address>| {
        address.as_ref().map(|address| candidates(address, prefix)).unwrap_or_default()
    };
    CarrierReport {
        kind,
        // Its transaction id is the carrier's own.
        about: about(None, Some(&report.message_id)),
        recipients: numbers(&report.from),
        other_party: numbers(&report.to),
        state,
        code,
        carrier_status: word.to_owned(),
        description: report.status_text.clone(),
        at: date(&report.head),
        places: None,
        again: false,
    }
}

fn request_status(status: &RequestStatus) -> (State, Code) {
    match status {
        RequestStatus::Ok => (State::Acknowledged, Code::OK),
        RequestStatus::ErrorServiceDenied | RequestStatus::ErrorContentNotAccepted => {
            (State::Rejected, Code::REFUSED)
        }
        RequestStatus::ErrorSendingAddressUnresolved | RequestStatus::ErrorMessageNotFound => {
            (State::Failed, Code::UNKNOWN)
        }
        RequestStatus::ErrorMessageFormatCorrupt => (State::Failed, Code::MALFORMED),
        RequestStatus::ErrorUnsupportedMessage => (State::Failed, Code::UNSUPPORTED),
        RequestStatus::ErrorUnspecified
        | RequestStatus::ErrorNetworkProblem
        | RequestStatus::Other { .. } => (State::Failed, Code::UNSPECIFIED),
    }
}

fn mm_status(status: &MmStatus) -> (State, Code) {
    match status {
        MmStatus::Retrieved => (State::Delivered, Code::OK),
        MmStatus::Forwarded => (State::Forwarded, Code::FORWARDED),
        MmStatus::Unrecognised => (State::Failed, Code::UNKNOWN),
        MmStatus::Rejected => (State::Rejected, Code::REFUSED),
        MmStatus::Expired => (State::Expired, Code::EXPIRED),
        MmStatus::Deferred => (State::Deferred, Code::DEFERRED),
        MmStatus::Indeterminate | MmStatus::Other(_) => (State::Undefined, Code::UNSPECIFIED),
    }
}

fn about(head: Option<&Head>, message: Option<&Id>) -> Correlation {
    Correlation {
        transaction: head.map(|head| head.transaction_id.bare().to_owned()),
        message: message.map(|id| id.bare().to_owned()),
    }
}

fn date(head: &Head) -> Option<Timestamp> {
    head.date.map(Timestamp::from_jiff)
}

/// What an address of the carrier may be among ours: as it stands, a mailbox of digits as a number,
/// and a number without the prefix that we put before it.
pub(crate) fn candidates(address: &Mm4Address, prefix: &str) -> Vec<Address> {
    let local = address.local.as_str();
    let mailbox = address.domain.as_ref().filter(|_| address.kind == AddressKind::Email);
    let mailbox = mailbox.map(|domain| format!("{local}@{domain}"));
    let bare = Some(prefix).filter(|prefix| !prefix.is_empty() && *prefix != "+");
    let bare = bare.and_then(|prefix| local.strip_prefix(prefix)).map(str::to_owned);
    let texts = [mailbox, Some(local.to_owned()), bare];
    let mut found = Vec::new();
    for address in texts.into_iter().flatten().filter_map(|text| text.parse::<Address>().ok()) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests;
