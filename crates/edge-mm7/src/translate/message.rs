//! Messages that come in: DeliverReq of an MMSC and SubmitReq of a peer that acts as provider
//! (TS 23.140 clauses 8.7.1.3 and 8.7.1.1).
//!
//! Neither is acknowledged apart, as the HTTP response did that. A DeliverReq asks for no report either.

use std::fmt::Write as _;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use mmsgw_domain::{
    Address, CarrierIds, ChargedParty, ContentClass, GroupName, MessageClass, PreviouslySent, Priority,
    RecipientKind, TemplateContent, Timestamp,
};
use mmsgw_engine::InboundMessage;
use mmsgw_mime::Entity;
use mmsgw_mm7::{self as mm7, Interval, When};

use super::Translator;
use super::parts::parts;

impl Translator {
    /// A message that the MMSC delivers. `peer_ref` is its TransactionID, as a DeliverReq has no other id.
    pub(super) fn delivered(
        &self,
        transaction: &str,
        request: &mm7::DeliverReq,
        content: Option<&Entity>,
    ) -> InboundMessage {
        let origin = self.numbering.stated(request.sender.as_ref());
        let recipients =
            self.recipients_of(&request.recipients, &[&request.vas_id, &self.vasid, &request.vasp_id]);
        let facts = TemplateContent {
            subject: line(request.subject.as_deref()),
            content_adaptation: adaptation(request.content.as_ref()),
            ..TemplateContent::new(origin.clone())
        };
        InboundMessage {
            fingerprint: delivery_fingerprint(transaction, request),
            priority: request.priority.as_ref().and_then(priority),
            peer_ref: Some(transaction.to_owned()),
            linked_id: line(request.linked_id.as_deref()),
            relay_server: line(request.relay_server_id.as_deref()),
            ua_caps: request.ua_capabilities.as_ref().and_then(|caps| line(caps.ua_prof.as_deref())),
            reply_charging_id: line(request.reply_charging_id.as_deref()),
            previously_sent: self.previously_sent(request),
            carrier_ids: Some(CarrierIds { transaction: transaction.to_owned(), message: None }),
            parts: parts(content),
            ..bare(origin, recipients, facts, &request.application)
        }
    }

    /// A message that a peer submits; `peer_ref` is the MessageID that we answered with.
    pub(super) fn submitted(
        &self,
        transaction: &str,
        request: &mm7::SubmitReq,
        content: Option<&Entity>,
    ) -> InboundMessage {
        let sender = &request.sender;
        let origin = match &sender.address {
            Some(address) => self.numbering.stated(Some(address)),
            None => Address::from_carrier(first(&[&sender.vas_id, &sender.vasp_id])),
        };
        let recipients = self.recipients_of(&request.recipients, &[&self.vasid]);
        let message_id = message_id(&self.group, transaction, request);
        let facts = submitted_facts(request, origin.clone());
        let ids = CarrierIds { transaction: transaction.to_owned(), message: Some(message_id.clone()) };
        InboundMessage {
            fingerprint: format!("submit|{message_id}"),
            dr_requested: request.delivery_report,
            rr_requested: request.read_reply,
            priority: request.priority.as_ref().and_then(priority),
            peer_ref: Some(message_id),
            linked_id: line(request.linked_id.as_deref()),
            service_code: line(request.service_code.as_deref()),
            carrier_ids: Some(ids),
            parts: parts(content),
            ..bare(origin, recipients, facts, &request.application)
        }
    }

    /// Who sent a message before, and when; the two lists are tied by their positions.
    fn previously_sent(&self, request: &mm7::DeliverReq) -> Vec<PreviouslySent> {
        let mut found: Vec<PreviouslySent> = Vec::new();
        let senders = request.previously_sent_by.iter().enumerate().map(|(index, sender)| {
            let position = sender.sequence.unwrap_or_else(|| place(index));
            (position, Some(self.numbering.stated(Some(&sender.address))), None)
        });
        // An interval has nothing to count from.
        let dates =
            request.previously_sent_date.iter().enumerate().filter_map(|(index, date)| match date.date {
                When::At(at) => Some((
                    date.sequence.unwrap_or_else(|| place(index)),
                    None,
                    Some(Timestamp::from_jiff(at)),
                )),
                When::After(_) => None,
            });
        for (position, address, at) in senders.chain(dates) {
            if let Some(known) = found.iter_mut().find(|known| known.position == position) {
                known.address = known.address.take().or(address);
                known.at = known.at.or(at);
            } else if found.len() < MAX_HOPS {
                found.push(PreviouslySent { position, address, at });
            }
        }
        found.sort_by_key(|hop| hop.position);
        found
    }

