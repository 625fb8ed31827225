//! `/admin/v1/queues/{group}/{kind}/jobs`: jobs that wait are listed, shown, done at once and forgotten.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use mmsgw_contract::{Problem, ProblemCode};
use mmsgw_domain::{JobId, Queue};
use mmsgw_engine::{Place, QueuedJob, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::dead::bulk::BulkDone;
use super::job::JobView;
use super::order::{Because, Order};
use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

mod bulk;

use bulk::{Deed, MoveBulk, QueueBulk, many};

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// What `next` of the page before says.
    after: Option<String>,
    /// Most jobs, 1 to 1000; 100 where absent.
    limit: Option<usize>,
}

/// Jobs of one queue, in the order in which they leave it.
#[derive(Serialize, ToSchema)]
#[schema(as = QueuedJobs)]
pub(super) struct Page {
    jobs: Vec<Line>,
    /// What `after` has to be for more of them; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A job that waits or is in a worker's hands.
#[derive(Serialize, ToSchema)]
#[schema(as = QueuedJob)]
pub(super) struct Line {
    id: String,
    /// Group and kind, as in `carrier/tx`.
    queue: String,
    #[serde(flatten)]
    about: JobView,
    /// `express`, `normal` or `slow`: lanes leave the queue in this order.
    lane: &'static str,
    /// It is not handed out before, in seconds since 1970.
    due_ts: i64,
    /// Tries that did not work.
    tries: u32,
    /// The instance that works on it; absent while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
}

impl Line {
    fn of(job: &QueuedJob) -> Self {
        Self {
            id: job.place.id.to_string(),
            queue: job.queue.to_string(),
            about: JobView::of(job.place.id, &job.job),
            lane: job.place.lane.name(),
            due_ts: job.place.due.as_secs(),
            tries: job.failed,
            holder: job.holder.as_ref().map(ToString::to_string),
        }
    }
}

/// Lists the jobs of a queue that wait or are in a worker's hands, in the order in which they leave it.
#[utoipa::path(
    get, path = "/admin/v1/queues/{group}/{kind}/jobs", tag = "queues",
    params(
        ("group" = String, Path, description = "The gateway group"),
        ("kind" = String, Path, description = "`tx`, `ev`, `rx` or `callback`"),
        ("after" = Option<String>, Query, description = "What `next` of the page before says"),
        ("limit" = Option<usize>, Query, description = "Most of them, 1 to 1000; 100 where absent"),
    ),
    responses((status = 200, body = Page), (status = 404, description = "There is no such queue"))
)]
pub(super) async fn list(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(names): Path<(String, String)>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| bad(error.body_text()))?;
    let queue = named(&administrator, &names)?;
    let after = asked.after.as_deref().map(str::parse::<Place>).transpose();
    let after = after.map_err(|error| bad(format!("after: {error}")))?;
    let limit = asked.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(bad(format!("limit: must be from 1 to {MOST}")));
    }
    let jobs = in_time(&ops, ops.engine.queued(&queue, after, limit)).await?;
    let next = jobs.last().filter(|_| jobs.len() == limit).map(|last| last.place.to_string());
    Ok(answer(Page { jobs: jobs.iter().map(Line::of).collect(), next }))
}

/// Shows a job that waits or is in a worker's hands.
#[utoipa::path(
    get, path = "/admin/v1/queues/{group}/{kind}/jobs/{id}", tag = "queues",
    params(
        ("group" = String, Path, description = "The gateway group"),
        ("kind" = String, Path, description = "`tx`, `ev`, `rx` or `callback`"),
        ("id" = String, Path, description = "The job's id"),
    ),
    responses((status = 200, body = Line), (status = 404, description = "There is none"))
)]
pub(super) async fn show(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path((group, kind, id)): Path<(String, String, String)>,
) -> Result<Response, Refused> {
    let queue = named(&administrator, &(group, kind))?;
    Ok(answer(Line::of(&find(&ops, &queue, &id).await?)))
}

/// Has a job that waits for a later time done at once, also where an application gave that time.
#[utoipa::path(
    post, path = "/admin/v1/queues/{group}/{kind}/jobs/{id}/retry", tag = "queues", request_body = Because,
    params(
        ("group" = String, Path, description = "The gateway group"),
        ("kind" = String, Path, description = "`tx`, `ev`, `rx` or `callback`"),
        ("id" = String, Path, description = "The job's id"),
    ),
    responses(
        (status = 204, description = "It is due"), (status = 404, description = "There is none"),
        (status = 409, description = "An instance works on it"),
    )
)]
pub(super) async fn retry(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path((group, kind, id)): Path<(String, String, String)>,
    Order(order): Order<Because>,
) -> Result<StatusCode, Refused> {
    let queue = named(&administrator, &(group, kind))?;
    one(&administrator, &ops, &queue, &id, (Deed::Retry, order)).await
}

