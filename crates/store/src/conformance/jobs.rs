//! Queues: order, leases, tries and dead jobs.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{IntakeJob, IntakeKind, Job, JobId, Queue, QueueKind};
use tokio::sync::mpsc;

use super::bench::{Bench, HOLD, queue};
use crate::{Lane, Lease, Leased, QueueStatus, Write};

pub(super) async fn order(b: Bench) {
    let q = queue("q");
    let mut wanted = Vec::new();
    for lane in Lane::ALL {
        for age in [30, 20, 10] {
            let mut same: Vec<_> = (0..3).map(|_| b.job_at(&q, lane, b.at(100 - age))).collect();
            same.sort_by_key(|job| job.id);
            wanted.extend(same);
        }
    }
    // Neither the order of commits nor that within a batch counts.
    for half in [1, 0] {
        let part = wanted.iter().enumerate().filter(|(i, _)| i % 2 == half).rev();
        b.commit(part.map(|(_, job)| Write::Enqueue(job.clone()))).await;
    }
    b.pass(100);
    let mut seen = ids(&b.lease(&q, 5).await);
    seen.extend(ids(&b.lease(&q, 100).await));
    assert_eq!(seen, wanted.iter().map(|job| job.id).collect::<Vec<_>>());
}

pub(super) async fn future_jobs(b: Bench) {
    let q = queue("q");
    let (late, soon) = (b.job_at(&q, Lane::Express, b.at(20)), b.job_at(&q, Lane::Slow, b.at(10)));
    b.commit([Write::Enqueue(late.clone()), Write::Enqueue(soon.clone())]).await;
    assert_eq!(ids(&b.lease(&q, 10).await), []);
    b.clock.advance(Duration::from_millis(9_999));
    assert_eq!(ids(&b.lease(&q, 10).await), []);
    b.clock.advance(Duration::from_millis(1));
    assert_eq!(ids(&b.lease(&q, 10).await), [soon.id]);
    b.pass(10);
    assert_eq!(ids(&b.lease(&q, 10).await), [late.id]);
}

pub(super) async fn next_due(b: Bench) {
    let q = queue("q");
    let start = b.now();
    let jobs = [b.job(&q), b.job(&q), b.job_at(&q, Lane::Slow, b.at(10))];
    b.commit(jobs.map(Write::Enqueue)).await;
    assert_eq!(b.lease(&q, 0).await.next_due, Some(start));
    assert_eq!(b.lease(&q, 1).await.next_due, Some(start), "more jobs are due");
    assert_eq!(b.lease_for(&q, 1, Duration::from_secs(5)).await.next_due, Some(b.at(5)), "a lease lapses");
    b.pass(5);
    assert_eq!(b.lease(&q, 0).await.next_due, Some(start), "a lapsed one is due since ever");
    let back = b.lease(&q, 1).await;
    assert_eq!(back.next_due, Some(b.at(5)), "the third becomes due");
    b.commit([Write::Finish(back.jobs[0].lease.clone())]).await;
    b.pass(5);
    assert_eq!(b.lease(&q, 1).await.next_due, Some(b.at(50)), "the first lease lapses");
}

pub(super) async fn one_hand_only(b: Bench) {
    const JOBS: usize = 1000;
    let q = queue("q");
    let jobs: Vec<_> = (0..JOBS).map(|_| b.job(&q)).collect();
    let wanted: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
    let (half, rest) = jobs.split_at(JOBS / 2);
    b.commit(half.iter().cloned().map(Write::Enqueue)).await;
    let (sender, mut done) = mpsc::channel(JOBS * 2);
    for worker in 0..8 {
        let (b, q, sender) = (b.clone(), q.clone(), sender.clone());
        tokio::spawn(async move {
            let mut idle = 0;
            while idle < 50 {
                let leased = b.lease(&q, 1 + worker * 3).await;
                idle = if leased.jobs.is_empty() { idle + 1 } else { 0 };
                for job in leased.jobs {
                    b.commit([Write::Finish(job.lease.clone())]).await;
                    sender.send(job.lease.job).await.unwrap();
                }
                tokio::task::yield_now().await;
            }
        });
    }
    drop(sender);
    for some in rest.chunks(50) {
        b.commit(some.iter().cloned().map(Write::Enqueue)).await;
    }
    let mut seen = HashSet::new();
    while let Some(id) = done.recv().await {
        assert!(seen.insert(id), "{id} was in two hands");
    }
    // Workers may have gone idle before the last chunk came.
    seen.extend(ids(&b.lease(&q, JOBS).await));
    assert!(seen == wanted, "{} jobs of {JOBS} came out", seen.len());
}

