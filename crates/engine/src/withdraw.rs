//! Taking messages back, and putting other content in their place.
//!
//! What was not handed over is changed here and at once; what the carrier has is the carrier's to change, and waits as
//! an EV job for `amend`. Within a process nobody withdraws what is being handed over at that moment. Another process
//! may be doing that: it finds out when it settles, and then has the carrier take the message back.

use std::time::Duration;

use mmsgw_domain::{
    Address, AmendOrder, Code, Direction, Event, InstanceId, Message, MessageId, State, Template, TemplateId,
    Timestamp, Variables,
};
use mmsgw_store::{Batch, Lease, StoreError, Write};

use crate::amend::is_with_carrier;
use crate::engine::Engine;
use crate::refusal::Refusal;
use crate::settle::{Change, MOST_CONFLICTS};

/// What an application puts in the place of a message's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replacement {
    /// The template whose latest revision it is; the message's own where absent.
    pub template: Option<TemplateId>,
    /// The values of its variables; those of the message where absent.
    pub variables: Option<Variables>,
}

/// A message that was changed.
#[derive(Debug)]
pub struct Amended {
    /// The message as it is now.
    pub message: Message,
    /// The revision that it has now.
    pub template: Template,
    /// Whether the carrier was asked to do it for some numbers: an event will tell what came of that.
    pub ordered: bool,
}

impl Engine {
    /// Withdraws a message: unsent numbers are cancelled, the carrier is asked for those that it has.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]; [`Refusal::TooLate`] where all of it came to an end, [`Refusal::NotAmendable`] where the
    /// carrier has it and the protocol knows no way back, [`Refusal::BeingSent`].
    pub async fn withdraw(&self, id: MessageId) -> Result<Amended, Refusal> {
        self.change_message(id, None).await
    }

    fn withdrawal(&self, message: &Message) -> Result<(Change<'_>, bool), Refusal> {
        let (unsent, ask) = self.reach(message)?;
        let mut change = Change::new(self, message.clone());
        if unsent {
            change.record(withdrawn(message, self.now(), None));
        }
        if ask {
            change.push(self.amend_job(message, AmendOrder::Withdraw, Vec::new()));
        }
        Ok((change, ask))
    }

    /// Puts other content in the place of a message's: here for unsent numbers, at the carrier for those that it has.
    /// Origin, numbers and times stay.
    ///
    /// # Errors
    /// As [`Engine::withdraw`]; [`Refusal::MissingVariables`] and [`Refusal::Invalid`] where the new content does not
    /// go with the variables.
    pub async fn replace(&self, id: MessageId, replacement: &Replacement) -> Result<Amended, Refusal> {
        self.change_message(id, Some(replacement)).await
    }

    async fn replacing(
        &self,
        message: &Message,
        replacement: &Replacement,
    ) -> Result<(Change<'_>, bool), Refusal> {
        let (unsent, ask) = self.reach(message)?;
        if message.recipients.iter().any(is_with_carrier) && !ask {
            return Err(Refusal::NotAmendable);
        }
        let template = self.template(replacement.template.unwrap_or(message.template)).await?;
        let variables = replacement.variables.as_ref().unwrap_or(&message.variables);
        self.check_words(&template, variables)?;
        let mut next = Message { template: template.id, revision: template.revision, ..message.clone() };
        next.variables.clone_from(variables);
        // The carrier must not take the new content for a repetition of the old.
        next.rounds += u32::from(unsent && next.last_tran_id.is_some());
        next.in_doubt = false;
        let mut claims = Batch::new();
        self.claim_revision(&template, &next, &mut claims);
        let mut change = Change::new(self, next);
        claims.into_writes().into_iter().for_each(|write| change.push(write));
        if unsent {
            let description = "the application replaced the content".to_owned();
            let event = withdrawn(message, self.now(), None);
            change.record(Event { state: State::Scheduled, description, ..event });
        }
        if ask {
            change.push(self.amend_job(message, AmendOrder::Replace, Vec::new()));
        }
        Ok((change, ask))
    }

    /// Whether numbers are unsent, and whether the carrier is to be asked for others.
    fn reach(&self, message: &Message) -> Result<(bool, bool), Refusal> {
        let (unsent, with_carrier) = (message.is_unsent(), message.recipients.iter().any(is_with_carrier));
        let can_ask = self.groups.find(&message.group).is_some_and(|group| group.settings.amends);
        match (unsent, with_carrier, can_ask) {
            (false, false, _) => Err(Refusal::TooLate),
            (false, true, false) => Err(Refusal::NotAmendable),
            _ => Ok((unsent, with_carrier && can_ask)),
        }
    }

    /// Withdraws an outbound message, or replaces its content, where it is not being handed over at this moment.
    async fn change_message(
        &self,
        id: MessageId,
        replacement: Option<&Replacement>,
    ) -> Result<Amended, Refusal> {
        let flight = tokio::time::timeout(PATIENCE, self.flights.take(id)).await;
        let _flight = flight.map_err(|_| Refusal::BeingSent { retry_after: Duration::from_secs(1) })?;
        let _turn = self.turns.take(id).await;
        for _ in 0..MOST_CONFLICTS {
            let found = self.store.message(id).await?.filter(|m| m.direction == Direction::Outbound);
            let message = found.ok_or(Refusal::Unknown("message"))?;
            let (change, ordered) = match replacement {
                None => self.withdrawal(&message)?,
                Some(replacement) => self.replacing(&message, replacement).await?,
            };
            match change.commit_alone().await {
                Err(StoreError::Conflict(_)) => {}
                other => {
                    let message = other?;
                    let template = self.revision(message.revision).await?;
                    return Ok(Amended { message, template, ordered });
                }
            }
        }
        Err(Refusal::Conflict)
    }

    /// Ends the TX job of a message whose order was withdrawn: its unsent numbers are cancelled.
    pub(crate) async fn end_withdrawn(
        &self,
        mut message: Message,
        instance: &InstanceId,
        lease: &Lease,
    ) -> Result<(), StoreError> {
        let _turn = self.turns.take(message.id).await;
        for _ in 0..MOST_CONFLICTS {
            let finish = Write::Finish(lease.clone());
            let done = if message.is_unsent() {
                let mut change = Change::new(self, message.clone());
                change.record(withdrawn(&message, self.now(), Some(instance)));
                change.push(finish);
                change.commit().await
            } else {
                self.commit(Batch::new().with(finish)).await
            };
            match done {
                Err(StoreError::Conflict(_)) => {}
                other => return other,
            }
            let again = self.store.message(message.id).await?;
            message = again.ok_or_else(|| StoreError::Corrupt(format!("message {} is gone", message.id)))?;
        }
        Err(StoreError::Conflict(format!("message {} changes all the time", message.id)))
    }
}

/// The event with which the unsent numbers of a message end.
fn withdrawn(message: &Message, now: Timestamp, instance: Option<&InstanceId>) -> Event {
    let unsent: Vec<Address> = message.unsent().map(|r| r.address.clone()).collect();
    let all = unsent.len() == message.recipients.len();
    Event {
        sequence: 0,
        state: State::Cancelled,
        code: Code::OK,
        description: "withdrawn by the application before it was sent".into(),
        carrier_status: None,
        details: None,
        at: now,
        instance: instance.cloned(),
        destinations: if all { Vec::new() } else { unsent },
    }
}

/// So long a request waits for a hand-over under way.
const PATIENCE: Duration = Duration::from_secs(10);
