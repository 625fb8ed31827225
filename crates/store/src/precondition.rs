//! What must hold before a batch may happen, in one place for the backends that check before they
//! write. It changes nothing and asks a [`Facts`] what is stored.
//!
//! Changes of one batch build on each other: a message that is new in a batch can be changed later
//! in it, an id can be taken once, a lease can be settled once.

use std::collections::{HashMap, HashSet};

use mmsgw_domain::{JobId, MessageId, PartId, Queue, RevisionId, TemplateId};

use crate::{Lease, Record, RecordKey, Reference, StoreError, Write};

/// What a backend knows before the batch.
pub trait Facts {
    /// The message's record; `None` where there is none, also none that has expired and was not
    /// swept yet.
    fn message(&mut self, id: MessageId) -> Result<Option<StoredVersion>, StoreError>;

    /// The latest revision of a template, unless it was forgotten or has expired.
    fn latest(&mut self, id: TemplateId) -> Result<Option<RevisionId>, StoreError>;

    /// Whether a revision of that id is stored, expired or not.
    fn has_revision(&mut self, id: RevisionId) -> Result<bool, StoreError>;

    /// Whether a part of that id is stored, expired or not.
    fn has_part(&mut self, id: PartId) -> Result<bool, StoreError>;

    /// Whether a job of that id waits, is leased or is dead.
    fn has_job(&mut self, id: JobId) -> Result<bool, StoreError>;

    /// Whether a reference is there, unless it has expired.
    fn has_reference(&mut self, reference: &Reference) -> Result<bool, StoreError>;

    /// Whether the lease has not lapsed and is not settled.
    fn holds(&mut self, lease: &Lease) -> Result<bool, StoreError>;

    /// Whether a job of that id waits in that queue, in nobody's hands.
    fn waits(&mut self, queue: &Queue, id: JobId) -> Result<bool, StoreError>;

    /// Whether a dead job of that id is in that queue, its time over or not.
    fn is_dead(&mut self, queue: &Queue, id: JobId) -> Result<bool, StoreError>;

    /// The version of a record, unless its time is over.
    fn record(&mut self, key: &RecordKey) -> Result<Option<u64>, StoreError>;
}

/// What is known of a stored message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredVersion {
    /// Its version.
    pub version: u64,
    /// False where its time is over and it only waits for the sweep.
    pub live: bool,
}

/// Checks all changes of a batch, in order.
///
/// # Errors
/// [`StoreError::Conflict`] or [`StoreError::LeaseLost`] for the first change that cannot happen, and
/// whatever `facts` fails with.
pub fn check(writes: &[Write], facts: &mut dyn Facts) -> Result<(), StoreError> {
    let mut batch = Seen::default();
    writes.iter().try_for_each(|write| batch.check(write, facts))
}

/// What the changes before the present one did.
#[derive(Default)]
struct Seen {
    versions: HashMap<MessageId, u64>,
    latest: HashMap<TemplateId, Option<RevisionId>>,
    taken: HashSet<[u8; 16]>,
    settled: HashSet<JobId>,
    references: HashSet<Reference>,
    raised: HashSet<JobId>,
    records: HashMap<RecordKey, u64>,
}

