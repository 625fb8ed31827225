//! Requests as they are once read: nothing malformed, nothing unknown, domain types throughout.

mod find;
mod part;
mod replace;
mod report;
mod send;
mod template;
mod variables;

pub use find::FindRequest;
pub(crate) use find::cursor_behind;
pub use part::{PartBody, PartRequest};
pub use replace::ReplaceRequest;
pub use report::{CallbackAnswer, ReportRequest};
pub use send::SendRequest;
pub use template::{Change, TemplateChangeRequest, TemplateRequest, TemplateValues};

#[cfg(test)]
mod tests;