    /// Those to deliver to, each once. A message that names none is for the service it came to: the first
    /// of `services` that is known, else our VASPID, else `unknown`.
    fn recipients_of(
        &self,
        recipients: &mm7::Recipients,
        services: &[&Option<String>],
    ) -> Vec<(RecipientKind, Address)> {
        let of = |list: &[mm7::Address], kind| {
            let meant = list.iter().filter(|address| !address.display_only);
            meant.map(|address| (kind, self.numbering.stated(Some(address)))).collect::<Vec<_>>()
        };
        let mut all = of(&recipients.to, RecipientKind::To);
        all.extend(of(&recipients.cc, RecipientKind::Cc));
        all.extend(of(&recipients.bcc, RecipientKind::Bcc));
        let mut seen = std::collections::HashSet::new();
        all.retain(|(_, address)| seen.insert(address.clone()));
        if all.is_empty() {
            let service = match first(services) {
                "" => first(&[&self.vaspid]),
                known => known,
            };
            all.push((RecipientKind::To, Address::from_carrier(service)));
        }
        all
    }
}

/// The MessageID of a submitted message: the same for a retransmission, which repeats TransactionID and
/// recipients, and another one for other groups, providers and recipients, as providers number their
/// transactions each for itself.
pub(crate) fn message_id(group: &GroupName, transaction: &str, request: &mm7::SubmitReq) -> String {
    let sender = &request.sender;
    let who = [&sender.vasp_id, &sender.vas_id].map(|id| id.as_deref().unwrap_or_default());
    let recipients = sorted(&request.recipients);
    let ids = [group.as_str(), who[0], who[1], transaction];
    let digest = digest_of(ids.into_iter().chain(recipients));
    format!("in-{}", &digest[..32])
}

/// What a repetition of a DeliverReq has in common with the first one.
fn delivery_fingerprint(transaction: &str, request: &mm7::DeliverReq) -> String {
    let sender = request.sender.as_ref().map_or("", |sender| sender.value.as_str());
    let linked = request.linked_id.as_deref().unwrap_or_default();
    let recipients = sorted(&request.recipients);
    let plain = format!("deliver|{transaction}|{linked}|{sender}|{}", recipients.join(","));
    if plain.len() <= MAX_FINGERPRINT {
        return plain;
    }
    format!("deliver|{}", digest_of([transaction, linked, sender].into_iter().chain(recipients)))
}

fn sorted(recipients: &mm7::Recipients) -> Vec<&str> {
    let mut sorted: Vec<&str> = recipients.deliverable().map(|address| address.value.as_str()).collect();
    sorted.sort_unstable();
    sorted
}

/// SHA-256 in hexadecimal of texts, told apart by their lengths.
fn digest_of<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let whole = texts.fold(String::new(), |mut whole, text| {
        // Writing to a String does not fail.
        let _ = write!(whole, "{}:{text}", text.len());
        whole
    });
    let octets = digest(&SHA256, whole.as_bytes());
    octets.as_ref().iter().fold(String::with_capacity(64), |mut hex, octet| {
        let _ = write!(hex, "{octet:02x}");
        hex
    })
}

fn submitted_facts(request: &mm7::SubmitReq, origin: Address) -> TemplateContent {
    // An interval counts from the submission, which the request may date.
    let earliest = request.earliest_delivery_time.and_then(|when| match (when, request.time_stamp) {
        (When::At(at), _) => Some(at),
        (When::After(interval), Some(begun)) => interval.after(begun),
        (When::After(_), None) => None,
    });
    let (latest_delivery, expire_after) = match request.expiry_date {
        Some(When::At(at)) => (Some(Timestamp::from_jiff(at)), None),
        Some(When::After(interval)) => (None, length(&interval)),
        None => (None, None),
    };
    TemplateContent {
        earliest_delivery: earliest.map(Timestamp::from_jiff),
        latest_delivery,
        expire_after,
        message_class: request.message_class.as_ref().and_then(message_class),
        content_class: request.content_class.as_ref().and_then(content_class),
        charged_party: request.charged_party.as_ref().and_then(charged_party),
        charged_party_id: line(request.charged_party_id.as_deref()),
        drm: request.drm_content,
        content_adaptation: adaptation(request.content.as_ref()),
        can_redistribute: request.distribution_indicator,
        reply_charging: request.reply_charging.as_ref().map(|_| true),
        reply_charging_size: request.reply_charging.as_ref().and_then(|charging| charging.size),
        reply_deadline: reply_deadline(request),
        delivery_conditions: Some(request.delivery_condition.clone()).filter(|list| !list.is_empty()),
        subject: line(request.subject.as_deref()),
        ..TemplateContent::new(origin)
    }
}

