//! How fast a group hands messages to its carrier.
//!
//! [`Pacer`] gives out turns at exact distances, whoever asks and however late: the average rate is
//! the limit, never more. [`Breaker`] holds the group's breath while the carrier asks for patience
//! or cannot be reached, so that a backlog does not burn its tries against a closed door.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Turns at a fixed distance.
#[derive(Debug)]
pub(crate) struct Pacer {
    distance: Option<Duration>,
    next: Mutex<Option<Instant>>,
}

impl Pacer {
    /// A pacer for `tps_limit` turns a second; none or a limit that is not positive means no limit.
    pub(crate) fn new(tps_limit: Option<f64>) -> Self {
        let distance =
            tps_limit.filter(|tps| *tps > 0.0).and_then(|tps| Duration::try_from_secs_f64(1.0 / tps).ok());
        Self { distance, next: Mutex::new(None) }
    }

    /// Waits for the next turn.
    pub(crate) async fn turn(&self) {
        if let Some(at) = self.reserve(Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }

    /// How many turns there are within `span`: taking more jobs than that is of no use.
    pub(crate) fn turns_within(&self, span: Duration) -> usize {
        let turns = |d: Duration| span.as_nanos() / d.as_nanos().max(1);
        self.distance.map_or(usize::MAX, |d| usize::try_from(turns(d)).unwrap_or(usize::MAX).max(1))
    }

    fn reserve(&self, now: Instant) -> Option<Instant> {
        let distance = self.distance?;
        let mut next = self.next.lock();
        let at = next.map_or(now, |next| next.max(now));
        *next = Some(at + distance);
        Some(at)
    }
}

/// Holds a group back while its carrier cannot take anything.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: Mutex<Hold>,
}

#[derive(Debug, Default)]
struct Hold {
    /// Failures in a row.
    failures: u32,
    /// Holds in a row; each is longer than the one before.
    holds: u32,
    until: Option<Instant>,
}

/// So many failures in a row are bad luck; more mean a carrier in trouble.
const PATIENCE: u32 = 8;
const FIRST_HOLD: Duration = Duration::from_millis(200);
const LONGEST_HOLD: Duration = Duration::from_secs(5);
const LONGEST_WANTED: Duration = Duration::from_secs(60);

impl Breaker {
    /// The carrier took something or gave a definite answer: go on at full width.
    pub(crate) fn well(&self) {
        *self.state.lock() = Hold::default();
    }

    /// The carrier could not be reached, or asked for patience, for so long where it said so.
    pub(crate) fn trouble(&self, wanted: Option<Duration>) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        if let Some(wanted) = wanted {
            state.until = state.until.max(Some(now + wanted.min(LONGEST_WANTED)));
        }
        // What fails during a hold was in flight before it, and says nothing new.
        if state.failures > PATIENCE && state.until.is_none_or(|until| until <= now) {
            let hold = (FIRST_HOLD * (1 << state.holds.min(10))).min(LONGEST_HOLD);
            state.holds += 1;
            state.until = Some(now + hold);
        }
    }

    /// Waits until the hold is over.
    pub(crate) async fn passed(&self) {
        loop {
            let Some(until) = self.state.lock().until else { return };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// How many of `window` may be in flight now: few while the carrier is in trouble.
    pub(crate) fn width(&self, window: usize) -> usize {
        if self.state.lock().failures > PATIENCE { (window / 8).max(1) } else { window }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_spread_exactly_and_never_saved_up() {
        let pacer = Pacer::new(Some(100.0));
        let start = Instant::now();
        for _ in 0..101 {
            pacer.turn().await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let start = Instant::now();
        for _ in 0..11 {
            pacer.turn().await;
        }
        assert_eq!(start.elapsed(), Duration::from_millis(100), "idle time is not saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_means_no_wait() {
        for pacer in [Pacer::new(None), Pacer::new(Some(0.0)), Pacer::new(Some(f64::NAN))] {
            let start = Instant::now();
            pacer.turn().await;
            pacer.turn().await;
            assert_eq!(start.elapsed(), Duration::ZERO);
            assert_eq!(pacer.turns_within(Duration::from_secs(1)), usize::MAX);
        }
        assert_eq!(Pacer::new(Some(5.0)).turns_within(Duration::from_secs(2)), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_carrier_in_trouble_is_asked_less_and_a_good_answer_ends_it() {
        let breaker = Breaker::default();
        for _ in 0..PATIENCE {
            breaker.trouble(None);
        }
        assert_eq!(breaker.width(64), 64);
        let start = Instant::now();
        breaker.passed().await;
        assert_eq!(start.elapsed(), Duration::ZERO, "a few failures hold nobody");
        breaker.trouble(None);
        assert_eq!(breaker.width(64), 8);
        breaker.passed().await;
        assert!(start.elapsed() >= FIRST_HOLD);
        for _ in 0..100 {
            breaker.trouble(None);
        }
        let start = Instant::now();
        breaker.passed().await;
        assert!(start.elapsed() <= LONGEST_HOLD);
        breaker.well();
        assert_eq!(breaker.width(64), 64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_for_patience_is_granted_at_once_within_bounds() {
        let breaker = Breaker::default();
        breaker.trouble(Some(Duration::from_secs(1 << 30)));
        let start = Instant::now();
        breaker.passed().await;
        assert_eq!(start.elapsed(), LONGEST_WANTED);
    }
}
