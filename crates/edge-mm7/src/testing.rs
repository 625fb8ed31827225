//! Messages, settings and PDUs for the tests of this crate.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{
    Address, ChargedParty, Code, ContentClass, Direction, Message, MessageClass, MessageId, Part,
    PartContent, PartId, Priority, Recipient, RecipientKind, RevisionId, State, Template, TemplateContent,
    TemplateId, Timestamp,
};
use mmsgw_engine::{Content, Outbound};

use crate::config::Mm7Settings;

pub(crate) const NAMESPACE: &str =
    "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/REL-6-MM7-1-4";

/// Settings of a gateway, with further sections.
pub(crate) fn settings(sections: &str) -> Mm7Settings {
    settings_for("http://127.0.0.1:1/mm7", sections)
}

/// Settings of a gateway whose MMSC is at `url`; `more` begins within `[outbound]`.
pub(crate) fn settings_for(url: &str, more: &str) -> Mm7Settings {
    let ids = if more.contains("with-ids") { "vaspid = 'acct'\nvasid = 'svc'\n" } else { "" };
    let text = format!(
        "[gateway]\nprotocol = 'MM7'\nversion = '6.8.0'\nname = 'east'\ngroup = 'carrier'\n{ids}[outbound]\nremote_host = '{url}'\n{more}"
    );
    toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_700_000_000)
}

fn recipient(address: &str, kind: RecipientKind) -> Recipient {
    Recipient {
        address: address.parse().unwrap(),
        kind,
        state: State::Scheduled,
        code: Code::OK,
        updated: now(),
        peer_ref: None,
        round: 0,
    }
}

fn template_content(parts: Vec<Part>) -> TemplateContent {
    TemplateContent {
        origin: "54321".parse().unwrap(),
        show_sender: None,
        earliest_delivery: None,
        latest_delivery: None,
        expire_after: None,
        message_class: None,
        content_class: None,
        charged_party: None,
        charged_party_id: None,
        drm: None,
        content_adaptation: None,
        can_redistribute: None,
        defaults: mmsgw_domain::Variables::new(),
        personal: false,
        reply_charging: None,
        reply_charging_size: None,
        reply_deadline: None,
        delivery_conditions: None,
        subject: None,
        parts,
    }
}

/// Content of these parts: name, content type, octets.
pub(crate) fn content(parts: &[(&str, &str, &[u8])]) -> Content {
    let part = |(name, content_type, _): &(&str, &str, &[u8])| Part {
        id: PartId::generate(now()),
        name: (*name).to_owned(),
        content_type: (*content_type).to_owned(),
        content: PartContent::Text(String::new()),
    };
    let template = Template {
        id: TemplateId::generate(now()),
        revision: RevisionId::generate(now()),
        created: now(),
        expires: now(),
        content: template_content(parts.iter().map(part).collect()),
    };
    Content::new(template, parts.iter().map(|(_, _, body)| Bytes::copy_from_slice(body)).collect())
}

/// A message without any option to these addresses.
pub(crate) fn outbound(to: &[&str]) -> Outbound {
    let content = content(&[]);
    let message = Message {
        id: MessageId::generate(now()),
        direction: Direction::Outbound,
        group: "carrier".parse().unwrap(),
        template: content.template.id,
        revision: content.template.revision,
        origin: "54321".parse::<Address>().unwrap(),
        recipients: to.iter().map(|address| recipient(address, RecipientKind::To)).collect(),
        linked_id: None,
        priority: None,
        events_url: Vec::new(),
        ack_requested: None,
        dr_requested: None,
        rr_requested: None,
        created: now(),
        processed: None,
        deadline: now().after(Duration::from_secs(3600)),
        expires: None,
        instances: Vec::new(),
        peer_ref: None,
        last_tran_id: None,
        ack_at_addr: None,
        variables: mmsgw_domain::Variables::new(),
        batch: None,
        trace: None,
        carrier_ids: None,
        relay_server: None,
        ua_caps: None,
        reply_charging_id: None,
        handling_app: None,
        reply_to_app: None,
        app_info: None,
        service_code: None,
        forward_counter: None,
        previously_sent: Vec::new(),
        rounds: 0,
        in_doubt: false,
        events: Vec::new(),
        version: 0,
    };
    Outbound {
        recipients: message.recipients.clone(),
        transaction_id: message.transaction_id(),
        message: Arc::new(message),
        content: Arc::new(content),
        now: now(),
        tap: mmsgw_engine::Tap::default(),
    }
}

