//! `/admin/v1/trace`: what this process says with a carrier is kept for a while, to find a fault.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use mmsgw_contract::{Problem, ProblemCode};
use mmsgw_domain::{GroupName, MessageId, Timestamp};
use mmsgw_engine::{LONGEST_WATCH, Said, Speaker, Watch, Watched};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::order::{Order, Reason};
use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// What is to be watched: a group or a message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceOrder {
    /// Everything that is said with the carrier of this gateway group.
    #[serde(default)]
    group: Option<String>,
    /// What is said about this message.
    #[serde(default)]
    message: Option<String>,
    /// For how long, 1 to 3600.
    seconds: u64,
    /// Why; it stands in the log.
    reason: Reason,
}

/// A watch.
#[derive(Serialize, ToSchema)]
#[schema(as = Trace)]
pub(super) struct TraceView {
    /// Its number, in this process.
    id: u64,
    /// The group that is watched, or the group of the message.
    group: String,
    /// The message that is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// When it began, in seconds since 1970.
    since_ts: i64,
    /// When it ends or ended. What it has can be read for a quarter of an hour after that.
    until_ts: i64,
    /// Whether it goes on.
    active: bool,
    /// The oldest entries that were dropped, as there were too many.
    dropped: u64,
}

/// The answer.
#[derive(Serialize, ToSchema)]
pub(super) struct Traces {
    traces: Vec<TraceView>,
}

/// What was noted.
#[derive(Serialize, ToSchema)]
pub(super) struct Noted {
    trace: TraceView,
    entries: Vec<Entry>,
}

/// Something that was said, or happened.
#[derive(Serialize, ToSchema)]
#[schema(as = TraceEntry)]
struct Entry {
    /// Counts from 1; what `after` has to be for those behind it.
    sequence: u64,
    /// The same for a request and its answer, or for what was said about one mail.
    exchange: u64,
    /// When, in milliseconds since 1970.
    at_ms: i64,
    /// The group.
    group: String,
    /// The message, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// `us`, `carrier`, or `nobody` for what happened.
    by: &'static str,
    /// What. Secrets are `***`, long content is cut.
    text: String,
}

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    after: Option<u64>,
}

/// Lists the watches of this process.
#[utoipa::path(get, path = "/admin/v1/trace", tag = "trace", responses((status = 200, body = Traces)))]
pub(super) async fn list(administrator: Administrator, State(ops): State<Ops>) -> Result<Response, Refused> {
    let now = ops.clock.now();
    let watches = ops.engine.wiretap().watches();
    let seen = watches.iter().filter(|watch| administrator.sees_watch(watch));
    Ok(answer(Traces { traces: seen.map(|watch| TraceView::of(watch, now)).collect() }))
}

/// Begins to keep what this process says with a carrier, about one message or with one gateway group, for a while.
#[utoipa::path(
    post, path = "/admin/v1/trace", tag = "trace", request_body = TraceOrder,
    responses((status = 200, body = TraceView), (status = 404, description = "There is no such group or message"))
)]
pub(super) async fn begin(
    administrator: Administrator,
    State(ops): State<Ops>,
    Order(order): Order<TraceOrder>,
) -> Result<Response, Refused> {
    let span = Duration::from_secs(order.seconds);
    if span.is_zero() || span > LONGEST_WATCH {
        return Err(bad(format!("seconds: must be from 1 to {}", LONGEST_WATCH.as_secs())));
    }
    let what = match (&order.group, &order.message) {
        (Some(group), None) => Watched::Group(known_group(&administrator, &ops, group)?),
        (None, Some(id)) => known_message(&administrator, &ops, id).await?,
        _ => return Err(bad("say either group or message")),
    };
    let full = |error: mmsgw_engine::TooManyWatches| Problem::new(ProblemCode::Overloaded, error.to_string());
    let watch = ops.engine.wiretap().begin(what, span).map_err(full)?;
    let object = order.group.or(order.message).unwrap_or_default();
    administrator.leaves("trace", &object, &order.reason);
    Ok(answer(TraceView::of(&watch, ops.clock.now())))
}

