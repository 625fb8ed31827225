//! One server.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mmsgw_domain::{Clock, Id, Span, SystemClock};
use mmsgw_store::{Batch, ManualClock, Store, StoreError, Write, conformance};
use mmsgw_store_redis::{Durability, RedisClock, RedisSettings, RedisStore};

use crate::bench::{queue, request, sent, submission};
use crate::server::{Server, until};

async fn open(settings: &RedisSettings) -> RedisStore {
    RedisStore::connect(settings, RedisClock::Server).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_keeps_the_contract() {
    let server = Server::start(&[]).await;
    let count = AtomicUsize::new(0);
    conformance::run(async |clock: Arc<ManualClock>| {
        // A prefix of its own is as good as a server of its own.
        let key_prefix = format!("case{}", count.fetch_add(1, Ordering::Relaxed));
        let servers = vec![format!("unix://{}", server.socket().display())];
        let settings = RedisSettings { key_prefix, servers, ..server.settings() };
        RedisStore::connect(&settings, RedisClock::Given(clock)).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_keeps_the_contract_of_the_registry() {
    let server = Server::start(&[]).await;
    let count = AtomicUsize::new(0);
    conformance::run_registry(async |clock: Arc<ManualClock>| {
        let key_prefix = format!("case{}", count.fetch_add(1, Ordering::Relaxed));
        let settings = RedisSettings { key_prefix, ..server.settings() };
        RedisStore::connect(&settings, RedisClock::Given(clock)).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_comes_back_has_all_that_was_answered() {
    let mut server = Server::start(&[]).await;
    let settings = RedisSettings { timeout: Span(Duration::from_millis(800)), ..server.settings() };
    let store = Arc::new(open(&settings).await);
    let q = queue("main");
    let mut answered = Vec::new();
    for _ in 0..3 {
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let mut answered = Vec::new();
                    loop {
                        let (message, job, batch) = submission(&queue("main"));
                        match store.commit(batch).await {
                            Ok(()) => answered.push((message.id, job.id)),
                            Err(StoreError::Unavailable(_)) => return answered,
                            Err(other) => panic!("{other}"),
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.kill();
        for task in tasks {
            answered.extend(task.await.unwrap());
        }
        let begin = Instant::now();
        let down = store.lease(request(&q, 1)).await;
        assert!(matches!(down, Err(StoreError::Unavailable(_))), "{down:?}");
        assert!(begin.elapsed() < Duration::from_secs(3), "told in time, not after {:?}", begin.elapsed());
        assert!(store.health().await.is_err());
        assert!(server.run().await);
        store.health().await.expect("it heals by itself");
    }
    assert!(answered.len() > 50, "only {} were answered", answered.len());
    for (message, _) in &answered {
        assert!(store.message(*message).await.unwrap().is_some(), "{message} is gone");
    }
    let leased = store.lease(request(&q, 1_000_000)).await.unwrap().jobs;
    let leased: HashSet<_> = leased.iter().map(|job| job.lease.job).collect();
    assert!(answered.iter().all(|(_, job)| leased.contains(job)), "a job is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_outlasts_a_restart_and_is_done_once() {
    let mut server = Server::start(&[]).await;
    let store = Arc::new(open(&server.settings()).await);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..50 {
                    // A batch done twice would be refused: its ids are taken, its lease settled.
                    let (_, _, batch) = submission(&queue("main"));
                    store.commit(batch).await.unwrap();
                    let leased = store.lease(request(&queue("main"), 1)).await.unwrap().jobs;
                    for job in leased {
                        store.commit(Batch::new().with(Write::Finish(job.lease))).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        server.kill();
        assert!(server.run().await);
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_told_of_in_time() {
    let server = Server::start(&[]).await;
    let settings = RedisSettings { timeout: Span(Duration::from_millis(400)), ..server.settings() };
    let store = open(&settings).await;
    let (message, _, batch) = submission(&queue("main"));
    signal(&server, "-STOP");
    let begin = Instant::now();
    assert!(matches!(store.commit(batch).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.message(message.id).await, Err(StoreError::Unavailable(_))));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    signal(&server, "-CONT");
    until("it heals", async || store.health().await.is_ok()).await;
    let (message, _, batch) = submission(&queue("main"));
    store.commit(batch).await.unwrap();
    assert!(store.message(message.id).await.unwrap().is_some());
}

fn signal(server: &Server, name: &str) {
    let status = std::process::Command::new("kill").args([name, &server.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let server = Server::start(&[]).await;
    let store = open(&server.settings()).await;
    for _ in 0..3 {
        server.call::<()>(&["SCRIPT", "FLUSH"]).await;
        let (_, job, batch) = submission(&queue("main"));
        store.commit(batch).await.unwrap();
        server.call::<()>(&["SCRIPT", "FLUSH"]).await;
        let leased = store.lease(request(&queue("main"), 5)).await.unwrap().jobs;
        assert_eq!(leased.iter().map(|leased| leased.lease.job).collect::<Vec<_>>(), [job.id]);
        server.call::<()>(&["SCRIPT", "FLUSH"]).await;
        assert_eq!(store.queues().await.unwrap().iter().map(|status| status.leased).sum::<u64>(), 1);
        store.commit(Batch::new().with(Write::Finish(leased[0].lease.clone()))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_commits_wakes_another_also_after_a_lost_connection() {
    let server = Server::start(&[]).await;
    let (here, there) = (Arc::new(open(&server.settings()).await), open(&server.settings()).await);
    for round in 0..3 {
        assert!(here.lease(request(&queue("main"), 5)).await.unwrap().jobs.is_empty());
        let waiter = tokio::spawn({
            let here = Arc::clone(&here);
            async move { here.wait(&queue("main"), Duration::from_secs(3600)).await }
        });
        if round == 1 {
            server.call::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        }
        let (_, job, batch) = submission(&queue("main"));
        there.commit(batch).await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), waiter).await.expect("woken").unwrap();
        let leased = here.lease(request(&queue("main"), 5)).await.unwrap().jobs;
        assert_eq!(leased[0].lease.job, job.id);
        there.commit(Batch::new().with(Write::Finish(leased[0].lease.clone()))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_costs_the_server_nothing_and_a_burst_rings_once() {
    let server = Server::start(&[]).await;
    let store = Arc::new(open(&server.settings()).await);
    store.lease(request(&queue("main"), 5)).await.unwrap();
    let waiter = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.wait(&queue("idle"), Duration::from_secs(3600)).await }
    });
    server.call::<()>(&["CONFIG", "RESETSTAT"]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let info: String = server.call(&["INFO", "commandstats"]).await;
    assert!(!info.contains("evalsha") && !info.contains("cmdstat_eval"), "{info}");
    for _ in 0..20 {
        store.commit(submission(&queue("main")).2).await.unwrap();
    }
    let info: String = server.call(&["INFO", "commandstats"]).await;
    assert!(info.contains("cmdstat_publish:calls=1,"), "{info}");
    waiter.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_may_be_forgotten_has_an_end_and_the_server_keeps_to_it() {
    let server = Server::start(&[]).await;
    let store = open(&server.settings()).await;
    let q = queue("main");
    let (message, _, batch) = submission(&q);
    store.commit(batch).await.unwrap();
    store.commit(submission(&q).2).await.unwrap();
    let lease = store.lease(request(&q, 1)).await.unwrap().jobs.remove(0).lease;
    let keys: Vec<String> = server.call(&["KEYS", "*"]).await;
    assert!(keys.len() > 5, "{keys:?}");
    for key in keys.iter().filter(|key| !key.contains(":done:")) {
        let left: i64 = server.call(&["PTTL", key]).await;
        assert_eq!(left, -1, "{key} must stay");
    }
    let next = sent(&message, Duration::from_millis(700));
    let batch = Batch::new().with(Write::Finish(lease)).with(Write::ChangedMessage(next));
    store.commit(batch).await.unwrap();
    let key = keys.iter().find(|key| key.ends_with(&message.id.to_string())).unwrap();
    assert!((1..=700).contains(&server.call::<i64>(&["PTTL", key]).await));
    assert!(store.message(message.id).await.unwrap().is_some());
    until("the server forgets it", async || server.call::<i64>(&["EXISTS", key]).await == 0).await;
    assert_eq!(store.message(message.id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_would_throw_queues_away_is_told() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    let store = open(&server.settings()).await;
    let warned =
        |store: &RedisStore, word: &str| store.warnings().iter().any(|warning| warning.contains(word));
    assert!(warned(&store, "allkeys-lru"), "{:?}", store.warnings());
    server.call::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    store.health().await.unwrap();
    assert_eq!(store.warnings(), Vec::<String>::new());
    server.call::<()>(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]).await;
    server.call::<()>(&["CONFIG", "SET", "appendfsync", "everysec"]).await;
    store.health().await.unwrap();
    assert!(
        warned(&store, "volatile-ttl") && warned(&store, "appendfsync is everysec"),
        "{:?}",
        store.warnings()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn durability_that_the_server_does_not_give_is_refused() {
    let server = Server::start(&["--appendfsync", "everysec"]).await;
    let version: String = server.call(&["INFO", "server"]).await;
    let fsync = RedisSettings { durability: Durability::Fsync, ..server.settings() };
    let opened = RedisStore::connect(&fsync, RedisClock::Server).await;
    // WAITAOF came with 7.2; before it the server's own setting must do.
    if version.contains("redis_version:7.0") || version.contains("redis_version:6.") {
        assert!(
            matches!(opened.err(), Some(StoreError::Unusable(text)) if text.contains("appendfsync always"))
        );
        server.call::<()>(&["CONFIG", "SET", "appendfsync", "always"]).await;
        open(&fsync).await.commit(submission(&queue("main")).2).await.unwrap();
    } else {
        opened.unwrap().commit(submission(&queue("main")).2).await.unwrap();
    }
    let replicas =
        RedisSettings { durability: Durability::Replicas, timeout: Span::secs(5), ..server.settings() };
    let error = open(&replicas).await.commit(submission(&queue("main")).2).await.unwrap_err();
    assert!(error.to_string().contains("fewer than 1 replicas"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_found_by_who_never_met_it() {
    let server = Server::start(&[]).await;
    let store = open(&server.settings()).await;
    let (message, _, batch) = submission(&queue("far"));
    store.commit(batch).await.unwrap();
    store.commit(submission(&queue("near")).2).await.unwrap();
    let other = open(&server.settings()).await;
    assert_eq!(other.message(message.id).await.unwrap(), Some(message));
    assert_eq!(other.message(Id::generate(SystemClock.now())).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_memory_is_full_takes_nothing_new_and_lets_work_end() {
    let server = Server::start(&[]).await;
    let store = open(&server.settings()).await;
    let q = queue("main");
    let (first, _, batch) = submission(&q);
    store.commit(batch).await.unwrap();
    let lease = store.lease(request(&q, 1)).await.unwrap().jobs.remove(0).lease;
    server.call::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let (message, _, batch) = submission(&q);
    let error = store.commit(batch).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("OOM")), "{error}");
    assert_eq!(store.message(message.id).await.unwrap(), None);
    let batch = Batch::new().with(Write::ChangedMessage(sent(&first, Duration::from_secs(60))));
    store.commit(batch.with(Write::Finish(lease))).await.unwrap();
    server.call::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    store.commit(submission(&q).2).await.unwrap();
    assert_eq!(store.lease(request(&q, 5)).await.unwrap().jobs.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_messages_go_when_the_messages_are_gone_and_not_before() {
    let server = Server::start(&[]).await;
    let clock = Arc::new(ManualClock::default());
    let store = RedisStore::connect(&server.settings(), RedisClock::Given(Arc::<ManualClock>::clone(&clock)))
        .await
        .unwrap();
    let ids = async || server.call::<i64>(&["ZCARD", "mmsgw:{main/0}:ids"]).await;
    // What waits for long is older than what comes and goes.
    let make = async |count: usize, ends: Option<u64>| {
        let expires = ends.map(|seconds| clock.now().after(Duration::from_secs(seconds)));
        for _ in 0..count {
            let (mut message, _, _) = submission(&queue("main"));
            message.expires = expires;
            store.commit(Batch::new().with(Write::NewMessage(message))).await.unwrap();
        }
    };
    make(30, None).await;
    make(200, Some(10)).await;
    make(5, Some(60)).await;
    assert_eq!(store.sweep(500).await.unwrap().records, 0);
    assert_eq!(ids().await, 235);
    clock.advance(Duration::from_secs(10));
    let mut sweeps = 0;
    while ids().await > 35 {
        store.sweep(100).await.unwrap();
        sweeps += 1;
        assert!(sweeps < 1_000, "{} ids are left", ids().await);
    }
    while store.sweep(500).await.unwrap().records > 0 {}
    assert_eq!(ids().await, 35);
}
