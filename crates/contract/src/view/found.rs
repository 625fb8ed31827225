//! Messages that were found, in short.

use mmsgw_domain::{Message, MessageId, State, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::message::direction;
use super::{RecipientView, StateWord};
use crate::request::cursor_behind;

/// A page of messages, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FoundMessages)]
pub struct FoundView {
    /// The messages.
    pub messages: Vec<MessageSummaryView>,
    /// Give this as `cursor` to go on; null where everything was looked at. A page may be short or even empty and have one.
    pub next_cursor: Option<String>,
}

/// A message in short: how far it is, without what it says and what happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = MessageSummary)]
pub struct MessageSummaryView {
    /// Its id.
    pub id: String,
    /// The provider's id of it.
    pub peer_ref: Option<String>,
    /// -1 outbound, 1 inbound.
    #[schema(example = -1)]
    pub direction: i8,
    /// The gateway group that carries it.
    pub gateway: String,
    /// How far it is: the slowest number's state, or the best end that any number reached.
    #[schema(value_type = Option<StateWord>)]
    pub state: Option<State>,
    /// Where it comes from.
    pub origin: String,
    /// How far it is for each number.
    pub recipients: Vec<RecipientView>,
    /// The batch that it is part of.
    pub batch: Option<String>,
    /// The message it answers.
    pub linked_id: Option<String>,
    /// When mmsgw accepted it, in seconds since 1970 UTC.
    pub created_ts: i64,
    /// When an instance last worked on it, in seconds since 1970 UTC.
    pub processed_ts: Option<i64>,
}

impl FoundView {
    /// The view of messages, and of where to go on: behind the message `next`.
    pub fn of(messages: &[Message], next: Option<MessageId>) -> Self {
        let messages = messages.iter().map(MessageSummaryView::of).collect();
        Self { messages, next_cursor: next.map(cursor_behind) }
    }
}

impl MessageSummaryView {
    /// The view of a message.
    pub fn of(message: &Message) -> Self {
        Self {
            id: message.id.to_string(),
            peer_ref: message.peer_ref.clone(),
            direction: direction(message.direction),
            gateway: message.group.to_string(),
            state: message.state(),
            origin: message.origin.to_string(),
            recipients: message.recipients.iter().map(RecipientView::of).collect(),
            batch: message.batch.map(|id| id.to_string()),
            linked_id: message.linked_id.clone(),
            created_ts: message.created.as_secs(),
            processed_ts: message.processed.map(Timestamp::as_secs),
        }
    }
}
