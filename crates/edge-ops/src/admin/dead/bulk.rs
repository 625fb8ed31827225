//! Many dead jobs at once: counted first, then tried again or forgotten.

use std::time::{Duration, Instant};

use axum::response::Response;
use futures_util::{StreamExt, stream};
use mmsgw_domain::{JobId, Queue, QueueKind, Timestamp};
use mmsgw_engine::{DeadJob, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{bad, line, not_found};
use crate::admin::order::Reason;
use crate::admin::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// Which dead jobs, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Bulk {
    /// Their queue, as in `carrier/rx`.
    queue: String,
    /// True: they are only counted.
    dry_run: bool,
    /// Why; it stands in the log.
    reason: Reason,
    /// Only those behind this one.
    #[serde(default)]
    after: Option<String>,
    /// Only those given up at this time or later, in seconds since 1970.
    #[serde(default)]
    since_ts: Option<i64>,
    /// Only those given up before this time.
    #[serde(default)]
    until_ts: Option<i64>,
    /// Only those of this message.
    #[serde(default)]
    message: Option<String>,
    /// Only those whose reason, peer or address has this in it.
    #[serde(default)]
    matching: Option<String>,
    /// Most jobs, 1 to 100000; 1000 where absent.
    #[serde(default)]
    max: Option<usize>,
}

/// Which callbacks, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct CallbackBulk {
    /// The gateway group of their messages.
    group: String,
    /// True: they are only counted.
    dry_run: bool,
    /// Why; it stands in the log.
    reason: Reason,
    /// Only those behind this one.
    #[serde(default)]
    after: Option<String>,
    /// Only those given up at this time or later, in seconds since 1970.
    #[serde(default)]
    since_ts: Option<i64>,
    /// Only those given up before this time.
    #[serde(default)]
    until_ts: Option<i64>,
    /// Only those of this message.
    #[serde(default)]
    message: Option<String>,
    /// Only those whose reason or URL has this in it.
    #[serde(default)]
    matching: Option<String>,
    /// Most jobs, 1 to 100000; 1000 where absent.
    #[serde(default)]
    max: Option<usize>,
}

/// What was done, or would be.
#[derive(Serialize, ToSchema)]
pub(in crate::admin) struct BulkDone {
    /// Whether they were only counted.
    pub(in crate::admin) dry_run: bool,
    /// Jobs that were meant.
    pub(in crate::admin) matched: usize,
    /// Jobs with which it was done.
    pub(in crate::admin) done: usize,
    /// Those of the others that are told, at most 20.
    refused: Vec<Undone>,
    /// What `after` has to be to go on; absent where all were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::admin) next: Option<String>,
}

/// A job with which it was not done.
#[derive(Serialize, ToSchema)]
struct Undone {
    /// The job.
    id: String,
    /// Why.
    why: String,
}

/// What is done with them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::admin) enum Deed {
    Retry,
    Purge,
}

impl Deed {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Purge => "purge",
        }
    }

    pub(super) async fn done(self, ops: &Ops, dead: &DeadJob, reason: &Reason) -> Result<(), Refusal> {
        match self {
            Self::Retry => ops.engine.retry_dead(dead, reason.as_str()).await,
            Self::Purge => ops.engine.purge_dead(dead).await,
        }
    }
}

impl CallbackBulk {
    /// The same, said of their queue.
    pub(in crate::admin) fn of_queue(self) -> Bulk {
        let Self { group, dry_run, reason, after, since_ts, until_ts, message, matching, max } = self;
        let queue = format!("{group}/{}", QueueKind::Callback.name());
        Bulk { queue, dry_run, reason, after, since_ts, until_ts, message, matching, max }
    }
}

/// Does it with all that are meant, up to a number and for a time.
pub(in crate::admin) async fn bulk(
    administrator: &Administrator,
    ops: &Ops,
    order: Bulk,
    deed: Deed,
) -> Result<Response, Refused> {
    let queue: Queue = order.queue.parse().map_err(|error| bad(format!("queue: {error}")))?;
    if !administrator.sees(&queue.group) {
        return Err(not_found());
    }
    let which = order;
    let after = which.after.as_deref().map(str::parse::<JobId>).transpose();
    let mut after = after.map_err(|error| bad(format!("after: {error}")))?;
    let max = which.max.unwrap_or(USUAL);
    if !(1..=MOST).contains(&max) {
        return Err(bad(format!("max: must be from 1 to {MOST}")));
    }
    let start = Instant::now();
    let mut done = BulkDone::new(which.dry_run);
    loop {
        let page = in_time(ops, ops.engine.dead(&queue, after, PAGE.min(max - done.matched))).await?;
        let Some(last) = page.last().map(|last| last.id) else { break };
        after = Some(last);
        let meant: Vec<DeadJob> = page.into_iter().filter(|dead| which.means(dead)).collect();
        done.matched += meant.len();
        if !which.dry_run {
            done.work(ops, meant, deed, &which.reason).await;
        }
        if done.matched >= max || start.elapsed() > LONGEST {
            done.next = Some(last.to_string());
            break;
        }
    }
    if !which.dry_run {
        let object = format!("{} jobs of {queue}", done.done);
        administrator.leaves(&format!("{} dead", deed.name()), &object, &which.reason);
    }
    Ok(answer(done))
}

impl Bulk {
    fn means(&self, dead: &DeadJob) -> bool {
        let line = line(dead);
        let has = |text: &str| line.reason.contains(text) || line.about.has(text);
        self.since_ts.is_none_or(|since| dead.died >= Timestamp::from_secs(since))
            && self.until_ts.is_none_or(|until| dead.died < Timestamp::from_secs(until))
            && self.message.as_ref().is_none_or(|message| line.about.is_of(message))
            && self.matching.as_deref().is_none_or(has)
    }
}

impl BulkDone {
    async fn work(&mut self, ops: &Ops, meant: Vec<DeadJob>, deed: Deed, reason: &Reason) {
        // Those that wait at the same time share a commit of the store; not of one message, which take turns.
        let ends = stream::iter(meant)
            .map(|dead| async move { (dead.id, deed.done(ops, &dead, reason).await) })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        ends.into_iter().for_each(|(id, end)| self.note(id, end.map_err(|refusal| why_not(&refusal))));
    }

    pub(in crate::admin) fn new(dry_run: bool) -> Self {
        Self { dry_run, matched: 0, done: 0, refused: Vec::new(), next: None }
    }

    /// Notes how it ended with one job.
    pub(in crate::admin) fn note(&mut self, id: JobId, end: Result<(), String>) {
        match end {
            Ok(()) => self.done += 1,
            Err(why) if self.refused.len() < MOST_TOLD => {
                self.refused.push(Undone { id: id.to_string(), why });
            }
            Err(_) => {}
        }
    }
}

/// Why a job could not be tried again or forgotten.
pub(super) fn why_not(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Conflict => "its message is gone, or the time of the message is over".to_owned(),
        other => other.to_string(),
    }
}

/// Jobs read at once; what a carrier sent may be large.
pub(in crate::admin) const PAGE: usize = 100;
/// Jobs in work at once.
pub(in crate::admin) const AT_ONCE: usize = 32;
/// Jobs, where the order does not say.
pub(in crate::admin) const USUAL: usize = 1_000;
/// Most jobs in one order.
pub(in crate::admin) const MOST: usize = 100_000;
/// Most of the refused that are told.
const MOST_TOLD: usize = 20;
/// An order ends after that, with what is left to be ordered again.
pub(in crate::admin) const LONGEST: Duration = Duration::from_secs(10);
