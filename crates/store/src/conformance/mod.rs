//! The contract of [`Store`] in executable form: named cases that every backend passes. What a case
//! does not ask for, no caller may rely on.
//!
//! A backend's test calls [`run`] with a function that makes a fresh, empty store for a clock.

mod batches;
mod bench;
mod blobs;
mod clock;
mod expiry;
mod holding;
mod jobs;
mod model;
mod queued;
mod records;
mod registry;
mod scans;
mod waiting;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bench::Bench;
pub use blobs::{BlobHands, run_blobs};
pub use clock::ManualClock;
pub use registry::run_registry;

use crate::Store;

/// Runs all cases, each on a store of its own that `make` gives; prints the name of each.
///
/// Needs a multi-threaded tokio runtime with time enabled.
///
/// # Panics
/// Where the store breaks the contract.
pub async fn run<S: Store>(make: impl AsyncFn(Arc<ManualClock>) -> S) {
    for (name, case) in CASES {
        println!("conformance: {name}");
        let clock = Arc::new(ManualClock::default());
        let store = Arc::new(make(Arc::clone(&clock)).await);
        case(Bench::new(store, clock)).await;
    }
}

type Case = fn(Bench) -> Pin<Box<dyn Future<Output = ()> + Send>>;

const CASES: &[(&str, Case)] = &[
    ("a new store is empty", |b| Box::pin(batches::starts_empty(b))),
    ("what was committed reads back as it was", |b| Box::pin(batches::reads_back(b))),
    ("a conflict in the last change leaves nothing", |b| Box::pin(batches::conflict_leaves_nothing(b))),
    ("a lost lease in the last change leaves nothing", |b| Box::pin(batches::lost_lease_leaves_nothing(b))),
    ("an id is taken once", |b| Box::pin(batches::ids_are_taken_once(b))),
    ("a message is changed from the version before", |b| Box::pin(batches::versions_count(b))),
    ("one of many changes to a version wins", |b| Box::pin(batches::one_writer_wins(b))),
    ("changes of a batch build on each other", |b| Box::pin(batches::changes_build_on_each_other(b))),
    ("a template is revised from its latest revision", |b| Box::pin(batches::templates_are_revised(b))),
    ("a forgotten template leaves its revisions", |b| Box::pin(batches::forgotten_template(b))),
    ("fetched media replace a stored revision only", |b| Box::pin(batches::fetched_media(b))),
    ("a reference is replaced", |b| Box::pin(batches::references(b))),
    ("a new reference is refused where it is there", |b| Box::pin(batches::new_references(b))),
    ("jobs leave by lane, due time and id", |b| Box::pin(jobs::order(b))),
    ("a job is not handed out before it is due", |b| Box::pin(jobs::future_jobs(b))),
    ("next_due names the next thing to happen", |b| Box::pin(jobs::next_due(b))),
    ("a job is in one hand only", |b| Box::pin(jobs::one_hand_only(b))),
    ("a lapsed lease settles nothing", |b| Box::pin(jobs::fencing(b))),
    ("a lease is settled once", |b| Box::pin(jobs::settled_once(b))),
    ("tries count what did not work", |b| Box::pin(jobs::tries(b))),
    ("leases are extended unless they lapsed", |b| Box::pin(jobs::extend(b))),
    ("a job that comes late but is due earlier is not passed by", |b| Box::pin(jobs::no_job_is_passed_by(b))),
    ("queues do not see each other's jobs", |b| Box::pin(jobs::many_queues(b))),
    ("a queue's status counts its jobs", |b| Box::pin(jobs::status(b))),
    ("dead jobs are kept and listed by pages", |b| Box::pin(jobs::dead_pages(b))),
    ("big jobs come back whole", |b| Box::pin(jobs::big_jobs(b))),
    ("a paused queue hands nothing out until it goes on", |b| Box::pin(holding::paused(b))),
    ("an empty queue can be paused", |b| Box::pin(holding::paused_without_jobs(b))),
    ("a queue is held back until a time", |b| Box::pin(holding::held_back(b))),
    ("jobs of an instance that is gone come back at once", |b| Box::pin(holding::disowned(b))),
    ("dead jobs return or are discarded, once", |b| Box::pin(holding::revived(b))),
    ("jobs are looked at by pages, in their order", |b| Box::pin(queued::pages(b))),
    ("a job that waits is due at once where that is asked for", |b| Box::pin(queued::hastened(b))),
    ("a hastened job wakes", |b| Box::pin(queued::hastening_wakes(b))),
    ("a job that waits is removed, one in somebody's hands is not", |b| Box::pin(queued::removed(b))),
    ("a message is moved to another group with its job", |b| Box::pin(queued::moved(b))),
    ("a job whose lease has lapsed waits", |b| Box::pin(queued::lapsed(b))),
    ("a record is changed from the version before", |b| Box::pin(records::versions(b))),
    ("one of many claims wins", |b| Box::pin(records::one_claim_wins(b))),
    ("a record whose time is over makes room", |b| Box::pin(records::expiry(b))),
    ("records are listed by pages", |b| Box::pin(records::pages(b))),
    ("tallies add up inside batches", |b| Box::pin(records::tallies(b))),
    ("messages are looked through from the newest on", |b| Box::pin(scans::order(b))),
    ("a look through messages keeps within its bounds", |b| Box::pin(scans::bounds(b))),
    ("a look through messages makes no more effort than it may", |b| Box::pin(scans::effort(b))),
    ("a look through messages sees them as they are now", |b| Box::pin(scans::changes(b))),
    ("what has expired is not seen before the sweep", |b| Box::pin(expiry::unseen_before_the_sweep(b))),
    ("the sweep removes what has expired and no more", |b| Box::pin(expiry::sweep_removes(b))),
    ("an unsent message is never swept", |b| Box::pin(expiry::unsent_messages_stay(b))),
    ("a revision is kept as long as asked", |b| Box::pin(expiry::kept_revisions(b))),
    ("a blob is named once nobody claims it", |b| Box::pin(expiry::blobs(b))),
    ("waiting ends when a job comes", |b| Box::pin(waiting::enqueue_wakes(b))),
    ("waiting ends when a job goes back", |b| Box::pin(waiting::release_wakes(b))),
    ("waiting ends when a job becomes due", |b| Box::pin(waiting::due_time_wakes(b))),
    ("a job between lease and wait is not missed", |b| Box::pin(waiting::nothing_is_missed(b))),
    ("waiting ends after its limit", |b| Box::pin(waiting::limit_ends(b))),
    ("it does at random what the reference does", |b| Box::pin(model::agrees_with_memory(b))),
];
