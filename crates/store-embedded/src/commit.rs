//! Batches as SQL: what is asked before one happens, and what it writes. Runs inside a transaction that
//! the writer thread begins and ends; it knows nothing of threads or of other batches.

use std::collections::HashSet;

use mmsgw_domain::{
    Digest, JobId, Message, MessageId, Part, PartId, Queue, RevisionId, Template, TemplateId, Timestamp,
};
use mmsgw_store::precondition::{Facts, StoredVersion};
use mmsgw_store::{Batch, Lane, Lease, NewJob, Pause, RecordKey, Reference, StoreError, Swept, Write};
use rusqlite::{Connection, OptionalExtension, Params, params};

use crate::queue::{Effect, Queues, lane_number};
use crate::records;
use crate::tables::{self, count, encode, failed, unwritable};

/// A batch whose records are written out already, which callers do on their own threads.
pub(crate) struct Encoded {
    pub(crate) batch: Batch,
    /// One for each change; empty for a change without a record.
    records: Vec<Vec<u8>>,
}

impl Encoded {
    pub(crate) fn new(batch: Batch) -> Result<Self, StoreError> {
        let record = |write: &Write| match write {
            Write::Template { template, .. } | Write::Revision(template) => encode(template),
            Write::Part { part, .. } => encode(part),
            Write::NewMessage(message)
            | Write::ChangedMessage(message)
            | Write::MovedMessage { message, .. } => encode(message),
            Write::Enqueue(job) => job.job.to_record().map_err(|e| unwritable(&e)),
            Write::Pause { pause: Some(pause), .. } => encode(pause),
            _ => Ok(Vec::new()),
        };
        let records = batch.writes().iter().map(record).collect::<Result<_, _>>()?;
        Ok(Self { batch, records })
    }

    /// The changes, each with the octets that its record has.
    pub(crate) fn into_parts(self) -> impl Iterator<Item = (Write, usize)> {
        self.batch.into_writes().into_iter().zip(self.records.into_iter().map(|record| record.len()))
    }
}

/// A transaction under way.
pub(crate) struct Round<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) queues: &'a Queues,
    pub(crate) now: Timestamp,
    /// What to tell the queues once it is durable.
    pub(crate) effects: Vec<Effect>,
    /// Jobs settled in this transaction.
    pub(crate) settled: HashSet<JobId>,
}

