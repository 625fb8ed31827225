//! Bounces: mails about mails of ours that somebody could not deliver (RFC 3464), found by the ids
//! of ours in the part that they give back.

use bytes::Bytes;
use mmsgw_domain::{Address, CarrierReport, Code, Correlation, Message, ReportKind, State};
use mmsgw_engine::Incoming;
use mmsgw_mime::{Entity, Headers, Limits, read_headers, read_message};
use mmsgw_mm4::{Id, Mm4Address, field};

use crate::incoming::candidates;
use crate::translate::marked_places;

/// Whether a mail that is no MM4 PDU is a bounce: it comes from the null sender, or says so.
pub(crate) fn may_be(mail_from: &str, raw: &Bytes, limits: &Limits) -> bool {
    let stated = || {
        let content_type = read_headers(raw, limits).ok()?.0.value("Content-Type")?.to_ascii_lowercase();
        Some(content_type.contains("multipart/report"))
    };
    mail_from.is_empty() || stated().unwrap_or(false)
}

/// The failure that a bounce tells of, where it names a message of ours.
pub(crate) fn read(raw: &Bytes, limits: &Limits, prefix: &str) -> Incoming {
    let Ok(mail) = read_message(raw.clone(), limits) else {
        return Incoming::Nothing("a bounce past the limits".to_owned());
    };
    let leaves = mail.leaves();
    let Some(about) = leaves.iter().find_map(|leaf| returned(leaf, limits)) else {
        return Incoming::Nothing("a bounce that names no message of ours".to_owned());
    };
    let statuses: Vec<Status> = leaves.iter().flat_map(|leaf| statuses(leaf, limits, prefix)).collect();
    let failed: Vec<&Status> = statuses.iter().filter(|status| status.failed).collect();
    if failed.is_empty() && !statuses.is_empty() {
        return Incoming::Nothing("a bounce that tells of no failure".to_owned());
    }
    let status = failed.first().map_or("bounced", |status| status.code.as_str()).to_owned();
    let description = failed.iter().find_map(|status| status.diagnostic.clone());
    let places = about.transaction.as_deref().and_then(marked_places);
    let report = CarrierReport {
        kind: ReportKind::Acknowledgement,
        about,
        recipients: failed.iter().flat_map(|status| status.recipients.clone()).collect(),
        other_party: Vec::new(),
        state: State::Failed,
        code: code(&status),
        carrier_status: status,
        description: Some(description.unwrap_or_else(|| "the mail was returned as undeliverable".to_owned())),
        at: None,
        places,
        again: false,
    };
    // A bounce is never answered.
    Incoming::Report { report, answer: None }
}

/// The ids in the mail, or in its headers, that a part gives back.
fn returned(leaf: &Entity, limits: &Limits) -> Option<Correlation> {
    let kinds = ["message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global"];
    let body = leaf.body().filter(|_| kinds.contains(&leaf.media_type.essence()))?;
    let (headers, _) = read_headers(body, limits).ok()?;
    let id = |name| {
        let id = headers.value(name).map(|text| Id::new(text).bare().to_owned())?;
        Message::id_in(&id).map(|_| id)
    };
    let (transaction, message) = (id(field::TRANSACTION_ID), id(field::MESSAGE_ID));
    (transaction.is_some() || message.is_some()).then_some(Correlation { transaction, message })
}

/// What is said of one recipient.
struct Status {
    recipients: Vec<Address>,
    failed: bool,
    code: String,
    diagnostic: Option<String>,
}

/// The blocks of a `message/delivery-status` part that are about a recipient (RFC 3464 section 2.3).
fn statuses(leaf: &Entity, limits: &Limits, prefix: &str) -> Vec<Status> {
    let Some(body) = leaf.body().filter(|_| leaf.media_type.essence() == "message/delivery-status") else {
        return Vec::new();
    };
    let (mut rest, mut found) = (body.as_ref(), Vec::new());
    while !rest.is_empty() && found.len() < MAX_BLOCKS {
        let Ok((headers, end)) = read_headers(rest, limits) else { break };
        found.extend(status(&headers, prefix));
        rest = &rest[end.clamp(1, rest.len())..];
    }
    found
}

fn status(headers: &Headers, prefix: &str) -> Option<Status> {
    let action = headers.value("Action")?;
    let typed = headers.value("Original-Recipient").or_else(|| headers.value("Final-Recipient"));
    let address = typed.and_then(|typed| Mm4Address::parse(typed.rsplit_once(';').map_or(typed, |(_, a)| a)));
    Some(Status {
        recipients: address.map(|address| candidates(&address, prefix)).unwrap_or_default(),
        failed: action.eq_ignore_ascii_case("failed"),
        code: headers.value("Status").unwrap_or("5.0.0").chars().take(20).collect(),
        diagnostic: headers.text("Diagnostic-Code").map(|text| text.chars().take(MAX_TEXT).collect()),
    })
}

/// By the subject of the enhanced status (RFC 3463).
fn code(status: &str) -> Code {
    let mut numbers = status.split('.');
    match (numbers.next(), numbers.next(), numbers.next()) {
        (_, Some("1"), _) => Code::UNKNOWN,
        (_, Some("7"), _) => Code::REFUSED,
        (_, Some("2"), Some("3")) | (_, Some("3"), Some("4")) | (_, Some("6"), _) => Code::UNSUPPORTED,
        _ => Code::UNSPECIFIED,
    }
}

/// Recipients of one bounce that are looked at.
const MAX_BLOCKS: usize = 256;
/// Longest diagnostic text that is kept.
const MAX_TEXT: usize = 400;
