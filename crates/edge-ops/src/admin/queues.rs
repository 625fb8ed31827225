//! `GET /admin/v1/queues`: what waits where.

use axum::extract::State;
use axum::response::Response;
use mmsgw_contract::QueueView;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// The answer.
#[derive(Serialize, ToSchema)]
pub(super) struct Queues {
    queues: Vec<QueueView>,
}

/// Lists the queues by name.
#[utoipa::path(get, path = "/admin/v1/queues", tag = "queues", responses((status = 200, body = Queues)))]
pub(super) async fn list(administrator: Administrator, State(ops): State<Ops>) -> Result<Response, Refused> {
    let now = ops.clock.now();
    let mut queues = in_time(&ops, ops.engine.queues()).await?;
    queues.retain(|status| administrator.sees(&status.queue.group));
    let mut queues: Vec<QueueView> = queues.into_iter().map(|status| QueueView::of(status, now)).collect();
    queues.sort_by(|a, b| a.queue.cmp(&b.queue));
    Ok(answer(Queues { queues }))
}
