//! Instances of groups in this process: whether they take jobs, and what they tell others of themselves.
//!
//! An instance asks its carrier for a sign of life at intervals. After too many that did not come it takes no
//! jobs for the carrier and hands back those that it has not begun, so that another instance of the group may
//! have them; the first good answer ends that. What it says of itself lapses unless it is said again, and what
//! a lapsed instance held comes back at once, see [`Engine::reap`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mmsgw_domain::{Heartbeat, InstanceHealth, InstanceId, InstanceRecord, Timestamp};
use mmsgw_store::{Announced, StoreError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::gateway::Gateway;
use crate::group::Group;
use crate::refusal::Refusal;

/// What is done about a carrier that gives no sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissedHeartbeats {
    /// The instance takes no jobs until the carrier answers again.
    #[default]
    Stop,
    /// The process ends, for its supervisor to start another one.
    Exit,
}

/// What does not change about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceIdentity {
    /// Its id.
    pub id: InstanceId,
    /// What its process does: `serve`, `gateway`, `api` and so on.
    pub role: String,
    /// The carrier's protocol, where it speaks to one.
    pub protocol: Option<String>,
}

impl InstanceIdentity {
    /// An instance of a process with this role, which speaks to no carrier.
    pub fn new(id: InstanceId, role: impl Into<String>) -> Self {
        Self { id, role: role.into(), protocol: None }
    }

    /// The same, speaking to a carrier.
    #[must_use]
    pub fn speaking(self, protocol: impl Into<String>) -> Self {
        Self { protocol: Some(protocol.into()), ..self }
    }
}

/// An instance at work in this process.
pub(crate) struct Instance {
    identity: InstanceIdentity,
    group: Option<Arc<Group>>,
    started: Timestamp,
    health: watch::Sender<InstanceHealth>,
    heartbeat: Mutex<Option<Heartbeat>>,
    last_error: Mutex<Option<String>>,
    in_hand: AtomicU64,
}

impl Instance {
    pub(crate) fn new(identity: InstanceIdentity, group: Option<Arc<Group>>, started: Timestamp) -> Self {
        Self {
            identity,
            group,
            started,
            health: watch::Sender::new(InstanceHealth::Well),
            heartbeat: Mutex::default(),
            last_error: Mutex::default(),
            in_hand: AtomicU64::new(0),
        }
    }

    pub(crate) fn id(&self) -> &InstanceId {
        &self.identity.id
    }

    /// Resolves when the instance may take jobs for its carrier.
    pub(crate) async fn is_well(&self) {
        // The sender is ours, so this ends with a value.
        let _ = self.health.subscribe().wait_for(|health| *health == InstanceHealth::Well).await;
    }

    /// Resolves when jobs that have not begun are to go back.
    pub(crate) async fn hands_back(&self) {
        let _ = self.health.subscribe().wait_for(|health| *health != InstanceHealth::Well).await;
    }

