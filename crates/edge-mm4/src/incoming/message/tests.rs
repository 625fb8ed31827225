use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{IntakeJob, IntakeKind};
use mmsgw_engine::Incoming;
use mmsgw_mime::write::{self, Layout, Leaf, Transfer};
use mmsgw_mime::{Limits, MediaType};
use mmsgw_mm4::{Id, IdStyle, WriteOptions};
use proptest::prelude::*;

use super::*;
use crate::config::Mm4Settings;
use crate::tests::settings;

fn carrier() -> Mm4Settings {
    let mut settings = settings();
    settings.outbound.remote_domain = Some("mms.peer.example".into());
    settings
}

fn read_with(
    settings: &Mm4Settings,
    mail_from: &str,
    rcpt_to: &[&str],
    raw: impl Into<Bytes>,
) -> InboundMessage {
    let rcpt_to = rcpt_to.iter().map(|text| (*text).to_owned()).collect();
    let kind = IntakeKind::Mail { mail_from: mail_from.into(), rcpt_to };
    let intake = IntakeJob { kind, peer: "192.0.2.1:9".into(), raw: raw.into() };
    match Reader::new(settings, Limits::DEFAULT).read(&intake) {
        Ok(Incoming::Message(message)) => *message,
        other => panic!("{other:?}"),
    }
}

/// A message with these headers besides the three that must be, to one number of ours.
fn with(headers: &str) -> InboundMessage {
    full(&["+15555550102/TYPE=PLMN@mms.own.example"], headers, "x")
}

fn full(rcpt_to: &[&str], headers: &str, body: &str) -> InboundMessage {
    let raw = format!(
        "X-Mms-Message-Type: MM4_forward.REQ\nX-Mms-Transaction-ID: T\nX-Mms-Message-ID: M\n{headers}\n{body}"
    );
    read_with(&carrier(), "+15555550101/TYPE=PLMN@mms.peer.example", rcpt_to, raw.replace('\n', "\r\n"))
}

fn named(message: &InboundMessage) -> Vec<(RecipientKind, &str)> {
    message.recipients.iter().map(|(kind, address)| (*kind, address.as_str())).collect()
}

fn leaf(content_type: &str, name: Option<&str>, body: &[u8]) -> Leaf {
    Leaf {
        media_type: content_type.parse().unwrap(),
        name: name.map(str::to_owned),
        content_id: format!("id-{}", body.len()),
        content_location: name.map(str::to_owned),
        body: Bytes::copy_from_slice(body),
    }
}

/// A request that says everything there is to say.
fn everything() -> ForwardReq {
    let mut req = ForwardReq::new(Id::new("\"T 1\""), Id::new("\"M-1@mms.peer.example\""));
    req.head.date = Some("2023-11-14T22:13:20Z".parse().unwrap());
    req.head.sender = Some("+15555550101/TYPE=PLMN@mms.peer.example".into());
    req.head.mail_id = Some("mail-1@mms.peer.example".into());
    req.from = Some(Mm4Address::number("+15555550101"));
    req.to = vec![Mm4Address::number("+15555550102"), Mm4Address::number("+15555550199")];
    req.cc = vec![Mm4Address::number("+15555550103")];
    req.subject = Some("Grüße".into());
    req.message_class = Some(mm4::MessageClass::Informational);
    req.priority = Some(mm4::Priority::High);
    req.sender_visibility = Some(Visibility::Hide);
    req.expiry = Some(Expiry::In(Duration::from_secs(600)));
    req.wishes = Wishes {
        delivery_report: Some(false),
        originator_rs_delivery_report: Some(true),
        read_reply: Some(true),
        ack_request: Some(true),
    };
    req.originator_system = Some("PostMaster@mms.peer.example".into());
    req.forward_counter = Some(2);
    req.previously_sent = vec![mm4::PreviouslySent {
        position: 1,
        address: Some(Mm4Address::number("+15555550199")),
        at: Some(Timestamp::from_secs(1_600_000_000).to_jiff()),
    }];
    req.applic = mm4::ApplicIds {
        applic_id: Some("app".into()),
        reply_applic_id: Some("reply".into()),
        aux_applic_info: Some("info".into()),
    };
    req.content_class = Some(mm4::ContentClass::VideoRich);
    req.drm_content = Some(true);
    req.adaptation_allowed = Some(false);
    req
}

