//! Decides what happens to a message, in which order, and when it is durable.
//!
//! The engine knows no wire and no disk. Edges come in through its doors ([`Engine::submit`],
//! [`Engine::intake`], [`Engine::message`] and their neighbours); it goes out through the traits
//! [`Gateway`], [`Notifier`] and [`Fetcher`]; it keeps everything in a
//! [`Store`](mmsgw_store::Store).
//!
//! A message out: `accept` makes message, first event and TX job in one commit → `worker` leases the
//! job → `deliver` loads the content and asks the gateway → `settle` turns the verdict into the next
//! state, the event, the end of the job and the callbacks, in one commit → `notify` posts them.
//!
//! In: `intake` keeps the raw octets as an RX job in one commit → `digest` has the gateway read them. A
//! report on a message of ours becomes an event like those of `settle`. A message for our side is kept
//! by `inbound`, told by `notify`, and what goes back to the carrier waits as EV jobs for `report`.

mod accept;
mod amend;
mod bulk;
pub mod config;
mod content;
mod deliver;
mod digest;
mod draft;
mod engine;
mod gateway;
mod group;
mod idempotency;
mod inbound;
mod intake;
mod notify;
mod pace;
mod personal;
mod query;
mod refusal;
mod rehearse;
mod report;
mod settle;
mod sweep;
mod turns;
mod withdraw;
mod worker;

pub use bulk::{Bulk, BulkDraft, BulkState, BulkStatus, Line, LineFault, RefusedLine};
pub use content::{Content, ContentError};
pub use draft::{DraftContent, PartDraft, Submission, TemplateChange, TemplateDraft};
pub use engine::{Engine, EngineParts, EngineSettings};
pub use gateway::{
    Amendment, AmendmentKind, Answer, Call, CallSubject, CallVerdict, Delivery, FetchError, Fetcher, Gateway,
    InboundContent, InboundMessage, InboundPart, Incoming, Notifier, Outbound, OutboundReport, Outcome,
    Unreadable, Verdict,
};
pub use group::{Group, GroupCounts};
pub use idempotency::{Claim, Claimed, Made, Repeatable};
pub use refusal::{Field, Refusal};
pub use rehearse::Rehearsal;
pub use report::Agreement;
pub use withdraw::{Amended, Replacement};
