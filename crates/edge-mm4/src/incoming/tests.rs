use bytes::Bytes;

use super::*;
use crate::tests::settings;

const ID: &str = "018bcfe568007eb382b98f0eb89ead81";

fn intake(mail_from: &str, raw: impl Into<Bytes>) -> IntakeJob {
    let kind = IntakeKind::Mail { mail_from: mail_from.into(), rcpt_to: vec![] };
    IntakeJob { kind, peer: "192.0.2.1:9".into(), raw: raw.into() }
}

fn read(intake: &IntakeJob) -> Result<Incoming, Unreadable> {
    let mut settings = settings();
    settings.outbound.remote_domain = Some("mms.peer.example".into());
    Reader::new(&settings, Limits::DEFAULT).read(intake)
}

fn understand(raw: &str) -> Result<Incoming, Unreadable> {
    read(&intake("system-user@mms.peer.example", raw.replace('\n', "\r\n")))
}

fn report(raw: &str) -> CarrierReport {
    match understand(raw) {
        Ok(Incoming::Report { report, answer: None }) => report,
        other => panic!("{other:?}"),
    }
}

fn numbers(addresses: &[Address]) -> Vec<&str> {
    addresses.iter().map(Address::as_str).collect()
}

#[test]
fn every_status_of_an_answer() {
    for (word, state, code) in [
        ("Ok", State::Acknowledged, 200),
        ("Error-service-denied", State::Rejected, 406),
        ("error-content-NOT-accepted", State::Rejected, 406),
        ("Error-sending-address-unresolved", State::Failed, 404),
        ("Error-message-not-found", State::Failed, 404),
        ("Error-message-format-corrupt", State::Failed, 400),
        ("Error-unsupported-message", State::Failed, 415),
        ("Error-network-problem", State::Failed, 500),
        ("Error-unspecified", State::Failed, 500),
        ("Error-transient-failure", State::Failed, 500),
    ] {
        let report = report(&format!(
            "X-Mms-Message-Type: MM4_forward.RES\nX-Mms-Transaction-ID: \"{ID}-1\"\n\
             X-Mms-Message-ID: \"{ID}@mms.own.example\"\nX-Mms-Request-Status-Code: {word}\n\
             X-Mms-Status-Text: a word\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n\n"
        ));
        assert_eq!((report.kind, report.state), (ReportKind::Acknowledgement, state), "{word}");
        assert_eq!(report.code.number(), code, "{word}");
        assert_eq!(report.about.transaction, Some(format!("{ID}-1")));
        assert_eq!(report.about.message, Some(format!("{ID}@mms.own.example")));
        assert_eq!(report.description.as_deref(), Some("a word"));
        assert_eq!(report.at, Some(Timestamp::from_secs(1_700_000_000)));
        assert_eq!(
            report.again,
            ["Error-network-problem", "Error-transient-failure"].contains(&word),
            "{word}"
        );
        assert!(report.recipients.is_empty() && report.carrier_status.eq_ignore_ascii_case(word));
    }
}

#[test]
fn an_answer_is_about_the_recipients_it_names_or_the_one_it_was_for() {
    let answer = |transaction: &str, more: &str| {
        report(&format!(
            "X-Mms-Message-Type: MM4_forward.RES\nX-Mms-Transaction-ID: {transaction}\n\
             X-Mms-Request-Status-Code: Ok\n{more}\n"
        ))
    };
    let one = answer(&format!("{ID}-0.15555550102"), "");
    assert_eq!(numbers(&one.recipients), ["15555550102"]);
    let whole = answer(&format!("{ID}-0"), "");
    assert!(whole.recipients.is_empty() && whole.places.is_none());
    assert_eq!(answer(&format!("\"{ID}-0.b101-200\""), "").places, Some(100..200));
    let named =
        answer(&format!("{ID}-0"), "X-Mms-Request-Recipients: +15555550103, +15555550104/TYPE=PLMN\n");
    assert_eq!(numbers(&named.recipients), ["+15555550103", "+15555550104"]);
}

