//! `GET /mmsgw/v1/mms/outbound` and `GET /mmsgw/v1/mms/inbound`: finds messages, newest first.

use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{FindForm, FindRequest, FoundView, ProblemView};
use mmsgw_domain::Direction;
use mmsgw_engine::Find;

use crate::api::Api;
use crate::auth::{Caller, Reader};
use crate::error::Refused;
use crate::templates::answer;

/// Finds outbound messages, newest first. An answer looks at a bounded number of messages: it may be short or empty and
/// have a `next_cursor` all the same.
#[utoipa::path(
    get, path = "/mmsgw/v1/mms/outbound", tag = "messages", params(FindForm),
    responses(
        (status = 200, description = "A page of messages in short", body = FoundView),
        (status = 422, description = "A parameter is at fault", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn find_outbound(
    State(api): State<Api>,
    Reader(caller): Reader,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    find(&api, caller, &pairs, Direction::Outbound).await
}

/// Finds inbound messages, newest first. An answer looks at a bounded number of messages: it may be short or empty and
/// have a `next_cursor` all the same.
#[utoipa::path(
    get, path = "/mmsgw/v1/mms/inbound", tag = "messages", params(FindForm),
    responses(
        (status = 200, description = "A page of messages in short", body = FoundView),
        (status = 422, description = "A parameter is at fault", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn find_inbound(
    State(api): State<Api>,
    Reader(caller): Reader,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    find(&api, caller, &pairs, Direction::Inbound).await
}

async fn find(
    api: &Api,
    caller: Caller,
    pairs: &[(String, String)],
    direction: Direction,
) -> Result<Response, Refused> {
    let FindRequest { mut filter, cursor: after, limit: max } =
        FindRequest::read_query(pairs, &api.rules, api.now())?;
    filter.direction = Some(direction);
    let find = Find { filter, after, max };
    let found = api.engine.find(find, move |message| caller.sees_message(message)).await?;
    Ok(answer(StatusCode::OK, None, &FoundView::of(&found.messages, found.next)))
}