fn written(req: &ForwardReq, leaves: &[Leaf], layout: Layout) -> Vec<u8> {
    let entity = write::entity(leaves, layout, Transfer::Mail, "boundary").unwrap();
    let options = WriteOptions { id_style: IdStyle::AsIs, ..WriteOptions::default() };
    let mut mail = req.write_head(&entity, &options).unwrap();
    mail.extend_from_slice(&entity.body);
    mail
}

#[test]
fn a_request_with_every_header_comes_through() {
    let leaves = [
        leaf("text/plain; charset=utf-8", Some("t.txt"), "héllo".as_bytes()),
        leaf("application/smil", Some("show.smil"), b"<smil/>"),
        leaf("image/jpeg", Some("../a b.jpg"), &[0xff, 0xd8, 0, 1]),
    ];
    let layout = Layout::Related { start: "id-7".into(), root_type: "application/smil".into() };
    let envelope = ["+15555550103", "+15555550102", "+15555550104"];
    let envelope = envelope.map(|number| format!("{number}/TYPE=PLMN@mms.own.example"));
    let envelope = envelope.each_ref().map(String::as_str);
    let mail = written(&everything(), &leaves, layout);
    let message = read_with(&carrier(), "", &envelope, mail);
    let origin: Address = "+15555550101".parse().unwrap();
    let number = |text: &str| text.parse::<Address>().unwrap();
    let part = |name: &str, content_type: &str, content| InboundPart {
        name: name.into(),
        content_type: content_type.into(),
        content,
    };
    let expected = InboundMessage {
        origin: origin.clone(),
        recipients: vec![
            (RecipientKind::Cc, number("+15555550103")),
            (RecipientKind::To, number("+15555550102")),
            (RecipientKind::Bcc, number("+15555550104")),
        ],
        content: TemplateContent {
            origin,
            show_sender: Some(false),
            earliest_delivery: None,
            latest_delivery: None,
            expire_after: Some(Duration::from_secs(600)),
            message_class: Some(MessageClass::Informational),
            content_class: Some(ContentClass::VideoRich),
            charged_party: None,
            charged_party_id: None,
            drm: Some(true),
            content_adaptation: Some(false),
            can_redistribute: None,
            defaults: mmsgw_domain::Variables::new(),
            personal: false,
            reply_charging: None,
            reply_charging_size: None,
            reply_deadline: None,
            delivery_conditions: None,
            subject: Some("Grüße".into()),
            parts: vec![],
        },
        parts: vec![
            part("show.smil", "application/smil", InboundContent::Text("<smil/>".into())),
            part("t.txt", "text/plain", InboundContent::Text("héllo".into())),
            part("a b.jpg", "image/jpeg", InboundContent::Octets(Bytes::from_static(&[0xff, 0xd8, 0, 1]))),
        ],
        fingerprint: "M-1@mms.peer.example|15555550102,15555550103,15555550104".into(),
        ack_requested: Some(true),
        dr_requested: Some(true),
        rr_requested: Some(true),
        peer_ref: Some("M-1@mms.peer.example".into()),
        carrier_ids: Some(CarrierIds {
            transaction: "\"T 1\"".into(),
            message: Some("\"M-1@mms.peer.example\"".into()),
        }),
        ack_at_addr: Some("PostMaster@mms.peer.example".into()),
        linked_id: None,
        priority: Some(Priority::High),
        relay_server: None,
        ua_caps: None,
        reply_charging_id: None,
        handling_app: Some("app".into()),
        reply_to_app: Some("reply".into()),
        app_info: Some("info".into()),
        service_code: None,
        forward_counter: Some(2),
        previously_sent: vec![PreviouslySent {
            position: 1,
            address: Some(number("+15555550199")),
            at: Some(Timestamp::from_secs(1_600_000_000)),
        }],
    };
    assert_eq!(message, expected);
}

#[test]
fn what_is_absent_stays_absent() {
    let message = with("");
    assert_eq!(message.origin.as_str(), "+15555550101", "MAIL FROM has to do");
    assert_eq!(named(&message), [(RecipientKind::Bcc, "+15555550102")]);
    let content = &message.content;
    assert_eq!((content.show_sender, content.message_class, content.content_class), (None, None, None));
    assert_eq!((content.latest_delivery, content.expire_after, &content.subject), (None, None, &None));
    assert_eq!((content.drm, content.content_adaptation, message.priority), (None, None, None));
    assert_eq!((message.ack_requested, message.dr_requested, message.rr_requested), (None, None, None));
    assert_eq!(message.ack_at_addr.as_deref(), Some("+15555550101/TYPE=PLMN@mms.peer.example"));
}

