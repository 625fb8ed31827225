//! Messages as peers write them: samples, where they lie beside the checkout, their twins in the corpus,
//! and what the writer of this project writes.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use mmsgw_domain::{IntakeJob, IntakeKind};
use mmsgw_engine::{InboundContent, Incoming, Unreadable};

use super::*;
use crate::testing::{self, settings};

fn read(content_type: &str, body: &[u8], sections: &str) -> Result<Incoming, Unreadable> {
    let intake = IntakeJob {
        kind: IntakeKind::Http { content_type: content_type.into() },
        peer: "192.0.2.1:9".into(),
        raw: Bytes::copy_from_slice(body),
    };
    Translator::new(&settings(sections)).read(&intake, &mm7::Limits::default())
}

fn message(content_type: &str, body: &[u8], sections: &str) -> InboundMessage {
    match read(content_type, body, sections) {
        Ok(Incoming::Message(message)) => *message,
        other => panic!("{other:?}"),
    }
}

/// What a message says, a line for each thing.
fn said(message: &InboundMessage) -> Vec<String> {
    let to = message.recipients.iter().map(|(kind, address)| format!("{kind:?} {address}"));
    let mut lines = vec![format!("{} > {}", message.origin, to.collect::<Vec<_>>().join(", "))];
    let facts = [
        ("subject", &message.content.subject),
        ("linked", &message.linked_id),
        ("reply charging", &message.reply_charging_id),
        ("relay", &message.relay_server),
        ("handset", &message.ua_caps),
    ];
    lines.extend(facts.iter().filter_map(|(name, fact)| Some(format!("{name} {}", fact.as_ref()?))));
    lines.extend(message.priority.map(|priority| format!("priority {priority:?}")));
    lines.extend(message.parts.iter().map(|part| {
        let content = match &part.content {
            InboundContent::Text(text) => format!("{:?}", text.chars().take(24).collect::<String>()),
            InboundContent::Octets(octets) => format!("{} octets", octets.len()),
        };
        format!("{} {} {content}", part.name, part.content_type)
    }));
    lines
}

fn beside(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

/// A file of samples, with the HTTP head that some have taken off.
fn sample(name: &str) -> Option<Result<Incoming, Unreadable>> {
    let body = std::fs::read(beside("../../../shared/spec/samples/mm7").join(name)).ok()?;
    let start = match body.starts_with(b"POST ") {
        true => body.windows(2).position(|pair| pair == b"\n\n")? + 2,
        false => 0,
    };
    Some(read("multipart/related", &body[start..], "# with-ids\n"))
}

/// Needs the samples beside the checkout; without them their twins in the corpus must do.
#[test]
fn samples_read_as_what_they_mean() {
    for (name, addresses, parts) in [
        (
            "comverse-style-deliver-req-text-content.mime",
            "972555000100@OMMS.com > To Reminder",
            &["forecast-location2000102-86453 text/plain"][..],
        ),
        (
            "comverse-style-deliver-req-nested-mixed-cid-mismatch.mime",
            "972555000100@OMMS.com > To Reminder",
            &["part-1.txt text/plain", "saturn.gif image/gif"],
        ),
        (
            "nokia-mc5-deliver-req-related.mime",
            "+385910000001 > To 88888",
            &["main.smil application/smil", "Bomb.gif image/gif"],
        ),
        (
            "cn-rel5-1-0-deliver-req-bare-sender.mime",
            "13800000001 > To 13900000001, Cc 13900000003, Bcc 13900000002",
            &["main.smil application/smil", "Bomb.gif image/gif"],
        ),
        (
            "china-mobile-deliver-req-8bit-binary.mime",
            "+8613800000000 > To 10085",
            &["smil.xml application/smil", "1447137257000.jpg image/jpeg", "text_0.txt text/plain"],
        ),
    ] {
        let Some(read) = sample(name) else { return };
        let Ok(Incoming::Message(message)) = read else { panic!("{name}: {read:?}") };
        assert_eq!(said(&message)[0], addresses, "{name}");
        let named = message.parts.iter().map(|part| format!("{} {}", part.name, part.content_type));
        assert_eq!(named.collect::<Vec<_>>(), parts, "{name}");
    }
    for name in ["sinch-deliver-req.xml", "sinch-deliver-req-http.txt"] {
        let refused = sample(name).unwrap().unwrap_err();
        assert!(refused.reason.contains("soap-env"), "{name}: {refused}");
    }
    for name in ["celcom-delivery-report-req-shortcode-plmn.xml", "sinch-delivery-report-req.xml"] {
        assert!(matches!(sample(name), Some(Ok(Incoming::Report { .. }))), "{name}");
    }
    assert!(matches!(sample("sinch-submit-req.xml"), Some(Ok(Incoming::Message(_)))));
}

/// Content-Type and body of each request in the corpus.
fn corpus() -> Vec<(String, String, Vec<u8>)> {
    let files = std::fs::read_dir(beside("../../corpus/mm7")).unwrap().map(|file| file.unwrap().path());
    let requests = files.filter(|path| path.extension().is_some_and(|end| end == "http"));
    let read = requests.map(|path| {
        let whole = std::fs::read(&path).unwrap();
        let at = whole.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let head = String::from_utf8(whole[..at].to_vec()).unwrap();
        let content_type = head.strip_prefix("Content-Type: ").unwrap_or_default().to_owned();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), content_type, whole[at + 2..].to_vec())
    });
    read.collect()
}

