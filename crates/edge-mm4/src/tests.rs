//! What the tests of this crate share, and those that need sockets.

mod fake;
mod receiving;
pub(crate) mod reference;
mod robustness;
mod sending;
mod spooling;
mod traced;

use std::sync::Arc;

use bytes::Bytes;
use mmsgw_domain::{
    Code, Direction, Message, MessageId, Part, PartContent, PartId, Recipient, RecipientKind, RevisionId,
    State, Template, TemplateContent, TemplateId, Timestamp,
};
use mmsgw_engine::{Content, Outbound, Tap};

use crate::config::{Mm4Settings, REFERENCE};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The settings of the reference file.
pub(crate) fn settings() -> Mm4Settings {
    toml::from_str(REFERENCE).unwrap()
}

pub(crate) fn recipient(address: &str) -> Recipient {
    Recipient {
        address: address.parse().unwrap(),
        kind: RecipientKind::To,
        state: State::Scheduled,
        code: Code::OK,
        updated: NOW,
        peer_ref: None,
        round: 0,
    }
}

pub(crate) fn part(name: &str, content_type: &str, body: impl Into<Bytes>) -> (Part, Bytes) {
    let content = PartContent::Text(String::new());
    let id = PartId::generate(NOW);
    (Part { id, name: name.into(), content_type: content_type.into(), content }, body.into())
}

pub(crate) fn content(parts: Vec<(Part, Bytes)>) -> Content {
    let (parts, bodies) = parts.into_iter().unzip();
    let content = TemplateContent {
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
    };
    let (id, revision) = (TemplateId::generate(NOW), RevisionId::generate(NOW));
    Content::new(Template { id, revision, created: NOW, expires: NOW, content }, bodies)
}

pub(crate) fn message(recipients: &[&str]) -> Message {
    Message {
        id: MessageId::generate(NOW),
        direction: Direction::Outbound,
        group: "carrier".parse().unwrap(),
        template: TemplateId::generate(NOW),
        revision: RevisionId::generate(NOW),
        origin: "54321".parse().unwrap(),
        recipients: recipients.iter().map(|address| recipient(address)).collect(),
        linked_id: None,
        priority: None,
        events_url: vec![],
        ack_requested: None,
        dr_requested: None,
        rr_requested: None,
        created: NOW,
        processed: None,
        deadline: NOW,
        expires: None,
        instances: vec![],
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
        events: vec![],
        version: 0,
    }
}

pub(crate) fn outbound(message: Message, content: Content) -> Outbound {
    Outbound {
        recipients: message.unsent().cloned().collect(),
        transaction_id: message.transaction_id(),
        message: Arc::new(message),
        content: Arc::new(content),
        now: NOW,
        tap: Tap::default(),
    }
}

/// A message of a line of text and an image.
pub(crate) fn sample(recipients: &[&str]) -> Outbound {
    let parts = vec![part("t.txt", "text/plain", ".dot\r\nhé"), part("a.gif", "image/gif", vec![7; 5_000])];
    outbound(message(recipients), content(parts))
}
