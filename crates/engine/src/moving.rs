//! A door for operators: messages that wait for one carrier go to another group.
//!
//! Only what no carrier has is moved, and nothing of it is left behind: references name what a carrier has, batches
//! count by group, so what has either stays. The content has to fit the other carrier. Times, numbers, options and
//! URLs stay as they were accepted. The transaction id stays too: were a message handed over by both groups after a
//! crash, both would show the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mmsgw_domain::{Code, Event, GroupName, Job, Message, State};
use mmsgw_store::{QueuedJob, StoreError};

use crate::engine::Engine;
use crate::group::Group;
use crate::refusal::{Field, Refusal};
use crate::settle::{Change, MOST_CONFLICTS};

impl Engine {
    /// Has a message that waits go to another group. What was put off is due at once there; what waits for the time
    /// that its application gave goes on waiting for it.
    ///
    /// # Errors
    /// [`Refusal::UnknownGroup`]; [`Refusal::Invalid`] and [`Refusal::Unfit`] where it cannot be moved, with the
    /// reason; [`Refusal::Overloaded`]; [`Refusal::Conflict`] where the job is gone or in a worker's hands.
    pub async fn move_queued(&self, job: &QueuedJob, to: &GroupName, reason: &str) -> Result<(), Refusal> {
        let group = self.group(to).ok_or_else(|| Refusal::UnknownGroup(to.clone()))?;
        let message = self.movable(job, &group).await?;
        let put_off = self.is_put_off(job).await?;
        let _turn = self.turns.take(message.id).await;
        let mut message = message;
        for _ in 0..MOST_CONFLICTS {
            let mut change = Change::new(self, message);
            let from = change.message.group.clone();
            let due = if put_off { change.now } else { job.place.due };
            change.go_over(&group, (job.queue.clone(), job.place.id), due);
            change.record(Event {
                sequence: 0,
                state: State::Scheduled,
                code: Code::OK,
                description: format!("moved from {from} to {to} by an operator: {reason}"),
                carrier_status: None,
                details: None,
                at: change.now,
                instance: None,
                destinations: Vec::new(),
            });
            match change.commit().await {
                Err(StoreError::Conflict(_)) => {}
                other => return Ok(other?),
            }
            self.still_waits(&job.queue, job.place.id).await?;
            message = self.movable(job, &group).await?;
        }
        Err(Refusal::Conflict)
    }

    /// Refuses what [`Engine::move_queued`] would refuse; changes nothing.
    ///
    /// # Errors
    /// As there.
    pub async fn may_move(&self, job: &QueuedJob, to: &GroupName) -> Result<(), Refusal> {
        let group = self.group(to).ok_or_else(|| Refusal::UnknownGroup(to.clone()))?;
        self.movable(job, &group).await.map(|_| ())
    }

    /// The message of a job, where it can go to that group.
    async fn movable(&self, job: &QueuedJob, to: &Group) -> Result<Message, Refusal> {
        let stays = |why: &str| Err(Refusal::invalid(Field::Gateway, why));
        let Job::TransmitV1(transmit) = &job.job else { return stays("it is no message to be sent") };
        if job.queue.group == to.settings.name {
            return stays("it is in that group");
        }
        let message = self.store.message(transmit.message).await?.ok_or(Refusal::Conflict)?;
        if message.batch.is_some() {
            return stays("it is part of a batch, which belongs to its gateway");
        }
        let all_unsent = message.recipients.iter().all(|recipient| recipient.state.is_unsent());
        let is_referred_to = message.recipients.iter().any(|recipient| recipient.peer_ref.is_some());
        if !all_unsent || is_referred_to || message.peer_ref.is_some() {
            return stays("a carrier has it for some of its numbers, or had it");
        }
        if to.waiting.load(Ordering::Relaxed) >= self.settings.max_waiting {
            return Err(Refusal::Overloaded { retry_after: Duration::from_secs(5) });
        }
        let template = self.revision(message.revision).await?;
        let moved = Message { group: to.settings.name.clone(), ..message.clone() };
        match self.check_fit(&template, &moved).await? {
            Some(unfit) => Err(Refusal::Unfit { part: None, unfit }),
            None => Ok(message),
        }
    }
}
