//! Messages on one server, queues on another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mmsgw_domain::Span;
use mmsgw_store::{Batch, ManualClock, Store, StoreError, Write, conformance};
use mmsgw_store_redis::{RedisClock, RedisSettings, RedisStore};

use crate::bench::{queue, request, sent, submission};
use crate::server::{Server, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_keep_the_contract() {
    let (messages, queues) = (Server::start(&[]).await, Server::start(&[]).await);
    let count = AtomicUsize::new(0);
    conformance::run(async |clock: Arc<ManualClock>| {
        let key_prefix = format!("case{}", count.fetch_add(1, Ordering::Relaxed));
        let settings =
            |server: &Server| RedisSettings { key_prefix: key_prefix.clone(), ..server.settings() };
        let clock = RedisClock::Given(clock);
        RedisStore::connect_two(&settings(&messages), &settings(&queues), clock).await.unwrap()
    })
    .await;
    for (server, words) in [(&messages, ["jobs", ":w1", ":next"]), (&queues, [":m:", ":t:", ":blobs"])] {
        let keys: Vec<String> = server.call(&["KEYS", "*"]).await;
        let stranger = keys.iter().find(|key| words.iter().any(|word| key.contains(word)));
        assert_eq!(stranger, None, "it belongs to the other server");
    }
    let owed: Vec<String> = messages.call(&["KEYS", "*:owed"]).await;
    assert_eq!(owed, Vec::<String>::new(), "debts are struck off");
}

/// A server whose memory is full takes no new jobs; the same as if a process died after it had handed over the
/// messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_queued_is_queued_by_a_later_sweep_and_once() {
    let (messages, queues) = (Server::start(&[]).await, Server::start(&[]).await);
    let quick =
        |server: &Server| RedisSettings { timeout: Span(Duration::from_millis(300)), ..server.settings() };
    let open = async || {
        RedisStore::connect_two(&quick(&messages), &quick(&queues), RedisClock::Server).await.unwrap()
    };
    let store = open().await;
    let q = queue("main");
    let (first, _, batch) = submission(&q);
    store.commit(batch).await.unwrap();
    let lease = store.lease(request(&q, 1)).await.unwrap().jobs.remove(0).lease;
    queues.call::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let (message, job, batch) = submission(&q);
    store.commit(batch).await.expect("it is certain to happen");
    assert!(store.lease(request(&q, 5)).await.unwrap().jobs.is_empty());
    // Settling makes room and is done also now.
    let batch = Batch::new().with(Write::ChangedMessage(sent(&first, Duration::from_secs(60))));
    store.commit(batch.with(Write::Finish(lease))).await.unwrap();
    drop(store);

    queues.call::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let other = open().await;
    let mut jobs = Vec::new();
    until("the debt is paid", async || {
        other.sweep(100).await.unwrap();
        jobs.extend(other.lease(request(&q, 5)).await.unwrap().jobs);
        !jobs.is_empty()
    })
    .await;
    assert_eq!(jobs.iter().map(|leased| leased.lease.job).collect::<Vec<_>>(), [job.id]);
    assert!(other.message(message.id).await.unwrap().is_some());
    until("the debt is struck off", async || {
        messages.call::<Vec<String>>(&["KEYS", "*:owed"]).await.is_empty()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(1300)).await;
    other.sweep(100).await.unwrap();
    assert!(other.lease(request(&q, 5)).await.unwrap().jobs.is_empty(), "it was paid once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_server_of_the_queues_nothing_is_taken() {
    let (messages, mut queues) = (Server::start(&[]).await, Server::start(&[]).await);
    let quick = RedisSettings { timeout: Span(Duration::from_millis(300)), ..queues.settings() };
    let store = RedisStore::connect_two(&messages.settings(), &quick, RedisClock::Server).await.unwrap();
    store.commit(submission(&queue("main")).2).await.unwrap();
    queues.kill();
    let (message, _, batch) = submission(&queue("main"));
    assert!(matches!(store.commit(batch).await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.message(message.id).await.unwrap(), None);
    assert!(queues.run().await);
    until("it heals", async || store.commit(submission(&queue("main")).2).await.is_ok()).await;
}
