//! A message of ours as an MM4_forward.REQ (TS 23.140 clause 8.4.4.1) and its envelope. Pure: values
//! in, values out.
//!
//! Fields of a message that MM4 has no header for, and what becomes of them:
//!
//! * earliest delivery: the engine holds the message until then;
//! * who is charged, whether it may be redistributed, a linked id, the capabilities of a handset:
//!   MM7 only, not stated here.
//!
//! An option that is absent is not stated, so that the carrier's own default counts.

use std::collections::HashSet;
use std::ops::Range;

use mmsgw_domain::{
    Address, AddressKind, ContentClass, Message, MessageClass, Priority, Recipient, RecipientKind,
    TemplateContent,
};
use mmsgw_engine::Outbound;
use mmsgw_mm4 as mm4;
use mmsgw_mm4::{AddressStyle, Expiry, ForwardReq, Id, IdStyle, Mm4Address, WriteOptions};
use mmsgw_smtp::Envelope;

use crate::config::Mm4Settings;
use crate::trust::Trust;

/// The dialect of one carrier, ready for use.
#[derive(Debug, Clone)]
pub(crate) struct Translator {
    pub(crate) options: WriteOptions,
    pub(crate) local_domain: String,
    remote_domain: String,
    pub(crate) system: String,
    pub(crate) trust: Trust,
    system_sender: bool,
    fixed_recipients: Vec<String>,
    recipients_per_mail: usize,
    rs_delivery_report: Option<bool>,
    state_defaults: bool,
    forward_counter: Option<u32>,
    routing: mm4::Routing,
}

/// The recipients of one mail of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch<'a> {
    /// Whom the mail goes to.
    pub(crate) recipients: Vec<&'a Recipient>,
    /// Tells the transactions of a message apart where it goes out as several mails.
    mark: Option<String>,
}

impl Translator {
    /// The dialect that the settings describe; they have passed their check.
    pub(crate) fn new(settings: &Mm4Settings) -> Self {
        let Mm4Settings { outbound, addressing, dialect, features, .. } = settings;
        let (local_domain, remote_domain) = (outbound.local_domain.clone(), settings.remote_domain());
        let domain = |domain: &String| dialect.domain_in_addresses.then(|| domain.clone());
        let defaults = WriteOptions::default();
        let options = WriteOptions {
            version: settings.version().unwrap_or(defaults.version),
            id_style: if dialect.quote_ids { IdStyle::Quoted } else { IdStyle::Bare },
            origin: AddressStyle {
                prefix: addressing.origin_prefix.clone(),
                suffix: addressing.origin_suffix.clone(),
                domain: domain(&local_domain),
            },
            destination: AddressStyle {
                prefix: addressing.dest_prefix.clone(),
                suffix: addressing.dest_suffix.clone(),
                domain: domain(&remote_domain),
            },
            omit: dialect.omit_headers.clone(),
            extra: dialect.extra_headers.clone().into_iter().collect(),
        };
        let stated = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Self {
            options,
            local_domain,
            remote_domain,
            system: settings.system_mailbox(),
            trust: Trust::new(settings),
            system_sender: dialect.system_sender,
            fixed_recipients: outbound.recipient_address.clone(),
            recipients_per_mail: if dialect.one_recipient_per_mail { 1 } else { dialect.recipients_per_mail },
            rs_delivery_report: dialect.originator_rs_delivery_report,
            state_defaults: dialect.state_defaults,
            forward_counter: dialect.forward_counter,
            routing: mm4::Routing {
                mmsip_address: stated(&features.mmsip_address),
                forward_route: stated(&features.forward_route),
                return_route: stated(&features.return_route),
            },
        }
    }

