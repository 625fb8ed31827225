//! What is written: expected texts, the schema, and what must be refused or escaped.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use expect_test::expect_file;
use mmsgw_mm7::{
    Address, Charset, Context, ErrorSide, FaultKind, Limits, Message, Namespace, Pdu, Prefixes,
    ReadErrorKind, Recipients, Status, SubmitReq, WriteError, WriteOptions, package, read_request,
    read_response, write_envelope, write_fault,
};

use crate::examples::{all, message, submit};

const PREFIXED: WriteOptions = WriteOptions { prefixes: Prefixes::Mm7, bare_sender: false };

/// All PDUs as one text, an element a line.
fn listing(namespace: &Namespace, options: &WriteOptions) -> String {
    let mut text = String::new();
    for pdu in all() {
        let message = Message::new("tx-1", namespace.clone(), pdu);
        match write_envelope(&message, options) {
            Ok(octets) => text += &String::from_utf8(octets).unwrap().replace("><", ">\n<"),
            Err(error) => text += &error.to_string(),
        }
        text += "\n\n";
    }
    text
}

#[test]
fn every_operation_is_written_as_expected() {
    expect_file!["./written-rel-6.txt"].assert_eq(&listing(&Namespace::LATEST, &WriteOptions::default()));
}

#[test]
fn release_5_prefixed_with_bare_senders_is_written_as_expected() {
    let options = WriteOptions { bare_sender: true, ..PREFIXED };
    expect_file!["./written-rel-5.txt"].assert_eq(&listing(&Namespace::named("REL-5-MM7-1-0"), &options));
}

#[test]
fn what_is_written_is_valid_by_the_schema() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/spec/xsd/mm7-REL-6-MM7-1-4.reconstructed.xsd");
    if !schema.exists() || Command::new("xmllint").arg("--version").output().is_err() {
        eprintln!("skipped: needs xmllint and the schema at {}", schema.display());
        return;
    }
    for options in [WriteOptions::default(), PREFIXED] {
        for pdu in all() {
            validate(&schema, &write_envelope(&message(pdu), &options).unwrap());
        }
    }
    for kind in KINDS {
        validate(&schema, &write_fault(kind, None, &Context::default(), ErrorSide::Vasp));
    }
    let good = String::from_utf8(write_envelope(&message(all().remove(1)), &PREFIXED).unwrap()).unwrap();
    let bad = good.replace("StatusCode", "StatusKode");
    assert!(check(&schema, bad.as_bytes()).is_err(), "the schema is not looked at");
    let sparse = SubmitReq { recipients: Recipients::to(Address::number("1")), ..SubmitReq::default() };
    validate(&schema, &write_envelope(&message(Pdu::SubmitReq(Box::new(sparse))), &PREFIXED).unwrap());
}

/// Panics with what xmllint says if the envelope is not valid.
fn validate(schema: &Path, envelope: &[u8]) {
    if let Err(said) = check(schema, envelope) {
        panic!("{said}\n{}", String::from_utf8_lossy(envelope));
    }
}

