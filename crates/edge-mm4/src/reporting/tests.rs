use std::sync::Arc;

use mmsgw_domain::{AnswerTo, CarrierIds, Direction};
use mmsgw_mime::Limits;
use mmsgw_mm4::{Mm4Address, Pdu};

use super::*;
use crate::config::Mm4Settings;
use crate::tests::{NOW, message, settings};

fn carrier() -> Mm4Settings {
    let mut settings = settings();
    settings.outbound.remote_domain = Some("mms.peer.example".into());
    settings
}

fn report(order: ReportOrder) -> OutboundReport {
    let mut message = message(&["+15555550101", "+15555550102"]);
    message.direction = Direction::Inbound;
    message.origin = "+15555550109".parse().unwrap();
    message.ack_at_addr = Some("PostMaster@mms.peer.example".into());
    message.carrier_ids =
        Some(CarrierIds { transaction: "\"T 1\"".into(), message: Some("\"M-1@peer\"".into()) });
    message.handling_app = Some("app".into());
    message.reply_to_app = Some("reply".into());
    OutboundReport {
        message: Arc::new(message),
        order,
        transaction_id: "job1".into(),
        now: NOW,
        tap: mmsgw_engine::Tap::default(),
    }
}

fn changed(kind: ReportKind, change: impl FnOnce(&mut Message)) -> OutboundReport {
    let mut report = report(ReportOrder::well(kind));
    change(Arc::make_mut(&mut report.message));
    report
}

fn order(kind: ReportKind, code: Code) -> ReportOrder {
    ReportOrder { code, recipients: vec!["+15555550102".parse().unwrap()], ..ReportOrder::well(kind) }
}

fn text(mail: &Mail) -> String {
    String::from_utf8(mail.head.clone()).unwrap()
}

/// The only mail of a report, as the carrier reads it.
fn sent(report: &OutboundReport) -> (Pdu, Envelope) {
    let translator = Translator::new(&carrier());
    let mails = translator.report_mails(report).unwrap();
    let [only] = mails.as_slice() else { panic!("{mails:?}") };
    let received = mmsgw_mm4::read(only.mail.head.clone().into(), &Limits::DEFAULT).unwrap();
    (received.pdu, only.mail.envelope.clone())
}

const CODES: [Code; 9] = [
    Code::OK,
    Code::FORWARDED,
    Code::MALFORMED,
    Code::UNKNOWN,
    Code::REFUSED,
    Code::EXPIRED,
    Code::DEFERRED,
    Code::UNSUPPORTED,
    Code::UNSPECIFIED,
];

#[test]
fn an_acknowledgement_echoes_the_ids_to_the_letter() {
    let translator = Translator::new(&carrier());
    let mut report = report(ReportOrder::well(ReportKind::Acknowledgement));
    report.order.description = Some("taken\r\nBcc: victim@mail.example".into());
    let mails = translator.report_mails(&report).unwrap();
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(mail.recipients.len(), 2);
    assert_eq!(mail.mail.envelope.mail_from, "system-user@mms.own.example");
    assert_eq!(mail.mail.envelope.rcpt_to, ["PostMaster@mms.peer.example"]);
    let text = text(&mail.mail);
    for line in [
        "Date: Tue, 14 Nov 2023 22:13:20 +0000",
        "Sender: system-user@mms.own.example",
        "Message-ID: <job1@mms.own.example>",
        "From: system-user@mms.own.example",
        "To: PostMaster@mms.peer.example",
        "X-Mms-3GPP-MMS-Version: 6.10.0",
        "X-Mms-Message-Type: MM4_forward.RES",
        "X-Mms-Transaction-ID: \"T 1\"",
        "X-Mms-Message-ID: \"M-1@peer\"",
        "X-Mms-Request-Status-Code: Ok",
        "X-Mms-Status-Text: taken  Bcc: victim@mail.example",
    ] {
        assert!(text.contains(&format!("{line}\r\n")), "no {line:?} in\n{text}");
    }
    assert!(!text.contains("Request-Recipients") && !text.contains("\nBcc"), "{text}");
}