pub(super) async fn fencing(b: Bench) {
    let q = queue("q");
    b.commit([Write::Enqueue(b.job(&q))]).await;
    let first = b.lease_one(&q).await;
    b.clock.advance(HOLD - Duration::from_millis(1));
    assert_eq!(ids(&b.lease(&q, 1).await), [], "it is held to the last moment");
    b.clock.advance(Duration::from_millis(1));
    for write in settlements(&first.lease, &b) {
        b.lost([write]).await;
    }
    let second = b.lease_one(&q).await;
    assert_eq!(second.lease.job, first.lease.job);
    assert_ne!(second.lease.token, first.lease.token);
    assert_eq!(second.tries, 1, "a lapsed lease is no try");
    for write in settlements(&first.lease, &b) {
        b.lost([write]).await;
    }
    assert_eq!(b.store.extend(std::slice::from_ref(&first.lease), HOLD).await.unwrap(), [first.lease]);
    b.commit([Write::Finish(second.lease.clone())]).await;
    b.lost([Write::Finish(second.lease)]).await;
    b.pass(3600);
    assert_eq!(ids(&b.lease(&q, 10).await), []);
}

pub(super) async fn settled_once(b: Bench) {
    let q = queue("q");
    b.commit([Write::Enqueue(b.job(&q))]).await;
    let leased = b.lease_one(&q).await;
    b.lost([Write::Finish(leased.lease.clone()), Write::Finish(leased.lease.clone())]).await;
    let elsewhere = Lease { queue: queue("other"), ..leased.lease.clone() };
    b.lost([Write::Finish(elsewhere)]).await;
    for write in settlements(&leased.lease, &b).into_iter().take(2) {
        b.lost([write, Write::Finish(leased.lease.clone())]).await;
    }
    b.commit([Write::Release { lease: leased.lease.clone(), due: b.now() }]).await;
    for write in settlements(&leased.lease, &b) {
        b.lost([write]).await;
    }
}

pub(super) async fn tries(b: Bench) {
    let q = queue("q");
    b.commit([Write::Enqueue(b.job(&q))]).await;
    let first = b.lease_one(&q).await;
    assert_eq!(first.tries, 1);
    b.commit([Write::Postpone { lease: first.lease.clone(), due: b.at(10) }]).await;
    assert_eq!(b.lease(&q, 1).await.next_due, Some(b.at(10)));
    b.pass(10);
    let second = b.lease_one(&q).await;
    assert_eq!(second.tries, 2);
    b.commit([Write::Release { lease: second.lease, due: b.at(5) }]).await;
    assert_eq!(ids(&b.lease(&q, 1).await), []);
    b.pass(5);
    let third = b.lease_one(&q).await;
    assert_eq!(third.tries, 2);
    assert_eq!(third.job, first.job);
    let reason = "the carrier said no".to_owned();
    b.commit([Write::Bury { lease: third.lease, reason: reason.clone(), expires: b.at(60) }]).await;
    let dead = b.store.dead(&q, None, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].id, &dead[0].queue, dead[0].tries), (first.lease.job, &q, 2));
    assert_eq!((&dead[0].reason, dead[0].died, &dead[0].job), (&reason, b.now(), &first.job));
    b.pass(30);
    assert_eq!(ids(&b.lease(&q, 1).await), [], "the dead do not return");
}

pub(super) async fn extend(b: Bench) {
    let q = queue("q");
    b.commit([Write::Enqueue(b.job(&q)), Write::Enqueue(b.job(&q))]).await;
    let leases: Vec<Lease> = b.lease(&q, 2).await.jobs.into_iter().map(|job| job.lease).collect();
    b.pass(59);
    assert_eq!(b.store.extend(&leases[..1], HOLD).await.unwrap(), []);
    b.pass(59);
    assert_eq!(b.store.extend(&leases, HOLD).await.unwrap(), leases[1..]);
    b.lost([Write::Finish(leases[1].clone())]).await;
    assert_eq!(ids(&b.lease(&q, 2).await), [leases[1].job]);
    b.pass(59);
    b.commit([Write::Finish(leases[0].clone())]).await;
}

pub(super) async fn no_job_is_passed_by(b: Bench) {
    let q = queue("q");
    b.pass(1000);
    let jobs: Vec<_> = (0..20).map(|_| b.job(&q)).collect();
    b.commit(jobs.into_iter().map(Write::Enqueue)).await;
    let held = b.lease(&q, 10).await.jobs;
    let early = b.job_at(&q, Lane::Normal, mmsgw_domain::Timestamp::from_millis(5));
    b.commit([Write::Enqueue(early.clone())]).await;
    assert_eq!(ids(&b.lease(&q, 1).await), [early.id], "enqueued before those handed out");
    let (back, gone) = (held[3].lease.clone(), held[4].lease.clone());
    b.commit([Write::Finish(gone), Write::Release { lease: back.clone(), due: b.now() }]).await;
    let postponed = Write::Postpone { lease: held[7].lease.clone(), due: b.now() };
    b.commit([postponed]).await;
    assert_eq!(ids(&b.lease(&q, 1).await), [back.job]);
    assert_eq!(ids(&b.lease(&q, 1).await), [held[7].lease.job]);
    b.pass(60);
    let all = b.lease(&q, 100).await.jobs.len();
    assert_eq!(all, 20, "all but the finished one of 21");
}

