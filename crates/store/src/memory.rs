//! The contract over plain maps: the reference for all backends, and the store of tests. Nothing of
//! it outlives the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mmsgw_domain::{
    Clock, Digest, Job, JobId, Message, MessageId, Part, PartId, Queue, RevisionId, Template, TemplateId,
    Timestamp,
};
use parking_lot::Mutex;

use crate::precondition::{self, Facts, StoredVersion};
use crate::{
    Batch, DeadJob, Lane, Lease, LeaseRequest, Leased, LeasedJob, NewJob, QueueSignals, QueueStatus,
    Reference, Store, StoreError, Swept, Write,
};

/// A store that forgets all at its end.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    signals: QueueSignals,
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store that lives by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { signals: QueueSignals::new(Arc::clone(&clock)), clock, state: Mutex::default() }
    }

    fn read<T>(&self, look: impl FnOnce(&State, Timestamp) -> T) -> T {
        look(&self.state.lock(), self.clock.now())
    }
}

#[derive(Default)]
struct State {
    latest: BTreeMap<TemplateId, RevisionId>,
    revisions: BTreeMap<RevisionId, Kept<Template>>,
    parts: BTreeMap<PartId, Kept<Part>>,
    messages: BTreeMap<MessageId, Message>,
    references: BTreeMap<Reference, Kept<MessageId>>,
    blobs: BTreeMap<Digest, Timestamp>,
    jobs: BTreeMap<JobId, Entry>,
    dead: BTreeMap<(Queue, JobId), Kept<DeadJob>>,
    order: BTreeMap<Queue, Order>,
    last_token: u64,
}

/// Something that may be forgotten at a time.
struct Kept<T> {
    thing: T,
    until: Timestamp,
}

impl<T: Clone> Kept<T> {
    fn at(&self, now: Timestamp) -> Option<T> {
        (self.until > now).then(|| self.thing.clone())
    }
}

/// A job that waits or is leased.
struct Entry {
    queue: Queue,
    lane: Lane,
    due: Timestamp,
    /// Tries that did not work.
    failed: u32,
    job: Job,
    held: Option<Held>,
}

#[derive(Clone, Copy)]
struct Held {
    token: u64,
    lapses: Timestamp,
}

/// The jobs of one queue in the order in which something happens to them.
#[derive(Default)]
struct Order {
    waiting: BTreeSet<(Lane, Timestamp, JobId)>,
    leases: BTreeSet<(Timestamp, JobId)>,
}

impl Order {
    fn next_due(&self) -> Option<Timestamp> {
        self.oldest().into_iter().chain(self.leases.first().map(|(lapses, _)| *lapses)).min()
    }

    fn oldest(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|(_, due, _)| *due).min()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        precondition::check(batch.writes(), &mut Present { state: &state, now })?;
        for write in batch.writes() {
            if let Some((queue, due)) = state.apply(write, now) {
                self.signals.ring(&queue, due);
            }
        }
        Ok(())
    }

    async fn template(&self, id: TemplateId) -> Result<Option<Template>, StoreError> {
        Ok(self.read(|state, now| state.latest(id, now).cloned()))
    }

    async fn revision(&self, id: RevisionId) -> Result<Option<Template>, StoreError> {
        Ok(self.read(|state, now| state.revisions.get(&id)?.at(now)))
    }

    async fn part(&self, id: PartId) -> Result<Option<Part>, StoreError> {
        Ok(self.read(|state, now| state.parts.get(&id)?.at(now)))
    }

    async fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        Ok(self.read(|state, now| state.messages.get(&id).filter(|m| is_live(m, now)).cloned()))
    }

    async fn find(&self, reference: &Reference) -> Result<Option<MessageId>, StoreError> {
        Ok(self.read(|state, now| state.references.get(reference)?.at(now)))
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        self.signals.leasing(&request.queue);
        state.return_lapsed(&request.queue, now);
        let jobs = state.hand_out(&request, now);
        let next_due = state.order.get(&request.queue).and_then(Order::next_due);
        self.signals.leased(&request.queue, next_due);
        Ok(Leased { jobs, next_due })
    }

    async fn extend(&self, leases: &[Lease], hold: Duration) -> Result<Vec<Lease>, StoreError> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        Ok(leases.iter().filter(|lease| !state.extend(lease, now, hold)).cloned().collect())
    }

    async fn wait(&self, queue: &Queue, at_most: Duration) {
        self.signals.wait(queue, at_most).await;
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, StoreError> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let queues: Vec<Queue> = state.order.keys().cloned().collect();
        for queue in &queues {
            state.return_lapsed(queue, now);
        }
        let all = queues.into_iter().map(|queue| state.status(queue));
        Ok(all.filter(|s| s.waiting + s.leased + s.dead > 0).collect())
    }

    async fn dead(
        &self,
        queue: &Queue,
        after: Option<JobId>,
        max: usize,
    ) -> Result<Vec<DeadJob>, StoreError> {
        Ok(self.read(|state, now| {
            let of_queue =
                state.dead.iter().filter(|((q, id), _)| q == queue && after.is_none_or(|a| *id > a));
            of_queue.filter_map(|(_, dead)| dead.at(now)).take(max).collect()
        }))
    }

    async fn sweep(&self, max: usize) -> Result<Swept, StoreError> {
        let now = self.clock.now();
        Ok(self.state.lock().sweep(now, max))
    }
}

