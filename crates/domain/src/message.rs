//! A message: one template on its way to one or more numbers.

use serde::{Deserialize, Serialize};

use crate::{
    Address, BatchId, Code, Event, GroupName, InstanceId, MessageId, RevisionId, State, TemplateId,
    Timestamp, TraceParent, Variables, summary,
};

/// One message and all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Which way it goes.
    pub direction: Direction,
    /// The gateway group that carries it.
    pub group: GroupName,
    /// The template it was made from.
    pub template: TemplateId,
    /// The revision of that template.
    pub revision: RevisionId,
    /// Where it comes from.
    pub origin: Address,
    /// Who it goes to, in the order given.
    pub recipients: Vec<Recipient>,
    /// What the template says to its numbers and not to others'.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub variables: Variables,
    /// The bulk order that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    /// The trace that the application had it take part in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
    /// An earlier message that this one answers (MM7 LinkedID).
    pub linked_id: Option<String>,
    /// Its priority, passed on to the carrier.
    pub priority: Option<Priority>,
    /// Where events are posted to: the message's own URLs and those of its group.
    pub events_url: Vec<String>,
    /// Whether the carrier is asked to acknowledge it.
    pub ack_requested: Option<bool>,
    /// Whether delivery reports are asked for.
    pub dr_requested: Option<bool>,
    /// Whether read reports are asked for.
    pub rr_requested: Option<bool>,
    /// When mmsgw accepted it.
    pub created: Timestamp,
    /// When an instance last handed it to the carrier.
    pub processed: Option<Timestamp>,
    /// An unsent message expires then.
    pub deadline: Timestamp,
    /// When the record may be forgotten; never while the message is unsent.
    pub expires: Option<Timestamp>,
    /// The instances that worked on it.
    pub instances: Vec<InstanceId>,
    /// The carrier's id of it.
    pub peer_ref: Option<String>,
    /// The transaction id last used with the carrier.
    pub last_tran_id: Option<String>,
    /// Inbound: where an acknowledgement goes.
    pub ack_at_addr: Option<String>,
    /// Inbound: the carrier's ids to the letter, for answers that echo them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier_ids: Option<CarrierIds>,
    /// The relay that handed it over (MM7 MMSRelayServerID).
    pub relay_server: Option<String>,
    /// What the sender's handset can do (MM7 UACapabilities).
    pub ua_caps: Option<String>,
    /// The reply charging id (MM7 ReplyChargingID).
    pub reply_charging_id: Option<String>,
    /// The application that it is for (Applic-ID).
    pub handling_app: Option<String>,
    /// The application that replies go to (Reply-Applic-ID).
    pub reply_to_app: Option<String>,
    /// What the applications tell each other (Aux-Applic-Info).
    pub app_info: Option<String>,
    /// The billing code of this message (MM7 ServiceCode); absent: that of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_code: Option<String>,
    /// Inbound: how often it was forwarded before (MM4 Forward-Counter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_counter: Option<u32>,
    /// Inbound: who sent it before, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previously_sent: Vec<PreviouslySent>,
    /// How many times a carrier gave a definite answer that asks for another try. A lost answer
    /// does not count, so that the retransmission carries the same transaction id; nor does any answer after one.
    pub rounds: u32,
    /// A try of the present round had no answer: the carrier may have the message, whatever it answers to the next try.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
    /// All that happened, oldest first.
    pub events: Vec<Event>,
    /// Counts changes; the store refuses a change made to an older version.
    pub version: u64,
}

/// One earlier sending of a message that was forwarded (TS 23.140 Previously-sent-by and
/// Previously-sent-date-and-time). At least one of address and time is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviouslySent {
    /// Its place in the order of sendings.
    pub position: u32,
    /// Who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// A carrier's ids of an inbound message, quotes and all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierIds {
    /// Of the request that brought it.
    pub transaction: String,
    /// Of the message.
    pub message: Option<String>,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From an application to a carrier (MT).
    Outbound,
    /// From a carrier to an application (MO).
    Inbound,
}

