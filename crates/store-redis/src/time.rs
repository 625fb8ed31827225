//! What time it is: the server's time for all processes alike, or a clock that tests hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mmsgw_domain::{Clock, SystemClock, Timestamp};

/// Where the time of a store comes from.
#[derive(Clone, Default)]
pub enum RedisClock {
    /// The server's, so that hosts whose clocks differ agree on what is due and what has lapsed.
    #[default]
    Server,
    /// A given one, for tests.
    Given(Arc<dyn Clock>),
}

/// The server's time as this host's clock and the difference between the two that was seen last.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    ahead: AtomicI64,
}

impl ServerClock {
    /// The server just said that it is `now`.
    pub(crate) fn set(&self, now: Timestamp) {
        let ahead = now.as_millis().saturating_sub(SystemClock.now().as_millis());
        self.ahead.store(ahead, Ordering::Relaxed);
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        let own = SystemClock.now().as_millis();
        Timestamp::from_millis(own.saturating_add(self.ahead.load(Ordering::Relaxed)))
    }
}
