//! Messages the carrier originates: from a phone to the gateway, over MM4 or MM7.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};

use crate::mm4::write::{self as mail, Medium};
use crate::mm7::write::{self as soap, Dialect};
use crate::outbox::{self, Errand, Payload};
use crate::record::Answer;
use crate::shared::Shared;

/// A message from a phone.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mo {
    /// Number or mail address of the sender.
    pub from: String,
    /// Numbers, short codes or mail addresses of the recipients; at least one.
    pub to: Vec<String>,
    /// Subject; empty: none is sent.
    pub subject: String,
    /// Text part; empty: none is sent.
    pub text: String,
    /// A JPEG picture (in JSON: base64); absent: none is sent.
    #[serde(deserialize_with = "from_base64")]
    pub picture: Option<Vec<u8>>,
    /// X-Mms-Ack-Request: Yes (MM4; over MM7 every request is answered).
    pub ack: bool,
    /// X-Mms-Delivery-Report: Yes, or DeliveryReport (MM4 and SubmitReq; a DeliverReq cannot ask for it).
    pub dr: bool,
    /// X-Mms-Read-Reply: Yes, or ReadReply (MM4 and SubmitReq; a DeliverReq cannot ask for it).
    pub rr: bool,
    /// X-Mms-Transaction-ID or TransactionID, to send the same again; absent: a new one.
    pub transaction_id: Option<String>,
    /// X-Mms-Message-ID (MM4) or LinkedID (DeliverReq); absent: a new one.
    pub message_id: Option<String>,
    /// Further headers of the mail, each once (MM4).
    pub headers: std::collections::BTreeMap<String, String>,
    /// Further elements of the DeliverReq as XML without prefixes, before Content (MM7).
    pub elements: String,
}

/// What became of a message the carrier originated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MoAnswer {
    /// Transaction id of the request.
    pub transaction_id: String,
    /// X-Mms-Message-ID or LinkedID of the message; for a SubmitReq the MessageID that the gateway gave it.
    pub message_id: String,
    /// What the gateway said; code 0 and the reason in `text` if it could not be reached. The MM4_forward.RES, if
    /// asked for, comes by mail and is found among the received.
    pub answer: Answer,
}

/// Sends a message as MM4_forward.REQ (TS 23.140 clause 8.4).
pub(crate) async fn send_mm4(shared: &Shared, mo: &Mo) -> MoAnswer {
    let names = &shared.config.mm4;
    let (transaction_id, message_id) = ids(shared, mo);
    let list: Vec<_> = mo.to.iter().map(|to| mail::header_address(to)).collect();
    let from = mail::envelope_address(&mo.from, &names.domain);
    let to = mo.to.iter().map(|to| mail::envelope_address(to, &names.gateway_domain)).collect();
    let yes = |wanted| if wanted { "Yes" } else { "No" };
    let boundary = format!("mm4-{}", shared.fresh_id());
    let mut head = mail::Mail::default()
        .field("Date", &crate::clock::mail())
        .field("From", &mail::header_address(&mo.from))
        .field("Sender", &from)
        .field("To", &list.join(", "))
        .field("Message-ID", &format!("<{}@{}>", shared.fresh_id(), names.domain));
    if !mo.subject.is_empty() {
        head = head.words("Subject", &mo.subject);
    }
    let mut head = head
        .field("MIME-Version", "1.0")
        .field("Content-Type", &related("application/smil", "m.smil", &boundary))
        .field("X-Mms-3GPP-MMS-Version", &names.version)
        .field("X-Mms-Message-Type", "MM4_forward.REQ")
        .field("X-Mms-Transaction-ID", &format!("\"{transaction_id}\""))
        .field("X-Mms-Message-ID", &format!("\"{message_id}\""));
    let usual = [
        ("X-Mms-Message-Class", "Personal"),
        ("X-Mms-Priority", "Normal"),
        ("X-Mms-Delivery-Report", yes(mo.dr)),
        ("X-Mms-Originator-R/S-Delivery-Report", "No"),
        ("X-Mms-Read-Reply", yes(mo.rr)),
        ("X-Mms-Sender-Visibility", "Show"),
        ("X-Mms-Ack-Request", yes(mo.ack)),
        ("X-Mms-Originator-System", &names.system_address),
    ];
    let usual = usual.into_iter().filter(|(name, _)| !mo.headers.contains_key(*name));
    let more = mo.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in usual.chain(more) {
        head = head.field(name, value);
    }
    let octets = head.body(&media(mo, &boundary));
    let payload = Payload::Mail { from, to, octets: octets.into() };
    send(shared, "MM4_forward.REQ", (transaction_id, message_id), payload).await
}

/// Sends a message as DeliverReq with attachments (TS 23.140 clause 8.7).
pub(crate) async fn send_mm7(shared: &Shared, mo: &Mo) -> MoAnswer {
    let (transaction_id, message_id) = ids(shared, mo);
    let children = [
        soap::element("MMSRelayServerID", &shared.config.mm7.relay_server_id),
        soap::element("LinkedID", &message_id),
        soap::address("Sender", &mo.from),
        recipients(mo),
        soap::element("TimeStamp", &crate::clock::iso()),
        if mo.elements.contains("<Priority>") { String::new() } else { soap::element("Priority", "Normal") },
        subject(mo),
        mo.elements.clone(),
        CONTENT.to_owned(),
    ];
    let payload = attached(shared, mo, (&transaction_id, "DeliverReq"), &children.concat());
    send(shared, "DeliverReq", (transaction_id, message_id), payload).await
}

