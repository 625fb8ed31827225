//! Works on TX jobs: hands messages to the carrier.

use std::sync::Arc;

use mmsgw_domain::{Code, Message, MessageId, Recipient, State};
use mmsgw_store::{Lease, LeasedJob, StoreError, Write};

use crate::content::{Content, ContentError};
use crate::engine::Engine;
use crate::gateway::{Answer, Delivery, FetchError, Gateway, Outbound, Verdict};
use crate::group::Group;
use crate::settle::Settlement;
use crate::worker::Slot;

/// One try of a job.
pub(crate) struct Try<'a> {
    pub(crate) lease: &'a Lease,
    /// Which one it is, from 1.
    pub(crate) tries: u32,
    /// Held until the carrier has answered.
    pub(crate) slot: Slot,
}

impl Engine {
    /// Hands one message to the carrier and settles its job by the verdict.
    pub(crate) async fn deliver(
        &self,
        group: &Group,
        gateway: &dyn Gateway,
        id: MessageId,
        Try { lease, tries, slot }: Try<'_>,
    ) -> Result<(), StoreError> {
        let _flight = self.flights.take(id).await;
        let Some(message) = self.store.message(id).await? else {
            return self.settle_without_message(lease).await;
        };
        if self.is_bulk_cancelled(&message).await? {
            drop(slot);
            return self.end_withdrawn(message, gateway.instance(), lease).await;
        }
        let (verdict, transaction) = self.attempt(group, gateway, &message).await?;
        drop(slot);
        let settlement =
            Settlement { group, instance: gateway.instance(), lease, tries, verdict, transaction };
        self.settle(message, settlement).await
    }

    /// One try. `None` as the verdict means that there is nothing left to do.
    async fn attempt(
        &self,
        group: &Group,
        gateway: &dyn Gateway,
        message: &Message,
    ) -> Result<(Option<Verdict>, Option<String>), StoreError> {
        let now = self.now();
        if !message.is_unsent() {
            return Ok((None, None));
        }
        if message.deadline <= now {
            return Ok((Some(Verdict::all(Delivery::Fail { answer: overdue() })), None));
        }
        let content = match self.content(message.revision).await {
            Ok(content) => content,
            Err(ContentError::Store(error)) => return Err(error),
            Err(error) => return Ok((Some(Verdict::all(without_content(&error))), None)),
        };
        let content = match self.personalised(message, content) {
            Ok(content) => content,
            Err(error) => {
                let answer = Answer::own(Code::UNSUPPORTED, error.to_string());
                return Ok((Some(Verdict::all(Delivery::Fail { answer })), None));
            }
        };
        group.pacer.turn().await;
        let outbound = self.outbound(message, content);
        let transaction = outbound.transaction_id.clone();
        let verdict = gateway.send(&outbound).await;
        note_health(group, &verdict);
        Ok((Some(verdict), Some(transaction)))
    }

    fn outbound(&self, message: &Message, content: Arc<Content>) -> Outbound {
        let recipients: Vec<Recipient> = message.unsent().cloned().collect();
        let transaction_id = message.transaction_id();
        Outbound { message: Arc::new(message.clone()), recipients, content, transaction_id, now: self.now() }
    }

    /// Settles a TX job whose work a defect broke off: nobody knows whether the carrier has it.
    pub(crate) async fn settle_broken(
        &self,
        group: &Group,
        gateway: &dyn Gateway,
        message: Message,
        job: &LeasedJob,
        why: &str,
    ) -> Result<(), StoreError> {
        let answer = Answer::own(Code::UNSPECIFIED, why);
        let verdict = Verdict::all(Delivery::Defer { answer, later: false, heard: false, pause: None });
        let (verdict, transaction) = (Some(verdict), None);
        let instance = gateway.instance();
        let settlement =
            Settlement { group, instance, lease: &job.lease, tries: job.tries, verdict, transaction };
        self.settle(message, settlement).await
    }

    async fn settle_without_message(&self, lease: &Lease) -> Result<(), StoreError> {
        let bury: Write = self.bury(lease.clone(), "the message of this job is gone");
        self.store.commit(std::iter::once(bury).collect()).await
    }
}

/// The answer for a message whose time is over before it was sent.
fn overdue() -> Answer {
    Answer::own(Code::EXPIRED, "its time was over before it could be sent")
}

/// The state that a given up message ends in.
pub(crate) fn end_state(answer: &Answer) -> State {
    if answer.code == Code::EXPIRED && answer.carrier_status.is_none() {
        State::Expired
    } else {
        State::Failed
    }
}

fn without_content(error: &ContentError) -> Delivery {
    let text = error.to_string();
    let fail = |code| Delivery::Fail { answer: Answer::own(code, text.clone()) };
    match error {
        ContentError::Fetch { error: FetchError::Later(_), .. } | ContentError::Store(_) => Delivery::Defer {
            answer: Answer::own(Code::UNSPECIFIED, text),
            later: false,
            heard: false,
            pause: None,
        },
        ContentError::Fetch { error: FetchError::Missing(_), .. } | ContentError::Gone(_) => {
            fail(Code::UNKNOWN)
        }
        ContentError::Fetch { error: FetchError::Refused(_), .. } => fail(Code::UNSUPPORTED),
    }
}

/// Tells the breaker how the carrier is.
fn note_health(group: &Group, verdict: &Verdict) {
    for outcome in &verdict.outcomes {
        match &outcome.delivery {
            Delivery::Defer { later: true, pause, .. } => group.breaker.trouble(*pause),
            Delivery::Defer { heard: false, .. } => group.breaker.trouble(None),
            Delivery::Defer { .. } | Delivery::Sent { .. } | Delivery::Fail { .. } => group.breaker.well(),
        }
    }
}
