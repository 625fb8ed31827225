//! `GET /mmsgw/v1/mms/<id>`: shows a template.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{ProblemView, TemplateView};

use super::{answer, id_in_path};
use crate::api::Api;
use crate::auth::Reader;
use crate::error::Refused;

/// Shows a template.
#[utoipa::path(
    get, path = "/mmsgw/v1/mms/{id}", tag = "templates",
    params(("id" = String, Path, description = "The template's id")),
    responses(
        (status = 200, description = "The template", body = TemplateView),
        (status = 404, description = "There is none", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn read_template(
    State(api): State<Api>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let template = api.engine.template(id_in_path(&id, "template")?).await?;
    caller.may_see_template(&template)?;
    Ok(answer(StatusCode::OK, None, &TemplateView::of(&template, &api.links)))
}
