//! `GET /mmsgw/v1/mms/outbound/<id>` and `GET /mmsgw/v1/mms/inbound/<id>`: shows a message.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{MessageView, Problem, ProblemCode, ProblemView};
use mmsgw_domain::Direction;

use crate::api::Api;
use crate::auth::{Caller, Reader};
use crate::error::Refused;
use crate::templates::{answer, id_in_path};

/// Shows an outbound message.
#[utoipa::path(
    get, path = "/mmsgw/v1/mms/outbound/{id}", tag = "messages",
    params(("id" = String, Path, description = "The message's id")),
    responses(
        (status = 200, description = "The message", body = MessageView),
        (status = 404, description = "There is none", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn read_outbound(
    State(api): State<Api>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    read(&api, &caller, &id, Direction::Outbound).await
}

/// Shows an inbound message.
#[utoipa::path(
    get, path = "/mmsgw/v1/mms/inbound/{id}", tag = "messages",
    params(("id" = String, Path, description = "The message's id")),
    responses(
        (status = 200, description = "The message", body = MessageView),
        (status = 404, description = "There is none", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn read_inbound(
    State(api): State<Api>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    read(&api, &caller, &id, Direction::Inbound).await
}

async fn read(api: &Api, caller: &Caller, id: &str, direction: Direction) -> Result<Response, Refused> {
    let (message, template) = api.engine.message(id_in_path(id, "message")?).await?;
    if message.direction != direction {
        return Err(Problem::new(ProblemCode::NotFound, "there is no such message").into());
    }
    caller.may_see_message(&message)?;
    Ok(answer(StatusCode::OK, None, &MessageView::of(&message, &template, &api.links)))
}
