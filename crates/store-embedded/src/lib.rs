//! The durable store of one host: SQLite behind one writer thread that commits for all.
//!
//! [`EmbeddedStore::commit`] hands a batch to the writer thread; the thread puts all batches that wait
//! into one transaction, one `fsync` makes them durable, and all callers are told. Leases are kept in
//! memory, since one process owns the directory; after a restart all jobs wait again. Reads happen on
//! threads of their own. Why it is built so: `docs/design/0002-embedded-store.md`.
//!
//! When a thread of the store ends with a panic, which is a defect, the store stays down: every later
//! call answers [`StoreError::Unavailable`], [`EmbeddedStore::health`] says so, and a restart of the
//! process finds everything that was committed.

mod commit;
mod lock;
mod media;
mod migrate;
mod queue;
mod queued;
mod reader;
mod recent;
mod records;
mod scan;
mod stats;
mod tables;
mod writer;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use mmsgw_domain::{
    Clock, InstanceId, JobId, Message, MessageId, Part, PartId, Queue, RevisionId, Template, TemplateId,
    Timestamp,
};
use mmsgw_store::{
    Batch, DeadJob, Lease, LeaseRequest, Leased, LeasedJob, Place, QueueSignals, QueueStatus, QueuedJob,
    Record, RecordKey, Reference, RoundsMeasured, Scan, Scanned, Store, StoreError, Swept, TallyKey,
};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, params};
use tokio::sync::{mpsc, oneshot};

use crate::commit::Encoded;
use crate::lock::DirectoryLock;
pub use crate::media::EmbeddedBlobs;
use crate::queue::{Queues, RawJob};
use crate::reader::Readers;
use crate::recent::Recent;
pub use crate::stats::EmbeddedStats;
use crate::tables::{count, decode, decode_job, failed};
use crate::writer::{Request, Writer};

/// What can be chosen about an [`EmbeddedStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Threads that read, each with a connection. Default 2, at least 1.
    pub readers: usize,
    /// Requests taken into one round, and how many may wait before callers have to. Default 1024.
    pub max_round: usize,
    /// Page cache of the writer in octets; each reader has a quarter of it. Default 64 MiB.
    pub cache_bytes: usize,
    /// Pages of 4 KiB in the log from which on they are moved into the database file. Default 4000.
    pub checkpoint_pages: usize,
    /// Octets of memory for records that were written lately. Default 32 MiB.
    pub recent_bytes: usize,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            readers: 2,
            max_round: 1024,
            cache_bytes: 64 << 20,
            checkpoint_pages: 4000,
            recent_bytes: 32 << 20,
        }
    }
}

/// The store of one process, in one directory on a local disk.
pub struct EmbeddedStore {
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    readers: Readers,
    /// Held by who looks through messages.
    scans: tokio::sync::Mutex<()>,
    clock: Arc<dyn Clock>,
    signals: Arc<QueueSignals>,
    stats: Arc<EmbeddedStats>,
    recent: Arc<Recent>,
    // Last, so that it is given up when all threads have ended.
    _lock: DirectoryLock,
}

impl EmbeddedStore {
    /// Opens the store in `directory`, which is made where it is missing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] where another process has it, a newer release made it, it cannot be made, or
    /// it is damaged; the file stays as it is then.
    pub fn open(
        directory: &Path,
        clock: Arc<dyn Clock>,
        options: EmbeddedOptions,
    ) -> Result<Self, StoreError> {
        Self::open_file(directory, clock, options).map_err(|error| at(&directory.join(NAME), error))
    }

