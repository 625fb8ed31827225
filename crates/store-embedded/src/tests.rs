//! The contract, and what only this store promises.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use mmsgw_domain::{
    Code, Direction, Id, InstanceId, Job, Queue, QueueKind, Recipient, RecipientKind, State, SystemClock,
    Timestamp, TransmitJob,
};
use mmsgw_store::{Lane, ManualClock, NewJob, Pause, Write, conformance};

use super::*;

fn open(directory: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(directory, Arc::new(SystemClock), EmbeddedOptions::default())
}

fn queue() -> Queue {
    Queue { group: "main".parse().unwrap(), kind: QueueKind::Tx }
}

fn job(message: MessageId) -> NewJob {
    let (id, due) = (Id::generate(SystemClock.now()), Timestamp::from_secs(0));
    let job = Job::TransmitV1(TransmitJob { message });
    NewJob { id, queue: queue(), lane: Lane::Normal, due, job }
}

fn message() -> Message {
    let now = SystemClock.now();
    let recipient = Recipient {
        address: "+12065550100".parse().unwrap(),
        kind: RecipientKind::To,
        state: State::Scheduled,
        code: Code::OK,
        updated: now,
        peer_ref: None,
        round: 0,
    };
    Message {
        id: Id::generate(now),
        direction: Direction::Outbound,
        group: queue().group,
        template: Id::generate(now),
        revision: Id::generate(now),
        origin: "12345".parse().unwrap(),
        recipients: vec![recipient],
        linked_id: None,
        priority: None,
        events_url: Vec::new(),
        ack_requested: None,
        dr_requested: None,
        rr_requested: None,
        created: now,
        processed: None,
        deadline: now,
        expires: None,
        instances: Vec::new(),
        peer_ref: None,
        last_tran_id: None,
        ack_at_addr: None,
        variables: mmsgw_domain::Variables::new(),
        batch: None,
        trace: None,
        carrier_ids: None,
        relay_server: None,
        ua_caps: None,
        reply_charging_id: None,
        handling_app: None,
        reply_to_app: None,
        app_info: None,
        service_code: None,
        forward_counter: None,
        previously_sent: Vec::new(),
        rounds: 0,
        in_doubt: false,
        events: Vec::new(),
        version: 1,
    }
}

fn ask(max: usize) -> LeaseRequest {
    let owner = InstanceId::new(&queue().group, "test", "here", 1);
    LeaseRequest { queue: queue(), max, owner, hold: Duration::from_secs(600) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_keeps_the_contract() {
    let folders = Mutex::new(Vec::new());
    conformance::run(async |clock: Arc<ManualClock>| {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path(), clock, EmbeddedOptions::default()).unwrap();
        folders.lock().unwrap().push(folder);
        store
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_in_rounds_of_one_with_hardly_a_cache() {
    let folders = Mutex::new(Vec::new());
    let options = EmbeddedOptions {
        readers: 1,
        max_round: 1,
        cache_bytes: 16 << 10,
        checkpoint_pages: 2,
        recent_bytes: 0,
    };
    conformance::run(async |clock: Arc<ManualClock>| {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path(), clock, options.clone()).unwrap();
        folders.lock().unwrap().push(folder);
        store
    })
    .await;
}

#[tokio::test]
async fn a_second_opener_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(error, StoreError::Unusable(_)));
    let text = error.to_string();
    assert!(text.contains(folder.path().to_str().unwrap()), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    drop(first);
    open(folder.path()).unwrap();
}

#[tokio::test]
async fn a_closed_store_says_so_and_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, kept) = (open(folder.path()).unwrap(), message());
    let writes =
        [Write::NewMessage(kept.clone()), Write::Enqueue(job(kept.id)), Write::Enqueue(job(kept.id))];
    store.commit(writes.into_iter().collect()).await.unwrap();
    let leased = store.lease(ask(1)).await.unwrap().jobs;
    store.health().unwrap();
    store.close().await.unwrap();
    let late = store.commit(Batch::new().with(Write::Finish(leased[0].lease.clone()))).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))));
    assert!(store.close().await.is_err());
    store.writer.as_ref().inspect(|thread| {
        while !thread.is_finished() {
            thread::yield_now();
        }
    });
    assert!(store.health().is_err());
    drop(store);
    let log = folder.path().join("mmsgw.db-wal");
    assert!(log.metadata().map_or(0, |about| about.len()) == 0, "the log was moved");
    let store = open(folder.path()).unwrap();
    assert_eq!(store.message(kept.id).await.unwrap(), Some(kept));
    let status = store.queues().await.unwrap();
    assert_eq!((status[0].waiting, status[0].leased), (2, 0), "no lease outlives the process");
    let stale = store.commit(Batch::new().with(Write::Finish(leased[0].lease.clone()))).await;
    assert!(matches!(stale, Err(StoreError::LeaseLost)));
    assert_eq!(store.lease(ask(9)).await.unwrap().jobs.len(), 2);
}

