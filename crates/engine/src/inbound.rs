//! Messages that carriers hand to us: kept once, told to the application, acknowledged and reported on
//! as the group says.

use std::collections::HashSet;
use std::time::Duration;

use mmsgw_domain::{
    BlobRef, CallbackJob, CallbackSubject, Code, Direction, Event, InstanceId, Job, JobId, Message,
    MessageId, Part, PartContent, PartId, QueueKind, Recipient, Release, ReportJob, ReportKind, ReportOrder,
    RevisionId, State, Template, TemplateContent, TemplateId, Timestamp,
};
use mmsgw_store::{Batch, Lane, Lease, NewJob, Reference, ReferenceKind, StoreError, Write};

use crate::digest::trim_id;
use crate::engine::{CLAIM_SLACK, Engine};
use crate::gateway::{InboundContent, InboundMessage, InboundPart};
use crate::group::Group;

/// Text up to here is kept in the template, longer text in the media store.
const MAX_INLINE: usize = 64 << 10;

impl Engine {
    /// Keeps a carrier's message, unless it is a repetition, and does what follows from it.
    pub(crate) async fn take_message(
        &self,
        group: &Group,
        instance: &InstanceId,
        inbound: InboundMessage,
        lease: Lease,
    ) -> Result<(), StoreError> {
        let reference = fingerprint(group, &inbound);
        if let Some(id) = self.store.find(&reference).await? {
            return self.take_again(group, id, lease).await;
        }
        let until = self.inbound_end();
        let mut batch = Batch::new();
        let template = self.artificial_template(&inbound, until, &mut batch).await?;
        let message = new_message(group, instance, inbound, &template, (self.now(), until));
        let (id, fresh) = (message.id, self.fresh(&message, message.events.clone()));
        batch.push(Write::Template { template, replaces: None });
        batch.push(Write::NewReference { reference: reference.clone(), message: id, expires: until });
        self.queue_received(group, &message, &mut batch);
        self.queue_own_reports(group, &message, Occasion::Received, &[], &mut batch);
        batch.push(Write::NewMessage(message));
        batch.push(Write::Finish(lease.clone()));
        match self.commit(batch).await {
            // Another worker looked into the same message at the same time.
            Err(StoreError::Conflict(_)) => match self.store.find(&reference).await? {
                Some(first) => self.take_again(group, first, lease).await,
                None => Err(StoreError::Conflict("a new message collides with nothing".into())),
            },
            Ok(()) => {
                self.tell(fresh);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    /// A message that came before: nothing new, but the carrier may have missed our acknowledgement.
    async fn take_again(&self, group: &Group, id: MessageId, lease: Lease) -> Result<(), StoreError> {
        tracing::info!(message.id = %id, gateway.group = %group.settings.name, "message came again");
        let mut batch = Batch::new().with(Write::Finish(lease));
        if let Some(message) = self.store.message(id).await? {
            for event in message.events.iter().filter(|e| acknowledges(e.state)) {
                let order = ReportOrder {
                    code: event.code,
                    recipients: event.destinations.clone(),
                    ..ReportOrder::well(ReportKind::Acknowledgement)
                };
                self.queue_report(&message, order, &mut batch);
            }
        }
        self.commit(batch).await
    }

    /// Inbound messages are kept as long as the application may still be told of them.
    fn inbound_end(&self) -> Timestamp {
        let callbacks = self.settings.callback_retry.span() + Duration::from_secs(86_400);
        self.now().after(self.settings.message_ttl.max(callbacks)).after(CLAIM_SLACK)
    }

    async fn artificial_template(
        &self,
        inbound: &InboundMessage,
        until: Timestamp,
        batch: &mut Batch,
    ) -> Result<Template, StoreError> {
        let now = self.now();
        let mut parts = Vec::with_capacity(inbound.parts.len());
        let mut names = HashSet::new();
        for part in &inbound.parts {
            let content = self.keep_content(part, until, batch).await?;
            let name = distinct(&part.name, &mut names);
            let (id, content_type) = (PartId::generate(now), part.content_type.clone());
            parts.push(Part { id, name, content_type, content });
        }
        let content = TemplateContent { parts, origin: inbound.origin.clone(), ..inbound.content.clone() };
        let (id, revision) = (TemplateId::generate(now), RevisionId::generate(now));
        Ok(Template { id, revision, created: now, expires: until, content })
    }

    async fn keep_content(
        &self,
        part: &InboundPart,
        until: Timestamp,
        batch: &mut Batch,
    ) -> Result<PartContent, StoreError> {
        let octets = match &part.content {
            InboundContent::Text(text) if text.len() <= MAX_INLINE => {
                return Ok(PartContent::Text(text.clone()));
            }
            InboundContent::Text(text) => text.clone().into(),
            InboundContent::Octets(octets) => octets.clone(),
        };
        let size = octets.len() as u64;
        let digest = self.blobs.put(octets).await?;
        batch.push(Write::KeepBlob { digest, until });
        Ok(PartContent::Blob(BlobRef { digest, size, source: None }))
    }

    fn queue_received(&self, group: &Group, message: &Message, batch: &mut Batch) {
        let Some(url) = &group.settings.mms_received_url else { return };
        let now = self.now();
        batch.push(Write::Enqueue(NewJob {
            id: JobId::generate(now),
            queue: group.queue(QueueKind::Callback),
            lane: Lane::Normal,
            due: now,
            job: Job::CallbackV1(CallbackJob {
                url: url.clone(),
                delivery_id: format!("msg_{}", message.id),
                message: message.id,
                trace: message.trace,
                subject: CallbackSubject::InboundMessage,
            }),
        }));
    }

    /// Queues what the group sends by itself on an occasion, save for kinds that were `ordered`.
    pub(crate) fn queue_own_reports(
        &self,
        group: &Group,
        message: &Message,
        occasion: Occasion,
        ordered: &[ReportKind],
        batch: &mut Batch,
    ) {
        let features = &group.settings.features;
        let released = |release: Release| match occasion {
            Occasion::Received => release == Release::Immediate,
            Occasion::CallbackTaken => release == Release::OnCallback,
        };
        let wanted = [
            (
                ReportKind::Acknowledgement,
                message.ack_requested,
                occasion == Occasion::Received && features.auto_ack,
            ),
            (ReportKind::Delivery, message.dr_requested, released(features.auto_dr)),
            (ReportKind::Read, message.rr_requested, released(features.auto_rr)),
        ];
        for (kind, asked, due) in wanted {
            if due && asked == Some(true) && !ordered.contains(&kind) {
                self.queue_report(message, ReportOrder::well(kind), batch);
            }
        }
    }

    /// Queues a report. Delivery and read reports go out one for each number, as the protocols have
    /// it, so that each is repeated on its own.
    pub(crate) fn queue_report(&self, message: &Message, order: ReportOrder, batch: &mut Batch) {
        if order.kind == ReportKind::Acknowledgement {
            batch.push(self.report_job(message, order));
            return;
        }
        let named = |r: &&Recipient| order.recipients.is_empty() || order.recipients.contains(&r.address);
        for recipient in message.recipients.iter().filter(named) {
            let order = ReportOrder { recipients: vec![recipient.address.clone()], ..order.clone() };
            batch.push(self.report_job(message, order));
        }
    }

    fn report_job(&self, message: &Message, order: ReportOrder) -> Write {
        let now = self.now();
        Write::Enqueue(NewJob {
            id: JobId::generate(now),
            queue: mmsgw_domain::Queue { group: message.group.clone(), kind: QueueKind::Ev },
            lane: Lane::Normal,
            due: now,
            job: Job::ReportV1(ReportJob { message: message.id, order }),
        })
    }
}

/// When a group sends reports by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The message is stored.
    Received,
    /// The application took the callback.
    CallbackTaken,
}

fn acknowledges(state: State) -> bool {
    matches!(state, State::Acknowledged | State::Rejected)
}

fn fingerprint(group: &Group, inbound: &InboundMessage) -> Reference {
    let (group, kind) = (group.settings.name.clone(), ReferenceKind::Inbound);
    Reference { group, kind, value: inbound.fingerprint.clone() }
}

/// A name that no part before has: `a.jpg`, `2-a.jpg`, `3-a.jpg`.
fn distinct(name: &str, taken: &mut HashSet<String>) -> String {
    let candidates = (1..).map(|n| if n == 1 { name.to_owned() } else { format!("{n}-{name}") });
    let mut free = candidates.filter(|candidate| !taken.contains(candidate));
    let name = free.next().unwrap_or_else(|| name.to_owned());
    taken.insert(name.clone());
    name
}

fn new_message(
    group: &Group,
    instance: &InstanceId,
    inbound: InboundMessage,
    template: &Template,
    (now, until): (Timestamp, Timestamp),
) -> Message {
    let recipient = |(kind, address)| Recipient {
        address,
        kind,
        state: State::Received,
        code: Code::OK,
        updated: now,
        peer_ref: None,
        round: 0,
    };
    let mut message = Message {
        id: MessageId::generate(now),
        direction: Direction::Inbound,
        group: group.settings.name.clone(),
        template: template.id,
        revision: template.revision,
        origin: inbound.origin,
        recipients: inbound.recipients.into_iter().map(recipient).collect(),
        linked_id: inbound.linked_id,
        priority: inbound.priority,
        events_url: Vec::new(),
        ack_requested: inbound.ack_requested,
        dr_requested: inbound.dr_requested,
        rr_requested: inbound.rr_requested,
        created: now,
        processed: Some(now),
        deadline: until,
        expires: Some(until),
        instances: Vec::new(),
        peer_ref: inbound.peer_ref,
        last_tran_id: inbound.carrier_ids.as_ref().map(|ids| trim_id(&ids.transaction).to_owned()),
        ack_at_addr: inbound.ack_at_addr,
        variables: mmsgw_domain::Variables::new(),
        batch: None,
        trace: None,
        carrier_ids: inbound.carrier_ids,
        relay_server: inbound.relay_server,
        ua_caps: inbound.ua_caps,
        reply_charging_id: inbound.reply_charging_id,
        handling_app: inbound.handling_app,
        reply_to_app: inbound.reply_to_app,
        app_info: inbound.app_info,
        service_code: inbound.service_code,
        forward_counter: inbound.forward_counter,
        previously_sent: inbound.previously_sent,
        rounds: 0,
        in_doubt: false,
        events: Vec::new(),
        version: 1,
    };
    message.record(Event {
        sequence: 0,
        state: State::Received,
        code: Code::OK,
        description: "taken from the carrier".into(),
        carrier_status: None,
        details: None,
        at: now,
        instance: Some(instance.clone()),
        destinations: Vec::new(),
    });
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let mut taken = HashSet::new();
        let names = ["a.jpg", "a.jpg", "2-a.jpg", "a.jpg"].map(|name| distinct(name, &mut taken));
        assert_eq!(names, ["a.jpg", "2-a.jpg", "2-2-a.jpg", "3-a.jpg"]);
    }
}
