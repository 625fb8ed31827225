//! What a dry run answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What would have been sent: nothing was queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DryRun)]
pub struct RehearsalView {
    /// Always true.
    pub dry_run: bool,
    /// The gateway group that would carry it.
    pub gateway: String,
    /// The numbers it would go to, each once.
    pub recipients: usize,
    /// The subject with its variables put in.
    pub subject: Option<String>,
    /// The parts, SMIL first; none where one of them cannot be had.
    pub parts: Vec<RehearsedPartView>,
    /// Octets of all parts, before they are encoded for the carrier.
    pub size: u64,
    /// What looks like a mistake, or will hinder delivery.
    pub warnings: Vec<String>,
}

/// A part as it would be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DryRunPart)]
pub struct RehearsedPartView {
    /// File name.
    pub name: String,
    /// Media type.
    #[schema(example = "image/jpeg")]
    pub content_type: String,
    /// Octets.
    pub size: u64,
    /// Text that is kept as such, with its variables put in.
    pub content: Option<String>,
}
