//! What cases need again and again: a store with its clock, sample records, and short words.

use std::sync::Arc;
use std::time::Duration;

use mmsgw_domain::{
    Address, Clock, Code, Digest, Direction, GroupName, Id, InstanceId, Job, Message, MessageId, Part,
    PartContent, Queue, QueueKind, Recipient, RecipientKind, State, Template, TemplateContent, Timestamp,
    TransmitJob,
};

use super::ManualClock;
use crate::{
    Batch, Lane, LeaseRequest, Leased, LeasedJob, NewJob, Reference, ReferenceKind, Store, StoreError, Write,
};

/// A store under test and its clock.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<ManualClock>,
}

/// How long leases last unless a case says otherwise.
pub(super) const HOLD: Duration = Duration::from_secs(60);

impl Bench {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<ManualClock>) -> Self {
        Self { store, clock }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The point `seconds` from now.
    pub(super) fn at(&self, seconds: u64) -> Timestamp {
        self.now().after(Duration::from_secs(seconds))
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Commits what must succeed.
    pub(super) async fn commit(&self, writes: impl IntoIterator<Item = Write>) {
        self.try_commit(writes).await.expect("the batch is in order");
    }

    pub(super) async fn try_commit(&self, writes: impl IntoIterator<Item = Write>) -> Result<(), StoreError> {
        self.store.commit(writes.into_iter().collect::<Batch>()).await
    }

    /// Commits what must be refused because something changed meanwhile.
    pub(super) async fn conflict(&self, writes: impl IntoIterator<Item = Write>) {
        let result = self.try_commit(writes).await;
        assert!(matches!(result, Err(StoreError::Conflict(_))), "expected a conflict: {result:?}");
    }

    /// Commits what must be refused because of a lease.
    pub(super) async fn lost(&self, writes: impl IntoIterator<Item = Write>) {
        let result = self.try_commit(writes).await;
        assert!(matches!(result, Err(StoreError::LeaseLost)), "expected a lost lease: {result:?}");
    }

    pub(super) async fn lease(&self, queue: &Queue, max: usize) -> Leased {
        self.lease_for(queue, max, HOLD).await
    }

    pub(super) async fn lease_for(&self, queue: &Queue, max: usize, hold: Duration) -> Leased {
        let request = LeaseRequest { queue: queue.clone(), max, owner: self.owner(queue), hold };
        self.store.lease(request).await.expect("a lease works")
    }

    /// Who leases the jobs of a queue.
    pub(super) fn owner(&self, queue: &Queue) -> InstanceId {
        InstanceId::new(&queue.group, "test", "here", 1)
    }

    /// Leases the one job that must be due.
    pub(super) async fn lease_one(&self, queue: &Queue) -> LeasedJob {
        let mut leased = self.lease(queue, 2).await;
        assert_eq!(leased.jobs.len(), 1, "one job is due");
        leased.jobs.remove(0)
    }

    pub(super) async fn message(&self, id: MessageId) -> Option<Message> {
        self.store.message(id).await.expect("a message is read")
    }

    /// A job due now in the normal lane.
    pub(super) fn job(&self, queue: &Queue) -> NewJob {
        self.job_at(queue, Lane::Normal, self.now())
    }

    pub(super) fn job_at(&self, queue: &Queue, lane: Lane, due: Timestamp) -> NewJob {
        let job = Job::TransmitV1(TransmitJob { message: Id::generate(self.now()) });
        NewJob { id: Id::generate(self.now()), queue: queue.clone(), lane, due, job }
    }

    /// An unsent message without an end.
    pub(super) fn new_message(&self) -> Message {
        let now = self.now();
        Message {
            id: Id::generate(now),
            direction: Direction::Outbound,
            group: group("main"),
            template: Id::generate(now),
            revision: Id::generate(now),
            origin: address("12345"),
            recipients: vec![Recipient {
                address: address("+12065550100"),
                kind: RecipientKind::To,
                state: State::Scheduled,
                code: Code::OK,
                updated: now,
                peer_ref: None,
                round: 0,
            }],
            linked_id: Some("an earlier one".to_owned()),
            priority: None,
            events_url: vec!["https://app.example.org/events".to_owned()],
            ack_requested: None,
            dr_requested: Some(true),
            rr_requested: None,
            created: now,
            processed: None,
            deadline: self.at(3600),
            expires: None,
            instances: Vec::new(),
            peer_ref: None,
            last_tran_id: None,
            ack_at_addr: None,
            variables: mmsgw_domain::Variables::new(),
            batch: None,
            trace: None,
            carrier_ids: None,
            relay_server: None,
            ua_caps: None,
            reply_charging_id: None,
            handling_app: None,
            reply_to_app: None,
            app_info: Some("naïve \u{1F600} \"quoted\"\r\n".to_owned()),
            service_code: None,
            forward_counter: None,
            previously_sent: Vec::new(),
            rounds: 0,
            in_doubt: false,
            events: Vec::new(),
            version: 1,
        }
    }

    /// A template of one text part.
    pub(super) fn new_template(&self, expires: Timestamp) -> Template {
        let now = self.now();
        let content = TemplateContent {
            origin: address("12345"),
            show_sender: None,
            earliest_delivery: None,
            latest_delivery: None,
            expire_after: Some(Duration::from_millis(86_400_001)),
            message_class: None,
            content_class: None,
            charged_party: None,
            charged_party_id: None,
            drm: None,
            content_adaptation: None,
            can_redistribute: None,
            defaults: mmsgw_domain::Variables::new(),
            personal: false,
            reply_charging: None,
            reply_charging_size: None,
            reply_deadline: None,
            delivery_conditions: None,
            subject: Some("Grüße".to_owned()),
            parts: vec![self.new_part()],
        };
        Template { id: Id::generate(now), revision: Id::generate(now), created: now, expires, content }
    }

    pub(super) fn new_part(&self) -> Part {
        Part {
            id: Id::generate(self.now()),
            name: "hello.txt".to_owned(),
            content_type: "text/plain; charset=utf-8".to_owned(),
            content: PartContent::Text("Hello".to_owned()),
        }
    }
}

/// The template's next revision.
pub(super) fn revised(template: &Template, subject: &str) -> Template {
    let mut next = template.clone();
    next.revision = Id::generate(template.created);
    next.content.subject = Some(subject.to_owned());
    next
}

/// The message as the next one to change it would hand it over.
pub(super) fn changed(message: &Message, tran_id: &str) -> Message {
    let mut next = message.clone();
    next.version += 1;
    next.last_tran_id = Some(tran_id.to_owned());
    next
}

pub(super) fn queue(name: &str) -> Queue {
    Queue { group: group(name), kind: QueueKind::Tx }
}

pub(super) fn group(name: &str) -> GroupName {
    name.parse().expect("a good name")
}

pub(super) fn reference(value: &str) -> Reference {
    Reference { group: group("main"), kind: ReferenceKind::Outbound, value: value.to_owned() }
}

pub(super) fn digest(first: u8) -> Digest {
    let mut octets = [0xA5; 32];
    octets[0] = first;
    Digest::new(octets)
}

fn address(text: &str) -> Address {
    text.parse().expect("a good address")
}
