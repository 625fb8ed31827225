//! Workers that wait are woken. Whether they are woken for nothing is not asked.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::bench::{Bench, queue};
use crate::{Lane, Write};

pub(super) async fn enqueue_wakes(b: Bench) {
    let q = queue("q");
    b.lease(&q, 1).await;
    let waiters: Vec<_> = (0..3).map(|_| wait(&b)).collect();
    b.commit([Write::Enqueue(b.job(&q))]).await;
    for waiter in waiters {
        woken(waiter).await;
    }
}

pub(super) async fn release_wakes(b: Bench) {
    let q = queue("q");
    b.commit([Write::Enqueue(b.job(&q)), Write::Enqueue(b.job(&q))]).await;
    let leased = b.lease(&q, 2).await.jobs;
    b.lease(&q, 1).await;
    let waiter = wait(&b);
    b.commit([Write::Release { lease: leased[0].lease.clone(), due: b.now() }]).await;
    woken(waiter).await;
    assert_eq!(b.lease(&q, 1).await.jobs.len(), 1);
    let waiter = wait(&b);
    b.commit([Write::Postpone { lease: leased[1].lease.clone(), due: b.now() }]).await;
    woken(waiter).await;
    assert_eq!(b.lease(&q, 1).await.jobs.len(), 1);
}

pub(super) async fn due_time_wakes(b: Bench) {
    let q = queue("q");
    let span = Duration::from_millis(50);
    b.commit([Write::Enqueue(b.job_at(&q, Lane::Normal, b.now().after(span)))]).await;
    assert!(b.lease(&q, 1).await.jobs.is_empty());
    let waiter = wait(&b);
    b.clock.advance(span);
    woken(waiter).await;
    assert_eq!(b.lease_for(&q, 1, span).await.jobs.len(), 1);
    let waiter = wait(&b);
    b.clock.advance(span);
    woken(waiter).await;
    assert_eq!(b.lease(&q, 1).await.jobs.len(), 1, "a lapsed lease wakes as well");
}

pub(super) async fn nothing_is_missed(b: Bench) {
    let q = queue("q");
    b.lease(&q, 1).await;
    b.commit([Write::Enqueue(b.job(&q))]).await;
    woken(wait(&b)).await;
    // Also a wait that nobody leased for.
    let other = queue("other");
    b.commit([Write::Enqueue(b.job(&other))]).await;
    timeout(SOON, b.store.wait(&other, LONG)).await.expect("a job is there");
}

pub(super) async fn limit_ends(b: Bench) {
    b.lease(&queue("q"), 1).await;
    timeout(SOON, b.store.wait(&queue("q"), Duration::from_millis(1))).await.expect("the limit is over");
    timeout(SOON, b.store.wait(&queue("q"), Duration::ZERO)).await.expect("no limit, no wait");
}

fn wait(b: &Bench) -> JoinHandle<()> {
    let b = b.clone();
    tokio::spawn(async move { b.store.wait(&queue("q"), LONG).await })
}

async fn woken(waiter: JoinHandle<()>) {
    timeout(SOON, waiter).await.expect("woken in time").expect("no panic");
}

/// Longer than a test lasts.
const LONG: Duration = Duration::from_secs(3600);

/// Longer than any store takes.
const SOON: Duration = Duration::from_secs(20);