/// A message with every option that MM7 has a word for.
pub(crate) fn outbound_with_everything() -> Outbound {
    let mut outbound = outbound(&[]);
    outbound.recipients = vec![
        recipient("+15555550101", RecipientKind::To),
        recipient("+15555550102", RecipientKind::Cc),
        recipient("a@b.example", RecipientKind::Bcc),
    ];
    let message = Arc::make_mut(&mut outbound.message);
    message.recipients = outbound.recipients.clone();
    message.linked_id = Some("linked-1".into());
    message.priority = Some(Priority::High);
    (message.dr_requested, message.rr_requested) = (Some(true), Some(false));
    message.handling_app = Some("app".into());
    message.reply_to_app = Some("reply".into());
    message.app_info = Some("aux".into());
    message.service_code = Some("silver".into());
    let smil: &[u8] = b"<smil><body><par><img src=\"cid:a.jpg\"/></par></body></smil>";
    let octets: Vec<u8> = (0..50_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let mut content = content(&[("s.smil", "application/smil", smil), ("a.jpg", "image/jpeg", &octets)]);
    let template = &mut content.template.content;
    template.earliest_delivery = Some(Timestamp::from_millis(1_700_000_010_250));
    template.expire_after = Some(Duration::from_secs(3600));
    template.message_class = Some(MessageClass::Advertisement);
    template.content_class = Some(ContentClass::ImageRich);
    template.charged_party = Some(ChargedParty::ThirdParty);
    template.charged_party_id = Some("payer".into());
    template.drm = Some(true);
    template.content_adaptation = Some(false);
    template.can_redistribute = Some(false);
    template.reply_charging = Some(true);
    template.reply_charging_size = Some(30_000);
    template.reply_deadline = Some(Timestamp::from_secs(1_700_086_400));
    template.delivery_conditions = Some(vec![1, 7]);
    template.subject = Some("Fish & chips".into());
    outbound.content = Arc::new(content);
    outbound
}

/// An envelope around a body.
pub(crate) fn envelope(transaction: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Header>\
         <t:TransactionID xmlns:t=\"{NAMESPACE}\" e:mustUnderstand=\"1\">{transaction}</t:TransactionID></e:Header>\
         <e:Body>{body}</e:Body></e:Envelope>"
    )
}

/// An answer to a SubmitReq.
pub(crate) fn submit_rsp(transaction: &str, code: u16, message_id: &str, details: &str) -> String {
    let body = format!(
        "<SubmitRsp xmlns=\"{NAMESPACE}\"><MM7Version>6.8.0</MM7Version><Status><StatusCode>{code}</StatusCode>\
         <StatusText>as told</StatusText>{details}</Status><MessageID>{message_id}</MessageID></SubmitRsp>"
    );
    envelope(transaction, &body)
}

/// A fault of the MMSC.
pub(crate) fn fault(transaction: &str, code: u16) -> String {
    let text = mmsgw_mm7::status::text(code);
    let body = format!(
        "<e:Fault><faultcode>e:Client</faultcode><faultstring>Client error</faultstring><detail>\
         <RSErrorRsp xmlns=\"{NAMESPACE}\"><MM7Version>6.8.0</MM7Version><Status><StatusCode>{code}</StatusCode>\
         <StatusText>{text}</StatusText></Status></RSErrorRsp></detail></e:Fault>"
    );
    envelope(transaction, &body)
}

/// A DeliverReq with these elements behind its version.
pub(crate) fn deliver(transaction: &str, elements: &str) -> String {
    let body =
        format!("<DeliverReq xmlns=\"{NAMESPACE}\"><MM7Version>6.8.0</MM7Version>{elements}</DeliverReq>");
    envelope(transaction, &body)
}

/// A delivery report for `+15555550101`.
pub(crate) fn delivery_report(transaction: &str, message_id: &str, word: &str) -> String {
    report(transaction, message_id, ("DeliveryReportReq", "Date"), word)
}

/// A read reply for `+15555550101`.
pub(crate) fn read_reply(transaction: &str, message_id: &str, word: &str) -> String {
    report(transaction, message_id, ("ReadReplyReq", "TimeStamp"), word)
}

fn report(transaction: &str, message_id: &str, (name, date): (&str, &str), word: &str) -> String {
    let body = format!(
        "<{name} xmlns=\"{NAMESPACE}\"><MM7Version>6.8.0</MM7Version><MMSRelayServerID>mmsc</MMSRelayServerID>\
         <MessageID>{message_id}</MessageID><Recipient><Number>+15555550101</Number></Recipient>\
         <Sender><ShortCode>54321</ShortCode></Sender><{date}>2026-01-01T01:00:00-05:00</{date}>\
         <MMStatus>{word}</MMStatus></{name}>"
    );
    envelope(transaction, &body)
}
