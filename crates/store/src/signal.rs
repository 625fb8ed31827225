//! Wakes workers when a queue has something for them. It knows no jobs, only that there may be some.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mmsgw_domain::{Clock, Queue, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What [`Store::wait`](crate::Store::wait) waits for, for backends in one process.
///
/// A backend calls [`QueueSignals::leasing`] before it looks for jobs, [`QueueSignals::leased`] after
/// it, and [`QueueSignals::ring`] once a job can be found. A job that comes between a lease and the
/// wait after it is therefore never missed.
pub struct QueueSignals {
    clock: Arc<dyn Clock>,
    queues: Mutex<HashMap<Queue, Signal>>,
}

#[derive(Default)]
struct Signal {
    /// Something came since the last lease.
    rung: bool,
    /// When the next job becomes due or the next lease lapses, where that was still to come.
    next: Option<Timestamp>,
    waiters: Arc<Notify>,
}

impl QueueSignals {
    /// No queue has anything.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, queues: Mutex::default() }
    }

    /// A lease of the queue begins: what comes from now on is news.
    pub fn leasing(&self, queue: &Queue) {
        if let Some(signal) = self.queues.lock().get_mut(queue) {
            signal.rung = false;
        }
    }

    /// A lease ended and told its caller `next_due`.
    pub fn leased(&self, queue: &Queue, next_due: Option<Timestamp>) {
        let now = self.clock.now();
        let mut queues = self.queues.lock();
        let signal = entry(&mut queues, queue);
        signal.next = next_due.filter(|due| *due > now);
    }

    /// A job that is due at `due` can be found in the queue.
    pub fn ring(&self, queue: &Queue, due: Timestamp) {
        let now = self.clock.now();
        let mut queues = self.queues.lock();
        let signal = entry(&mut queues, queue);
        // Waiters wake at `next` by themselves, and learn of all later jobs then.
        if due <= now || signal.next.is_none_or(|next| due < next) {
            signal.rung = true;
            signal.waiters.notify_waiters();
        }
    }

    /// Resolves when the queue may have something new, at the latest after `at_most`.
    pub async fn wait(&self, queue: &Queue, at_most: Duration) {
        let (waiters, limit) = {
            let mut queues = self.queues.lock();
            let signal = entry(&mut queues, queue);
            let own = signal.next.map_or(at_most, |next| self.clock.now().until(next));
            let limit = if signal.rung { Duration::ZERO } else { own.min(at_most) };
            // Owned and made under the lock: it hears every ring after this point.
            (Arc::clone(&signal.waiters).notified_owned(), limit)
        };
        if !limit.is_zero() {
            // Either way there is nothing to say but "look again".
            let _ = tokio::time::timeout(limit, waiters).await;
        }
    }
}

fn entry<'a>(queues: &'a mut HashMap<Queue, Signal>, queue: &Queue) -> &'a mut Signal {
    if !queues.contains_key(queue) {
        queues.insert(queue.clone(), Signal::default());
    }
    queues.get_mut(queue).expect("the line above put it there")
}
