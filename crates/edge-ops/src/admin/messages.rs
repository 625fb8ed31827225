//! `/admin/v1/messages`: one message by its id, or those that a carrier's id names.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mmsgw_contract::{MessageView, Problem, ProblemCode};
use mmsgw_domain::{Message, MessageId, Template};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The carrier's id of the message, or a transaction id or message id of ours that a carrier shows.
    peer_ref: String,
}

/// The answer.
#[derive(Serialize, ToSchema)]
pub(super) struct Messages<'a> {
    #[schema(value_type = Vec<MessageView>)]
    messages: Vec<MessageView<'a>>,
}

/// Shows a message, outbound or inbound.
#[utoipa::path(
    get, path = "/admin/v1/messages/{id}", tag = "messages",
    params(("id" = String, Path, description = "The message's id")),
    responses((status = 200, body = MessageView), (status = 404, description = "There is none"))
)]
pub(super) async fn show(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let id = id.parse().map_err(|_| not_found())?;
    let (message, template) = seen(&administrator, &ops, id).await?;
    Ok(answer(MessageView::of(&message, &template, &ops.links)))
}

/// Finds messages by the id that a carrier gave them, or by an id of ours as carriers show it.
#[utoipa::path(
    get, path = "/admin/v1/messages", tag = "messages",
    params(("peer_ref" = String, Query, description = "The carrier's id, or one of ours as carriers show it")),
    responses((status = 200, body = Messages))
)]
pub(super) async fn find(
    administrator: Administrator,
    State(ops): State<Ops>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) =
        asked.map_err(|error| Refused::from(Problem::new(ProblemCode::InvalidRequest, error.body_text())))?;
    let mut ids = in_time(&ops, ops.engine.messages_of(&asked.peer_ref)).await?;
    ids.extend(Message::id_in(asked.peer_ref.trim_matches(['"', '<'])));
    let mut found = Vec::new();
    for id in ids {
        found.extend(seen(&administrator, &ops, id).await.ok());
    }
    let messages = found.iter().map(|(message, template)| MessageView::of(message, template, &ops.links));
    Ok(answer(Messages { messages: messages.collect() }))
}

/// The message, where the administrator may see it.
pub(super) async fn seen(
    administrator: &Administrator,
    ops: &Ops,
    id: MessageId,
) -> Result<(Message, Template), Refused> {
    let found = in_time(ops, ops.engine.message(id)).await?;
    if administrator.sees(&found.0.group) { Ok(found) } else { Err(not_found()) }
}

fn not_found() -> Refused {
    Problem::new(ProblemCode::NotFound, "there is no such message").into()
}
