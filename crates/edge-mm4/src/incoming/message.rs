//! An MM4_forward.REQ (TS 23.140 clause 8.4.4.1) as a message for our side.
//!
//! Whom it is for says the envelope; `To` and `Cc` only say which of these numbers stood where, and one
//! in neither was hidden. Where the envelope names no number at all, since the carrier sends everything
//! to a mailbox of our system, the numbers of the headers have to do.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use mmsgw_domain::{
    Address, CarrierIds, ContentClass, MessageClass, PreviouslySent, Priority, RecipientKind,
    TemplateContent, Timestamp,
};
use mmsgw_engine::{InboundContent, InboundMessage, InboundPart};
use mmsgw_mime::Entity;
use mmsgw_mm4 as mm4;
use mmsgw_mm4::{AddressKind, Expiry, ForwardReq, Mm4Address, Visibility, Wishes};

use super::{Envelope, Reader};

impl Reader {
    pub(super) fn message(
        &self,
        req: &ForwardReq,
        content: Option<&Entity>,
        envelope: Envelope<'_>,
    ) -> InboundMessage {
        let recipients = self.recipients(req, envelope);
        let origin = self.originator(req, envelope);
        InboundMessage {
            fingerprint: fingerprint(req.message_id.bare(), &recipients),
            content: template(req, origin.clone()),
            parts: content.map(parts).unwrap_or_default(),
            origin,
            recipients,
            ack_requested: req.wishes.ack_request,
            dr_requested: delivery_report_wished(&req.wishes),
            rr_requested: req.wishes.read_reply,
            peer_ref: Some(req.message_id.bare().to_owned()),
            carrier_ids: Some(CarrierIds {
                transaction: req.head.transaction_id.raw().to_owned(),
                message: Some(req.message_id.raw().to_owned()),
            }),
            ack_at_addr: self.trust.first([
                req.originator_system.as_deref(),
                req.head.sender.as_deref(),
                Some(envelope.mail_from),
            ]),
            linked_id: None,
            priority: req.priority.as_ref().and_then(priority),
            relay_server: None,
            ua_caps: None,
            reply_charging_id: None,
            handling_app: req.applic.applic_id.clone(),
            reply_to_app: req.applic.reply_applic_id.clone(),
            app_info: req.applic.aux_applic_info.clone(),
            service_code: None,
            forward_counter: req.forward_counter,
            previously_sent: self.previously_sent(req),
        }
    }

    /// From, else Sender (the codec sees to that), else MAIL FROM; kept also where it is to be hidden, as
    /// reports have to go somewhere.
    fn originator(&self, req: &ForwardReq, envelope: Envelope<'_>) -> Address {
        let from = req.from.clone().or_else(|| Mm4Address::parse(envelope.mail_from));
        let theirs = |domain: &str| self.trust.covers(domain);
        from.map_or_else(|| Address::from_carrier(""), |from| address(&from, self.prefix(), theirs))
    }

    /// The earlier sendings, whoever was the user then.
    fn previously_sent(&self, req: &ForwardReq) -> Vec<PreviouslySent> {
        let theirs = |domain: &str| self.trust.covers(domain);
        let hop = |hop: &mm4::PreviouslySent| PreviouslySent {
            position: hop.position,
            address: hop.address.as_ref().map(|a| address(a, self.prefix(), theirs)),
            at: hop.at.map(Timestamp::from_jiff),
        };
        req.previously_sent.iter().take(MAX_HOPS).map(hop).collect()
    }

    fn recipients(&self, req: &ForwardReq, envelope: Envelope<'_>) -> Vec<(RecipientKind, Address)> {
        let listed = |list: &[Mm4Address]| list.iter().map(|a| self.ours(a)).collect::<Vec<_>>();
        let (to, cc) = (listed(&req.to), listed(&req.cc));
        let rcpt_to: Vec<Address> = envelope.rcpt_to.iter().filter_map(|text| self.recipient(text)).collect();
        let numbers = |list: &[Address]| list.iter().filter(|a| is_number(a)).cloned().collect::<Vec<_>>();
        let mut wanted = numbers(&rcpt_to);
        if wanted.is_empty() {
            wanted = [numbers(&to), numbers(&cc)].concat();
        }
        if wanted.is_empty() {
            wanted = rcpt_to;
        }
        let mut found: Vec<(RecipientKind, Address)> = Vec::new();
        for address in wanted {
            let kind = match &address {
                a if to.contains(a) => RecipientKind::To,
                a if cc.contains(a) => RecipientKind::Cc,
                _ => RecipientKind::Bcc,
            };
            if found.len() < MAX_RECIPIENTS && !found.iter().any(|(_, known)| *known == address) {
                found.push((kind, address));
            }
        }
        found
    }

