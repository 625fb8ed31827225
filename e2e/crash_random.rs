//! The gateway is killed at random instants under load, again and again in the same directory: what was answered
//! 202 is sent, lives its whole life, and the application hears of all of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mmsgw_mmsc_sim::{Delay, Plan, SimConfig};

use crate::rig::crash::{Chance, Mood, Over, World};

/// Kills under load, and kills while the process starts.
const KILLS: u64 = 50;
const KILLS_AT_START: u64 = 10;

/// Applications that post at the same time.
const LOADERS: usize = 6;

/// A carrier whose answers and reports fall on every instant.
fn carrier() -> SimConfig {
    let mut config = SimConfig::default();
    let within = |min_ms, max_ms| Plan { delay: Delay { min_ms, max_ms }, ..Plan::default() };
    config.script.mm7.delay = Delay::range(0, 60);
    config.script.mm4.delay = Delay::range(0, 60);
    config.script.mm4.res = within(0, 100);
    for [delivery, read] in [
        [&mut config.script.mm7.delivery, &mut config.script.mm7.read],
        [&mut config.script.mm4.delivery, &mut config.script.mm4.read],
    ] {
        (*delivery, *read) = (within(0, 300), within(100, 600));
    }
    config
}

/// Applications that post without end, and what they were answered.
struct Load {
    world: Arc<World>,
    next: AtomicU64,
    over: AtomicBool,
    answered: Mutex<BTreeMap<u64, String>>,
    unanswered: AtomicU64,
}

impl Load {
    async fn post(self: Arc<Self>) {
        while !self.over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let over = Over::BOTH[usize::from(number.is_multiple_of(2))];
            match self.world.post(number, over).await {
                Ok(id) => drop(self.answered.lock().unwrap().insert(number, id)),
                Err(_) => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_however_often_the_gateway_is_killed() {
    let mut chance = Chance::new("crash_random");
    let start = Instant::now();
    let world = Arc::new(World::new(carrier()).await);
    world.application.set(Mood::TakesMostly);
    let load = Arc::new(Load {
        world: Arc::clone(&world),
        next: AtomicU64::new(1),
        over: AtomicBool::new(false),
        answered: Mutex::default(),
        unanswered: AtomicU64::new(0),
    });
    let loaders: Vec<_> = (0..LOADERS).map(|_| tokio::spawn(Arc::clone(&load).post())).collect();
    for kill in 0..KILLS + KILLS_AT_START {
        if kill % (KILLS / KILLS_AT_START + 1) == 0 {
            let gateway = world.spawn();
            chance.pause(0, 150).await;
            gateway.kill();
        } else {
            let gateway = world.start().await;
            chance.pause(5, 150).await;
            gateway.kill();
        }
    }
    let killing = start.elapsed();
    let _gateway = world.start().await;
    load.over.store(true, Ordering::Relaxed);
    for loader in loaders {
        loader.await.unwrap();
    }
    world.quiet().await;
    let answered = load.answered.lock().unwrap().clone();
    let tally = world.audit(&answered).await;
    println!(
        "crash_random: {} kills in {killing:.1?}, {} posts without 202, {tally:?}, all in {:.1?}",
        KILLS + KILLS_AT_START,
        load.unanswered.load(Ordering::Relaxed),
        start.elapsed()
    );
    assert!(tally.answered >= 50, "too little load to prove anything");
    assert!(tally.repeated > 0, "no kill fell between the carrier and the settling");
}
