//! Reports of ours to a peer that submitted a message: DeliveryReportReq and ReadReplyReq
//! (TS 23.140 clauses 8.7.1.11 and 8.7.1.13).
//!
//! A word of MM7 that the application gave is said as it is; else the code decides:
//!
//! | code | MMStatus | MMStatusExtension | read reply |
//! |---|---|---|---|
//! | 200 | Retrieved | | Read |
//! | 202 | Forwarded | | Deleted |
//! | 406 | Rejected | RejectionByMMSRecipient | Deleted |
//! | 400, 415 | Rejected | | Deleted |
//! | 408 | Expired | | Deleted |
//! | 404, 410, 500, others | Indeterminate | | Deleted |
//!
//! The schema has no word for an unknown or deferred message; peers that know `Unrecognised` or `Deferred`
//! get it where the application gives that word.

use mmsgw_domain::{Address, Code, ReportKind, ReportOrder};
use mmsgw_engine::OutboundReport;
use mmsgw_mm7::{self as mm7, MmStatus, MmStatusExtension, Pdu, ReadStatus};

use super::{Translator, as_stated};

impl Translator {
    /// The request that tells a peer about one number of a message that it submitted as `message_id`; none
    /// for an acknowledgement, which is no request in MM7.
    pub(crate) fn report(
        &self,
        report: &OutboundReport,
        (message_id, transaction_id): (&str, String),
        recipient: &Address,
    ) -> Option<mm7::Message> {
        let order = &report.order;
        let said = Said {
            message_id: message_id.to_owned(),
            recipient: Some(as_stated(recipient)),
            sender: Some(as_stated(&report.message.origin)),
            at: mmsgw_domain::Timestamp::from_secs(report.now.as_secs()).to_jiff(),
            text: order.description.clone(),
        };
        let pdu = match order.kind {
            ReportKind::Acknowledgement => return None,
            ReportKind::Delivery => said.delivery(order),
            ReportKind::Read => said.read(order),
        };
        Some(mm7::Message {
            transaction_id,
            namespace: self.namespace.clone(),
            version: self.version.clone(),
            pdu,
        })
    }
}

/// What both kinds of report say.
struct Said {
    message_id: String,
    recipient: Option<mm7::Address>,
    sender: Option<mm7::Address>,
    at: jiff::Timestamp,
    text: Option<String>,
}

impl Said {
    fn delivery(self, order: &ReportOrder) -> Pdu {
        let (mm_status, mm_status_extension) = mm_status(order);
        Pdu::DeliveryReportReq(Box::new(mm7::DeliveryReportReq {
            relay_server_id: None,
            message_id: self.message_id,
            recipient: self.recipient,
            sender: self.sender,
            date: Some(self.at),
            mm_status,
            mm_status_extension,
            status_text: self.text,
            application: mm7::Application::default(),
            ua_capabilities: None,
        }))
    }

    fn read(self, order: &ReportOrder) -> Pdu {
        Pdu::ReadReplyReq(Box::new(mm7::ReadReplyReq {
            relay_server_id: None,
            message_id: self.message_id,
            recipient: self.recipient,
            sender: self.sender,
            time_stamp: Some(self.at),
            mm_status: read_status(order),
            status_text: self.text,
            application: mm7::Application::default(),
        }))
    }
}

fn mm_status(order: &ReportOrder) -> (MmStatus, Option<MmStatusExtension>) {
    let word = order.word.as_deref().map(|word| MmStatus::from(word).or_indeterminate());
    let by_code = || match order.code {
        Code::OK => MmStatus::Retrieved,
        Code::FORWARDED => MmStatus::Forwarded,
        Code::REFUSED | Code::MALFORMED | Code::UNSUPPORTED => MmStatus::Rejected,
        Code::EXPIRED => MmStatus::Expired,
        _ => MmStatus::Indeterminate,
    };
    let status = word.filter(|word| *word != MmStatus::Indeterminate).unwrap_or_else(by_code);
    let by_recipient = status == MmStatus::Rejected && order.code == Code::REFUSED;
    (status, by_recipient.then_some(MmStatusExtension::RejectionByMmsRecipient))
}

fn read_status(order: &ReportOrder) -> ReadStatus {
    match order.word.as_deref().map(ReadStatus::from) {
        Some(word @ (ReadStatus::Read | ReadStatus::Deleted | ReadStatus::Indeterminate)) => word,
        _ if order.code == Code::OK => ReadStatus::Read,
        _ => ReadStatus::Deleted,
    }
}
