//! Batches: one endpoint a file, and what they share.

pub(crate) mod cancel;
mod lines;
pub(crate) mod read;
pub(crate) mod send;

use mmsgw_contract::BatchView;
use mmsgw_engine::BulkStatus;

/// The view of a batch.
fn view(status: &BulkStatus) -> BatchView {
    BatchView {
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