/// Shows what a watch noted.
#[utoipa::path(
    get, path = "/admin/v1/trace/{id}", tag = "trace",
    params(
        ("id" = String, Path, description = "The watch's number"),
        ("after" = Option<u64>, Query, description = "Only entries behind this one"),
    ),
    responses((status = 200, body = Noted), (status = 404, description = "There is none, or not any more"))
)]
pub(super) async fn read(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(id): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| bad(error.body_text()))?;
    let id: u64 = id.parse().map_err(|_| not_found())?;
    let found = ops.engine.wiretap().read(id, asked.after.unwrap_or(0), PAGE);
    let (watch, said) = found.filter(|(watch, _)| administrator.sees_watch(watch)).ok_or_else(not_found)?;
    let trace = TraceView::of(&watch, ops.clock.now());
    Ok(answer(Noted { trace, entries: said.into_iter().map(Entry::of).collect() }))
}

/// Ends a watch before its time. What it noted can still be read.
#[utoipa::path(
    delete, path = "/admin/v1/trace/{id}", tag = "trace",
    params(("id" = String, Path, description = "The watch's number")),
    responses((status = 204, description = "It has ended"), (status = 404, description = "There is none"))
)]
pub(super) async fn end(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    let id: u64 = id.parse().map_err(|_| not_found())?;
    let watches = ops.engine.wiretap().watches();
    let watch = watches.iter().find(|watch| watch.id == id).filter(|watch| administrator.sees_watch(watch));
    watch.and_then(|watch| ops.engine.wiretap().end(watch.id)).ok_or_else(not_found)?;
    Ok(StatusCode::NO_CONTENT)
}

fn known_group(administrator: &Administrator, ops: &Ops, name: &str) -> Result<GroupName, Refused> {
    let group: Option<GroupName> = name.parse().ok();
    let known = group.filter(|group| administrator.sees(group) && ops.engine.group(group).is_some());
    known.ok_or_else(|| Problem::new(ProblemCode::NotFound, "there is no such gateway group").into())
}

async fn known_message(administrator: &Administrator, ops: &Ops, id: &str) -> Result<Watched, Refused> {
    let missing = || Refused::from(Problem::new(ProblemCode::NotFound, "there is no such message"));
    let id: MessageId = id.parse().map_err(|_| missing())?;
    let (message, _) = in_time(ops, ops.engine.message(id)).await?;
    if administrator.sees(&message.group) { Ok(Watched::Message(message.group, id)) } else { Err(missing()) }
}

impl Administrator {
    fn sees_watch(&self, watch: &Watch) -> bool {
        let (Watched::Group(group) | Watched::Message(group, _)) = &watch.what;
        self.sees(group)
    }
}

impl TraceView {
    fn of(watch: &Watch, now: Timestamp) -> Self {
        let (group, message) = match &watch.what {
            Watched::Group(group) => (group.to_string(), None),
            Watched::Message(group, id) => (group.to_string(), Some(id.to_string())),
        };
        Self {
            id: watch.id,
            group,
            message,
            since_ts: watch.since.as_secs(),
            until_ts: watch.until.as_secs(),
            active: now < watch.until,
            dropped: watch.dropped,
        }
    }
}

impl Entry {
    fn of(said: Said) -> Self {
        Self {
            sequence: said.sequence,
            exchange: said.exchange,
            at_ms: said.at.as_millis(),
            group: said.group.to_string(),
            message: said.message.map(|id| id.to_string()),
            by: match said.by {
                Speaker::Us => "us",
                Speaker::Carrier => "carrier",
                Speaker::Nobody => "nobody",
            },
            text: said.text,
        }
    }
}

fn bad(why: impl Into<String>) -> Refused {
    Problem::new(ProblemCode::InvalidRequest, why).into()
}

fn not_found() -> Refused {
    Problem::new(ProblemCode::NotFound, "there is no such trace").into()
}

/// Most entries in an answer.
const PAGE: usize = 500;
