//! `GET /mmsgw/v1/mms_part/<id>`: shows a part that was created on its own.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{PartView, ProblemView};

use crate::api::Api;
use crate::auth::Reader;
use crate::error::Refused;
use crate::templates::{answer, id_in_path};

/// Shows a part that was created on its own.
#[utoipa::path(
    get, path = "/mmsgw/v1/mms_part/{id}", tag = "parts",
    params(("id" = String, Path, description = "The part's id")),
    responses(
        (status = 200, description = "The part", body = PartView),
        (status = 404, description = "There is none", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn read_part(
    State(api): State<Api>,
    _: Reader,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let part = api.engine.part(id_in_path(&id, "part")?).await?;
    Ok(answer(StatusCode::OK, None, &PartView::of(&part, &api.links)))
}
