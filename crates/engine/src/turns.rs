//! Turns at a message: within this process one task at a time reads it, changes it and commits.
//!
//! The version check of the store stays what makes a change safe; turns only spare those who would fail it. A
//! message to hundreds of numbers gets hundreds of reports within a second, and without turns nearly all of them
//! would be tried many times over.

use std::collections::HashMap;
use std::sync::Arc;

use mmsgw_domain::MessageId;
use parking_lot::Mutex;
use tokio::sync::{Mutex as Gate, OwnedMutexGuard};

/// Who works on which message.
#[derive(Default)]
pub(crate) struct Turns {
    gates: Mutex<HashMap<MessageId, Arc<Gate<()>>>>,
}

/// A turn; it ends when dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    message: MessageId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for a turn at `message`, first come, first served.
    pub(crate) async fn take(&self, message: MessageId) -> Turn<'_> {
        let mut turn = Turn { turns: self, message, guard: None };
        let gate = Arc::clone(self.gates.lock().entry(message).or_default());
        turn.guard = Some(gate.lock_owned().await);
        turn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut gates = self.turns.gates.lock();
        // Whoever waits or works holds the gate too.
        if gates.get(&self.message).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(&self.message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use mmsgw_domain::Timestamp;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left_behind() {
        let (turns, message) = (Turns::default(), MessageId::generate(Timestamp::from_secs(1)));
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = async || {
            let _turn = turns.take(message).await;
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            inside.fetch_sub(1, Ordering::SeqCst);
        };
        futures_util::future::join_all((0..20).map(|_| work())).await;
        assert_eq!(most.into_inner(), 1);
        assert!(turns.gates.lock().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_is_no_hindrance() {
        let (turns, message) = (Turns::default(), MessageId::generate(Timestamp::from_secs(1)));
        let first = turns.take(message).await;
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), turns.take(message)).await;
        assert!(given_up.is_err());
        drop(first);
        assert!(turns.gates.lock().is_empty());
        drop(turns.take(message).await);
    }
}
