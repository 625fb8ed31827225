//! What the carrier sends of its own accord, later: answers by mail and reports, with retries.
//!
//! One bounded queue ordered by time for both protocols; it does not know what the errands say.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::record::{Answer, ReportAnswer};
use crate::script::Plan;
use crate::shared::Shared;

/// Something to be sent to the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    /// Operation or message type.
    pub(crate) kind: &'static str,
    pub(crate) transaction_id: String,
    pub(crate) message_id: String,
    pub(crate) recipient: String,
    pub(crate) payload: Payload,
}

/// What goes over the wire.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// A POST to the gateway's MM7 receiver.
    Soap { content_type: String, body: Bytes },
    /// A mail to the gateway's SMTP receiver; `octets` are not yet dot-stuffed.
    Mail { from: String, to: Vec<String>, octets: Bytes },
}

/// Errands with the plan that says when.
pub(crate) type Planned = (Plan, Errand);

/// The queue.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
    order: AtomicU64,
    load: AtomicUsize,
    capacity: usize,
    slots: Arc<Semaphore>,
}

/// Keys order by time, then by arrival; the errands lie beside them.
#[derive(Debug, Default)]
struct Waiting {
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    errands: BTreeMap<u64, (Errand, u32)>,
}

impl Outbox {
    pub(crate) fn new(capacity: usize, connections: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Notify::new(),
            order: AtomicU64::new(0),
            load: AtomicUsize::new(0),
            capacity,
            slots: Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS))),
        }
    }

    fn push(&self, due: Instant, errand: Errand, tries: u32) {
        let order = self.order.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.waiting.lock();
        waiting.due.push(Reverse((due, order)));
        waiting.errands.insert(order, (errand, tries));
        drop(waiting);
        self.changed.notify_one();
    }

    /// The first errand if it is due, else when to look again.
    fn pop(&self) -> Result<(Errand, u32), Option<Instant>> {
        let mut waiting = self.waiting.lock();
        let Some(&Reverse((due, order))) = waiting.due.peek() else { return Err(None) };
        if due > Instant::now() {
            return Err(Some(due));
        }
        waiting.due.pop();
        waiting.errands.remove(&order).ok_or(None)
    }

    /// Takes room for one errand; false if there is none.
    fn admit(&self) -> bool {
        let room = |load: usize| (load < self.capacity).then_some(load + 1);
        self.load.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    fn leave(&self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sends what plans want at once, and waits for it.
pub(crate) async fn send_at_once(shared: &Arc<Shared>, planned: &[Planned]) {
    for (plan, errand) in planned.iter().filter(|(plan, _)| plan.at_once) {
        for _ in 0..plan.copies {
            if admit(shared, errand) {
                run(Arc::clone(shared), errand.clone(), 0).await;
            }
        }
    }
}

/// Queues what plans want later, counted from now.
pub(crate) fn queue(shared: &Shared, planned: Vec<Planned>) {
    for (plan, errand) in planned.into_iter().filter(|(plan, _)| !plan.at_once) {
        let due = Instant::now() + plan.delay.draw();
        for _ in 0..plan.copies {
            if admit(shared, &errand) {
                shared.outbox.push(due, errand.clone(), 0);
            }
        }
    }
}

/// Sends due errands until the simulator stops.
pub(crate) async fn dispatch(shared: Arc<Shared>) {
    loop {
        let Ok(slot) = Arc::clone(&shared.outbox.slots).acquire_owned().await else { return };
        let (errand, tries) = tokio::select! {
            () = shared.stop.cancelled() => return,
            next = next(&shared.outbox) => next,
        };
        let worker = Arc::clone(&shared);
        shared.spawn(async move {
            run(worker, errand, tries).await;
            drop(slot);
        });
    }
}

async fn next(outbox: &Outbox) -> (Errand, u32) {
    loop {
        let changed = outbox.changed.notified();
        match outbox.pop() {
            Ok(next) => return next,
            Err(None) => changed.await,
            Err(Some(due)) => {
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(due) => {}
                }
            }
        }
    }
}

fn admit(shared: &Shared, errand: &Errand) -> bool {
    let targets = shared.targets.read();
    let reachable = match errand.payload {
        Payload::Soap { .. } => targets.mm7_report_url.is_some(),
        Payload::Mail { .. } => targets.mm4_report_addr.is_some(),
    };
    drop(targets);
    if !reachable {
        shared.recorder.count(|counts| counts.reports_without_target += 1);
        return false;
    }
    let admitted = shared.outbox.admit();
    shared.recorder.count(|counts| match admitted {
        true => counts.reports_queued += 1,
        false => counts.reports_refused += 1,
    });
    admitted
}

/// One try; a failure that may pass goes back into the queue.
async fn run(shared: Arc<Shared>, errand: Errand, tries: u32) {
    let outcome = send(&shared, &errand).await;
    let (limit, pause) = {
        let live = shared.script();
        (live.script.report_retries, Duration::from_millis(live.script.report_retry_ms))
    };
    let ok = outcome.is_ok();
    let again = !ok && tries < limit && may_pass(&errand.payload, &outcome);
    let answer = ReportAnswer {
        kind: errand.kind.to_owned(),
        transaction_id: errand.transaction_id.clone(),
        message_id: errand.message_id.clone(),
        recipient: errand.recipient.clone(),
        attempt: tries + 1,
        outcome,
    };
    shared.recorder.keep_answer(answer, !ok && !again);
    if again {
        shared.outbox.push(Instant::now() + pause, errand, tries + 1);
    } else {
        shared.outbox.leave();
    }
}

/// Sends an errand once; what breaks becomes an answer with code 0.
pub(crate) async fn send(shared: &Shared, errand: &Errand) -> Answer {
    let sending = async {
        match &errand.payload {
            Payload::Soap { content_type, body } => shared.post(content_type, body.clone()).await,
            Payload::Mail { from, to, octets } => shared.mail(from, to, octets).await,
        }
    };
    let limit = shared.config.reports.timeout();
    match tokio::time::timeout(limit, sending).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(text)) => Answer { text, ..Answer::default() },
        Err(_) => Answer { text: "no answer in time".into(), ..Answer::default() },
    }
}

fn may_pass(payload: &Payload, outcome: &Answer) -> bool {
    match payload {
        Payload::Soap { .. } => {
            matches!(outcome.code, 0 | 408 | 429 | 500..)
                && outcome.status.is_none_or(|status| status >= 3000)
                || matches!(outcome.status, Some(3000 | 4000 | 4006))
        }
        Payload::Mail { .. } => outcome.code == 0 || (400..500).contains(&outcome.code),
    }
}