#[tokio::test]
async fn a_pause_outlives_the_process_and_a_hold_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let (queue, now) = (ask(1).queue, SystemClock.now());
    let pause = Pause { reason: "works".to_owned(), by: "ops".to_owned(), since: now };
    let writes = [
        Write::Enqueue(job(message().id)),
        Write::Pause { queue: queue.clone(), pause: Some(pause.clone()) },
    ];
    store.commit(writes.into_iter().collect()).await.unwrap();
    store.hold_back(&queue, now.after(Duration::from_secs(3600))).await.unwrap();
    drop(store);
    let store = open(folder.path()).unwrap();
    let status = store.queues().await.unwrap().remove(0);
    assert_eq!((status.paused, status.held_until), (Some(pause), None));
    assert_eq!(store.lease(ask(1)).await.unwrap().jobs, []);
    store.commit(Batch::new().with(Write::Pause { queue, pause: None })).await.unwrap();
    assert_eq!(store.lease(ask(1)).await.unwrap().jobs.len(), 1);
}

#[tokio::test]
async fn batches_that_wait_share_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()).unwrap());
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(Batch::new().with(Write::NewMessage(message()))).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let stats = store.stats();
    assert_eq!((stats.batches(), stats.failed_commits()), (200, 0));
    assert!(stats.commits() < 100 && stats.largest_commit() > 2, "{stats:?}");
    assert!(stats.commit_time() > Duration::ZERO);
}

#[tokio::test]
async fn a_failed_transaction_fails_all_of_its_round_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let first = message();
    store
        .commit([Write::NewMessage(first.clone()), Write::Enqueue(job(first.id))].into_iter().collect())
        .await
        .unwrap();
    let leased = store.lease(ask(1)).await.unwrap().jobs.remove(0);
    let hands = Connection::open(folder.path().join(NAME)).unwrap();
    // Fails in the midst of a batch, as a full disk does.
    let trap = "CREATE TRIGGER trap BEFORE INSERT ON part BEGIN SELECT raise(FAIL, 'no room'); END";
    hands.execute_batch(trap).unwrap();
    let (second, part) = (
        message(),
        Part {
            id: Id::generate(SystemClock.now()),
            name: String::new(),
            content_type: "text/plain".to_owned(),
            content: mmsgw_domain::PartContent::Text(String::new()),
        },
    );
    let batch: Batch = [
        Write::NewMessage(second.clone()),
        Write::Finish(leased.lease.clone()),
        Write::Part { part, expires: SystemClock.now().after(Duration::from_secs(60)) },
    ]
    .into_iter()
    .collect();
    let result = store.commit(batch.clone()).await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    assert!(store.health().is_err());
    assert_eq!(store.message(second.id).await.unwrap(), None);
    assert_eq!(store.queues().await.unwrap()[0].leased, 1, "the lease is as it was");
    hands.execute_batch("DROP TRIGGER trap").unwrap();
    store.commit(batch).await.unwrap();
    store.health().unwrap();
    assert_eq!(store.queues().await.unwrap(), []);
}

#[tokio::test]
async fn a_job_that_cannot_be_read_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let (bad, good) = (job(message().id), job(message().id));
    let writes = [Write::Enqueue(bad.clone()), Write::Enqueue(good.clone())];
    store.commit(writes.into_iter().collect()).await.unwrap();
    let hands = Connection::open(folder.path().join(NAME)).unwrap();
    hands.execute("UPDATE job SET record = x'00' WHERE id = ?1", [bad.id.as_bytes()]).unwrap();
    let leased = store.lease(ask(2)).await.unwrap().jobs;
    assert_eq!(leased.iter().map(|job| job.lease.job).collect::<Vec<_>>(), [good.id]);
    let first = message();
    store.commit(Batch::new().with(Write::NewMessage(first.clone()))).await.unwrap();
    hands.execute("UPDATE message SET record = '{}'", []).unwrap();
    // What was written lately is not read from the disk.
    drop(store);
    let store = open(folder.path()).unwrap();
    assert!(matches!(store.message(first.id).await, Err(StoreError::Corrupt(_))));
}