    fn open_file(
        directory: &Path,
        clock: Arc<dyn Clock>,
        options: EmbeddedOptions,
    ) -> Result<Self, StoreError> {
        let unusable = |e: std::io::Error| StoreError::Unusable(format!("{}: {e}", directory.display()));
        fs::create_dir_all(directory).map_err(unusable)?;
        let lock = DirectoryLock::take(directory)?;
        let path = directory.join(NAME);
        let mut connection = open_writer(&path, &options).map_err(|e| failed(&e))?;
        migrate::migrate(&mut connection)?;
        // The names of new files are durable as well.
        File::open(directory).and_then(|d| d.sync_all()).map_err(unusable)?;
        let readers = (0..options.readers.max(1)).map(|_| open_reader(&path, &options));
        let readers: Vec<Connection> = readers.collect::<Result<_, _>>().map_err(|e| failed(&e))?;
        let readers = Readers::start(readers).map_err(unusable)?;
        let signals = Arc::new(QueueSignals::new(Arc::clone(&clock)));
        let stats = Arc::new(EmbeddedStats::default());
        let recent = Arc::new(Recent::new(options.recent_bytes));
        let writer = Writer {
            queues: Queues::load(&connection, Arc::clone(&clock)).map_err(|e| failed(&e))?,
            connection,
            clock: Arc::clone(&clock),
            signals: Arc::clone(&signals),
            stats: Arc::clone(&stats),
            recent: Arc::clone(&recent),
            max_round: options.max_round.max(1),
        };
        let (requests, receiver) = mpsc::channel(options.max_round.max(1));
        let thread = thread::Builder::new().name("store-writer".to_owned());
        let thread = thread.spawn(move || writer.run(receiver)).map_err(unusable)?;
        let (requests, writer) = (Some(requests), Some(thread));
        let scans = tokio::sync::Mutex::default();
        Ok(Self { requests, writer, readers, scans, clock, signals, stats, recent, _lock: lock })
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> &EmbeddedStats {
        &self.stats
    }

    /// Whether the store can work.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where a thread has ended, the store is closed, or the latest commit
    /// failed. After a failed commit the store keeps trying with each further one.
    pub fn health(&self) -> Result<(), StoreError> {
        if self.writer.as_ref().is_none_or(JoinHandle::is_finished) || !self.readers.are_well() {
            return Err(stopped());
        }
        if self.stats.is_failing() {
            return Err(StoreError::Unavailable("the latest commit failed".to_owned()));
        }
        Ok(())
    }

    /// Ends the store in good order: what waits for a commit gets it, and the log is moved into the
    /// database file. Calls after this one answer [`StoreError::Unavailable`]. Without it nothing
    /// committed is lost either.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the store has stopped before.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.ask(Request::Close).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        requests.send(request(reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// The same jobs, each with who holds it, which the writer thread knows.
    async fn with_holders(
        &self,
        queue: &Queue,
        mut jobs: Vec<QueuedJob>,
    ) -> Result<Vec<QueuedJob>, StoreError> {
        let ids = jobs.iter().map(|job| job.place.id).collect();
        let holders = self.ask(|reply| Request::Holders(queue.clone(), ids, reply)).await?;
        jobs.iter_mut().zip(holders).for_each(|(job, holder)| job.holder = holder);
        Ok(jobs)
    }

    /// Reads the record that `sql` finds for `values`.
    async fn read<T, P>(&self, sql: &'static str, values: P) -> Result<Option<T>, StoreError>
    where
        T: serde::de::DeserializeOwned + Send + 'static,
        P: Params + Send + 'static,
    {
        let look = move |connection: &Connection| {
            let octets = connection.prepare_cached(sql).and_then(|mut statement| {
                statement.query_row(values, |row| row.get::<_, Vec<u8>>(0)).optional()
            });
            octets.map_err(|e| failed(&e))
        };
        self.readers.ask(look).await?.map(|octets| decode(&octets)).transpose()
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the store's writer had ended with a panic");
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    /// As the contract says. A batch that was handed over is done even when its caller stops waiting.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let encoded = Encoded::new(batch)?;
        self.ask(|reply| Request::Commit(encoded, reply)).await
    }

    async fn template(&self, id: TemplateId) -> Result<Option<Template>, StoreError> {
        let now = self.clock.now();
        if let Some(recent) = self.recent.template(id, now) {
            return Ok(recent);
        }
        self.read(
            "SELECT record FROM template JOIN revision ON revision.id = template.revision
             WHERE template.id = ?1 AND template.expires > ?2",
            (*id.as_bytes(), now.as_millis()),
        )
        .await
    }

    async fn revision(&self, id: RevisionId) -> Result<Option<Template>, StoreError> {
        let sql = "SELECT record FROM revision WHERE id = ?1 AND until > ?2";
        self.read(sql, (*id.as_bytes(), self.clock.now().as_millis())).await
    }

    async fn part(&self, id: PartId) -> Result<Option<Part>, StoreError> {
        let sql = "SELECT record FROM part WHERE id = ?1 AND expires > ?2";
        self.read(sql, (*id.as_bytes(), self.clock.now().as_millis())).await
    }

    async fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        let now = self.clock.now();
        if let Some(recent) = self.recent.message(id, now) {
            return Ok(recent);
        }
        let sql = "SELECT record FROM message WHERE id = ?1 AND (expires IS NULL OR expires > ?2)";
        self.read(sql, (*id.as_bytes(), now.as_millis())).await
    }

    /// As the contract says. At most [`scan::SLICE`] messages are looked at, and one scan at a time: a reader thread is
    /// left for those who read one record.
    async fn messages(&self, scan: Scan) -> Result<Scanned, StoreError> {
        let _turn = self.scans.lock().await;
        let now = self.clock.now();
        self.readers.ask(move |connection| scan::messages(connection, &scan, now)).await
    }

    async fn find(&self, reference: &Reference) -> Result<Option<MessageId>, StoreError> {
        let (reference, now) = (reference.clone(), self.clock.now().as_millis());
        let sql =
            "SELECT message FROM reference WHERE grp = ?1 AND kind = ?2 AND value = ?3 AND expires > ?4";
        let look = move |connection: &Connection| {
            let (group, kind) = (reference.group.as_str(), reference.kind.name());
            let values = params![group, kind, reference.value, now];
            let found = connection.prepare_cached(sql);
            let found = found.and_then(|mut s| s.query_row(values, |row| tables::id(row, 0)).optional());
            found.map_err(|e| failed(&e))
        };
        self.readers.ask(look).await
    }

    async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let (key, now) = (key.clone(), self.clock.now());
        self.readers.ask(move |connection| records::find(connection, &key, now)).await
    }

