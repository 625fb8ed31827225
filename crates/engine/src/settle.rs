//! Turns a verdict into the next state of a message, its events, callbacks and the end of the job,
//! all in one commit.

use mmsgw_domain::{
    Address, AmendOrder, CallbackJob, CallbackSubject, Code, Event, InstanceId, Job, JobId, Message, Queue,
    QueueKind, State, Timestamp,
};
use mmsgw_store::{Batch, Lane, Lease, NewJob, Reference, ReferenceKind, StoreError, Write};

use crate::accept::transmission;
use crate::deliver::end_state;
use crate::engine::Engine;
use crate::gateway::{Answer, Delivery, Outcome, Verdict};
use crate::group::{Group, count};

/// All that is needed to settle a TX job.
pub(crate) struct Settlement<'a> {
    pub(crate) group: &'a Group,
    pub(crate) instance: &'a InstanceId,
    pub(crate) lease: &'a Lease,
    pub(crate) tries: u32,
    /// `None` where nothing was left to do.
    pub(crate) verdict: Option<Verdict>,
    /// The transaction id that was used with the carrier, where it came to that.
    pub(crate) transaction: Option<String>,
}

/// Somebody else may change the message between reading and committing; so often it is tried. Of those
/// who collide one always gets through.
pub(crate) const MOST_CONFLICTS: u32 = 100;

/// True where a message has the same event already: the same report, told or heard twice.
pub(crate) fn repeats(message: &Message, event: &Event) -> bool {
    message.events.iter().any(|old| {
        old.state == event.state
            && old.code == event.code
            && old.destinations == event.destinations
            && old.carrier_status == event.carrier_status
    })
}

impl Engine {
    /// Commits what follows from a verdict. A message that changed meanwhile is read again.
    pub(crate) async fn settle(
        &self,
        mut message: Message,
        settlement: Settlement<'_>,
    ) -> Result<(), StoreError> {
        let attempted: Vec<Address> = message.unsent().map(|r| r.address.clone()).collect();
        let _turn = self.turns.take(message.id).await;
        for _ in 0..MOST_CONFLICTS {
            let settled = self.settled(message.clone(), &attempted, &settlement);
            match settled.commit().await {
                Err(StoreError::Conflict(_)) => {}
                other => return other,
            }
            let again = self.store.message(message.id).await?;
            message = again.ok_or_else(|| StoreError::Corrupt(format!("message {} is gone", message.id)))?;
        }
        Err(StoreError::Conflict(format!("message {} changes all the time", message.id)))
    }

    fn settled(&self, message: Message, attempted: &[Address], settlement: &Settlement<'_>) -> Change<'_> {
        let mut change = Change::new(self, message);
        let Some(verdict) = &settlement.verdict else {
            change.push(Write::Finish(settlement.lease.clone()));
            return change;
        };
        if let Some(transaction) = &settlement.transaction {
            change.message.last_tran_id = Some(transaction.clone());
            change.message.processed = Some(change.now);
        }
        let mut due = None;
        for outcome in &verdict.outcomes {
            let again = change.apply(outcome, attempted, settlement);
            due = [due, again].into_iter().flatten().min();
        }
        change.close(settlement, due)
    }

    /// A job for each URL that is to hear of `event`.
    pub(crate) fn queue_callbacks(&self, message: &Message, event: &Event, batch: &mut Batch) {
        for (index, url) in message.events_url.iter().enumerate() {
            let callback = CallbackJob {
                url: url.clone(),
                delivery_id: format!("evt_{}_{}_{index}", message.id, event.sequence),
                message: message.id,
                trace: message.trace,
                subject: CallbackSubject::Event(event.clone()),
            };
            batch.push(self.callback(&message.group, callback));
        }
    }

    fn callback(&self, group: &mmsgw_domain::GroupName, callback: CallbackJob) -> Write {
        let now = self.now();
        Write::Enqueue(NewJob {
            id: JobId::generate(now),
            queue: Queue { group: group.clone(), kind: QueueKind::Callback },
            lane: Lane::Normal,
            due: now,
            job: Job::CallbackV1(callback),
        })
    }
}

/// A message in the making of its next version.
pub(crate) struct Change<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) now: Timestamp,
    pub(crate) message: Message,
    /// What it was before.
    before: Option<State>,
    batch: Batch,
    is_changed: bool,
    /// The queue and the job that it leaves, where it goes to another group.
    left: Option<(Queue, JobId)>,
    /// What is to be told once it is durable.
    events: Vec<Event>,
}

impl<'a> Change<'a> {
    pub(crate) fn new(engine: &'a Engine, message: Message) -> Self {
        let before = message.state();
        Self {
            engine,
            now: engine.now(),
            message,
            before,
            batch: Batch::new(),
            is_changed: false,
            left: None,
            events: Vec::new(),
        }
    }

