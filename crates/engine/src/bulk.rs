//! Bulk orders: one template to many, line by line, in chunks that are durable one by one.
//!
//! The record of an order says which line comes next. It is written in the same batch as the messages of the lines
//! before, so that a stream that broke off anywhere can be sent again: what is done is skipped, nothing is done twice.
//! The digest beside it tells whether it is the same stream. How many messages are in which state is a tally that
//! moves in the same batches as the messages.

mod list;
mod orders;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{
    Address, BatchId, BulkState, BulkStatus, Digest, GroupName, Message, MessageId, RevisionId, State,
    Template, TemplateId, Timestamp,
};
use mmsgw_store::{Batch, Lane, Record, StoreError, Write};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

pub use self::list::BulkSearch;
use self::orders::{line_key, tally_key};
use crate::accept::{begin, transmit};
use crate::draft::Submission;
use crate::engine::Engine;
use crate::group::Group;
use crate::refusal::Refusal;
use crate::spans::MessageTrace;

/// A bulk order, but for its lines.
#[derive(Debug, Clone)]
pub struct BulkDraft {
    /// The template, whose latest revision all lines are made from.
    pub template: TemplateId,
    /// The group to carry them.
    pub group: Option<GroupName>,
}

/// A line.
#[derive(Debug)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// The message to be sent, or why there is none.
    pub submission: Result<Submission, LineFault>,
}

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineFault {
    /// A stable code.
    pub code: String,
    /// Where in the line, as a JSON pointer.
    pub pointer: String,
    /// A sentence for people.
    pub detail: String,
}

/// A refused line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLine {
    /// Its number.
    pub number: u64,
    /// Why.
    pub fault: LineFault,
}

/// What the record of an order says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    template: TemplateId,
    revision: RevisionId,
    origin: Address,
    created: Timestamp,
    pub(crate) state: BulkState,
    next_line: u64,
    accepted: u64,
    refused: u64,
    /// Of all lines before the next one; none of no line.
    digest: Option<Digest>,
}

impl Order {
    pub(crate) fn of(record: &Record) -> Result<Self, StoreError> {
        serde_json::from_slice(&record.value)
            .map_err(|error| StoreError::Corrupt(format!("the record of a batch cannot be read: {error}")))
    }

    pub(crate) fn encoded(&self) -> Bytes {
        serde_json::to_vec(self).expect("an order has text keys and plain values only").into()
    }
}

/// An order whose lines are being taken.
pub struct Bulk {
    engine: Engine,
    group: Arc<Group>,
    template: Arc<Template>,
    id: BatchId,
    record: Record,
    order: Order,
    resumed: bool,
    /// The commit of the chunk before, which goes on while the next one is read.
    pending: Option<JoinHandle<Result<(), StoreError>>>,
    running: Arc<Running>,
}

/// Orders whose lines this process takes at the moment, and those known to be withdrawn or not.
#[derive(Default)]
pub(crate) struct Bulks {
    running: Mutex<HashSet<BatchId>>,
    looked: Mutex<HashMap<BatchId, (bool, Timestamp)>>,
}

struct Running {
    engine: Engine,
    id: BatchId,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.bulks.running.lock().remove(&self.id);
    }
}

/// Lines that were looked into and are to be committed.
struct Prepared {
    writes: Vec<Write>,
    accepted: u64,
    refused: u64,
    /// Those of the messages that traces are collected of.
    traced: Vec<(MessageTrace, Timestamp)>,
}

impl Bulk {
    /// The order's id.
    pub fn id(&self) -> BatchId {
        self.id
    }

    /// Whether the request began before.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether all lines came already.
    pub fn is_complete(&self) -> bool {
        self.order.state == BulkState::Complete
    }

    /// The group that carries it.
    pub fn group(&self) -> &GroupName {
        &self.group.settings.name
    }

    /// The revision that all lines are made from.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The number of the first line that was not done yet.
    pub fn next_line(&self) -> u64 {
        self.order.next_line
    }

    /// Whether these lines are those that were done before; asked when the next one comes.
    ///
    /// # Errors
    /// [`Refusal::KeyReused`] where they are not, or where all lines came already.
    pub fn check_skipped(&self, digest: &Digest, more: bool) -> Result<(), Refusal> {
        let same = self.order.digest.is_none_or(|known| known == *digest);
        if same && !(more && self.order.state == BulkState::Complete) {
            Ok(())
        } else {
            Err(Refusal::KeyReused)
        }
    }

    /// Takes lines: those from [`Bulk::next_line`] to before `end`. They are durable when the next chunk or the end was
    /// taken. `digest` is that of all lines before `end`; `explain` tells why the engine refuses a line.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] and [`Refusal::Store`], after which the order can be gone on with;
    /// [`Refusal::BulkCancelled`]. Nothing of this chunk is done then.
    pub async fn take(
        &mut self,
        lines: Vec<Line>,
        end: u64,
        digest: Digest,
        explain: &(dyn Fn(Refusal) -> LineFault + Sync),
    ) -> Result<(), Refusal> {
        if self.group.waiting.load(Ordering::Relaxed) >= self.engine.settings.max_waiting {
            return Err(Refusal::Overloaded { retry_after: Duration::from_secs(5) });
        }
        let Prepared { mut writes, accepted, refused, traced } = self.prepare(lines, explain)?;
        self.check_fit(&writes).await?;
        self.settle().await?;
        self.order.next_line = end;
        self.order.accepted += accepted;
        self.order.refused += refused;
        self.order.digest = Some(digest);
        writes.push(self.next_record());
        let (engine, running) = (self.engine.clone(), Arc::clone(&self.running));
        let (group, id) = (Arc::clone(&self.group), self.id);
        self.pending = Some(tokio::spawn(async move {
            let done = engine.commit(writes.into_iter().collect()).await;
            if done.is_ok() {
                group.counts.accepted.fetch_add(accepted, Ordering::Relaxed);
                group.measures.lines(accepted, refused);
                tracing::info!(
                    batch.id = %id, gateway.group = %group.settings.name, state = %State::Scheduled, accepted,
                    refused, before_line = end, "lines of a batch taken"
                );
                traced.into_iter().for_each(|(trace, created)| engine.trace_line(trace, created));
            }
            drop(running);
            done
        }));
        Ok(())
    }

