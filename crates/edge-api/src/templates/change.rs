//! `PUT /mmsgw/v1/mms/<id>`: replaces the values given, appends the parts given.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{ProblemView, TemplateChangeForm, TemplateChangeRequest, TemplateView};
use mmsgw_engine::TemplateChange;

use super::{answer, id_in_path, part_draft};
use crate::api::Api;
use crate::auth::Sender;
use crate::body::JsonBody;
use crate::error::{Places, Refused};

/// Changes a template. Messages already made from it keep what they were made with.
#[utoipa::path(
    put, path = "/mmsgw/v1/mms/{id}", tag = "templates", request_body = TemplateChangeForm,
    params(("id" = String, Path, description = "The template's id")),
    responses(
        (status = 200, description = "The template as it is now", body = TemplateView),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn change_template(
    State(api): State<Api>,
    Sender(caller): Sender,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Refused> {
    let id = id_in_path(&id, "template")?;
    let request = TemplateChangeRequest::read(&body, &api.rules, api.now())?;
    drop(body);
    let before = api.engine.template(id).await?;
    caller.may_see_template(&before)?;
    if let Some(origin) = &request.values.origin {
        caller.may_use_origin(origin, "/origin")?;
    }
    request.check(&before.content)?;
    let TemplateChangeRequest { values, clear_parts, parts } = request;
    let places =
        Places { skipped: usize::from(clear_parts), parts: parts.len(), times: true, ..Places::default() };
    let change = TemplateChange {
        set: Box::new(|content| values.apply(content)),
        clear_parts,
        parts: parts.into_iter().map(part_draft).collect(),
    };
    let template = api.engine.change_template(id, change).await;
    let template = template.map_err(|refusal| places.refused(refusal))?;
    Ok(answer(StatusCode::OK, None, &TemplateView::of(&template, &api.links)))
}