    /// A recipient of the envelope, less what stands before and after numbers of our side.
    fn recipient(&self, text: &str) -> Option<Address> {
        let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
        let suffix = &self.addressing.origin_suffix;
        let cut = local.len().checked_sub(suffix.len()).and_then(|at| local.split_at_checked(at));
        let local = cut.filter(|(_, end)| end.eq_ignore_ascii_case(suffix)).map_or(local, |(start, _)| start);
        let parsed = match domain {
            "" => Mm4Address::parse(local),
            domain => Mm4Address::parse(&format!("{local}@{domain}")),
        };
        parsed.map(|address| self.ours(&address))
    }

    fn ours(&self, parsed: &Mm4Address) -> Address {
        let own = |domain: &str| self.own_domains.iter().any(|known| known.eq_ignore_ascii_case(domain));
        address(parsed, &self.addressing.origin_prefix, own)
    }
}

/// An address without type and domain. `prefix` is what numbers of that side carry in place of a plus; a
/// mailbox of digits at a domain of that side is a number too (seen at NowSMS).
fn address(parsed: &Mm4Address, prefix: &str, is_home: impl Fn(&str) -> bool) -> Address {
    let local = parsed.local.as_str();
    match (&parsed.kind, parsed.domain.as_deref()) {
        (AddressKind::Email, Some(domain)) => {
            let number = Some(number(local, prefix)).filter(|number| is_home(domain) && is_number(number));
            number.unwrap_or_else(|| Address::from_carrier(&format!("{local}@{domain}")))
        }
        (AddressKind::Plmn | AddressKind::Email, _) => number(local, prefix),
        (AddressKind::Ipv4, _) => Address::from_carrier(&format!("{local}/TYPE=IPv4")),
        (AddressKind::Ipv6, _) => Address::from_carrier(&format!("{local}/TYPE=IPv6")),
        (AddressKind::Other(kind), _) => Address::from_carrier(&format!("{local}/TYPE={kind}")),
    }
}

fn number(local: &str, prefix: &str) -> Address {
    let stripped = Some(prefix).filter(|prefix| !prefix.is_empty() && *prefix != "+");
    let stripped = stripped.and_then(|prefix| local.strip_prefix(prefix)).map(|digits| format!("+{digits}"));
    let international = stripped.and_then(|text| text.parse::<Address>().ok());
    international.unwrap_or_else(|| Address::from_carrier(local))
}

fn is_number(address: &Address) -> bool {
    use mmsgw_domain::AddressKind::{Number, ShortCode};
    matches!(address.kind(), Number | ShortCode)
}

/// The same for each repetition of this mail: the id of the message, and whom this mail of it is for. A
/// peer may send one mail to each recipient. Long ones are shortened to a digest.
fn fingerprint(id: &str, recipients: &[(RecipientKind, Address)]) -> String {
    let mut numbers: Vec<String> =
        recipients.iter().map(|(_, address)| address.bare().to_ascii_lowercase()).collect();
    numbers.sort_unstable();
    let full = format!("{id}|{}", numbers.join(","));
    if full.len() <= MAX_FINGERPRINT {
        return full;
    }
    let digest = digest(&SHA256, full.as_bytes());
    digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

fn template(req: &ForwardReq, origin: Address) -> TemplateContent {
    let (latest_delivery, expire_after) = match req.expiry {
        Some(Expiry::At(at)) => (Some(Timestamp::from_jiff(at)), None),
        Some(Expiry::In(span)) => (None, Some(span)),
        None => (None, None),
    };
    TemplateContent {
        show_sender: req.sender_visibility.as_ref().and_then(visible),
        latest_delivery,
        expire_after,
        message_class: req.message_class.as_ref().and_then(message_class),
        content_class: req.content_class.as_ref().and_then(content_class),
        drm: req.drm_content,
        content_adaptation: req.adaptation_allowed,
        subject: req.subject.as_deref().and_then(subject),
        ..TemplateContent::new(origin)
    }
}

/// The user's wish or the relay/server's own: both want the same mail.
fn delivery_report_wished(wishes: &Wishes) -> Option<bool> {
    match wishes.originator_rs_delivery_report {
        Some(true) => Some(true),
        _ => wishes.delivery_report,
    }
}

/// One line of bounded length.
fn subject(text: &str) -> Option<String> {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SUBJECT).collect();
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// The leaves of the tree, the presentation first. A mail with an empty body has no part.
fn parts(content: &Entity) -> Vec<InboundPart> {
    let mut leaves = content.leaves();
    if content.body().is_some_and(Bytes::is_empty) {
        return Vec::new();
    }
    let root = content.root().filter(|root| root.media_type.is_smil());
    let smil = match root {
        Some(root) => leaves.iter().position(|leaf| std::ptr::eq(*leaf, root)),
        None => leaves.iter().position(|leaf| leaf.media_type.is_smil()),
    };
    if let Some(at) = smil {
        leaves[..=at].rotate_right(1);
    }
    leaves.into_iter().enumerate().map(|(index, leaf)| part(index, leaf)).collect()
}

/// One leaf. The charset does not outlive the conversion, nor do parameters that only name the part.
fn part(index: usize, leaf: &Entity) -> InboundPart {
    let essence = leaf.media_type.essence();
    let name = leaf.name().unwrap_or_else(|| format!("part-{}.{}", index + 1, extension(essence)));
    let content = match leaf.text() {
        Some(text) => InboundContent::Text(text),
        None => InboundContent::Octets(leaf.body().cloned().unwrap_or_default()),
    };
    InboundPart { name, content_type: essence.to_owned(), content }
}

/// What a file of that type is usually called.
fn extension(essence: &str) -> &'static str {
    let known = EXTENSIONS.iter().find(|(of, _)| *of == essence);
    known.map_or(if essence.starts_with("text/") { "txt" } else { "bin" }, |(_, extension)| extension)
}

