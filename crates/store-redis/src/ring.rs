//! Wakes those who wait: one subscribed connection for each store, on which the commits of all processes ring.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use mmsgw_domain::{Clock, GroupName, Queue, QueueKind, Timestamp};
use mmsgw_store::QueueSignals;
use parking_lot::Mutex;
use redis::aio::PubSub;
use redis::{Msg, RedisResult};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::keys::Layout;
use crate::servers::Servers;

/// What a bell rings.
pub(crate) struct Bell {
    pub(crate) servers: Arc<Servers>,
    pub(crate) layout: Layout,
    pub(crate) signals: Arc<QueueSignals>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Queues that somebody here has looked into or waited for.
    pub(crate) queues: Mutex<std::collections::HashSet<Queue>>,
}

impl Bell {
    /// A queue is of interest: it is rung after a gap in which a ring may have been missed.
    pub(crate) fn note(&self, queue: &Queue) {
        let mut queues = self.queues.lock();
        if !queues.contains(queue) {
            queues.insert(queue.clone());
        }
    }

    pub(crate) async fn subscribe(&self) -> RedisResult<PubSub> {
        self.servers.subscribe(&self.layout.rings()).await
    }

    /// Listens until `stop`; subscribes again where the connection ends.
    pub(crate) async fn listen(self: Arc<Self>, first: PubSub, stop: CancellationToken) {
        let mut subscribed = Some(first);
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            if let Some(connection) = subscribed.take() {
                pause = FIRST_PAUSE;
                stop.run_until_cancelled(self.hear(connection)).await;
            }
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
            match stop.run_until_cancelled(self.subscribe()).await {
                None => return,
                Some(Ok(connection)) => {
                    subscribed = Some(connection);
                    self.ring_all();
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "cannot listen for rings yet; queues are looked into by time");
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Rings what it hears until the connection ends.
    async fn hear(&self, connection: PubSub) {
        let (mut sink, mut messages) = connection.split();
        let mut pulse = interval(PULSE);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.ring(&message),
                    None => return,
                },
                _ = pulse.tick() => {
                    // A connection that died without a word is known by this.
                    let pong = timeout(PULSE, sink.ping::<redis::Value>()).await;
                    if !matches!(pong, Ok(Ok(_))) {
                        return;
                    }
                }
            }
        }
    }

    fn ring(&self, message: &Msg) {
        let text = std::str::from_utf8(message.get_payload_bytes()).unwrap_or_default();
        if let Some((queue, due)) = self.read(text) {
            self.signals.ring(&queue, due);
        }
    }

    fn read(&self, text: &str) -> Option<(Queue, Timestamp)> {
        let (queue, due) = text.rsplit_once(' ')?;
        let (group, kind) = self.layout.rung(queue)?;
        let group: GroupName = group.parse().ok()?;
        let kind = QueueKind::ALL.into_iter().find(|known| known.name() == kind)?;
        Some((Queue { group, kind }, Timestamp::from_millis(due.parse().ok()?)))
    }

    /// Rings may have been missed.
    fn ring_all(&self) {
        let now = self.clock.now();
        let queues: Vec<Queue> = self.queues.lock().iter().cloned().collect();
        for queue in &queues {
            self.signals.ring(queue, now);
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the connection is asked whether it lives.
const PULSE: Duration = Duration::from_secs(5);
