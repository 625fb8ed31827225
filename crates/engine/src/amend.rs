//! Works on EV jobs that have the carrier take back or replace a message that it has.

use std::sync::Arc;

use mmsgw_domain::{
    Address, AmendJob, AmendOrder, Job, JobId, Message, QueueKind, Recipient, State, Timestamp,
};
use mmsgw_store::{Batch, Lane, Lease, NewJob, StoreError, Write};

use crate::content::ContentError;
use crate::engine::Engine;
use crate::gateway::{Amendment, AmendmentKind, Answer, Delivery, Gateway, Outcome, Verdict};
use crate::group::Group;
use crate::settle::{Change, MOST_CONFLICTS};

/// Whether the carrier has the message for this number, and no end of it is known.
pub(crate) fn is_with_carrier(recipient: &Recipient) -> bool {
    !recipient.state.is_unsent() && !recipient.state.is_final()
}

/// One try at an order, answered.
struct Tried<'a> {
    group: &'a Group,
    gateway: &'a dyn Gateway,
    job: &'a AmendJob,
    tries: u32,
    /// The numbers that the carrier was asked about.
    numbers: Vec<Address>,
    verdict: Verdict,
}

impl Engine {
    /// The job that has the carrier do it; `numbers` are those concerned where they are not all that it has.
    pub(crate) fn amend_job(&self, message: &Message, order: AmendOrder, numbers: Vec<Address>) -> Write {
        let now = self.now();
        let job = Job::AmendV1(AmendJob { message: message.id, order, numbers });
        let queue = mmsgw_domain::Queue { group: message.group.clone(), kind: QueueKind::Ev };
        Write::Enqueue(NewJob { id: JobId::generate(now), queue, lane: Lane::Normal, due: now, job })
    }

    /// Has the carrier take back or replace a message, and settles the job by the verdict.
    pub(crate) async fn amend(
        &self,
        group: &Group,
        gateway: &dyn Gateway,
        job: &AmendJob,
        lease: Lease,
        tries: u32,
    ) -> Result<(), StoreError> {
        let Some(message) = self.store.message(job.message).await? else {
            let bury = self.bury(lease, "the message of this order is gone");
            return self.commit(Batch::new().with(bury)).await;
        };
        let concerned = |r: &&Recipient| {
            if job.numbers.is_empty() { is_with_carrier(r) } else { job.numbers.contains(&r.address) }
        };
        let recipients: Vec<Recipient> = message.recipients.iter().filter(concerned).cloned().collect();
        if recipients.is_empty() {
            // It came to an end by itself.
            return self.commit(Batch::new().with(Write::Finish(lease))).await;
        }
        let numbers = recipients.iter().map(|r| r.address.clone()).collect();
        let verdict = match self.change_of(group, &message, job.order).await? {
            Ok(change) => {
                let transaction_id = lease.job.to_string();
                let message = Arc::new(message.clone());
                let (now, tap) = (self.now(), self.wiretap.tap(&message.group, Some(message.id)));
                gateway.amend(&Amendment { message, recipients, change, transaction_id, now, tap }).await
            }
            Err(why) => {
                Verdict::all(Delivery::Fail { answer: Answer::own(mmsgw_domain::Code::UNSUPPORTED, why) })
            }
        };
        self.settle_amendment(message, Tried { group, gateway, job, tries, numbers, verdict }, lease).await
    }

    /// What the carrier is asked for, or why it cannot be asked.
    async fn change_of(
        &self,
        group: &Group,
        message: &Message,
        order: AmendOrder,
    ) -> Result<Result<AmendmentKind, String>, StoreError> {
        if order == AmendOrder::Withdraw {
            return Ok(Ok(AmendmentKind::Withdraw));
        }
        let content = match self.content(message.revision).await {
            Ok(content) => content,
            Err(ContentError::Store(error)) => return Err(error),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let content = match self.fitted(group, self.outbound(message, content)).await {
            Ok(outbound) => outbound.content,
            Err(ContentError::Store(error)) => return Err(error),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let own = self.personalised(message, content);
        Ok(own.map(AmendmentKind::Replace).map_err(|error| error.to_string()))
    }

    async fn settle_amendment(
        &self,
        mut message: Message,
        tried: Tried<'_>,
        lease: Lease,
    ) -> Result<(), StoreError> {
        let _turn = self.turns.take(message.id).await;
        for _ in 0..MOST_CONFLICTS {
            let mut change = Change::new(self, message.clone());
            let mut due = None;
            for outcome in &tried.verdict.outcomes {
                let again = self.amended(&message, &mut change, &tried, outcome);
                due = [due, again].into_iter().flatten().min();
            }
            let lease = lease.clone();
            let write = due.map_or(Write::Finish(lease.clone()), |due| Write::Postpone { lease, due });
            change.push(write);
            match change.commit().await {
                Err(StoreError::Conflict(_)) => {}
                other => return other,
            }
            let again = self.store.message(message.id).await?;
            message = again.ok_or_else(|| StoreError::Corrupt(format!("message {} is gone", message.id)))?;
        }
        Err(StoreError::Conflict(format!("message {} changes all the time", message.id)))
    }

    /// Records what the carrier said; gives back when to ask again, where that is to be.
    fn amended(
        &self,
        message: &Message,
        change: &mut Change<'_>,
        tried: &Tried<'_>,
        outcome: &Outcome,
    ) -> Option<Timestamp> {
        let numbers = if outcome.recipients.is_empty() { &tried.numbers } else { &outcome.recipients };
        let state = message.recipients.iter().find(|r| numbers.contains(&r.address)).map(|r| r.state);
        let all = message.recipients.iter().all(|r| numbers.contains(&r.address));
        let (state, done, not_done) = match tried.job.order {
            AmendOrder::Withdraw => (state, State::Cancelled, "not withdrawn"),
            AmendOrder::Replace => (state, State::Acknowledged, "not replaced"),
        };
        let (state, answer) = match &outcome.delivery {
            Delivery::Sent { peer_ref, answer, .. } => {
                change.refer(peer_ref.as_deref(), numbers);
                (done, answer.clone())
            }
            Delivery::Defer { answer, pause, .. } => {
                if let Some(delay) = tried.group.settings.retry.delay(tried.tries, false, *pause) {
                    return Some(self.now().after(delay));
                }
                let description =
                    format!("{not_done}: given up after {} tries: {}", tried.tries, answer.description);
                (state?, Answer { description, ..answer.clone() })
            }
            Delivery::Fail { answer } => {
                let description = format!("{not_done}: {}", answer.description);
                (state?, Answer { description, ..answer.clone() })
            }
        };
        let named = if all { Vec::new() } else { numbers.clone() };
        change.record(change.event(state, &answer, tried.gateway.instance(), named));
        None
    }
}
