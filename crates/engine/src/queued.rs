//! Doors for operators: jobs that wait are looked at, done at once, or forgotten.

use mmsgw_domain::{Address, Code, Event, Job, JobId, Message, Queue, State};
use mmsgw_store::{Batch, Place, QueuedJob, StoreError, Write};

use crate::engine::Engine;
use crate::refusal::Refusal;
use crate::settle::{Change, MOST_CONFLICTS};

impl Engine {
    /// Jobs of a queue that wait or are in a worker's hands, in the order in which they leave it, from behind a place.
    pub async fn queued(
        &self,
        queue: &Queue,
        after: Option<Place>,
        max: usize,
    ) -> Result<Vec<QueuedJob>, Refusal> {
        Ok(self.store.queued(queue, after, max).await?)
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where it is not there (any more).
    pub async fn queued_job(&self, queue: &Queue, id: JobId) -> Result<QueuedJob, Refusal> {
        self.store.queued_job(queue, id).await?.ok_or(Refusal::Unknown("job in this queue"))
    }

    /// Whether a job was tried, did not work, and waits for a later time. What waits for the time that an application
    /// gave does not.
    pub async fn is_put_off(&self, job: &QueuedJob) -> Result<bool, Refusal> {
        if job.holder.is_some() || job.place.due <= self.now() {
            return Ok(false);
        }
        match &job.job {
            Job::TransmitV1(transmit) if job.failed == 0 => {
                // Where the carrier itself wanted another try, the job is a new one.
                let message = self.store.message(transmit.message).await?;
                Ok(message.is_some_and(|message| message.rounds > 0))
            }
            _ => Ok(job.failed > 0),
        }
    }

    /// Has a job that waits for a later time done at once; its tries count on.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] where it is not there any more or in a worker's hands.
    pub async fn hasten(&self, job: &QueuedJob) -> Result<(), Refusal> {
        let hasten = Write::Hasten { queue: job.queue.clone(), id: job.place.id };
        Ok(self.commit(Batch::new().with(hasten)).await?)
    }

    /// Forgets a job that waits. A message that was to be sent ends as CANCELLED for the numbers that are unsent; a
    /// message of which the carrier was to be told or asked something has an event that says that it was not.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] where it is not there any more or in a worker's hands.
    pub async fn purge_queued(&self, job: &QueuedJob, reason: &str) -> Result<(), Refusal> {
        let remove = Write::Remove { queue: job.queue.clone(), id: job.place.id };
        let (id, what) = match &job.job {
            Job::TransmitV1(transmit) => (transmit.message, None),
            Job::ReportV1(report) => (report.message, Some("the carrier was not told")),
            Job::AmendV1(amend) => (amend.message, Some("the carrier was not asked")),
            Job::IntakeV1(_) | Job::CallbackV1(_) | Job::AnswerV1(_) => {
                return Ok(self.commit(Batch::new().with(remove)).await?);
            }
        };
        let _turn = self.turns.take(id).await;
        for _ in 0..MOST_CONFLICTS {
            let Some(message) = self.store.message(id).await? else {
                return Ok(self.commit(Batch::new().with(remove)).await?);
            };
            match self.purging(message, what, reason, remove.clone()).commit().await {
                Err(StoreError::Conflict(_)) => {}
                other => return Ok(other?),
            }
            // Either the message has changed, or the job does not wait any more.
            self.still_waits(&job.queue, job.place.id).await?;
        }
        Err(Refusal::Conflict)
    }

    fn purging(&self, message: Message, what: Option<&str>, reason: &str, remove: Write) -> Change<'_> {
        let unsent: Vec<Address> = message.unsent().map(|r| r.address.clone()).collect();
        let event = match (what, message.state()) {
            (None, _) if unsent.is_empty() => None,
            (None, _) => Some((State::Cancelled, format!("purged by an operator: {reason}"), unsent)),
            (Some(what), Some(state)) => {
                Some((state, format!("{what}, by an operator: {reason}"), Vec::new()))
            }
            (Some(_), None) => None,
        };
        let mut change = Change::new(self, message);
        if let Some((state, description, numbers)) = event {
            let all = numbers.len() == change.message.recipients.len();
            change.record(Event {
                sequence: 0,
                state,
                code: Code::OK,
                description,
                carrier_status: None,
                details: None,
                at: change.now,
                instance: None,
                destinations: if all { Vec::new() } else { numbers },
            });
        }
        change.push(remove);
        change
    }

    /// Refuses a job that is gone or in a worker's hands.
    pub(crate) async fn still_waits(&self, queue: &Queue, id: JobId) -> Result<(), Refusal> {
        let found = self.store.queued_job(queue, id).await?;
        if found.is_some_and(|job| job.holder.is_none()) { Ok(()) } else { Err(Refusal::Conflict) }
    }
}