#[test]
fn every_code_of_an_acknowledgement() {
    let words = [
        "Ok",
        "Ok",
        "Error-message-format-corrupt",
        "Error-sending-address-unresolved",
        "Error-service-denied",
        "Error-unspecified",
        "Error-network-problem",
        "Error-unsupported-message",
        "Error-unspecified",
    ];
    for (code, word) in CODES.into_iter().zip(words) {
        let (Pdu::ForwardRes(res), _) = sent(&report(order(ReportKind::Acknowledgement, code))) else {
            panic!("no answer");
        };
        assert_eq!(res.status.as_str(), word, "{code}");
        assert_eq!(res.recipients, [Mm4Address::number("+15555550102")]);
    }
    let mut own = order(ReportKind::Acknowledgement, Code::REFUSED);
    own.word = Some("error-content-not-accepted".into());
    let (Pdu::ForwardRes(res), _) = sent(&report(own)) else { panic!("no answer") };
    assert_eq!(res.status, RequestStatus::ErrorContentNotAccepted);
}

#[test]
fn every_code_of_a_delivery_report() {
    let words = [
        "Retrieved",
        "Forwarded",
        "Rejected",
        "Unrecognised",
        "Rejected",
        "Expired",
        "Deferred",
        "Rejected",
        "Indeterminate",
    ];
    for (code, word) in CODES.into_iter().zip(words) {
        let (Pdu::DeliveryReportReq(req), envelope) = sent(&report(order(ReportKind::Delivery, code))) else {
            panic!("no report");
        };
        assert_eq!((req.status.as_str(), req.forward_to_originator_ua), (word, Some(true)), "{code}");
        let by_recipient = (code == Code::REFUSED).then_some(MmStatusExtension::RejectionByMmsRecipient);
        assert_eq!(req.extension, by_recipient, "{code}");
        assert_eq!(req.report.from, Some(Mm4Address::number("+15555550102")));
        assert_eq!(req.report.to, Some(Mm4Address::number("+15555550109")));
        assert_eq!(req.report.message_id.raw(), "\"M-1@peer\"");
        assert_eq!(req.report.head.transaction_id.bare(), "job1");
        assert_eq!(req.report.head.sender.as_deref(), Some("system-user@mms.own.example"));
        assert_eq!(req.report.head.date, Some(NOW.to_jiff()));
        let applic = &req.report.applic;
        assert_eq!(
            (applic.applic_id.as_deref(), applic.reply_applic_id.as_deref()),
            (Some("reply"), Some("app"))
        );
        assert_eq!(envelope.mail_from, "system-user@mms.own.example");
        assert_eq!(envelope.rcpt_to, ["PostMaster@mms.peer.example"]);
    }
}

#[test]
fn read_reports() {
    let deleted = ReadStatus::DeletedWithoutBeingRead;
    for (code, word, status) in [
        (Code::OK, None, ReadStatus::Read),
        (Code::REFUSED, None, deleted.clone()),
        (Code::REFUSED, Some("Deleted"), deleted.clone()),
        (Code::REFUSED, Some("deleted without being read"), deleted),
        (Code::OK, Some("read"), ReadStatus::Read),
    ] {
        let word = word.map(str::to_owned);
        let report = report(ReportOrder { word, ..order(ReportKind::Read, code) });
        let (Pdu::ReadReplyReportReq(req), _) = sent(&report) else { panic!("no report") };
        assert_eq!(req.status, status);
        assert_eq!(req.report.from, Some(Mm4Address::number("+15555550102")));
    }
}

#[test]
fn a_report_on_several_numbers_is_a_mail_for_each() {
    let translator = Translator::new(&carrier());
    let report = report(ReportOrder::well(ReportKind::Delivery));
    let mails = translator.report_mails(&report).unwrap();
    let transactions: Vec<String> = mails
        .iter()
        .map(|mail| text(&mail.mail))
        .map(|text| text.lines().find_map(|l| l.strip_prefix("X-Mms-Transaction-ID: ")).unwrap().to_owned())
        .collect();
    assert_eq!(transactions, ["\"job1.1\"", "\"job1.2\""]);
    assert!(mails.iter().all(|mail| mail.recipients.len() == 1));
}