#[test]
fn the_envelope_decides_who_gets_it() {
    let many = "To: +15555550190/TYPE=PLMN, +15555550102, +15555550191/TYPE=PLMN\nCc: 54321/TYPE=PLMN\n";
    assert_eq!(named(&with(many)), [(RecipientKind::To, "+15555550102")]);
    let rcpt_to = [
        "15555550102/type=plmn@MMS.own.example",
        "54321@mms.own.example",
        "+15555550102@mms.own.example",
        "someone@mms.own.example",
    ];
    let message = full(&rcpt_to, many, "x");
    assert_eq!(named(&message), [(RecipientKind::To, "15555550102"), (RecipientKind::Cc, "54321")]);
}

#[test]
fn a_system_mailbox_alone_leaves_it_to_the_headers() {
    let listed = "To: +15555550102/TYPE=PLMN\nCc: +15555550103/TYPE=PLMN, a@b.example\n";
    let message = full(&["system-user@mms.own.example"], listed, "x");
    let both = [(RecipientKind::To, "+15555550102"), (RecipientKind::Cc, "+15555550103")];
    assert_eq!(named(&message), both);
    assert_eq!(named(&full(&[], listed, "x")), both);
    let nobody = full(&["system-user@mms.own.example"], "", "x");
    assert_eq!(named(&nobody), [(RecipientKind::Bcc, "system-user@mms.own.example")]);
}

#[test]
fn numbers_lose_what_the_settings_put_round_them() {
    let mut settings = carrier();
    settings.addressing.origin_prefix = "00".into();
    settings.addressing.origin_suffix = "-MMS".into();
    settings.addressing.dest_prefix = "99".into();
    let raw = "X-Mms-Message-Type: MM4_forward.REQ\r\nX-Mms-Transaction-ID: T\r\nX-Mms-Message-ID: M\r\n\
               From: 9915555550101/TYPE=PLMN\r\n\r\n";
    let message = read_with(&settings, "", &["0015555550102-mms@mms.own.example"], raw);
    assert_eq!(named(&message), [(RecipientKind::Bcc, "+15555550102")]);
    assert_eq!(message.origin.as_str(), "+15555550101");
}

#[test]
fn where_a_message_comes_from() {
    for (from, origin) in [
        ("+15555550109/TYPE=PLMN", "+15555550109"),
        ("<+15555550109/TYPE=PLMN@mms.peer.example>", "+15555550109"),
        ("15555550109@mms.peer.example", "15555550109"),
        ("15555550109@mail.example", "15555550109@mail.example"),
        ("Someone <someone@mail.example>", "someone@mail.example"),
        ("192.0.2.7/TYPE=IPv4", "192.0.2.7/TYPE=IPv4"),
        ("Anonymous", "Anonymous"),
    ] {
        let message = with(&format!("From: {from}\n"));
        assert_eq!((message.origin.as_str(), &message.content.origin), (origin, &message.origin), "{from}");
    }
    let sender = with("Sender: +15555550108/TYPE=PLMN@mms.peer.example\n");
    assert_eq!(sender.origin.as_str(), "+15555550108");
    let raw =
        "X-Mms-Message-Type: MM4_forward.REQ\r\nX-Mms-Transaction-ID: T\r\nX-Mms-Message-ID: M\r\n\r\nx";
    assert_eq!(read_with(&carrier(), "", &[], raw).origin.as_str(), "unknown");
}

