//! Many waiting jobs at once: counted first, then done at once or forgotten.

use std::time::Instant;

use axum::response::Response;
use futures_util::{StreamExt, stream};
use mmsgw_domain::{GroupName, Queue};
use mmsgw_engine::{Place, QueuedJob, Refusal};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{JobView, bad, why_not};
use crate::admin::dead::bulk::{AT_ONCE, BulkDone, LONGEST, MOST, PAGE, USUAL};
use crate::admin::order::Reason;
use crate::admin::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// Which waiting jobs, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct QueueBulk {
    /// True: they are only counted.
    dry_run: bool,
    /// Why; it stands in the log.
    reason: Reason,
    /// Only those behind this place: what `next` of the answer before says.
    #[serde(default)]
    after: Option<String>,
    /// Only those of this message.
    #[serde(default)]
    message: Option<String>,
    /// Only those whose peer or address has this in it.
    #[serde(default)]
    matching: Option<String>,
    /// Most jobs, 1 to 100000; 1000 where absent.
    #[serde(default)]
    max: Option<usize>,
}

/// Which messages that wait, where they go, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct MoveBulk {
    /// The gateway group that they go to.
    to: String,
    /// True: they are only counted, and those that cannot be moved are told.
    dry_run: bool,
    /// Why; it stands in the log, and in an event of each message.
    reason: Reason,
    /// Only those behind this place: what `next` of the answer before says.
    #[serde(default)]
    after: Option<String>,
    /// Only this message.
    #[serde(default)]
    message: Option<String>,
    /// Most jobs, 1 to 100000; 1000 where absent.
    #[serde(default)]
    max: Option<usize>,
}

impl MoveBulk {
    /// Where to, and the order as others are.
    pub(super) fn split(
        self,
        administrator: &Administrator,
        ops: &Ops,
    ) -> Result<(Deed, QueueBulk), Refused> {
        let Self { to, dry_run, reason, after, message, max } = self;
        let group: GroupName = to.parse().map_err(|error| bad(format!("to: {error}")))?;
        if !administrator.sees(&group) || ops.engine.group(&group).is_none() {
            return Err(bad(format!("to: there is no gateway group `{to}`")));
        }
        Ok((Deed::Move(group), QueueBulk { dry_run, reason, after, message, matching: None, max }))
    }
}

/// What is done with them.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Retry,
    Purge,
    Move(GroupName),
}

impl Deed {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Purge => "purge",
            Self::Move(_) => "move",
        }
    }

    pub(super) async fn done(&self, ops: &Ops, job: &QueuedJob, reason: &Reason) -> Result<(), Refusal> {
        match self {
            Self::Retry => ops.engine.hasten(job).await,
            Self::Purge => ops.engine.purge_queued(job, reason.as_str()).await,
            Self::Move(to) => ops.engine.move_queued(job, to, reason.as_str()).await,
        }
    }

    /// Whether an order for many is about this job.
    async fn concerns(&self, ops: &Ops, job: &QueuedJob) -> Result<bool, Refusal> {
        match self {
            Self::Retry => ops.engine.is_put_off(job).await,
            Self::Purge | Self::Move(_) => Ok(job.holder.is_none()),
        }
    }

    /// What would come of it, as far as that can be known before.
    async fn tried(&self, ops: &Ops, job: &QueuedJob) -> Result<(), Refusal> {
        match self {
            Self::Retry | Self::Purge => Ok(()),
            Self::Move(to) => ops.engine.may_move(job, to).await,
        }
    }
}

/// Does it with all that are meant, up to a number and for a time.
pub(super) async fn many(
    administrator: &Administrator,
    ops: &Ops,
    queue: &Queue,
    (deed, which): (Deed, QueueBulk),
) -> Result<Response, Refused> {
    let after = which.after.as_deref().map(str::parse::<Place>).transpose();
    let mut after = after.map_err(|error| bad(format!("after: {error}")))?;
    let max = which.max.unwrap_or(USUAL);
    if !(1..=MOST).contains(&max) {
        return Err(bad(format!("max: must be from 1 to {MOST}")));
    }
    let start = Instant::now();
    let mut done = BulkDone::new(which.dry_run);
    loop {
        let page = in_time(ops, ops.engine.queued(queue, after, PAGE.min(max - done.matched))).await?;
        let Some(last) = page.last().map(|last| last.place) else { break };
        after = Some(last);
        let meant = which.meant(ops, page, &deed).await?;
        done.matched += meant.len();
        work(&mut done, ops, meant, (&deed, &which.reason)).await;
        if done.matched >= max || start.elapsed() > LONGEST {
            done.next = Some(last.to_string());
            break;
        }
    }
    if !which.dry_run {
        let to = if let Deed::Move(to) = &deed { format!(" to {to}") } else { String::new() };
        let object = format!("{} jobs of {queue}{to}", done.done);
        administrator.leaves(&format!("{} waiting", deed.name()), &object, &which.reason);
    }
    Ok(answer(done))
}

impl QueueBulk {
    /// Those of a page that are meant.
    async fn meant(&self, ops: &Ops, page: Vec<QueuedJob>, deed: &Deed) -> Result<Vec<QueuedJob>, Refused> {
        let mut meant = Vec::with_capacity(page.len());
        for job in page {
            if self.fits(&job) && in_time(ops, deed.concerns(ops, &job)).await? {
                meant.push(job);
            }
        }
        Ok(meant)
    }

    fn fits(&self, job: &QueuedJob) -> bool {
        let about = JobView::of(job.place.id, &job.job);
        self.message.as_ref().is_none_or(|message| about.is_of(message))
            && self.matching.as_ref().is_none_or(|text| about.has(text))
    }
}

async fn work(done: &mut BulkDone, ops: &Ops, meant: Vec<QueuedJob>, (deed, reason): (&Deed, &Reason)) {
    let dry_run = done.dry_run;
    // Those that wait at the same time share a commit of the store.
    let ends = stream::iter(meant)
        .map(|job| async move {
            let end = if dry_run { deed.tried(ops, &job).await } else { deed.done(ops, &job, reason).await };
            (job.place.id, end)
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    ends.into_iter().for_each(|(id, end)| done.note(id, end.map_err(|refusal| why_not(&refusal))));
    if dry_run {
        done.done = 0;
    }
}
