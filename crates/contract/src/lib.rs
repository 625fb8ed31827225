//! The REST contract in Rust: what `/mmsgw/v1` takes, what it answers, what it posts to applications.
//!
//! * **Answers** and callbacks are the views: [`MessageView`], [`TemplateView`], [`PartView`],
//!   [`EventView`], [`EventCallback`]. Every field is always there; what is not known is `null`.
//! * **Requests** are read by [`TemplateRequest`], [`TemplateChangeRequest`], [`PartRequest`],
//!   [`SendRequest`] and [`ReportRequest`], strictly: unknown and repeated fields are refused, all
//!   faults are told at once, each with its JSON pointer (RFC 6901), and what comes out is made of
//!   domain types. So are queries: [`FindRequest`]. Clients write them as the forms: [`TemplateForm`] and its neighbours.
//! * **Answers to callbacks** are read by [`CallbackAnswer`], which takes whatever comes: a callback
//!   that was taken does not fail for its answer.
//! * **Refusals** are [`Problem`]s (RFC 9457), their codes are in [`code`].
//!
//! The crate decides nothing and does no I/O: what a value means is the engine's affair, and whether
//! a well-formed URL may be fetched is the edge's.

pub mod code;
mod describe;
mod forms;
mod json;
mod key;
mod key_ring;
mod limits;
mod media_type;
mod problem;
mod reader;
mod request;
mod scalar;
mod view;

pub use code::{FaultCode, ProblemCode};
pub use describe::complete_description;
pub use forms::{
    CallbackAnswerForm, FindForm, NumbersForm, OrderForm, PartForm, PartItem, ReplaceForm, ReportForm,
    SendForm, StatusForm, TemplateChangeForm, TemplateForm, TemplateValuesForm, UrlsForm, VariableForm,
};
pub use key::{ApiKey, KeySettings, Keys, Scope};
pub use key_ring::{KeyRing, KnownKey, StoredKey};
pub use limits::{Limits, Rules};
pub use media_type::{ContentTypes, type_by_name};
pub use problem::{Fault, Problem, ProblemView};
pub use request::{
    CallbackAnswer, Change, FindRequest, PartBody, PartRequest, ReplaceRequest, ReportRequest, SendRequest,
    TemplateChangeRequest, TemplateRequest, TemplateValues,
};
pub use view::{
    BatchView, BatchesView, CountsView, EventCallback, EventView, FoundView, GatewayView, GatewaysView,
    HeartbeatView, InstanceView, InstancesView, Links, MEDIA_PATH, MessageSummaryView, MessageView, PartView,
    PauseView, PreviouslySentView, QueueView, RecipientView, RefusedLineView, RefusedLinesView,
    RehearsalView, RehearsedPartView, SettingsView, StateWord, TemplateView,
};
