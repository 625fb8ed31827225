//! Batches: many messages from one template.

use std::collections::BTreeMap;

use mmsgw_domain::BulkStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A batch: a template on its way to many, line by line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Batch)]
pub struct BatchView {
    /// Its id.
    pub id: String,
    /// The template's id.
    pub template: String,
    /// The gateway group that carries it.
    pub gateway: String,
    /// `receiving` while lines are to come; `complete`; `cancelling` while cancelled messages still wait for their turn to
    /// end; `cancelled`.
    #[schema(example = "complete")]
    pub state: String,
    /// Lines that came and are done with; the next one to come has the number after.
    pub received: u64,
    /// Lines that became messages.
    pub accepted: u64,
    /// Lines that were refused.
    pub refused: u64,
    /// Messages by state, such as `SCHEDULED` or `DELIVERED`; states without any are left out.
    pub counts: BTreeMap<String, u64>,
    /// When it began, in seconds since 1970 UTC.
    pub created_ts: i64,
}

impl BatchView {
    /// The view of a batch.
    pub fn of(status: &BulkStatus) -> Self {
        Self {
            id: status.id.to_string(),
            template: status.template.to_string(),
            gateway: status.group.to_string(),
            state: status.word().to_owned(),
            received: status.received,
            accepted: status.accepted,
            refused: status.refused,
            counts: status.counts.clone(),
            created_ts: status.created.as_secs(),
        }
    }
}

/// Batches, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Batches)]
pub struct BatchesView {
    /// The batches.
    pub batches: Vec<BatchView>,
    /// Give this as `cursor` to see older ones; null where there are none.
    pub next: Option<String>,
}

impl BatchesView {
    /// A page of at most `most`.
    pub fn of(batches: &[BulkStatus], most: usize) -> Self {
        let next = batches.last().filter(|_| batches.len() == most).map(|last| last.id.to_string());
        Self { batches: batches.iter().map(BatchView::of).collect(), next }
    }
}

/// Refused lines of a batch, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RefusedLines)]
pub struct RefusedLinesView {
    /// The lines.
    pub lines: Vec<RefusedLineView>,
    /// Give this as `after` to see what comes next; null where nothing does.
    pub next: Option<u64>,
}

/// A refused line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RefusedLine)]
pub struct RefusedLineView {
    /// Its number, from 1: a line of the stream, or an element of the list.
    pub line: u64,
    /// Stable code, for programs; the same as in the errors of a problem.
    #[schema(example = "missing_variable")]
    pub code: String,
    /// JSON pointer (RFC 6901) into the line.
    #[schema(example = "/variables/name")]
    pub pointer: String,
    /// What is wrong and what would be right, for people.
    pub detail: String,
}