    /// The mails that a message goes out as, by the numbers still to be served. Which number is in
    /// which mail depends on the message alone, so that a retransmission repeats its transaction.
    pub(crate) fn batches<'a>(&self, outbound: &'a Outbound) -> Vec<Batch<'a>> {
        let all = &outbound.message.recipients;
        let size = self.recipients_per_mail.max(1);
        let single = all.len() <= size;
        let unsent: HashSet<&Address> = outbound.recipients.iter().map(|r| &r.address).collect();
        let batches = all.chunks(size).enumerate().map(|(index, chunk)| Batch {
            recipients: chunk.iter().filter(|r| unsent.contains(&r.address)).collect(),
            mark: (!single).then(|| mark(index * size, chunk)),
        });
        batches.filter(|batch| !batch.recipients.is_empty()).collect()
    }

    /// Whether fixed addresses stand in for the numbers of a message.
    pub(crate) fn has_fixed_recipients(&self) -> bool {
        !self.fixed_recipients.is_empty()
    }

    /// Our id of the message (TS 23.140 clause 8.4.4.1, X-Mms-Message-ID), by which its reports name it.
    pub(crate) fn message_id(&self, message: &Message) -> String {
        format!("{}@{}", message.id, self.local_domain)
    }

    /// The request for one batch.
    pub(crate) fn request(&self, outbound: &Outbound, batch: &Batch<'_>) -> ForwardReq {
        let message = &*outbound.message;
        let content = &outbound.content.template.content;
        let transaction = transaction(outbound, batch);
        let mut req = ForwardReq::new(Id::new(transaction.clone()), Id::new(self.message_id(message)));
        req.head.date = Some(outbound.now.to_jiff());
        req.head.mail_id = Some(format!("{transaction}@{}", self.local_domain));
        req.head.sender = Some(self.sender(message));
        let addressed = |kind| message.addressed(kind).map(to_mm4).collect();
        req.from = Some(to_mm4(&message.origin));
        req.to = addressed(RecipientKind::To);
        req.cc = addressed(RecipientKind::Cc);
        if req.to.is_empty() && req.cc.is_empty() {
            // Hidden recipients only: the header must name somebody, and none of them.
            req.to = vec![to_mm4(&message.origin)];
        }
        req.subject.clone_from(&content.subject);
        req.message_class = content.message_class.map(message_class);
        req.content_class = content.content_class.map(content_class);
        req.priority = message.priority.map(priority);
        req.sender_visibility = content.show_sender.map(visibility);
        req.expiry = expiry(outbound, content);
        req.drm_content = content.drm;
        req.adaptation_allowed = content.content_adaptation;
        req.wishes = mm4::Wishes {
            delivery_report: message.dr_requested,
            originator_rs_delivery_report: self.rs_delivery_report,
            read_reply: message.rr_requested,
            ack_request: message.ack_requested,
        };
        // Mandatory with the wish for an answer; many peers send reports there too.
        let wished =
            [message.ack_requested, message.dr_requested, message.rr_requested, self.rs_delivery_report];
        req.originator_system = wished.contains(&Some(true)).then(|| self.system.clone());
        req.applic = mm4::ApplicIds {
            applic_id: message.handling_app.clone(),
            reply_applic_id: message.reply_to_app.clone(),
            aux_applic_info: message.app_info.clone(),
        };
        req.routing = self.routing.clone();
        req.forward_counter = self.forward_counter;
        if self.state_defaults {
            state_defaults(&mut req);
        }
        req
    }

    /// The envelope of one batch, for a mail of `size` octets (TS 23.140 clause 8.4.5).
    pub(crate) fn envelope(&self, outbound: &Outbound, batch: &Batch<'_>, size: u64) -> Envelope {
        let to = |recipient: &&Recipient| self.user_mailbox(&recipient.address);
        let rcpt_to = match self.fixed_recipients.as_slice() {
            [] => batch.recipients.iter().map(to).collect(),
            fixed => fixed.to_vec(),
        };
        Envelope { mail_from: self.sender(&outbound.message), rcpt_to, size, ..Envelope::default() }
    }

    /// The mailbox of a user of the carrier's.
    pub(crate) fn user_mailbox(&self, user: &Address) -> String {
        self.options.destination.envelope(&to_mm4(user), &self.remote_domain)
    }

    fn sender(&self, message: &Message) -> String {
        match self.system_sender {
            true => self.system.clone(),
            false => self.options.origin.envelope(&to_mm4(&message.origin), &self.local_domain),
        }
    }
}

/// States what absent headers mean (TS 23.140 clause 8.4.4.1).
fn state_defaults(req: &mut ForwardReq) {
    req.message_class.get_or_insert(mm4::MessageClass::Personal);
    req.priority.get_or_insert(mm4::Priority::Normal);
    req.sender_visibility.get_or_insert(mm4::Visibility::Show);
    let wishes = &mut req.wishes;
    for wish in [
        &mut wishes.delivery_report,
        &mut wishes.originator_rs_delivery_report,
        &mut wishes.read_reply,
        &mut wishes.ack_request,
    ] {
        wish.get_or_insert(false);
    }
}

