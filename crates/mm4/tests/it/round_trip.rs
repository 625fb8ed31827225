//! What is written is read back the same, and survives a strict mail agent.

use bytes::Bytes;
use jiff::Timestamp;
use mmsgw_mime::write::{Layout, Leaf, Transfer, boundary_for, entity};
use mmsgw_mime::{HeaderError, Limits};
use mmsgw_mm4::{
    ApplicIds, ContentClass, DeliveryReportReq, Expiry, ForwardReq, Head, Id, IdStyle, MessageClass,
    Mm4Address, MmStatus, MmStatusExtension, Pdu, PreviouslySent, Priority, ReadReplyReportReq, ReadStatus,
    Report, RequestStatus, Res, ResKind, Routing, Version, Visibility, Wishes, Word, WriteError,
    WriteOptions, read,
};
use proptest::option::of;
use proptest::prelude::*;
use std::time::Duration;

fn id() -> impl Strategy<Value = Id> {
    "[!#-~]([ !#-~]{0,60}[!#-~])?".prop_map(Id::new)
}

fn at() -> impl Strategy<Value = Timestamp> {
    (0i64..4_000_000_000).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn address() -> impl Strategy<Value = Mm4Address> {
    let email = ("[a-z][a-z0-9._-]{0,20}", "[a-z]{1,10}\\.example");
    prop_oneof![
        "\\+[1-9][0-9]{6,14}".prop_map(Mm4Address::number),
        "[1-9][0-9]{3,7}".prop_map(Mm4Address::number),
        email.prop_map(|(local, domain)| Mm4Address::email(local, domain)),
    ]
}

fn text() -> impl Strategy<Value = String> {
    "[!-~é€😀א]([ -~é€😀א]{0,80}[!#-~é€😀א])?"
        .prop_filter("quotes are stripped", |text| !text.starts_with('"'))
}

fn mailbox() -> impl Strategy<Value = String> {
    "[a-z][a-z.-]{0,15}@[a-z]{1,10}\\.example".prop_map(String::from)
}

fn head() -> impl Strategy<Value = Head> {
    (id(), of(mailbox()), of("[a-z0-9]{1,20}@[a-z]{1,5}"), of(at())).prop_map(
        |(transaction_id, sender, mail_id, date)| Head {
            version: Some(Version::new(6, 10, 0)),
            transaction_id,
            sender,
            mail_id,
            date,
        },
    )
}

fn word<W: Word + std::fmt::Debug>() -> impl Strategy<Value = W> {
    let known: Vec<W> = W::KNOWN.iter().map(|(value, _)| value.clone()).collect();
    prop_oneof![9 => prop::sample::select(known), 1 => "x-[a-z]{1,20}".prop_map(|text| W::other(&text))]
}

fn applic() -> impl Strategy<Value = ApplicIds> {
    (of(text()), of(text()), of(text())).prop_map(|(applic_id, reply_applic_id, aux_applic_info)| ApplicIds {
        applic_id,
        reply_applic_id,
        aux_applic_info,
    })
}

fn wishes() -> impl Strategy<Value = Wishes> {
    any::<[Option<bool>; 4]>().prop_map(
        |[delivery_report, originator_rs_delivery_report, read_reply, ack_request]| Wishes {
            delivery_report,
            originator_rs_delivery_report,
            read_reply,
            ack_request,
        },
    )
}

fn hops() -> impl Strategy<Value = Vec<PreviouslySent>> {
    prop::collection::vec((address(), of(at())), 0..4).prop_map(|hops| {
        let hop = |(position, (address, at))| PreviouslySent { position, address: Some(address), at };
        (1..).zip(hops).map(hop).collect()
    })
}

fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![
        at().prop_map(Expiry::At),
        any::<u32>().prop_map(|seconds| Expiry::In(Duration::from_secs(seconds.into())))
    ]
}

