//! How fast a group hands messages to its carrier.
//!
//! [`Pacer`] gives out turns at exact distances, whoever asks and however late, in whichever process: the
//! average rate is the limit, never more. [`Breaker`] holds the group's breath while the carrier asks for
//! patience or cannot be reached, so that a backlog does not burn its tries against a closed door.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mmsgw_domain::GroupName;
use mmsgw_store::{Registry, StoreError, TurnRequest};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Turns at a fixed distance, shared by all instances of a group.
#[derive(Debug)]
pub(crate) struct Pacer {
    group: GroupName,
    distance: Option<Duration>,
    /// Those who wait for a turn that is not reserved yet.
    wanting: AtomicU32,
    /// Turns that were reserved and not taken yet.
    reserved: tokio::sync::Mutex<VecDeque<Instant>>,
}

impl Pacer {
    /// A pacer for `tps_limit` turns a second; none or a limit that is not positive means no limit.
    pub(crate) fn new(group: GroupName, tps_limit: Option<f64>) -> Self {
        let distance =
            tps_limit.filter(|tps| *tps > 0.0).and_then(|tps| Duration::try_from_secs_f64(1.0 / tps).ok());
        Self { group, distance, wanting: AtomicU32::new(0), reserved: tokio::sync::Mutex::default() }
    }

    /// Waits for the next turn.
    ///
    /// # Errors
    /// Where the registry that all instances share cannot be asked.
    pub(crate) async fn turn(&self, registry: &dyn Registry) -> Result<(), StoreError> {
        let Some(distance) = self.distance else { return Ok(()) };
        let at = self.reserve(distance, registry).await?;
        tokio::time::sleep_until(at).await;
        Ok(())
    }

    /// How many turns there are within `span`: taking more jobs than that is of no use.
    pub(crate) fn turns_within(&self, span: Duration) -> usize {
        let turns = |d: Duration| span.as_nanos() / d.as_nanos().max(1);
        self.distance.map_or(usize::MAX, |d| usize::try_from(turns(d)).unwrap_or(usize::MAX).max(1))
    }

    /// Takes a turn. Who comes when none is reserved reserves for all who wait, so that many share one question.
    async fn reserve(&self, distance: Duration, registry: &dyn Registry) -> Result<Instant, StoreError> {
        let wish = Wish::new(&self.wanting);
        let mut reserved = self.reserved.lock().await;
        // A turn that nobody came for is not made up for later.
        while reserved.front().is_some_and(|at| at.elapsed() > distance + STALE) {
            reserved.pop_front();
        }
        if reserved.is_empty() {
            let count = wish.all().clamp(1, MOST_AT_ONCE);
            let request = TurnRequest { group: self.group.clone(), count, distance };
            let first = registry.turns(&request).await?.first_in;
            let first = Instant::now() + first;
            reserved.extend((0..count).map(|turn| first + distance * turn));
        }
        Ok(reserved.pop_front().unwrap_or_else(Instant::now))
    }
}

/// One who waits for a turn; counted until it is gone, however that happens.
struct Wish<'a>(&'a AtomicU32);

impl<'a> Wish<'a> {
    fn new(wanting: &'a AtomicU32) -> Self {
        wanting.fetch_add(1, Ordering::Relaxed);
        Self(wanting)
    }

    fn all(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A turn may be used so much later than it was due.
const STALE: Duration = Duration::from_millis(100);
/// Most turns reserved at once.
const MOST_AT_ONCE: u32 = 256;

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

    /// The carrier could not be reached, or asked for patience, for so long where it said so. Gives back how long
    /// the group is held back from now, where that is news.
    pub(crate) fn trouble(&self, wanted: Option<Duration>) -> Option<Duration> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let before = state.until;
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
        state.until.filter(|until| before.is_none_or(|before| before < *until)).map(|until| until - now)
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
    use std::sync::Arc;

    use mmsgw_domain::SystemClock;
    use mmsgw_store::LocalRegistry;

    use super::*;

    fn registry() -> LocalRegistry {
        LocalRegistry::new(Arc::new(SystemClock))
    }

    fn pacer(tps_limit: Option<f64>) -> Pacer {
        Pacer::new("gw".parse().unwrap(), tps_limit)
    }

    #[tokio::test(start_paused = true)]
    async fn instances_of_a_group_share_its_turns() {
        let registry = Arc::new(registry());
        let start = Instant::now();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let (registry, pacer) = (Arc::clone(&registry), Arc::new(pacer(Some(100.0))));
                let one = move || {
                    let (registry, pacer) = (Arc::clone(&registry), Arc::clone(&pacer));
                    async move { pacer.turn(registry.as_ref()).await.unwrap() }
                };
                (0..250).map(|_| tokio::spawn(one())).collect::<Vec<_>>()
            })
            .collect();
        for turn in workers.into_iter().flatten() {
            turn.await.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::from_millis(9_990), "a thousand turns of 10 ms");
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_spread_exactly_and_never_saved_up() {
        let (registry, pacer) = (registry(), pacer(Some(100.0)));
        let start = Instant::now();
        for _ in 0..101 {
            pacer.turn(&registry).await.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let start = Instant::now();
        for _ in 0..11 {
            pacer.turn(&registry).await.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::from_millis(100), "idle time is not saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_means_no_wait() {
        let registry = registry();
        for pacer in [pacer(None), pacer(Some(0.0)), pacer(Some(f64::NAN))] {
            let start = Instant::now();
            pacer.turn(&registry).await.unwrap();
            pacer.turn(&registry).await.unwrap();
            assert_eq!(start.elapsed(), Duration::ZERO);
            assert_eq!(pacer.turns_within(Duration::from_secs(1)), usize::MAX);
        }
        assert_eq!(pacer(Some(5.0)).turns_within(Duration::from_secs(2)), 10);
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
