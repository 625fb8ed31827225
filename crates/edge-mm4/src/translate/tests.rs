use std::sync::Arc;
use std::time::Duration;

use mmsgw_domain::Timestamp;

use super::*;
use crate::tests::{NOW, content, message, outbound, part, recipient, settings};

fn simple(recipients: &[&str]) -> Outbound {
    outbound(message(recipients), content(vec![part("t.txt", "text/plain", "x")]))
}

/// The header block of the only mail of a message.
fn head(settings: &Mm4Settings, outbound: &Outbound) -> String {
    let translator = Translator::new(settings);
    let batches = translator.batches(outbound);
    let [batch] = batches.as_slice() else { panic!("{batches:?}") };
    let body = mmsgw_mime::write::Entity {
        content_type: "text/plain".into(),
        transfer: None,
        content_id: None,
        content_location: None,
        body: bytes::Bytes::new(),
    };
    let head = translator.request(outbound, batch).write_head(&body, &translator.options).unwrap();
    String::from_utf8(head).unwrap()
}

fn assert_has(head: &str, lines: &[&str]) {
    for line in lines {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "no {line:?} in\n{head}");
    }
}

#[test]
fn what_is_absent_is_not_stated() {
    let outbound = simple(&["+15555550102"]);
    let id = outbound.message.id;
    let head = head(&settings(), &outbound);
    let names: Vec<&str> =
        head.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "Date",
            "Sender",
            "Message-ID",
            "From",
            "To",
            "MIME-Version",
            "Content-Type",
            "X-Mms-3GPP-MMS-Version",
            "X-Mms-Message-Type",
            "X-Mms-Transaction-ID",
            "X-Mms-Message-ID"
        ]
    );
    assert!(head.starts_with("Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"), "{head}");
    assert_has(
        &head,
        &[
            "Sender: 54321/TYPE=PLMN@mms.own.example",
            "From: 54321/TYPE=PLMN",
            "To: +15555550102/TYPE=PLMN",
            "X-Mms-3GPP-MMS-Version: 6.10.0",
            "X-Mms-Message-Type: MM4_forward.REQ",
            &format!("X-Mms-Transaction-ID: \"{id}-0\""),
            &format!("X-Mms-Message-ID: \"{id}@mms.own.example\""),
            &format!("Message-ID: <{id}-0@mms.own.example>"),
        ],
    );
}

#[test]
fn every_option_has_its_header() {
    let mut message = message(&["+15555550102", "15555550103"]);
    message.recipients[1].kind = RecipientKind::Cc;
    message.recipients.push(Recipient { kind: RecipientKind::Bcc, ..recipient("+15555550104") });
    message.priority = Some(Priority::High);
    (message.ack_requested, message.dr_requested, message.rr_requested) =
        (Some(true), Some(true), Some(false));
    message.handling_app = Some("app".into());
    message.reply_to_app = Some("reply".into());
    message.app_info = Some("info".into());
    let mut content = content(vec![]);
    let options = &mut content.template.content;
    options.subject = Some("Grüße".into());
    options.message_class = Some(MessageClass::Informational);
    options.content_class = Some(ContentClass::VideoRich);
    options.show_sender = Some(false);
    options.latest_delivery = Some(Timestamp::from_secs(1_700_086_400));
    options.expire_after = Some(Duration::from_secs(60));
    options.drm = Some(true);
    options.content_adaptation = Some(false);
    let mut settings = settings();
    settings.features.mmsip_address = Some("ip".into());
    settings.features.forward_route = Some("forth".into());
    settings.features.return_route = Some("back".into());
    settings.dialect.originator_rs_delivery_report = Some(true);
    let head = head(&settings, &outbound(message, content));
    assert_has(
        &head,
        &[
            "To: +15555550102/TYPE=PLMN",
            "Cc: +15555550103/TYPE=PLMN",
            "Subject: =?utf-8?B?R3LDvMOfZQ==?=",
            "X-Mms-Message-Class: Informational",
            "X-Mms-Content-Class: video-rich",
            "X-Mms-Sender-Visibility: Hide",
            "X-Mms-Expiry: Wed, 15 Nov 2023 22:13:20 GMT",
            "X-Mms-Drm-Content: Yes",
            "X-Mms-Adaptation-Allowed: No",
            "X-Mms-Priority: High",
            "X-Mms-Ack-Request: Yes",
            "X-Mms-Originator-System: system-user@mms.own.example",
            "X-Mms-Delivery-Report: Yes",
            "X-Mms-Originator-R/S-Delivery-Report: Yes",
            "X-Mms-Read-Reply: No",
            "X-Mms-Applic-ID: app",
            "X-Mms-Reply-Applic-ID: reply",
            "X-Mms-Aux-Applic-Info: info",
            "X-Mms-MMSIP-Address: ip",
            "X-Mms-Forward-Route: forth",
            "X-Mms-Return-Route: back",
        ],
    );
    assert!(!head.contains("0104"), "a hidden recipient is shown:\n{head}");
}