    /// One more change to go into the same commit.
    pub(crate) fn push(&mut self, write: Write) {
        self.batch.push(write);
    }

    /// Has the message leave its group for `to`, and its job the queue that it waits in; a new one waits in the queue of
    /// `to` until it is `due`.
    pub(crate) fn go_over(&mut self, to: &Group, left: (Queue, JobId), due: Timestamp) {
        self.message.group = to.settings.name.clone();
        self.left = Some(left);
        self.batch.push(transmission(to, &self.message, (self.now, due)));
    }

    /// Records an event and queues its callbacks.
    pub(crate) fn record(&mut self, event: Event) {
        let event = self.message.record(event);
        self.announce(&event);
    }

    /// Has the message sent once more to the numbers that `event` names, in round `round`, when it is `due`.
    pub(crate) fn take_back(&mut self, group: &Group, event: Event, (round, due): (u32, Timestamp)) {
        // What is unsent has a job, which takes these numbers along.
        if !self.message.is_unsent() {
            self.batch.push(transmission(group, &self.message, (self.now, due)));
        }
        self.message.rounds = round;
        self.message.in_doubt = false;
        let event = self.message.take_back(Event { state: State::Scheduled, code: Code::DEFERRED, ..event });
        self.announce(&event);
    }

    pub(crate) fn announce(&mut self, event: &Event) {
        self.is_changed = true;
        self.events.push(event.clone());
        self.engine.queue_callbacks(&self.message, event, &mut self.batch);
    }

    /// Notes that the carrier has the message, where its report says so before the hand-over was
    /// settled. After a crash in between nobody else would: what was reported is not sent again.
    pub(crate) fn handed_over(&mut self) {
        if self.message.last_tran_id.is_none() {
            self.is_changed = true;
            self.message.last_tran_id = Some(self.message.transaction_id());
            self.message.processed = Some(self.now);
        }
    }

