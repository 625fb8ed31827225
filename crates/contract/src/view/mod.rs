//! What the API answers and posts. Every field is always there; what is not known is `null`.

mod batch;
mod event;
mod found;
mod gateway;
mod instance;
mod links;
mod message;
mod queue;
mod rehearsal;
mod template;
#[cfg(test)]
mod tests;

pub use batch::{BatchView, BatchesView, RefusedLineView, RefusedLinesView};
pub use event::{EventCallback, EventView, StateWord};
pub use found::{FoundView, MessageSummaryView};
pub use gateway::{CountsView, GatewayView, GatewaysView, SettingsView};
pub use instance::{HeartbeatView, InstanceView, InstancesView};
pub use links::{Links, MEDIA_PATH};
pub use message::{MessageView, PreviouslySentView, RecipientView};
pub use queue::{PauseView, QueueView};
pub use rehearsal::{RehearsalView, RehearsedPartView};
pub use template::{PartView, TemplateView};

use mmsgw_domain::Address;

/// Numbers as part A states them: one text with commas, `None` for no number.
fn joined<'a>(numbers: impl IntoIterator<Item = &'a Address>) -> Option<String> {
    let mut text: Option<String> = None;
    for number in numbers {
        let text = text.get_or_insert_default();
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(number.as_str());
    }
    text
}