#[test]
fn the_corpus_reads_as_what_it_means() {
    let corpus = corpus();
    for (name, want) in [
        ("content-boundary-with-its-dashes", &["+15555550101 > To svc", "p image/jpeg 4 octets"][..]),
        ("content-cid-mismatch", &["+15555550101 > To svc", "pic-1 image/jpeg 4 octets"]),
        ("content-cid-missing", &["+15555550101 > To svc", "pic-1 image/jpeg 4 octets"]),
        ("content-cid-percent", &["+15555550101 > To svc", "1@x.example image/jpeg 4 octets"]),
        ("content-cid-with-space", &["+15555550101 > To svc", "pic-1 image/jpeg 4 octets"]),
        ("content-cid-without-brackets", &["+15555550101 > To svc", "id.content image/jpeg 4 octets"]),
        (
            "content-flat",
            &["+15555550101 > To svc", "a image/jpeg 4 octets", "b text/plain \"Gr\u{fc}\u{df}e\""],
        ),
        (
            "content-nested-mixed",
            &["+15555550101 > To svc", "part-1.txt text/plain \"hello\"", "g image/gif 14 octets"],
        ),
        ("content-no-content-element", &["+15555550101 > To svc", "pic-1 image/jpeg 4 octets"]),
        ("content-qualified-href-root-without-id", &["15555550101 > To svc", "c1 image/jpeg 4 octets"]),
        (
            "request-bare-sender-identification",
            &["15555550101 > To 4567, Cc 15555550103", "reply charging r-9"],
        ),
        ("request-bogus-namespace", &["+15555550101 > To svc"]),
        ("request-misspellings", &["4567 > To 15555550102"]),
        ("request-no-namespace-out-of-order", &["shop > To 15555550102"]),
        ("request-prefixed-lower-case", &["+15555550101 > To 4567", "subject hi"]),
        ("request-soap-1-2", &["+15555550101 > To svc"]),
        (
            "request-transaction-padded-foreign-children",
            &["15555550101@mms.example > To svc", "subject this one"],
        ),
        ("request-utf-16-declared-utf-8-sent", &["+15555550101 > To svc", "subject Gr\u{fc}\u{df}e"]),
    ] {
        let (_, content_type, body) = corpus.iter().find(|(known, ..)| known == name).expect(name);
        assert_eq!(said(&message(content_type, body, "# with-ids\n")), want, "{name}");
    }
    for (name, content_type, body) in corpus.iter().filter(|(name, ..)| !name.starts_with("content-")) {
        let read = read(content_type, body, "");
        let is_answer = name.starts_with("fault-") || name.starts_with("response-");
        assert!(!is_answer || read.is_err(), "{name} is no request: {read:?}");
    }
}

#[test]
fn damaged_requests_do_no_harm() {
    let mut taken = 0;
    for (_, content_type, body) in corpus() {
        for cut in (0..body.len()).step_by(17) {
            let _ = read(&content_type, &body[..cut], "");
            let mut damaged = body.clone();
            damaged[cut] = damaged[cut].wrapping_mul(37) ^ 0x5a;
            taken += usize::from(read(&content_type, &damaged, "").is_ok());
        }
    }
    assert!(taken > 50, "damage in the content is no reason to refuse a message");
}

