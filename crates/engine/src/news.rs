//! What happened to messages, told within this process once it is durable: to the log, to metrics, and to whoever
//! listens. Nobody waits for a listener: one that is too slow misses the oldest.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mmsgw_domain::{Address, BatchId, Event, GroupName, Message, MessageId, Timestamp};
use mmsgw_store::{Batch, StoreError};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::engine::Engine;
use crate::measure::{Stage, StoreMeasured};
use crate::spans::MessageTrace;

/// Something that happened to a message.
#[derive(Debug, Clone)]
pub struct Happening {
    /// The message as it stands after that, and after all that happened to it at the same time.
    pub message: Arc<Message>,
    /// What happened.
    pub event: Event,
}

/// Somebody who listens. Nothing is kept for a listener: it hears of what happens from its beginning on.
pub struct Listening(broadcast::Receiver<Happening>);

/// What a listener hears.
pub enum Heard {
    /// Something happened.
    Happened(Happening),
    /// The listener was too slow for so many happenings.
    Missed(u64),
    /// Nothing happened for a while.
    Quiet,
    /// Nothing more will come.
    Over,
}

impl Listening {
    /// What is heard next, of what `concerns` the listener; [`Heard::Quiet`] after `pulse` without anything.
    pub async fn next(&mut self, pulse: Duration, concerns: impl Fn(&Happening) -> bool) -> Heard {
        let end = tokio::time::Instant::now() + pulse;
        loop {
            match tokio::time::timeout_at(end, self.0.recv()).await {
                Err(_) => return Heard::Quiet,
                Ok(Err(RecvError::Closed)) => return Heard::Over,
                Ok(Err(RecvError::Lagged(missed))) => return Heard::Missed(missed),
                Ok(Ok(happening)) if concerns(&happening) => return Heard::Happened(happening),
                Ok(Ok(_)) => {}
            }
        }
    }
}

/// The way to listeners.
pub(crate) struct News(broadcast::Sender<Happening>);

impl Default for News {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

/// What is to be told once a commit has succeeded.
pub(crate) struct Fresh {
    id: MessageId,
    group: GroupName,
    created: Timestamp,
    trace: MessageTrace,
    batch: Option<BatchId>,
    events: Vec<Event>,
    /// The message, where anybody listens.
    message: Option<Arc<Message>>,
}

impl Engine {
    /// What happens to messages by this process from now on. A listener that falls behind by more than some
    /// thousand events misses the oldest, and is told how many.
    pub fn listen(&self) -> broadcast::Receiver<Happening> {
        self.news.0.subscribe()
    }

    /// The same, for one who is told how it goes on.
    pub fn listening(&self) -> Listening {
        Listening(self.listen())
    }

    /// How the store did since the process started.
    pub fn store_measured(&self) -> StoreMeasured {
        self.store_measures.read(self.store.rounds())
    }

    /// Hands a batch to the store, and measures how that goes.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.store_measures.writes.count(batch.writes().len());
        let began = Instant::now();
        let end = self.store.commit(batch).await;
        self.store_measures.commit.time(began.elapsed());
        if end.is_err() {
            self.store_measures.failed.fetch_add(1, Ordering::Relaxed);
        }
        end
    }

    /// Some of a message's events, to be told when they are durable.
    pub(crate) fn fresh(&self, message: &Message, events: Vec<Event>) -> Fresh {
        let is_heard = self.news.0.receiver_count() > 0 && !events.is_empty();
        Fresh {
            id: message.id,
            group: message.group.clone(),
            created: message.created,
            trace: MessageTrace::of(message),
            batch: message.batch,
            events,
            message: is_heard.then(|| Arc::new(message.clone())),
        }
    }

    /// Tells what is durable now.
    pub(crate) fn tell(&self, fresh: Fresh) {
        let Fresh { id, group, created, trace, batch, events, message } = fresh;
        let (known, now) = (self.groups.find(&group), self.now());
        for event in events {
            tracing::info!(
                message.id = %id, gateway.group = %group, batch.id = batch.map(tracing::field::display), state = %event.state,
                code = %event.code, to = numbers(&event.destinations).map(tracing::field::display),
                carrier_status = event.carrier_status.as_deref().unwrap_or(""), "{}", event.description
            );
            self.trace_event(trace, created, &event);
            if let Some(known) = &known {
                known.measures.event(event.state);
                if let Some(stage) = Stage::of(event.state) {
                    known.measures.reached(stage, created.until(now));
                }
            }
            if let Some(message) = &message {
                // That nobody listens any more is no trouble.
                let _ = self.news.0.send(Happening { message: Arc::clone(message), event });
            }
        }
    }
}

/// The numbers that an event concerns, for the log; `None` where it concerns all of the message.
fn numbers(addresses: &[Address]) -> Option<String> {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    (!all.is_empty()).then(|| all.join(","))
}

/// Events that a listener may fall behind.
const BACKLOG: usize = 16_384;