/// One number of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The number.
    pub address: Address,
    /// How it is addressed.
    pub kind: RecipientKind,
    /// How far the message is for this number.
    pub state: State,
    /// The code of the event that made this state.
    pub code: Code,
    /// When the state last changed.
    pub updated: Timestamp,
    /// The carrier's id of the message to this number, where it gives one to each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_ref: Option<String>,
    /// The round in which the carrier last took the message for this number.
    #[serde(default, skip_serializing_if = "is_first")]
    pub round: u32,
}

fn is_first(round: &u32) -> bool {
    *round == 0
}

/// How a recipient is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientKind {
    /// Directly.
    To,
    /// With a copy.
    Cc,
    /// With a copy that the others do not see.
    Bcc,
}

/// Priority on the wire. The queue is first in, first out, unless the group says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Can wait.
    Low,
    /// As ever.
    Normal,
    /// First.
    High,
}

impl Message {
    /// One state for all its numbers, see [`summary`].
    pub fn state(&self) -> Option<State> {
        summary(self.recipients.iter().map(|r| r.state))
    }

    /// The numbers that have not been handed to the carrier.
    pub fn unsent(&self) -> impl Iterator<Item = &Recipient> {
        self.recipients.iter().filter(|r| r.state.is_unsent())
    }

    /// True while a number has not been handed to the carrier.
    pub fn is_unsent(&self) -> bool {
        self.unsent().next().is_some()
    }

    /// The numbers addressed as `kind`.
    pub fn addressed(&self, kind: RecipientKind) -> impl Iterator<Item = &Address> {
        self.recipients.iter().filter(move |r| r.kind == kind).map(|r| &r.address)
    }

    /// Records `event`, numbers it, and moves the numbers it concerns (all, where it names none)
    /// to its state where that is a move forward. Gives back the event as recorded.
    pub fn record(&mut self, event: Event) -> Event {
        let next = event.state;
        self.record_where(event, |state| state.moves_to(next))
    }

    /// Records that the carrier, which had taken the message, wants it once more for the numbers that
    /// `event` names: those of them that are still no further than sent are unsent again. The next
    /// transaction id is a new one.
    pub fn take_back(&mut self, event: Event) -> Event {
        self.record_where(event, |state| state == State::Sent)
    }

    /// Records that the message is to be sent once more to those of the numbers that `event` names that were given
    /// up: they are unsent again.
    pub fn revive(&mut self, event: Event) -> Event {
        self.record_where(event, |state| state == State::Failed)
    }

    fn record_where(&mut self, mut event: Event, moves: impl Fn(State) -> bool) -> Event {
        event.sequence = self.events.last().map_or(1, |last| last.sequence.saturating_add(1));
        let concerned =
            |r: &&mut Recipient| event.destinations.is_empty() || event.destinations.contains(&r.address);
        for recipient in self.recipients.iter_mut().filter(concerned) {
            if moves(recipient.state) {
                recipient.state = event.state;
                recipient.code = event.code;
                recipient.updated = event.at;
            }
        }
        if let Some(instance) = &event.instance
            && !self.instances.contains(instance)
        {
            self.instances.push(instance.clone());
        }
        self.events.push(event.clone());
        event
    }

    /// The transaction id of the present round. A retransmission after a lost answer repeats it, so
    /// that the carrier can drop the duplicate; a new round has a new one.
    pub fn transaction_id(&self) -> String {
        format!("{}-{}", self.id, self.rounds)
    }

    /// The message that a transaction id or message id of ours names: the 32 digits it starts with.
    pub fn id_in(text: &str) -> Option<MessageId> {
        text.get(..32)?.parse().ok()
    }

