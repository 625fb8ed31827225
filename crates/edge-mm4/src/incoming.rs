//! What a carrier's mail means for a message of ours. Pure: octets in, an [`Incoming`] out.
//!
//! | MM4_forward.RES | state | code |
//! |---|---|---|
//! | Ok | acknowledged | 200 |
//! | Error-service-denied, Error-content-not-accepted | rejected | 406 |
//! | Error-sending-address-unresolved, Error-message-not-found | failed | 404 |
//! | Error-message-format-corrupt | failed | 400 |
//! | Error-unsupported-message | failed | 415 |
//! | Error-network-problem, Error-unspecified, any other word | failed | 500 |
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
//! A read report says read (200) or deleted (406).

use mmsgw_domain::{
    Address, CarrierReport, Code, Correlation, IntakeJob, IntakeKind, ReportKind, State, Timestamp,
};
use mmsgw_engine::{Incoming, Unreadable};
use mmsgw_mime::Limits;
use mmsgw_mm4::pdu::{DeliveryReportReq, ReadReplyReportReq, Report};
use mmsgw_mm4::{
    AddressKind, ForwardRes, Head, Id, Mm4Address, MmStatus, MmStatusExtension, Pdu, ReadStatus, Reason,
    RequestStatus, Word,
};

use crate::bounce;
use crate::translate::marked_number;

/// Reads one mail. `prefix` is what the carrier's numbers may carry besides a plus.
pub(crate) fn read(intake: &IntakeJob, limits: &Limits, prefix: &str) -> Result<Incoming, Unreadable> {
    let unreadable = |reason: String| Unreadable { reason };
    let IntakeKind::Mail { mail_from, .. } = &intake.kind else {
        return Err(unreadable("not a mail, and MM4 is nothing else".to_owned()));
    };
    let received = match mmsgw_mm4::read(intake.raw.clone(), limits) {
        Ok(received) => received,
        Err(error) if error.reason == Reason::NotMm4 && bounce::may_be(mail_from, &intake.raw, limits) => {
            return Ok(bounce::read(&intake.raw, limits, prefix));
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    match received.pdu {
        Pdu::ForwardRes(res) => Ok(Incoming::Report(acknowledgement(&res, prefix))),
        Pdu::DeliveryReportReq(req) => Ok(Incoming::Report(delivery_report(&req, prefix))),
        Pdu::ReadReplyReportReq(req) => Ok(Incoming::Report(read_report(&req, prefix))),
        Pdu::DeliveryReportRes(res) | Pdu::ReadReplyReportRes(res) => {
            Ok(Incoming::Nothing(format!("an answer to a report of ours: {}", res.status.as_str())))
        }
        Pdu::ForwardReq(_) => Err(unreadable("new messages are not taken yet".to_owned())),
    }
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