    /// Notes that a job came into its hands.
    pub(crate) fn took(&self) {
        self.in_hand.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a job left its hands.
    pub(crate) fn gave_up(&self) {
        self.in_hand.fetch_sub(1, Ordering::Relaxed);
    }

    fn has_work(&self) -> bool {
        self.in_hand.load(Ordering::Relaxed) > 0
    }

    /// Notes what went wrong, for people.
    pub(crate) fn trouble(&self, what: &str) {
        *self.last_error.lock() = Some(what.to_owned());
    }

    fn record(&self, now: Timestamp) -> InstanceRecord {
        let InstanceIdentity { id, role, protocol } = self.identity.clone();
        // Callbacks are not hand-overs: those count with the instance that has the carrier.
        let group = self.group.as_ref().filter(|_| protocol.is_some());
        let counts = group.map(|group| group.counts()).unwrap_or_default();
        InstanceRecord {
            host: id.host().to_owned(),
            pid: id.pid(),
            id,
            role,
            group: self.group.as_ref().map(|group| group.settings.name.clone()),
            protocol,
            started: self.started,
            updated: now,
            health: self.health.borrow().clone(),
            heartbeat: self.heartbeat.lock().clone(),
            in_flight: self.in_hand.load(Ordering::Relaxed),
            sent: counts.sent,
            deferred: counts.deferred,
            failed: counts.failed,
            last_error: self.last_error.lock().clone(),
        }
    }

    /// Takes over how a heartbeat went. Gives back how many in a row were missed.
    fn note(&self, now: Timestamp, took: Duration, answer: Result<(), String>, limit: u32) -> u32 {
        let mut last = self.heartbeat.lock();
        let missed = match &answer {
            Ok(()) => 0,
            Err(_) => last.as_ref().map_or(0, |last| last.missed).saturating_add(1),
        };
        let took_ms = answer.is_ok().then(|| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        *last = Some(Heartbeat { at: now, ok: answer.is_ok(), missed, took_ms });
        drop(last);
        if let Err(reason) = &answer {
            self.trouble(&format!("heartbeat: {reason}"));
            tracing::warn!(instance = %self.id(), missed, %reason, "the carrier gives no sign of life");
        }
        self.health.send_if_modified(|health| match (&*health, answer) {
            (InstanceHealth::Unwell { .. }, Ok(())) => {
                tracing::info!(instance = %self.identity.id, "the carrier answers again; taking jobs");
                *health = InstanceHealth::Well;
                true
            }
            (InstanceHealth::Well, Err(reason)) if missed >= limit => {
                tracing::error!(instance = %self.identity.id, missed, "taking no jobs until the carrier answers");
                *health = InstanceHealth::Unwell { reason, since: now };
                true
            }
            _ => false,
        });
        missed
    }

    fn drain(&self) {
        self.health.send_replace(InstanceHealth::Draining);
    }
}

impl Engine {
    /// Makes this process known to the others until `stop`. For processes that run no group.
    pub fn run_process(
        &self,
        identity: InstanceIdentity,
        stop: &CancellationToken,
        tasks: &tokio_util::task::TaskTracker,
    ) {
        let instance = self.enrol(identity, None);
        tasks.spawn(self.clone().announce(instance, stop.clone()));
    }

    /// An instance of this process, which is to be forgotten when the process ends.
    pub(crate) fn enrol(&self, identity: InstanceIdentity, group: Option<&Arc<Group>>) -> Arc<Instance> {
        let instance = Arc::new(Instance::new(identity, group.map(Arc::clone), self.now()));
        self.instances.lock().push(Arc::clone(&instance));
        instance
    }

    /// Says at intervals what there is to say of an instance, until `stop` and until it has nothing in hand any more.
    pub(crate) async fn announce(self, instance: Arc<Instance>, stop: CancellationToken) {
        let ttl = self.settings.instance_ttl;
        let mut health = instance.health.subscribe();
        loop {
            self.say(&instance, ttl).await;
            let news = tokio::time::timeout(ttl / 3, health.changed());
            if stop.run_until_cancelled(news).await.is_none() {
                break;
            }
        }
        instance.drain();
        // Who is not heard of counts as dead, and what it has in hand would be given to others.
        loop {
            self.say(&instance, ttl).await;
            let said = Instant::now();
            while instance.has_work() && said.elapsed() < ttl / 3 {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
            if !instance.has_work() {
                return;
            }
        }
    }

    async fn say(&self, instance: &Instance, ttl: Duration) {
        if let Err(error) = self.registry.announce(&instance.record(self.now()), ttl).await {
            tracing::warn!(instance = %instance.id(), %error, "cannot tell others of this instance");
        }
    }

    /// Asks the carrier for signs of life until `stop`.
    pub(crate) async fn watch_carrier(
        self,
        instance: Arc<Instance>,
        gateway: Arc<dyn Gateway>,
        every: Duration,
        stop: CancellationToken,
    ) {
        let mut beats = tokio::time::interval(every.max(SHORTEST_BEAT));
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(beats.tick()).await.is_some() {
            let began = Instant::now();
            let Some(answer) = stop.run_until_cancelled(gateway.heartbeat()).await else { return };
            let limit = self.settings.max_missed_heartbeats;
            let missed = instance.note(self.now(), began.elapsed(), answer, limit);
            if missed >= limit && self.settings.on_missed_heartbeats == MissedHeartbeats::Exit {
                tracing::error!(instance = %instance.id(), missed, "ending, as on_missed_heartbeats says");
                self.exit.cancel();
                return;
            }
        }
    }

    /// Resolves when an instance wants this process to end.
    pub async fn exit_wanted(&self) {
        self.exit.cancelled().await;
    }

    /// All instances that are known, of all processes.
    pub async fn instances(&self) -> Result<Vec<Announced>, Refusal> {
        Ok(self.registry.instances().await?)
    }

    /// Gives back what instances hold that have died, and forgets them.
    pub async fn reap(&self) -> Result<(), StoreError> {
        for dead in self.registry.instances().await?.into_iter().filter(|instance| !instance.alive) {
            let id = &dead.record.id;
            let jobs = self.store.disown(id).await?;
            self.registry.withdraw(id).await?;
            tracing::warn!(instance = %id, jobs, "an instance has died; its jobs are handed out again");
        }
        Ok(())
    }

    /// Gives back what an instance of this process still holds, and forgets it. It may not work any more.
    pub async fn dismiss(&self, id: &InstanceId) -> Result<(), StoreError> {
        self.instances.lock().retain(|instance| instance.id() != id);
        self.take_leave(id).await
    }

    /// Gives back what this process still holds, and forgets its instances. Nothing may work any more.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let instances: Vec<_> = self.instances.lock().drain(..).collect();
        for instance in instances {
            self.take_leave(instance.id()).await?;
        }
        Ok(())
    }

    async fn take_leave(&self, id: &InstanceId) -> Result<(), StoreError> {
        let jobs = self.store.disown(id).await?;
        if jobs > 0 {
            tracing::warn!(instance = %id, jobs, "unfinished jobs are handed back");
        }
        self.registry.withdraw(id).await
    }
}

/// A carrier is not asked more often than that.
const SHORTEST_BEAT: Duration = Duration::from_millis(100);
/// How often an instance that ends looks whether it has.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