/// The state as [`precondition::check`] asks for it.
struct Present<'a> {
    state: &'a State,
    now: Timestamp,
}

impl Facts for Present<'_> {
    fn message(&mut self, id: MessageId) -> Result<Option<StoredVersion>, StoreError> {
        let stored = self.state.messages.get(&id);
        Ok(stored.map(|m| StoredVersion { version: m.version, live: is_live(m, self.now) }))
    }

    fn latest(&mut self, id: TemplateId) -> Result<Option<RevisionId>, StoreError> {
        Ok(self.state.latest(id, self.now).map(|template| template.revision))
    }

    fn has_revision(&mut self, id: RevisionId) -> Result<bool, StoreError> {
        Ok(self.state.revisions.contains_key(&id))
    }

    fn has_part(&mut self, id: PartId) -> Result<bool, StoreError> {
        Ok(self.state.parts.contains_key(&id))
    }

    fn has_job(&mut self, id: JobId) -> Result<bool, StoreError> {
        Ok(self.state.jobs.contains_key(&id) || self.state.dead.keys().any(|(_, dead)| *dead == id))
    }

    fn has_reference(&mut self, reference: &Reference) -> Result<bool, StoreError> {
        Ok(self.state.references.get(reference).is_some_and(|kept| kept.until > self.now))
    }

    fn holds(&mut self, lease: &Lease) -> Result<bool, StoreError> {
        Ok(self.state.holds(lease, self.now))
    }
}

impl State {
    fn latest(&self, id: TemplateId, now: Timestamp) -> Option<&Template> {
        let revision = &self.revisions.get(self.latest.get(&id)?)?.thing;
        (revision.expires > now).then_some(revision)
    }

    /// Makes one change that was checked. Gives back the queue and the due time of a job that can be
    /// found from now on.
    fn apply(&mut self, write: &Write, now: Timestamp) -> Option<(Queue, Timestamp)> {
        match write {
            Write::Template { template, .. } => {
                self.latest.insert(template.id, template.revision);
                let kept = Kept { until: template.expires, thing: template.clone() };
                self.revisions.insert(template.revision, kept);
            }
            Write::ForgetTemplate(id) => drop(self.latest.remove(id)),
            Write::Revision(template) => {
                if let Some(kept) = self.revisions.get_mut(&template.revision) {
                    kept.thing = template.clone();
                    kept.until = kept.until.max(template.expires);
                }
            }
            Write::KeepRevision { id, until } => {
                if let Some(kept) = self.revisions.get_mut(id) {
                    kept.until = kept.until.max(*until);
                }
            }
            Write::KeepBlob { digest, until } => {
                let claim = self.blobs.entry(*digest).or_insert(*until);
                *claim = (*claim).max(*until);
            }
            Write::Part { part, expires } => {
                self.parts.insert(part.id, Kept { thing: part.clone(), until: *expires });
            }
            Write::NewMessage(message) | Write::ChangedMessage(message) => {
                self.messages.insert(message.id, message.clone());
            }
            Write::Reference { reference, message, expires }
            | Write::NewReference { reference, message, expires } => {
                self.references.insert(reference.clone(), Kept { thing: *message, until: *expires });
            }
            Write::Enqueue(job) => return Some(self.enqueue(job)),
            Write::Finish(lease) => drop(self.take_back(lease)),
            Write::Postpone { lease, due } => return self.put_back(lease, *due, 1),
            Write::Release { lease, due } => return self.put_back(lease, *due, 0),
            Write::Bury { lease, reason, expires } => self.bury(lease, reason, *expires, now),
        }
        None
    }

    fn enqueue(&mut self, new: &NewJob) -> (Queue, Timestamp) {
        let entry = Entry {
            queue: new.queue.clone(),
            lane: new.lane,
            due: new.due,
            failed: 0,
            job: new.job.clone(),
            held: None,
        };
        self.insert_waiting(new.id, entry);
        (new.queue.clone(), new.due)
    }

    fn insert_waiting(&mut self, id: JobId, entry: Entry) {
        let order = self.order.entry(entry.queue.clone()).or_default();
        order.waiting.insert((entry.lane, entry.due, id));
        self.jobs.insert(id, entry);
    }

    /// Takes a leased job out of its worker's hands.
    fn take_back(&mut self, lease: &Lease) -> Option<Entry> {
        let mut entry = self.jobs.remove(&lease.job)?;
        if let (Some(held), Some(order)) = (entry.held.take(), self.order.get_mut(&entry.queue)) {
            order.leases.remove(&(held.lapses, lease.job));
        }
        Some(entry)
    }

