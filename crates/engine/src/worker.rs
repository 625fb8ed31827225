//! The lease loop: takes due jobs of one queue, keeps up to a window of them in flight, and sees to
//! it that each is settled.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use mmsgw_domain::{Job, JobId, QueueKind, RetryPolicy};
use mmsgw_store::{Batch, Lease, LeaseRequest, Leased, LeasedJob, StoreError, Write};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::deliver::Try;
use crate::engine::Engine;
use crate::gateway::Gateway;
use crate::group::Group;
use crate::instance::Instance;

/// Works on one queue of one group.
pub(crate) struct Worker {
    engine: Engine,
    group: Arc<Group>,
    instance: Arc<Instance>,
    desk: Desk,
    kind: QueueKind,
    /// Jobs in work at once: with the carrier, or with an application.
    window: usize,
    slots: Arc<Semaphore>,
    /// Jobs in hand at once: those in work, and those whose work is done and whose commit is not.
    hand: Arc<Semaphore>,
    held: Arc<Held>,
    ended: Arc<Notify>,
}

/// What a worker works on.
#[derive(Clone)]
pub(crate) enum Desk {
    /// What goes to a carrier and comes from it.
    Carrier(Arc<dyn Gateway>),
    /// What applications are told.
    Application,
}

/// Where a job is worked on.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) group: &'a Group,
    pub(crate) instance: &'a Instance,
    pub(crate) gateway: &'a dyn Gateway,
}

/// The right to work on one job. Given back when the carrier has answered, so that the next message
/// need not wait until the disk has the outcome of this one.
pub(crate) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    ended: Arc<Notify>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.permit = None;
        self.ended.notify_one();
    }
}

/// The rights to start some jobs.
struct Turns {
    slots: OwnedSemaphorePermit,
    hand: OwnedSemaphorePermit,
}

impl Turns {
    /// As many of both.
    fn try_acquire(slots: &Arc<Semaphore>, hand: &Arc<Semaphore>, count: usize) -> Option<Self> {
        let count = u32::try_from(count).ok()?;
        let slots = Arc::clone(slots).try_acquire_many_owned(count).ok()?;
        let hand = Arc::clone(hand).try_acquire_many_owned(count).ok()?;
        Some(Self { slots, hand })
    }

    fn split_one(&mut self) -> Option<Self> {
        Some(Self { slots: self.slots.split(1)?, hand: self.hand.split(1)? })
    }
}

/// The leases in hand, to be extended while their jobs are worked on.
type Held = Mutex<HashMap<JobId, Lease>>;

/// Without news from the store a queue is looked at this often.
const IDLE_LOOK: Duration = Duration::from_secs(30);
/// A store that cannot be reached is asked again after that.
const STORE_PAUSE: Duration = Duration::from_millis(500);
/// How often a worker that waits for its turn looks whether it may do more at once.
const WIDTH_LOOK: Duration = Duration::from_secs(1);
/// Jobs taken ahead of a limited rate, in time.
const PACE_AHEAD: Duration = Duration::from_secs(1);
/// Jobs in hand may be so many times the window.
const HANDS: usize = 4;
/// Most jobs taken at once.
const MOST_AT_ONCE: usize = 256;

impl Worker {
    pub(crate) fn new(
        engine: &Engine,
        group: &Arc<Group>,
        instance: &Arc<Instance>,
        desk: Desk,
        kind: QueueKind,
        window: usize,
    ) -> Self {
        let window = window.max(1);
        Self {
            engine: engine.clone(),
            group: Arc::clone(group),
            instance: Arc::clone(instance),
            desk,
            kind,
            window,
            slots: Arc::new(Semaphore::new(window)),
            hand: Arc::new(Semaphore::new(window.saturating_mul(HANDS).min(Semaphore::MAX_PERMITS))),
            held: Arc::default(),
            ended: Arc::default(),
        }
    }

