//! `POST /mmsgw/v1/mms/outbound/<template_id>`: queues a message made from a template.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{MessageView, ProblemView, RehearsalView, RehearsedPartView, SendForm, SendRequest};
use mmsgw_domain::{Message, PartContent, Template, TemplateId};
use mmsgw_engine::{Claim, Submission};
use serde::Deserialize;

use crate::api::Api;
use crate::auth::{Caller, Sender};
use crate::body::JsonBody;
use crate::error::{Places, Refused};
use crate::idempotency::{Repetition, once};
use crate::templates::{answer, id_in_path};

/// How it is to be sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Manner {
    dry_run: bool,
}

/// Queues a message made from a template.
#[utoipa::path(
    post, path = "/mmsgw/v1/mms/outbound/{id}", tag = "messages", request_body = SendForm,
    params(
        ("id" = String, Path, description = "The template's id"),
        ("dry_run" = Option<bool>, Query, description = "Validates, fetches and renders, answers sizes and warnings, and queues nothing"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repetition with the same key is answered as the first request was"),
    ),
    responses(
        (status = 200, description = "What would be sent, where `dry_run` is true", body = RehearsalView),
        (status = 202, description = "The message, durably queued", body = MessageView,
         headers(("Location" = String, description = "Where the message is"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn send_message(
    State(api): State<Api>,
    Sender(caller): Sender,
    Path(id): Path<String>,
    Query(manner): Query<Manner>,
    repetition: Repetition,
    JsonBody(body): JsonBody,
) -> Result<Response, Refused> {
    let id = id_in_path(&id, "template")?;
    let request = SendRequest::read(&body, &api.rules, api.now())?;
    if manner.dry_run {
        return rehearse(&api, &caller, id, request).await;
    }
    let repeatable = repetition.of(&caller, &body);
    drop(body);
    once(&api, repeatable, |claim| send(api.clone(), caller, id, request, claim)).await
}

async fn send(
    api: Api,
    caller: Caller,
    id: TemplateId,
    request: SendRequest,
    claim: Option<Claim>,
) -> Result<Response, Refused> {
    let places = Places::default();
    let submission = permitted(&api, &caller, id, request).await?;
    let sent = api.engine.submit_once(id, submission, claim.as_ref()).await;
    let (message, template) = sent.map_err(|refusal| places.refused(refusal))?;
    Ok(message_answer(&api, &message, &template))
}

/// The engine's submission, once the caller may use template and all that is named.
async fn permitted(
    api: &Api,
    caller: &Caller,
    id: TemplateId,
    request: SendRequest,
) -> Result<Submission, Refused> {
    let mut submission = submission(api, caller, request, "")?;
    if caller.has_origins() {
        let template = api.engine.template(id).await?;
        caller.may_see_template(&template)?;
        // Stated, so that a change of the template at this moment cannot slip another origin in.
        submission.origin.get_or_insert(template.content.origin);
    }
    Ok(submission)
}

/// Answers what would be sent.
async fn rehearse(
    api: &Api,
    caller: &Caller,
    id: TemplateId,
    request: SendRequest,
) -> Result<Response, Refused> {
    let submission = permitted(api, caller, id, request).await?;
    let rehearsal = api.engine.rehearse(id, submission).await;
    let rehearsal = rehearsal.map_err(|refusal| Places::default().refused(refusal))?;
    let content = rehearsal.content.as_ref();
    let parts: Vec<RehearsedPartView> = content
        .into_iter()
        .flat_map(|content| content.parts())
        .map(|(part, body)| RehearsedPartView {
            name: part.name.clone(),
            content_type: part.content_type.clone(),
            size: body.len() as u64,
            content: match &part.content {
                PartContent::Text(text) => Some(text.clone()),
                PartContent::Blob(_) | PartContent::Url(_) => None,
            },
        })
        .collect();
    let view = RehearsalView {
        dry_run: true,
        gateway: rehearsal.message.group.to_string(),
        recipients: rehearsal.message.recipients.len(),
        subject: content.and_then(|content| content.template.content.subject.clone()),
        size: parts.iter().map(|part| part.size).sum(),
        parts,
        warnings: rehearsal.warnings,
    };
    Ok(answer(StatusCode::OK, None, &view))
}

/// The engine's submission, once the caller may use what it names. `place` comes before its fields.
pub(crate) fn submission(
    api: &Api,
    caller: &Caller,
    mut request: SendRequest,
    place: &str,
) -> Result<Submission, Refused> {
    // Written down, so that the group that is used is the one that was looked at.
    request.gateway = request.gateway.or_else(|| api.engine.default_group().as_deref().cloned());
    if let Some(group) = &request.gateway {
        caller.may_use_group(group, &format!("{place}/gateway"))?;
    }
    if let Some(origin) = &request.origin {
        caller.may_use_origin(origin, &format!("{place}/origin"))?;
    }
    Ok(Submission { trace: caller.trace(), ..unchecked_submission(request) })
}

/// The engine's submission of a request that may use what it names.
pub(crate) fn unchecked_submission(request: SendRequest) -> Submission {
    Submission {
        to: request.destination,
        cc: request.cc,
        bcc: request.bcc,
        group: request.gateway,
        priority: request.priority,
        linked_id: request.linked_id,
        origin: request.origin,
        variables: request.variables,
        events_url: request.events_url,
        service_code: request.service_code,
        handling_app: request.handling_app,
        reply_to_app: request.reply_to_app,
        app_info: request.app_info,
        trace: None,
    }
}

/// 202 with the message object and its place.
pub(crate) fn message_answer(api: &Api, message: &Message, template: &Template) -> Response {
    let location = format!("{}/mmsgw/v1/mms/outbound/{}", api.base, message.id);
    answer(StatusCode::ACCEPTED, Some(location), &MessageView::of(message, template, &api.links))
}