    async fn records(&self, after: &RecordKey, max: usize) -> Result<Vec<Record>, StoreError> {
        let (after, now) = (after.clone(), self.clock.now());
        self.readers.ask(move |connection| records::page(connection, &after, now, max)).await
    }

    async fn tally(&self, key: &TallyKey) -> Result<BTreeMap<String, i64>, StoreError> {
        let (key, now) = (key.clone(), self.clock.now());
        self.readers.ask(move |connection| records::tally(connection, &key, now)).await
    }

    /// As the contract says. A job whose record cannot be read is reported to the log and held back
    /// until its lease lapses; the others go out.
    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError> {
        let raw = self.ask(|reply| Request::Lease(request, reply)).await?;
        Ok(Leased { jobs: raw.jobs.into_iter().filter_map(read_job).collect(), next_due: raw.next_due })
    }

    async fn extend(&self, leases: &[Lease], hold: Duration) -> Result<Vec<Lease>, StoreError> {
        self.ask(|reply| Request::Extend(leases.to_vec(), hold, reply)).await
    }

    async fn disown(&self, owner: &InstanceId) -> Result<u64, StoreError> {
        self.ask(|reply| Request::Disown(owner.clone(), reply)).await
    }

    async fn hold_back(&self, queue: &Queue, until: Timestamp) -> Result<(), StoreError> {
        self.ask(|reply| Request::HoldBack(queue.clone(), until, reply)).await
    }

