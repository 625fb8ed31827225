//! `POST /mmsgw/v1/mms_part`: creates a part on its own.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{PartForm, PartRequest, PartView, ProblemView};
use mmsgw_engine::Claim;

use crate::api::Api;
use crate::auth::Sender;
use crate::body::JsonBody;
use crate::error::{Places, Refused};
use crate::idempotency::{Repetition, once};
use crate::templates::{answer, part_draft};

/// Creates a part, whose id may then stand in the `parts` of templates.
#[utoipa::path(
    post, path = "/mmsgw/v1/mms_part", tag = "parts", request_body = PartForm,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repetition with the same key is answered as the first request was")),
    responses(
        (status = 201, description = "The part", body = PartView,
         headers(("Location" = String, description = "Where the part is"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn create_part(
    State(api): State<Api>,
    Sender(caller): Sender,
    repetition: Repetition,
    JsonBody(body): JsonBody,
) -> Result<Response, Refused> {
    let request = PartRequest::read(&body, &api.rules, api.now())?;
    let repeatable = repetition.of(&caller, &body);
    drop(body);
    once(&api, repeatable, |claim| create(api.clone(), request, claim)).await
}

async fn create(api: Api, request: PartRequest, claim: Option<Claim>) -> Result<Response, Refused> {
    let places = Places { lone_part: true, ..Places::default() };
    let part = api.engine.create_part_once(part_draft(request), claim.as_ref()).await;
    let part = part.map_err(|refusal| places.refused(refusal))?;
    let location = format!("{}/mmsgw/v1/mms_part/{}", api.base, part.id);
    Ok(answer(StatusCode::CREATED, Some(location), &PartView::of(&part, &api.links)))
}
