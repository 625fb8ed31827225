//! Jobs in a worker's hands.

use std::time::Duration;

use mmsgw_domain::{InstanceId, Job, JobId, Queue, Timestamp};

/// Jobs of a queue leave it lane by lane; within a lane the one due first leaves first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Lane {
    /// Before all others.
    Express,
    /// As ever.
    #[default]
    Normal,
    /// When nothing else is due.
    Slow,
}

impl Lane {
    /// All lanes in order.
    pub const ALL: [Self; 3] = [Self::Express, Self::Normal, Self::Slow];

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Express => "express",
            Self::Normal => "normal",
            Self::Slow => "slow",
        }
    }

    /// The lane's place in the order.
    pub fn index(self) -> usize {
        match self {
            Self::Express => 0,
            Self::Normal => 1,
            Self::Slow => 2,
        }
    }
}

/// A request for jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// From which queue.
    pub queue: Queue,
    /// How many at most.
    pub max: usize,
    /// Who asks.
    pub owner: InstanceId,
    /// How long the leases last unless extended.
    pub hold: Duration,
}

/// The answer to a [`LeaseRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct Leased {
    /// The jobs, first due first.
    pub jobs: Vec<LeasedJob>,
    /// When the next job of the queue becomes due or a lease of it lapses; `None` where there is
    /// none. In the past where more jobs were due than asked for.
    pub next_due: Option<Timestamp>,
}

/// A job in a worker's hands.
#[derive(Debug, Clone, PartialEq)]
pub struct LeasedJob {
    /// With which it is settled.
    pub lease: Lease,
    /// Which try this is, from 1. A lapsed lease does not count.
    pub tries: u32,
    /// What is to be done.
    pub job: Job,
}

/// The right to settle one job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Its queue.
    pub queue: Queue,
    /// Differs for each lease of the same job, so that a lapsed one settles nothing.
    pub token: u64,
}

/// A job that was given up.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadJob {
    /// Its id.
    pub id: JobId,
    /// Where it waited.
    pub queue: Queue,
    /// How often it was tried.
    pub tries: u32,
    /// Why it was given up.
    pub reason: String,
    /// When.
    pub died: Timestamp,
    /// What was to be done.
    pub job: Job,
}
