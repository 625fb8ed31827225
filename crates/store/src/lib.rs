//! The store contract: what the engine may ask of a store, whatever keeps the data.
//!
//! * **Changes** are handed over as one [`Batch`] and happen whole or not at all. When
//!   [`Store::commit`] answers, the batch is as durable as the backend's mode promises, and only
//!   then may anybody be told "yes". Backends share the cost of durability among all batches that
//!   wait at the same time.
//! * **Jobs** wait in a [`Queue`](mmsgw_domain::Queue) until they are due. A worker takes some with
//!   [`Store::lease`], keeps them with [`Store::extend`], and settles each one in a batch:
//!   [`Write::Finish`], [`Write::Postpone`], [`Write::Release`] or [`Write::Bury`]. A lease that
//!   lapses puts the job back; a batch that settles a lapsed lease is refused whole, so two workers
//!   never both settle one job.
//! * **Messages** carry a version. A change made to an old version is refused with
//!   [`StoreError::Conflict`]; the caller reads again and decides again.
//! * **Many messages** are found by looking through them, newest first, a bounded [`Scan`] at a time: their ids sort by
//!   time, and there is no index that the way of a message would have to pay for.
//! * **A queue** can be paused, or held back until a time: it hands nothing out then, whoever asks.
//! * **Records and tallies** are small things that belong to no message, see [`Record`].
//! * **Octets** of media are in a [`BlobStore`], named by their digest.
//!
//! What instances share besides is the [`Registry`]'s: who is there, and turns at a common rate.
//!
//! Backends stand beside each other: [`MemoryStore`] here for tests, the others in crates of their
//! own. All pass [`conformance`], which is the contract in executable form.

mod batch;
mod blob;
mod blob_fs;
pub mod conformance;
mod error;
mod lease;
mod measure;
mod memory;
pub mod precondition;
mod queued;
mod record;
mod registry;
mod scan;
mod signal;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use mmsgw_domain::{
    Digest, InstanceId, Message, MessageId, Part, PartId, Queue, RevisionId, Template, TemplateId, Timestamp,
};

pub use batch::{Batch, NewJob, Reference, ReferenceKind, Write};
pub use blob::{BlobStore, digest_of};
pub use blob_fs::DirectoryBlobs;
pub use conformance::ManualClock;
pub use error::StoreError;
pub use lease::{DeadJob, Lane, Lease, LeaseRequest, Leased, LeasedJob};
pub use measure::{Distribution, FEW, Histogram, Rounds, RoundsMeasured, SHORT};
pub use memory::MemoryStore;
pub use mmsgw_domain::{Announced, Pause, QueueStatus};
pub use queued::{Place, PlaceError, QueuedJob};
pub use record::{Record, RecordKey, RecordKind, TallyKey};
pub use registry::{LocalRegistry, Registry, TurnRequest, Turns};
pub use scan::{Scan, Scanned, Wanted};
pub use signal::QueueSignals;

/// A store of templates, messages and jobs.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Does all of `batch` or nothing of it, durably.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where a message has another version or an id is taken,
    /// [`StoreError::LeaseLost`] where a lease has lapsed; in both cases nothing is changed.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// The latest revision of a template, unless it was forgotten or has expired.
    async fn template(&self, id: TemplateId) -> Result<Option<Template>, StoreError>;

    /// A revision of a template, also of one that was forgotten, as long as it is kept.
    async fn revision(&self, id: RevisionId) -> Result<Option<Template>, StoreError>;

    /// A part that was created on its own, unless it has expired.
    async fn part(&self, id: PartId) -> Result<Option<Part>, StoreError>;

    /// A message, unless it has expired.
    async fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError>;

    /// Looks through messages from the newest id to older ones, without those that have expired. Whoever goes on from
    /// [`Scanned::next`] to its end meets each message once that was there when he began.
    async fn messages(&self, scan: Scan) -> Result<Scanned, StoreError>;

    /// The message that a carrier's reference belongs to.
    async fn find(&self, reference: &Reference) -> Result<Option<MessageId>, StoreError>;

    /// A record, unless its time is over.
    async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError>;

    /// Records with the group, kind and owner of `after`, in order of their ids, those whose id comes after
    /// its.
    async fn records(&self, after: &RecordKey, max: usize) -> Result<Vec<Record>, StoreError>;

    /// The counters of a tally by name; none where it is not there or its time is over.
    async fn tally(&self, key: &TallyKey) -> Result<BTreeMap<String, i64>, StoreError>;

    /// Takes up to `request.max` due jobs of a queue: lanes in order, and in a lane by due time,
    /// then by id. A job is in one hand only until its lease is settled or lapses. A queue that is
    /// paused or held back gives none.
    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError>;

    /// Makes leases last `hold` from now. Gives back those that had lapsed already.
    async fn extend(&self, leases: &[Lease], hold: Duration) -> Result<Vec<Lease>, StoreError>;

    /// Gives back all jobs in the hands of `owner`, to be handed out again at once, and says how many.
    /// Its leases have lapsed after that.
    async fn disown(&self, owner: &InstanceId) -> Result<u64, StoreError>;

    /// Holds a queue back until `until`, or as long as it is held back already where that is longer.
    /// Lasts as long as the store's processes do.
    async fn hold_back(&self, queue: &Queue, until: Timestamp) -> Result<(), StoreError>;

    /// Resolves when a job of `queue` may have become due since the last [`Store::lease`] on it,
    /// at the latest after `at_most`. May resolve for nothing.
    async fn wait(&self, queue: &Queue, at_most: Duration);

    /// What waits where; one entry for each queue that holds a job, dead ones included, or is
    /// paused.
    async fn queues(&self) -> Result<Vec<QueueStatus>, StoreError>;

    /// Dead jobs of a queue, oldest first, from after the id `after`.
    async fn dead(
        &self,
        queue: &Queue,
        after: Option<mmsgw_domain::JobId>,
        max: usize,
    ) -> Result<Vec<DeadJob>, StoreError>;

    /// Jobs of a queue that wait or are in a worker's hands, in the order in which they leave it, from behind the
    /// place `after`. Takes none of them.
    async fn queued(
        &self,
        queue: &Queue,
        after: Option<Place>,
        max: usize,
    ) -> Result<Vec<QueuedJob>, StoreError>;

    /// One job of a queue that waits or is in a worker's hands.
    async fn queued_job(
        &self,
        queue: &Queue,
        id: mmsgw_domain::JobId,
    ) -> Result<Option<QueuedJob>, StoreError>;

    /// Removes up to `max` records of each kind whose time is over. Call again while
    /// [`Swept::records`] is not zero.
    async fn sweep(&self, max: usize) -> Result<Swept, StoreError>;

    /// How batches shared commits since this process opened the store; `None` where each is on its own.
    fn rounds(&self) -> Option<RoundsMeasured> {
        None
    }
}

/// What [`Store::sweep`] removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Records of any kind.
    pub records: u64,
    /// Blobs that no record claims any more. The caller removes their octets.
    pub blobs: Vec<Digest>,
}
