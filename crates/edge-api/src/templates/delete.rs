//! `DELETE /mmsgw/v1/mms/<id>`: forgets a template.

use axum::extract::{Path, State};
use http::StatusCode;
use mmsgw_contract::ProblemView;

use super::id_in_path;
use crate::api::Api;
use crate::auth::Sender;
use crate::error::Refused;

/// Forgets a template and its parts. What queued messages need of it stays until they are done.
#[utoipa::path(
    delete, path = "/mmsgw/v1/mms/{id}", tag = "templates",
    params(("id" = String, Path, description = "The template's id")),
    responses(
        (status = 204, description = "Forgotten"),
        (status = 404, description = "There is none", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn delete_template(
    State(api): State<Api>,
    Sender(caller): Sender,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    let id = id_in_path(&id, "template")?;
    if caller.has_origins() {
        caller.may_see_template(&api.engine.template(id).await?)?;
    }
    api.engine.forget_template(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
