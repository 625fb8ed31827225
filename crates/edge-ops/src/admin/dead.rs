//! `/admin/v1/dead`: jobs that were given up are listed, shown, tried again and forgotten.
//!
//! Among them is what a carrier handed in and nobody could read: it is kept as it came.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use mmsgw_contract::{Problem, ProblemCode};
use mmsgw_domain::{IntakeKind, Job, JobId, Queue};
use mmsgw_engine::{DeadJob, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::job::JobView;
use super::order::{Because, Order};
use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

pub(super) mod bulk;

use bulk::{Bulk, BulkDone, Deed, bulk, why_not};

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The queue, as in `carrier/rx`.
    queue: String,
    /// Only those behind this one.
    after: Option<String>,
    /// Most jobs, 1 to 1000; 100 where absent.
    max: Option<usize>,
}

/// Jobs of one queue, those that were queued first before the others.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadJobs)]
pub(super) struct Page {
    jobs: Vec<Line>,
    /// What `after` has to be for more of them; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A job in short.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadJob)]
struct Line {
    id: String,
    /// Group and kind, as in `carrier/rx`.
    queue: String,
    #[serde(flatten)]
    about: JobView,
    /// Why it was given up.
    reason: String,
    /// When it was given up.
    died_ts: i64,
    /// How often it was tried.
    tries: u32,
}

/// A job whole.
#[derive(Serialize, ToSchema)]
#[schema(as = WholeDeadJob)]
pub(super) struct Whole {
    #[serde(flatten)]
    line: Line,
    /// Intake: what came.
    #[serde(skip_serializing_if = "Option::is_none")]
    intake: Option<Intake>,
}

/// What a carrier handed in, to the octet.
#[derive(Serialize, ToSchema)]
struct Intake {
    /// `mail` or `http`.
    form: &'static str,
    /// Mail: MAIL FROM.
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_from: Option<String>,
    /// Mail: RCPT TO.
    #[serde(skip_serializing_if = "Option::is_none")]
    rcpt_to: Option<Vec<String>>,
    /// HTTP: Content-Type.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// The octets in base64.
    octets: String,
}

/// Lists the dead jobs of a queue, those that were queued first before the others.
#[utoipa::path(
    get, path = "/admin/v1/dead", tag = "dead jobs",
    params(
        ("queue" = String, Query, description = "The queue, as in `carrier/rx`"),
        ("after" = Option<String>, Query, description = "Only those behind this one"),
        ("max" = Option<usize>, Query, description = "Most of them, 1 to 1000; 100 where absent"),
    ),
    responses((status = 200, body = Page))
)]
pub(super) async fn list(
    administrator: Administrator,
    State(ops): State<Ops>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| bad(error.body_text()))?;
    page(&administrator, &ops, asked).await
}

impl Asked {
    pub(super) fn of(queue: String, after: Option<String>, max: Option<usize>) -> Self {
        Self { queue, after, max }
    }
}

pub(super) async fn page(
    administrator: &Administrator,
    ops: &Ops,
    asked: Asked,
) -> Result<Response, Refused> {
    let queue: Queue = asked.queue.parse().map_err(|error| bad(format!("queue: {error}")))?;
    let after = asked.after.map(|id| id.parse::<JobId>()).transpose();
    let after = after.map_err(|error| bad(format!("after: {error}")))?;
    let max = asked.max.unwrap_or(USUAL);
    if !(1..=MOST).contains(&max) {
        return Err(bad(format!("max: must be from 1 to {MOST}")));
    }
    if !administrator.sees(&queue.group) {
        return Err(not_found());
    }
    let dead = in_time(ops, ops.engine.dead(&queue, after, max)).await?;
    let next = dead.last().filter(|_| dead.len() == max).map(|last| last.id.to_string());
    Ok(answer(Page { jobs: dead.iter().map(line).collect(), next }))
}

