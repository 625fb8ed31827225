//! Jobs that people look at, have done at once, or remove.

use std::time::Duration;

use mmsgw_domain::{Job, Message, Queue, QueueKind, TransmitJob};

use super::bench::{Bench, changed, queue};
use crate::{Lane, NewJob, Place, QueuedJob, Write};

pub(super) async fn pages(b: Bench) {
    let q = queue("q");
    assert_eq!(b.store.queued(&q, None, 9).await.unwrap(), []);
    let mut wanted: Vec<NewJob> = Vec::new();
    for lane in Lane::ALL {
        for due in [b.at(30), b.now(), b.now(), b.now(), b.at(10)] {
            wanted.push(b.job_at(&q, lane, due));
        }
    }
    b.commit(wanted.iter().rev().cloned().map(Write::Enqueue)).await;
    b.commit([Write::Enqueue(b.job(&Queue { kind: QueueKind::Ev, ..q.clone() }))]).await;
    wanted.sort_by_key(|job| (job.lane, job.due, job.id));
    let held = b.lease(&q, 4).await.jobs;
    b.commit([Write::Postpone { lease: held[3].lease.clone(), due: wanted[3].due }]).await;
    let mut seen: Vec<QueuedJob> = Vec::new();
    loop {
        let page = b.store.queued(&q, seen.last().map(|job| job.place), 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    // The fourth that was handed out is of the second lane.
    let back = held[3].lease.job;
    wanted.iter_mut().filter(|job| job.id == back).for_each(|job| job.due = seen_due(&seen, back));
    wanted.sort_by_key(|job| (job.lane, job.due, job.id));
    let places = |job: &NewJob| Place { lane: job.lane, due: job.due, id: job.id };
    assert_eq!(
        seen.iter().map(|job| job.place).collect::<Vec<_>>(),
        wanted.iter().map(places).collect::<Vec<_>>()
    );
    for (job, new) in seen.iter().zip(&wanted) {
        assert_eq!((&job.queue, &job.job), (&new.queue, &new.job));
        let is_held = held[..3].iter().any(|leased| leased.lease.job == job.place.id);
        assert_eq!(job.holder, is_held.then(|| b.owner(&q)), "{job:?}");
        assert_eq!(job.failed, u32::from(job.place.id == back));
        assert_eq!(b.store.queued_job(&q, job.place.id).await.unwrap().as_ref(), Some(job));
    }
    let other = queue("other");
    assert_eq!(b.store.queued_job(&other, seen[0].place.id).await.unwrap(), None);
    let gone = Place { id: b.job(&q).id, ..seen[6].place };
    let rest = b.store.queued(&q, Some(gone), 99).await.unwrap();
    assert!(rest.iter().all(|job| job.place > gone), "a page may begin behind a job that is gone");
}

pub(super) async fn hastened(b: Bench) {
    let q = queue("q");
    let (late, due) = (b.job_at(&q, Lane::Slow, b.at(100)), b.job(&q));
    b.commit([Write::Enqueue(late.clone()), Write::Enqueue(due.clone())]).await;
    b.pass(5);
    let now = b.now();
    let hasten = |job: &NewJob| Write::Hasten { queue: q.clone(), id: job.id };
    b.conflict([hasten(&late), hasten(&late)]).await;
    b.conflict([Write::Hasten { queue: Queue { kind: QueueKind::Ev, ..q.clone() }, id: late.id }]).await;
    b.conflict([hasten(&b.job(&q))]).await;
    let fresh = b.job(&q);
    b.conflict([Write::Enqueue(fresh.clone()), hasten(&fresh)]).await;
    b.commit([hasten(&late), hasten(&due)]).await;
    let queued = b.store.queued(&q, None, 9).await.unwrap();
    let dues: Vec<_> = queued.iter().map(|job| (job.place.id, job.place.due)).collect();
    assert_eq!(dues, [(due.id, due.due), (late.id, now)], "what is due keeps its place");
    let leased = b.lease(&q, 9).await.jobs;
    assert_eq!(leased.iter().map(|job| job.lease.job).collect::<Vec<_>>(), [due.id, late.id]);
    b.conflict([hasten(&late)]).await;
    b.commit([Write::Postpone { lease: leased[1].lease.clone(), due: b.at(50) }]).await;
    b.commit([hasten(&late)]).await;
    assert_eq!(b.lease_one(&q).await.tries, 2, "its tries count on");
}

pub(super) async fn hastening_wakes(b: Bench) {
    let q = queue("q");
    let late = b.job_at(&q, Lane::Normal, b.at(1000));
    b.commit([Write::Enqueue(late.clone())]).await;
    assert!(b.lease(&q, 1).await.jobs.is_empty());
    let waiter = tokio::spawn({
        let (b, q) = (b.clone(), q.clone());
        async move { b.store.wait(&q, Duration::from_secs(3600)).await }
    });
    b.commit([Write::Hasten { queue: q.clone(), id: late.id }]).await;
    tokio::time::timeout(Duration::from_secs(20), waiter).await.expect("woken in time").unwrap();
    assert_eq!(b.lease_one(&q).await.lease.job, late.id);
}

pub(super) async fn removed(b: Bench) {
    let q = queue("q");
    let jobs = [b.job(&q), b.job_at(&q, Lane::Normal, b.at(10)), b.job_at(&q, Lane::Slow, b.at(20))];
    b.commit(jobs.iter().cloned().map(Write::Enqueue)).await;
    let remove = |job: &NewJob| Write::Remove { queue: q.clone(), id: job.id };
    let held = b.lease_one(&q).await;
    b.conflict([remove(&jobs[0])]).await;
    b.conflict([remove(&jobs[1]), remove(&jobs[1])]).await;
    b.conflict([Write::Finish(held.lease.clone()), remove(&jobs[0])]).await;
    b.commit([remove(&jobs[1])]).await;
    b.conflict([remove(&jobs[1])]).await;
    assert_eq!(b.store.queued_job(&q, jobs[1].id).await.unwrap(), None);
    let status = b.store.queues().await.unwrap().remove(0);
    assert_eq!((status.waiting, status.leased, status.oldest), (1, 1, Some(jobs[2].due)));
    b.commit([Write::Finish(held.lease), remove(&jobs[2])]).await;
    assert_eq!(b.store.queues().await.unwrap(), []);
    b.pass(100);
    assert!(b.lease(&q, 9).await.jobs.is_empty());
    b.commit([Write::Enqueue(jobs[1].clone())]).await;
    assert_eq!(b.lease_one(&q).await.lease.job, jobs[1].id, "its id is free");
}

pub(super) async fn lapsed(b: Bench) {
    let q = queue("q");
    let jobs = [b.job(&q), b.job(&q)];
    b.commit(jobs.iter().cloned().map(Write::Enqueue)).await;
    let held = b.lease_for(&q, 2, Duration::from_secs(5)).await.jobs;
    b.pass(5);
    let looked = b.store.queued_job(&q, jobs[0].id).await.unwrap().unwrap();
    assert_eq!(looked.holder, None);
    b.commit([
        Write::Hasten { queue: q.clone(), id: jobs[0].id },
        Write::Remove { queue: q.clone(), id: jobs[1].id },
    ])
    .await;
    for job in held {
        b.lost([Write::Finish(job.lease)]).await;
    }
    assert_eq!(b.lease_one(&q).await.lease.job, jobs[0].id);
}

pub(super) async fn moved(b: Bench) {
    let (from, to) = (queue("q"), queue("other"));
    let message = Message { group: from.group.clone(), ..b.new_message() };
    let transmit =
        |queue: &Queue| NewJob { job: Job::TransmitV1(TransmitJob { message: message.id }), ..b.job(queue) };
    let (old, new) = (transmit(&from), transmit(&to));
    b.commit([Write::NewMessage(message.clone()), Write::Enqueue(old.clone())]).await;
    let next = Message { group: to.group.clone(), ..changed(&message, "moved") };
    let moving =
        |next: &Message| Write::MovedMessage { message: next.clone(), from: from.clone(), job: old.id };
    let early = Message { version: next.version + 1, ..next.clone() };
    b.conflict([moving(&early), Write::Enqueue(new.clone())]).await;
    let held = b.lease_one(&from).await;
    b.conflict([moving(&next), Write::Enqueue(new.clone())]).await;
    b.commit([Write::Release { lease: held.lease, due: b.now() }]).await;
    assert_eq!(b.message(message.id).await.as_ref(), Some(&message));
    b.commit([moving(&next), Write::Enqueue(new.clone())]).await;
    assert_eq!(b.message(message.id).await.as_ref(), Some(&next));
    assert!(b.lease(&from, 9).await.jobs.is_empty(), "it has left its queue");
    assert_eq!(b.lease_one(&to).await.lease.job, new.id);
    b.conflict([moving(&next)]).await;
    let last = changed(&next, "sent");
    b.commit([Write::ChangedMessage(last.clone())]).await;
    assert_eq!(b.message(message.id).await, Some(last));
}

fn seen_due(seen: &[QueuedJob], id: mmsgw_domain::JobId) -> mmsgw_domain::Timestamp {
    seen.iter().find(|job| job.place.id == id).expect("it is listed").place.due
}
