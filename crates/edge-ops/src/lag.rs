//! How late the runtime gets to what is due: all the work shares it, so a late timer tells that everything is late.

use std::sync::Arc;
use std::time::Duration;

use mmsgw_engine::{Distribution, Histogram, SHORT};
use mmsgw_net::Drain;
use tokio::time::Instant;

/// Measures it, once begun.
#[derive(Clone)]
pub(crate) struct Lag(Arc<Histogram>);

impl Default for Lag {
    fn default() -> Self {
        Self(Arc::new(Histogram::new(&SHORT)))
    }
}

impl Lag {
    /// Seconds by which timers went off too late.
    pub(crate) fn read(&self) -> Distribution {
        self.0.read()
    }

    /// Sets a timer again and again, until the drain begins.
    pub(crate) async fn measure(self, drain: Drain) {
        loop {
            let due = Instant::now() + EVERY;
            tokio::select! {
                () = drain.draining() => return,
                () = tokio::time::sleep_until(due) => self.0.time(due.elapsed()),
            }
        }
    }
}

const EVERY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_is_measured_until_the_end() {
        let (lag, drain) = (Lag::default(), Drain::new());
        let measuring = tokio::spawn(lag.clone().measure(drain.clone()));
        tokio::time::sleep(EVERY * 3).await;
        assert!(lag.read().counts.iter().sum::<u64>() >= 2);
        assert!(drain.drain(EVERY).await);
        measuring.await.unwrap();
    }
}
