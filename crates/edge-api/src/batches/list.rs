//! `GET /mmsgw/v1/batches`: the caller's batches, the newest first.

use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{BatchesView, Problem, ProblemCode};
use mmsgw_domain::{BatchId, Timestamp};
use mmsgw_engine::BulkSearch;
use serde::Deserialize;

use crate::api::Api;
use crate::auth::Reader;
use crate::error::Refused;
use crate::templates::answer;

/// Which batches.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    gateway: Option<String>,
    since: Option<i64>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// Lists batches, the newest first: those of the key's gateways and origins.
#[utoipa::path(
    get, path = "/mmsgw/v1/batches", tag = "batches",
    params(
        ("gateway" = Option<String>, Query, description = "Only of this gateway group"),
        ("since" = Option<i64>, Query, description = "Only those that began then or later, in seconds since 1970 UTC"),
        ("cursor" = Option<String>, Query, description = "What `next` of the page before says"),
        ("limit" = Option<usize>, Query, description = "How many at most; 100 where absent, 1000 at most"),
    ),
    responses((status = 200, body = BatchesView)),
    security(("key" = ["read"]))
)]
pub(crate) async fn list_batches(
    State(api): State<Api>,
    Reader(caller): Reader,
    Query(asked): Query<Asked>,
) -> Result<Response, Refused> {
    let before = asked.cursor.as_deref().map(str::parse::<BatchId>).transpose();
    let before = before.map_err(|error| {
        Problem::new(ProblemCode::InvalidRequest, format!("cursor: {error}; take it from `next`"))
    })?;
    let max = asked.limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE);
    let known = api.engine.groups().into_iter().map(|group| group.settings.name.clone());
    let mut groups: Vec<_> = known.filter(|group| caller.owns_group(group)).collect();
    if let Some(name) = &asked.gateway {
        groups.retain(|group| group.as_str() == name);
    }
    let search = BulkSearch { groups, since: asked.since.map(Timestamp::from_secs), before, max };
    let found = api.engine.bulks(&search, |origin| caller.owns_origin(origin)).await?;
    Ok(answer(StatusCode::OK, None, &BatchesView::of(&found, max)))
}

const USUAL_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;
