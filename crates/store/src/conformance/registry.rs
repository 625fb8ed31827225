//! The contract of [`Registry`] in executable form.

use std::sync::Arc;
use std::time::Duration;

use mmsgw_domain::{Clock, InstanceHealth, InstanceId, InstanceRecord};

use super::ManualClock;
use super::bench::group;
use crate::{Registry, TurnRequest};

/// Runs all cases, each on a registry of its own that `make` gives. Turns go by the backend's own time, which is
/// not the manual clock.
///
/// # Panics
/// Where the registry breaks the contract.
pub async fn run_registry<R: Registry>(make: impl AsyncFn(Arc<ManualClock>) -> R) {
    let clock = Arc::new(ManualClock::default());
    comes_and_goes(&make(Arc::clone(&clock)).await, &clock).await;
    shares_turns(Arc::new(make(clock).await)).await;
}

async fn comes_and_goes(registry: &impl Registry, clock: &ManualClock) {
    assert_eq!(registry.instances().await.unwrap(), []);
    let (first, second) = (record("a", clock), record("b", clock));
    registry.announce(&second, TTL).await.unwrap();
    registry.announce(&first, TTL).await.unwrap();
    let seen = registry.instances().await.unwrap();
    assert_eq!(seen.iter().map(|seen| &seen.record).collect::<Vec<_>>(), [&first, &second]);
    assert!(seen.iter().all(|seen| seen.alive));
    clock.advance(TTL - Duration::from_millis(1));
    let renewed = InstanceRecord { in_flight: 7, updated: clock.now(), ..first.clone() };
    registry.announce(&renewed, TTL).await.unwrap();
    clock.advance(Duration::from_millis(1));
    let seen = registry.instances().await.unwrap();
    assert_eq!((&seen[0].record, seen[0].alive), (&renewed, true));
    assert_eq!((&seen[1].record, seen[1].alive), (&second, false), "the dead stay until they are withdrawn");
    registry.withdraw(&second.id).await.unwrap();
    registry.withdraw(&second.id).await.unwrap();
    assert_eq!(registry.instances().await.unwrap().len(), 1);
}

async fn shares_turns(registry: Arc<impl Registry>) {
    let distance = Duration::from_millis(50);
    let ask = |name: &str, count| TurnRequest { group: group(name), count, distance };
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let (registry, request) = (Arc::clone(&registry), ask("one", 4));
            tokio::spawn(async move { registry.turns(&request).await.unwrap().first_in })
        })
        .collect();
    let mut firsts = Vec::new();
    for answer in asked {
        firsts.push(answer.await.unwrap());
    }
    firsts.sort();
    for (index, first) in firsts.iter().enumerate() {
        let latest = distance * 4 * u32::try_from(index).unwrap();
        assert!(*first <= latest, "the turns of {index} come after {first:?}");
    }
    let last = *firsts.last().unwrap();
    assert!(last > distance * 30, "40 turns within {last:?}: some were given twice");
    assert!(registry.turns(&ask("other", 1)).await.unwrap().first_in < distance, "each group has its own");
}

fn record(name: &str, clock: &ManualClock) -> InstanceRecord {
    let now = clock.now();
    InstanceRecord {
        id: InstanceId::new(&group("g"), name, "here", 42),
        role: "gateway".to_owned(),
        group: Some(group("g")),
        protocol: Some("MM7".to_owned()),
        host: "here".to_owned(),
        pid: 42,
        started: now,
        updated: now,
        health: InstanceHealth::Unwell { reason: "no answer".to_owned(), since: now },
        heartbeat: None,
        in_flight: 3,
        sent: 1,
        deferred: 0,
        failed: 0,
        last_error: Some("no \"answer\"".to_owned()),
    }
}

const TTL: Duration = Duration::from_secs(15);