fn forward() -> impl Strategy<Value = ForwardReq> {
    let people = (address(), prop::collection::vec(address(), 1..30), prop::collection::vec(address(), 0..3));
    let shown = (of(text()), of(word()), of(word()), of(word()), of(expiry()));
    let asked = (wishes(), of(mailbox()), any::<Option<u32>>(), hops());
    let release_6 = (applic(), of(word()), any::<[Option<bool>; 2]>(), of(text()), of(text()));
    (head(), id(), people, shown, asked, release_6).prop_map(
        |(head, message_id, people, shown, asked, release_6)| {
            let (subject, message_class, priority, sender_visibility, expiry) = shown;
            let (wishes, originator_system, forward_counter, previously_sent) = asked;
            let (applic, content_class, [drm_content, adaptation_allowed], mmsip_address, forward_route) =
                release_6;
            let return_route = forward_route.clone();
            ForwardReq {
                head,
                message_id,
                from: Some(people.0),
                to: people.1,
                cc: people.2,
                subject,
                message_class,
                priority,
                sender_visibility,
                expiry,
                wishes,
                originator_system,
                forward_counter,
                previously_sent,
                applic,
                content_class,
                drm_content,
                adaptation_allowed,
                routing: Routing { mmsip_address, forward_route, return_route },
            }
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let people = (address(), address());
    (head(), id(), people, any::<Option<bool>>(), of(text()), applic()).prop_map(
        |(head, message_id, (from, to), ack_request, status_text, applic)| Report {
            head,
            message_id,
            from: Some(from),
            to: Some(to),
            ack_request,
            status_text,
            applic,
        },
    )
}

fn res() -> impl Strategy<Value = Res> {
    let recipients = prop::collection::vec("\\+[1-9][0-9]{6,14}".prop_map(Mm4Address::number), 0..4);
    (head(), of(id()), word(), of(text()), recipients, mailbox()).prop_map(
        |(head, message_id, status, status_text, recipients, to)| Res {
            head,
            message_id,
            status,
            status_text,
            recipients,
            to: Some(to),
        },
    )
}

fn options() -> impl Strategy<Value = WriteOptions> {
    let style = prop::sample::select(vec![IdStyle::Quoted, IdStyle::Bare, IdStyle::AsIs]);
    style.prop_map(|id_style| WriteOptions { id_style, ..WriteOptions::default() })
}

/// What a strict agent asks for: ASCII, CRLF and no other CR or LF, lines up to 998.
fn assert_strict(mail: &[u8]) {
    assert!(mail.is_ascii() && !mail.contains(&0));
    let text = std::str::from_utf8(mail).unwrap();
    for line in text.split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "{line:?}");
        assert!(line.is_empty() || !line.trim().is_empty(), "a line of white space only");
    }
}

fn again(mail: Vec<u8>) -> Pdu {
    assert_strict(&mail);
    read(Bytes::from(mail), &Limits::DEFAULT).unwrap().pdu
}

fn leaf(media_type: &str, id: &str, body: &'static [u8]) -> Leaf {
    Leaf {
        media_type: media_type.parse().unwrap(),
        name: None,
        content_id: id.to_owned(),
        content_location: Some(id.to_owned()),
        body: Bytes::from_static(body),
    }
}

proptest! {
    #[test]
    fn forward_requests(req in forward(), options in options()) {
        let leaves = [leaf("application/smil", "p.smil", b"<smil/>"), leaf("image/gif", "a.gif", b"GIF89a\xff")];
        let layout = Layout::Related { start: "p.smil".to_owned(), root_type: "application/smil".to_owned() };
        let body = entity(&leaves, layout, Transfer::Mail, &boundary_for(&leaves, "1")).unwrap();
        let mail = [&req.write_head(&body, &options).unwrap()[..], &body.body].concat();
        assert_strict(&mail);
        let received = read(Bytes::from(mail), &Limits::DEFAULT).unwrap();
        prop_assert_eq!(received.pdu, Pdu::ForwardReq(Box::new(req)));
        let content = received.content.unwrap();
        prop_assert_eq!(content.root().unwrap().body(), Some(&leaves[0].body));
        prop_assert_eq!(content.parts()[1].body(), Some(&leaves[1].body));
    }

    #[test]
    fn delivery_reports(
        report in report(), status in word::<MmStatus>(), extension in of(word::<MmStatusExtension>()),
        forward_to_originator_ua in any::<Option<bool>>(), options in options(),
    ) {
        let req = DeliveryReportReq { report, status, extension, forward_to_originator_ua };
        prop_assert_eq!(again(req.write(&options).unwrap()), Pdu::DeliveryReportReq(req));
    }

    #[test]
    fn read_reply_reports(report in report(), status in word::<ReadStatus>(), options in options()) {
        let req = ReadReplyReportReq { report, status };
        prop_assert_eq!(again(req.write(&options).unwrap()), Pdu::ReadReplyReportReq(req));
    }

    #[test]
    fn answers(res in res(), options in options()) {
        for (kind, pdu) in [
            (ResKind::Forward, Pdu::ForwardRes(res.clone())),
            (ResKind::DeliveryReport, Pdu::DeliveryReportRes(res.clone())),
            (ResKind::ReadReplyReport, Pdu::ReadReplyReportRes(res.clone())),
        ] {
            prop_assert_eq!(again(res.write(kind, &options).unwrap()), pdu);
        }
    }
}