#[test]
fn where_reports_go_and_where_they_do_not() {
    let to = |origin: &str, system: Option<&str>| {
        let report = changed(ReportKind::Delivery, |message| {
            message.recipients.truncate(1);
            message.origin = Address::from_carrier(origin);
            message.ack_at_addr = system.map(str::to_owned);
        });
        let translator = Translator::new(&carrier());
        translator.report_mails(&report).map(|mails| mails[0].mail.envelope.rcpt_to[0].clone())
    };
    let is = |address: &str| Ok(address.to_owned());
    assert_eq!(to("15555550109", None), is("+15555550109/TYPE=PLMN@mms.peer.example"));
    assert_eq!(to("54321", None), is("54321/TYPE=PLMN@mms.peer.example"));
    assert_eq!(to("someone@mms.peer.example", None), is("someone@mms.peer.example"));
    assert_eq!(to("Anonymous", Some("sys@mms.peer.example")), is("sys@mms.peer.example"));
    assert_eq!(to("someone@mail.example", None), Err(Unsendable::NoAddress));
    assert_eq!(to("Anonymous", None), Err(Unsendable::NoAddress));
    // The settings may have changed since the message came.
    assert_eq!(to("someone@mail.example", Some("sys@mail.example")), Err(Unsendable::NoAddress));
}

#[test]
fn what_cannot_be_told_is_said() {
    let error = |kind, change: fn(&mut Message)| {
        Translator::new(&carrier()).report_mails(&changed(kind, change)).unwrap_err()
    };
    let ack = ReportKind::Acknowledgement;
    assert_eq!(error(ack, |m| m.ack_at_addr = None), Unsendable::NoAddress);
    assert_eq!(error(ack, |m| m.ack_at_addr = Some("a@mail.example".into())), Unsendable::NoAddress);
    assert_eq!(error(ack, |m| m.carrier_ids = None), Unsendable::NoIds);
    assert_eq!(error(ReportKind::Read, |m| m.carrier_ids = None), Unsendable::NoIds);
    let mut stranger = report(order(ReportKind::Delivery, Code::OK));
    stranger.order.recipients = vec!["+15555550177".parse().unwrap()];
    assert_eq!(Translator::new(&carrier()).report_mails(&stranger).unwrap_err(), Unsendable::NoRecipient);
}

#[test]
fn answers_to_reports() {
    let translator = Translator::new(&carrier());
    for (kind, word, message) in [
        (ReportKind::Acknowledgement, "MM4_forward.RES", true),
        (ReportKind::Delivery, "MM4_delivery_report.RES", true),
        (ReportKind::Read, "MM4_read_reply_report.RES", false),
    ] {
        let to = AnswerTo {
            kind,
            address: "sys@mms.peer.example".into(),
            transaction: "\"T-9\"".into(),
            message: Some("M-9".into()),
        };
        let mut answer = AnswerJob { to, code: Code::UNKNOWN, description: None };
        let mail = translator.answer_mail(&answer, NOW).unwrap();
        let text = text(&mail);
        assert!(text.contains(&format!("X-Mms-Message-Type: {word}\r\n")), "{text}");
        assert!(text.contains("X-Mms-Transaction-ID: \"T-9\"\r\n"), "{text}");
        assert_eq!(text.contains("X-Mms-Message-ID: M-9\r\n"), message, "{text}");
        let unknown = match kind {
            ReportKind::Acknowledgement => "Error-sending-address-unresolved",
            _ => "Error-message-not-found",
        };
        assert!(text.contains(&format!("X-Mms-Request-Status-Code: {unknown}\r\n")), "{text}");
        assert_eq!(mail.envelope.rcpt_to, ["sys@mms.peer.example"]);
        answer.to.address = "victim@mail.example".into();
        assert_eq!(translator.answer_mail(&answer, NOW).unwrap_err(), Unsendable::NoAddress);
    }
}

#[test]
fn hostile_ids_do_not_become_headers() {
    let hostile = changed(ReportKind::Acknowledgement, |message| {
        message.carrier_ids =
            Some(CarrierIds { transaction: "T\r\nBcc: victim@mail.example".into(), message: None });
    });
    let error = Translator::new(&carrier()).report_mails(&hostile).unwrap_err();
    assert!(matches!(error, Unsendable::Unwritable(_)), "{error}");
}