pub(super) async fn many_queues(b: Bench) {
    let queues: Vec<Queue> = ["a", "b", "c"]
        .into_iter()
        .flat_map(|name| QueueKind::ALL.map(|kind| Queue { kind, ..queue(name) }))
        .collect();
    let jobs: Vec<_> = queues.iter().map(|q| b.job(q)).collect();
    b.commit(jobs.iter().cloned().map(Write::Enqueue)).await;
    for job in &jobs {
        assert_eq!(ids(&b.lease(&job.queue, 100).await), [job.id]);
    }
    let mut listed: Vec<Queue> = b.store.queues().await.unwrap().into_iter().map(|s| s.queue).collect();
    listed.sort();
    assert_eq!(listed, queues);
}

pub(super) async fn status(b: Bench) {
    let q = queue("q");
    let start = b.now();
    let jobs: Vec<_> = (0..5).map(|i| b.job_at(&q, Lane::Normal, b.at(i))).collect();
    b.commit(jobs.into_iter().map(Write::Enqueue)).await;
    expect(&b, &q, (5, 0, 0), Some(start)).await;
    b.pass(1);
    let leased = b.lease(&q, 5).await.jobs;
    expect(&b, &q, (3, 2, 0), Some(b.at(1))).await;
    b.commit([Write::Bury { lease: leased[0].lease.clone(), reason: String::new(), expires: b.at(600) }])
        .await;
    expect(&b, &q, (3, 1, 1), Some(b.at(1))).await;
    b.pass(60);
    expect(&b, &q, (4, 0, 1), Some(start.after(Duration::from_secs(1)))).await;
    let leased = b.lease(&q, 5).await.jobs;
    b.commit(leased.into_iter().map(|job| Write::Finish(job.lease))).await;
    expect(&b, &q, (0, 0, 1), None).await;
    b.pass(600);
    while b.store.sweep(10).await.unwrap().records > 0 {}
    assert_eq!(b.store.queues().await.unwrap(), []);
}

pub(super) async fn dead_pages(b: Bench) {
    let q = queue("q");
    let mut wanted: Vec<_> = (0..7).map(|_| b.job(&q)).collect();
    wanted.sort_by_key(|job| job.id);
    b.commit(wanted.iter().cloned().map(Write::Enqueue)).await;
    let wanted: Vec<JobId> = wanted.iter().map(|job| job.id).collect();
    let leased = b.lease(&q, 10).await.jobs;
    let bury = |job: &crate::LeasedJob| Write::Bury {
        lease: job.lease.clone(),
        reason: "tired".to_owned(),
        expires: b.at(60),
    };
    b.commit(leased.iter().rev().map(bury)).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = b.store.dead(&q, after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3);
        after = Some(last.id);
        seen.extend(page.iter().map(|dead| dead.id));
    }
    assert_eq!(seen, wanted);
    assert_eq!(b.store.dead(&queue("other"), None, 3).await.unwrap(), []);
    b.pass(60);
    assert_eq!(b.store.dead(&q, None, 3).await.unwrap(), [], "their time is over");
}

pub(super) async fn big_jobs(b: Bench) {
    let q = queue("q");
    let raw: Vec<u8> = (0..1_000_000_u32).map(|i| u8::try_from(i % 251).unwrap_or(0)).collect();
    for raw in [Bytes::new(), Bytes::from_static(b"text\r\n\0 \xC3\xA9"), Bytes::from(raw)] {
        let kind = IntakeKind::Http { content_type: "multipart/related".to_owned() };
        let work = Job::IntakeV1(IntakeJob { kind, peer: "192.0.2.1".to_owned(), raw });
        let mut job = b.job(&q);
        job.job = work.clone();
        b.commit([Write::Enqueue(job)]).await;
        let leased = b.lease_one(&q).await;
        assert!(leased.job == work, "the octets came back changed");
        b.commit([Write::Finish(leased.lease)]).await;
    }
}

async fn expect(b: &Bench, q: &Queue, counts: (u64, u64, u64), oldest: Option<mmsgw_domain::Timestamp>) {
    let (waiting, leased, dead) = counts;
    let wanted =
        QueueStatus { queue: q.clone(), waiting, leased, dead, oldest, paused: None, held_until: None };
    assert_eq!(b.store.queues().await.unwrap(), [wanted]);
}

fn settlements(lease: &Lease, b: &Bench) -> [Write; 4] {
    [
        Write::Finish(lease.clone()),
        Write::Postpone { lease: lease.clone(), due: b.now() },
        Write::Release { lease: lease.clone(), due: b.now() },
        Write::Bury { lease: lease.clone(), reason: "late".to_owned(), expires: b.at(60) },
    ]
}

fn ids(leased: &Leased) -> Vec<JobId> {
    leased.jobs.iter().map(|job| job.lease.job).collect()
}