fn check(schema: &Path, envelope: &[u8]) -> Result<(), String> {
    let mut command = Command::new("xmllint");
    command.args(["--nonet", "--noout", "--schema"]).arg(schema).arg("-");
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(envelope).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

const KINDS: [FaultKind; 10] = [
    FaultKind::Malformed,
    FaultKind::WrongEnvelope,
    FaultKind::MustUnderstand,
    FaultKind::UnknownOperation,
    FaultKind::UnsupportedVersion,
    FaultKind::Unidentified,
    FaultKind::Unauthorized,
    FaultKind::Overloaded,
    FaultKind::Internal,
    FaultKind::Refused,
];

#[test]
fn markup_in_values_stays_text() {
    for text in [
        "Tom & Jerry <b>]]>",
        "</Subject><Subject>x",
        "\"quoted\" 'twice'",
        "--edge\r\n--edge--",
        "a\tb\nc\rd",
        "&amp;",
        "\u{1F600}",
    ] {
        let mut request = submit();
        request.subject = Some(text.into());
        request.sender.vasp_id = Some(text.into());
        request.content.as_mut().unwrap().href = Some(text.into());
        let sent = message(Pdu::SubmitReq(Box::new(request)));
        for options in [WriteOptions::default(), PREFIXED] {
            let octets = write_envelope(&sent, &options).unwrap();
            let read = read_request(Some("text/xml"), octets.into(), &Limits::default()).unwrap();
            assert_eq!(read.message, sent);
        }
    }
}

#[test]
fn what_xml_cannot_carry_is_refused_by_name() {
    let refused = |change: fn(&mut Message)| {
        let mut message = message(Pdu::SubmitReq(Box::new(submit())));
        change(&mut message);
        write_envelope(&message, &WriteOptions::default()).unwrap_err()
    };
    let edit = |change: fn(&mut SubmitReq)| {
        let mut request = submit();
        change(&mut request);
        write_envelope(&message(Pdu::SubmitReq(Box::new(request))), &WriteOptions::default()).unwrap_err()
    };
    let illegal = |field, character| WriteError::IllegalCharacter { field, character };
    assert_eq!(refused(|m| m.transaction_id.push('\0')), illegal("TransactionID", '\0'));
    assert_eq!(refused(|m| m.version.push('\u{B}')), illegal("MM7Version", '\u{B}'));
    assert_eq!(edit(|r| r.subject = Some("a\u{1}".into())), illegal("Subject", '\u{1}'));
    assert_eq!(edit(|r| r.recipients.to[0].value.push('\u{FFFE}')), illegal("Number", '\u{FFFE}'));
    assert_eq!(edit(|r| r.recipients = Recipients::default()), WriteError::Missing { field: "Recipients" });
    assert_eq!(edit(|r| r.delivery_condition = vec![0]), WriteError::NotPositive { field: "DC" });
    assert_eq!(edit(|r| r.recipients.to[0].id = Some("1 x".into())), WriteError::NotAName { field: "id" });
    assert_eq!(edit(|r| r.content.as_mut().unwrap().href = None), WriteError::Missing { field: "href" });
}

#[test]
fn a_fault_speaks_the_words_of_its_request() {
    let context = Context {
        transaction_id: Some("t<\u{1}1".into()),
        namespace: Some(Namespace::named("REL-6-MM7-9-9")),
        version: Some("6.9.0".into()),
        operation: None,
    };
    for kind in KINDS {
        for side in [ErrorSide::RelayServer, ErrorSide::Vasp] {
            let octets = write_fault(kind, None, &context, side);
            let read = read_response(Some("text/xml"), octets.into(), &Limits::default()).unwrap();
            assert_eq!(read.transaction_id.as_deref(), Some("t<1"));
            assert_eq!((read.namespace.schema(), read.version.as_str()), ("REL-6-MM7-9-9", "6.9.0"));
            assert_eq!(read.status(), &Status::of(kind.status_code()));
            let Pdu::Fault(fault) = read.pdu else { panic!("{:?}", read.pdu) };
            assert_eq!((fault.code, fault.side), (kind.code(), side));
        }
    }
    let own = Status { code: 0, text: "\0no".into(), details: Some("\u{2}why".into()) };
    let octets = write_fault(FaultKind::Overloaded, Some(own), &Context::default(), ErrorSide::Vasp);
    let read = read_response(None, octets.into(), &Limits::default()).unwrap();
    assert_eq!(read.status(), &Status { code: 4006, text: "no".into(), details: Some("why".into()) });
    assert_eq!((FaultKind::Overloaded.http_status(), FaultKind::Malformed.http_status()), (503, 500));
}

#[test]
fn a_package_reads_back_with_its_content() {
    let content = mmsgw_mime::write::Entity {
        content_type: "image/jpeg".into(),
        transfer: Some("binary"),
        content_id: None,
        content_location: None,
        body: Bytes::from_static(b"\r\n--edge\r\n\xFF\xD8--edge--\r\n"),
    };
    let mut request = submit();
    request.subject = Some("--edge".into());
    let sent = message(Pdu::SubmitReq(Box::new(request)));
    let envelope = write_envelope(&sent, &WriteOptions::default()).unwrap();
    let packaged = package((&envelope, Charset::default()), &content, "content", "edge").unwrap();
    let body = Bytes::from([&packaged.head[..], &packaged.body[..], &packaged.tail[..]].concat());
    let read = read_request(Some(&packaged.content_type), body, &Limits::default()).unwrap();
    assert_eq!(read.message, sent);
    assert_eq!(read.content.unwrap().body(), Some(&content.body));
}

#[test]
fn requests_and_responses_are_not_mixed_up() {
    for pdu in all() {
        let octets = Bytes::from(write_envelope(&message(pdu.clone()), &WriteOptions::default()).unwrap());
        let as_request = read_request(None, octets.clone(), &Limits::default()).map(|read| read.message.pdu);
        let as_response = read_response(None, octets, &Limits::default()).map(|read| read.pdu);
        let (good, bad) =
            if pdu.is_request() { (as_request, as_response) } else { (as_response, as_request) };
        assert_eq!(bad.unwrap_err().kind, ReadErrorKind::Unexpected { name: pdu.name() });
        let mut good = good.unwrap();
        // The short status has no text to begin with; others read back as they were.
        if let Pdu::ExtendedCancelRsp(status) = &mut good {
            status.details = None;
        }
        assert_eq!(good, pdu);
        assert_eq!(pdu.response(Status::of(1000), None).is_some(), pdu.is_request());
    }
}