    fn put_back(&mut self, lease: &Lease, due: Timestamp, failed: u32) -> Option<(Queue, Timestamp)> {
        let entry = self.take_back(lease)?;
        let queue = entry.queue.clone();
        self.insert_waiting(lease.job, Entry { due, failed: entry.failed.saturating_add(failed), ..entry });
        Some((queue, due))
    }

    fn bury(&mut self, lease: &Lease, reason: &str, expires: Timestamp, now: Timestamp) {
        let Some(entry) = self.take_back(lease) else { return };
        let dead = DeadJob {
            id: lease.job,
            queue: entry.queue.clone(),
            tries: entry.failed.saturating_add(1),
            reason: reason.to_owned(),
            died: now,
            job: entry.job,
        };
        self.dead.insert((entry.queue, lease.job), Kept { thing: dead, until: expires });
    }

    fn holds(&self, lease: &Lease, now: Timestamp) -> bool {
        let entry = self.jobs.get(&lease.job).filter(|entry| entry.queue == lease.queue);
        entry.and_then(|entry| entry.held).is_some_and(|held| held.token == lease.token && held.lapses > now)
    }

    fn extend(&mut self, lease: &Lease, now: Timestamp, hold: Duration) -> bool {
        if !self.holds(lease, now) {
            return false;
        }
        let lapses = now.after(hold);
        let held = self.jobs.get_mut(&lease.job).and_then(|entry| entry.held.as_mut());
        if let (Some(held), Some(order)) = (held, self.order.get_mut(&lease.queue)) {
            order.leases.remove(&(held.lapses, lease.job));
            order.leases.insert((lapses, lease.job));
            held.lapses = lapses;
        }
        true
    }

    fn return_lapsed(&mut self, queue: &Queue, now: Timestamp) {
        let Some(order) = self.order.get_mut(queue) else { return };
        while let Some((lapses, id)) = order.leases.first().copied().filter(|(lapses, _)| *lapses <= now) {
            order.leases.remove(&(lapses, id));
            if let Some(entry) = self.jobs.get_mut(&id) {
                entry.held = None;
                order.waiting.insert((entry.lane, entry.due, id));
            }
        }
    }

    fn hand_out(&mut self, request: &LeaseRequest, now: Timestamp) -> Vec<LeasedJob> {
        let Some(order) = self.order.get_mut(&request.queue) else { return Vec::new() };
        let due = order.waiting.iter().filter(|(_, due, _)| *due <= now).take(request.max);
        let due: Vec<_> = due.copied().collect();
        let lapses = now.after(request.hold);
        let mut jobs = Vec::with_capacity(due.len());
        for place in due {
            let Some(entry) = self.jobs.get_mut(&place.2) else { continue };
            order.waiting.remove(&place);
            order.leases.insert((lapses, place.2));
            self.last_token += 1;
            entry.held = Some(Held { token: self.last_token, lapses });
            let lease = Lease { job: place.2, queue: request.queue.clone(), token: self.last_token };
            jobs.push(LeasedJob { lease, tries: entry.failed.saturating_add(1), job: entry.job.clone() });
        }
        jobs
    }

    fn status(&self, queue: Queue) -> QueueStatus {
        let order = self.order.get(&queue);
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        QueueStatus {
            waiting: count(order.map_or(0, |order| order.waiting.len())),
            leased: count(order.map_or(0, |order| order.leases.len())),
            dead: count(self.dead.keys().filter(|(q, _)| *q == queue).count()),
            oldest: order.and_then(Order::oldest),
            queue,
        }
    }

    fn sweep(&mut self, now: Timestamp, max: usize) -> Swept {
        let revisions = &self.revisions;
        let gone = |id: &RevisionId| revisions.get(id).is_none_or(|kept| kept.thing.expires <= now);
        let mut records = forget(&mut self.latest, max, |latest| gone(latest)).len();
        records += forget(&mut self.revisions, max, |kept| kept.until <= now).len();
        records += forget(&mut self.parts, max, |kept| kept.until <= now).len();
        records += forget(&mut self.messages, max, |message| !is_live(message, now)).len();
        records += forget(&mut self.references, max, |kept| kept.until <= now).len();
        records += forget(&mut self.dead, max, |kept| kept.until <= now).len();
        let blobs = forget(&mut self.blobs, max, |until| *until <= now);
        records += blobs.len();
        Swept { records: u64::try_from(records).unwrap_or(u64::MAX), blobs }
    }
}

/// Removes up to `max` entries whose time is over, and names them.
fn forget<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, max: usize, over: impl Fn(&V) -> bool) -> Vec<K> {
    let keys: Vec<K> = map.iter().filter(|(_, v)| over(v)).map(|(k, _)| k.clone()).take(max).collect();
    for key in &keys {
        map.remove(key);
    }
    keys
}

fn is_live(message: &Message, now: Timestamp) -> bool {
    message.expires.is_none_or(|expires| expires > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_reference_keeps_the_contract() {
        crate::conformance::run(async |clock: Arc<crate::ManualClock>| MemoryStore::new(clock)).await;
    }
}
