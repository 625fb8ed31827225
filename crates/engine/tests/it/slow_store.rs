//! A store in memory whose commits take as long as those of a disk.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use mmsgw_domain::{
    InstanceId, JobId, Message, MessageId, Part, PartId, Queue, RevisionId, Template, TemplateId, Timestamp,
};
use mmsgw_store::{
    Batch, DeadJob, Lease, LeaseRequest, Leased, MemoryStore, Place, QueueStatus, QueuedJob, Record,
    RecordKey, Reference, Scan, Scanned, Store, StoreError, Swept, TallyKey,
};

pub(crate) struct SlowStore {
    pub(crate) store: MemoryStore,
    pub(crate) pause: Duration,
}

#[async_trait]
impl Store for SlowStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        tokio::time::sleep(self.pause).await;
        self.store.commit(batch).await
    }

    async fn template(&self, id: TemplateId) -> Result<Option<Template>, StoreError> {
        self.store.template(id).await
    }

    async fn revision(&self, id: RevisionId) -> Result<Option<Template>, StoreError> {
        self.store.revision(id).await
    }

    async fn part(&self, id: PartId) -> Result<Option<Part>, StoreError> {
        self.store.part(id).await
    }

    async fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        self.store.message(id).await
    }

    async fn messages(&self, scan: Scan) -> Result<Scanned, StoreError> {
        self.store.messages(scan).await
    }

    async fn find(&self, reference: &Reference) -> Result<Option<MessageId>, StoreError> {
        self.store.find(reference).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError> {
        self.store.lease(request).await
    }

    async fn extend(&self, leases: &[Lease], hold: Duration) -> Result<Vec<Lease>, StoreError> {
        self.store.extend(leases, hold).await
    }

    async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.store.record(key).await
    }

    async fn records(&self, after: &RecordKey, max: usize) -> Result<Vec<Record>, StoreError> {
        self.store.records(after, max).await
    }

    async fn tally(&self, key: &TallyKey) -> Result<BTreeMap<String, i64>, StoreError> {
        self.store.tally(key).await
    }

    async fn disown(&self, owner: &InstanceId) -> Result<u64, StoreError> {
        self.store.disown(owner).await
    }

    async fn hold_back(&self, queue: &Queue, until: Timestamp) -> Result<(), StoreError> {
        self.store.hold_back(queue, until).await
    }

    async fn wait(&self, queue: &Queue, at_most: Duration) {
        self.store.wait(queue, at_most).await;
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, StoreError> {
        self.store.queues().await
    }

    async fn dead(
        &self,
        queue: &Queue,
        after: Option<JobId>,
        max: usize,
    ) -> Result<Vec<DeadJob>, StoreError> {
        self.store.dead(queue, after, max).await
    }

    async fn queued(
        &self,
        queue: &Queue,
        after: Option<Place>,
        max: usize,
    ) -> Result<Vec<QueuedJob>, StoreError> {
        self.store.queued(queue, after, max).await
    }

    async fn queued_job(&self, queue: &Queue, id: JobId) -> Result<Option<QueuedJob>, StoreError> {
        self.store.queued_job(queue, id).await
    }

    async fn sweep(&self, max: usize) -> Result<Swept, StoreError> {
        self.store.sweep(max).await
    }
}