#[test]
fn each_word_of_ours_is_one_of_the_standards() {
    use mm4::Word;
    let classes = [
        MessageClass::Personal,
        MessageClass::Advertisement,
        MessageClass::Informational,
        MessageClass::Auto,
    ];
    let words = classes.map(|class| message_class(class).as_str().to_owned());
    assert_eq!(words, ["Personal", "Advertisement", "Informational", "Auto"]);
    let contents = [
        ContentClass::Text,
        ContentClass::ImageBasic,
        ContentClass::ImageRich,
        ContentClass::VideoBasic,
        ContentClass::VideoRich,
        ContentClass::Megapixel,
        ContentClass::ContentBasic,
        ContentClass::ContentRich,
    ];
    for class in contents {
        assert_eq!(content_class(class).as_str(), class.name());
    }
    let words = [Priority::Low, Priority::Normal, Priority::High].map(|p| priority(p).as_str().to_owned());
    assert_eq!(words, ["Low", "Normal", "High"]);
    assert_eq!(visibility(true), mm4::Visibility::Show);
}

#[test]
fn a_time_span_counts_from_when_the_message_was_made() {
    let mut outbound = simple(&["+15555550102"]);
    let content = &mut Arc::get_mut(&mut outbound.content).unwrap().template.content;
    content.expire_after = Some(Duration::from_secs(600));
    outbound.now = NOW.after(Duration::from_secs(60));
    assert_has(&head(&settings(), &outbound), &["X-Mms-Expiry: 540"]);
    outbound.now = NOW.after(Duration::from_secs(6_000));
    assert_has(&head(&settings(), &outbound), &["X-Mms-Expiry: 1"]);
}

#[test]
fn the_dialect_changes_ids_addresses_and_headers() {
    let mut settings = settings();
    settings.dialect.quote_ids = false;
    settings.dialect.domain_in_addresses = true;
    settings.dialect.system_sender = true;
    settings.dialect.omit_headers = vec!["mime-version".into()];
    settings.dialect.extra_headers.insert("X-Hub".into(), "yes".into());
    settings.addressing.dest_prefix = String::new();
    settings.addressing.dest_suffix = String::new();
    settings.dialect.version = "5.5.0".into();
    let outbound = simple(&["+15555550102", "someone@mail.example"]);
    let head = head(&settings, &outbound);
    let id = outbound.message.id;
    assert_has(
        &head,
        &[
            "Sender: system-user@mms.own.example",
            "From: 54321/TYPE=PLMN@mms.own.example",
            "To: 15555550102@mmsc.carrier.example, someone@mail.example",
            &format!("X-Mms-Transaction-ID: {id}-0"),
            "X-Mms-3GPP-MMS-Version: 5.5.0",
            "X-Hub: yes",
        ],
    );
    assert!(!head.contains("MIME-Version"));
    let translator = Translator::new(&settings);
    let envelope = translator.envelope(&outbound, &translator.batches(&outbound)[0], 7);
    assert_eq!(envelope.mail_from, "system-user@mms.own.example");
    assert_eq!(envelope.rcpt_to, ["15555550102@mmsc.carrier.example", "someone@mail.example"]);
    assert_eq!(envelope.size, 7);
}

#[test]
fn hidden_recipients_alone_still_make_a_legal_mail() {
    let mut message = message(&["+15555550104"]);
    message.recipients[0].kind = RecipientKind::Bcc;
    let head = head(&settings(), &outbound(message, content(vec![])));
    assert_has(&head, &["To: 54321/TYPE=PLMN"]);
    assert!(!head.contains("0104"));
}

#[test]
fn a_retransmission_repeats_the_transaction_of_each_mail() {
    let mut settings = settings();
    settings.dialect.recipients_per_mail = 2;
    let numbers = ["+15555550101", "+15555550102", "+15555550103", "+15555550104", "+15555550105"];
    let mut all = simple(&numbers);
    let translator = Translator::new(&settings);
    let marks = |outbound: &Outbound| -> Vec<String> {
        translator
            .batches(outbound)
            .iter()
            .map(|batch| translator.request(outbound, batch).head.transaction_id.bare().to_owned())
            .collect()
    };
    let first = marks(&all);
    let transaction = all.transaction_id.clone();
    assert_eq!(
        first,
        [format!("{transaction}.b1-2"), format!("{transaction}.b3-4"), format!("{transaction}.15555550105")]
    );
    assert!(first.iter().all(|mark| Message::id_in(mark) == Some(all.message.id)));
    all.recipients.drain(..3);
    assert_eq!(marks(&all), first[1..]);
    assert_eq!(translator.batches(&all)[0].recipients.len(), 1);
}

#[test]
fn a_mark_tells_its_number() {
    let outbound = simple(&["+15555550102"]);
    let id = &outbound.transaction_id;
    assert_eq!(marked_number(&format!("{id}.15555550102")), Some("15555550102".parse().unwrap()));
    for none in [id.clone(), format!("{id}.b1"), format!("{id}."), "x.15555550102".into(), "é".repeat(40)] {
        assert_eq!(marked_number(&none), None, "{none}");
    }
    assert_eq!(marked_places(&format!("{id}.b1-2")), Some(0..2));
    for none in
        [id.clone(), format!("{id}.b1"), format!("{id}.b0-2"), format!("{id}.b3-2"), format!("{id}.b1-x")]
    {
        assert_eq!(marked_places(&none), None, "{none}");
    }
}
