//! Queues that hand nothing out, jobs of instances that are gone, and dead jobs that return.

use std::time::Duration;

use mmsgw_domain::{InstanceId, JobId, Queue, QueueKind};

use super::bench::{Bench, HOLD, group, queue};
use crate::{LeaseRequest, LeasedJob, Pause, Write};

pub(super) async fn paused(b: Bench) {
    let q = queue("q");
    b.commit([Write::Enqueue(b.job(&q)), Write::Enqueue(b.job(&q))]).await;
    let held = b.lease(&q, 1).await.jobs.remove(0);
    let pause = Pause { reason: "the carrier moves".to_owned(), by: "ops".to_owned(), since: b.now() };
    b.commit([Write::Pause { queue: q.clone(), pause: Some(pause.clone()) }]).await;
    let leased = b.lease(&q, 5).await;
    assert_eq!((leased.jobs.len(), leased.next_due), (0, None));
    b.commit([Write::Finish(held.lease)]).await;
    let other = Queue { kind: QueueKind::Rx, ..q.clone() };
    b.commit([Write::Enqueue(b.job(&other))]).await;
    assert_eq!(b.lease(&other, 5).await.jobs.len(), 1, "only that queue is paused");
    b.store.hold_back(&q, b.at(10)).await.unwrap();
    let status = |all: Vec<crate::QueueStatus>| all.into_iter().find(|status| status.queue == q).unwrap();
    let told = status(b.store.queues().await.unwrap());
    assert_eq!((told.paused, told.held_until, told.waiting), (Some(pause), Some(b.at(10)), 1));
    let waiter = tokio::spawn({
        let (b, q) = (b.clone(), q.clone());
        async move { b.store.wait(&q, Duration::from_secs(3600)).await }
    });
    b.pass(10);
    b.commit([Write::Pause { queue: q.clone(), pause: None }]).await;
    tokio::time::timeout(Duration::from_secs(20), waiter).await.expect("going on wakes").unwrap();
    assert_eq!(b.lease(&q, 5).await.jobs.len(), 1);
    assert_eq!(status(b.store.queues().await.unwrap()).paused, None);
}

pub(super) async fn paused_without_jobs(b: Bench) {
    let q = queue("empty");
    let pause = Pause { reason: "not yet".to_owned(), by: "ops".to_owned(), since: b.now() };
    b.commit([Write::Pause { queue: q.clone(), pause: Some(pause) }]).await;
    assert_eq!(b.store.queues().await.unwrap().len(), 1);
    b.commit([Write::Enqueue(b.job(&q))]).await;
    assert_eq!(b.lease(&q, 5).await.jobs.len(), 0);
    b.commit([Write::Pause { queue: q.clone(), pause: None }]).await;
    assert_eq!(b.lease(&q, 5).await.jobs.len(), 1);
}

pub(super) async fn held_back(b: Bench) {
    let q = queue("q");
    b.commit([Write::Enqueue(b.job(&q))]).await;
    b.store.hold_back(&q, b.at(10)).await.unwrap();
    b.store.hold_back(&q, b.at(5)).await.unwrap();
    let leased = b.lease(&q, 5).await;
    assert_eq!((leased.jobs.len(), leased.next_due), (0, Some(b.at(10))), "the longer hold counts");
    b.clock.advance(Duration::from_millis(9_999));
    assert_eq!(b.lease(&q, 5).await.jobs.len(), 0);
    b.clock.advance(Duration::from_millis(1));
    assert_eq!(b.lease(&q, 5).await.jobs.len(), 1);
}

pub(super) async fn disowned(b: Bench) {
    let (q, other) = (queue("q"), Queue { kind: QueueKind::Ev, ..queue("q") });
    for queue in [&q, &q, &q, &other] {
        b.commit([Write::Enqueue(b.job(queue))]).await;
    }
    let (dying, living) = (instance("dying"), instance("living"));
    let mut lost = lease_as(&b, &q, 2, &dying).await;
    lost.extend(lease_as(&b, &other, 2, &dying).await);
    let kept = lease_as(&b, &q, 2, &living).await;
    assert_eq!((lost.len(), kept.len()), (3, 1));
    assert_eq!(b.store.disown(&dying).await.unwrap(), 3);
    assert_eq!(b.store.disown(&dying).await.unwrap(), 0);
    for job in &lost {
        b.lost([Write::Finish(job.lease.clone())]).await;
    }
    let again = lease_as(&b, &q, 9, &living).await;
    assert_eq!(ids(&again), ids(&lost[..2]), "they come back at once");
    assert!(again.iter().all(|job| job.tries == 1), "being left is no try");
    assert_eq!(lease_as(&b, &other, 9, &living).await.len(), 1);
    b.commit([Write::Finish(kept[0].lease.clone()), Write::Finish(again[0].lease.clone())]).await;
}

pub(super) async fn revived(b: Bench) {
    let q = queue("q");
    b.commit([Write::Enqueue(b.job(&q)), Write::Enqueue(b.job(&q)), Write::Enqueue(b.job(&q))]).await;
    let jobs = b.lease(&q, 3).await.jobs;
    b.conflict([Write::Revive { queue: q.clone(), id: jobs[0].lease.job }]).await;
    let bury = |job: &LeasedJob| Write::Bury {
        lease: job.lease.clone(),
        reason: "given up".to_owned(),
        expires: b.at(60),
    };
    b.commit(jobs.iter().map(bury)).await;
    let wrong = Queue { kind: QueueKind::Ev, ..q.clone() };
    b.conflict([Write::Revive { queue: wrong, id: jobs[0].lease.job }]).await;
    let revive = Write::Revive { queue: q.clone(), id: jobs[0].lease.job };
    b.conflict([revive.clone(), revive.clone()]).await;
    b.commit([revive.clone(), Write::Discard { queue: q.clone(), id: jobs[1].lease.job }]).await;
    b.conflict([revive]).await;
    b.conflict([Write::Discard { queue: q.clone(), id: jobs[1].lease.job }]).await;
    let back = b.lease_one(&q).await;
    assert_eq!((back.lease.job, back.tries, &back.job), (jobs[0].lease.job, 1, &jobs[0].job));
    let dead = b.store.dead(&q, None, 9).await.unwrap();
    assert_eq!(dead.iter().map(|dead| dead.id).collect::<Vec<_>>(), [jobs[2].lease.job]);
    let status = b.store.queues().await.unwrap().remove(0);
    assert_eq!((status.waiting, status.leased, status.dead), (0, 1, 1));
}

async fn lease_as(b: &Bench, queue: &Queue, max: usize, owner: &InstanceId) -> Vec<LeasedJob> {
    let request = LeaseRequest { queue: queue.clone(), max, owner: owner.clone(), hold: HOLD };
    b.store.lease(request).await.expect("a lease works").jobs
}

fn instance(name: &str) -> InstanceId {
    InstanceId::new(&group("q"), name, "here", 1)
}

fn ids(jobs: &[LeasedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.lease.job).collect()
}
