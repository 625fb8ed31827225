//! The door for what carriers hand to us: kept first, understood later.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{GroupName, IntakeJob, IntakeKind, Job, JobId, QueueKind};
use mmsgw_store::{Batch, Lane, NewJob, Write};

use crate::engine::Engine;
use crate::group::count;
use crate::refusal::Refusal;

impl Engine {
    /// Keeps what a carrier handed to us for `group`. When this answers, the carrier may be told yes.
    /// Gives back the id of the job, for the answer and for logs. Whoever took it notes it for who watches, with what
    /// was said around it.
    ///
    /// # Errors
    /// [`Refusal::UnknownGroup`]; [`Refusal::Overloaded`] where as much as may be waits to be read already;
    /// [`Refusal::Store`] where it could not be kept.
    pub async fn intake(
        &self,
        group: &GroupName,
        kind: IntakeKind,
        peer: String,
        raw: Bytes,
    ) -> Result<JobId, Refusal> {
        let known = self.groups.find(group).ok_or_else(|| Refusal::UnknownGroup(group.clone()))?;
        if known.unread.load(Ordering::Relaxed) >= self.settings.max_received {
            return Err(Refusal::Overloaded { retry_after: UNREAD_PAUSE });
        }
        let now = self.now();
        let id = JobId::generate(now);
        let job = Job::IntakeV1(IntakeJob { kind, peer, raw });
        let queue = known.queue(QueueKind::Rx);
        let write = Write::Enqueue(NewJob { id, queue, lane: Lane::Normal, due: now, job });
        self.commit(Batch::new().with(write)).await?;
        count(&known.counts.received);
        count(&known.unread);
        Ok(id)
    }
}

/// When a carrier is to come again with what there is no room for.
const UNREAD_PAUSE: Duration = Duration::from_secs(10);
