//! Eight processes and more on one Redis, killed and replaced at random while thousands of messages pass.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mmsgw_mmsc_sim::{Delay, SimConfig};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::rig::crash::Chance;
use crate::rig::fleet::{Fleet, GROUPS, PICTURES, picture};
use crate::rig::redis::Redis;
use crate::rig::{text, wait_until};

/// Messages, and how many of them have an application that wants to hear of them.
const MESSAGES: usize = 5_000;
const TOLD: usize = 10;
/// Applications that post at the same time.
const LOADERS: usize = 16;

fn carrier() -> SimConfig {
    let mut config = SimConfig::default();
    config.recording.messages = 20 * MESSAGES;
    for plan in [&mut config.script.mm7.delivery, &mut config.script.mm4.delivery] {
        plan.delay = Delay::range(0, 500);
    }
    config.script.mm7.delay = Delay::range(0, 20);
    config.script.mm4.delay = Delay::range(0, 20);
    (config.script.report_retries, config.script.report_retry_ms) = (10_000, 100);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_die_at_random_and_every_message_reaches_its_end() {
    let mut chance = Chance::new("fleet_crash");
    let start = Instant::now();
    let redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let fleet = Arc::new(Fleet::new(&redis.storage(), carrier(), "").await);
    let mut processes = Vec::new();
    for (role, count) in [("gateway", 4), ("api", 2), ("callout", 2), ("mm4rx", 1), ("mm7rx", 1)] {
        processes.extend((0..count).map(|index| fleet.start(role, index % 2, &[])));
    }
    fleet.await_api(0).await;
    fleet.await_api(1).await;
    let (next, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(BTreeMap::new())));
    let loaders: Vec<_> = (0..LOADERS)
        .map(|_| tokio::spawn(load(Arc::clone(&fleet), Arc::clone(&next), Arc::clone(&answered))))
        .collect();
    let mut kills = 0;
    while !loaders.iter().all(tokio::task::JoinHandle::is_finished) || kills < 20 {
        chance.pause(100, 700).await;
        let last = u64::try_from(processes.len() - 1).unwrap();
        processes[usize::try_from(chance.between(0, last)).unwrap()].replace();
        kills += 1;
    }
    for loader in loaders {
        loader.await.unwrap();
    }
    let answered = answered.lock().await.clone();
    let posted = start.elapsed();
    let mut states = BTreeMap::<String, usize>::new();
    for (number, id) in &answered {
        let message = wait_until(&format!("message {number} to reach its end"), async || {
            fleet.message(id).await.filter(|message| text(message, "state") == "DELIVERED")
        })
        .await;
        *states.entry(text(&message, "state").to_owned()).or_default() += 1;
        if number.is_multiple_of(TOLD) {
            hears_all(&fleet, id, &message).await;
        }
    }
    let copies = fleet.copies();
    let (mut more, mut strangers) = (0, 0);
    for (number, copies) in &copies {
        if number.is_multiple_of(PICTURES) {
            let sought = picture(*number);
            let has = |copy: &mmsgw_mmsc_sim::Received| copy.parts.iter().any(|part| part.octets == sought);
            assert!(copies.iter().all(has), "the picture of message {number} is not what was posted");
        }
        // A transaction id of ours begins with the id of its message.
        let mut by_message = BTreeMap::<&str, Vec<&str>>::new();
        for copy in copies {
            by_message.entry(&copy.transaction_id[..32]).or_default().push(&copy.transaction_id);
        }
        for (message, transactions) in &by_message {
            let first = transactions[0];
            assert!(
                transactions.iter().all(|other| *other == first),
                "{number} ({message}) went out under {transactions:?}"
            );
            more += transactions.len() - 1;
        }
        strangers += by_message.len() - 1;
    }
    assert!(answered.keys().all(|number| copies.contains_key(number)), "the carrier has each at least once");
    assert_eq!(fleet.carrier.counts().dropped, 0);
    println!(
        "fleet_crash: {} messages in {:.1?} (posted in {posted:.1?}), {kills} kills, {states:?}; {more} hand-overs repeated \
         under the same transaction id after an instance died between the carrier's answer and the commit",
        answered.len(),
        start.elapsed()
    );
    assert_eq!((answered.len(), strangers), (MESSAGES, 0), "one message for each Idempotency-Key");
    // Each death can repeat at most what was in hand, and there was no other reason to repeat anything.
    assert!(more <= kills * 4 * 64, "{more} repetitions after {kills} kills");
}

/// Posts until all messages were answered 202, each by number.
async fn load(fleet: Arc<Fleet>, next: Arc<AtomicUsize>, answered: Arc<Mutex<BTreeMap<usize, String>>>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= MESSAGES {
            return;
        }
        let url = number.is_multiple_of(TOLD).then(|| fleet.application.url("events"));
        loop {
            match fleet.post(number, GROUPS[number % 2], url.as_deref()).await {
                Ok(id) => break drop(answered.lock().await.insert(number, id)),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// Every event of the message was told under one id.
async fn hears_all(fleet: &Fleet, id: &str, message: &Value) {
    for event in message["events"].as_array().unwrap() {
        let told = fleet.application.hears(id, "events", text(event, "state")).await;
        assert_eq!(told.body["timestamp"], event["timestamp"]);
    }
    let callbacks = fleet.application.callbacks(id, "events");
    let mut ids: Vec<_> =
        callbacks.iter().map(|c| (c.body["sequence"].as_u64(), c.webhook_id.clone())).collect();
    ids.sort();
    ids.dedup();
    let mut sequences: Vec<_> = ids.iter().map(|(sequence, _)| *sequence).collect();
    sequences.dedup();
    assert_eq!(ids.len(), sequences.len(), "an event has one webhook-id");
}