    /// Works until `stop`; then waits for the jobs in flight.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (jobs, keeper_stop) = (TaskTracker::new(), CancellationToken::new());
        let keeper =
            tokio::spawn(keep_leases(self.engine.clone(), Arc::clone(&self.held), keeper_stop.clone()));
        while let Some(round) = stop.run_until_cancelled(self.take()).await {
            match round {
                Ok((leased, turns)) => self.start(leased, turns, &jobs, &stop).await,
                Err(error) => {
                    tracing::warn!(queue = %self.group.queue(self.kind), %error, "cannot take jobs");
                    sleep(STORE_PAUSE).await;
                }
            }
        }
        jobs.close();
        jobs.wait().await;
        keeper_stop.cancel();
        let _ = keeper.await;
    }

    /// Takes as many jobs as may start now.
    async fn take(&self) -> Result<(Leased, Turns), StoreError> {
        match self.kind {
            QueueKind::Tx => {
                self.instance.is_well().await;
                self.group.breaker.passed().await;
            }
            QueueKind::Ev => self.instance.is_well().await,
            QueueKind::Rx | QueueKind::Callback => {}
        }
        let turns = self.turns().await;
        let request = LeaseRequest {
            queue: self.group.queue(self.kind),
            max: turns.slots.num_permits(),
            owner: self.instance.id().clone(),
            hold: self.engine.settings().lease,
        };
        Ok((self.engine.store.lease(request).await?, turns))
    }

    /// The right to start as many jobs as may start now, one at least: waits until fewer than
    /// [`Worker::width`] are in work and few enough in hand.
    async fn turns(&self) -> Turns {
        loop {
            let ended = self.ended.notified();
            let free = self
                .width()
                .saturating_sub(self.in_work())
                .min(self.hand.available_permits())
                .min(MOST_AT_ONCE);
            if free > 0
                && let Some(turns) = Turns::try_acquire(&self.slots, &self.hand, free)
            {
                return turns;
            }
            // The look at the clock is for the width, which grows by itself when a hold is over.
            let _ = tokio::time::timeout(WIDTH_LOOK, ended).await;
        }
    }

    fn in_work(&self) -> usize {
        self.window - self.slots.available_permits()
    }

    /// How many jobs may be in work now.
    fn width(&self) -> usize {
        match self.kind {
            QueueKind::Tx => {
                self.group.breaker.width(self.window).min(self.group.pacer.turns_within(PACE_AHEAD))
            }
            QueueKind::Ev | QueueKind::Rx | QueueKind::Callback => self.window,
        }
    }

    /// Starts the jobs, or waits for some where there are none.
    async fn start(&self, leased: Leased, mut turns: Turns, jobs: &TaskTracker, stop: &CancellationToken) {
        if leased.jobs.is_empty() {
            drop(turns);
            let until_due = leased.next_due.map_or(IDLE_LOOK, |due| self.engine.now().until(due));
            let at_most = until_due.clamp(Duration::from_millis(1), IDLE_LOOK);
            let queue = self.group.queue(self.kind);
            stop.run_until_cancelled(self.engine.store.wait(&queue, at_most)).await;
            return;
        }
        for job in leased.jobs {
            let Some(turn) = turns.split_one() else { break };
            self.held.lock().insert(job.lease.job, job.lease.clone());
            self.instance.took();
            let work = self.work(job, turn);
            jobs.spawn(work);
        }
    }

    /// The whole life of one job in this process.
    fn work(&self, job: LeasedJob, turn: Turns) -> impl Future<Output = ()> + Send + use<> {
        let (engine, held, ended) = (self.engine.clone(), Arc::clone(&self.held), Arc::clone(&self.ended));
        let (group, instance) = (Arc::clone(&self.group), Arc::clone(&self.instance));
        let desk = self.desk.clone();
        let Turns { slots, hand } = turn;
        let slot = Slot { permit: Some(slots), ended: Arc::clone(&ended) };
        async move {
            let id = job.lease.job;
            let work = engine.work_at(&desk, &group, &instance, job.clone(), slot);
            let done = AssertUnwindSafe(work).catch_unwind().await;
            let result = match done {
                Ok(result) => result,
                Err(_) => engine.after_panic(&group, &instance, job).await,
            };
            instance.gave_up();
            if let Err(error) = result {
                instance.trouble(&error.to_string());
                tracing::warn!(job.id = %id, gateway.group = %group.settings.name, %error, "job not settled; it comes back when its lease lapses");
            }
            held.lock().remove(&id);
            drop(hand);
            ended.notify_one();
        }
    }
}

