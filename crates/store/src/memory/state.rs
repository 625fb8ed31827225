//! What the memory store knows, and how changes that were checked change it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mmsgw_domain::{
    Digest, InstanceId, Job, JobId, Message, MessageId, Part, PartId, Queue, RevisionId, Template,
    TemplateId, Timestamp,
};

use crate::{
    DeadJob, Lane, Lease, LeaseRequest, LeasedJob, NewJob, Pause, Place, QueueStatus, QueuedJob, Record,
    RecordKey, Reference, Swept, TallyKey, Write,
};

#[derive(Default)]
pub(super) struct State {
    pub(super) latest: BTreeMap<TemplateId, RevisionId>,
    pub(super) revisions: BTreeMap<RevisionId, Kept<Template>>,
    pub(super) parts: BTreeMap<PartId, Kept<Part>>,
    pub(super) messages: BTreeMap<MessageId, Message>,
    pub(super) references: BTreeMap<Reference, Kept<MessageId>>,
    blobs: BTreeMap<Digest, Timestamp>,
    pub(super) jobs: BTreeMap<JobId, Entry>,
    pub(super) dead: BTreeMap<(Queue, JobId), Kept<DeadJob>>,
    pub(super) order: BTreeMap<Queue, Order>,
    pub(super) records: BTreeMap<RecordKey, Kept<Record>>,
    pub(super) tallies: BTreeMap<TallyKey, Kept<BTreeMap<String, i64>>>,
    pauses: BTreeMap<Queue, Pause>,
    held_back: BTreeMap<Queue, Timestamp>,
    last_token: u64,
}

/// Something that may be forgotten at a time.
pub(super) struct Kept<T> {
    pub(super) thing: T,
    pub(super) until: Timestamp,
}

impl<T: Clone> Kept<T> {
    pub(super) fn at(&self, now: Timestamp) -> Option<T> {
        (self.until > now).then(|| self.thing.clone())
    }
}

/// A job that waits or is leased.
pub(super) struct Entry {
    queue: Queue,
    lane: Lane,
    due: Timestamp,
    /// Tries that did not work.
    failed: u32,
    job: Job,
    held: Option<Held>,
}

impl Entry {
    /// In whose hands it is.
    fn holder(&self, now: Timestamp) -> Option<&InstanceId> {
        self.held.as_ref().filter(|held| held.lapses > now).map(|held| &held.owner)
    }

    fn queued(&self, id: JobId, now: Timestamp) -> QueuedJob {
        QueuedJob {
            place: Place { lane: self.lane, due: self.due, id },
            queue: self.queue.clone(),
            failed: self.failed,
            holder: self.holder(now).cloned(),
            job: self.job.clone(),
        }
    }
}

struct Held {
    token: u64,
    lapses: Timestamp,
    owner: InstanceId,
}

/// The jobs of one queue in the order in which something happens to them.
#[derive(Default)]
pub(super) struct Order {
    waiting: BTreeSet<(Lane, Timestamp, JobId)>,
    leases: BTreeSet<(Timestamp, JobId)>,
}

impl Order {
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.oldest().into_iter().chain(self.leases.first().map(|(lapses, _)| *lapses)).min()
    }

    fn oldest(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|(_, due, _)| *due).min()
    }
}

impl State {
    pub(super) fn latest(&self, id: TemplateId, now: Timestamp) -> Option<&Template> {
        let revision = &self.revisions.get(self.latest.get(&id)?)?.thing;
        (revision.expires > now).then_some(revision)
    }

