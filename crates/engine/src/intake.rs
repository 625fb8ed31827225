//! The door for what carriers hand to us: kept first, understood later.

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
    /// [`Refusal::UnknownGroup`]; [`Refusal::Store`] where it could not be kept.
    pub async fn intake(
        &self,
        group: &GroupName,
        kind: IntakeKind,
        peer: String,
        raw: Bytes,
    ) -> Result<JobId, Refusal> {
        let known = self.groups.find(group).ok_or_else(|| Refusal::UnknownGroup(group.clone()))?;
        let now = self.now();
        let id = JobId::generate(now);
        let job = Job::IntakeV1(IntakeJob { kind, peer, raw });
        let queue = known.queue(QueueKind::Rx);
        let write = Write::Enqueue(NewJob { id, queue, lane: Lane::Normal, due: now, job });
        self.commit(Batch::new().with(write)).await?;
        count(&known.counts.received);
        Ok(id)
    }
}