fn plain_request() -> ForwardReq {
    let mut req = ForwardReq::new(Id::new("T-1"), Id::new("M-1"));
    req.from = Some(Mm4Address::number("+15555550101"));
    req.to = vec![Mm4Address::number("+15555550102")];
    req.message_class = Some(MessageClass::Personal);
    req.priority = Some(Priority::Normal);
    req.sender_visibility = Some(Visibility::Hide);
    req.content_class = Some(ContentClass::Text);
    req.head.date = Some(Timestamp::from_second(1_772_532_900).unwrap());
    req
}

#[test]
fn a_forward_request_in_full() {
    let body = entity(&[leaf("text/plain", "t", b"hi")], Layout::Single, Transfer::Mail, "").unwrap();
    let options = WriteOptions {
        omit: vec!["x-mms-content-class".to_owned()],
        extra: vec![("X-Carrier".to_owned(), "7".to_owned())],
        ..WriteOptions::default()
    };
    let head = plain_request().write_head(&body, &options).unwrap();
    let expected = "Date: Tue, 03 Mar 2026 10:15:00 +0000\r\nFrom: +15555550101/TYPE=PLMN\r\n\
        To: +15555550102/TYPE=PLMN\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\
        Content-Transfer-Encoding: 7bit\r\nContent-ID: <t>\r\nContent-Location: t\r\n\
        X-Mms-3GPP-MMS-Version: 6.10.0\r\nX-Mms-Message-Type: MM4_forward.REQ\r\n\
        X-Mms-Transaction-ID: \"T-1\"\r\nX-Mms-Message-ID: \"M-1\"\r\nX-Mms-Message-Class: Personal\r\n\
        X-Mms-Priority: Normal\r\nX-Mms-Sender-Visibility: Hide\r\nX-Carrier: 7\r\n\r\n";
    assert_eq!(String::from_utf8(head).unwrap(), expected);
}

#[test]
fn nothing_breaks_out_of_a_header() {
    let body = entity(&[leaf("text/plain", "t", b"hi")], Layout::Single, Transfer::Mail, "").unwrap();
    let options = WriteOptions::default();
    let mut req = plain_request();
    req.subject = Some("a\r\nX-Mms-Priority: High".to_owned());
    let refused = |req: &ForwardReq| {
        matches!(req.write_head(&body, &options), Err(WriteError::Header(HeaderError::Control { .. })))
    };
    assert!(refused(&req));
    let mut req = plain_request();
    req.to = vec![Mm4Address::number("+1555\r\nBcc: +1556")];
    assert!(refused(&req));
    let mut req = plain_request();
    req.message_id = Id::new("");
    assert_eq!(req.write_head(&body, &options), Err(WriteError::Missing("X-Mms-Message-ID")));
    req.to.clear();
    assert_eq!(req.write_head(&body, &options), Err(WriteError::Missing("To")));
    let (_, res) = Pdu::ForwardReq(Box::new(req)).echo().res(RequestStatus::Ok).unwrap();
    assert_eq!(res.write(ResKind::Forward, &options), Err(WriteError::Missing("To")));
}