#[test]
fn every_status_of_a_delivery_report() {
    for (word, state, code) in [
        ("Retrieved", State::Delivered, 200),
        ("Forwarded", State::Forwarded, 202),
        ("Unrecognised", State::Failed, 404),
        ("Unrecognized", State::Failed, 404),
        ("Rejected", State::Rejected, 406),
        ("Expired", State::Expired, 408),
        ("Deferred", State::Deferred, 410),
        ("Indeterminate", State::Undefined, 500),
        ("Lost", State::Undefined, 500),
    ] {
        let report = report(&format!(
            "X-Mms-Message-Type: MM4_delivery_report.REQ\nX-Mms-Transaction-ID: T9\n\
             X-Mms-Message-ID: {ID}@mms.own.example\nFrom: +15555550102/TYPE=PLMN\n\
             To: 54321/TYPE=PLMN@mms.own.example\nX-Mms-MM-Status-Code: {word}\n\
             X-Mms-MM-Status-Extension: Rejection-By-MMS-Recipient\n\n"
        ));
        assert_eq!(
            (report.kind, report.state, report.code.number()),
            (ReportKind::Delivery, state, code),
            "{word}"
        );
        assert_eq!(
            report.about,
            Correlation { transaction: None, message: Some(format!("{ID}@mms.own.example")) }
        );
        assert_eq!(numbers(&report.recipients), ["+15555550102"]);
        assert_eq!(numbers(&report.other_party), ["54321"]);
        assert_eq!(report.description.as_deref(), Some("rejected by the recipient"));
    }
}

#[test]
fn read_reports() {
    for (word, state, code) in
        [("Read", State::Read, 200), ("Deleted without being read", State::Deleted, 406)]
    {
        let report = report(&format!(
            "X-Mms-Message-Type: MM4_read_reply_report.REQ\nX-Mms-Transaction-ID: T9\n\
             X-Mms-Message-ID: {ID}@x\nFrom: +15555550102/TYPE=PLMN\nX-Mms-Read-Status: {word}\n\n"
        ));
        assert_eq!((report.kind, report.state, report.code.number()), (ReportKind::Read, state, code));
    }
}

#[test]
fn answers_to_reports_ask_for_nothing() {
    for kind in ["delivery_report", "read_reply_report"] {
        let answer = understand(&format!(
            "X-Mms-Message-Type: MM4_{kind}.RES\nX-Mms-Transaction-ID: T\nX-Mms-Request-Status-Code: Ok\n\n"
        ));
        assert!(matches!(answer, Ok(Incoming::Nothing(_))));
    }
    for bad in ["Subject: spam\n\nbuy", "", "X-Mms-Message-Type: MM4_forward.RES\n\n"] {
        assert!(understand(bad).is_err(), "{bad}");
    }
    let http = IntakeJob { kind: IntakeKind::Http { content_type: "text/xml".into() }, ..intake("", "") };
    assert!(read(&http).is_err());
}

#[test]
fn an_address_may_be_more_than_one_of_ours() {
    let of = |text: &str, prefix: &str| {
        let found = candidates(&Mm4Address::parse(text).unwrap(), prefix);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of("+15555550102/TYPE=PLMN@x.example", "+"), ["+15555550102"]);
    assert_eq!(of("0015555550102/TYPE=PLMN", "00"), ["0015555550102", "15555550102"]);
    assert_eq!(of("15555550102@mms.peer.example", "+"), ["15555550102@mms.peer.example", "15555550102"]);
    assert_eq!(of("someone@mail.example", "+"), ["someone@mail.example"]);
}

fn bounce(status: &str, returned: &str) -> Result<Incoming, Unreadable> {
    let mail = format!(
        "From: MAILER-DAEMON@mms.peer.example\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n\
         --b\nContent-Type: text/plain\n\nsorry\n\
         --b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n{status}\n\
         --b\nContent-Type: message/rfc822\n\n{returned}\n--b--\n"
    );
    read(&intake("", mail.replace('\n', "\r\n")))
}

#[test]
fn a_bounce_is_a_failure_of_the_message_it_gives_back() {
    let failed = "Final-Recipient: rfc822; +15555550102/TYPE=PLMN@mms.peer.example\nAction: failed\n\
                  Status: 5.1.1\nDiagnostic-Code: smtp; 550 nobody\n";
    let ours =
        format!("X-Mms-Transaction-ID: \"{ID}-0\"\nX-Mms-Message-ID: \"{ID}@mms.own.example\"\n\nbody");
    let Ok(Incoming::Report { report, answer: None }) = bounce(failed, &ours) else { panic!("no report") };
    assert_eq!((report.state, report.code), (State::Failed, Code::UNKNOWN));
    assert_eq!(report.about.transaction, Some(format!("{ID}-0")));
    assert_eq!(numbers(&report.recipients), ["+15555550102"]);
    assert_eq!(report.description.as_deref(), Some("smtp; 550 nobody"));
    let delayed = failed.replace("failed", "delayed");
    assert!(matches!(bounce(&delayed, &ours), Ok(Incoming::Nothing(_))));
    assert!(matches!(bounce(failed, "Subject: other\n\nx"), Ok(Incoming::Nothing(_))));
    let plain = read(&intake("", "Subject: away\r\n\r\nI am away"));
    assert!(matches!(plain, Ok(Incoming::Nothing(_))));
}