impl Round<'_> {
    /// Makes the changes of a batch that was checked.
    pub(crate) fn apply(&mut self, encoded: &Encoded) -> rusqlite::Result<()> {
        let writes = encoded.batch.writes().iter().zip(&encoded.records);
        writes.into_iter().try_for_each(|(write, record)| self.write(write, record))
    }

    fn write(&mut self, write: &Write, record: &[u8]) -> rusqlite::Result<()> {
        match write {
            Write::Template { template, .. } => self.template(template, record),
            Write::ForgetTemplate(id) => self.run("DELETE FROM template WHERE id = ?1", [id.as_bytes()]),
            Write::Revision(template) => self.revision(template, record),
            Write::KeepRevision { id, until } => self.run(
                "UPDATE revision SET until = max(until, ?2) WHERE id = ?1",
                params![id.as_bytes(), until.as_millis()],
            ),
            Write::KeepBlob { digest, until } => self.keep_blob(digest, *until),
            Write::Part { part, expires } => self.part(part, *expires, record),
            Write::NewMessage(message) => self.put_message(INSERT_MESSAGE, message, record),
            Write::ChangedMessage(message) => self.put_message(UPDATE_MESSAGE, message, record),
            Write::MovedMessage { message, from, job } => {
                self.put_message(UPDATE_MESSAGE, message, record)?;
                self.remove(from, *job)
            }
            Write::Reference { reference, message, expires }
            | Write::NewReference { reference, message, expires } => {
                self.reference(reference, *message, *expires)
            }
            Write::Enqueue(job) => self.enqueue(job, record),
            Write::Finish(lease) => self.finish(lease),
            Write::Postpone { lease, due } => self.put_back(lease, *due, 1),
            Write::Release { lease, due } => self.put_back(lease, *due, 0),
            Write::Bury { lease, reason, expires } => self.bury(lease, reason, *expires),
            Write::Revive { queue, id } => self.revive(queue, *id),
            Write::Discard { queue, id } => self.discard(queue, *id),
            Write::Hasten { queue, id } => self.hasten(queue, *id),
            Write::Remove { queue, id } => self.remove(queue, *id),
            Write::Pause { queue, pause } => self.pause(queue, pause.as_ref(), record),
            Write::Record(record) => records::put(self.connection, record),
            Write::DropRecord(key) => records::remove(self.connection, key),
            Write::Tally { key, add, until } => records::add(self.connection, key, add, *until, self.now),
        }
    }

    fn run(&self, sql: &str, values: impl Params) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(values).map(|_| ())
    }

    fn template(&self, template: &Template, record: &[u8]) -> rusqlite::Result<()> {
        let (revision, expires) = (template.revision.as_bytes(), template.expires.as_millis());
        self.run(
            "INSERT INTO revision (id, until, record) VALUES (?1, ?2, ?3)",
            params![revision, expires, record],
        )?;
        self.run(
            "INSERT INTO template (id, revision, expires) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, expires = excluded.expires",
            params![template.id.as_bytes(), revision, expires],
        )
    }

    fn revision(&self, template: &Template, record: &[u8]) -> rusqlite::Result<()> {
        let (revision, expires) = (template.revision.as_bytes(), template.expires.as_millis());
        self.run(
            "UPDATE revision SET until = max(until, ?2), record = ?3 WHERE id = ?1",
            params![revision, expires, record],
        )?;
        self.run(
            "UPDATE template SET expires = ?3 WHERE id = ?1 AND revision = ?2",
            params![template.id.as_bytes(), revision, expires],
        )
    }

    fn keep_blob(&self, digest: &Digest, until: Timestamp) -> rusqlite::Result<()> {
        self.run(
            "INSERT INTO blob (digest, until) VALUES (?1, ?2)
             ON CONFLICT (digest) DO UPDATE SET until = excluded.until WHERE excluded.until > until",
            params![digest.as_bytes(), until.as_millis()],
        )
    }

    fn part(&self, part: &Part, expires: Timestamp, record: &[u8]) -> rusqlite::Result<()> {
        self.run(
            "INSERT INTO part (id, expires, record) VALUES (?1, ?2, ?3)",
            params![part.id.as_bytes(), expires.as_millis(), record],
        )
    }

    fn put_message(&self, sql: &str, message: &Message, record: &[u8]) -> rusqlite::Result<()> {
        let expires = message.expires.map(Timestamp::as_millis);
        self.run(sql, params![message.id.as_bytes(), tables::version(message.version), expires, record])
    }

    fn reference(
        &self,
        reference: &Reference,
        message: MessageId,
        expires: Timestamp,
    ) -> rusqlite::Result<()> {
        let (group, kind) = (reference.group.as_str(), reference.kind.name());
        self.run(
            "INSERT OR REPLACE INTO reference (grp, kind, value, message, expires) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![group, kind, reference.value, message.as_bytes(), expires.as_millis()],
        )
    }

    fn enqueue(&mut self, new: &NewJob, record: &[u8]) -> rusqlite::Result<()> {
        let number = self.queue_number(&new.queue)?;
        self.run(
            "INSERT INTO job (id, queue, lane, due, failed, record) VALUES (?1, ?2, ?3, ?4, 0, ?5)",
            params![new.id.as_bytes(), number, lane_number(new.lane), new.due.as_millis(), record],
        )?;
        let (queue, lane, due, id) = (new.queue.clone(), new.lane, new.due, new.id);
        self.effects.push(Effect::Added { queue, number, lane, due, id });
        Ok(())
    }

    fn queue_number(&self, queue: &Queue) -> rusqlite::Result<i64> {
        if let Some(number) = self.queues.number(queue) {
            return Ok(number);
        }
        let names = (queue.group.as_str(), queue.kind.name());
        self.run("INSERT OR IGNORE INTO queue (grp, kind) VALUES (?1, ?2)", names)?;
        let mut statement =
            self.connection.prepare_cached("SELECT number FROM queue WHERE grp = ?1 AND kind = ?2")?;
        statement.query_row(names, |row| row.get(0))
    }

    fn finish(&mut self, lease: &Lease) -> rusqlite::Result<()> {
        let row = self.settle(lease)?;
        self.run("DELETE FROM job WHERE row = ?1", [row])?;
        self.effects.push(Effect::Finished(lease.clone()));
        Ok(())
    }

    fn put_back(&mut self, lease: &Lease, due: Timestamp, failed: i64) -> rusqlite::Result<()> {
        let row = self.settle(lease)?;
        self.run(
            "UPDATE job SET due = ?2, failed = failed + ?3 WHERE row = ?1",
            params![row, due.as_millis(), failed],
        )?;
        self.effects.push(Effect::Returned { lease: lease.clone(), due });
        Ok(())
    }

    fn bury(&mut self, lease: &Lease, reason: &str, expires: Timestamp) -> rusqlite::Result<()> {
        let row = self.settle(lease)?;
        self.run(
            "INSERT INTO dead (id, queue, tries, reason, died, expires, record)
             SELECT id, queue, failed + 1, ?2, ?3, ?4, record FROM job WHERE row = ?1",
            params![row, reason, self.now.as_millis(), expires.as_millis()],
        )?;
        self.run("DELETE FROM job WHERE row = ?1", [row])?;
        self.effects.push(Effect::Buried(lease.clone()));
        Ok(())
    }

    fn revive(&mut self, queue: &Queue, id: JobId) -> rusqlite::Result<()> {
        let (number, lane, due) = (self.queue_number(queue)?, Lane::Normal, self.now);
        self.run(
            "INSERT INTO job (id, queue, lane, due, failed, record)
             SELECT id, queue, ?2, ?3, 0, record FROM dead WHERE id = ?1",
            params![id.as_bytes(), lane_number(lane), due.as_millis()],
        )?;
        self.discard(queue, id)?;
        self.effects.push(Effect::Added { queue: queue.clone(), number, lane, due, id });
        Ok(())
    }

    fn discard(&mut self, queue: &Queue, id: JobId) -> rusqlite::Result<()> {
        self.run("DELETE FROM dead WHERE id = ?1", [id.as_bytes()])?;
        let number = self.queue_number(queue)?;
        self.effects.push(Effect::DeadForgotten(number));
        Ok(())
    }

    fn hasten(&mut self, queue: &Queue, id: JobId) -> rusqlite::Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("UPDATE job SET due = min(due, ?2) WHERE id = ?1 RETURNING lane, due")?;
        let (lane, due) = statement.query_row(params![id.as_bytes(), self.now.as_millis()], |row| {
            Ok((tables::lane(row, 0)?, tables::time(row, 1)?))
        })?;
        self.effects.push(Effect::Hastened { queue: queue.clone(), lane, due, id });
        Ok(())
    }

    fn remove(&mut self, queue: &Queue, id: JobId) -> rusqlite::Result<()> {
        self.run("DELETE FROM job WHERE id = ?1", [id.as_bytes()])?;
        self.effects.push(Effect::Removed { queue: queue.clone(), id });
        Ok(())
    }

    fn pause(&mut self, queue: &Queue, pause: Option<&Pause>, record: &[u8]) -> rusqlite::Result<()> {
        let (group, kind) = (queue.group.as_str(), queue.kind.name());
        let number = self.queue_number(queue)?;
        if pause.is_some() {
            self.run(
                "INSERT OR REPLACE INTO pause (grp, kind, record) VALUES (?1, ?2, ?3)",
                params![group, kind, record],
            )?;
        } else {
            self.run("DELETE FROM pause WHERE grp = ?1 AND kind = ?2", params![group, kind])?;
        }
        let (queue, due) = (queue.clone(), self.now);
        self.effects.push(Effect::Paused { queue, number, pause: pause.cloned(), due });
        Ok(())
    }

    /// The row of a job whose lease was checked.
    fn settle(&mut self, lease: &Lease) -> rusqlite::Result<i64> {
        self.settled.insert(lease.job);
        let held = self.queues.held(lease);
        held.map(|held| held.row).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// Removes what is over.
    pub(crate) fn sweep(&mut self, max: usize) -> rusqlite::Result<Swept> {
        let limits = (self.now.as_millis(), count(max));
        let mut records = 0;
        for sql in SWEEPS {
            records += self.connection.prepare_cached(sql)?.execute(limits)?;
        }
        records += self.connection.prepare_cached(SWEEP_TALLIES)?.execute(limits)?;
        let blobs = self.removed(SWEEP_BLOBS, limits, |row| tables::digest(row, 0))?;
        let dead = self.removed(SWEEP_DEAD, limits, |row| row.get(0))?;
        records += blobs.len() + dead.len();
        self.effects.extend(dead.into_iter().map(Effect::DeadForgotten));
        Ok(Swept { records: u64::try_from(records).unwrap_or(u64::MAX), blobs })
    }

    fn removed<T>(
        &self,
        sql: &str,
        limits: (i64, i64),
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.connection.prepare_cached(sql)?.query_map(limits, read)?.collect()
    }

    fn one<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let found =
            self.connection.prepare_cached(sql).and_then(|mut s| s.query_row(values, read).optional());
        found.map_err(|e| failed(&e))
    }
}

