//! Batches: one endpoint a file, and what they share.

pub(crate) mod cancel;
mod lines;
pub(crate) mod read;
pub(crate) mod send;

use mmsgw_contract::BatchView;
use mmsgw_domain::State;
use mmsgw_engine::{BulkState, BulkStatus};

/// The view of a batch.
fn view(status: &BulkStatus) -> BatchView {
    let waiting = status.counts.contains_key(State::Scheduled.name());
    BatchView {
        id: status.id.to_string(),
        template: status.template.to_string(),
        gateway: status.group.to_string(),
        state: match status.state {
            BulkState::Receiving => "receiving",
            BulkState::Complete => "complete",
            BulkState::Cancelled if waiting => "cancelling",
            BulkState::Cancelled => "cancelled",
        }
        .to_owned(),
        received: status.received,
        accepted: status.accepted,
        refused: status.refused,
        counts: status.counts.clone(),
        created_ts: status.created.as_secs(),
    }
}