    async fn wait(&self, queue: &Queue, at_most: Duration) {
        self.signals.wait(queue, at_most).await;
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, StoreError> {
        self.ask(Request::Queues).await
    }

    async fn dead(
        &self,
        queue: &Queue,
        after: Option<JobId>,
        max: usize,
    ) -> Result<Vec<DeadJob>, StoreError> {
        let (queue, now) = (queue.clone(), self.clock.now());
        self.readers.ask(move |connection| read_dead(connection, &queue, after, now, max)).await
    }

    async fn queued(
        &self,
        queue: &Queue,
        after: Option<Place>,
        max: usize,
    ) -> Result<Vec<QueuedJob>, StoreError> {
        let name = queue.clone();
        let found = self.readers.ask(move |connection| queued::page(connection, &name, after, max)).await?;
        self.with_holders(queue, found).await
    }

    async fn queued_job(&self, queue: &Queue, id: JobId) -> Result<Option<QueuedJob>, StoreError> {
        let name = queue.clone();
        let found = self.readers.ask(move |connection| queued::one(connection, &name, id)).await?;
        Ok(self.with_holders(queue, found.into_iter().collect()).await?.pop())
    }

    async fn sweep(&self, max: usize) -> Result<Swept, StoreError> {
        self.ask(|reply| Request::Sweep(max, reply)).await
    }

    fn rounds(&self) -> Option<RoundsMeasured> {
        Some(self.stats.rounds())
    }
}

fn read_job(raw: RawJob) -> Option<LeasedJob> {
    match decode_job(raw.record) {
        Ok(job) => Some(LeasedJob { lease: raw.lease, tries: raw.tries, job }),
        Err(error) => {
            tracing::error!(%error, job = %raw.lease.job, queue = %raw.lease.queue, "a job cannot be read");
            None
        }
    }
}

fn read_dead(
    connection: &Connection,
    queue: &Queue,
    after: Option<JobId>,
    now: Timestamp,
    max: usize,
) -> Result<Vec<DeadJob>, StoreError> {
    // Ids have 16 octets; the empty one is before them all.
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let values = params![queue.group.as_str(), queue.kind.name(), after, now.as_millis(), count(max)];
    let mut statement = connection.prepare_cached(DEAD).map_err(|e| failed(&e))?;
    let rows = statement.query_map(values, |row| {
        let about = (tables::id(row, 0)?, row.get(1)?, row.get(2)?, tables::time(row, 3)?);
        Ok((about, row.get::<_, Vec<u8>>(4)?))
    });
    let dead = rows.map_err(|e| failed(&e))?.map(|row| {
        let ((id, tries, reason, died), record) = row.map_err(|e| failed(&e))?;
        Ok(DeadJob { id, queue: queue.clone(), tries, reason, died, job: decode_job(record)? })
    });
    dead.collect()
}

/// The same trouble with the file's name, and what can be done.
fn at(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(text) => StoreError::Unusable(format!(
            "the store {} is damaged ({text}); it was left as it is: restore a backup, or move it away to begin anew",
            path.display()
        )),
        StoreError::Unavailable(text) => {
            StoreError::Unusable(format!("the store {} cannot be opened: {text}", path.display()))
        }
        other => other,
    }
}

fn open_writer(path: &PathBuf, options: &EmbeddedOptions) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    prepare(&connection, options.cache_bytes)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", count(options.checkpoint_pages))?;
    // After a burst the log gives its room back to the file system.
    connection.pragma_update(None, "journal_size_limit", LOG_KEPT)?;
    Ok(connection)
}

fn open_reader(path: &PathBuf, options: &EmbeddedOptions) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    prepare(&connection, options.cache_bytes / 4)?;
    Ok(connection)
}

fn prepare(connection: &Connection, cache_bytes: usize) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(Duration::from_secs(5))?;
    // Plans that do not depend on bound values: otherwise SQLite compiles a statement anew whenever a
    // range has another bound, which costs more than all the rest of a lease.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A negative number is a size in KiB.
    connection.pragma_update(None, "cache_size", -count(cache_bytes / 1024))
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

const NAME: &str = "mmsgw.db";

/// More than there are statements in this crate.
const STATEMENTS: usize = 64;

/// Octets of log that are kept for the next burst.
const LOG_KEPT: i64 = 64 << 20;

const DEAD: &str = "SELECT id, tries, reason, died, record FROM dead
    WHERE queue = (SELECT number FROM queue WHERE grp = ?1 AND kind = ?2) AND id > ?3 AND expires > ?4
    ORDER BY id LIMIT ?5";

#[cfg(test)]
mod tests;
