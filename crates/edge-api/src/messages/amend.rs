//! `DELETE` and `PUT /mmsgw/v1/mms/outbound/<id>`: takes a message back, or replaces what it says.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{MessageView, ProblemView, ReplaceForm, ReplaceRequest};
use mmsgw_domain::MessageId;
use mmsgw_engine::{Amended, Replacement};

use crate::api::Api;
use crate::auth::{Caller, Sender};
use crate::body::JsonBody;
use crate::error::Refused;
use crate::templates::{answer, id_in_path};

/// Cancels what is unsent of a message, and has the carrier take back what it has where the protocol can.
#[utoipa::path(
    delete, path = "/mmsgw/v1/mms/outbound/{id}", tag = "messages",
    params(("id" = String, Path, description = "The message's id")),
    responses(
        (status = 200, description = "The message as it is now: cancelled", body = MessageView),
        (status = 202, description = "The carrier is being asked for some numbers; an event tells what came of it", body = MessageView),
        (status = 409, description = "Too late, or not possible with the carrier's protocol", body = ProblemView, content_type = "application/problem+json"),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn withdraw_message(
    State(api): State<Api>,
    Sender(caller): Sender,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let id = outbound(&api, &caller, &id).await?;
    Ok(amended(&api, &api.engine.withdraw(id).await?))
}

/// Replaces the content of a message: for unsent numbers here, for others at the carrier where the protocol can.
#[utoipa::path(
    put, path = "/mmsgw/v1/mms/outbound/{id}", tag = "messages", request_body = ReplaceForm,
    params(("id" = String, Path, description = "The message's id")),
    responses(
        (status = 200, description = "The message as it is now", body = MessageView),
        (status = 202, description = "The carrier is being asked for some numbers; an event tells what came of it", body = MessageView),
        (status = 409, description = "Too late, or not possible with the carrier's protocol", body = ProblemView, content_type = "application/problem+json"),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn replace_message(
    State(api): State<Api>,
    Sender(caller): Sender,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Refused> {
    let id = outbound(&api, &caller, &id).await?;
    let ReplaceRequest { template, variables } = ReplaceRequest::read(&body, &api.rules, api.now())?;
    if let Some(template) = template {
        caller.may_see_template(&api.engine.template(template).await?)?;
    }
    let replacement = Replacement { template, variables };
    Ok(amended(&api, &api.engine.replace(id, &replacement).await?))
}

/// The id of a message that the caller may change.
async fn outbound(api: &Api, caller: &Caller, id: &str) -> Result<MessageId, Refused> {
    let id = id_in_path(id, "message")?;
    let (message, _) = api.engine.message(id).await?;
    caller.may_see_message(&message)?;
    Ok(id)
}

fn amended(api: &Api, amended: &Amended) -> Response {
    let status = if amended.ordered { StatusCode::ACCEPTED } else { StatusCode::OK };
    answer(status, None, &MessageView::of(&amended.message, &amended.template, &api.links))
}
