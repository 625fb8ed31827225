//! Templates: what is sent, to be sent once or many times.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Address, Part, RevisionId, TemplateId, Timestamp, Variables};

/// One revision of a template. Revisions never change (only fetched media replaces the URL it came
/// from); a change to a template makes a new revision, so messages keep what they were made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// The template.
    pub id: TemplateId,
    /// This revision of it.
    pub revision: RevisionId,
    /// When the template was created.
    pub created: Timestamp,
    /// When it may be forgotten, unless a message still needs it.
    pub expires: Timestamp,
    /// What it says.
    pub content: TemplateContent,
}

/// What a template says. An absent option means that nothing is stated on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateContent {
    /// Number or short code the message comes from.
    pub origin: Address,
    /// Whether the recipient sees the sender.
    pub show_sender: Option<bool>,
    /// Held until then, and passed on.
    pub earliest_delivery: Option<Timestamp>,
    /// Not delivered after that, and passed on.
    pub latest_delivery: Option<Timestamp>,
    /// Expires that long after it was made, and passed on.
    pub expire_after: Option<Duration>,
    /// Message class.
    pub message_class: Option<MessageClass>,
    /// Content class.
    pub content_class: Option<ContentClass>,
    /// Who is charged.
    pub charged_party: Option<ChargedParty>,
    /// The third party who is charged.
    pub charged_party_id: Option<String>,
    /// Whether it holds content with rights management.
    pub drm: Option<bool>,
    /// Whether we may change pictures so that they fit the carrier, and the network may adapt the content.
    pub content_adaptation: Option<bool>,
    /// Whether the recipient may redistribute it.
    pub can_redistribute: Option<bool>,
    /// Whether the sender pays for the answer (MM7 ReplyCharging).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_charging: Option<bool>,
    /// Octets of the largest answer that is paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_charging_size: Option<u32>,
    /// Last time for an answer that is paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_deadline: Option<Timestamp>,
    /// Conditions without which it is not delivered (MM7 DeliveryCondition): 1 only to handsets that know MMS,
    /// 2 only in the home network, others as agreed with the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_conditions: Option<Vec<u32>>,
    /// Subject.
    pub subject: Option<String>,
    /// Values of variables where a message has none.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub defaults: Variables,
    /// Whether subject, text or SMIL have variables in them, so that each message is rendered by itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub personal: bool,
    /// Parts; SMIL first.
    pub parts: Vec<Part>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl TemplateContent {
    /// A template of which nothing is said but where it comes from.
    pub fn new(origin: Address) -> Self {
        Self {
            origin,
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
            reply_charging: None,
            reply_charging_size: None,
            reply_deadline: None,
            delivery_conditions: None,
            subject: None,
            defaults: Variables::new(),
            personal: false,
            parts: Vec::new(),
        }
    }
}

/// Message class (TS 23.140 clause 8.4.1, X-Mms-Message-Class).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageClass {
    /// From a person.
    Personal,
    /// Advertising.
    Advertisement,
    /// Information.
    Informational,
    /// Made by a machine on a person's behalf.
    Auto,
}

/// Content class (OMA MMS conformance), the smallest class that the content fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContentClass {
    /// Text only.
    Text,
    /// Pictures up to 160 by 120.
    ImageBasic,
    /// Pictures up to 640 by 480.
    ImageRich,
    /// Small video.
    VideoBasic,
    /// Video.
    VideoRich,
    /// Pictures up to 1600 by 1200.
    Megapixel,
    /// Any agreed type, small.
    ContentBasic,
    /// Any agreed type.
    ContentRich,
}

impl ContentClass {
    /// The word that both protocols and the API use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::ImageBasic => "image-basic",
            Self::ImageRich => "image-rich",
            Self::VideoBasic => "video-basic",
            Self::VideoRich => "video-rich",
            Self::Megapixel => "megapixel",
            Self::ContentBasic => "content-basic",
            Self::ContentRich => "content-rich",
        }
    }
}

/// Who is charged (TS 23.140 clause 8.7, ChargedParty).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChargedParty {
    /// The sender.
    Sender,
    /// The recipient.
    Recipient,
    /// Both of them.
    Both,
    /// None of them.
    Neither,
    /// Somebody else, named by `charged_party_id`.
    ThirdParty,
}
