//! The writer thread: the only one that changes the database. It takes all requests that wait, does the
//! changes among them in one transaction, and answers when that is on disk. No timer decides how many
//! share a commit: while one is being made durable the next ones gather.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mmsgw_domain::{Clock, InstanceId, JobId, Queue, Timestamp};
use mmsgw_store::{Lease, LeaseRequest, QueueSignals, QueueStatus, StoreError, Swept, precondition};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::commit::{Encoded, Round};
use crate::queue::{Effect, Queues, RawLeased};
use crate::recent::Recent;
use crate::stats::EmbeddedStats;
use crate::tables::failed;

/// Where an answer goes. Who asked may have gone away, which is no trouble.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// In whose hands each of some jobs is.
type Holders = Vec<Option<InstanceId>>;

/// What the writer thread is asked.
pub(crate) enum Request {
    Commit(Encoded, Reply<()>),
    Sweep(usize, Reply<Swept>),
    Lease(LeaseRequest, Reply<RawLeased>),
    Extend(Vec<Lease>, Duration, Reply<Vec<Lease>>),
    Disown(InstanceId, Reply<u64>),
    HoldBack(Queue, Timestamp, Reply<()>),
    Holders(Queue, Vec<JobId>, Reply<Holders>),
    Queues(Reply<Vec<QueueStatus>>),
    Close(Reply<()>),
}

/// The writer thread's belongings.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) queues: Queues,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) signals: Arc<QueueSignals>,
    pub(crate) stats: Arc<EmbeddedStats>,
    pub(crate) recent: Arc<Recent>,
    pub(crate) max_round: usize,
}

/// Requests of one round, by what has to happen when.
#[derive(Default)]
struct Sorted {
    extends: Vec<(Vec<Lease>, Duration, Reply<Vec<Lease>>)>,
    commits: Vec<(Encoded, Reply<()>)>,
    sweeps: Vec<(usize, Reply<Swept>)>,
    leases: Vec<(LeaseRequest, Reply<RawLeased>)>,
    disowns: Vec<(InstanceId, Reply<u64>)>,
    holds: Vec<(Queue, Timestamp, Reply<()>)>,
    holders: Vec<(Queue, Vec<JobId>, Reply<Holders>)>,
    queues: Vec<Reply<Vec<QueueStatus>>>,
    close: Option<Reply<()>>,
}

impl Sorted {
    fn add(&mut self, request: Request) {
        match request {
            Request::Commit(batch, reply) => self.commits.push((batch, reply)),
            Request::Sweep(max, reply) => self.sweeps.push((max, reply)),
            Request::Lease(request, reply) => self.leases.push((request, reply)),
            Request::Extend(leases, hold, reply) => self.extends.push((leases, hold, reply)),
            Request::Disown(owner, reply) => self.disowns.push((owner, reply)),
            Request::HoldBack(queue, until, reply) => self.holds.push((queue, until, reply)),
            Request::Holders(queue, jobs, reply) => self.holders.push((queue, jobs, reply)),
            Request::Queues(reply) => self.queues.push(reply),
            Request::Close(reply) => self.close = Some(reply),
        }
    }
}

/// What a transaction did.
struct Done {
    commits: Vec<Result<(), StoreError>>,
    sweeps: Vec<Swept>,
    effects: Vec<Effect>,
}