/// Extends what is in hand until `stop`.
async fn keep_leases(engine: Engine, held: Arc<Held>, stop: CancellationToken) {
    let hold = engine.settings().lease;
    while stop.run_until_cancelled(sleep(hold / 3)).await.is_some() {
        let leases: Vec<Lease> = held.lock().values().cloned().collect();
        if leases.is_empty() {
            continue;
        }
        match engine.store.extend(&leases, hold).await {
            Ok(lost) if lost.is_empty() => {}
            Ok(lost) => tracing::warn!(jobs = lost.len(), "leases lapsed while their jobs were worked on"),
            Err(error) => tracing::warn!(%error, "cannot extend leases"),
        }
    }
}

impl Engine {
    async fn work_at(
        &self,
        desk: &Desk,
        group: &Group,
        instance: &Instance,
        job: LeasedJob,
        slot: Slot,
    ) -> Result<(), StoreError> {
        match (desk, job.job) {
            (_, Job::CallbackV1(callback)) => self.call_back(group, &callback, job.lease, job.tries).await,
            (Desk::Carrier(gateway), work) => {
                let place = Place { group, instance, gateway: gateway.as_ref() };
                self.dispatch(place, work, Try { lease: &job.lease, tries: job.tries, slot }).await
            }
            (Desk::Application, _) => {
                let bury =
                    self.bury(job.lease, "this job is none for an application, and stood in its queue");
                self.commit(Batch::new().with(bury)).await
            }
        }
    }

    async fn dispatch(&self, place: Place<'_>, job: Job, attempt: Try<'_>) -> Result<(), StoreError> {
        let Place { group, gateway, .. } = place;
        let (lease, tries) = (attempt.lease.clone(), attempt.tries);
        match job {
            Job::TransmitV1(transmit) => self.deliver(place, transmit.message, attempt).await,
            Job::IntakeV1(intake) => self.digest(group, gateway, &intake, lease, tries).await,
            Job::CallbackV1(callback) => self.call_back(group, &callback, lease, tries).await,
            Job::ReportV1(report) => self.send_report(group, gateway, report, lease, tries).await,
            Job::AmendV1(order) => self.amend(group, gateway, &order, lease, tries).await,
            Job::AnswerV1(answer) => self.send_answer(group, gateway, &answer, lease, tries).await,
        }
    }

    /// A defect of ours must not take the gateway down, nor keep one job coming back for ever, nor
    /// leave a message without an end.
    async fn after_panic(
        &self,
        group: &Group,
        instance: &Instance,
        job: LeasedJob,
    ) -> Result<(), StoreError> {
        const WHY: &str = "a defect of mmsgw broke off the work on this job";
        tracing::error!(job.id = %job.lease.job, gateway.group = %group.settings.name, "{WHY}");
        if let Job::TransmitV1(transmit) = &job.job
            && let Some(message) = self.store.message(transmit.message).await?
        {
            return self.settle_broken(group, instance.id(), message, &job, WHY).await;
        }
        let write = self.retry_or_bury(&self.settings.defect_retry, job.lease, job.tries, WHY);
        self.commit(Batch::new().with(write)).await
    }

    /// Puts a job off by `policy`, or gives it up.
    pub(crate) fn retry_or_bury(
        &self,
        policy: &RetryPolicy,
        lease: Lease,
        tries: u32,
        reason: &str,
    ) -> Write {
        let now = self.now();
        match policy.delay(tries, false, None) {
            Some(delay) => Write::Postpone { lease, due: now.after(delay) },
            None => self.bury(lease, reason),
        }
    }

    pub(crate) fn bury(&self, lease: Lease, reason: &str) -> Write {
        let expires = self.now().after(self.settings.dead_ttl);
        Write::Bury { lease, reason: reason.to_owned(), expires }
    }
}
