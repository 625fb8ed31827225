//! `GET /mmsgw/v1/batches/<id>` and `…/refused`: shows a batch and the lines of it that were refused.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{BatchView, ProblemView, RefusedLineView, RefusedLinesView};
use mmsgw_engine::RefusedLine;
use serde::Deserialize;

use crate::api::Api;
use crate::auth::Reader;
use crate::error::Refused;
use crate::templates::{answer, id_in_path};

/// Shows a batch.
#[utoipa::path(
    get, path = "/mmsgw/v1/batches/{id}", tag = "batches",
    params(("id" = String, Path, description = "The batch's id")),
    responses(
        (status = 200, body = BatchView),
        (status = 404, description = "There is none", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn read_batch(
    State(api): State<Api>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let status = api.engine.bulk(id_in_path(&id, "batch")?).await?;
    caller.may_see_batch(&status)?;
    Ok(answer(StatusCode::OK, None, &BatchView::of(&status)))
}

/// Which page of refused lines.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Page {
    after: u64,
    limit: Option<usize>,
}

/// Shows refused lines of a batch, with the reason of each.
#[utoipa::path(
    get, path = "/mmsgw/v1/batches/{id}/refused", tag = "batches",
    params(
        ("id" = String, Path, description = "The batch's id"),
        ("after" = Option<usize>, Query, description = "Lines after the one of that number"),
        ("limit" = Option<usize>, Query, description = "How many at most; 100 where absent, 1000 at most"),
    ),
    responses(
        (status = 200, body = RefusedLinesView),
        (status = 404, description = "There is none", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn read_refused(
    State(api): State<Api>,
    Reader(caller): Reader,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Response, Refused> {
    let id = id_in_path(&id, "batch")?;
    caller.may_see_batch(&api.engine.bulk(id).await?)?;
    let most = page.limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE);
    let lines = api.engine.refused_lines(id, page.after, most).await?;
    let next = lines.last().filter(|_| lines.len() == most).map(|line| line.number);
    let lines = lines.into_iter().map(|RefusedLine { number, fault }| RefusedLineView {
        line: number,
        code: fault.code,
        pointer: fault.pointer,
        detail: fault.detail,
    });
    Ok(answer(StatusCode::OK, None, &RefusedLinesView { lines: lines.collect(), next }))
}

const USUAL_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;
