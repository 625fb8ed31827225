//! What is counted and timed, for metrics. Numbers only: no ids, no telephone numbers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mmsgw_domain::{Code, State};
use parking_lot::Mutex;

/// How some values are distributed.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Upper bounds of the buckets, ascending; values beyond the last count in one more bucket.
    pub bounds: &'static [f64],
    /// Values in each bucket, one more than there are bounds.
    pub counts: Vec<u64>,
    /// Sum of all values.
    pub sum: f64,
}

/// Collects a [`Distribution`].
pub(crate) struct Histogram {
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    /// In millionths, so that it can be added to without a lock.
    sum: AtomicU64,
}

impl Histogram {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    pub(crate) fn time(&self, span: Duration) {
        self.note(span.as_secs_f64(), u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn count(&self, things: usize) {
        let things = u32::try_from(things).unwrap_or(u32::MAX);
        self.note(f64::from(things), u64::from(things) * MILLION);
    }

    fn note(&self, value: f64, millionths: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(millionths, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Distribution {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a sum for people and their plots")]
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1e6;
        Distribution { bounds: self.bounds, counts, sum }
    }
}

/// A stage that a message reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The carrier took it.
    Sent,
    /// The carrier accepted it for further handling.
    Acknowledged,
    /// It is on the handset.
    Delivered,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 3] = [Self::Sent, Self::Acknowledged, Self::Delivered];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Acknowledged => "acknowledged",
            Self::Delivered => "delivered",
        }
    }

    pub(crate) fn of(state: State) -> Option<Self> {
        match state {
            State::Sent => Some(Self::Sent),
            State::Acknowledged => Some(Self::Acknowledged),
            State::Delivered => Some(Self::Delivered),
            _ => None,
        }
    }
}

/// What a group did since the process started, in more detail than its counts.
pub(crate) struct GroupMeasures {
    events: [AtomicU64; State::ALL.len()],
    verdicts: Mutex<BTreeMap<(&'static str, Code), u64>>,
    callbacks: Mutex<BTreeMap<&'static str, u64>>,
    stages: [Histogram; Stage::ALL.len()],
    exchange: Histogram,
}

/// The same at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupMeasured {
    /// Events of messages, by state.
    pub events: Vec<(State, u64)>,
    /// What became of hand-overs: `sent`, `deferred` or `failed`, with the canonical code.
    pub verdicts: Vec<(&'static str, Code, u64)>,
    /// What became of callbacks: `taken`, `put_off`, `given_up` or `busy`.
    pub callbacks: Vec<(&'static str, u64)>,
    /// Seconds from acceptance to each stage.
    pub stages: Vec<(Stage, Distribution)>,
    /// Seconds that the carrier took for a hand-over.
    pub exchange: Distribution,
}

impl Default for GroupMeasures {
    fn default() -> Self {
        Self {
            events: std::array::from_fn(|_| AtomicU64::new(0)),
            verdicts: Mutex::default(),
            callbacks: Mutex::default(),
            stages: std::array::from_fn(|_| Histogram::new(&LONG)),
            exchange: Histogram::new(&SHORT),
        }
    }
}

impl GroupMeasures {
    pub(crate) fn event(&self, state: State) {
        self.events(state, 1);
    }

    /// As many events of one state.
    pub(crate) fn events(&self, state: State, count: u64) {
        if let Some(place) = State::ALL.iter().position(|known| *known == state) {
            self.events[place].fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(crate) fn reached(&self, stage: Stage, after: Duration) {
        self.stages[stage as usize].time(after);
    }

    pub(crate) fn verdict(&self, outcome: &'static str, code: Code) {
        *self.verdicts.lock().entry((outcome, code)).or_default() += 1;
    }

    pub(crate) fn callback(&self, outcome: &'static str) {
        *self.callbacks.lock().entry(outcome).or_default() += 1;
    }

    pub(crate) fn exchange(&self, took: Duration) {
        self.exchange.time(took);
    }

    pub(crate) fn read(&self) -> GroupMeasured {
        let events = State::ALL.into_iter().zip(&self.events);
        GroupMeasured {
            events: events.map(|(state, count)| (state, count.load(Ordering::Relaxed))).collect(),
            verdicts: self.verdicts.lock().iter().map(|((outcome, code), n)| (*outcome, *code, *n)).collect(),
            callbacks: self.callbacks.lock().iter().map(|(outcome, n)| (*outcome, *n)).collect(),
            stages: Stage::ALL.into_iter().map(|stage| (stage, self.stages[stage as usize].read())).collect(),
            exchange: self.exchange.read(),
        }
    }
}

/// How the store does, as the engine sees it.
pub(crate) struct StoreMeasures {
    pub(crate) failed: AtomicU64,
    pub(crate) commit: Histogram,
    pub(crate) writes: Histogram,
}

/// The same at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreMeasured {
    /// Commits that were refused or failed, conflicts included.
    pub failed: u64,
    /// Seconds that a commit took, whatever came of it.
    pub commit: Distribution,
    /// Changes in a commit.
    pub writes: Distribution,
}

impl Default for StoreMeasures {
    fn default() -> Self {
        Self { failed: AtomicU64::new(0), commit: Histogram::new(&SHORT), writes: Histogram::new(&FEW) }
    }
}

impl StoreMeasures {
    pub(crate) fn read(&self) -> StoreMeasured {
        let failed = self.failed.load(Ordering::Relaxed);
        StoreMeasured { failed, commit: self.commit.read(), writes: self.writes.read() }
    }
}

const MILLION: u64 = 1_000_000;
/// Seconds, for what takes moments.
const SHORT: [f64; 13] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Seconds, for what may take days.
const LONG: [f64; 14] =
    [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0, 259_200.0];
/// Things in one go.
const FEW: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1_024.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&FEW);
        [1, 2, 3, 4, 5, 2_000].into_iter().for_each(|things| histogram.count(things));
        let read = histogram.read();
        assert_eq!(read.counts, [1, 1, 2, 1, 0, 0, 0, 0, 1]);
        assert!((read.sum - 2_015.0).abs() < 1e-9);
    }

    #[test]
    fn a_group_remembers_by_state_code_and_outcome() {
        let group = GroupMeasures::default();
        group.event(State::Sent);
        group.verdict("sent", Code::OK);
        group.verdict("sent", Code::OK);
        group.verdict("failed", Code::REFUSED);
        group.callback("taken");
        group.reached(Stage::Delivered, Duration::from_secs(3));
        let read = group.read();
        assert!(read.events.contains(&(State::Sent, 1)) && read.events.contains(&(State::Read, 0)));
        assert_eq!(read.verdicts, [("failed", Code::REFUSED, 1), ("sent", Code::OK, 2)]);
        assert_eq!(read.callbacks, [("taken", 1)]);
        let (stage, delivered) = &read.stages[2];
        let bucket = delivered.bounds.iter().position(|bound| *bound >= 3.0).unwrap();
        assert_eq!((*stage, delivered.counts[bucket]), (Stage::Delivered, 1));
    }
}
