//! Doors for operators: jobs that were given up are tried again, or forgotten.

use mmsgw_domain::{Address, Code, Event, Job, Message, State};
use mmsgw_store::{Batch, DeadJob, StoreError, Write};

use crate::engine::Engine;
use crate::refusal::Refusal;
use crate::settle::{Change, MOST_CONFLICTS};

impl Engine {
    /// Puts a job that was given up back into its queue, due at once, its tries not counted. A message whose
    /// hand-over was given up is unsent again for the numbers that failed, under a new transaction id, and its
    /// application is told so.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where the job is not there any more, [`Refusal::Conflict`] where the message that it is
    /// about is gone, or its time is over.
    pub async fn retry_dead(&self, dead: &DeadJob, reason: &str) -> Result<(), Refusal> {
        let revive = Write::Revive { queue: dead.queue.clone(), id: dead.id };
        let transmit = match &dead.job {
            Job::TransmitV1(transmit) => transmit,
            // Who has it posted once more means that the endpoint is there again.
            Job::CallbackV1(callback) => {
                let enable = self.enabling(&dead.queue.group, &callback.url);
                return gone_or(self.commit(Batch::new().with(revive).with(enable)).await);
            }
            _ => return gone_or(self.commit(Batch::new().with(revive)).await),
        };
        let _turn = self.turns.take(transmit.message).await;
        for _ in 0..MOST_CONFLICTS {
            let message = self.store.message(transmit.message).await?.ok_or(Refusal::Conflict)?;
            if message.deadline <= self.now() {
                return Err(Refusal::Conflict);
            }
            let mut change = Change::new(self, message);
            change.send_afresh(reason);
            change.push(revive.clone());
            match change.commit().await {
                Err(StoreError::Conflict(_)) => {}
                other => return Ok(other?),
            }
            // Either the message has changed, or the job is not there any more.
            self.dead_job(dead.id).await?;
        }
        Err(Refusal::Conflict)
    }

    /// Forgets a job that was given up.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where it is not there any more.
    pub async fn purge_dead(&self, dead: &DeadJob) -> Result<(), Refusal> {
        let discard = Write::Discard { queue: dead.queue.clone(), id: dead.id };
        gone_or(self.commit(Batch::new().with(discard)).await)
    }
}

fn gone_or(committed: Result<(), StoreError>) -> Result<(), Refusal> {
    match committed {
        Err(StoreError::Conflict(_)) => Err(Refusal::Unknown("dead job")),
        other => Ok(other?),
    }
}

impl Change<'_> {
    /// The numbers that were given up are unsent again, in a new round.
    fn send_afresh(&mut self, reason: &str) {
        let failed = |message: &Message| -> Vec<Address> {
            let failed = message.recipients.iter().filter(|r| r.state == State::Failed);
            failed.map(|r| r.address.clone()).collect()
        };
        let numbers = failed(&self.message);
        if numbers.is_empty() {
            return;
        }
        let all = numbers.len() == self.message.recipients.len();
        self.message.rounds += 1;
        self.message.in_doubt = false;
        let event = self.message.revive(Event {
            details: None,
            sequence: 0,
            state: State::Scheduled,
            code: Code::OK,
            description: format!("sent again by an operator: {reason}"),
            carrier_status: None,
            at: self.now,
            instance: None,
            destinations: if all { Vec::new() } else { numbers },
        });
        self.announce(&event);
    }
}