/// A DeliverReq with these elements.
fn deliver(elements: &str) -> InboundMessage {
    message("text/xml", testing::deliver("tx-1", elements).as_bytes(), "")
}

const FROM: &str = "<Sender><Number>+15555550101</Number></Sender>";

#[test]
fn everything_that_a_delivery_says_is_kept() {
    let got = deliver(&format!(
        "<MMSRelayServerID>mmsc</MMSRelayServerID><LinkedID>l-1</LinkedID>{FROM}\
         <Recipients><To><ShortCode>54321</ShortCode></To></Recipients><ReplyChargingID>rc-1</ReplyChargingID>\
         <Priority>High</Priority><Subject> a&#9;b&#10;c </Subject><ApplicID>app</ApplicID>\
         <ReplyApplicID>re</ReplyApplicID><AuxApplicInfo>aux</AuxApplicInfo>\
         <UACapabilities UAProf=\"http://ua.example/x\"/><Content href=\"cid:x\" allowAdaptations=\"false\"/>"
    ));
    let lines = [
        "+15555550101 > To 54321",
        "subject a b c",
        "linked l-1",
        "reply charging rc-1",
        "relay mmsc",
        "handset http://ua.example/x",
        "priority High",
    ];
    assert_eq!(said(&got), lines);
    assert_eq!((got.peer_ref.as_deref(), got.content.content_adaptation), (Some("tx-1"), Some(false)));
    assert_eq!(got.carrier_ids, Some(CarrierIds { transaction: "tx-1".into(), message: None }));
    let apps = [&got.handling_app, &got.reply_to_app, &got.app_info].map(|app| app.as_deref().unwrap());
    assert_eq!(apps, ["app", "re", "aux"]);
    assert_eq!((got.ack_requested, got.dr_requested, got.rr_requested), (None, None, None));
    assert_eq!(got.content.origin, got.origin);
    let least = deliver("");
    assert_eq!(said(&least), ["unknown > To unknown"]);
    assert_eq!(least.content, TemplateContent::new(Address::from_carrier("")));
}

#[test]
fn a_message_to_nobody_is_for_the_service() {
    let to = |elements: &str, sections: &str| {
        let body = testing::deliver("tx-1", elements);
        said(&message("text/xml", body.as_bytes(), sections))[0].split(" > ").nth(1).unwrap().to_owned()
    };
    let shown = "<Recipients><To><Number displayOnly=\"true\">+15555550102</Number></To>\
        <Cc><Number>+15555550103</Number><Number>15555550103</Number></Cc></Recipients>";
    assert_eq!(to(shown, ""), "Cc +15555550103");
    let only = "<Recipients><To><Number displayOnly=\"true\">+15555550102</Number></To></Recipients>";
    assert_eq!(to(only, "# with-ids\n"), "To svc");
    assert_eq!(to("<VASPID>v</VASPID>", "# with-ids\n"), "To svc");
    assert_eq!(to("<VASPID>v</VASPID><VASID>54321</VASID>", "# with-ids\n"), "To 54321");
    assert_eq!(to("<VASPID>v</VASPID>", ""), "To v");
    assert_eq!(to("", ""), "To unknown");
}

#[test]
fn numbers_come_out_of_whatever_they_are_wrapped_in() {
    let translator = Translator::new(&settings(
        "[addressing]\norigin_suffix = '@in.example'\ndest_suffix = '@out.example'\n",
    ));
    for (text, want) in [
        ("+15555550101", "+15555550101"),
        ("+15555550101/TYPE=PLMN@mmsc.example", "+15555550101"),
        ("15555550101/Type=PLMN", "15555550101"),
        ("+15555550101@in.example", "+15555550101"),
        ("54321@out.example", "54321"),
        ("a@b.example", "a@b.example"),
        ("x/TYPE=PLMN@b.example", "x/TYPE=PLMN@b.example"),
        ("Hidden\nSender", "HiddenSender"),
        ("", "unknown"),
    ] {
        let address = mm7::Address::new(mm7::AddressKind::Rfc2822, text);
        assert_eq!(translator.numbering.stated(Some(&address)).as_str(), want, "{text}");
    }
    assert_eq!(translator.numbering.stated(None).as_str(), "unknown");
}