/// How SQLite would go about a statement.
fn plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let values = statement.parameter_count();
    let values = rusqlite::params_from_iter((0..values).map(|_| 0));
    let rows = statement.query_map(values, |row| row.get::<_, String>(3)).unwrap();
    rows.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_queue_drains_as_fast_at_its_end() {
    const JOBS: usize = 200_000;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for _ in 0..JOBS / 4000 {
        let jobs = (0..4000).map(|_| Write::Enqueue(job(Id::generate(SystemClock.now()))));
        store.commit(jobs.collect()).await.unwrap();
    }
    let mut seen = HashSet::with_capacity(JOBS);
    let (mut rates, mut started) = (Vec::new(), Instant::now());
    loop {
        let jobs = store.lease(ask(1000)).await.unwrap().jobs;
        if jobs.is_empty() {
            break;
        }
        assert!(jobs.iter().all(|job| seen.insert(job.lease.job)));
        store.commit(jobs.into_iter().map(|job| Write::Finish(job.lease)).collect()).await.unwrap();
        if seen.len().is_multiple_of(JOBS / 10) {
            rates.push((JOBS as f64 / 10.0 / started.elapsed().as_secs_f64()) as u64);
            started = Instant::now();
        }
    }
    println!("jobs per second, by tenths of the queue: {rates:?}");
    assert_eq!(seen.len(), JOBS);
    assert_eq!(store.queues().await.unwrap(), []);
    let connection = Connection::open(folder.path().join(NAME)).unwrap();
    prepare(&connection, 1 << 20).unwrap();
    let look = plan(&connection, queue::LOOK);
    assert!(look.contains("SEARCH job USING COVERING INDEX job_order"), "{look}");
    let all = commit::SWEEPS.iter().chain([
        &commit::SWEEP_TALLIES,
        &commit::SWEEP_BLOBS,
        &commit::SWEEP_DEAD,
        &DEAD,
        &queue::LOOK,
        &records::PAGE,
        &scan::PAGE,
    ]);
    for sql in all {
        let plan = plan(&connection, sql);
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

/// Kills a process in the midst of commits, again and again, and looks at what it left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sent, mut done) = (HashSet::new(), HashSet::new());
    for round in 0..25_u64 {
        let (mut fresh_sent, mut fresh_done) = (HashSet::new(), HashSet::new());
        for line in run_and_kill(folder.path(), Duration::from_millis(10 + round * 37 % 190)) {
            match line.split_once(' ') {
                Some(("sent", id)) => fresh_sent.insert(id.parse::<MessageId>().unwrap()),
                Some(("done", id)) => fresh_done.insert(id.parse::<MessageId>().unwrap()),
                _ => false,
            };
        }
        check_kill(folder.path(), &fresh_sent, &fresh_done).await;
        sent.extend(fresh_sent);
        done.extend(fresh_done);
    }
    // Nor did a later kill take what an earlier one had left.
    check_kill(folder.path(), &sent, &done).await;
    println!("{} messages and {} settlements acknowledged, none lost", sent.len(), done.len());
    assert!(sent.len() > 500 && done.len() > 100, "the children got to work");
}

async fn check_kill(path: &Path, sent: &HashSet<MessageId>, done: &HashSet<MessageId>) {
    let store = open(path).unwrap();
    let hands = Connection::open_with_flags(path.join(NAME), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let count = |sql: &str| hands.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let (waiting, messages) =
        (count("SELECT count(*) FROM job"), count("SELECT count(*) FROM message WHERE version = 1"));
    assert_eq!(waiting, messages, "a message and its job come and go together");
    let check: String = hands.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    for id in sent {
        assert!(store.message(*id).await.unwrap().is_some(), "{id} was acknowledged");
    }
    for id in done {
        assert_eq!(store.message(*id).await.unwrap().unwrap().version, 2, "{id} was settled");
    }
    for job in store.lease(ask(100)).await.unwrap().jobs {
        let Job::TransmitV1(TransmitJob { message }) = job.job else { panic!("not ours") };
        assert_eq!(store.message(message).await.unwrap().unwrap().version, 1);
    }
}

/// Runs the test below in a process of its own, and kills it `after` its first line.
fn run_and_kill(path: &Path, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::a_process_to_be_killed", "--ignored", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut kill_at = None;
    while output.read_line(&mut line).unwrap() > 0 {
        if line.ends_with('\n') && (line.starts_with("sent ") || line.starts_with("done ")) {
            lines.push(line.trim_end().to_owned());
            let at = *kill_at.get_or_insert_with(|| Instant::now() + after);
            if Instant::now() >= at {
                // SIGKILL; what was printed before is still in the pipe and is read on.
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    assert!(!child.wait().unwrap().success(), "it never ends by itself");
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test that kills it"]
async fn a_process_to_be_killed() {
    let path = std::env::var_os(CHILD).expect("started by the test that kills it");
    let options = EmbeddedOptions { checkpoint_pages: 50, ..EmbeddedOptions::default() };
    let store = Arc::new(EmbeddedStore::open(Path::new(&path), Arc::new(SystemClock), options).unwrap());
    let tasks: Vec<_> = (0..16).map(|number| tokio::spawn(work(Arc::clone(&store), number))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn work(store: Arc<EmbeddedStore>, number: usize) {
    loop {
        if number < 12 {
            let message = message();
            let id = message.id;
            let writes = [Write::Enqueue(job(id)), Write::NewMessage(message)];
            store.commit(writes.into_iter().collect()).await.unwrap();
            writeln!(std::io::stdout().lock(), "sent {id}").unwrap();
            continue;
        }
        for leased in store.lease(ask(3)).await.unwrap().jobs {
            let Job::TransmitV1(TransmitJob { message }) = leased.job else { panic!("not ours") };
            let mut changed = store.message(message).await.unwrap().unwrap();
            changed.version += 1;
            let writes = [Write::Finish(leased.lease), Write::ChangedMessage(changed)];
            store.commit(writes.into_iter().collect()).await.unwrap();
            writeln!(std::io::stdout().lock(), "done {message}").unwrap();
        }
    }
}

const CHILD: &str = "MMSGW_STORE_KILL_TEST";
