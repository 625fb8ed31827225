//! Works on RX jobs: understands what a carrier handed to us.

use mmsgw_domain::{
    Address, AnswerJob, AnswerTo, CarrierReport, Code, Direction, Event, InstanceId, IntakeJob, Job, JobId,
    Message, MessageId, QueueKind, Recipient, ReportKind, State,
};
use mmsgw_store::{Batch, Lane, Lease, NewJob, Reference, ReferenceKind, StoreError, Write};

use crate::engine::Engine;
use crate::gateway::{Gateway, Incoming};
use crate::group::Group;
use crate::settle::{Change, MOST_CONFLICTS, repeats};

impl Engine {
    /// Reads what came in, and does what follows from it.
    pub(crate) async fn digest(
        &self,
        group: &Group,
        gateway: &dyn Gateway,
        intake: &IntakeJob,
        lease: Lease,
        tries: u32,
    ) -> Result<(), StoreError> {
        match gateway.read(intake) {
            Ok(Incoming::Report { report, answer }) => {
                let order = Received { report: &report, answer: answer.as_ref() };
                self.take_report(group, gateway.instance(), order, lease, tries).await
            }
            Ok(Incoming::Message(inbound)) => {
                self.take_message(group, gateway.instance(), *inbound, lease).await
            }
            Ok(Incoming::Nothing(why)) => {
                tracing::info!(gateway.group = %group.settings.name, peer = intake.peer, "nothing to do: {why}");
                self.store.commit(Batch::new().with(Write::Finish(lease))).await
            }
            Err(unreadable) => {
                tracing::warn!(gateway.group = %group.settings.name, peer = intake.peer, "unreadable: {unreadable}");
                let mut batch = Batch::new().with(self.bury(lease, &format!("unreadable: {unreadable}")));
                if let Some(answer) = unreadable.answer {
                    batch.push(self.answer_job(group, *answer));
                }
                self.store.commit(batch).await
            }
        }
    }

    /// Records a carrier's report on a message of ours. One that fits no message yet is looked at
    /// again for a while: it may be faster than our own record of having sent the message.
    async fn take_report(
        &self,
        group: &Group,
        instance: &InstanceId,
        received: Received<'_>,
        lease: Lease,
        tries: u32,
    ) -> Result<(), StoreError> {
        let report = received.report;
        let Some(mut message) = self.correlate(group, report).await? else {
            return self.wait_for_message(group, received, lease, tries).await;
        };
        if is_early(report, &message)
            && let Some(delay) = self.settings.report_retry.delay(tries, false, None)
        {
            let due = self.now().after(delay);
            return self.store.commit(Batch::new().with(Write::Postpone { lease, due })).await;
        }
        let _turn = self.turns.take(message.id).await;
        for _ in 0..MOST_CONFLICTS {
            let event = event_of(report, &message, instance, self.now());
            let mut change = Change::new(self, &message);
            change.handed_over();
            if repeats(&message, &event) {
                tracing::debug!(message.id = %message.id, state = %event.state, "a report came again");
            } else {
                change.record(event);
            }
            let mut batch = change.commit_with(Write::Finish(lease.clone()));
            self.answer_report(group, received.answer, Code::OK, &mut batch);
            match self.store.commit(batch).await {
                Err(StoreError::Conflict(_)) => {}
                other => return other,
            }
            let Some(again) = self.store.message(message.id).await? else {
                return self.wait_for_message(group, received, lease, tries).await;
            };
            message = again;
        }
        Err(StoreError::Conflict("the message of a report changes all the time".into()))
    }

