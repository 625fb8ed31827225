//! The groups that this process knows, and the workers that run for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use arc_swap::ArcSwap;
use mmsgw_domain::{GroupCounts, GroupName, GroupSettings, Queue, QueueKind};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::Engine;
use crate::gateway::{Connections, Gateway, Scales};
use crate::instance::InstanceIdentity;
use crate::measure::{GroupMeasured, GroupMeasures};
use crate::pace::{Breaker, Pacer};
use crate::worker::{Desk, Worker};

/// A gateway group as this process knows it.
pub struct Group {
    /// Its settings.
    pub settings: GroupSettings,
    pub(crate) pacer: Pacer,
    pub(crate) breaker: Breaker,
    pub(crate) counts: Arc<Counters>,
    pub(crate) measures: Arc<GroupMeasures>,
    /// Jobs that wait in the TX queue, as counted last.
    pub(crate) waiting: Arc<AtomicU64>,
    /// The same in the RX queue, with those that this process took since.
    pub(crate) unread: Arc<AtomicU64>,
    pub(crate) scales: OnceLock<Box<dyn Scales>>,
    /// The instances of this process; one that is gone counts no more.
    gateways: Mutex<Vec<Weak<dyn Gateway>>>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) deferred: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) callbacks: AtomicU64,
    pub(crate) callbacks_failed: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Group {
    /// A group that goes on counting where `before` is, which it takes the place of.
    fn new(settings: GroupSettings, before: Option<&Self>) -> Self {
        Self {
            pacer: Pacer::new(settings.name.clone(), settings.tps_limit),
            breaker: Breaker::default(),
            counts: before.map(|group| Arc::clone(&group.counts)).unwrap_or_default(),
            measures: before.map(|group| Arc::clone(&group.measures)).unwrap_or_default(),
            waiting: before.map(|group| Arc::clone(&group.waiting)).unwrap_or_default(),
            unread: before.map(|group| Arc::clone(&group.unread)).unwrap_or_default(),
            scales: OnceLock::new(),
            gateways: Mutex::default(),
            settings,
        }
    }

    /// Has its messages weighed by `scales`: a limit on octets holds from then on. The first ones stay.
    pub fn weigh_by(&self, scales: impl Scales) {
        let _ = self.scales.set(Box::new(scales));
    }

    /// What it did so far.
    pub fn counts(&self) -> GroupCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        GroupCounts {
            accepted: read(&self.counts.accepted),
            sent: read(&self.counts.sent),
            deferred: read(&self.counts.deferred),
            failed: read(&self.counts.failed),
            received: read(&self.counts.received),
            callbacks: read(&self.counts.callbacks),
            callbacks_failed: read(&self.counts.callbacks_failed),
        }
    }

    /// What it did so far, in more detail.
    pub fn measured(&self) -> GroupMeasured {
        self.measures.read()
    }

    /// Connections of its instances in this process to the carrier.
    pub fn connections(&self) -> Connections {
        let mut gateways = self.gateways.lock();
        gateways.retain(|gateway| gateway.strong_count() > 0);
        let alive = gateways.iter().filter_map(Weak::upgrade);
        alive.map(|gateway| gateway.connections()).fold(Connections::default(), Connections::and)
    }

    /// One of its queues.
    pub fn queue(&self, kind: QueueKind) -> Queue {
        Queue { group: self.settings.name.clone(), kind }
    }
}

/// All groups by name. Read on each request, changed at start and reload.
#[derive(Default)]
pub(crate) struct Groups(ArcSwap<HashMap<GroupName, Arc<Group>>>);

impl Groups {
    pub(crate) fn find(&self, name: &GroupName) -> Option<Arc<Group>> {
        self.0.load().get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Group>> {
        let mut groups: Vec<_> = self.0.load().values().cloned().collect();
        groups.sort_by(|a, b| a.settings.name.cmp(&b.settings.name));
        groups
    }

    fn insert(&self, group: &Arc<Group>) {
        self.0.rcu(|old| {
            let mut new = HashMap::clone(old);
            new.insert(group.settings.name.clone(), Arc::clone(group));
            new
        });
    }

    fn remove(&self, name: &GroupName) {
        self.0.rcu(|old| {
            let mut new = HashMap::clone(old);
            new.remove(name);
            new
        });
    }
}

impl Engine {
    /// Makes a group known: messages may name it, reports may come in for it. One that is known already has these
    /// settings from then on and goes on counting; workers that run for it keep those they began with.
    pub fn know_group(&self, settings: GroupSettings) -> Arc<Group> {
        let before = self.group(&settings.name);
        let group = Arc::new(Group::new(settings, before.as_deref()));
        self.groups.insert(&group);
        group
    }

    /// Forgets a group: no message may name it any more, and nothing comes in for it. Its queues stay as they are.
    pub fn forget_group(&self, name: &GroupName) {
        self.groups.remove(name);
    }

    /// The group that carries a message that names none.
    pub fn default_group(&self) -> Option<Arc<GroupName>> {
        self.default_group.load_full()
    }

    /// Has such messages carried by another group, or refused.
    pub fn set_default_group(&self, name: Option<GroupName>) {
        self.default_group.store(name.map(Arc::new));
    }

    /// The groups known, by name.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        self.groups.all()
    }

    /// The group of that name.
    pub fn group(&self, name: &GroupName) -> Option<Arc<Group>> {
        self.groups.find(name)
    }

    /// Runs the workers of an instance of `group`: its messages go out through `gateway`, what came
    /// from the carrier is read by it. They stop taking jobs when `stop` is cancelled; `tasks` is
    /// done when they have finished what they hold.
    pub fn run_group(
        &self,
        group: &Arc<Group>,
        gateway: &Arc<dyn Gateway>,
        identity: InstanceIdentity,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        group.gateways.lock().push(Arc::downgrade(gateway));
        let instance = self.enrol(identity, Some(group));
        tasks.spawn(self.clone().announce(Arc::clone(&instance), stop.clone()));
        if let Some(every) = group.settings.heartbeat_interval {
            let gateway = Arc::clone(gateway);
            tasks.spawn(self.clone().watch_carrier(Arc::clone(&instance), gateway, every, stop.clone()));
        }
        for kind in [QueueKind::Tx, QueueKind::Ev, QueueKind::Rx] {
            let desk = Desk::Carrier(Arc::clone(gateway));
            let worker = Worker::new(self, group, &instance, desk, kind, group.settings.window);
            tasks.spawn(worker.run(stop.clone()));
        }
    }

    /// Runs the worker that posts the callbacks of `group`, for the instance `identity`. See [`Engine::run_group`].
    pub fn run_callbacks(
        &self,
        group: &Arc<Group>,
        identity: InstanceIdentity,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let instance = self.enrol(identity, Some(group));
        tasks.spawn(self.clone().announce(Arc::clone(&instance), stop.clone()));
        let window = self.settings.callback_window;
        let worker = Worker::new(self, group, &instance, Desk::Application, QueueKind::Callback, window);
        tasks.spawn(worker.run(stop.clone()));
    }
}