/// The transaction id of one mail; it starts with the id of the message.
fn transaction(outbound: &Outbound, batch: &Batch<'_>) -> String {
    match &batch.mark {
        Some(mark) => format!("{}.{mark}", outbound.transaction_id),
        None => outbound.transaction_id.clone(),
    }
}

/// The mark of one mail among several, by which an answer without a list of recipients can be told to be
/// about these: its number where it has only one ([`marked_number`]); else the places of its numbers in
/// the message, counted from 1 ([`marked_places`]).
fn mark(start: usize, chunk: &[Recipient]) -> String {
    match chunk {
        [Recipient { address, .. }] if address.kind() != AddressKind::Mail => address.bare().to_owned(),
        _ => format!("b{}-{}", start + 1, start + chunk.len()),
    }
}

/// The places that a transaction id of ours was made for, where it was made for some.
pub(crate) fn marked_places(transaction: &str) -> Option<Range<usize>> {
    let (_, mark) = transaction.get(32..)?.rsplit_once('.')?;
    let (first, last) = mark.strip_prefix('b')?.split_once('-')?;
    let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
    (first > 0 && first <= last).then(|| first - 1..last)
}

/// The number that a transaction id of ours was made for, where it was made for one.
pub(crate) fn marked_number(transaction: &str) -> Option<Address> {
    let (_, mark) = transaction.get(32..)?.rsplit_once('.')?;
    mark.bytes().all(|b| b.is_ascii_digit()).then(|| mark.parse().ok())?
}

/// An address without decoration. A number is E.164 whether or not it was written with a plus.
pub(crate) fn to_mm4(address: &Address) -> Mm4Address {
    match address.kind() {
        AddressKind::Number => Mm4Address::number(format!("+{}", address.bare())),
        AddressKind::ShortCode => Mm4Address::number(address.bare()),
        AddressKind::Mail => {
            let (local, domain) = address.as_str().rsplit_once('@').unwrap_or((address.as_str(), ""));
            Mm4Address::email(local, domain)
        }
        AddressKind::Other => word(address.as_str()),
    }
}

/// What a carrier stated in place of an address, such as a hidden sender, as a bare word.
fn word(text: &str) -> Mm4Address {
    let kept: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.#*".contains(*c)).collect();
    let local = if kept.is_empty() { "unknown".to_owned() } else { kept };
    Mm4Address { local, kind: mm4::AddressKind::Email, domain: None }
}

/// An absolute time as it is; a time span as what is left of it, since the carrier counts it from
/// when the mail arrives.
fn expiry(outbound: &Outbound, content: &TemplateContent) -> Option<Expiry> {
    if let Some(at) = content.latest_delivery {
        return Some(Expiry::At(at.to_jiff()));
    }
    let left = outbound.now.until(outbound.message.created.after(content.expire_after?));
    Some(Expiry::In(left.max(std::time::Duration::from_secs(1))))
}

fn message_class(class: MessageClass) -> mm4::MessageClass {
    match class {
        MessageClass::Personal => mm4::MessageClass::Personal,
        MessageClass::Advertisement => mm4::MessageClass::Advertisement,
        MessageClass::Informational => mm4::MessageClass::Informational,
        MessageClass::Auto => mm4::MessageClass::Auto,
    }
}

fn content_class(class: ContentClass) -> mm4::ContentClass {
    match class {
        ContentClass::Text => mm4::ContentClass::Text,
        ContentClass::ImageBasic => mm4::ContentClass::ImageBasic,
        ContentClass::ImageRich => mm4::ContentClass::ImageRich,
        ContentClass::VideoBasic => mm4::ContentClass::VideoBasic,
        ContentClass::VideoRich => mm4::ContentClass::VideoRich,
        ContentClass::Megapixel => mm4::ContentClass::Megapixel,
        ContentClass::ContentBasic => mm4::ContentClass::ContentBasic,
        ContentClass::ContentRich => mm4::ContentClass::ContentRich,
    }
}

fn priority(priority: Priority) -> mm4::Priority {
    match priority {
        Priority::Low => mm4::Priority::Low,
        Priority::Normal => mm4::Priority::Normal,
        Priority::High => mm4::Priority::High,
    }
}

fn visibility(show: bool) -> mm4::Visibility {
    if show { mm4::Visibility::Show } else { mm4::Visibility::Hide }
}

#[cfg(test)]
mod tests;
