//! `/admin/v1/messages`: one message by its id, those that a carrier's id names, or those that are like something.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mmsgw_contract::{FaultCode, FindForm, FindRequest, FoundView, MessageView, Problem, ProblemCode, Rules};
use mmsgw_domain::{Message, MessageId, Template};
use mmsgw_engine::Find;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};

use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// Messages that an id names.
#[derive(Serialize, ToSchema)]
pub(super) struct Messages<'a> {
    #[schema(value_type = Vec<MessageView>)]
    messages: Vec<MessageView<'a>>,
}

/// Whole messages where `peer_ref` names them, otherwise a page of messages in short.
pub(super) struct Found;

impl utoipa::PartialSchema for Found {
    fn schema() -> RefOr<Schema> {
        let reference = Ref::from_schema_name;
        AnyOfBuilder::new().item(reference(Messages::name())).item(reference(FoundView::name())).into()
    }
}

impl ToSchema for Found {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add::<Messages<'_>>(schemas);
        add::<FoundView>(schemas);
    }
}

fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
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
    Ok(answer(MessageView::of(&message, &template, &ops.links.load())))
}

/// Finds messages by the id that a carrier gave them, or by an id of ours as carriers show it, and shows them whole;
/// without `peer_ref` those that are like the rest of the query says, newest first and in short. Such an answer looks at a
/// bounded number of messages: it may be short or empty and have a `next_cursor` all the same.
#[utoipa::path(
    get, path = "/admin/v1/messages", tag = "messages",
    params(
        ("peer_ref" = Option<String>, Query, description = "The carrier's id, or one of ours as carriers show it; nothing else may be asked beside it"),
        ("direction" = Option<String>, Query, description = "Only those that go this way: `outbound` or `inbound`"),
        FindForm,
    ),
    responses((status = 200, body = Found), (status = 422, description = "A parameter is at fault"))
)]
pub(super) async fn find(
    administrator: Administrator,
    State(ops): State<Ops>,
    asked: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(pairs) =
        asked.map_err(|error| Refused::from(Problem::new(ProblemCode::InvalidRequest, error.body_text())))?;
    match pairs.iter().find(|(name, _)| name == "peer_ref") {
        Some(_) if pairs.len() > 1 => {
            let detail = "with `peer_ref` nothing else can be asked for";
            Err(Problem::field("/peer_ref", FaultCode::Exclusive, detail).into())
        }
        Some((_, peer_ref)) => named(&administrator, &ops, peer_ref).await,
        None => alike(administrator, &ops, &pairs).await,
    }
}

/// Messages that an id names, whole.
async fn named(administrator: &Administrator, ops: &Ops, peer_ref: &str) -> Result<Response, Refused> {
    let mut ids = in_time(ops, ops.engine.messages_of(peer_ref)).await?;
    ids.extend(Message::id_in(peer_ref.trim_matches(['"', '<'])));
    let mut found = Vec::new();
    for id in ids {
        found.extend(seen(administrator, ops, id).await.ok());
    }
    let messages =
        found.iter().map(|(message, template)| MessageView::of(message, template, &ops.links.load()));
    Ok(answer(Messages { messages: messages.collect() }))
}

/// Messages that are like what a query says, in short.
async fn alike(
    administrator: Administrator,
    ops: &Ops,
    pairs: &[(String, String)],
) -> Result<Response, Refused> {
    let FindRequest { filter, cursor: after, limit: max } =
        FindRequest::read_directed(pairs, &Rules::default(), ops.clock.now())?;
    let find = Find { filter, after, max };
    let sees = move |message: &Message| administrator.sees(&message.group);
    let found = in_time(ops, ops.engine.find(find, sees)).await?;
    Ok(answer(FoundView::of(&found.messages, found.next)))
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
