//! Which messages are meant: those that fit all that a filter says.

use crate::{Address, BatchId, Direction, GroupName, Message, State, Timestamp};

/// What messages have to be like. What is absent does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageFilter {
    /// Which way they go.
    pub direction: Option<Direction>,
    /// One of their numbers is in one of these states; empty: in any.
    pub states: Vec<State>,
    /// The group that carries them.
    pub group: Option<GroupName>,
    /// The id of an instance that worked on them.
    pub instance: Option<String>,
    /// One of the numbers that they go to.
    pub destination: Option<Address>,
    /// Where they come from.
    pub origin: Option<Address>,
    /// The message that they answer.
    pub linked_id: Option<String>,
    /// The bulk order that they are part of.
    pub batch: Option<BatchId>,
    /// Their ids were made then or later.
    pub since: Option<Timestamp>,
    /// Their ids were made before.
    pub until: Option<Timestamp>,
}

impl MessageFilter {
    /// Whether a message is meant.
    pub fn fits(&self, message: &Message) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let instance = |wanted: &String| message.instances.iter().any(|one| one.as_str() == wanted);
        let destination = |wanted: &Address| message.recipients.iter().any(|one| one.address == *wanted);
        let states = &self.states;
        is(self.direction.as_ref(), Some(&message.direction))
            && is(self.group.as_ref(), Some(&message.group))
            && is(self.origin.as_ref(), Some(&message.origin))
            && is(self.linked_id.as_ref(), message.linked_id.as_ref())
            && is(self.batch.as_ref(), message.batch.as_ref())
            && self.instance.as_ref().is_none_or(instance)
            && self.destination.as_ref().is_none_or(destination)
            && (states.is_empty() || message.recipients.iter().any(|one| states.contains(&one.state)))
            && self.since.is_none_or(|since| since <= message.id.created())
            && self.until.is_none_or(|until| message.id.created() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageId;
    use crate::message::tests::message;

    #[test]
    fn a_message_fits_where_all_of_it_does() {
        let mut message = message();
        message.recipients[1].state = State::Failed;
        message.id = MessageId::generate(Timestamp::from_millis(5_000));
        let all = MessageFilter {
            direction: Some(Direction::Outbound),
            states: vec![State::Failed, State::Sent],
            group: Some("gw".parse().unwrap()),
            destination: Some("15555550102".parse().unwrap()),
            origin: Some("54321".parse().unwrap()),
            since: Some(Timestamp::from_millis(5_000)),
            until: Some(Timestamp::from_millis(5_001)),
            ..MessageFilter::default()
        };
        assert!(MessageFilter::default().fits(&message) && all.fits(&message));
        let others = [
            MessageFilter { direction: Some(Direction::Inbound), ..all.clone() },
            MessageFilter { states: vec![State::Read], ..all.clone() },
            MessageFilter { group: Some("other".parse().unwrap()), ..all.clone() },
            MessageFilter { instance: Some("gw:a:b:1".to_owned()), ..all.clone() },
            MessageFilter { destination: Some("54321".parse().unwrap()), ..all.clone() },
            MessageFilter { origin: Some("15555550102".parse().unwrap()), ..all.clone() },
            MessageFilter { linked_id: Some(String::new()), ..all.clone() },
            MessageFilter { batch: Some(BatchId::generate(Timestamp::from_millis(0))), ..all.clone() },
            MessageFilter { since: Some(Timestamp::from_millis(5_001)), ..all.clone() },
            MessageFilter { until: Some(Timestamp::from_millis(5_000)), ..all },
        ];
        for other in others {
            assert!(!other.fits(&message), "{other:?}");
        }
    }
}
