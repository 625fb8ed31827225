//! Templates and their parts.

use std::borrow::Cow;

use mmsgw_domain::{
    ChargedParty, ContentClass, MessageClass, Part, PartContent, Template, Timestamp, Variables,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Links;
use crate::VariableForm;

/// A template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Template)]
pub struct TemplateView<'a> {
    /// Its id.
    pub id: String,
    /// Number or short code that messages come from.
    pub origin: String,
    /// Whether the recipient sees the sender; `true` where nothing else was said.
    pub show_sender: bool,
    /// Held until then, in seconds since 1970 UTC.
    pub earliest_delivery: Option<i64>,
    /// Not delivered after that, in seconds since 1970 UTC.
    pub latest_delivery: Option<i64>,
    /// Messages expire that many seconds after they were made.
    pub expire_after: Option<u64>,
    /// `personal`, `advertisement`, `informational` or `auto`.
    #[schema(value_type = Option<String>)]
    pub message_class: Option<MessageClass>,
    /// `text`, `image-basic`, `image-rich`, `video-basic`, `video-rich`, `megapixel`, `content-basic`
    /// or `content-rich`.
    #[schema(value_type = Option<String>)]
    pub content_class: Option<ContentClass>,
    /// `sender`, `recipient`, `both`, `neither` or `third-party`.
    #[schema(value_type = Option<String>)]
    pub charged_party: Option<ChargedParty>,
    /// The third party who is charged.
    pub charged_party_id: Option<String>,
    /// Whether it holds content with rights management.
    pub drm: Option<bool>,
    /// Whether the network may adapt the content.
    pub content_adaptation: Option<bool>,
    /// Whether the recipient may forward it.
    pub can_redistribute: Option<bool>,
    /// Whether the sender pays for the answer.
    pub reply_charging: Option<bool>,
    /// Octets of the largest answer that is paid for.
    pub reply_charging_size: Option<u32>,
    /// Last time for an answer that is paid for, in seconds since 1970 UTC.
    pub reply_deadline: Option<i64>,
    /// Conditions without which it is not delivered.
    pub delivery_conditions: Option<Vec<u32>>,
    /// Subject.
    pub subject: Option<String>,
    /// Values of variables where a message gives none.
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, VariableForm>)]
    pub defaults: Variables,
    /// Its parts; SMIL first.
    #[schema(value_type = Vec<PartView>)]
    pub parts: Vec<PartView<'a>>,
}

impl<'a> TemplateView<'a> {
    /// The view of a template, text borrowed from it.
    pub fn of(template: &'a Template, links: &Links) -> Self {
        let content = &template.content;
        Self {
            id: template.id.to_string(),
            origin: content.origin.to_string(),
            show_sender: content.show_sender.unwrap_or(true),
            earliest_delivery: content.earliest_delivery.map(Timestamp::as_secs),
            latest_delivery: content.latest_delivery.map(Timestamp::as_secs),
            expire_after: content.expire_after.map(|span| span.as_secs()),
            message_class: content.message_class,
            content_class: content.content_class,
            charged_party: content.charged_party,
            charged_party_id: content.charged_party_id.clone(),
            drm: content.drm,
            content_adaptation: content.content_adaptation,
            can_redistribute: content.can_redistribute,
            reply_charging: content.reply_charging,
            reply_charging_size: content.reply_charging_size,
            reply_deadline: content.reply_deadline.map(Timestamp::as_secs),
            delivery_conditions: content.delivery_conditions.clone(),
            subject: content.subject.clone(),
            defaults: content.defaults.clone(),
            parts: content.parts.iter().map(|part| PartView::of(part, links)).collect(),
        }
    }
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Part)]
pub struct PartView<'a> {
    /// Its id.
    pub id: String,
    /// File name.
    pub name: String,
    /// The file name again, under its other field name.
    pub content_name: String,
    /// Media type, with parameters as given.
    #[schema(example = "image/jpeg")]
    pub content_type: String,
    /// Text, where it is kept as such.
    #[schema(value_type = Option<String>)]
    pub content: Option<Cow<'a, str>>,
    /// Where the content is: the URL that was given, or one at mmsgw.
    pub content_url: Option<String>,
    /// Octets, where mmsgw keeps them.
    pub size: Option<u64>,
    /// SHA-256 of the octets, where mmsgw keeps them, in lower-case hexadecimal digits.
    pub digest: Option<String>,
}

impl<'a> PartView<'a> {
    /// The view of a part, text borrowed from it.
    pub fn of(part: &'a Part, links: &Links) -> Self {
        let mut view = Self {
            id: part.id.to_string(),
            name: part.name.clone(),
            content_name: part.name.clone(),
            content_type: part.content_type.clone(),
            content: None,
            content_url: None,
            size: None,
            digest: None,
        };
        match &part.content {
            PartContent::Text(text) => view.content = Some(Cow::Borrowed(text)),
            PartContent::Url(url) => view.content_url = Some(url.clone()),
            PartContent::Blob(blob) => {
                let link = || links.media(&blob.digest, &part.name, &part.content_type);
                view.content_url = Some(blob.source.clone().unwrap_or_else(link));
                view.size = Some(blob.size);
                view.digest = Some(blob.digest.to_string());
            }
        }
        view
    }
}
