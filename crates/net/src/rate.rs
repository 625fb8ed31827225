//! Rates for each of many keys: so many in a second, and no more than a second's worth at once.
//!
//! It is the generic cell rate algorithm: for each key the moment is kept at which all that was let through would have
//! been due at an even pace. What is over takes no room for long: keys that rest are forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A rate for each key.
#[derive(Debug)]
pub struct RateLimit<K> {
    /// Between two at an even pace.
    gap: Duration,
    /// How far ahead of the even pace a key may be.
    lead: Duration,
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    /// When what a key has had would be through at an even pace.
    due: HashMap<K, Instant>,
    look: Instant,
}

impl<K: Eq + Hash> RateLimit<K> {
    /// At most `rate` in a second for each key, and at least one at a time; none where the rate is 0, which stands for no
    /// limit, or no number.
    #[must_use]
    pub fn per_second(rate: f64) -> Option<Self> {
        let gap = Duration::try_from_secs_f64(1.0 / rate).ok().filter(|gap| !gap.is_zero())?;
        let state = Mutex::new(State { due: HashMap::new(), look: Instant::now() });
        Some(Self { gap, lead: SECOND.saturating_sub(gap), state })
    }

    /// Lets one more through for `key`.
    ///
    /// # Errors
    /// How long to wait until one would be let through.
    pub fn take(&self, key: K) -> Result<(), Duration> {
        self.take_at(key, Instant::now())
    }

    fn take_at(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.due.len() >= MANY && state.look <= now {
            state.due.retain(|_, due| *due > now);
            state.look = now + SECOND;
        }
        let due = state.due.entry(key).or_insert(now);
        let ahead = due.saturating_duration_since(now);
        if ahead > self.lead {
            return Err(ahead.saturating_sub(self.lead));
        }
        *due = now + ahead + self.gap;
        Ok(())
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// With so many keys those that rest are looked for, once a second.
const MANY: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_rate_and_others_have_theirs() {
        let (limit, mut now) = (RateLimit::per_second(5.0).unwrap(), Instant::now());
        for round in 0..3 {
            for _ in 0..5 {
                assert_eq!(limit.take_at("a", now), Ok(()), "round {round}");
            }
            let wait = limit.take_at("a", now).unwrap_err();
            assert!(wait <= Duration::from_millis(200) && !wait.is_zero(), "{wait:?}");
            assert_eq!(limit.take_at("b", now), Ok(()), "another key");
            now += wait;
            assert_eq!(limit.take_at("a", now), Ok(()));
            assert!(limit.take_at("a", now).is_err());
            now += SECOND;
        }
        let slow = RateLimit::per_second(0.1).unwrap();
        assert_eq!(slow.take_at("a", now), Ok(()));
        assert_eq!(slow.take_at("a", now), Err(Duration::from_secs(10)));
    }

    #[test]
    fn keys_that_rest_are_forgotten() {
        let (limit, mut now) = (RateLimit::per_second(1.0).unwrap(), Instant::now());
        for key in 0..3 * MANY {
            assert_eq!(limit.take_at(key, now), Ok(()));
            if key % 100 == 0 {
                now += SECOND * 2;
            }
        }
        assert!(limit.state.lock().unwrap().due.len() <= MANY + 101);
    }

    #[test]
    fn no_rate_is_no_limit() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(RateLimit::<u8>::per_second(rate).is_none(), "{rate}");
        }
    }
}
