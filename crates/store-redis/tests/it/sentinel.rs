//! A master with two replicas, watched by three sentinels.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mmsgw_store::Store;
use mmsgw_store_redis::{Durability, RedisClock, RedisMode, RedisSettings, RedisStore};
use tempfile::TempDir;

use crate::bench::{queue, request, submission};
use crate::server::{Server, free_port, serves, settings, until};

struct Sentinel {
    port: u16,
    child: Child,
    _folder: TempDir,
}

impl Sentinel {
    async fn start(master: &Server) -> Self {
        loop {
            let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
            let file = folder.path().join("sentinel.conf");
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor mymaster 127.0.0.1 {} 2\n\
                 sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 4000\n",
                folder.path().display(),
                master.port
            );
            fs::write(&file, text).unwrap();
            let mut command = Command::new("redis-server");
            command.arg(file).arg("--sentinel").stdout(Stdio::null()).stderr(Stdio::null());
            let mut sentinel = Self { port, child: command.spawn().unwrap(), _folder: folder };
            if serves(&mut sentinel.child, port).await {
                return sentinel;
            }
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Master, replicas and sentinels that know each other.
async fn start() -> (Server, Vec<Server>, Vec<Sentinel>) {
    let master = Server::start(&[]).await;
    let port = master.port.to_string();
    let mut replicas = Vec::new();
    for _ in 0..2 {
        replicas.push(
            Server::start(&["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]).await,
        );
    }
    until("both replicas follow", async || {
        let info: String = master.call(&["INFO", "replication"]).await;
        info.matches("state=online").count() == 2
    })
    .await;
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        sentinels.push(Sentinel::start(&master).await);
    }
    for sentinel in &sentinels {
        until("a sentinel knows the others", async || {
            let client = redis::Client::open(format!("redis://127.0.0.1:{}", sentinel.port)).unwrap();
            let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
            let mut command = redis::cmd("INFO");
            let info: String = command.arg("sentinel").query_async(&mut connection).await.unwrap_or_default();
            info.contains("slaves=2,sentinels=3")
        })
        .await;
    }
    (master, replicas, sentinels)
}

fn settings_of(sentinels: &[Sentinel]) -> RedisSettings {
    let addresses = sentinels.iter().map(|sentinel| format!("redis://127.0.0.1:{}", sentinel.port));
    RedisSettings { durability: Durability::Replicas, ..settings(RedisMode::Sentinel, addresses.collect()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_nothing_that_was_answered_and_work_goes_on() {
    let (mut master, _replicas, sentinels) = start().await;
    let store = Arc::new(RedisStore::connect(&settings_of(&sentinels), RedisClock::Server).await.unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut answered, mut failed) = (Vec::new(), 0);
                while !stop.load(Ordering::Relaxed) {
                    let (message, _, batch) = submission(&queue("main"));
                    match store.commit(batch).await {
                        Ok(()) => answered.push(message.id),
                        Err(_) => failed += 1,
                    }
                }
                (answered, failed)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    master.kill();
    // The new master has one replica left, which is enough.
    let (message, _, batch) = submission(&queue("main"));
    store.commit(batch).await.expect("within the time for a call there is a new master");
    assert!(store.message(message.id).await.unwrap().is_some());
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let mut total = 0;
    for task in tasks {
        let (answered, failed) = task.await.unwrap();
        assert!(failed <= 1, "{failed} commits of one task failed");
        for id in answered {
            assert!(store.message(id).await.unwrap().is_some(), "{id} was answered and is gone");
            total += 1;
        }
    }
    println!("{total} commits were answered");
    let leased = store.lease(request(&queue("main"), 100)).await.unwrap();
    assert_eq!(leased.jobs.len(), 100.min(total + 1));
    let other = RedisStore::connect(&settings_of(&sentinels), RedisClock::Server).await.unwrap();
    assert!(other.message(message.id).await.unwrap().is_some());
}
