//! Three masters that share the slots.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mmsgw_domain::{GroupName, Span};
use mmsgw_store::{Batch, ManualClock, Store, StoreError, Write, conformance};
use mmsgw_store_redis::{RedisClock, RedisMode, RedisSettings, RedisStore};

use crate::bench::{queue, request, submission};
use crate::server::{Server, settings, until};

/// The nodes of a cluster that is ready.
async fn start() -> Vec<Server> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let mut arguments = vec!["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        arguments.extend(["--cluster-require-full-coverage", "no"]);
        nodes.push(Server::start(&arguments).await);
    }
    for (node, (from, to)) in nodes.iter().zip([(0, 5460), (5461, 10922), (10923, 16383)]) {
        node.call::<()>(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]).await;
    }
    for other in &nodes[1..] {
        nodes[0].call::<()>(&["CLUSTER", "MEET", "127.0.0.1", &other.port.to_string()]).await;
    }
    until("the cluster is whole", async || {
        for node in &nodes {
            let info: String = node.call(&["CLUSTER", "INFO"]).await;
            if !info.contains("cluster_state:ok") || !info.contains("cluster_size:3") {
                return false;
            }
        }
        true
    })
    .await;
    nodes
}

fn settings_of(nodes: &[Server]) -> RedisSettings {
    settings(RedisMode::Cluster, nodes.iter().map(Server::address).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_the_contract() {
    let nodes = start().await;
    let count = AtomicUsize::new(0);
    let make = async |clock: Arc<ManualClock>| {
        let key_prefix = format!("case{}", count.fetch_add(1, Ordering::Relaxed));
        let settings = RedisSettings { key_prefix, ..settings_of(&nodes) };
        RedisStore::connect(&settings, RedisClock::Given(clock)).await.unwrap()
    };
    conformance::run(make).await;
    conformance::run_registry(make).await;
    for node in &nodes {
        let size: usize = node.call(&["DBSIZE"]).await;
        assert!(size > 100, "every node has its share, not {size} keys");
    }
}

/// A group whose keys are on that node.
async fn group_on(nodes: &[Server], node: usize) -> GroupName {
    for number in 0..1000 {
        let name = format!("g{number}");
        let slot: usize = nodes[0].call(&["CLUSTER", "KEYSLOT", &format!("mmsgw:{{{name}/0}}")]).await;
        if slot / 5461 == node {
            return name.parse().unwrap();
        }
    }
    panic!("no group is on node {node}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_gone_stops_its_own_groups_only_and_comes_back() {
    let mut nodes = start().await;
    let settings = RedisSettings { timeout: Span(Duration::from_millis(1500)), ..settings_of(&nodes) };
    let store = Arc::new(RedisStore::connect(&settings, RedisClock::Server).await.unwrap());
    let (lost, kept) = (group_on(&nodes, 1).await, group_on(&nodes, 2).await);
    let mut answered = Vec::new();
    for group in [&lost, &kept] {
        let (message, _, batch) = submission(&queue(group.as_str()));
        store.commit(batch).await.unwrap();
        answered.push(message.id);
    }
    nodes[1].kill();
    let down = tokio::spawn({
        let (store, queue) = (Arc::clone(&store), queue(lost.as_str()));
        async move { store.commit(submission(&queue).2).await }
    });
    for _ in 0..20 {
        let (message, _, batch) = submission(&queue(kept.as_str()));
        let begin = std::time::Instant::now();
        store.commit(batch).await.expect("other groups do not notice");
        assert!(begin.elapsed() < Duration::from_secs(1), "it took {:?}", begin.elapsed());
        answered.push(message.id);
        let leased = store.lease(request(&queue(kept.as_str()), 1)).await.unwrap().jobs;
        store.commit(Batch::new().with(Write::Finish(leased[0].lease.clone()))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(matches!(down.await.unwrap(), Err(StoreError::Unavailable(_))));
    assert!(nodes[1].run().await);
    until("the group is served again", async || {
        store.commit(submission(&queue(lost.as_str())).2).await.is_ok()
    })
    .await;
    for id in answered {
        assert!(store.message(id).await.unwrap().is_some(), "{id} is gone");
    }
}