/// Forgets a job that waits. A message that was to be sent ends as CANCELLED, and its application is told.
#[utoipa::path(
    post, path = "/admin/v1/queues/{group}/{kind}/jobs/{id}/purge", tag = "queues", request_body = Because,
    params(
        ("group" = String, Path, description = "The gateway group"),
        ("kind" = String, Path, description = "`tx`, `ev`, `rx` or `callback`"),
        ("id" = String, Path, description = "The job's id"),
    ),
    responses(
        (status = 204, description = "It is forgotten"), (status = 404, description = "There is none"),
        (status = 409, description = "An instance works on it"),
    )
)]
pub(super) async fn purge(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path((group, kind, id)): Path<(String, String, String)>,
    Order(order): Order<Because>,
) -> Result<StatusCode, Refused> {
    let queue = named(&administrator, &(group, kind))?;
    one(&administrator, &ops, &queue, &id, (Deed::Purge, order)).await
}

/// Has the jobs of a queue done at once that were tried and wait for a later time, or counts them. What waits for the
/// time that an application gave is left alone.
#[utoipa::path(
    post, path = "/admin/v1/queues/{group}/{kind}/retry", tag = "queues", request_body = QueueBulk,
    params(
        ("group" = String, Path, description = "The gateway group"),
        ("kind" = String, Path, description = "`tx`, `ev`, `rx` or `callback`"),
    ),
    responses((status = 200, body = BulkDone), (status = 404, description = "There is no such queue"))
)]
pub(super) async fn retry_many(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(names): Path<(String, String)>,
    Order(order): Order<QueueBulk>,
) -> Result<Response, Refused> {
    let queue = named(&administrator, &names)?;
    many(&administrator, &ops, &queue, (Deed::Retry, order)).await
}

/// Forgets the jobs of a queue that wait, or counts them. Messages that were to be sent end as CANCELLED, and their
/// applications are told.
#[utoipa::path(
    post, path = "/admin/v1/queues/{group}/{kind}/purge", tag = "queues", request_body = QueueBulk,
    params(
        ("group" = String, Path, description = "The gateway group"),
        ("kind" = String, Path, description = "`tx`, `ev`, `rx` or `callback`"),
    ),
    responses((status = 200, body = BulkDone), (status = 404, description = "There is no such queue"))
)]
pub(super) async fn purge_many(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(names): Path<(String, String)>,
    Order(order): Order<QueueBulk>,
) -> Result<Response, Refused> {
    let queue = named(&administrator, &names)?;
    many(&administrator, &ops, &queue, (Deed::Purge, order)).await
}

/// Has messages that wait go to another gateway group, or counts them. Those of which a carrier has something, those of
/// batches and those that do not fit the other carrier stay, and are told with the reason.
#[utoipa::path(
    post, path = "/admin/v1/queues/{group}/{kind}/move", tag = "queues", request_body = MoveBulk,
    params(
        ("group" = String, Path, description = "The gateway group that they leave"),
        ("kind" = String, Path, description = "`tx`"),
    ),
    responses((status = 200, body = BulkDone), (status = 404, description = "There is no such queue"))
)]
pub(super) async fn move_many(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(names): Path<(String, String)>,
    Order(order): Order<MoveBulk>,
) -> Result<Response, Refused> {
    let queue = named(&administrator, &names)?;
    let order = order.split(&administrator, &ops)?;
    many(&administrator, &ops, &queue, order).await
}

/// Does something with one job.
async fn one(
    administrator: &Administrator,
    ops: &Ops,
    queue: &Queue,
    id: &str,
    (deed, order): (Deed, Because),
) -> Result<StatusCode, Refused> {
    let job = find(ops, queue, id).await?;
    deed.done(ops, &job, &order.reason).await.map_err(|refusal| match refusal {
        Refusal::Conflict => Problem::new(ProblemCode::Conflict, why_not(&refusal)).into(),
        other => Refused::from(other),
    })?;
    administrator.leaves(&format!("{} waiting", deed.name()), &format!("job {id} of {queue}"), &order.reason);
    Ok(StatusCode::NO_CONTENT)
}

/// The queue of these names, where it is the administrator's.
fn named(administrator: &Administrator, (group, kind): &(String, String)) -> Result<Queue, Refused> {
    let queue: Queue = format!("{group}/{kind}").parse().map_err(|_| not_found())?;
    if administrator.sees(&queue.group) { Ok(queue) } else { Err(not_found()) }
}

async fn find(ops: &Ops, queue: &Queue, id: &str) -> Result<QueuedJob, Refused> {
    let id: JobId = id.parse().map_err(|_| not_found())?;
    in_time(ops, ops.engine.queued_job(queue, id)).await
}

/// Why it was not done with a job.
fn why_not(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Conflict => "an instance works on it, or it is done".to_owned(),
        other => other.to_string(),
    }
}

fn bad(why: impl Into<String>) -> Refused {
    Problem::new(ProblemCode::InvalidRequest, why).into()
}

fn not_found() -> Refused {
    Problem::new(ProblemCode::NotFound, "there is no such job or queue").into()
}

/// Jobs in a page, where the request does not say.
const USUAL: usize = 100;
/// Most jobs in a page.
const MOST: usize = 1_000;