    /// Makes one change that was checked. Gives back the queue and the due time of a job that can be
    /// found from now on.
    pub(super) fn apply(&mut self, write: &Write, now: Timestamp) -> Option<(Queue, Timestamp)> {
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
            Write::MovedMessage { message, from, job } => {
                self.messages.insert(message.id, message.clone());
                self.return_lapsed(from, now);
                drop(self.take(*job));
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
            Write::Revive { queue, id } => return self.revive(queue, *id, now),
            Write::Discard { queue, id } => drop(self.dead.remove(&(queue.clone(), *id))),
            Write::Hasten { queue, id } => return self.hasten(queue, *id, now),
            Write::Remove { queue, id } => {
                self.return_lapsed(queue, now);
                drop(self.take(*id));
            }
            Write::Pause { queue, pause: Some(pause) } => {
                drop(self.pauses.insert(queue.clone(), pause.clone()));
            }
            Write::Pause { queue, pause: None } => {
                self.pauses.remove(queue);
                return Some((queue.clone(), now));
            }
            Write::Record(record) => {
                self.records.insert(record.key.clone(), Kept { thing: record.clone(), until: record.until });
            }
            Write::DropRecord(key) => drop(self.records.remove(key)),
            Write::Tally { key, add, until } => self.count(key, add, *until, now),
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

    /// All jobs of a queue in order.
    pub(super) fn queued(&self, queue: &Queue, now: Timestamp) -> Vec<QueuedJob> {
        let of_queue = self.jobs.iter().filter(|(_, entry)| entry.queue == *queue);
        let mut queued: Vec<_> = of_queue.map(|(id, entry)| entry.queued(*id, now)).collect();
        queued.sort_by_key(|job| job.place);
        queued
    }

    pub(super) fn waits(&self, queue: &Queue, id: JobId, now: Timestamp) -> bool {
        self.jobs.get(&id).is_some_and(|entry| entry.queue == *queue && entry.holder(now).is_none())
    }

    /// Takes a waiting job out of its queue.
    fn take(&mut self, id: JobId) -> Option<Entry> {
        let entry = self.jobs.remove(&id)?;
        if let Some(order) = self.order.get_mut(&entry.queue) {
            order.waiting.remove(&(entry.lane, entry.due, id));
        }
        Some(entry)
    }

    fn hasten(&mut self, queue: &Queue, id: JobId, now: Timestamp) -> Option<(Queue, Timestamp)> {
        self.return_lapsed(queue, now);
        let entry = self.take(id)?;
        let due = entry.due.min(now);
        self.insert_waiting(id, Entry { due, ..entry });
        Some((queue.clone(), due))
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

    fn revive(&mut self, queue: &Queue, id: JobId, now: Timestamp) -> Option<(Queue, Timestamp)> {
        let dead = self.dead.remove(&(queue.clone(), id))?.thing;
        let (lane, job) = (Lane::Normal, dead.job);
        self.insert_waiting(id, Entry { queue: dead.queue, lane, due: now, failed: 0, job, held: None });
        Some((queue.clone(), now))
    }

    fn count(&mut self, key: &TallyKey, add: &BTreeMap<String, i64>, until: Timestamp, now: Timestamp) {
        let empty = || Kept { thing: BTreeMap::new(), until };
        let tally = self.tallies.entry(key.clone()).or_insert_with(empty);
        if tally.until <= now {
            *tally = empty();
        }
        tally.until = tally.until.max(until);
        for (name, number) in add {
            let counter = tally.thing.entry(name.clone()).or_default();
            *counter = counter.saturating_add(*number);
        }
    }

    /// Holds a queue back; gives the time that counts.
    pub(super) fn hold_back(&mut self, queue: &Queue, until: Timestamp) {
        let held = self.held_back.entry(queue.clone()).or_insert(until);
        *held = (*held).max(until);
    }

    /// Until when a queue hands nothing out: `Some(None)` where that has no end yet.
    pub(super) fn is_held(&self, queue: &Queue, now: Timestamp) -> Option<Option<Timestamp>> {
        if self.pauses.contains_key(queue) {
            return Some(None);
        }
        self.held_back.get(queue).filter(|until| **until > now).map(|until| Some(*until))
    }

    pub(super) fn disown(&mut self, owner: &InstanceId) -> Vec<(Queue, Timestamp)> {
        let of_owner = |entry: &&mut Entry| entry.held.as_ref().is_some_and(|held| held.owner == *owner);
        let mut back = Vec::new();
        for (id, entry) in self.jobs.iter_mut().map(|(id, entry)| (*id, entry)) {
            if !of_owner(&entry) {
                continue;
            }
            let (held, order) = (entry.held.take(), self.order.entry(entry.queue.clone()).or_default());
            order
                .leases
                .retain(|(lapses, job)| held.as_ref().is_none_or(|h| h.lapses != *lapses) || *job != id);
            order.waiting.insert((entry.lane, entry.due, id));
            back.push((entry.queue.clone(), entry.due));
        }
        back
    }

    pub(super) fn holds(&self, lease: &Lease, now: Timestamp) -> bool {
        let entry = self.jobs.get(&lease.job).filter(|entry| entry.queue == lease.queue);
        entry
            .and_then(|entry| entry.held.as_ref())
            .is_some_and(|held| held.token == lease.token && held.lapses > now)
    }

    pub(super) fn extend(&mut self, lease: &Lease, now: Timestamp, hold: Duration) -> bool {
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

    pub(super) fn return_lapsed(&mut self, queue: &Queue, now: Timestamp) {
        let Some(order) = self.order.get_mut(queue) else { return };
        while let Some((lapses, id)) = order.leases.first().copied().filter(|(lapses, _)| *lapses <= now) {
            order.leases.remove(&(lapses, id));
            if let Some(entry) = self.jobs.get_mut(&id) {
                entry.held = None;
                order.waiting.insert((entry.lane, entry.due, id));
            }
        }
    }

    pub(super) fn hand_out(&mut self, request: &LeaseRequest, now: Timestamp) -> Vec<LeasedJob> {
        if self.is_held(&request.queue, now).is_some() {
            return Vec::new();
        }
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
            entry.held = Some(Held { token: self.last_token, lapses, owner: request.owner.clone() });
            let lease = Lease { job: place.2, queue: request.queue.clone(), token: self.last_token };
            jobs.push(LeasedJob { lease, tries: entry.failed.saturating_add(1), job: entry.job.clone() });
        }
        jobs
    }

    /// When something may happen in a queue.
    pub(super) fn next_due(&self, queue: &Queue, now: Timestamp) -> Option<Timestamp> {
        match self.is_held(queue, now) {
            Some(until) => until,
            None => self.order.get(queue).and_then(Order::next_due),
        }
    }

    /// Queues of which there is something to say.
    pub(super) fn queues(&self) -> BTreeSet<Queue> {
        self.order.keys().chain(self.pauses.keys()).cloned().collect()
    }

    pub(super) fn status(&self, queue: Queue, now: Timestamp) -> QueueStatus {
        let order = self.order.get(&queue);
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        QueueStatus {
            waiting: count(order.map_or(0, |order| order.waiting.len())),
            leased: count(order.map_or(0, |order| order.leases.len())),
            dead: count(self.dead.keys().filter(|(q, _)| *q == queue).count()),
            oldest: order.and_then(Order::oldest),
            paused: self.pauses.get(&queue).cloned(),
            held_until: self.held_back.get(&queue).copied().filter(|until| *until > now),
            queue,
        }
    }

    pub(super) fn sweep(&mut self, now: Timestamp, max: usize) -> Swept {
        let revisions = &self.revisions;
        let gone = |id: &RevisionId| revisions.get(id).is_none_or(|kept| kept.thing.expires <= now);
        let mut records = forget(&mut self.latest, max, |latest| gone(latest)).len();
        records += forget(&mut self.revisions, max, |kept| kept.until <= now).len();
        records += forget(&mut self.parts, max, |kept| kept.until <= now).len();
        records += forget(&mut self.messages, max, |message| !is_live(message, now)).len();
        records += forget(&mut self.references, max, |kept| kept.until <= now).len();
        records += forget(&mut self.dead, max, |kept| kept.until <= now).len();
        records += forget(&mut self.records, max, |kept| kept.until <= now).len();
        records += forget(&mut self.tallies, max, |kept| kept.until <= now).len();
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

pub(super) fn is_live(message: &Message, now: Timestamp) -> bool {
    message.expires.is_none_or(|expires| expires > now)
}
