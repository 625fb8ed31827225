//! `GET /admin/v1/dead?queue=GROUP/KIND&after=ID&max=N` and `GET /admin/v1/dead/ID`: jobs that were given up.
//!
//! Among them is what a carrier handed in and nobody could read: it is kept as it came.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mmsgw_contract::{Problem, ProblemCode};
use mmsgw_domain::{IntakeKind, Job, JobId, Queue};
use mmsgw_engine::DeadJob;
use serde::{Deserialize, Serialize};

use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    queue: String,
    after: Option<String>,
    max: Option<usize>,
}

/// Jobs of one queue, those that were queued first before the others.
#[derive(Serialize)]
struct Page {
    jobs: Vec<Line>,
    /// What `after` has to be for more of them; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A job in short.
#[derive(Serialize)]
struct Line {
    id: String,
    /// Group and kind, as in `carrier/rx`.
    queue: String,
    /// What was to be done: `transmit`, `intake`, `callback`, `report`, `answer`.
    job: &'static str,
    /// Why it was given up.
    reason: String,
    /// When it was queued, in seconds since 1970.
    created_ts: i64,
    /// When it was given up.
    died_ts: i64,
    /// How often it was tried.
    tries: u32,
    /// Intake: who handed it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// Intake: octets that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    /// The message concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Callback: where it was posted to. Answer: where it was mailed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

/// A job whole.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    line: Line,
    /// Intake: what came.
    #[serde(skip_serializing_if = "Option::is_none")]
    intake: Option<Intake>,
}

/// What a carrier handed in, to the octet.
#[derive(Serialize)]
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

pub(super) async fn list(
    administrator: Administrator,
    State(ops): State<Ops>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| bad(error.body_text()))?;
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
    let dead = in_time(&ops, ops.engine.dead(&queue, after, max)).await?;
    let next = dead.last().filter(|_| dead.len() == max).map(|last| last.id.to_string());
    Ok(answer(Page { jobs: dead.iter().map(line).collect(), next }))
}

pub(super) async fn show(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let id: JobId = id.parse().map_err(|_| not_found())?;
    let dead = in_time(&ops, ops.engine.dead_job(id)).await?;
    if !administrator.sees(&dead.queue.group) {
        return Err(not_found());
    }
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

fn line(dead: &DeadJob) -> Line {
    let mut line = Line {
        id: dead.id.to_string(),
        queue: dead.queue.to_string(),
        job: "",
        reason: dead.reason.clone(),
        created_ts: dead.id.created().as_secs(),
        died_ts: dead.died.as_secs(),
        tries: dead.tries,
        peer: None,
        size: None,
        message: None,
        address: None,
    };
    match &dead.job {
        Job::TransmitV1(job) => (line.job, line.message) = ("transmit", Some(job.message.to_string())),
        Job::ReportV1(job) => (line.job, line.message) = ("report", Some(job.message.to_string())),
        Job::AmendV1(job) => (line.job, line.message) = ("amend", Some(job.message.to_string())),
        Job::AnswerV1(job) => (line.job, line.address) = ("answer", Some(job.to.address.clone())),
        Job::CallbackV1(job) => {
            (line.job, line.message, line.address) =
                ("callback", Some(job.message.to_string()), Some(job.url.clone()));
        }
        Job::IntakeV1(job) => {
            (line.job, line.peer, line.size) = ("intake", Some(job.peer.clone()), Some(job.raw.len()));
        }
    }
    line
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