impl Writer {
    /// Serves requests until it is told to close or nobody can ask any more.
    pub(crate) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut waiting = Vec::with_capacity(self.max_round);
        while requests.blocking_recv_many(&mut waiting, self.max_round) > 0 {
            let mut round = Sorted::default();
            waiting.drain(..).for_each(|request| round.add(request));
            let close = round.close.take();
            self.serve(round);
            if let Some(reply) = close {
                // What is still in the channel is dropped, and its senders told so.
                drop(requests);
                answer(reply, self.close());
                return;
            }
        }
        if let Err(error) = self.close() {
            tracing::error!(%error, "the store was not closed properly; nothing committed is lost");
        }
    }

    fn serve(&mut self, round: Sorted) {
        // First, so that a long commit lets no lease lapse whose worker asked in time.
        for (leases, hold, reply) in round.extends {
            let mut lost = leases;
            lost.retain(|lease| !self.queues.extend(lease, hold));
            answer(reply, Ok(lost));
        }
        for (owner, reply) in round.disowns {
            let back = self.queues.disown(&owner);
            back.iter().for_each(|(queue, due)| self.signals.ring(queue, *due));
            answer(reply, Ok(u64::try_from(back.len()).unwrap_or(u64::MAX)));
        }
        for (queue, until, reply) in round.holds {
            self.queues.hold_back(&queue, until);
            answer(reply, Ok(()));
        }
        // Before the changes: a worker without work need not wait for the disk as well. What the changes bring it is
        // told of when it is durable.
        self.hand_out(round.leases);
        self.change(round.commits, round.sweeps);
        for (queue, jobs, reply) in round.holders {
            let now = self.clock.now();
            let holders = jobs.iter().map(|id| self.queues.holder(&queue, *id, now).cloned());
            answer(reply, Ok(holders.collect()));
        }
        for reply in round.queues {
            answer(reply, self.queues.status(&self.connection, self.clock.now()));
        }
    }

    /// All changes of a round in one transaction.
    fn change(&mut self, commits: Vec<(Encoded, Reply<()>)>, sweeps: Vec<(usize, Reply<Swept>)>) {
        if commits.is_empty() && sweeps.is_empty() {
            return;
        }
        let batches: Vec<&Encoded> = commits.iter().map(|(batch, _)| batch).collect();
        let limits: Vec<usize> = sweeps.iter().map(|(max, _)| *max).collect();
        let started = Instant::now();
        let result = self.transaction(&batches, &limits);
        self.stats.count(batches.len(), started.elapsed(), result.is_ok());
        match result {
            Ok(done) => {
                for (queue, due) in done.effects.into_iter().filter_map(|effect| self.queues.apply(effect)) {
                    self.signals.ring(&queue, due);
                }
                for ((batch, reply), result) in commits.into_iter().zip(done.commits) {
                    if result.is_ok() {
                        self.recent.take_over(batch);
                    }
                    answer(reply, result);
                }
                sweeps.into_iter().zip(done.sweeps).for_each(|((_, reply), swept)| answer(reply, Ok(swept)));
            }
            Err(error) => {
                tracing::error!(%error, batches = commits.len(), "a commit failed; nothing of it was done");
                commits.into_iter().for_each(|(_, reply)| answer(reply, Err(again(&error))));
                sweeps.into_iter().for_each(|(_, reply)| answer(reply, Err(again(&error))));
            }
        }
    }

    fn transaction(&mut self, batches: &[&Encoded], sweeps: &[usize]) -> Result<Done, StoreError> {
        let now = self.clock.now();
        self.begin("BEGIN IMMEDIATE")?;
        let result = self.fill(batches, sweeps, now).and_then(|done| {
            self.statement("COMMIT")?;
            Ok(done)
        });
        if result.is_err() && !self.connection.is_autocommit() {
            // Where even this fails the next round tries again before it begins.
            let _ = self.statement("ROLLBACK");
        }
        result
    }

    fn fill(&self, batches: &[&Encoded], sweeps: &[usize], now: Timestamp) -> Result<Done, StoreError> {
        let mut round = Round {
            connection: &self.connection,
            queues: &self.queues,
            now,
            effects: Vec::new(),
            settled: HashSet::new(),
        };
        let mut commits = Vec::with_capacity(batches.len());
        for batch in batches {
            match precondition::check(batch.batch.writes(), &mut round) {
                Ok(()) => {
                    round.apply(batch).map_err(|e| failed(&e))?;
                    commits.push(Ok(()));
                }
                Err(refused @ (StoreError::Conflict(_) | StoreError::LeaseLost)) => {
                    commits.push(Err(refused));
                }
                Err(trouble) => return Err(trouble),
            }
        }
        let swept = sweeps.iter().map(|max| round.sweep(*max)).collect::<Result<_, _>>();
        Ok(Done { commits, sweeps: swept.map_err(|e| failed(&e))?, effects: round.effects })
    }

    /// All leases of a round, which read what is durable. One transaction spares each statement the
    /// locks of its own.
    fn hand_out(&mut self, leases: Vec<(LeaseRequest, Reply<RawLeased>)>) {
        if leases.is_empty() {
            return;
        }
        if let Err(error) = self.begin("BEGIN") {
            leases.into_iter().for_each(|(_, reply)| answer(reply, Err(again(&error))));
            return;
        }
        for (request, reply) in leases {
            answer(reply, self.lease(&request));
        }
        if let Err(error) = self.statement("COMMIT") {
            tracing::error!(%error, "a reading transaction did not end");
        }
    }

    fn lease(&mut self, request: &LeaseRequest) -> Result<RawLeased, StoreError> {
        self.signals.leasing(&request.queue);
        let leased = self.queues.lease(&self.connection, request, self.clock.now())?;
        self.signals.leased(&request.queue, leased.next_due);
        Ok(leased)
    }

    /// Begins a transaction, and ends one that could not be ended before.
    fn begin(&self, sql: &str) -> Result<(), StoreError> {
        if !self.connection.is_autocommit() {
            self.statement("ROLLBACK")?;
        }
        self.statement(sql)
    }

    fn statement(&self, sql: &str) -> Result<(), StoreError> {
        let run = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        run.map(|_| ()).map_err(|e| failed(&e))
    }

    /// Moves all of the log into the database file.
    fn close(self) -> Result<(), StoreError> {
        self.connection.flush_prepared_statement_cache();
        let busy: i64 = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|e| failed(&e))?;
        if busy != 0 {
            tracing::debug!("a reader kept the log from being emptied at the end");
        }
        self.connection.close().map_err(|(_, e)| failed(&e))
    }
}

pub(crate) fn answer<T>(reply: Reply<T>, result: Result<T, StoreError>) {
    // Nobody waits for it any more where this fails.
    let _ = reply.send(result);
}

/// The same trouble for each of those who share a commit.
pub(crate) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(text) => StoreError::Corrupt(text.clone()),
        other => StoreError::Unavailable(other.to_string()),
    }
}
