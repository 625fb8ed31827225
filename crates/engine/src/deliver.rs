//! Works on TX jobs: hands messages to the carrier.

use std::sync::Arc;

use mmsgw_domain::{Code, InstanceId, Message, MessageId, QueueKind, Recipient, State};
use mmsgw_store::{Batch, Lease, LeasedJob, StoreError, Write};

use crate::content::{Content, ContentError};
use crate::engine::Engine;
use crate::gateway::{Answer, Delivery, FetchError, Outbound, Verdict};
use crate::group::Group;
use crate::settle::Settlement;
use crate::worker::{Place, Slot};

/// One try of a job.
pub(crate) struct Try<'a> {
    pub(crate) lease: &'a Lease,
    /// Which one it is, from 1.
    pub(crate) tries: u32,
    /// Held until the carrier has answered.
    pub(crate) slot: Slot,
}

/// How far one try came.
enum Attempt {
    /// Somebody said what became of it.
    Said {
        verdict: Verdict,
        /// The transaction id that was used with the carrier, where it came to that.
        transaction: Option<String>,
    },
    /// No number of the message is left to be served.
    NothingLeft,
    /// The instance may not go on: the job goes back as if it had not been taken.
    NotBegun,
}

impl Attempt {
    fn without_carrier(delivery: Delivery) -> Self {
        Self::Said { verdict: Verdict::all(delivery), transaction: None }
    }
}

impl Engine {
    /// Hands one message to the carrier and settles its job by the verdict.
    pub(crate) async fn deliver(
        &self,
        place: Place<'_>,
        id: MessageId,
        Try { lease, tries, slot }: Try<'_>,
    ) -> Result<(), StoreError> {
        let Place { group, instance, .. } = place;
        let _flight = self.flights.take(id).await;
        let Some(message) = self.store.message(id).await? else {
            return self.settle_without_message(lease).await;
        };
        if message.group != group.settings.name {
            // It was moved to another group, whose queue has a job for it.
            return self.commit(Batch::new().with(Write::Finish(lease.clone()))).await;
        }
        if self.is_bulk_cancelled(&message).await? {
            drop(slot);
            return self.end_withdrawn(message, instance.id(), lease).await;
        }
        let (verdict, transaction) = match self.attempt(place, &message, tries).await? {
            Attempt::Said { verdict, transaction } => (Some(verdict), transaction),
            Attempt::NothingLeft => (None, None),
            Attempt::NotBegun => {
                let release = Write::Release { lease: lease.clone(), due: self.now() };
                return self.commit(Batch::new().with(release)).await;
            }
        };
        drop(slot);
        let instance = instance.id();
        let settlement = Settlement { group, instance, lease, tries, verdict, transaction };
        self.settle(message, settlement).await
    }

    /// A message as it would be handed to the carrier now, its media loaded and made to fit. Hands over nothing.
    ///
    /// # Errors
    /// [`ContentError`]: there is no such message, or a part cannot be had or does not fit.
    pub async fn prepare(&self, id: MessageId) -> Result<Outbound, ContentError> {
        let gone = || ContentError::Gone(format!("message {id} is gone"));
        let message = self.store.message(id).await?.ok_or_else(gone)?;
        let content = self.content(message.revision).await?;
        let outbound = self.outbound(&message, content);
        match self.group(&message.group) {
            Some(group) => self.fitted(&group, outbound).await,
            None => Ok(outbound),
        }
    }

