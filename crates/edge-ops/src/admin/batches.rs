//! `/admin/v1/batches`: batches, the newest first, and how far one is.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mmsgw_contract::{BatchView, BatchesView, Problem, ProblemCode};
use mmsgw_domain::{BatchId, GroupName, Timestamp};
use mmsgw_engine::BulkSearch;
use serde::Deserialize;

use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    gateway: Option<String>,
    since: Option<i64>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// Lists batches, the newest first.
#[utoipa::path(
    get, path = "/admin/v1/batches", tag = "messages",
    params(
        ("gateway" = Option<String>, Query, description = "Only of this gateway group"),
        ("since" = Option<i64>, Query, description = "Only those that began then or later, in seconds since 1970"),
        ("cursor" = Option<String>, Query, description = "What `next` of the page before says"),
        ("limit" = Option<usize>, Query, description = "Most of them, 1 to 1000; 100 where absent"),
    ),
    responses((status = 200, body = BatchesView))
)]
pub(super) async fn list(
    administrator: Administrator,
    State(ops): State<Ops>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| bad(error.body_text()))?;
    let max = asked.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&max) {
        return Err(bad(format!("limit: must be from 1 to {MOST}")));
    }
    let before = asked.cursor.as_deref().map(str::parse::<BatchId>).transpose();
    let before = before.map_err(|error| bad(format!("cursor: {error}")))?;
    let known = ops.engine.groups().into_iter().map(|group| group.settings.name.clone());
    let wanted = |group: &GroupName| asked.gateway.as_deref().is_none_or(|name| name == group.as_str());
    let groups = known.filter(|group| administrator.sees(group) && wanted(group)).collect();
    let search = BulkSearch { groups, since: asked.since.map(Timestamp::from_secs), before, max };
    let found = in_time(&ops, ops.engine.bulks(&search, |_| true)).await?;
    Ok(answer(BatchesView::of(&found, max)))
}

/// Shows a batch, as applications see it.
#[utoipa::path(
    get, path = "/admin/v1/batches/{id}", tag = "messages",
    params(("id" = String, Path, description = "The batch's id")),
    responses((status = 200, body = BatchView), (status = 404, description = "There is none"))
)]
pub(super) async fn show(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let missing = || Refused::from(Problem::new(ProblemCode::NotFound, "there is no such batch"));
    let status = in_time(&ops, ops.engine.bulk(id.parse().map_err(|_| missing())?)).await?;
    if !administrator.sees(&status.group) {
        return Err(missing());
    }
    Ok(answer(BatchView::of(&status)))
}

fn bad(why: impl Into<String>) -> Refused {
    Problem::new(ProblemCode::InvalidRequest, why).into()
}

/// Batches in a page, where the request does not say.
const USUAL: usize = 100;
/// Most batches in a page.
const MOST: usize = 1_000;
