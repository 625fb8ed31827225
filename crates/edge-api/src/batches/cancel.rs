//! `DELETE /mmsgw/v1/batches/<id>`: withdraws what is unsent of a batch.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{BatchView, ProblemView};

use crate::api::Api;
use crate::auth::Sender;
use crate::error::Refused;
use crate::templates::{answer, id_in_path};

/// Cancels what is unsent of a batch: at once no further line is taken, and its waiting messages end as CANCELLED when
/// their turn comes.
#[utoipa::path(
    delete, path = "/mmsgw/v1/batches/{id}", tag = "batches",
    params(("id" = String, Path, description = "The batch's id")),
    responses(
        (status = 200, description = "The batch as it is now", body = BatchView),
        (status = 404, description = "There is none", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn cancel_batch(
    State(api): State<Api>,
    Sender(caller): Sender,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let id = id_in_path(&id, "batch")?;
    caller.may_see_batch(&api.engine.bulk(id).await?)?;
    let status = api.engine.cancel_bulk(id).await?;
    Ok(answer(StatusCode::OK, None, &BatchView::of(&status)))
}