/// Submits a message as SubmitReq, as a value added service provider does (TS 23.140 clause 8.7). Reports on it are
/// taken from then on.
pub(crate) async fn submit_mm7(shared: &Shared, mo: &Mo) -> MoAnswer {
    let (transaction_id, _) = ids(shared, mo);
    let wish = |name, wanted: bool| soap::element(name, if wanted { "true" } else { "false" });
    let sender = soap::address("SenderAddress", &mo.from);
    let children = [
        format!("<SenderIdentification>{}{sender}</SenderIdentification>", soap::element("VASPID", "sim")),
        recipients(mo),
        soap::element("TimeStamp", &crate::clock::iso()),
        wish("DeliveryReport", mo.dr),
        wish("ReadReply", mo.rr),
        soap::element("Priority", "Normal"),
        subject(mo),
        CONTENT.to_owned(),
    ];
    let payload = attached(shared, mo, (&transaction_id, "SubmitReq"), &children.concat());
    let sent = send(shared, "SubmitReq", (transaction_id, String::new()), payload).await;
    let answered = crate::mm7::soap::read(sent.answer.text.as_bytes()).ok();
    let message_id = answered.and_then(|soap| soap.field("MessageID").map(str::to_owned)).unwrap_or_default();
    if !message_id.is_empty() {
        shared.submitted.lock().insert(message_id.clone());
    }
    MoAnswer { message_id, ..sent }
}

/// All recipients stand in one To.
fn recipients(mo: &Mo) -> String {
    let to: String = mo.to.iter().map(|to| soap::address("To", to)).collect();
    format!("<Recipients>{}</Recipients>", to.replace("</To><To>", ""))
}

fn subject(mo: &Mo) -> String {
    if mo.subject.is_empty() { String::new() } else { soap::element("Subject", &mo.subject) }
}

/// A request with its media.
fn attached(shared: &Shared, mo: &Mo, (transaction_id, name): (&str, &str), children: &str) -> Payload {
    let names = &shared.config.mm7;
    let dialect = Dialect { namespace: names.namespace.clone(), version: names.version.clone() };
    let xml = soap::request(&dialect, transaction_id, name, children);
    let (outer, inner) = (format!("out-{}", shared.fresh_id()), format!("in-{}", shared.fresh_id()));
    let body = format!(
        "--{outer}\r\nContent-Type: text/xml; charset=utf-8\r\nContent-ID: <soap>\r\n\r\n{xml}\r\n--{outer}\r\n\
         Content-Type: {}\r\nContent-ID: <content>\r\n\r\n{}\r\n--{outer}--\r\n",
        related("application/smil", "m.smil", &inner),
        media(mo, &inner)
    );
    Payload::Soap { content_type: related("text/xml", "soap", &outer), body: Bytes::from(body) }
}

const CONTENT: &str = "<Content href=\"cid:content\"/>";

fn ids(shared: &Shared, mo: &Mo) -> (String, String) {
    let pick = |given: &Option<String>| given.clone().unwrap_or_else(|| shared.fresh_id());
    (pick(&mo.transaction_id), pick(&mo.message_id))
}

async fn send(
    shared: &Shared,
    kind: &'static str,
    (transaction_id, message_id): (String, String),
    payload: Payload,
) -> MoAnswer {
    let errand = Errand {
        kind,
        transaction_id: transaction_id.clone(),
        message_id: message_id.clone(),
        recipient: String::new(),
        payload,
    };
    let answer = outbox::send(shared, &errand).await;
    MoAnswer { transaction_id, message_id, answer }
}

fn related(kind: &str, start: &str, boundary: &str) -> String {
    format!("multipart/related; type=\"{kind}\"; start=\"<{start}>\"; boundary=\"{boundary}\"")
}

/// The media with their presentation in front.
fn media(mo: &Mo, boundary: &str) -> String {
    let mut pars = String::new();
    let mut media = Vec::new();
    if let Some(picture) = &mo.picture {
        pars.push_str("<img src=\"picture.jpg\" region=\"Image\"/>");
        media.push(Medium { content_type: "image/jpeg", name: "picture.jpg", octets: picture });
    }
    if !mo.text.is_empty() {
        pars.push_str("<text src=\"text.txt\" region=\"Text\"/>");
        let octets = mo.text.as_bytes();
        media.push(Medium { content_type: "text/plain; charset=utf-8", name: "text.txt", octets });
    }
    let smil = format!(
        "<smil><head><layout><root-layout/><region id=\"Image\"/><region id=\"Text\"/></layout></head>\
         <body><par dur=\"5000ms\">{pars}</par></body></smil>"
    );
    media.insert(0, Medium { content_type: "application/smil", name: "m.smil", octets: smil.as_bytes() });
    mail::multipart(boundary, &media)
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let decode = |text: String| encodify::base64::STANDARD.decode(text).map_err(serde::de::Error::custom);
    text.map(decode).transpose()
}
