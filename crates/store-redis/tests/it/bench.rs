//! Sample records.

use std::time::Duration;

use mmsgw_domain::{
    Clock, Code, Direction, Event, GroupName, Id, InstanceId, Job, Message, MessageId, Queue, QueueKind,
    Recipient, RecipientKind, State, SystemClock, Timestamp, TransmitJob,
};
use mmsgw_store::{Batch, Lane, LeaseRequest, NewJob, Write};

pub(crate) fn queue(group: &str) -> Queue {
    Queue { group: group.parse().unwrap(), kind: QueueKind::Tx }
}

pub(crate) fn job(queue: &Queue, message: MessageId) -> NewJob {
    let now = SystemClock.now();
    let job = Job::TransmitV1(TransmitJob { message });
    NewJob {
        id: Id::generate(now),
        queue: queue.clone(),
        lane: Lane::Normal,
        due: Timestamp::from_secs(0),
        job,
    }
}

pub(crate) fn message(group: &GroupName) -> Message {
    let now = SystemClock.now();
    let recipient = Recipient {
        address: "+12065550100".parse().unwrap(),
        kind: RecipientKind::To,
        state: State::Scheduled,
        code: Code::OK,
        updated: now,
        round: 0,
        peer_ref: None,
    };
    let mut message = Message {
        id: Id::generate(now),
        direction: Direction::Outbound,
        group: group.clone(),
        template: Id::generate(now),
        revision: Id::generate(now),
        origin: "12345".parse().unwrap(),
        recipients: vec![recipient],
        variables: mmsgw_domain::Variables::new(),
        batch: None,
        trace: None,
        linked_id: None,
        priority: None,
        events_url: vec!["http://127.0.0.1:9000/events".to_owned()],
        ack_requested: Some(true),
        dr_requested: Some(true),
        rr_requested: None,
        created: now,
        processed: None,
        deadline: now.after(Duration::from_secs(86_400)),
        expires: None,
        instances: Vec::new(),
        peer_ref: None,
        last_tran_id: None,
        ack_at_addr: None,
        carrier_ids: None,
        relay_server: None,
        ua_caps: None,
        reply_charging_id: None,
        handling_app: None,
        reply_to_app: None,
        service_code: None,
        forward_counter: None,
        previously_sent: Vec::new(),
        app_info: None,
        rounds: 0,
        in_doubt: false,
        events: Vec::new(),
        version: 1,
    };
    message.record(event(State::Scheduled));
    message
}

fn event(state: State) -> Event {
    Event {
        details: None,
        sequence: 0,
        state,
        code: Code::OK,
        description: "accepted and queued".into(),
        carrier_status: None,
        at: SystemClock.now(),
        instance: None,
        destinations: Vec::new(),
    }
}

/// The message as its sender settles it: sent, and to be forgotten after `kept`.
pub(crate) fn sent(message: &Message, kept: Duration) -> Message {
    let mut next = message.clone();
    next.record(event(State::Sent));
    next.version += 1;
    next.expires = Some(SystemClock.now().after(kept));
    next
}

/// A message with its job, as an application hands it in.
pub(crate) fn submission(queue: &Queue) -> (Message, NewJob, Batch) {
    let message = message(&queue.group);
    let job = job(queue, message.id);
    let batch = Batch::new().with(Write::Enqueue(job.clone())).with(Write::NewMessage(message.clone()));
    (message, job, batch)
}

pub(crate) fn request(queue: &Queue, max: usize) -> LeaseRequest {
    let owner = InstanceId::new(&queue.group, "test", "here", 1);
    LeaseRequest { queue: queue.clone(), max, owner, hold: Duration::from_secs(600) }
}