    /// The round that a transaction id of ours belongs to, whatever a protocol put behind it after a dot.
    pub fn round_in(text: &str) -> Option<u32> {
        text.get(32..)?.strip_prefix('-')?.split('.').next()?.parse().ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn message() -> Message {
        let now = Timestamp::from_secs(1_700_000_000);
        let recipient = |number: &str| Recipient {
            address: number.parse().unwrap(),
            kind: RecipientKind::To,
            state: State::Scheduled,
            code: Code::OK,
            updated: now,
            peer_ref: None,
            round: 0,
        };
        Message {
            id: MessageId::generate(now),
            direction: Direction::Outbound,
            group: "gw".parse().unwrap(),
            template: TemplateId::generate(now),
            revision: RevisionId::generate(now),
            origin: "54321".parse().unwrap(),
            recipients: vec![recipient("+15555550101"), recipient("+15555550102")],
            linked_id: None,
            priority: None,
            events_url: vec![],
            ack_requested: None,
            dr_requested: None,
            rr_requested: None,
            created: now,
            processed: None,
            deadline: now,
            expires: None,
            instances: vec![],
            peer_ref: None,
            last_tran_id: None,
            ack_at_addr: None,
            variables: Variables::new(),
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

    fn event(state: State, destinations: &[&str]) -> Event {
        Event {
            sequence: 0,
            state,
            code: Code::OK,
            description: String::new(),
            carrier_status: None,
            details: None,
            at: Timestamp::from_secs(1_700_000_001),
            instance: None,
            destinations: destinations.iter().map(|d| d.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn an_event_moves_the_numbers_it_names_and_no_other() {
        let mut message = message();
        assert_eq!(message.record(event(State::Sent, &[])).sequence, 1);
        assert_eq!(message.record(event(State::Delivered, &["15555550102"])).sequence, 2);
        let states: Vec<_> = message.recipients.iter().map(|r| r.state).collect();
        assert_eq!(states, [State::Sent, State::Delivered]);
        assert_eq!(message.state(), Some(State::Sent));
        message.record(event(State::Acknowledged, &[]));
        assert_eq!(
            message.recipients[1].state,
            State::Delivered,
            "a late acknowledgement moves nothing back"
        );
        assert_eq!(message.events.len(), 3);
    }

    #[test]
    fn what_is_wanted_once_more_is_unsent_again_where_it_got_no_further() {
        let mut message = message();
        message.record(event(State::Sent, &[]));
        message.record(event(State::Acknowledged, &["15555550102"]));
        message.take_back(event(State::Scheduled, &[]));
        let states: Vec<_> = message.recipients.iter().map(|r| r.state).collect();
        assert_eq!(states, [State::Scheduled, State::Acknowledged]);
    }

    #[test]
    fn a_transaction_id_names_its_message_and_round() {
        let mut message = message();
        assert_eq!(Message::id_in(&message.transaction_id()), Some(message.id));
        message.rounds = 12;
        assert_eq!(Message::round_in(&message.transaction_id()), Some(12));
        assert_eq!(Message::round_in(&format!("{}.b1-100", message.transaction_id())), Some(12));
        assert_eq!(Message::round_in(&message.id.to_string()), None);
        assert_eq!(Message::round_in("12"), None);
        assert_eq!(Message::id_in("0001"), None);
        assert_eq!(Message::id_in(&"é".repeat(40)), None);
    }

    #[test]
    fn a_record_of_an_earlier_release_reads() {
        let mut message = message();
        message.record(event(State::Sent, &[]));
        let mut value = serde_json::to_value(&message).unwrap();
        for field in ["service_code", "forward_counter", "previously_sent"] {
            value.as_object_mut().unwrap().remove(field);
        }
        value["events"][0].as_object_mut().unwrap().remove("details");
        assert_eq!(serde_json::from_value::<Message>(value).unwrap(), message);
    }

    #[test]
    fn the_record_reads_back() {
        let mut message = message();
        message.record(event(State::Sent, &["15555550102"]));
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message);
    }
}