impl Seen {
    fn check(&mut self, write: &Write, facts: &mut dyn Facts) -> Result<(), StoreError> {
        match write {
            Write::Template { template, replaces } => {
                self.revise(template.id, *replaces, template.revision, facts)
            }
            Write::ForgetTemplate(id) => {
                self.latest.insert(*id, None);
                Ok(())
            }
            Write::Part { part, .. } => self.take(part.id.as_bytes(), "part", facts.has_part(part.id)?),
            Write::Enqueue(job) => self.take(job.id.as_bytes(), "job", facts.has_job(job.id)?),
            Write::NewMessage(message) => {
                let taken = facts.message(message.id)?.is_some();
                self.take(message.id.as_bytes(), "message", taken)?;
                self.versions.insert(message.id, message.version);
                Ok(())
            }
            Write::NewReference { reference, .. } => {
                if facts.has_reference(reference)? || !self.references.insert(reference.clone()) {
                    return Err(StoreError::Conflict(format!(
                        "the reference `{}` is there",
                        reference.value
                    )));
                }
                Ok(())
            }
            Write::ChangedMessage(message) => self.change(message.id, message.version, facts),
            Write::MovedMessage { message, from, job } => {
                self.change(message.id, message.version, facts)?;
                self.pick(from, *job, facts)
            }
            Write::Finish(lease)
            | Write::Postpone { lease, .. }
            | Write::Release { lease, .. }
            | Write::Bury { lease, .. } => {
                let first = self.settled.insert(lease.job);
                if first && facts.holds(lease)? { Ok(()) } else { Err(StoreError::LeaseLost) }
            }
            Write::Revive { queue, id } | Write::Discard { queue, id } => self.raise(queue, *id, facts),
            Write::Hasten { queue, id } | Write::Remove { queue, id } => self.pick(queue, *id, facts),
            Write::Record(record) => self.put(record, facts),
            Write::DropRecord(key) => {
                self.records.insert(key.clone(), 0);
                Ok(())
            }
            Write::Revision(_)
            | Write::KeepRevision { .. }
            | Write::KeepBlob { .. }
            | Write::Pause { .. }
            | Write::Tally { .. } => Ok(()),
            Write::Reference { reference, .. } => {
                self.references.insert(reference.clone());
                Ok(())
            }
        }
    }

    fn take(&mut self, id: &[u8; 16], what: &str, stored: bool) -> Result<(), StoreError> {
        if stored || !self.taken.insert(*id) {
            return Err(StoreError::Conflict(format!("the id of a new {what} is taken")));
        }
        Ok(())
    }

    fn revise(
        &mut self,
        id: TemplateId,
        replaces: Option<RevisionId>,
        revision: RevisionId,
        facts: &mut dyn Facts,
    ) -> Result<(), StoreError> {
        let present = match self.latest.get(&id) {
            Some(latest) => *latest,
            None => facts.latest(id)?,
        };
        if present != replaces {
            return Err(StoreError::Conflict(format!("template {id} has another latest revision")));
        }
        self.take(revision.as_bytes(), "revision", facts.has_revision(revision)?)?;
        self.latest.insert(id, Some(revision));
        Ok(())
    }

    /// A dead job leaves the dead once, and not in the batch in which it died.
    fn raise(&mut self, queue: &Queue, id: JobId, facts: &mut dyn Facts) -> Result<(), StoreError> {
        if self.raised.insert(id) && facts.is_dead(queue, id)? {
            return Ok(());
        }
        Err(StoreError::Conflict(format!("no dead job {id} is in queue {queue}")))
    }

    /// A waiting job is picked once, and not in the batch in which it began to wait.
    fn pick(&mut self, queue: &Queue, id: JobId, facts: &mut dyn Facts) -> Result<(), StoreError> {
        if !self.settled.contains(&id) && self.raised.insert(id) && facts.waits(queue, id)? {
            return Ok(());
        }
        Err(StoreError::Conflict(format!("no job {id} waits in queue {queue}")))
    }

    fn put(&mut self, record: &Record, facts: &mut dyn Facts) -> Result<(), StoreError> {
        let present = match self.records.get(&record.key) {
            Some(version) => *version,
            None => facts.record(&record.key)?.unwrap_or(0),
        };
        if present.checked_add(1) != Some(record.version) {
            return Err(StoreError::Conflict(format!(
                "the record `{}` has version {present}",
                record.key.id
            )));
        }
        self.records.insert(record.key.clone(), record.version);
        Ok(())
    }

    fn change(&mut self, id: MessageId, version: u64, facts: &mut dyn Facts) -> Result<(), StoreError> {
        let present = match self.versions.get(&id) {
            Some(version) => Some(*version),
            None => facts.message(id)?.filter(|stored| stored.live).map(|stored| stored.version),
        };
        match present {
            None => Err(StoreError::Conflict(format!("message {id} is not there"))),
            Some(present) if present.checked_add(1) != Some(version) => {
                Err(StoreError::Conflict(format!("message {id} has version {present}")))
            }
            Some(_) => {
                self.versions.insert(id, version);
                Ok(())
            }
        }
    }
}
