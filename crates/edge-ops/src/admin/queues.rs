//! `GET /admin/v1/queues`: what waits where.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// The answer.
#[derive(Serialize)]
struct Queues {
    queues: Vec<QueueView>,
}

/// One queue that holds a job.
#[derive(Serialize)]
struct QueueView {
    /// Group and kind, as in `carrier/rx`.
    queue: String,
    /// Jobs that wait, due or not.
    waiting: u64,
    /// Jobs in a worker's hands.
    leased: u64,
    /// Jobs that were given up.
    dead: u64,
    /// Due time of the first waiting job, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_ts: Option<i64>,
}

pub(super) async fn list(administrator: Administrator, State(ops): State<Ops>) -> Result<Response, Refused> {
    let found = in_time(&ops, ops.engine.queues()).await?;
    let seen = found.into_iter().filter(|status| administrator.sees(&status.queue.group));
    let mut queues: Vec<QueueView> = seen
        .map(|status| QueueView {
            queue: status.queue.to_string(),
            waiting: status.waiting,
            leased: status.leased,
            dead: status.dead,
            oldest_ts: status.oldest.map(mmsgw_domain::Timestamp::as_secs),
        })
        .collect();
    queues.sort_by(|a, b| a.queue.cmp(&b.queue));
    Ok(answer(Queues { queues }))
}
