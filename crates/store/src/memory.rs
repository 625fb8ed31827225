//! The contract over plain maps: the reference for all backends, and the store of tests. Nothing of
//! it outlives the process.

mod state;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mmsgw_domain::{
    Clock, InstanceId, JobId, Message, MessageId, Part, PartId, Queue, RevisionId, Template, TemplateId,
    Timestamp,
};
use parking_lot::Mutex;

use self::state::{State, is_live};
use crate::precondition::{self, Facts, StoredVersion};
use crate::{
    Batch, DeadJob, Lease, LeaseRequest, Leased, Place, QueueSignals, QueueStatus, QueuedJob, Record,
    RecordKey, Reference, Scan, Scanned, Store, StoreError, Swept, TallyKey,
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

    async fn messages(&self, scan: Scan) -> Result<Scanned, StoreError> {
        Ok(self.read(|state, now| {
            let first = MessageId::first_at(scan.since);
            let end = scan.before.map_or(Bound::Unbounded, |before| Bound::Excluded(before.max(first)));
            let mut scanned = Scanned::default();
            for (id, message) in state.messages.range((Bound::Included(first), end)).rev() {
                if scanned.note(&scan, *id, Some(message).filter(|m| is_live(m, now)).cloned()) {
                    return scanned;
                }
            }
            Scanned { next: None, ..scanned }
        }))
    }

    async fn find(&self, reference: &Reference) -> Result<Option<MessageId>, StoreError> {
        Ok(self.read(|state, now| state.references.get(reference)?.at(now)))
    }

    async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(self.read(|state, now| state.records.get(key)?.at(now)))
    }

    async fn records(&self, after: &RecordKey, max: usize) -> Result<Vec<Record>, StoreError> {
        let same = |key: &RecordKey| {
            (&key.group, key.kind, &key.owner) == (&after.group, after.kind, &after.owner)
                && key.id > after.id
        };
        Ok(self.read(|state, now| {
            let range = state.records.range(after.clone()..).filter(|(key, _)| same(key));
            range.filter_map(|(_, kept)| kept.at(now)).take(max).collect()
        }))
    }

    async fn tally(&self, key: &TallyKey) -> Result<BTreeMap<String, i64>, StoreError> {
        Ok(self.read(|state, now| state.tallies.get(key)?.at(now)).unwrap_or_default())
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        self.signals.leasing(&request.queue);
        state.return_lapsed(&request.queue, now);
        let jobs = state.hand_out(&request, now);
        let next_due = state.next_due(&request.queue, now);
        self.signals.leased(&request.queue, next_due);
        Ok(Leased { jobs, next_due })
    }

    async fn extend(&self, leases: &[Lease], hold: Duration) -> Result<Vec<Lease>, StoreError> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        Ok(leases.iter().filter(|lease| !state.extend(lease, now, hold)).cloned().collect())
    }

    async fn disown(&self, owner: &InstanceId) -> Result<u64, StoreError> {
        let back = self.state.lock().disown(owner);
        back.iter().for_each(|(queue, due)| self.signals.ring(queue, *due));
        Ok(u64::try_from(back.len()).unwrap_or(u64::MAX))
    }

    async fn hold_back(&self, queue: &Queue, until: Timestamp) -> Result<(), StoreError> {
        self.state.lock().hold_back(queue, until);
        Ok(())
    }

    async fn wait(&self, queue: &Queue, at_most: Duration) {
        self.signals.wait(queue, at_most).await;
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, StoreError> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let queues = state.queues();
        for queue in &queues {
            state.return_lapsed(queue, now);
        }
        let all = queues.into_iter().map(|queue| state.status(queue, now));
        Ok(all.filter(|s| s.waiting + s.leased + s.dead > 0 || s.paused.is_some()).collect())
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

    async fn queued(
        &self,
        queue: &Queue,
        after: Option<Place>,
        max: usize,
    ) -> Result<Vec<QueuedJob>, StoreError> {
        let mut queued = self.read(|state, now| state.queued(queue, now));
        queued.retain(|job| after.is_none_or(|after| job.place > after));
        queued.truncate(max);
        Ok(queued)
    }

    async fn queued_job(&self, queue: &Queue, id: JobId) -> Result<Option<QueuedJob>, StoreError> {
        Ok(self.read(|state, now| state.queued(queue, now)).into_iter().find(|job| job.place.id == id))
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

    fn waits(&mut self, queue: &Queue, id: JobId) -> Result<bool, StoreError> {
        Ok(self.state.waits(queue, id, self.now))
    }

    fn is_dead(&mut self, queue: &Queue, id: JobId) -> Result<bool, StoreError> {
        Ok(self.state.dead.contains_key(&(queue.clone(), id)))
    }

    fn record(&mut self, key: &RecordKey) -> Result<Option<u64>, StoreError> {
        let stored = self.state.records.get(key).filter(|kept| kept.until > self.now);
        Ok(stored.map(|kept| kept.thing.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_reference_keeps_the_contract() {
        crate::conformance::run(async |clock: Arc<crate::ManualClock>| MemoryStore::new(clock)).await;
    }
}