#[test]
fn a_repetition_has_the_same_fingerprint_and_nothing_else_has() {
    let to = |number: &str| format!("<Recipients><To><Number>{number}</Number></To></Recipients>");
    let of = |transaction: &str, elements: &str| {
        message("text/xml", testing::deliver(transaction, elements).as_bytes(), "").fingerprint
    };
    let first = of("tx-1", &format!("{FROM}{}", to("1234567")));
    let again = of("tx-1", &format!("{FROM}{}<TimeStamp>2026-01-01T00:00:00Z</TimeStamp>", to("1234567")));
    assert_eq!(first, again);
    for other in [
        of("tx-2", &format!("{FROM}{}", to("1234567"))),
        of("tx-1", &format!("{FROM}{}", to("1234568"))),
        of("tx-1", &to("1234567")),
        of("tx-1", &format!("<LinkedID>l</LinkedID>{FROM}{}", to("1234567"))),
    ] {
        assert_ne!(first, other);
    }
    let one = "<Recipients><To><Number>1234567</Number><Number>1234568</Number></To></Recipients>";
    let two = "<Recipients><To><Number>1234568</Number><Number>1234567</Number></To></Recipients>";
    assert_eq!(of("tx-1", one), of("tx-1", two), "the order says nothing");
    let long = of(&"t".repeat(5000), FROM);
    assert!(long.len() < 100 && long != of(&"t".repeat(5001), FROM), "{long}");
}

fn submit_req(provider: &str) -> mm7::SubmitReq {
    mm7::SubmitReq {
        sender: mm7::SenderIdentification { vasp_id: Some(provider.into()), ..Default::default() },
        recipients: mm7::Recipients::to(mm7::Address::number("+15555550101")),
        ..mm7::SubmitReq::default()
    }
}

#[test]
fn a_submission_gets_one_id_however_often_it_comes() {
    let group = |name: &str| name.parse::<GroupName>().unwrap();
    let first = message_id(&group("a"), "tx-1", &submit_req("v"));
    assert_eq!(first, message_id(&group("a"), "tx-1", &submit_req("v")));
    assert!(first.len() == 35 && first.starts_with("in-"), "{first}");
    for other in [
        message_id(&group("b"), "tx-1", &submit_req("v")),
        message_id(&group("a"), "tx-2", &submit_req("v")),
        message_id(&group("a"), "tx-1", &submit_req("w")),
        message_id(&group("a"), "tx-1v", &submit_req("")),
    ] {
        assert_ne!(first, other);
    }
}

#[test]
fn times_of_a_submission() {
    let facts = |change: fn(&mut mm7::SubmitReq)| {
        let mut request = submit_req("v");
        change(&mut request);
        let facts = submitted_facts(&request, Address::from_carrier("1234567"));
        let at = |time: Option<Timestamp>| time.map(Timestamp::as_secs);
        (at(facts.earliest_delivery), at(facts.latest_delivery), facts.expire_after.map(|d| d.as_secs()))
    };
    let none = (None, None, None);
    assert_eq!(facts(|_| {}), none);
    assert_eq!(facts(|r| r.expiry_date = When::parse("P1DT1H")), (None, None, Some(90_000)));
    assert_eq!(facts(|r| r.expiry_date = When::parse("-P1D")), none);
    assert_eq!(facts(|r| r.expiry_date = When::parse("1970-01-01T00:01:00Z")), (None, Some(60), None));
    assert_eq!(facts(|r| r.earliest_delivery_time = When::parse("PT1M")), none, "from when?");
    assert_eq!(
        facts(|r| r.earliest_delivery_time = When::parse("1970-01-01T00:01:00Z")),
        (Some(60), None, None)
    );
    let dated = facts(|r| {
        r.time_stamp = Some(jiff::Timestamp::UNIX_EPOCH);
        r.earliest_delivery_time = When::parse("PT1M");
    });
    assert_eq!(dated, (Some(60), None, None));
    assert_eq!(facts(|r| r.expiry_date = When::parse("P4000000000Y")), none);
}

