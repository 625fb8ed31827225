//! Works on EV jobs: tells the carrier about messages that it handed to us, and answers its requests.

use std::sync::Arc;

use mmsgw_domain::{Address, AnswerJob, Direction, GroupName, Message, MessageId, ReportJob, ReportOrder};
use mmsgw_store::{Batch, Lease, StoreError, Write};

use crate::engine::Engine;
use crate::gateway::{Answer, Delivery, Gateway, OutboundAnswer, OutboundReport, Verdict};
use crate::group::Group;
use crate::idempotency::{Claim, KeptResult};
use crate::notes::{Clerk, Matter, Note, Noted};
use crate::refusal::{Field, Refusal};

/// What an application repeats of what the message knows already: where it is given, it must agree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// The group.
    pub group: Option<GroupName>,
    /// The message.
    pub message: Option<MessageId>,
    /// The carrier's id of the message.
    pub peer_ref: Option<String>,
}

impl Engine {
    /// Queues a report that an application orders on an inbound message.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where there is no such message, [`Refusal::Invalid`] where the order does
    /// not fit it.
    pub async fn order_report(
        &self,
        id: MessageId,
        order: ReportOrder,
        agreement: &Agreement,
    ) -> Result<(), Refusal> {
        self.order_report_once(id, order, agreement, None).await
    }

    /// The same, once for each claim.
    ///
    /// # Errors
    /// As [`Engine::order_report`]; [`Refusal::Conflict`] where another took the claim over.
    pub async fn order_report_once(
        &self,
        id: MessageId,
        order: ReportOrder,
        agreement: &Agreement,
        claim: Option<&Claim>,
    ) -> Result<(), Refusal> {
        let message = self.store.message(id).await?.filter(|m| m.direction == Direction::Inbound);
        let message = message.ok_or(Refusal::Unknown("inbound message"))?;
        check_agreement(&message, agreement)?;
        check_recipients(&message, &order)?;
        let mut batch = Batch::new();
        self.queue_report(&message, order, &mut batch);
        batch.extend(claim.map(|claim| claim.closed(KeptResult::Nothing)));
        Ok(self.commit(batch).await?)
    }

    /// Hands one report to the carrier and settles its job by the verdict.
    pub(crate) async fn send_report(
        &self,
        group: &Group,
        gateway: &dyn Gateway,
        job: ReportJob,
        lease: Lease,
        tries: u32,
    ) -> Result<(), StoreError> {
        let Some(message) = self.store.message(job.message).await? else {
            let bury = self.bury(lease, "the message of this report is gone");
            return self.commit(Batch::new().with(bury)).await;
        };
        let report = OutboundReport {
            tap: self.wiretap.tap(&message.group, Some(message.id)),
            message: Arc::new(message),
            order: job.order,
            transaction_id: lease.job.to_string(),
            now: self.now(),
        };
        let verdict = gateway.report(&report).await;
        if let Some(write) = self.after_try(group, Some(job.message), &verdict, (&lease, tries)) {
            return self.commit(Batch::new().with(write)).await;
        }
        let description = told(&report.order, &verdict);
        let matter = Matter::Told { order: report.order, description };
        let clerk = Clerk { group, instance: gateway.instance() };
        match self.note(clerk, job.message, Note::new(lease.clone(), tries, matter)).await? {
            Noted::Done => Ok(()),
            Noted::Gone => self.commit(Batch::new().with(Write::Finish(lease))).await,
        }
    }

    /// Answers one request of the carrier's and settles the job by the verdict.
    pub(crate) async fn send_answer(
        &self,
        group: &Group,
        gateway: &dyn Gateway,
        job: &AnswerJob,
        lease: Lease,
        tries: u32,
    ) -> Result<(), StoreError> {
        let tap = self.tap(&group.settings.name);
        let verdict = gateway.answer(&OutboundAnswer { job, now: self.now(), tap }).await;
        let write = self.after_try(group, None, &verdict, (&lease, tries)).unwrap_or(Write::Finish(lease));
        self.commit(Batch::new().with(write)).await
    }

    /// How a job goes on that did not come through; `None` where it did.
    fn after_try(
        &self,
        group: &Group,
        message: Option<MessageId>,
        verdict: &Verdict,
        (lease, tries): (&Lease, u32),
    ) -> Option<Write> {
        let (answer, retry) = verdict.outcomes.iter().find_map(|outcome| match &outcome.delivery {
            Delivery::Sent { .. } => None,
            Delivery::Defer { answer, later, pause, .. } => Some((answer, Some((*later, *pause)))),
            Delivery::Fail { answer } => Some((answer, None)),
        })?;
        // "Later" has no deadline here, so the usual number of tries is all there is.
        let delay = retry.and_then(|(_, pause)| group.settings.retry.delay(tries, false, pause));
        tracing::info!(
            message.id = message.map(tracing::field::display), gateway.group = %group.settings.name, tries,
            "report not taken: {}", answer.description
        );
        Some(match delay {
            Some(delay) => Write::Postpone { lease: lease.clone(), due: self.now().after(delay) },
            None => self.bury(lease.clone(), &answer.description),
        })
    }
}

fn told(order: &ReportOrder, verdict: &Verdict) -> String {
    let answer = verdict.outcomes.iter().find_map(|outcome| match &outcome.delivery {
        Delivery::Sent { answer, .. } => Some(answer),
        Delivery::Defer { .. } | Delivery::Fail { .. } => None,
    });
    let own = order.description.as_deref();
    own.or(answer.map(|answer: &Answer| answer.description.as_str()))
        .unwrap_or("the carrier was told")
        .to_owned()
}

fn check_agreement(message: &Message, agreement: &Agreement) -> Result<(), Refusal> {
    let differs =
        |field, what: &str| Err(Refusal::invalid(field, format!("{what} is not that of the message")));
    if agreement.group.as_ref().is_some_and(|group| *group != message.group) {
        return differs(Field::Gateway, "the gateway");
    }
    if agreement.message.is_some_and(|id| id != message.id) {
        return differs(Field::Message, "the id");
    }
    if agreement.peer_ref.is_some() && agreement.peer_ref != message.peer_ref {
        return differs(Field::PeerRef, "peer_ref");
    }
    Ok(())
}

fn check_recipients(message: &Message, order: &ReportOrder) -> Result<(), Refusal> {
    let known = |address: &Address| message.recipients.iter().any(|r| r.address == *address);
    match order.recipients.iter().find(|address| !known(address)) {
        Some(stranger) => {
            let why = format!("`{stranger}` is not among the numbers of the message");
            Err(Refusal::invalid(Field::AppliesTo, why))
        }
        None => Ok(()),
    }
}