impl Facts for Round<'_> {
    fn message(&mut self, id: MessageId) -> Result<Option<StoredVersion>, StoreError> {
        let now = self.now;
        self.one("SELECT version, expires FROM message WHERE id = ?1", [id.as_bytes()], |row| {
            let version: i64 = row.get(0)?;
            let expires: Option<i64> = row.get(1)?;
            let live = expires.is_none_or(|expires| expires > now.as_millis());
            Ok(StoredVersion { version: version.cast_unsigned(), live })
        })
    }

    fn latest(&mut self, id: TemplateId) -> Result<Option<RevisionId>, StoreError> {
        let values = params![id.as_bytes(), self.now.as_millis()];
        self.one("SELECT revision FROM template WHERE id = ?1 AND expires > ?2", values, |row| {
            tables::id(row, 0)
        })
    }

    fn has_revision(&mut self, id: RevisionId) -> Result<bool, StoreError> {
        let found = self.one("SELECT 1 FROM revision WHERE id = ?1", [id.as_bytes()], |_| Ok(()))?;
        Ok(found.is_some())
    }

    fn has_part(&mut self, id: PartId) -> Result<bool, StoreError> {
        let found = self.one("SELECT 1 FROM part WHERE id = ?1", [id.as_bytes()], |_| Ok(()))?;
        Ok(found.is_some())
    }

    fn has_job(&mut self, id: JobId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM job WHERE id = ?1 UNION ALL SELECT 1 FROM dead WHERE id = ?1";
        Ok(self.one(sql, [id.as_bytes()], |_| Ok(()))?.is_some())
    }

    fn has_reference(&mut self, reference: &Reference) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM reference WHERE grp = ?1 AND kind = ?2 AND value = ?3 AND expires > ?4";
        let (group, kind) = (reference.group.as_str(), reference.kind.name());
        let values = params![group, kind, reference.value, self.now.as_millis()];
        Ok(self.one(sql, values, |_| Ok(()))?.is_some())
    }

    fn holds(&mut self, lease: &Lease) -> Result<bool, StoreError> {
        Ok(!self.settled.contains(&lease.job) && self.queues.held(lease).is_some())
    }

    fn waits(&mut self, queue: &Queue, id: JobId) -> Result<bool, StoreError> {
        if self.settled.contains(&id) || self.queues.holder(queue, id, self.now).is_some() {
            return Ok(false);
        }
        let sql = "SELECT 1 FROM job WHERE id = ?1
            AND queue = (SELECT number FROM queue WHERE grp = ?2 AND kind = ?3)";
        let values = params![id.as_bytes(), queue.group.as_str(), queue.kind.name()];
        Ok(self.one(sql, values, |_| Ok(()))?.is_some())
    }

    fn is_dead(&mut self, queue: &Queue, id: JobId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM dead WHERE id = ?1
            AND queue = (SELECT number FROM queue WHERE grp = ?2 AND kind = ?3)";
        let values = params![id.as_bytes(), queue.group.as_str(), queue.kind.name()];
        Ok(self.one(sql, values, |_| Ok(()))?.is_some())
    }

    fn record(&mut self, key: &RecordKey) -> Result<Option<u64>, StoreError> {
        Ok(records::find(self.connection, key, self.now)?.map(|record| record.version))
    }
}

