//! What is counted and timed, for metrics. Numbers only: no ids, no telephone numbers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mmsgw_domain::{Code, State};
use mmsgw_store::{Distribution, FEW, Histogram, RoundsMeasured, SHORT};
use parking_lot::Mutex;

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

/// What became of a try to tell an application something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackOutcome {
    /// The application took it.
    Taken,
    /// To be tried again.
    PutOff,
    /// Not to be tried any more.
    GivenUp,
    /// Not tried: the application has as many in hand as it may, or is left in peace for a while.
    Busy,
}

impl CallbackOutcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [Self::Taken, Self::PutOff, Self::GivenUp, Self::Busy];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::PutOff => "put_off",
            Self::GivenUp => "given_up",
            Self::Busy => "busy",
        }
    }
}

/// What a group did since the process started, in more detail than its counts.
pub(crate) struct GroupMeasures {
    events: [AtomicU64; State::ALL.len()],
    verdicts: Mutex<BTreeMap<(&'static str, Code), u64>>,
    callbacks: [AtomicU64; CallbackOutcome::ALL.len()],
    stages: [Histogram; Stage::ALL.len()],
    exchange: Histogram,
    lines_accepted: AtomicU64,
    lines_refused: AtomicU64,
}

/// The same at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupMeasured {
    /// Events of messages, by state.
    pub events: Vec<(State, u64)>,
    /// What became of hand-overs: `sent`, `deferred` or `failed`, with the canonical code.
    pub verdicts: Vec<(&'static str, Code, u64)>,
    /// What became of callbacks.
    pub callbacks: Vec<(CallbackOutcome, u64)>,
    /// Seconds from acceptance to each stage.
    pub stages: Vec<(Stage, Distribution)>,
    /// Seconds that the carrier took for a hand-over.
    pub exchange: Distribution,
    /// Lines of batches that became messages.
    pub lines_accepted: u64,
    /// Lines of batches that were refused.
    pub lines_refused: u64,
}

impl Default for GroupMeasures {
    fn default() -> Self {
        Self {
            events: std::array::from_fn(|_| AtomicU64::new(0)),
            // So that the family is there before the first one.
            verdicts: Mutex::new(BTreeMap::from([(("sent", Code::OK), 0)])),
            callbacks: std::array::from_fn(|_| AtomicU64::new(0)),
            stages: std::array::from_fn(|_| Histogram::new(&LONG)),
            exchange: Histogram::new(&SHORT),
            lines_accepted: AtomicU64::new(0),
            lines_refused: AtomicU64::new(0),
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

    pub(crate) fn callback(&self, outcome: CallbackOutcome) {
        self.callbacks[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A chunk of a batch: lines that became messages, and lines that were refused.
    pub(crate) fn lines(&self, accepted: u64, refused: u64) {
        self.events(State::Scheduled, accepted);
        self.lines_accepted.fetch_add(accepted, Ordering::Relaxed);
        self.lines_refused.fetch_add(refused, Ordering::Relaxed);
    }

    pub(crate) fn exchange(&self, took: Duration) {
        self.exchange.time(took);
    }

    pub(crate) fn read(&self) -> GroupMeasured {
        let events = State::ALL.into_iter().zip(&self.events);
        let read = |(outcome, count): (_, &AtomicU64)| (outcome, count.load(Ordering::Relaxed));
        GroupMeasured {
            events: events.map(|(state, count)| (state, count.load(Ordering::Relaxed))).collect(),
            verdicts: self.verdicts.lock().iter().map(|((outcome, code), n)| (*outcome, *code, *n)).collect(),
            callbacks: CallbackOutcome::ALL.into_iter().zip(&self.callbacks).map(read).collect(),
            stages: Stage::ALL.into_iter().map(|stage| (stage, self.stages[stage as usize].read())).collect(),
            exchange: self.exchange.read(),
            lines_accepted: self.lines_accepted.load(Ordering::Relaxed),
            lines_refused: self.lines_refused.load(Ordering::Relaxed),
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
    /// How the store made commits durable together, where it does so.
    pub rounds: Option<RoundsMeasured>,
}

impl Default for StoreMeasures {
    fn default() -> Self {
        Self { failed: AtomicU64::new(0), commit: Histogram::new(&SHORT), writes: Histogram::new(&FEW) }
    }
}

impl StoreMeasures {
    pub(crate) fn read(&self, rounds: Option<RoundsMeasured>) -> StoreMeasured {
        let failed = self.failed.load(Ordering::Relaxed);
        StoreMeasured { failed, commit: self.commit.read(), writes: self.writes.read(), rounds }
    }
}

/// Seconds, for what may take days.
const LONG: [f64; 14] =
    [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0, 259_200.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_remembers_by_state_code_and_outcome() {
        let group = GroupMeasures::default();
        group.event(State::Sent);
        group.verdict("sent", Code::OK);
        group.verdict("sent", Code::OK);
        group.verdict("failed", Code::REFUSED);
        group.callback(CallbackOutcome::Taken);
        group.reached(Stage::Delivered, Duration::from_secs(3));
        let read = group.read();
        assert!(read.events.contains(&(State::Sent, 1)) && read.events.contains(&(State::Read, 0)));
        assert_eq!(read.verdicts, [("failed", Code::REFUSED, 1), ("sent", Code::OK, 2)]);
        assert_eq!(read.callbacks[0], (CallbackOutcome::Taken, 1));
        let (stage, delivered) = &read.stages[2];
        let bucket = delivered.bounds.iter().position(|bound| *bound >= 3.0).unwrap();
        assert_eq!((*stage, delivered.counts[bucket]), (Stage::Delivered, 1));
    }
}