fn visible(visibility: &Visibility) -> Option<bool> {
    match visibility {
        Visibility::Show => Some(true),
        Visibility::Hide => Some(false),
        Visibility::Other(_) => None,
    }
}

fn priority(priority: &mm4::Priority) -> Option<Priority> {
    match priority {
        mm4::Priority::Low => Some(Priority::Low),
        mm4::Priority::Normal => Some(Priority::Normal),
        mm4::Priority::High => Some(Priority::High),
        mm4::Priority::Other(_) => None,
    }
}

fn message_class(class: &mm4::MessageClass) -> Option<MessageClass> {
    match class {
        mm4::MessageClass::Personal => Some(MessageClass::Personal),
        mm4::MessageClass::Advertisement => Some(MessageClass::Advertisement),
        mm4::MessageClass::Informational => Some(MessageClass::Informational),
        mm4::MessageClass::Auto => Some(MessageClass::Auto),
        mm4::MessageClass::Other(_) => None,
    }
}

fn content_class(class: &mm4::ContentClass) -> Option<ContentClass> {
    match class {
        mm4::ContentClass::Text => Some(ContentClass::Text),
        mm4::ContentClass::ImageBasic => Some(ContentClass::ImageBasic),
        mm4::ContentClass::ImageRich => Some(ContentClass::ImageRich),
        mm4::ContentClass::VideoBasic => Some(ContentClass::VideoBasic),
        mm4::ContentClass::VideoRich => Some(ContentClass::VideoRich),
        mm4::ContentClass::Megapixel => Some(ContentClass::Megapixel),
        mm4::ContentClass::ContentBasic => Some(ContentClass::ContentBasic),
        mm4::ContentClass::ContentRich => Some(ContentClass::ContentRich),
        mm4::ContentClass::Other(_) => None,
    }
}

/// Earlier sendings of a message that are kept.
const MAX_HOPS: usize = 64;
/// Recipients of one mail that are kept.
const MAX_RECIPIENTS: usize = 256;
/// Characters of a subject that are kept.
const MAX_SUBJECT: usize = 1_000;
/// Longest fingerprint that is kept as it is.
const MAX_FINGERPRINT: usize = 500;
/// File extensions of the types that handsets send.
const EXTENSIONS: [(&str, &str); 24] = [
    ("application/smil", "smil"),
    ("application/smil+xml", "smil"),
    ("application/pdf", "pdf"),
    ("application/vnd.oma.drm.message", "dm"),
    ("audio/aac", "aac"),
    ("audio/amr", "amr"),
    ("audio/midi", "mid"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/wav", "wav"),
    ("image/bmp", "bmp"),
    ("image/gif", "gif"),
    ("image/heic", "heic"),
    ("image/jpeg", "jpg"),
    ("image/jpg", "jpg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("image/vnd.wap.wbmp", "wbmp"),
    ("image/webp", "webp"),
    ("text/html", "html"),
    ("text/x-vcalendar", "vcs"),
    ("text/x-vcard", "vcf"),
    ("video/3gpp", "3gp"),
    ("video/mp4", "mp4"),
];

#[cfg(test)]
mod tests;
