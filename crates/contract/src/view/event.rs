//! Events, in a message and as callbacks.

use std::borrow::Cow;

use mmsgw_domain::{Event, MessageId, State};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::joined;

/// Something that happened to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    /// Counts the events of one message from 1; a receiver can drop what comes late.
    pub sequence: u32,
    /// Canonical code: 200 ok, 202 forwarded, 400 malformed, 404 unknown, 406 refused, 408 expired,
    /// 410 deferred, 415 unsupported, 500 unspecified.
    #[schema(example = "200")]
    pub code: String,
    /// The state reported.
    #[schema(value_type = StateWord)]
    pub state: State,
    /// A sentence for people.
    pub description: String,
    /// The carrier's own word or number.
    pub carrier_status: Option<String>,
    /// What the carrier said besides (MM7 Details), as text.
    pub details: Option<String>,
    /// When it happened, in seconds since 1970 UTC.
    pub timestamp: i64,
    /// The gateway instance that saw it.
    #[schema(example = "gw:east:host1:4711")]
    pub gateway: Option<String>,
    /// The numbers concerned, with commas; `*` for all of the message.
    #[schema(example = "*")]
    pub destinations: String,
}

impl EventView {
    /// The view of an event.
    pub fn of(event: &Event) -> Self {
        Self {
            sequence: event.sequence,
            code: event.code.to_string(),
            state: event.state,
            description: event.description.clone(),
            carrier_status: event.carrier_status.clone(),
            details: event.details.clone(),
            timestamp: event.at.as_secs(),
            gateway: event.instance.as_ref().map(ToString::to_string),
            destinations: joined(&event.destinations).unwrap_or_else(|| "*".to_owned()),
        }
    }
}

/// What is posted to every `events_url` when something happens to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventCallback {
    /// The message's id.
    pub message: String,
    /// What happened.
    #[serde(flatten)]
    pub event: EventView,
}

impl EventCallback {
    /// The callback about an event of a message.
    pub fn of(message: MessageId, event: &Event) -> Self {
        Self { message: message.to_string(), event: EventView::of(event) }
    }
}

/// Describes [`State`] to the OpenAPI document.
#[derive(Debug)]
pub struct StateWord;

impl PartialSchema for StateWord {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some("How far a message is."))
            .enum_values(Some(State::ALL.map(State::name)))
            .into()
    }
}

impl ToSchema for StateWord {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("State")
    }
}