const INSERT_MESSAGE: &str = "INSERT INTO message (id, version, expires, record) VALUES (?1, ?2, ?3, ?4)";

const UPDATE_MESSAGE: &str = "UPDATE message SET version = ?2, expires = ?3, record = ?4 WHERE id = ?1";

/// Removals that need no more than a count; dead jobs and blobs are named as well.
pub(crate) const SWEEPS: [&str; 6] = [
    "DELETE FROM template WHERE id IN (SELECT id FROM template WHERE expires <= ?1 LIMIT ?2)",
    "DELETE FROM revision WHERE row IN (SELECT row FROM revision WHERE until <= ?1 LIMIT ?2)",
    "DELETE FROM part WHERE row IN (SELECT row FROM part WHERE expires <= ?1 LIMIT ?2)",
    "DELETE FROM message WHERE row IN (SELECT row FROM message WHERE expires <= ?1 LIMIT ?2)",
    "DELETE FROM reference WHERE (grp, kind, value) IN
        (SELECT grp, kind, value FROM reference WHERE expires <= ?1 LIMIT ?2)",
    "DELETE FROM record WHERE row IN (SELECT row FROM record WHERE until <= ?1 LIMIT ?2)",
];

/// Its counters go with it.
pub(crate) const SWEEP_TALLIES: &str =
    "DELETE FROM tally WHERE number IN (SELECT number FROM tally WHERE until <= ?1 LIMIT ?2)";

pub(crate) const SWEEP_BLOBS: &str = "DELETE FROM blob WHERE digest IN
    (SELECT digest FROM blob WHERE until <= ?1 LIMIT ?2) RETURNING digest";

pub(crate) const SWEEP_DEAD: &str = "DELETE FROM dead WHERE row IN
    (SELECT row FROM dead WHERE expires <= ?1 LIMIT ?2) RETURNING queue";
