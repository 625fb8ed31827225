//! Mails into PDUs.
//!
//! Forgives the dialects of the field; what is wrong beyond that is a [`ReadError`], which still
//! says whom to tell. Bodies of reports and answers are not looked at.

use crate::address::{Mm4Address, addr_spec, system_mailbox};
use crate::field::{self, Word, read_flag, unquote};
use crate::id::Id;
use crate::pdu::{
    ApplicIds, DeliveryReportReq, Echo, ForwardReq, Head, Kind, Pdu, PreviouslySent, ReadReplyReportReq,
    Report, Res, ResKind, Routing, Wishes,
};
use crate::{Expiry, date};
use bytes::Bytes;
use mmsgw_mime as mime;
use mmsgw_mime::Headers;
use thiserror::Error;

/// A mail that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The PDU.
    pub pdu: Pdu,
    /// The message itself: there for a forward request, and only there.
    pub content: Option<mime::Entity>,
}

/// A mail that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct ReadError {
    /// What is wrong with it.
    pub reason: Reason,
    /// What could be read all the same, to answer it.
    pub echo: Box<Echo>,
}

/// What is wrong with a mail.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// It has no `X-Mms-Message-Type`: no MM4 mail, perhaps a bounce.
    #[error("no X-Mms-Message-Type")]
    NotMm4,
    /// A message type that is not one of the six; answer `Error-unsupported-message`.
    #[error("unknown message type {0:?}")]
    UnknownType(String),
    /// No `X-Mms-Transaction-ID`; answer `Error-message-format-corrupt`.
    #[error("no X-Mms-Transaction-ID")]
    MissingTransactionId,
    /// Another header that cannot be done without; answer `Error-message-format-corrupt`.
    #[error("no {0}")]
    Missing(&'static str),
    /// Headers or body past a limit.
    #[error(transparent)]
    Mime(#[from] mime::ReadError),
}

/// Reads one mail, as it came after `DATA` with dots unstuffed.
///
/// # Errors
/// See [`Reason`].
pub fn read(mail: Bytes, limits: &mime::Limits) -> Result<Received, ReadError> {
    let fail = |reason, echo: Echo| ReadError { reason, echo: Box::new(echo) };
    let (headers, body) =
        mime::read_headers(&mail, limits).map_err(|error| fail(error.into(), Echo::default()))?;
    let pdu = read_pdu(&headers).map_err(|reason| fail(reason, read_echo(&headers)))?;
    if pdu.kind() != Kind::ForwardReq {
        return Ok(Received { pdu, content: None });
    }
    let echo = pdu.echo();
    let content =
        mime::read_body(headers, mail.slice(body..), limits).map_err(|error| fail(error.into(), echo))?;
    Ok(Received { pdu, content: Some(content) })
}

/// Reads the PDU out of its headers alone.
///
/// # Errors
/// See [`Reason`].
pub fn read_pdu(headers: &Headers) -> Result<Pdu, Reason> {
    let word = headers.value(field::MESSAGE_TYPE).ok_or(Reason::NotMm4)?;
    let kind = Kind::read(word).ok_or_else(|| Reason::UnknownType(word.chars().take(80).collect()))?;
    let transaction_id = id(headers, field::TRANSACTION_ID).ok_or(Reason::MissingTransactionId)?;
    let head = read_head(headers, transaction_id);
    Ok(match kind {
        Kind::ForwardReq => Pdu::ForwardReq(Box::new(read_forward(headers, head)?)),
        Kind::DeliveryReportReq => Pdu::DeliveryReportReq(read_delivery_report(headers, head)?),
        Kind::ReadReplyReportReq => Pdu::ReadReplyReportReq(read_read_report(headers, head)?),
        Kind::Res(ResKind::Forward) => Pdu::ForwardRes(read_res(headers, head)?),
        Kind::Res(ResKind::DeliveryReport) => Pdu::DeliveryReportRes(read_res(headers, head)?),
        Kind::Res(ResKind::ReadReplyReport) => Pdu::ReadReplyReportRes(read_res(headers, head)?),
    })
}

fn read_echo(headers: &Headers) -> Echo {
    let kind = headers.value(field::MESSAGE_TYPE).and_then(Kind::read);
    let system = headers.value(field::ORIGINATOR_SYSTEM).and_then(system_mailbox);
    let system = system.filter(|_| kind == Some(Kind::ForwardReq));
    Echo {
        kind,
        transaction_id: id(headers, field::TRANSACTION_ID),
        message_id: id(headers, field::MESSAGE_ID),
        reply_to: system.or_else(|| mailbox(headers, "Sender")),
        ack_request: flag(headers, field::ACK_REQUEST).unwrap_or(false),
    }
}

fn read_head(headers: &Headers, transaction_id: Id) -> Head {
    let version = headers.value(field::VERSION).or_else(|| headers.value(field::VERSION_SHORT));
    Head {
        version: version.and_then(|text| text.parse().ok()),
        transaction_id,
        sender: mailbox(headers, "Sender"),
        mail_id: headers.value("Message-ID").map(mail_id).filter(|id| !id.is_empty()),
        date: headers.value("Date").and_then(date::read),
    }
}

fn read_forward(headers: &Headers, head: Head) -> Result<ForwardReq, Reason> {
    let from = headers.value("From").or_else(|| headers.value(field::SENDER_ADDRESS));
    let sender = || headers.value("Sender");
    Ok(ForwardReq {
        head,
        message_id: id(headers, field::MESSAGE_ID).ok_or(Reason::Missing(field::MESSAGE_ID))?,
        from: from.and_then(Mm4Address::parse).or_else(|| sender().and_then(Mm4Address::parse)),
        to: headers.all("To").flat_map(Mm4Address::parse_list).collect(),
        cc: headers.all("Cc").flat_map(Mm4Address::parse_list).collect(),
        subject: text(headers, "Subject"),
        message_class: word(headers, field::MESSAGE_CLASS),
        priority: word(headers, field::PRIORITY),
        sender_visibility: word(headers, field::SENDER_VISIBILITY),
        expiry: headers.value(field::EXPIRY).and_then(Expiry::read),
        wishes: Wishes {
            delivery_report: flag(headers, field::DELIVERY_REPORT),
            originator_rs_delivery_report: flag(headers, field::ORIGINATOR_RS_DELIVERY_REPORT),
            read_reply: flag(headers, field::READ_REPLY),
            ack_request: flag(headers, field::ACK_REQUEST),
        },
        originator_system: headers.value(field::ORIGINATOR_SYSTEM).and_then(system_mailbox),
        forward_counter: headers.value(field::FORWARD_COUNTER).and_then(|text| unquote(text).parse().ok()),
        previously_sent: read_previously_sent(headers),
        applic: read_applic(headers),
        content_class: word(headers, field::CONTENT_CLASS),
        drm_content: flag(headers, field::DRM_CONTENT),
        adaptation_allowed: flag(headers, field::ADAPTATION_ALLOWED),
        routing: Routing {
            mmsip_address: text(headers, field::MMSIP_ADDRESS),
            forward_route: text(headers, field::FORWARD_ROUTE),
            return_route: text(headers, field::RETURN_ROUTE),
        },
    })
}

fn read_delivery_report(headers: &Headers, head: Head) -> Result<DeliveryReportReq, Reason> {
    let others = field::MM_STATUS_OTHERS.into_iter();
    let status = std::iter::once(field::MM_STATUS).chain(others).find_map(|name| word(headers, name));
    Ok(DeliveryReportReq {
        report: read_report(headers, head)?,
        status: status.ok_or(Reason::Missing(field::MM_STATUS))?,
        extension: word(headers, field::MM_STATUS_EXTENSION),
        forward_to_originator_ua: flag(headers, field::FORWARD_TO_ORIGINATOR_UA),
    })
}

fn read_read_report(headers: &Headers, head: Head) -> Result<ReadReplyReportReq, Reason> {
    let status = word(headers, field::READ_STATUS).or_else(|| word(headers, field::READ_STATUS_OTHER));
    Ok(ReadReplyReportReq {
        report: read_report(headers, head)?,
        status: status.ok_or(Reason::Missing(field::READ_STATUS))?,
    })
}

fn read_report(headers: &Headers, head: Head) -> Result<Report, Reason> {
    let from = headers.value("From").or_else(|| headers.value(field::SENDER_ADDRESS));
    Ok(Report {
        head,
        message_id: id(headers, field::MESSAGE_ID).ok_or(Reason::Missing(field::MESSAGE_ID))?,
        from: from.and_then(Mm4Address::parse),
        to: headers.value("To").and_then(|list| Mm4Address::parse_list(list).into_iter().next()),
        ack_request: flag(headers, field::ACK_REQUEST),
        status_text: status_text(headers),
        applic: read_applic(headers),
    })
}

fn read_res(headers: &Headers, head: Head) -> Result<Res, Reason> {
    Ok(Res {
        head,
        message_id: id(headers, field::MESSAGE_ID),
        status: word(headers, field::REQUEST_STATUS).ok_or(Reason::Missing(field::REQUEST_STATUS))?,
        status_text: status_text(headers),
        recipients: headers.all(field::REQUEST_RECIPIENTS).flat_map(Mm4Address::parse_recipients).collect(),
        to: mailbox(headers, "To"),
    })
}

fn read_applic(headers: &Headers) -> ApplicIds {
    ApplicIds {
        applic_id: text(headers, field::APPLIC_ID),
        reply_applic_id: text(headers, field::REPLY_APPLIC_ID),
        aux_applic_info: text(headers, field::AUX_APPLIC_INFO),
    }
}

/// Pairs the two headers by their number; one without a number counts as the next.
fn read_previously_sent(headers: &Headers) -> Vec<PreviouslySent> {
    let mut hops: Vec<PreviouslySent> = Vec::new();
    for (name, is_address) in [(field::PREVIOUSLY_SENT_BY, true), (field::PREVIOUSLY_SENT_AT, false)] {
        for (index, value) in headers.all(name).take(MAX_HOPS).enumerate() {
            let (position, value) = numbered(value).unwrap_or((index as u32 + 1, value));
            let address = Mm4Address::parse(value).filter(|_| is_address);
            let at = date::read(value).filter(|_| !is_address);
            if address.is_none() && at.is_none() {
                continue;
            }
            match hops.iter_mut().find(|hop| hop.position == position) {
                Some(hop) => {
                    hop.address = hop.address.take().or(address);
                    hop.at = hop.at.or(at);
                }
                None => hops.push(PreviouslySent { position, address, at }),
            }
        }
    }
    hops.sort_by_key(|hop| hop.position);
    hops
}

/// Earlier hops that are kept; a message that was forwarded more often is a loop.
const MAX_HOPS: usize = 50;

/// `3, value`; a weekday before a comma is no number.
fn numbered(text: &str) -> Option<(u32, &str)> {
    let (number, value) = text.split_once(',')?;
    Some((unquote(number).parse().ok()?, value.trim()))
}

fn id(headers: &Headers, name: &str) -> Option<Id> {
    headers.value(name).map(Id::new).filter(|id| !id.is_empty())
}

fn flag(headers: &Headers, name: &str) -> Option<bool> {
    headers.value(name).and_then(read_flag)
}

fn word<W: Word>(headers: &Headers, name: &str) -> Option<W> {
    headers.value(name).filter(|text| !text.is_empty()).map(W::read)
}

fn text(headers: &Headers, name: &str) -> Option<String> {
    headers.text(name).filter(|text| !text.is_empty())
}

fn status_text(headers: &Headers) -> Option<String> {
    text(headers, field::STATUS_TEXT).map(|text| unquote(&text).to_owned()).filter(|text| !text.is_empty())
}

fn mailbox(headers: &Headers, name: &str) -> Option<String> {
    headers.value(name).and_then(addr_spec)
}

fn mail_id(text: &str) -> String {
    text.trim().trim_start_matches('<').trim_end_matches('>').to_owned()
}