#[test]
fn bounces_with_many_blocks_end() {
    let blocks = "Action: failed\n\n".repeat(5_000);
    let ours = format!("X-Mms-Transaction-ID: {ID}-0\n\n");
    let Ok(Incoming::Report { report, answer: None }) = bounce(&blocks, &ours) else { panic!("no report") };
    assert_eq!((report.code, report.carrier_status.as_str()), (Code::UNSPECIFIED, "5.0.0"));
}

#[test]
fn a_report_that_asks_for_it_is_answered_within_the_carriers_domains() {
    let asked = |kind: &str, headers: &str| {
        let status = if kind == "delivery_report" {
            "X-Mms-MM-Status-Code: Retrieved"
        } else {
            "X-Mms-Read-Status: Read"
        };
        let mail = format!(
            "X-Mms-Message-Type: MM4_{kind}.REQ\nX-Mms-Transaction-ID: \"T9\"\nX-Mms-Message-ID: \"{ID}@x\"\n\
             From: +15555550102/TYPE=PLMN\n{status}\n{headers}\n"
        );
        match understand(&mail) {
            Ok(Incoming::Report { answer, .. }) => answer,
            other => panic!("{other:?}"),
        }
    };
    let to = |kind, address: &str| AnswerTo {
        kind,
        address: address.to_owned(),
        transaction: "\"T9\"".into(),
        message: Some(format!("\"{ID}@x\"")),
    };
    let yes = "X-Mms-Ack-Request: Yes\n";
    let system = "system-user@mms.peer.example";
    assert_eq!(asked("delivery_report", yes), Some(to(ReportKind::Delivery, system)));
    assert_eq!(asked("read_reply_report", yes), Some(to(ReportKind::Read, system)));
    let sender = asked("delivery_report", &format!("{yes}Sender: PostMaster@mms.peer.example\n"));
    assert_eq!(sender, Some(to(ReportKind::Delivery, "PostMaster@mms.peer.example")));
    let foreign = asked("delivery_report", &format!("{yes}Sender: victim@mail.example\n"));
    assert_eq!(foreign, Some(to(ReportKind::Delivery, system)));
    assert_eq!(asked("delivery_report", "X-Mms-Ack-Request: No\n"), None);
    assert_eq!(asked("delivery_report", ""), None);
}

#[test]
fn what_cannot_be_read_is_refused_where_an_answer_is_wanted() {
    let refused = |mail: &str| understand(mail).unwrap_err().answer;
    let asks = "X-Mms-Ack-Request: Yes\n";
    for (kind, answered) in [
        ("MM4_forward.REQ", ReportKind::Acknowledgement),
        ("MM4_delivery_report.REQ", ReportKind::Delivery),
        ("MM4_read_reply_report.REQ", ReportKind::Read),
    ] {
        let answer =
            refused(&format!("X-Mms-Message-Type: {kind}\n{asks}X-Mms-Message-ID: \"M\"\n\n")).unwrap();
        assert_eq!((answer.to.kind, answer.code), (answered, Code::MALFORMED));
        assert_eq!((answer.to.transaction.as_str(), answer.to.message.as_deref()), ("", Some("\"M\"")));
        assert_eq!(answer.to.address, "system-user@mms.peer.example");
        assert_eq!(answer.description.as_deref(), Some("no X-Mms-Transaction-ID"));
        assert_eq!(refused(&format!("X-Mms-Message-Type: {kind}\n\n")), None, "nobody asked");
    }
    let unknown =
        refused(&format!("X-Mms-Message-Type: MM4_dance.REQ\nX-Mms-Transaction-ID: T\n{asks}\n")).unwrap();
    assert_eq!((unknown.to.kind, unknown.code), (ReportKind::Acknowledgement, Code::UNSUPPORTED));
    let res = format!("X-Mms-Message-Type: MM4_forward.RES\n{asks}\n");
    assert_eq!(refused(&res), None, "an answer is never answered");
    assert_eq!(refused(&format!("Subject: spam\n{asks}\nbuy")), None);
    let deep: String =
        (0..60).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect();
    let bomb = format!(
        "X-Mms-Message-Type: MM4_forward.REQ\nX-Mms-Transaction-ID: T\nX-Mms-Message-ID: M\n{asks}{deep}"
    );
    assert_eq!(refused(&bomb).map(|answer| answer.code), Some(Code::MALFORMED));
}