    /// Makes the messages of a chunk. What is refused is refused by itself.
    fn prepare(
        &self,
        lines: Vec<Line>,
        explain: &(dyn Fn(Refusal) -> LineFault + Sync),
    ) -> Result<Prepared, Refusal> {
        let mut prepared = Prepared {
            writes: Vec::with_capacity(lines.len() * 2 + 4),
            accepted: 0,
            refused: 0,
            traced: Vec::new(),
        };
        let mut until = self.record.until;
        for Line { number, submission } in lines {
            let made = submission.and_then(|submission| self.make(submission).map_err(explain));
            match made {
                Ok(message) => {
                    prepared.accepted += 1;
                    let trace = MessageTrace::of(&message);
                    if self.engine.is_traced(trace) {
                        prepared.traced.push((trace, message.created));
                    }
                    until = until.max(self.engine.keep_until(message.deadline));
                    let times = (message.created, begin(&self.template, &message));
                    prepared.writes.push(transmit(&self.group, &message, times, Lane::Slow));
                    prepared.writes.push(Write::NewMessage(message));
                }
                Err(fault) => {
                    prepared.writes.extend(self.refuse(
                        number,
                        self.order.refused + prepared.refused,
                        &fault,
                    ));
                    prepared.refused += 1;
                }
            }
        }
        if prepared.accepted > 0 {
            let mut claims = Batch::new().with(Write::KeepRevision { id: self.template.revision, until });
            self.engine.claim_blobs(&self.template, until, &mut claims);
            prepared.writes.extend(claims.into_writes());
            let count = i64::try_from(prepared.accepted).unwrap_or(i64::MAX);
            let add = BTreeMap::from([(State::Scheduled.name().to_owned(), count)]);
            prepared.writes.push(Write::Tally { key: tally_key(self.group(), self.id), add, until });
        }
        Ok(prepared)
    }

    /// Makes sure of one message that the carrier takes what the template holds, before the first one is queued.
    async fn check_fit(&self, writes: &[Write]) -> Result<(), Refusal> {
        let first = writes.iter().find_map(|write| match write {
            Write::NewMessage(message) => Some(message),
            _ => None,
        });
        let Some(message) = first.filter(|_| self.order.accepted == 0) else { return Ok(()) };
        let unfit = self.engine.check_fit(&self.template, message).await?;
        unfit.map_or(Ok(()), |unfit| Err(Refusal::Unfit { part: None, unfit }))
    }

    fn make(&self, submission: Submission) -> Result<Message, Refusal> {
        let id = MessageId::generate(self.engine.now());
        let (mut message, _) = self.engine.make_message(&self.template, &self.group, submission, id)?;
        message.batch = Some(self.id);
        Ok(message)
    }

    /// The record of a refused line, unless enough are kept.
    fn refuse(&self, number: u64, before: u64, fault: &LineFault) -> Option<Write> {
        if before >= self.engine.settings.refused_lines {
            return None;
        }
        let key = line_key(self.group(), self.id, number);
        let value = serde_json::to_vec(fault).ok()?.into();
        Some(Write::Record(Record { key, version: 1, value, until: self.record.until }))
    }

    fn next_record(&mut self) -> Write {
        self.record.version += 1;
        self.record.value = self.order.encoded();
        self.record.until = self.record.until.max(self.engine.bulk_end(&self.template, &self.group));
        Write::Record(self.record.clone())
    }

    /// Waits until the chunk taken last is durable, or why it is not.
    ///
    /// # Errors
    /// As [`Bulk::take`].
    pub async fn settle(&mut self) -> Result<(), Refusal> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let done =
            pending.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the commit broke off".into())));
        match done {
            Ok(()) => Ok(()),
            Err(StoreError::Conflict(_)) => Err(self.superseded().await),
            Err(error) => Err(error.into()),
        }
    }

    /// Why the record has another version than expected.
    async fn superseded(&self) -> Refusal {
        match self.engine.find_bulk(self.id).await {
            Ok((_, _, order)) if order.state == BulkState::Cancelled => Refusal::BulkCancelled,
            Ok(_) => Refusal::StillRunning { retry_after: Duration::from_secs(1) },
            Err(refusal) => refusal,
        }
    }

    /// All lines came; every one of them is durable after that.
    ///
    /// # Errors
    /// As [`Bulk::take`].
    pub async fn complete(mut self) -> Result<BulkStatus, Refusal> {
        self.settle().await?;
        if self.order.state == BulkState::Receiving {
            self.order.state = BulkState::Complete;
            let write = self.next_record();
            match self.engine.commit(Batch::new().with(write)).await {
                Err(StoreError::Conflict(_)) => return Err(self.superseded().await),
                other => other?,
            }
            tracing::info!(
                batch.id = %self.id, gateway.group = %self.group(), accepted = self.order.accepted,
                refused = self.order.refused, "batch taken"
            );
        }
        self.engine.bulk_status(self.id, self.group(), &self.order).await
    }
}
