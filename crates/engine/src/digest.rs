//! Works on RX jobs: understands what a carrier handed to us.

use mmsgw_domain::{
    AnswerJob, AnswerTo, CarrierReport, Code, Direction, InstanceId, IntakeJob, Job, JobId, Message,
    MessageId, QueueKind,
};
use mmsgw_store::{Batch, Lane, Lease, NewJob, Reference, ReferenceKind, StoreError, Write};

use crate::engine::Engine;
use crate::gateway::{Gateway, Incoming};
use crate::group::Group;
use crate::notes::{Clerk, Matter, Note, Noted};

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
                self.take_report(group, gateway.instance(), (report, answer), lease, tries).await
            }
            Ok(Incoming::Message(inbound)) => {
                self.take_message(group, gateway.instance(), *inbound, lease).await
            }
            Ok(Incoming::Nothing(why)) => {
                tracing::info!(gateway.group = %group.settings.name, peer = intake.peer, "nothing to do: {why}");
                self.commit(Batch::new().with(Write::Finish(lease))).await
            }
            Err(unreadable) => {
                tracing::warn!(gateway.group = %group.settings.name, peer = intake.peer, "unreadable: {unreadable}");
                let mut batch = Batch::new().with(self.bury(lease, &format!("unreadable: {unreadable}")));
                if let Some(answer) = unreadable.answer {
                    batch.push(self.answer_job(group, *answer));
                }
                self.commit(batch).await
            }
        }
    }

    /// Records a carrier's report on a message of ours. One that fits no message yet is looked at
    /// again for a while: it may be faster than our own record of having sent the message.
    async fn take_report(
        &self,
        group: &Group,
        instance: &InstanceId,
        (report, answer): (CarrierReport, Option<AnswerTo>),
        lease: Lease,
        tries: u32,
    ) -> Result<(), StoreError> {
        let Some(id) = self.correlate(group, &report).await? else {
            return self.wait_for_message(group, &report, answer, (lease, tries)).await;
        };
        let matter = Matter::Heard(Box::new((report.clone(), answer.clone())));
        let note = Note::new(lease.clone(), tries, matter);
        match self.note(Clerk { group, instance }, id, note).await? {
            Noted::Done => Ok(()),
            Noted::Gone => self.wait_for_message(group, &report, answer, (lease, tries)).await,
        }
    }

    async fn wait_for_message(
        &self,
        group: &Group,
        report: &CarrierReport,
        answer: Option<AnswerTo>,
        (lease, tries): (Lease, u32),
    ) -> Result<(), StoreError> {
        let ids = [&report.about.transaction, &report.about.message];
        let named = ids.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" / ");
        let reason = format!("a report names an unknown message: {named}");
        tracing::info!(gateway.group = %group.settings.name, tries, "{reason}");
        let write = self.retry_or_bury(&self.settings.report_retry, lease, tries, &reason);
        let given_up = matches!(write, Write::Bury { .. });
        let mut batch = Batch::new().with(write);
        if let Some(to) = answer.filter(|_| given_up) {
            batch.push(self.answer_to_report(group, &to, Code::UNKNOWN));
        }
        self.commit(batch).await
    }

    /// The job that answers a report.
    pub(crate) fn answer_to_report(&self, group: &Group, to: &AnswerTo, code: Code) -> Write {
        self.answer_job(group, AnswerJob { to: to.clone(), code, description: None })
    }

    fn answer_job(&self, group: &Group, answer: AnswerJob) -> Write {
        let now = self.now();
        let (id, queue) = (JobId::generate(now), group.queue(QueueKind::Ev));
        Write::Enqueue(NewJob { id, queue, lane: Lane::Normal, due: now, job: Job::AnswerV1(answer) })
    }

    /// The message that a report is about: by an id of ours in it, else by the carrier's id.
    async fn correlate(
        &self,
        group: &Group,
        report: &CarrierReport,
    ) -> Result<Option<MessageId>, StoreError> {
        let ids: Vec<&str> = [&report.about.transaction, &report.about.message]
            .into_iter()
            .flatten()
            .map(|id| trim_id(id))
            .collect();
        for id in ids.iter().filter_map(|id| Message::id_in(id)) {
            if self.is_own(group, id).await? {
                return Ok(Some(id));
            }
        }
        for id in ids {
            let (group_name, kind) = (group.settings.name.clone(), ReferenceKind::Outbound);
            let reference = Reference { group: group_name, kind, value: id.to_owned() };
            if let Some(id) = self.store.find(&reference).await? {
                return Ok(self.is_own(group, id).await?.then_some(id));
            }
        }
        Ok(None)
    }

    /// Whether this group sent that message; a carrier has no say over those of another.
    async fn is_own(&self, group: &Group, id: MessageId) -> Result<bool, StoreError> {
        let ours = |m: &Message| m.group == group.settings.name && m.direction == Direction::Outbound;
        Ok(self.store.message(id).await?.as_ref().is_some_and(ours))
    }
}

/// An id as it is compared: without white space and one pair of quotes around it.
pub(crate) fn trim_id(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('"').and_then(|id| id.strip_suffix('"')).unwrap_or(id).trim()
}
