//! Every mail of `corpus/mm4` against its expected reading beside it (`UPDATE_EXPECT=1` writes
//! that anew), and what matters about single ones.

use bytes::Bytes;
use expect_test::expect_file;
use mmsgw_mime::{Entity, Limits, smil};
use mmsgw_mm4::{
    Expiry, Id, Mm4Address, MmStatus, Pdu, ReadError, ReadStatus, Reason, Received, RequestStatus, read,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/mm4")
}

fn mails(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "eml"))
        .collect();
    found.sort();
    found
}

fn load(name: &str) -> Result<Received, ReadError> {
    let octets = std::fs::read(corpus().join(name).with_extension("eml")).unwrap();
    read(Bytes::from(octets), &Limits::DEFAULT)
}

fn pdu(name: &str) -> Pdu {
    load(name).unwrap().pdu
}

/// Everything that was found in a mail; what is absent is left out.
fn show(result: &Result<Received, ReadError>) -> String {
    let text = match result {
        Ok(received) => {
            let parts = received.content.iter().flat_map(|content| content.leaves()).map(show_part);
            format!("{:#?}\n{}", received.pdu, parts.collect::<String>())
        }
        Err(error) => format!("{error:#?}\n"),
    };
    let absent = |line: &&str| line.ends_with(": None,") || line.ends_with(": [],");
    text.lines().filter(|line| !absent(line)).map(|line| format!("{line}\n")).collect()
}

fn show_part(part: &Entity) -> String {
    let body = part.body().unwrap();
    let shown = part.text().unwrap_or_else(|| format!("{body:?}"));
    format!(
        "part {} name={:?} id={:?} {} octets: {shown:?}\n",
        part.media_type.essence(),
        part.name(),
        part.content_id(),
        body.len()
    )
}

#[test]
fn every_mail_reads_as_expected() {
    let mails = mails(&corpus());
    assert!(mails.len() >= 14, "the corpus is not there");
    for path in mails {
        let result = read(Bytes::from(std::fs::read(&path).unwrap()), &Limits::DEFAULT);
        expect_file![path.with_extension("txt")].assert_eq(&show(&result));
    }
}

#[test]
fn references_find_their_parts() {
    for name in ["related-capitalised-params", "script-client"] {
        let content = load(name).unwrap().content.unwrap();
        let root = content.root().unwrap();
        assert!(root.media_type.is_smil(), "{name}");
        for reference in smil::references(&root.text().unwrap()) {
            let by_name =
                || content.parts().iter().find(|part| part.content_location().as_deref() == Some(&reference));
            assert!(content.part_by_id(&reference).or_else(by_name).is_some(), "{name}: {reference}");
        }
    }
}

#[test]
fn the_root_is_the_part_that_start_names() {
    let content = load("twenty-recipients-folded").unwrap().content.unwrap();
    assert_eq!(content.root().unwrap().text().unwrap().trim_end(), "<smil/>");
    let Pdu::ForwardReq(req) = pdu("twenty-recipients-folded") else { panic!("another PDU") };
    assert_eq!((req.to.len(), req.subject.as_deref()), (20, Some("היי allé")));
    assert_eq!((req.message_class, req.priority, req.expiry), (None, None, None));
}

#[test]
fn expiry_in_seconds_and_hops_in_order() {
    let Pdu::ForwardReq(req) = pdu("expiry-in-seconds") else { panic!("another PDU") };
    assert_eq!(req.expiry, Some(Expiry::In(Duration::from_secs(600))));
    assert_eq!(req.head.date.unwrap().to_string(), "2026-03-03T09:15:00Z");
    assert_eq!(req.previously_sent[0].address, Some(Mm4Address::number("+15555550111")));
    assert_eq!(req.previously_sent[0].at.unwrap().to_string(), "2026-03-02T10:00:00Z");
    assert_eq!(req.previously_sent[1].position, 2);
}

#[test]
fn ids_are_echoed_as_they_came() {
    let echo = pdu("related-capitalised-params").echo();
    let (_, res) = echo.res(RequestStatus::Ok).unwrap();
    assert_eq!(res.head.transaction_id.raw(), "\"4711@mms.alpha.example\"");
    assert_eq!(res.to.as_deref(), Some("PostMaster@mms.alpha.example"));
}

#[test]
fn a_missing_transaction_id_can_still_be_answered() {
    let error = load("missing-transaction-id").unwrap_err();
    assert_eq!(error.reason, Reason::MissingTransactionId);
    let (kind, mut res) = error.echo.res(RequestStatus::ErrorMessageFormatCorrupt).unwrap();
    res.head.sender = Some("system-user@own.example".to_owned());
    let mail = String::from_utf8(res.write(kind, &mmsgw_mm4::WriteOptions::default()).unwrap()).unwrap();
    assert!(mail.contains("To: system-user@peer.example\r\n"));
    assert!(mail.contains("X-Mms-Message-ID: \"nt-1\"\r\n"));
    assert!(mail.contains("X-Mms-Request-Status-Code: Error-message-format-corrupt\r\n"));
}

#[test]
fn names_of_others_for_the_status() {
    let Pdu::DeliveryReportReq(report) = pdu("report-other-status-name") else { panic!("another PDU") };
    assert_eq!(report.status, MmStatus::Unrecognised);
    assert_eq!(report.report.from, Some(Mm4Address::number("15555550102")));
    let Pdu::ReadReplyReportReq(report) = pdu("read-report-other-name") else { panic!("another PDU") };
    assert_eq!(report.status, ReadStatus::DeletedWithoutBeingRead);
    let Pdu::ForwardRes(res) = pdu("res-numeric-status") else { panic!("another PDU") };
    assert_eq!((res.status.is_ok(), res.recipients.len()), (false, 2));
    let Pdu::ForwardRes(res) = pdu("res-bare-minimum") else { panic!("another PDU") };
    assert!(res.status.is_transient());
    assert_eq!(res.head.transaction_id, Id::new("T-9"));
}

/// Captures that are not part of this repository, where they are at hand: each must give a PDU with
/// an id, a version and, if it is a message, parts that the presentation refers to.
#[test]
fn captures_at_hand() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec/samples/mm4");
    if !dir.is_dir() {
        return;
    }
    for path in mails(&dir) {
        let shown = path.display();
        let received = read(Bytes::from(std::fs::read(&path).unwrap()), &Limits::DEFAULT)
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert!(received.pdu.head().version.is_some() && received.pdu.head().date.is_some(), "{shown}");
        match &received.pdu {
            Pdu::ForwardReq(req) => {
                assert!(
                    req.from.as_ref().unwrap().is_e164() && req.to.iter().all(Mm4Address::is_e164),
                    "{shown}"
                );
                assert!(
                    req.wishes.ack_request == Some(true) && received.pdu.echo().reply_to.is_some(),
                    "{shown}"
                );
                check_presentation(&received.content.unwrap(), &path);
            }
            Pdu::ForwardRes(res) => assert!(res.status.is_ok() && res.message_id.is_some(), "{shown}"),
            other => panic!("{shown}: {:?}", other.kind()),
        }
    }
}

fn check_presentation(content: &Entity, path: &Path) {
    let shown = path.display();
    assert!(!content.parts().is_empty(), "{shown}");
    let Some(root) = content.parts().iter().find(|part| part.media_type.is_smil()) else { return };
    let references = smil::references(&root.text().unwrap());
    assert!(!references.is_empty(), "{shown}");
    for reference in references {
        let found = content.parts().iter().any(|part| part.content_location().as_deref() == Some(&reference));
        assert!(found, "{shown}: {reference}");
    }
}
