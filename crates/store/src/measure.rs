//! How values are distributed, for metrics, and how a store shares its commits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

impl Distribution {
    /// Both together, where they have the same bounds.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, more)| *own += more);
        self.sum += other.sum;
        self
    }
}

/// Collects a [`Distribution`], without a lock.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    /// In millionths, so that it can be added to without a lock.
    sum: AtomicU64,
}

impl Histogram {
    /// With buckets up to these bounds, ascending.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a time, in seconds.
    pub fn time(&self, span: Duration) {
        self.note(span.as_secs_f64(), u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts a number of things.
    pub fn count(&self, things: usize) {
        let things = u32::try_from(things).unwrap_or(u32::MAX);
        self.note(f64::from(things), u64::from(things) * MILLION);
    }

    fn note(&self, value: f64, millionths: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(millionths, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> Distribution {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a sum for people and their plots")]
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1e6;
        Distribution { bounds: self.bounds, counts, sum }
    }
}

/// How batches share the work of making them durable, where a store has them share it: in rounds.
#[derive(Debug)]
pub struct Rounds {
    batches: Histogram,
    time: Histogram,
}

/// The same at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundsMeasured {
    /// Batches that were made durable together.
    pub batches: Distribution,
    /// Seconds that it took.
    pub time: Distribution,
}

impl Default for Rounds {
    fn default() -> Self {
        Self { batches: Histogram::new(&FEW), time: Histogram::new(&SHORT) }
    }
}

impl Rounds {
    /// Counts a round that is over.
    pub fn count(&self, batches: usize, took: Duration) {
        self.batches.count(batches);
        self.time.time(took);
    }

    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> RoundsMeasured {
        RoundsMeasured { batches: self.batches.read(), time: self.time.read() }
    }
}

impl RoundsMeasured {
    /// Those of two places together.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self { batches: self.batches.and(&other.batches), time: self.time.and(&other.time) }
    }
}

const MILLION: u64 = 1_000_000;
/// Bounds in seconds, for what takes moments.
pub const SHORT: [f64; 13] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Bounds for things in one go.
pub const FEW: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1_024.0];

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
    fn rounds_of_two_places_add_up() {
        let (one, other) = (Rounds::default(), Rounds::default());
        one.count(2, Duration::from_millis(1));
        other.count(2_000, Duration::from_millis(3));
        let both = one.read().and(&other.read());
        assert_eq!(both.batches.counts, [0, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert!((both.time.sum - 0.004).abs() < 1e-9);
    }
}