    async fn wait_for_message(
        &self,
        group: &Group,
        received: Received<'_>,
        lease: Lease,
        tries: u32,
    ) -> Result<(), StoreError> {
        let report = received.report;
        let ids = [&report.about.transaction, &report.about.message];
        let named = ids.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" / ");
        let reason = format!("a report names an unknown message: {named}");
        tracing::info!(gateway.group = %group.settings.name, tries, "{reason}");
        let write = self.retry_or_bury(&self.settings.report_retry, lease, tries, &reason);
        let given_up = matches!(write, Write::Bury { .. });
        let mut batch = Batch::new().with(write);
        if given_up {
            self.answer_report(group, received.answer, Code::UNKNOWN, &mut batch);
        }
        self.store.commit(batch).await
    }

    fn answer_report(&self, group: &Group, to: Option<&AnswerTo>, code: Code, batch: &mut Batch) {
        if let Some(to) = to.cloned() {
            batch.push(self.answer_job(group, AnswerJob { to, code, description: None }));
        }
    }

    fn answer_job(&self, group: &Group, answer: AnswerJob) -> Write {
        let now = self.now();
        let (id, queue) = (JobId::generate(now), group.queue(QueueKind::Ev));
        Write::Enqueue(NewJob { id, queue, lane: Lane::Normal, due: now, job: Job::AnswerV1(answer) })
    }

    /// The message that a report is about: by an id of ours in it, else by the carrier's id.
    async fn correlate(&self, group: &Group, report: &CarrierReport) -> Result<Option<Message>, StoreError> {
        let ids: Vec<&str> = [&report.about.transaction, &report.about.message]
            .into_iter()
            .flatten()
            .map(|id| trim_id(id))
            .collect();
        for id in ids.iter().filter_map(|id| Message::id_in(id)) {
            if let Some(message) = self.own_message(group, id).await? {
                return Ok(Some(message));
            }
        }
        for id in ids {
            let (group_name, kind) = (group.settings.name.clone(), ReferenceKind::Outbound);
            let reference = Reference { group: group_name, kind, value: id.to_owned() };
            if let Some(id) = self.store.find(&reference).await? {
                return self.own_message(group, id).await;
            }
        }
        Ok(None)
    }

    /// A message that this group sent; a carrier has no say over those of another.
    async fn own_message(&self, group: &Group, id: MessageId) -> Result<Option<Message>, StoreError> {
        let ours = |m: &Message| m.group == group.settings.name && m.direction == Direction::Outbound;
        Ok(self.store.message(id).await?.filter(ours))
    }
}

/// A report with the answer that the carrier wants for it.
#[derive(Clone, Copy)]
struct Received<'a> {
    report: &'a CarrierReport,
    answer: Option<&'a AnswerTo>,
}

/// An id as it is compared: without white space and one pair of quotes around it.
fn trim_id(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('"').and_then(|id| id.strip_suffix('"')).unwrap_or(id).trim()
}

fn event_of(
    report: &CarrierReport,
    message: &Message,
    instance: &InstanceId,
    now: mmsgw_domain::Timestamp,
) -> Event {
    let what = match report.kind {
        ReportKind::Acknowledgement => "the carrier's acknowledgement",
        ReportKind::Delivery => "delivery report",
        ReportKind::Read => "read report",
    };
    Event {
        sequence: 0,
        state: report.state,
        code: report.code,
        description: report
            .description
            .clone()
            .unwrap_or_else(|| format!("{what}: {}", report.carrier_status)),
        carrier_status: Some(report.carrier_status.clone()),
        // A carrier's clock is believed as far as it makes sense.
        at: report.at.filter(|at| *at >= message.created && *at <= now).unwrap_or(now),
        instance: Some(instance.clone()),
        destinations: concerned(report, message),
    }
}

/// The numbers that a report is about; none where it is about all of the message's.
///
/// A report that names somebody else is believed where the message has but one number. Otherwise the
/// event names the stranger, and no number of the message moves.
fn concerned(report: &CarrierReport, message: &Message) -> Vec<Address> {
    let among = |named: &[Address]| -> Vec<Address> {
        message.recipients.iter().map(|r| &r.address).filter(|a| named.contains(a)).cloned().collect()
    };
    let found = [among(&report.recipients), among(&report.other_party)].into_iter().find(|n| !n.is_empty());
    match found {
        Some(numbers) if numbers.len() == message.recipients.len() => Vec::new(),
        Some(numbers) => numbers,
        None if message.recipients.len() == 1 => Vec::new(),
        None if is_silent_on_numbers(report) => taken(message),
        None => report.recipients.clone(),
    }
}

/// An acknowledgement of a mail as a whole.
fn is_silent_on_numbers(report: &CarrierReport) -> bool {
    report.kind == ReportKind::Acknowledgement && report.recipients.is_empty()
}

/// True where an acknowledgement was faster than our own record of which numbers the carrier took: it must not
/// move one that the carrier put off, which would never be sent again.
fn is_early(report: &CarrierReport, message: &Message) -> bool {
    is_silent_on_numbers(report)
        && message.recipients.len() > 1
        && message.is_unsent()
        && !message.recipients.iter().any(is_taken)
}

/// The numbers that the carrier took, for an acknowledgement of a mail as a whole; none where that is all.
fn taken(message: &Message) -> Vec<Address> {
    if message.recipients.iter().all(is_taken) {
        return Vec::new();
    }
    message.recipients.iter().filter(|r| is_taken(r)).map(|r| r.address.clone()).collect()
}

fn is_taken(recipient: &Recipient) -> bool {
    let given_up = [State::Failed, State::Rejected, State::Expired, State::Cancelled];
    !recipient.state.is_unsent() && !given_up.contains(&recipient.state)
}
