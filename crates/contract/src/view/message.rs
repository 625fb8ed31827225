//! Messages.

use mmsgw_domain::{
    Address, Direction, InstanceId, Message, PreviouslySent, Priority, Recipient, RecipientKind, State,
    Template, Timestamp, Variables,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{EventView, Links, StateWord, TemplateView, joined};
use crate::VariableForm;

/// A message, outbound or inbound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageView<'a> {
    /// Its id.
    pub id: String,
    /// The provider's id of it.
    pub peer_ref: Option<String>,
    /// The provider's id again, under its other field name.
    pub provider_ref: Option<String>,
    /// The transaction id last used with the provider.
    pub last_tran_id: Option<String>,
    /// Where an acknowledgement goes.
    pub ack_at_addr: Option<String>,
    /// -1 outbound, 1 inbound.
    #[schema(example = -1)]
    pub direction: i8,
    /// The gateway instances that worked on it, with commas.
    pub gateway_id: Option<String>,
    /// The gateway group that carries it.
    pub gateway: String,
    /// How far it is: the slowest number's state, or the best end that any number reached.
    #[schema(value_type = Option<StateWord>)]
    pub state: Option<State>,
    /// Where it comes from.
    pub origin: String,
    /// Direct recipients, with commas.
    pub destination: Option<String>,
    /// Recipients of a copy, with commas.
    pub cc: Option<String>,
    /// Recipients of a hidden copy, with commas.
    pub bcc: Option<String>,
    /// How far it is for each number.
    pub recipients: Vec<RecipientView>,
    /// Values of the template's variables.
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, VariableForm>)]
    pub variables: Variables,
    /// The batch that it is part of.
    pub batch: Option<String>,
    /// The message it answers.
    pub linked_id: Option<String>,
    /// `low`, `normal` or `high`.
    #[schema(value_type = Option<String>)]
    pub priority: Option<Priority>,
    /// The relay that handed it over.
    pub relay_server: Option<String>,
    /// What the sender's handset can do.
    pub ua_caps: Option<String>,
    /// The reply charging id.
    pub reply_charging_id: Option<String>,
    /// The application that it is for.
    pub handling_app: Option<String>,
    /// The application that replies go to.
    pub reply_to_app: Option<String>,
    /// What the applications tell each other.
    pub app_info: Option<String>,
    /// The billing code.
    pub service_code: Option<String>,
    /// Inbound: how often it was forwarded before.
    pub forward_counter: Option<u32>,
    /// Inbound: who sent it before, and when.
    pub previously_sent: Vec<PreviouslySentView>,
    /// Where events are posted to, with commas.
    pub events_url: Option<String>,
    /// Whether an acknowledgement is asked for.
    pub ack_requested: Option<bool>,
    /// Whether delivery reports are asked for.
    pub dr_requested: Option<bool>,
    /// Whether read reports are asked for.
    pub rr_requested: Option<bool>,
    /// When mmsgw accepted it, in seconds since 1970 UTC.
    pub created_ts: i64,
    /// When an instance last worked on it, in seconds since 1970 UTC.
    pub processed_ts: Option<i64>,
    /// What it says; for an inbound message a template made up for it.
    #[schema(value_type = TemplateView)]
    pub template: TemplateView<'a>,
    /// What happened to it, oldest first.
    pub events: Vec<EventView>,
}

/// One earlier sending of a message that was forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PreviouslySent)]
pub struct PreviouslySentView {
    /// Its place in the order of sendings.
    pub position: u32,
    /// Who sent it.
    pub address: Option<String>,
    /// When, in seconds since 1970 UTC.
    pub timestamp: Option<i64>,
}

impl PreviouslySentView {
    fn of(sent: &PreviouslySent) -> Self {
        Self {
            position: sent.position,
            address: sent.address.as_ref().map(ToString::to_string),
            timestamp: sent.at.map(Timestamp::as_secs),
        }
    }
}

/// How far a message is for one number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Recipient)]
pub struct RecipientView {
    /// The number.
    pub number: String,
    /// `to`, `cc` or `bcc`.
    #[schema(value_type = String, example = "to")]
    pub kind: RecipientKind,
    /// Its state.
    #[schema(value_type = StateWord)]
    pub state: State,
    /// Canonical code of the event that made this state.
    #[schema(example = "200")]
    pub code: String,
    /// When the state last changed, in seconds since 1970 UTC.
    pub updated_ts: i64,
    /// The provider's id of the message to this number.
    pub peer_ref: Option<String>,
}

impl<'a> MessageView<'a> {
    /// The view of a message with the revision of the template it was made from, text borrowed.
    pub fn of(message: &Message, template: &'a Template, links: &Links) -> Self {
        let links = match message.direction {
            Direction::Outbound => links,
            Direction::Inbound => links.of_group(&message.group),
        };
        let numbers = |kind| joined(message.addressed(kind));
        let listed = |list: Vec<&str>| (!list.is_empty()).then(|| list.join(","));
        Self {
            id: message.id.to_string(),
            peer_ref: message.peer_ref.clone(),
            provider_ref: message.peer_ref.clone(),
            last_tran_id: message.last_tran_id.clone(),
            ack_at_addr: message.ack_at_addr.clone(),
            direction: direction(message.direction),
            gateway_id: listed(message.instances.iter().map(InstanceId::as_str).collect()),
            gateway: message.group.to_string(),
            state: message.state(),
            origin: Address::to_string(&message.origin),
            destination: numbers(RecipientKind::To),
            cc: numbers(RecipientKind::Cc),
            bcc: numbers(RecipientKind::Bcc),
            recipients: message.recipients.iter().map(RecipientView::of).collect(),
            variables: message.variables.clone(),
            batch: message.batch.map(|id| id.to_string()),
            linked_id: message.linked_id.clone(),
            priority: message.priority,
            relay_server: message.relay_server.clone(),
            ua_caps: message.ua_caps.clone(),
            reply_charging_id: message.reply_charging_id.clone(),
            handling_app: message.handling_app.clone(),
            reply_to_app: message.reply_to_app.clone(),
            app_info: message.app_info.clone(),
            service_code: message.service_code.clone(),
            forward_counter: message.forward_counter,
            previously_sent: message.previously_sent.iter().map(PreviouslySentView::of).collect(),
            events_url: listed(message.events_url.iter().map(String::as_str).collect()),
            ack_requested: message.ack_requested,
            dr_requested: message.dr_requested,
            rr_requested: message.rr_requested,
            created_ts: message.created.as_secs(),
            processed_ts: message.processed.map(Timestamp::as_secs),
            template: TemplateView::of(template, links),
            events: message.events.iter().map(EventView::of).collect(),
        }
    }
}

pub(super) fn direction(direction: Direction) -> i8 {
    match direction {
        Direction::Outbound => -1,
        Direction::Inbound => 1,
    }
}

impl RecipientView {
    pub(super) fn of(recipient: &Recipient) -> Self {
        Self {
            number: recipient.address.to_string(),
            kind: recipient.kind,
            state: recipient.state,
            code: recipient.code.to_string(),
            updated_ts: recipient.updated.as_secs(),
            peer_ref: recipient.peer_ref.clone(),
        }
    }
}
