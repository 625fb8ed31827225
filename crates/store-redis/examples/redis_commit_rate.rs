//! How many messages a second a server takes through put, lease and finish, from 64 tasks:
//! `cargo run --release -p mmsgw-store-redis --example redis_commit_rate -- [redis://address] [seconds]`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mmsgw_domain::{Clock, Id, InstanceId, IntakeJob, IntakeKind, Job, Queue, QueueKind, SystemClock};
use mmsgw_store::{Batch, Lane, LeaseRequest, NewJob, Store, Write};
use mmsgw_store_redis::{RedisClock, RedisSettings, RedisStore};

#[tokio::main]
async fn main() -> Result<(), Trouble> {
    let mut arguments = std::env::args().skip(1);
    let mut settings = RedisSettings { key_prefix: "commit-rate".to_owned(), ..RedisSettings::default() };
    settings.servers = arguments.next().map_or(settings.servers, |address| vec![address]);
    let seconds = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let store = Arc::new(RedisStore::connect(&settings, RedisClock::Server).await?);
    let settled = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| tokio::spawn(task(Arc::clone(&store), number, end, Arc::clone(&settled))))
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await??);
    }
    waits.sort();
    let at = |share: usize| waits.get(waits.len() * share / 1000).copied().unwrap_or_default();
    println!(
        "{} messages/s (put, lease, finish); put p50 {:?}, p99 {:?}, p99.9 {:?}",
        settled.load(Ordering::Relaxed) / seconds,
        at(500),
        at(990),
        at(999),
    );
    for warning in store.warnings() {
        println!("{warning}");
    }
    Ok(())
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

async fn task(
    store: Arc<RedisStore>,
    number: usize,
    end: Instant,
    settled: Arc<AtomicU64>,
) -> Result<Vec<Duration>, Trouble> {
    // A queue for each eight tasks, as groups would be.
    let queue = Queue { group: format!("group{}", number % 8).parse()?, kind: QueueKind::Rx };
    let owner = InstanceId::new(&queue.group, "rate", "here", 1);
    let request = LeaseRequest { queue: queue.clone(), max: 1, owner, hold: Duration::from_secs(60) };
    let mut waits = Vec::new();
    while Instant::now() < end {
        let started = Instant::now();
        store.commit(Batch::new().with(Write::Enqueue(new_job(&queue)))).await?;
        waits.push(started.elapsed());
        for leased in store.lease(request.clone()).await?.jobs {
            store.commit(Batch::new().with(Write::Finish(leased.lease))).await?;
            settled.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(waits)
}

fn new_job(queue: &Queue) -> NewJob {
    let now = SystemClock.now();
    let kind = IntakeKind::Http { content_type: "text/xml".to_owned() };
    let job = Job::IntakeV1(IntakeJob { kind, peer: "192.0.2.1".to_owned(), raw: vec![b'x'; 1024].into() });
    NewJob { id: Id::generate(now), queue: queue.clone(), lane: Lane::Normal, due: now, job }
}

const TASKS: usize = 64;