    /// Makes it durable, with the next version of the message where it has changed, and tells of it.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        if !self.is_changed {
            return self.engine.commit(self.batch).await;
        }
        self.advance();
        let events = std::mem::take(&mut self.events);
        let fresh = self.engine.fresh(&self.message, events);
        self.batch.push(match self.left {
            Some((from, job)) => Write::MovedMessage { message: self.message, from, job },
            None => Write::ChangedMessage(self.message),
        });
        self.engine.commit(self.batch).await?;
        self.engine.tell(fresh);
        Ok(())
    }

    /// The same where no job is settled; gives back the message as it is then.
    pub(crate) async fn commit_alone(self) -> Result<Message, StoreError> {
        let engine = self.engine;
        let mut change = self;
        change.advance();
        let fresh = engine.fresh(&change.message, std::mem::take(&mut change.events));
        let message = change.message.clone();
        engine.commit(change.batch.with(Write::ChangedMessage(change.message))).await?;
        engine.tell(fresh);
        Ok(message)
    }

    /// Makes it the next version.
    fn advance(&mut self) {
        let lasting = self.now.after(self.engine.settings().message_ttl);
        self.message.expires = (!self.message.is_unsent()).then(|| lasting.max(self.message.deadline));
        self.message.version += 1;
        self.batch.extend(self.engine.tallied(&self.message, self.before));
    }

    pub(crate) fn event(
        &self,
        state: State,
        answer: &Answer,
        instance: &InstanceId,
        destinations: Vec<Address>,
    ) -> Event {
        Event {
            sequence: 0,
            state,
            code: answer.code,
            description: answer.description.clone(),
            carrier_status: answer.carrier_status.clone(),
            details: answer.details.clone(),
            at: self.now,
            instance: Some(instance.clone()),
            destinations,
        }
    }

    /// The numbers of an outcome, as an event states them: none where it concerns the whole message.
    fn concerned(&self, outcome: &Outcome, attempted: &[Address]) -> Vec<Address> {
        if outcome.recipients.is_empty() && attempted.len() < self.message.recipients.len() {
            return attempted.to_vec();
        }
        let covers_all = self.message.recipients.iter().all(|r| outcome.recipients.contains(&r.address));
        if covers_all { Vec::new() } else { outcome.recipients.clone() }
    }

    /// Applies one outcome; gives back when to try again, where that is to be.
    fn apply(
        &mut self,
        outcome: &Outcome,
        attempted: &[Address],
        settlement: &Settlement<'_>,
    ) -> Option<Timestamp> {
        let (group, instance) = (settlement.group, settlement.instance);
        let numbers = self.concerned(outcome, attempted);
        match &outcome.delivery {
            Delivery::Sent { peer_ref, answer, acknowledged } => {
                count(&group.counts.sent);
                group.measures.verdict("sent", answer.code);
                let sent = Answer::own(Code::OK, "handed to the carrier");
                self.record(self.event(
                    State::Sent,
                    if *acknowledged { &sent } else { answer },
                    instance,
                    numbers.clone(),
                ));
                if *acknowledged {
                    self.record(self.event(State::Acknowledged, answer, instance, numbers.clone()));
                }
                self.refer(peer_ref.as_deref(), &numbers);
                self.take_back_late(group, &numbers);
                self.note_round(settlement.transaction.as_deref(), &numbers);
                None
            }
            Delivery::Defer { answer, later, heard, pause } => {
                // After a lost answer only the old transaction id keeps the carrier from taking the message twice.
                self.message.in_doubt |= !*heard && settlement.transaction.is_some();
                self.message.rounds += u32::from(*heard && !self.message.in_doubt);
                self.put_off(answer, settlement, (*later, *pause), numbers)
            }
            Delivery::Fail { answer } => {
                count(&group.counts.failed);
                group.measures.verdict("failed", answer.code);
                self.record(self.event(end_state(answer), answer, instance, numbers));
                None
            }
        }
    }

    /// Has the carrier take back what was withdrawn while it was being handed over, where it can.
    fn take_back_late(&mut self, group: &Group, numbers: &[Address]) {
        let late = |r: &&mmsgw_domain::Recipient| {
            r.state == State::Cancelled && (numbers.is_empty() || numbers.contains(&r.address))
        };
        let late: Vec<Address> =
            self.message.recipients.iter().filter(late).map(|r| r.address.clone()).collect();
        if !late.is_empty() && group.settings.amends {
            let job = self.engine.amend_job(&self.message, AmendOrder::Withdraw, late);
            self.batch.push(job);
        }
    }

    fn put_off(
        &mut self,
        answer: &Answer,
        settlement: &Settlement<'_>,
        (later, pause): (bool, Option<std::time::Duration>),
        numbers: Vec<Address>,
    ) -> Option<Timestamp> {
        let delay = settlement.group.settings.retry.delay(settlement.tries, later, pause);
        if let Some(delay) = delay {
            count(&settlement.group.counts.deferred);
            settlement.group.measures.verdict("deferred", answer.code);
            tracing::info!(
                message.id = %self.message.id, gateway.group = %self.message.group, tries = settlement.tries,
                retry_in_seconds = delay.as_secs(), "put off: {}", answer.description
            );
            // A try after the deadline settles the message as expired.
            return Some(self.now.after(delay).min(self.message.deadline.max(self.now)));
        }
        count(&settlement.group.counts.failed);
        settlement.group.measures.verdict("failed", answer.code);
        let text = format!("given up after {} tries: {}", settlement.tries, answer.description);
        let last = Answer { description: text, ..answer.clone() };
        self.record(self.event(State::Failed, &last, settlement.instance, numbers));
        None
    }

    /// Remembers the carrier's id of the message, by which its reports will name it.
    pub(crate) fn refer(&mut self, peer_ref: Option<&str>, numbers: &[Address]) {
        let Some(value) = peer_ref.filter(|value| !value.is_empty()) else { return };
        for recipient in &mut self.message.recipients {
            if numbers.is_empty() || numbers.contains(&recipient.address) {
                recipient.peer_ref = Some(value.to_owned());
            }
        }
        self.message.peer_ref = Some(value.to_owned());
        self.batch.push(Write::Reference {
            reference: Reference {
                group: self.message.group.clone(),
                kind: ReferenceKind::Outbound,
                value: value.to_owned(),
            },
            message: self.message.id,
            expires: self.engine.keep_until(self.message.deadline),
        });
    }

    /// Remembers in which round the carrier took the message, to tell which of its answers are about that.
    fn note_round(&mut self, transaction: Option<&str>, numbers: &[Address]) {
        let Some(round) = transaction.and_then(Message::round_in) else { return };
        for recipient in &mut self.message.recipients {
            if numbers.is_empty() || numbers.contains(&recipient.address) {
                recipient.round = round;
            }
        }
    }

    /// Ends the job, or puts it off, or gives it up.
    fn close(mut self, settlement: &Settlement<'_>, due: Option<Timestamp>) -> Self {
        let lease = settlement.lease.clone();
        let failed = self.message.recipients.iter().any(|r| r.state == State::Failed);
        let write = match due {
            Some(due) => Write::Postpone { lease, due },
            // Taken back while others were under way, see `take_back`.
            None if self.message.is_unsent() => {
                let delay = settlement.group.settings.retry.delay(1, true, None).unwrap_or_default();
                Write::Postpone { lease, due: self.now.after(delay) }
            }
            None if failed => {
                let last = self.message.events.last().map_or("", |event| event.description.as_str());
                self.engine.bury(lease, last)
            }
            None => Write::Finish(lease),
        };
        self.is_changed = true;
        self.push(write);
        self
    }
}