#[test]
fn words_of_others_and_odd_texts() {
    let odd = with(
        "X-Mms-Message-Class: Spam\nX-Mms-Priority: Urgent\nX-Mms-Sender-Visibility: Perhaps\n\
         X-Mms-Content-Class: hologram\nX-Mms-Expiry: soon\nSubject: =?utf-8?Q?a=0D=0Ab=07?=\n",
    );
    assert_eq!((odd.content.message_class, odd.content.content_class), (None, None));
    assert_eq!((odd.priority, odd.content.show_sender, odd.content.expire_after), (None, None, None));
    let subject = odd.content.subject.unwrap();
    assert!(!subject.contains(char::is_control) && subject.starts_with('a') && subject.contains('b'));
    let dated = with("X-Mms-Expiry: Tue, 14 Nov 2023 22:13:20 GMT\n");
    assert_eq!(dated.content.latest_delivery, Some(Timestamp::from_secs(1_700_000_000)));
    for (headers, wished) in [
        ("X-Mms-Delivery-Report: Yes\n", Some(true)),
        ("X-Mms-Delivery-Report: No\n", Some(false)),
        ("X-Mms-Delivery-Report: No\nX-Mms-Originator-R/S-Delivery-Report: Yes\n", Some(true)),
        ("X-Mms-Delivery-Report: Yes\nX-Mms-Originator-R/S-Delivery-Report: No\n", Some(true)),
    ] {
        assert_eq!(with(headers).dr_requested, wished, "{headers}");
    }
}

#[test]
fn an_answer_goes_to_the_carrier_and_nobody_else() {
    let at = |headers: &str| with(headers).ack_at_addr;
    let user = Some("+15555550101/TYPE=PLMN@mms.peer.example".to_owned());
    assert_eq!(
        at("X-Mms-Originator-System: system=sys@mms.peer.example;party=x\n").as_deref(),
        Some("sys@mms.peer.example")
    );
    assert_eq!(at("Sender: a@mms.peer.example\n").as_deref(), Some("a@mms.peer.example"));
    assert_eq!(at("X-Mms-Originator-System: victim@mail.example\n"), user);
    let stranger = "X-Mms-Message-Type: MM4_forward.REQ\r\nX-Mms-Transaction-ID: T\r\nX-Mms-Message-ID: M\r\n\
                    Sender: a@mail.example\r\nX-Mms-Originator-System: victim@mail.example\r\n\r\n";
    assert_eq!(read_with(&carrier(), "b@mail.example", &[], stranger).ack_at_addr, None);
    let mut settings = carrier();
    settings.inbound.trusted_domains = vec!["mail.example".into()];
    let trusted = read_with(&settings, "b@mail.example", &[], stranger);
    assert_eq!(trusted.ack_at_addr.as_deref(), Some("victim@mail.example"));
}

#[test]
fn bodies_of_all_shapes() {
    let text = full(
        &[],
        "Content-Type: text/plain; Charset=\"UTF-16\"\nContent-Transfer-Encoding: BASE64\n",
        "/v8AaADp",
    );
    assert_eq!(text.parts.len(), 1);
    assert_eq!(
        (text.parts[0].name.as_str(), text.parts[0].content_type.as_str()),
        ("part-1.txt", "text/plain")
    );
    assert_eq!(text.parts[0].content, InboundContent::Text("hé".into()));
    let quoted = full(
        &[],
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: Quoted-Printable\n",
        "caf=C3=A9 =3D =\nok",
    );
    assert_eq!(quoted.parts[0].content, InboundContent::Text("café = ok".into()));
    let image = full(
        &[],
        "Content-Type: image/GIF; name=\"x/../cat.gif\"\nContent-Transfer-Encoding: base64\n",
        "R0lG",
    );
    let octets = InboundContent::Octets(Bytes::from_static(b"GIF"));
    let cat = InboundPart { name: "cat.gif".into(), content_type: "image/gif".into(), content: octets };
    assert_eq!(image.parts, [cat]);
    assert!(full(&[], "Content-Type: text/plain\n", "").parts.is_empty());
    let nested = full(
        &[],
        "Content-Type: multipart/mixed; boundary=a\n",
        "--a\nContent-Type: image/png\n\np\n--a\nContent-Type: multipart/related; boundary=b\n\n\
         --b\nContent-Type: text/plain\n\nt\n--b\nContent-Type: application/smil; name=0.smil\n\n<smil/>\n--b--\n\
         --a\nContent-Type: x/y\nContent-Disposition: attachment; filename=\"z.dat\"\n\nz\n--a--\n",
    );
    let names: Vec<_> = nested.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["0.smil", "part-2.png", "part-3.txt", "z.dat"]);
}

