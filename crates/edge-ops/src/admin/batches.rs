//! `GET /admin/v1/batches/<id>`: how far a batch is.

use axum::extract::{Path, State};
use axum::response::Response;
use mmsgw_contract::{BatchView, Problem, ProblemCode};

use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

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
    Ok(answer(BatchView {
        id: status.id.to_string(),
        template: status.template.to_string(),
        gateway: status.group.to_string(),
        state: status.word().to_owned(),
        received: status.received,
        accepted: status.accepted,
        refused: status.refused,
        counts: status.counts,
        created_ts: status.created.as_secs(),
    }))
}
