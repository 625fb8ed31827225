//! The door for what carriers hand to us: kept first, understood later.

use bytes::Bytes;
use mmsgw_domain::{GroupName, IntakeJob, IntakeKind, Job, JobId, QueueKind};
use mmsgw_store::{Batch, Lane, NewJob, Write};

use crate::engine::Engine;
use crate::group::count;
use crate::refusal::Refusal;
use crate::wiretap::Tap;

impl Engine {
    /// Keeps what a carrier handed to us for `group`. When this answers, the carrier may be told yes.
    /// Gives back the id of the job, for the answer and for logs.
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
        if let IntakeKind::Mail { mail_from, rcpt_to } = &kind {
            note_mail(&self.tap(group), (mail_from, rcpt_to), &peer, &raw);
        }
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

/// Whoever takes requests over HTTP notes them itself, with their heads.
fn note_mail(tap: &Tap, (mail_from, rcpt_to): (&str, &[String]), peer: &str, raw: &[u8]) {
    if !tap.is_on() {
        return;
    }
    tap.happened(&format!("a mail from {peer}, MAIL FROM:<{mail_from}> RCPT TO:<{}>", rcpt_to.join(">,<")));
    let body = raw.windows(4).position(|four| four == b"\r\n\r\n").map_or(raw.len(), |at| at + 4);
    tap.heard(&raw[..body]);
    tap.heard_content(&raw[body..]);
}
