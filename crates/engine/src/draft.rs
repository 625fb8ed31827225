//! What applications ask for, before it is anything.

use bytes::Bytes;
use mmsgw_domain::{Address, GroupName, PartId, Priority, TemplateContent, TraceParent, Variables};

/// A template to be created.
#[derive(Debug, Clone)]
pub struct TemplateDraft {
    /// All but the parts, whose list is empty here.
    pub content: TemplateContent,
    /// The parts.
    pub parts: Vec<PartDraft>,
}

/// A change to a template.
pub struct TemplateChange {
    /// Sets the values that the application gave.
    pub set: Box<dyn FnOnce(&mut TemplateContent) + Send>,
    /// Whether the parts so far are dropped.
    pub clear_parts: bool,
    /// Parts to be appended.
    pub parts: Vec<PartDraft>,
}

/// A part to be created.
#[derive(Debug, Clone)]
pub enum PartDraft {
    /// A new part.
    New {
        /// File name.
        name: String,
        /// Media type.
        content_type: String,
        /// Content, or where it is.
        content: DraftContent,
    },
    /// One that was created on its own.
    Existing(PartId),
}

/// Content of a [`PartDraft`].
#[derive(Debug, Clone)]
pub enum DraftContent {
    /// Text.
    Text(String),
    /// Octets.
    Octets(Bytes),
    /// A URL to fetch it from.
    Url(String),
}

/// A message to be sent.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// Direct recipients.
    pub to: Vec<Address>,
    /// Recipients of a copy.
    pub cc: Vec<Address>,
    /// Recipients of a hidden copy.
    pub bcc: Vec<Address>,
    /// The group to carry it.
    pub group: Option<GroupName>,
    /// Priority.
    pub priority: Option<Priority>,
    /// The message it answers.
    pub linked_id: Option<String>,
    /// Another origin than the template's.
    pub origin: Option<Address>,
    /// Values of the template's variables, for all the numbers.
    pub variables: Variables,
    /// Where to post events, besides the group's URLs.
    pub events_url: Vec<String>,
    /// The billing code; absent: that of the gateway.
    pub service_code: Option<String>,
    /// The application that it is for; absent: that of the gateway. So the two that follow.
    pub handling_app: Option<String>,
    /// The application that replies go to.
    pub reply_to_app: Option<String>,
    /// What the applications tell each other.
    pub app_info: Option<String>,
    /// The trace that it takes part in.
    pub trace: Option<TraceParent>,
}
