//! Ending politely: tasks are told to finish, awaited up to a time limit, and only then dropped.
//!
//! A [`Drain`] is handed to everything that lives long: listeners, connections, workers. It answers for nothing
//! but their ending; what "finish" means is the task's own affair, which it learns from [`Drain::draining`].

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks that end together. Clones belong to the same group.
#[derive(Debug, Clone)]
pub struct Drain {
    draining: CancellationToken,
    abort: CancellationToken,
    /// Own tracker last, those of the ancestors before it.
    trackers: Vec<TaskTracker>,
}

impl Drain {
    /// A group with no task in it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            draining: CancellationToken::new(),
            abort: CancellationToken::new(),
            trackers: vec![TaskTracker::new()],
        }
    }

    /// A group within this one: draining the parent drains it too and waits for its tasks, while draining the
    /// child leaves the parent's other tasks alone. Made for listeners that come and go with the settings.
    #[must_use]
    pub fn child(&self) -> Self {
        let mut trackers = self.trackers.clone();
        trackers.push(TaskTracker::new());
        Self { draining: self.draining.child_token(), abort: self.abort.child_token(), trackers }
    }

    /// Completes when the group was asked to end; at once if that has happened already.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Whether the group was asked to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Starts a task of this group. It should watch [`Drain::draining`]; when the drain's time limit has passed it
    /// is dropped at its next await, and the handle then yields `None`.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let tokens: Vec<_> = self.trackers.iter().map(TaskTracker::token).collect();
        let abort = self.abort.clone();
        tokio::spawn(async move {
            let output = abort.run_until_cancelled(task).await;
            drop(tokens);
            output
        })
    }

    /// Number of tasks of this group and its children that have not ended.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.own().len()
    }

    /// Asks every task to end and waits for them, at most `limit`. Tasks left by then are dropped.
    ///
    /// True when all ended by themselves. Calling it again is harmless.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.draining.cancel();
        self.own().close();
        if tokio::time::timeout(limit, self.own().wait()).await.is_ok() {
            return true;
        }
        tracing::warn!(tasks = self.tasks(), "drain time limit passed; dropping what is left");
        self.abort.cancel();
        // A dropped task needs one poll to notice; one that blocks its thread is not waited for.
        let _gone = tokio::time::timeout(ABORT_GRACE, self.own().wait()).await;
        false
    }

    fn own(&self) -> &TaskTracker {
        self.trackers.last().expect("a drain is made with a tracker of its own")
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

const ABORT_GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn polite_tasks_end_by_themselves() {
        let drain = Drain::new();
        let inner = drain.clone();
        let task = drain.spawn(async move {
            inner.draining().await;
            7
        });
        assert!(!drain.is_draining());
        assert!(drain.drain(LONG).await);
        assert_eq!(task.await.unwrap(), Some(7));
        assert_eq!(drain.tasks(), 0);
    }

    #[tokio::test]
    async fn stubborn_tasks_are_dropped_at_the_limit() {
        let drain = Drain::new();
        let task = drain.spawn(std::future::pending::<()>());
        assert!(!drain.drain(Duration::from_millis(20)).await);
        assert_eq!(task.await.unwrap(), None);
        assert_eq!(drain.tasks(), 0);
    }

    #[tokio::test]
    async fn a_child_ends_alone_and_with_its_parent() {
        let parent = Drain::new();
        let (first, second) = (parent.child(), parent.child());
        for child in [&first, &second] {
            let own = child.clone();
            child.spawn(async move { own.draining().await });
        }
        assert_eq!(parent.tasks(), 2);
        assert!(first.drain(LONG).await);
        assert!(!parent.is_draining() && !second.is_draining());
        assert_eq!(parent.tasks(), 1);
        assert!(parent.drain(LONG).await);
        assert!(second.is_draining());
        assert_eq!(second.tasks(), 0);
    }
}
