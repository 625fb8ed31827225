//! When something that did not work is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Growing delays, and how often to try at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Delay before the second try, the third and so on; the last one repeats.
    pub delays: Vec<Duration>,
    /// How many tries there are; after them only a carrier that said "later" is asked again.
    pub max_tries: u32,
}

impl RetryPolicy {
    /// The delay after the try numbered `tries` (from 1) failed, or `None` when that was the last.
    ///
    /// `later` says that the other side asked for patience in so many words: then the last delay
    /// repeats without end, and the message's own deadline ends it. `wanted` is the pause it asked
    /// for, which can lengthen a delay but not shorten it.
    pub fn delay(&self, tries: u32, later: bool, wanted: Option<Duration>) -> Option<Duration> {
        if tries >= self.max_tries && !later {
            return None;
        }
        let index = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
        let planned =
            self.delays.get(index).or(self.delays.last()).copied().unwrap_or(Duration::from_secs(60));
        Some(wanted.map_or(planned, |wanted| wanted.clamp(planned, MAX_WANTED.max(planned))))
    }
}

impl RetryPolicy {
    /// From the first try to the last, when each delay is as planned.
    pub fn span(&self) -> Duration {
        let last = self.delays.last().copied().unwrap_or_default();
        let gaps = usize::try_from(self.max_tries.saturating_sub(1)).unwrap_or(usize::MAX);
        let planned = gaps.min(self.delays.len());
        let beyond = u32::try_from(gaps - planned).unwrap_or(u32::MAX);
        self.delays[..planned].iter().sum::<Duration>().saturating_add(last.saturating_mul(beyond))
    }
}

/// The longest pause that the other side can ask for.
const MAX_WANTED: Duration = Duration::from_secs(3600);

impl Default for RetryPolicy {
    /// For carriers: 1, 2, 5, 10, 20, 60, 300 seconds and seven tries.
    fn default() -> Self {
        Self { delays: [1, 2, 5, 10, 20, 60, 300].map(Duration::from_secs).to_vec(), max_tries: 7 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_end() {
        let policy = RetryPolicy::default();
        let seconds = |tries, later| policy.delay(tries, later, None).map(|d| d.as_secs());
        assert_eq!(seconds(1, false), Some(1));
        assert_eq!(seconds(6, false), Some(60));
        assert_eq!(seconds(7, false), None);
        assert_eq!(seconds(7, true), Some(300));
        assert_eq!(seconds(1000, true), Some(300));
    }

    #[test]
    fn the_span_is_the_sum_of_all_delays() {
        assert_eq!(RetryPolicy::default().span().as_secs(), 1 + 2 + 5 + 10 + 20 + 60);
        let long = RetryPolicy { delays: vec![Duration::from_secs(2)], max_tries: 5 };
        assert_eq!(long.span().as_secs(), 8);
    }

    #[test]
    fn the_other_side_can_lengthen_a_delay_within_bounds() {
        let policy = RetryPolicy::default();
        let wanted = |s| policy.delay(2, true, Some(Duration::from_secs(s))).unwrap().as_secs();
        assert_eq!(wanted(0), 2);
        assert_eq!(wanted(30), 30);
        assert_eq!(wanted(1 << 40), 3600);
    }
}
