//! Numbers for metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mmsgw_store::{Rounds, RoundsMeasured};

/// What the writer thread did since the store was opened.
#[derive(Debug, Default)]
pub struct EmbeddedStats {
    commits: AtomicU64,
    failed: AtomicU64,
    batches: AtomicU64,
    largest: AtomicU64,
    nanos: AtomicU64,
    last_failed: AtomicBool,
    rounds: Rounds,
}

impl EmbeddedStats {
    /// Transactions that were made durable.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Transactions that failed as a whole.
    pub fn failed_commits(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Batches in all transactions; divided by [`EmbeddedStats::commits`] how many share one.
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// The most batches that ever shared a transaction.
    pub fn largest_commit(&self) -> u64 {
        self.largest.load(Ordering::Relaxed)
    }

    /// Time spent in transactions, from their first change until they were durable.
    pub fn commit_time(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// How transactions were shared, and how long they took.
    pub fn rounds(&self) -> RoundsMeasured {
        self.rounds.read()
    }

    /// True where the latest transaction failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.last_failed.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, batches: usize, took: Duration, done: bool) {
        self.rounds.count(batches, took);
        let batches = u64::try_from(batches).unwrap_or(u64::MAX);
        if done { &self.commits } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
        self.batches.fetch_add(batches, Ordering::Relaxed);
        self.largest.fetch_max(batches, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.last_failed.store(!done, Ordering::Relaxed);
    }
}
