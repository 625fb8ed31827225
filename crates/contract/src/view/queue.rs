//! Queues, as they are shown.

use mmsgw_domain::{QueueKind, QueueStatus, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// One queue that holds a job, or is paused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueView {
    /// Group and kind, as in `carrier/rx`.
    pub queue: String,
    /// Its group.
    group: String,
    /// `tx` messages out, `ev` reports out, `rx` what came in, `callback` what applications are told.
    kind: &'static str,
    /// Jobs that wait, due or not.
    waiting: u64,
    /// Jobs in a worker's hands.
    leased: u64,
    /// Jobs that were given up.
    dead: u64,
    /// Due time of the first waiting job, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_ts: Option<i64>,
    /// How long that job has been due, in seconds; zero where it is not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    /// Why it hands nothing out, where a person stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseView>,
    /// Until when it is held back, because its carrier wants patience.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_until_ts: Option<i64>,
}

/// A person stopped it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Pause)]
pub struct PauseView {
    /// Why.
    reason: String,
    /// Who: the name of a key, or `-` where none is configured.
    by: String,
    /// When, in seconds since 1970.
    since_ts: i64,
}

impl QueueView {
    /// The view of a queue, at that time.
    pub fn of(status: QueueStatus, now: Timestamp) -> Self {
        Self {
            queue: status.queue.to_string(),
            group: status.queue.group.to_string(),
            kind: status.queue.kind.name(),
            waiting: status.waiting,
            leased: status.leased,
            dead: status.dead,
            oldest_ts: status.oldest.map(Timestamp::as_secs),
            age_seconds: status.oldest.map(|oldest| oldest.until(now).as_secs()),
            paused: status.paused.map(|pause| PauseView {
                reason: pause.reason,
                by: pause.by,
                since_ts: pause.since.as_secs(),
            }),
            held_until_ts: status.held_until.map(Timestamp::as_secs),
        }
    }

    /// Jobs in a worker's hands, where this is a queue of what goes to the carrier.
    pub(super) fn on_the_way(&self) -> u64 {
        let goes_out = [QueueKind::Tx, QueueKind::Ev].iter().any(|kind| kind.name() == self.kind);
        if goes_out { self.leased } else { 0 }
    }

    /// Why the way to the carrier is closed, where this is the queue of messages to it.
    pub(super) fn way_paused(&self) -> Option<PauseView> {
        self.paused.clone().filter(|_| self.kind == QueueKind::Tx.name())
    }
}