/// Shows a dead job whole.
#[utoipa::path(
    get, path = "/admin/v1/dead/{id}", tag = "dead jobs", params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = Whole), (status = 404, description = "There is none"))
)]
pub(super) async fn show(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let dead = find(&administrator, &ops, &id).await?;
    let intake = match &dead.job {
        Job::IntakeV1(intake) => {
            let octets = encodify::base64::STANDARD.encode(&intake.raw);
            let blank = Intake { form: "", mail_from: None, rcpt_to: None, content_type: None, octets };
            Some(match intake.kind.clone() {
                IntakeKind::Mail { mail_from, rcpt_to } => {
                    Intake { form: "mail", mail_from: Some(mail_from), rcpt_to: Some(rcpt_to), ..blank }
                }
                IntakeKind::Http { content_type } => {
                    Intake { form: "http", content_type: Some(content_type), ..blank }
                }
            })
        }
        _ => None,
    };
    Ok(answer(Whole { line: line(&dead), intake }))
}

/// Puts a dead job back into its queue, due at once. A message that failed is sent again to the numbers that failed.
#[utoipa::path(
    post, path = "/admin/v1/dead/{id}/retry", tag = "dead jobs", request_body = Because,
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 204, description = "It waits in its queue again"), (status = 404, description = "There is none"),
        (status = 409, description = "Its message is gone, or the time of the message is over"),
    )
)]
pub(super) async fn retry(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(id): Path<String>,
    Order(order): Order<Because>,
) -> Result<StatusCode, Refused> {
    one(&administrator, &ops, &id, (Deed::Retry, order)).await
}

/// Forgets a dead job.
#[utoipa::path(
    post, path = "/admin/v1/dead/{id}/purge", tag = "dead jobs", request_body = Because,
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 204, description = "It is forgotten"), (status = 404, description = "There is none"))
)]
pub(super) async fn purge(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(id): Path<String>,
    Order(order): Order<Because>,
) -> Result<StatusCode, Refused> {
    one(&administrator, &ops, &id, (Deed::Purge, order)).await
}

/// Puts dead jobs of a queue back into it, or counts them.
#[utoipa::path(
    post, path = "/admin/v1/dead/retry", tag = "dead jobs", request_body = Bulk,
    responses((status = 200, body = BulkDone))
)]
pub(super) async fn retry_many(
    administrator: Administrator,
    State(ops): State<Ops>,
    Order(order): Order<Bulk>,
) -> Result<Response, Refused> {
    bulk(&administrator, &ops, order, Deed::Retry).await
}

/// Forgets dead jobs of a queue, or counts them.
#[utoipa::path(
    post, path = "/admin/v1/dead/purge", tag = "dead jobs", request_body = Bulk,
    responses((status = 200, body = BulkDone))
)]
pub(super) async fn purge_many(
    administrator: Administrator,
    State(ops): State<Ops>,
    Order(order): Order<Bulk>,
) -> Result<Response, Refused> {
    bulk(&administrator, &ops, order, Deed::Purge).await
}

/// Does something with one dead job.
pub(super) async fn one(
    administrator: &Administrator,
    ops: &Ops,
    id: &str,
    (deed, order): (Deed, Because),
) -> Result<StatusCode, Refused> {
    let dead = find(administrator, ops, id).await?;
    deed.done(ops, &dead, &order.reason).await.map_err(|refusal| match refusal {
        Refusal::Conflict => Problem::new(ProblemCode::Conflict, why_not(&refusal)).into(),
        other => Refused::from(other),
    })?;
    administrator.leaves(
        &format!("{} dead", deed.name()),
        &format!("job {id} of {}", dead.queue),
        &order.reason,
    );
    Ok(StatusCode::NO_CONTENT)
}

async fn find(administrator: &Administrator, ops: &Ops, id: &str) -> Result<DeadJob, Refused> {
    let id: JobId = id.parse().map_err(|_| not_found())?;
    let dead = in_time(ops, ops.engine.dead_job(id)).await?;
    if administrator.sees(&dead.queue.group) { Ok(dead) } else { Err(not_found()) }
}

fn line(dead: &DeadJob) -> Line {
    Line {
        id: dead.id.to_string(),
        queue: dead.queue.to_string(),
        about: JobView::of(dead.id, &dead.job),
        reason: dead.reason.clone(),
        died_ts: dead.died.as_secs(),
        tries: dead.tries,
    }
}

fn bad(why: impl Into<String>) -> Refused {
    Problem::new(ProblemCode::InvalidRequest, why).into()
}

fn not_found() -> Refused {
    Problem::new(ProblemCode::NotFound, "there is no such dead job or queue").into()
}

/// Jobs in a page, where the request does not say.
const USUAL: usize = 100;
/// Most jobs in a page.
const MOST: usize = 1_000;