#[test]
fn a_repetition_has_the_same_fingerprint_and_another_recipient_has_not() {
    let to = |rcpt_to: &[&str], transaction: &str| {
        let raw = format!(
            "X-Mms-Message-Type: MM4_forward.REQ\r\nX-Mms-Transaction-ID: {transaction}\r\nX-Mms-Message-ID: M\r\n\r\n"
        );
        read_with(&carrier(), "", rcpt_to, raw).fingerprint
    };
    let (a, b) = ("+15555550102/TYPE=PLMN@mms.own.example", "+15555550103/TYPE=PLMN@mms.own.example");
    assert_eq!(to(&[a, b], "T"), to(&[b, a, a], "\"T2\""));
    assert_ne!(to(&[a], "T"), to(&[b], "T"));
    let many: Vec<String> = (0..200).map(|n| format!("+1555555{n:04}/TYPE=PLMN@mms.own.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = to(&many, "T");
    assert!(long.len() <= MAX_FINGERPRINT && long != to(&many[1..], "T"), "{long}");
}

#[test]
fn a_mail_out_of_a_file_has_other_line_ends() {
    let raw = "Return-Path: <a@b.example>\nX-Mms-Message-Type: MM4_forward.REQ\nX-Mms-Transaction-ID: T\n\
               X-Mms-Message-ID: M\nContent-Type: multipart/mixed; boundary=b\n\n\
               --b\nContent-Type: text/plain\n\nt\n--b\nContent-Type: image/gif; name=a.gif\n\nGIF\n--b--\n";
    let parts = read_with(&carrier(), "", &[], raw).parts;
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0].content, InboundContent::Text("t".into()));
    assert_eq!(parts[1].content, InboundContent::Octets(Bytes::from_static(b"GIF")));
}

#[test]
fn the_dialects_of_the_corpus_become_messages() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/mm4");
    let mut messages = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let raw = Bytes::from(std::fs::read(&path).unwrap());
        let is_message = mmsgw_mm4::read(raw.clone(), &Limits::DEFAULT)
            .is_ok_and(|received| matches!(received.pdu, mm4::Pdu::ForwardReq(_)));
        if path.extension().is_some_and(|extension| extension == "eml") && is_message {
            let message = read_with(&carrier(), "", &["+15555550102/TYPE=PLMN@mms.own.example"], raw);
            assert_eq!(message.recipients.len(), 1, "{}", path.display());
            assert!(is_number(&message.origin) && !message.parts.is_empty(), "{}", path.display());
            messages += 1;
        }
    }
    assert!(messages >= 4, "only {messages}");
}

fn content_type() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("text/plain; charset=utf-8"),
        Just("image/jpeg"),
        Just("application/smil"),
        Just("video/3gpp")
    ]
}

proptest! {
    /// Whatever our writer says in a body, the reader tells the application.
    #[test]
    fn parts_come_through(bodies in prop::collection::vec((content_type(), "[ -~é\r\n]{1,80}"), 1..5)) {
        let leaves: Vec<Leaf> = bodies.iter().enumerate().map(|(index, (content_type, body))| Leaf {
            content_id: format!("id-{index}"),
            ..leaf(content_type, Some(&format!("p{index}")), body.as_bytes())
        }).collect();
        let mail = written(&everything(), &leaves, Layout::Mixed);
        let mut parts = read_with(&carrier(), "", &[], mail).parts;
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        prop_assert_eq!(parts.len(), bodies.len());
        for (part, (content_type, body)) in parts.iter().zip(&bodies) {
            let media_type: MediaType = content_type.parse().unwrap();
            prop_assert_eq!(&part.content_type, media_type.essence());
            match &part.content {
                InboundContent::Text(text) => prop_assert_eq!(text, body),
                InboundContent::Octets(octets) => prop_assert_eq!(&octets[..], body.as_bytes()),
            }
        }
    }

    /// Nothing that can stand in a mail makes the reader fail in another way than by saying so.
    #[test]
    fn hostile_mails_are_read_or_refused(headers in "(\\PC{0,40}\n){0,8}", body in "\\PC{0,200}", rcpt in "\\PC{0,40}") {
        let raw = format!("X-Mms-Message-Type: MM4_forward.REQ\nX-Mms-Transaction-ID: T\nX-Mms-Message-ID: M\n{headers}\n{body}");
        let kind = IntakeKind::Mail { mail_from: rcpt.clone(), rcpt_to: vec![rcpt] };
        let intake = IntakeJob { kind, peer: String::new(), raw: raw.into() };
        if let Ok(Incoming::Message(message)) = Reader::new(&carrier(), Limits::DEFAULT).read(&intake) {
            prop_assert!(message.parts.iter().all(|part| !part.name.is_empty() && !part.name.contains('/')));
        }
    }
}
