//! A clock that tests own.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use mmsgw_domain::{Clock, Timestamp};

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_millis()))
    }

    /// Shows a point `span` later than before.
    pub fn advance(&self, span: Duration) {
        self.set(self.now().after(span));
    }

    /// Shows `now`, which may also be earlier than before.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// A clock at some ordinary moment (2026-01-01T00:00:00Z).
    fn default() -> Self {
        Self::new(Timestamp::from_secs(1_767_225_600))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}
