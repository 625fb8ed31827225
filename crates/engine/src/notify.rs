//! Works on callback jobs: tells the application.

use std::time::{Duration, Instant};

use mmsgw_domain::{CallbackJob, CallbackSubject, ReportKind, without_secrets};
use mmsgw_store::{Batch, Lease, StoreError, Write};

use crate::engine::Engine;
use crate::gateway::{Call, CallSubject, CallVerdict};
use crate::group::{Group, count};
use crate::inbound::Occasion;
use crate::measure::CallbackOutcome;

impl Engine {
    /// Posts one callback and settles its job by the answer.
    pub(crate) async fn call_back(
        &self,
        group: &Group,
        callback: &CallbackJob,
        lease: Lease,
        tries: u32,
    ) -> Result<(), StoreError> {
        match &callback.subject {
            CallbackSubject::Event(event) => {
                let subject = CallSubject::Event { message: callback.message, event };
                let verdict = self.post(group, callback, tries, subject).await?;
                let write = self.after_call(group, callback, lease, tries, verdict);
                self.commit(Batch::new().with(write)).await
            }
            CallbackSubject::InboundMessage => self.call_back_inbound(group, callback, lease, tries).await,
        }
    }

    /// Tells of an inbound message. When the application has it, the reports go out that waited for
    /// that, or those that its answer orders instead.
    async fn call_back_inbound(
        &self,
        group: &Group,
        callback: &CallbackJob,
        lease: Lease,
        tries: u32,
    ) -> Result<(), StoreError> {
        let Some(message) = self.store.message(callback.message).await? else {
            let bury = self.bury(lease, "the message is gone");
            return self.commit(Batch::new().with(bury)).await;
        };
        let Some(template) = self.store.revision(message.revision).await? else {
            let bury = self.bury(lease, "the content of the message is gone");
            return self.commit(Batch::new().with(bury)).await;
        };
        let subject = CallSubject::InboundMessage { message: &message, template: &template };
        let verdict = self.post(group, callback, tries, subject).await?;
        let taken = matches!(verdict, CallVerdict::Done | CallVerdict::Answered { .. });
        let orders =
            if let CallVerdict::Answered { orders } = &verdict { orders.clone() } else { Vec::new() };
        let mut batch = Batch::new().with(self.after_call(group, callback, lease, tries, verdict));
        if taken {
            let kinds: Vec<ReportKind> = orders.iter().map(|order| order.kind).collect();
            self.queue_own_reports(group, &message, Occasion::CallbackTaken, &kinds, &mut batch);
            orders.into_iter().for_each(|order| self.queue_report(&message, order, &mut batch));
        }
        self.commit(batch).await
    }

    async fn post(
        &self,
        group: &Group,
        callback: &CallbackJob,
        tries: u32,
        subject: CallSubject<'_>,
    ) -> Result<CallVerdict, StoreError> {
        let (group, url, delivery_id) = (&group.settings.name, &callback.url, &callback.delivery_id);
        if let Some(reason) = self.disabled(group, url).await? {
            return Ok(CallVerdict::Never { reason });
        }
        let (began, trace) = (self.now(), self.callback_parent(callback, tries));
        let start = Instant::now();
        let verdict = self.notifier.notify(&Call { url, delivery_id, tries, trace, subject }).await;
        self.trace_callback(callback, tries, (began, start.elapsed()), &verdict);
        self.note_call(group, url, &verdict).await;
        Ok(verdict)
    }

    fn after_call(
        &self,
        group: &Group,
        callback: &CallbackJob,
        lease: Lease,
        tries: u32,
        verdict: CallVerdict,
    ) -> Write {
        let policy = &self.settings.callback_retry;
        let (reason, delay) = match verdict {
            CallVerdict::Done | CallVerdict::Answered { .. } => {
                count(&group.counts.callbacks);
                group.measures.callback(CallbackOutcome::Taken);
                let url = without_secrets(&callback.url);
                tracing::debug!(message.id = %callback.message, url, tries, "callback taken");
                return Write::Finish(lease);
            }
            CallVerdict::Gone { reason } | CallVerdict::Never { reason } => (reason, None),
            CallVerdict::Later { reason, pause } => (reason, policy.delay(tries, false, pause)),
            CallVerdict::Busy { reason, pause } => {
                let age = lease.job.created().until(self.now());
                if age <= policy.span() + GRACE {
                    group.measures.callback(CallbackOutcome::Busy);
                    let due = self.now().after(jitter(pause, &lease));
                    return Write::Release { lease, due };
                }
                (reason, None)
            }
        };
        count(&group.counts.callbacks_failed);
        let outcome = if delay.is_some() { CallbackOutcome::PutOff } else { CallbackOutcome::GivenUp };
        group.measures.callback(outcome);
        let url = without_secrets(&callback.url);
        match delay {
            Some(delay) => {
                tracing::info!(message.id = %callback.message, url, tries, "callback put off: {reason}");
                let due = self.now().after(jitter(delay, &lease));
                Write::Postpone { lease, due }
            }
            None => {
                tracing::warn!(message.id = %callback.message, url, tries, "callback given up: {reason}");
                self.bury(lease, &reason)
            }
        }
    }
}

/// A callback whose endpoint is never asked is given up that long after its last planned try.
const GRACE: Duration = Duration::from_secs(86_400);

/// Up to a fifth more, so that callbacks that failed together do not come back together. The job's
/// id is chance enough.
fn jitter(delay: Duration, lease: &Lease) -> Duration {
    let chance = u32::from(lease.job.as_bytes()[15]);
    delay + delay * chance / (5 * 256)
}
