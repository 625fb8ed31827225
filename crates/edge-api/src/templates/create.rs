//! `POST /mmsgw/v1/mms`: creates a template, and sends it at once where the request says so.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{MessageView, ProblemView, SendRequest, TemplateForm, TemplateRequest, TemplateView};
use mmsgw_engine::Claim;

use super::{answer, template_draft};
use crate::api::Api;
use crate::auth::{Caller, Sender};
use crate::body::JsonBody;
use crate::error::{Places, Refused};
use crate::idempotency::{Repetition, once};
use crate::messages::send::{message_answer, submission};

/// Creates a template; with `send` in it, also queues a message made from it.
#[utoipa::path(
    post, path = "/mmsgw/v1/mms", tag = "templates", request_body = TemplateForm,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repetition with the same key is answered as the first request was")),
    responses(
        (status = 201, description = "The template", body = TemplateView,
         headers(("Location" = String, description = "Where the template is"))),
        (status = 202, description = "The message, durably queued", body = MessageView,
         headers(("Location" = String, description = "Where the message is"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn create_template(
    State(api): State<Api>,
    Sender(caller): Sender,
    repetition: Repetition,
    JsonBody(body): JsonBody,
) -> Result<Response, Refused> {
    let request = TemplateRequest::read(&body, &api.rules, api.now())?;
    let repeatable = repetition.of(&caller, &body);
    drop(body);
    let work = |claim| create(api.clone(), caller, request, claim);
    once(&api, repeatable, work).await
}

async fn create(
    api: Api,
    caller: Caller,
    mut request: TemplateRequest,
    claim: Option<Claim>,
) -> Result<Response, Refused> {
    caller.may_use_origin(&request.content.origin, "/origin")?;
    let places = Places { send: "/send", parts: request.parts.len(), times: true, ..Places::default() };
    if let Some(send) = request.send.take() {
        return send_at_once(&api, &caller, request, (send, places), claim.as_ref()).await;
    }
    let template = api.engine.create_template_once(template_draft(request), claim.as_ref()).await;
    let template = template.map_err(|refusal| places.refused(refusal))?;
    let location = format!("{}/mmsgw/v1/mms/{}", api.base, template.id);
    Ok(answer(StatusCode::CREATED, Some(location), &TemplateView::of(&template, &api.links)))
}

async fn send_at_once(
    api: &Api,
    caller: &Caller,
    request: TemplateRequest,
    (send, places): (SendRequest, Places),
    claim: Option<&Claim>,
) -> Result<Response, Refused> {
    let submission = submission(api, caller, send, places.send)?;
    let sent = api.engine.submit_new_once(template_draft(request), submission, claim).await;
    let (message, template) = sent.map_err(|refusal| places.refused(refusal))?;
    Ok(message_answer(api, &message, &template))
}
