//! Queues that hand nothing out for a time, whoever asks: because a person said so, or because the carrier
//! wants patience.

use mmsgw_domain::Timestamp;

/// A queue hands nothing out until a person lifts this.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pause {
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// When.
    pub since: Timestamp,
}