/// What our own sender writes, with content, as one body.
async fn submission(outbound: &mmsgw_engine::Outbound, sections: &str) -> (String, Vec<u8>) {
    let settings = settings(sections);
    let renderer = crate::render::Renderer::new(&settings.dialect, 1 << 20);
    let content = renderer.content(&outbound.content).await.unwrap().unwrap();
    let to = (outbound.recipients.as_slice(), outbound.transaction_id.as_str());
    let request = Translator::new(&settings).submit(outbound, to, Some(crate::render::CONTENT_ID));
    let envelope = mm7::write_envelope(&request, &mm7::WriteOptions::default()).unwrap();
    let packaged =
        mm7::package((&envelope, mm7::Charset::default()), &content.entity, crate::render::CONTENT_ID, "b")
            .unwrap();
    (packaged.content_type, [packaged.head, packaged.body, packaged.tail].concat())
}

#[tokio::test]
async fn what_our_sender_writes_our_reader_reads() {
    let outbound = testing::outbound_with_everything();
    for dialect in
        ["", "[dialect]\ntransfer = 'base64'\ncontent_layout = 'mixed'\nnumber_type_suffix = true\n"]
    {
        let (content_type, body) = submission(&outbound, &format!("# with-ids\n{dialect}")).await;
        let got = message(&content_type, &body, "");
        let sent = &outbound.content.template.content;
        let to: Vec<_> = outbound.recipients.iter().map(|r| (r.kind, r.address.clone())).collect();
        assert_eq!((&got.origin, &got.recipients), (&outbound.message.origin, &to));
        let facts = TemplateContent {
            earliest_delivery: sent.earliest_delivery.map(|at| Timestamp::from_secs(at.as_secs())),
            parts: Vec::new(),
            ..sent.clone()
        };
        assert_eq!(got.content, facts);
        assert_eq!((got.dr_requested, got.rr_requested, got.ack_requested), (Some(true), Some(false), None));
        assert_eq!((got.priority, &got.linked_id), (outbound.message.priority, &outbound.message.linked_id));
        assert_eq!(got.handling_app, outbound.message.handling_app);
        let ids = got.carrier_ids.unwrap();
        assert_eq!((&ids.transaction, &ids.message), (&outbound.transaction_id, &got.peer_ref));
        let smil = String::from_utf8(outbound.content.bodies[0].to_vec()).unwrap();
        assert_eq!(got.parts[0].content, InboundContent::Text(smil));
        assert_eq!(got.parts[1].content, InboundContent::Octets(outbound.content.bodies[1].clone()));
        assert_eq!([&got.parts[0].name, &got.parts[1].name], ["s.smil", "a.jpg"]);
    }
}

#[test]
fn parts_are_flat_text_is_utf_8_and_names_are_safe() {
    let leaf =
        |headers: &str, body: &[u8]| [b"--b\r\n", headers.as_bytes(), b"\r\n\r\n", body, b"\r\n"].concat();
    let body = [
        leaf("Content-Type: text/plain; charset=iso-8859-1; name=\"../../a\u{0}b.txt\"", b"Gr\xfc\xdfe"),
        leaf("Content-Type: text/plain; charset=utf-16\r\nContent-Location: dir/u.txt", b"\xff\xfeh\0i\0"),
        leaf("Content-Type: text/plain; charset=euc-kr\r\nContent-ID: <k@x>", b"\xb0\xa1"),
        leaf("Content-Type: image/jpeg\r\nContent-Disposition: attachment; filename=\"p.jpg\"", b"\xff\xd8"),
        leaf("X-Nothing: said", b"\xff\x00\xfe"),
        leaf(
            "Content-Type: multipart/mixed; boundary=c",
            b"--c\r\nContent-Type: image/gif\r\n\r\nGIF\r\n--c--",
        ),
        leaf("Content-Type: application/smil\r\nContent-Location: s.smil", b"<smil/>"),
        b"--b--\r\n".to_vec(),
    ]
    .concat();
    let tree =
        mmsgw_mime::read_parts("multipart/mixed; boundary=b", body.into(), &mmsgw_mime::Limits::DEFAULT);
    let got = InboundMessage { parts: parts(Some(&tree.unwrap())), ..deliver("") };
    let want = [
        "s.smil application/smil \"<smil/>\"",
        "ab.txt text/plain \"Gr\u{fc}\u{df}e\"",
        "u.txt text/plain \"hi\"",
        "k@x text/plain \"\u{ac00}\"",
        "p.jpg image/jpeg 2 octets",
        "part-6 application/octet-stream 3 octets",
        "part-7.gif image/gif 3 octets",
    ];
    assert_eq!(said(&got)[1..], want);
}
