//! What a message costs the server: octets while it waits, commands in its life. The numbers are in
//! `docs/design/0006-redis.md`; here they are printed, and held to bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use mmsgw_store::{Batch, Store, Write};
use mmsgw_store_redis::{RedisClock, RedisStore};

use crate::bench::{queue, request, sent, submission};
use crate::server::Server;

async fn used_memory(server: &Server) -> i64 {
    let info: String = server.call(&["INFO", "memory"]).await;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    line.trim().parse().unwrap()
}

/// Calls of each command and microseconds in them, those inside scripts included.
async fn commands(server: &Server) -> BTreeMap<String, (u64, u64)> {
    let info: String = server.call(&["INFO", "commandstats"]).await;
    let read = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        let number = |key: &str| {
            let (_, rest) = rest.split_once(key)?;
            rest.split([',', '\r']).next()?.parse().ok()
        };
        Some((name.to_owned(), (number("calls=")?, number("usec=")?)))
    };
    info.lines().filter_map(read).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_costs_so_much() {
    let server = Server::start(&["--appendfsync", "no"]).await;
    let store = RedisStore::connect(&server.settings(), RedisClock::Server).await.unwrap();
    let q = queue("main");
    let (_, _, first) = submission(&q);
    store.commit(first).await.unwrap();
    let first = store.lease(request(&q, 1)).await.unwrap().jobs.remove(0);
    store.commit(Batch::new().with(Write::Finish(first.lease))).await.unwrap();

    let before = used_memory(&server).await;
    let mut messages = BTreeMap::new();
    let mut json = 0;
    let all: Vec<_> = (0..MESSAGES).map(|_| submission(&q)).collect();
    server.call::<()>(&["CONFIG", "RESETSTAT"]).await;
    for some in all.chunks(64) {
        let commits = some.iter().map(|(_, _, batch)| store.commit(batch.clone()));
        futures_util::future::try_join_all(commits).await.unwrap();
    }
    for (message, job, _) in all {
        json += 37 + serde_json::to_vec(&message).unwrap().len();
        messages.insert(job.id, message);
    }
    // Marks of commits are gone after two minutes; they are counted apart.
    let marks = marks(&server).await;
    let waiting = (used_memory(&server).await - before - marks) / MESSAGES;
    loop {
        let leased = store.lease(request(&q, 256)).await.unwrap().jobs;
        if leased.is_empty() {
            break;
        }
        for some in leased.chunks(64) {
            let commits = some.iter().map(|job| {
                let next = sent(&messages[&job.lease.job], Duration::from_secs(600));
                let batch = Batch::new().with(Write::Finish(job.lease.clone()));
                store.commit(batch.with(Write::ChangedMessage(next)))
            });
            futures_util::future::try_join_all(commits).await.unwrap();
        }
    }
    let commands = commands(&server).await;
    let per_message =
        |name: &str| commands.get(name).map_or(0.0, |(calls, _)| *calls as f64 / MESSAGES as f64);
    let inner: u64 =
        commands.iter().filter(|(name, _)| *name != "evalsha").map(|(_, (calls, _))| calls).sum();
    let micros = commands.get("evalsha").map_or(0, |(_, micros)| *micros) / MESSAGES.unsigned_abs();
    println!(
        "a queued message: {waiting} octets, of which {} are its text",
        json / usize::try_from(MESSAGES).unwrap()
    );
    println!("marks of commits: {} octets for each message, for two minutes", marks / MESSAGES);
    println!(
        "life of a message: {:.3} calls, {:.1} commands inside them, {micros} us of the server's time",
        per_message("evalsha"),
        inner as f64 / MESSAGES as f64
    );
    for (name, (calls, _)) in &commands {
        println!("  {name}: {:.3}", *calls as f64 / MESSAGES as f64);
    }
    assert!((1..4_000).contains(&waiting), "{waiting} octets");
    assert!(per_message("evalsha") < 2.1, "two commits and a share of a lease");
}

async fn marks(server: &Server) -> i64 {
    let keys: Vec<String> = server.call(&["KEYS", "*:done:*"]).await;
    let mut octets = 0;
    for key in keys {
        octets += server.call::<i64>(&["MEMORY", "USAGE", &key, "SAMPLES", "0"]).await;
    }
    octets
}

const MESSAGES: i64 = 5_000;
