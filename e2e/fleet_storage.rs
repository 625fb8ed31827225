//! The storage goes away under load and comes back: what was accepted is there, the API says 503 meanwhile, and
//! every process recovers by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mmsgw_mmsc_sim::SimConfig;
use tokio::sync::Mutex;

use crate::rig::fleet::{Fleet, GROUPS, Process};
use crate::rig::redis::{Redis, Sentinels};
use crate::rig::{text, wait_until};

/// Applications that post at the same time.
const LOADERS: usize = 8;

/// Load that goes on until it is told to end.
struct Load {
    fleet: Arc<Fleet>,
    next: AtomicUsize,
    over: AtomicBool,
    answered: Mutex<BTreeMap<usize, String>>,
    /// Refusals by status; 0 where there was no answer.
    refused: Mutex<BTreeMap<u16, usize>>,
}

impl Load {
    fn start(fleet: &Arc<Fleet>) -> (Arc<Self>, Vec<tokio::task::JoinHandle<()>>) {
        let load = Arc::new(Self {
            fleet: Arc::clone(fleet),
            next: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            answered: Mutex::default(),
            refused: Mutex::default(),
        });
        let loaders = (0..LOADERS).map(|_| tokio::spawn(Arc::clone(&load).post())).collect();
        (load, loaders)
    }

    async fn post(self: Arc<Self>) {
        while !self.over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            match self.fleet.post(number, GROUPS[number % 2], None).await {
                Ok(id) => drop(self.answered.lock().await.insert(number, id)),
                Err(status) => {
                    *self.refused.lock().await.entry(status).or_default() += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn accepted(&self) -> usize {
        self.answered.lock().await.len()
    }

    /// Waits until so many more were accepted.
    async fn goes_on(&self, what: &str) -> Duration {
        let (before, start) = (self.accepted().await, Instant::now());
        wait_until(what, async || (self.accepted().await >= before + 50).then_some(())).await;
        start.elapsed()
    }

    /// Ends it; every message that was accepted is delivered.
    async fn end(&self, loaders: Vec<tokio::task::JoinHandle<()>>) -> usize {
        self.over.store(true, Ordering::Relaxed);
        for loader in loaders {
            loader.await.unwrap();
        }
        let answered = self.answered.lock().await.clone();
        for (number, id) in &answered {
            wait_until(&format!("message {number} ({id}) to be delivered"), async || {
                let message = self.fleet.message(id).await?;
                (text(&message, "state") == "DELIVERED").then_some(())
            })
            .await;
        }
        answered.len()
    }
}

async fn crew(fleet: &Fleet) -> Vec<Process> {
    let mut processes = Vec::new();
    for role in ["gateway", "gateway", "api", "callout", "mm4rx", "mm7rx"] {
        processes.push(fleet.start(role, 0, &[]));
    }
    processes.push(fleet.start("api", 1, &[]));
    fleet.await_api(0).await;
    fleet.await_api(1).await;
    processes
}

fn patient() -> SimConfig {
    let mut config = SimConfig::default();
    config.recording.messages = 1_000_000;
    (config.script.report_retries, config.script.report_retry_ms) = (10_000, 100);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_dies_and_returns_and_nothing_that_was_accepted_is_lost() {
    let mut redis = Redis::durable();
    let fleet = Arc::new(Fleet::new(&redis.storage(), patient(), "").await);
    let _processes = crew(&fleet).await;
    let (load, loaders) = Load::start(&fleet);
    let mut recoveries = Vec::new();
    for _ in 0..3 {
        load.goes_on("the load to go on").await;
        redis.kill();
        wait_until("the API to say 503", async || {
            load.refused.lock().await.get(&503).is_some_and(|count| *count > 5).then_some(())
        })
        .await;
        load.refused.lock().await.remove(&503);
        redis.start_again();
        recoveries.push(load.goes_on("the processes to recover").await);
    }
    let accepted = load.end(loaders).await;
    let refused = load.refused.lock().await.clone();
    println!(
        "fleet_storage: {accepted} accepted over three deaths of Redis, recovered within {recoveries:.1?}; {refused:?}"
    );
    assert!(refused.keys().all(|status| *status == 503), "{refused:?}");
    let limit = Duration::from_secs(10);
    assert!(recoveries.iter().all(|recovery| *recovery < limit), "{recoveries:?}\n{}", fleet.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_fails_over_and_work_goes_on() {
    let mut set = Sentinels::start();
    let fleet = Arc::new(Fleet::new(&set.storage(), patient(), "").await);
    let _processes = crew(&fleet).await;
    let (load, loaders) = Load::start(&fleet);
    load.goes_on("the load to go on").await;
    let (first, start) = (set.master(), Instant::now());
    set.servers[first].kill();
    wait_until("the sentinels to choose the other", async || (set.master() != first).then_some(())).await;
    let chosen = start.elapsed();
    // The other is alone now: nobody can confirm a commit until the first one is back as its replica.
    set.servers[first].start_again();
    let recovery = load.goes_on("work to go on with the other master").await;
    let accepted = load.end(loaders).await;
    println!(
        "fleet_storage: failover chosen after {chosen:.1?}, work again {recovery:.1?} later; {accepted} accepted"
    );
}