    async fn attempt(&self, place: Place<'_>, message: &Message, tries: u32) -> Result<Attempt, StoreError> {
        let Place { group, instance, gateway } = place;
        let now = self.now();
        if !message.is_unsent() {
            return Ok(Attempt::NothingLeft);
        }
        if message.deadline <= now {
            return Ok(Attempt::without_carrier(Delivery::Fail { answer: overdue() }));
        }
        let content = match self.content(message.revision).await {
            Ok(content) => content,
            Err(ContentError::Store(error)) => return Err(error),
            Err(error) => return Ok(Attempt::without_carrier(without_content(&error))),
        };
        let mut outbound = match self.fitted(group, self.outbound(message, content)).await {
            Ok(outbound) => outbound,
            Err(ContentError::Store(error)) => return Err(error),
            Err(error) => return Ok(Attempt::without_carrier(without_content(&error))),
        };
        if let Err(error) = self.speak(group, &mut outbound) {
            return Ok(Attempt::without_carrier(error));
        }
        tokio::select! {
            biased;
            () = instance.hands_back() => return Ok(Attempt::NotBegun),
            turn = group.pacer.turn(self.registry.as_ref()) => turn?,
        }
        outbound.now = self.now();
        let transaction = outbound.transaction_id.clone();
        let began = std::time::Instant::now();
        let verdict = gateway.send(&outbound).await;
        let took = began.elapsed();
        group.measures.exchange(took);
        self.trace_send(message, tries, (outbound.now, took), &verdict);
        self.note_health(place, &verdict).await;
        Ok(Attempt::Said { verdict, transaction: Some(transaction) })
    }

    /// Tells the breaker how the carrier is, and the group's other instances where it wants patience.
    async fn note_health(&self, place: Place<'_>, verdict: &Verdict) {
        let Place { group, instance, .. } = place;
        for outcome in &verdict.outcomes {
            let hold = match &outcome.delivery {
                Delivery::Defer { later: true, pause, answer, .. } => {
                    instance.trouble(&answer.description);
                    group.breaker.trouble(*pause)
                }
                Delivery::Defer { heard: false, answer, .. } => {
                    instance.trouble(&answer.description);
                    group.breaker.trouble(None)
                }
                Delivery::Fail { answer } => {
                    instance.trouble(&answer.description);
                    group.breaker.well();
                    None
                }
                Delivery::Defer { .. } | Delivery::Sent { .. } => {
                    group.breaker.well();
                    None
                }
            };

            if let Some(hold) = hold
                && let Err(error) =
                    self.store.hold_back(&group.queue(QueueKind::Tx), self.now().after(hold)).await
            {
                tracing::warn!(gateway.group = %group.settings.name, %error, "cannot hold the group back");
            }
        }
    }

    /// Puts the message's own words into its content.
    fn speak(&self, group: &Group, outbound: &mut Outbound) -> Result<(), Delivery> {
        let content = self.personalised(&outbound.message, Arc::clone(&outbound.content));
        let unfit = |why: String| Delivery::Fail { answer: Answer::own(Code::UNSUPPORTED, why) };
        outbound.content = content.map_err(|error| unfit(error.to_string()))?;
        if outbound.content.personal {
            self.judge(group, outbound).map_err(|error| unfit(error.to_string()))?;
        }
        Ok(())
    }

    pub(crate) fn outbound(&self, message: &Message, content: Arc<Content>) -> Outbound {
        let recipients: Vec<Recipient> = message.unsent().cloned().collect();
        let transaction_id = message.transaction_id();
        let tap = self.wiretap.tap(&message.group, Some(message.id));
        Outbound {
            message: Arc::new(message.clone()),
            recipients,
            content,
            transaction_id,
            now: self.now(),
            tap,
        }
    }

    /// Settles a TX job whose work a defect broke off: nobody knows whether the carrier has it.
    pub(crate) async fn settle_broken(
        &self,
        group: &Group,
        instance: &InstanceId,
        message: Message,
        job: &LeasedJob,
        why: &str,
    ) -> Result<(), StoreError> {
        let answer = Answer::own(Code::UNSPECIFIED, why);
        let verdict = Verdict::all(Delivery::Defer { answer, later: false, heard: false, pause: None });
        let (verdict, transaction) = (Some(verdict), None);
        let settlement =
            Settlement { group, instance, lease: &job.lease, tries: job.tries, verdict, transaction };
        self.settle(message, settlement).await
    }

    async fn settle_without_message(&self, lease: &Lease) -> Result<(), StoreError> {
        let bury: Write = self.bury(lease.clone(), "the message of this job is gone");
        self.commit(std::iter::once(bury).collect()).await
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
        ContentError::Fetch { error: FetchError::Refused(_), .. } | ContentError::Unfit(_) => {
            fail(Code::UNSUPPORTED)
        }
    }
}