/// The last time for an answer that is paid for. An interval counts from the submission, which the request may
/// date.
fn reply_deadline(request: &mm7::SubmitReq) -> Option<Timestamp> {
    let deadline = request.reply_charging.as_ref()?.deadline?;
    let at = match (deadline, request.time_stamp) {
        (When::At(at), _) => Some(at),
        (When::After(interval), Some(begun)) => interval.after(begun),
        (When::After(_), None) => None,
    };
    at.map(Timestamp::from_jiff)
}

/// The position of an entry that states none.
fn place(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

/// A message of which nothing is said but who it is between, and which applications.
fn bare(
    origin: Address,
    recipients: Vec<(RecipientKind, Address)>,
    content: TemplateContent,
    application: &mm7::Application,
) -> InboundMessage {
    InboundMessage {
        origin,
        recipients,
        content,
        parts: Vec::new(),
        fingerprint: String::new(),
        ack_requested: None,
        dr_requested: None,
        rr_requested: None,
        peer_ref: None,
        carrier_ids: None,
        ack_at_addr: None,
        linked_id: None,
        priority: None,
        relay_server: None,
        ua_caps: None,
        reply_charging_id: None,
        handling_app: line(application.applic_id.as_deref()),
        reply_to_app: line(application.reply_applic_id.as_deref()),
        app_info: line(application.aux_applic_info.as_deref()),
        service_code: None,
        forward_counter: None,
        previously_sent: Vec::new(),
    }
}

/// A text as one line: controls become spaces; none where nothing is left.
fn line(text: Option<&str>) -> Option<String> {
    let clean: String = text?.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

fn first<'a>(ids: &[&'a Option<String>]) -> &'a str {
    ids.iter().filter_map(|id| id.as_deref()).map(str::trim).find(|id| !id.is_empty()).unwrap_or_default()
}

/// The schema's default is true, so that only the other is something said.
fn adaptation(content: Option<&mm7::ContentReference>) -> Option<bool> {
    content.filter(|content| !content.allow_adaptations).map(|_| false)
}

/// The time that an interval takes, counted from an ordinary day; none where it goes backwards.
fn length(interval: &Interval) -> Option<Duration> {
    let begin = Timestamp::from_secs(0);
    let end = Timestamp::from_jiff(interval.after(begin.to_jiff())?);
    (end > begin).then(|| begin.until(end))
}

fn priority(word: &mm7::Priority) -> Option<Priority> {
    match word {
        mm7::Priority::Low => Some(Priority::Low),
        mm7::Priority::Normal => Some(Priority::Normal),
        mm7::Priority::High => Some(Priority::High),
        mm7::Priority::Other(_) => None,
    }
}

fn message_class(word: &mm7::MessageClass) -> Option<MessageClass> {
    match word {
        mm7::MessageClass::Personal => Some(MessageClass::Personal),
        mm7::MessageClass::Advertisement => Some(MessageClass::Advertisement),
        mm7::MessageClass::Informational => Some(MessageClass::Informational),
        mm7::MessageClass::Auto => Some(MessageClass::Auto),
        mm7::MessageClass::Other(_) => None,
    }
}

fn charged_party(word: &mm7::ChargedParty) -> Option<ChargedParty> {
    match word {
        mm7::ChargedParty::Sender => Some(ChargedParty::Sender),
        mm7::ChargedParty::Recipient => Some(ChargedParty::Recipient),
        mm7::ChargedParty::Both => Some(ChargedParty::Both),
        mm7::ChargedParty::Neither => Some(ChargedParty::Neither),
        mm7::ChargedParty::ThirdParty => Some(ChargedParty::ThirdParty),
        mm7::ChargedParty::Other(_) => None,
    }
}

fn content_class(word: &mm7::ContentClass) -> Option<ContentClass> {
    match word {
        mm7::ContentClass::Text => Some(ContentClass::Text),
        mm7::ContentClass::ImageBasic => Some(ContentClass::ImageBasic),
        mm7::ContentClass::ImageRich => Some(ContentClass::ImageRich),
        mm7::ContentClass::VideoBasic => Some(ContentClass::VideoBasic),
        mm7::ContentClass::VideoRich => Some(ContentClass::VideoRich),
        mm7::ContentClass::Megapixel => Some(ContentClass::Megapixel),
        mm7::ContentClass::ContentBasic => Some(ContentClass::ContentBasic),
        mm7::ContentClass::ContentRich => Some(ContentClass::ContentRich),
        mm7::ContentClass::Other(_) => None,
    }
}

/// Earlier sendings of a message that are kept.
const MAX_HOPS: usize = 64;
/// Octets of the longest fingerprint kept in plain words.
const MAX_FINGERPRINT: usize = 400;

#[cfg(test)]
mod tests;
