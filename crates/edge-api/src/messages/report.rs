//! `POST /mmsgw/v1/mms/inbound/ack|dr|rr/<id>`: orders a report to the carrier on a message that it
//! handed in. One endpoint for each kind, because the path says which it is.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use mmsgw_contract::{ProblemView, ReportForm, ReportRequest};
use mmsgw_domain::{MessageId, ReportKind};
use mmsgw_engine::{Agreement, Claim};

use crate::api::Api;
use crate::auth::{Caller, Sender};
use crate::body::JsonBody;
use crate::error::Refused;
use crate::idempotency::{Repetition, once};
use crate::templates::id_in_path;

/// Orders the acknowledgement of an inbound message.
#[utoipa::path(
    post, path = "/mmsgw/v1/mms/inbound/ack/{id}", tag = "reports", request_body = ReportForm,
    params(
        ("id" = String, Path, description = "The inbound message's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repetition with the same key is answered as the first request was"),
    ),
    responses(
        (status = 204, description = "Durably queued"),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn report_acknowledgement(
    State(api): State<Api>,
    Sender(caller): Sender,
    Path(id): Path<String>,
    repetition: Repetition,
    body: JsonBody,
) -> Result<Response, Refused> {
    report(&api, caller, &id, ReportKind::Acknowledgement, (repetition, body)).await
}

/// Orders delivery reports on an inbound message.
#[utoipa::path(
    post, path = "/mmsgw/v1/mms/inbound/dr/{id}", tag = "reports", request_body = ReportForm,
    params(
        ("id" = String, Path, description = "The inbound message's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repetition with the same key is answered as the first request was"),
    ),
    responses(
        (status = 204, description = "Durably queued"),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn report_delivery(
    State(api): State<Api>,
    Sender(caller): Sender,
    Path(id): Path<String>,
    repetition: Repetition,
    body: JsonBody,
) -> Result<Response, Refused> {
    report(&api, caller, &id, ReportKind::Delivery, (repetition, body)).await
}

/// Orders read reports on an inbound message.
#[utoipa::path(
    post, path = "/mmsgw/v1/mms/inbound/rr/{id}", tag = "reports", request_body = ReportForm,
    params(
        ("id" = String, Path, description = "The inbound message's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repetition with the same key is answered as the first request was"),
    ),
    responses(
        (status = 204, description = "Durably queued"),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn report_reading(
    State(api): State<Api>,
    Sender(caller): Sender,
    Path(id): Path<String>,
    repetition: Repetition,
    body: JsonBody,
) -> Result<Response, Refused> {
    report(&api, caller, &id, ReportKind::Read, (repetition, body)).await
}

async fn report(
    api: &Api,
    caller: Caller,
    id: &str,
    kind: ReportKind,
    (repetition, JsonBody(body)): (Repetition, JsonBody),
) -> Result<Response, Refused> {
    let id = id_in_path(id, "message")?;
    let request = ReportRequest::read(kind, &body, &api.rules, api.now())?;
    let repeatable = repetition.of(&caller, &body);
    drop(body);
    once(api, repeatable, |claim| order(api.clone(), caller, id, request, claim)).await
}

async fn order(
    api: Api,
    caller: Caller,
    id: MessageId,
    request: ReportRequest,
    claim: Option<Claim>,
) -> Result<Response, Refused> {
    if caller.is_limited() {
        let (message, _) = api.engine.message(id).await?;
        caller.may_see_message(&message)?;
    }
    let ReportRequest { gateway: group, message, peer_ref, order } = request;
    let agreement = Agreement { group, message, peer_ref };
    api.engine.order_report_once(id, order, &agreement, claim.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
