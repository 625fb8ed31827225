//! Decides what happens to a message, in which order, and when it is durable.
//!
//! The engine knows no wire and no disk. Edges come in through its doors ([`Engine::submit`],
//! [`Engine::intake`], [`Engine::message`] and their neighbours); it goes out through the traits
//! [`Gateway`], [`Scales`], [`Notifier`] and [`Fetcher`]; it keeps everything in a
//! [`Store`](mmsgw_store::Store).
//!
//! A message out: `accept` makes message, first event and TX job in one commit → `worker` leases the
//! job → `deliver` loads the content, has `fit` make it what the carrier takes, and asks the gateway →
//! `settle` turns the verdict into the next state, the event, the end of the job and the callbacks, in one
//! commit → `notify` posts them.
//!
//! In: `intake` keeps the raw octets as an RX job in one commit → `digest` has the gateway read them. A
//! report on a message of ours is judged by `hear` and becomes an event by `notes`, several of one message
//! in one commit. A message for our side is kept by `inbound`, told by `notify`, and what goes back to the carrier waits as EV jobs for `report`.

mod accept;
mod amend;
mod bulk;
pub mod config;
mod content;
mod dead;
mod deliver;
mod digest;
mod draft;
mod endpoint;
mod engine;
mod find;
mod fit;
mod gateway;
mod group;
mod hear;
mod idempotency;
mod inbound;
mod instance;
mod intake;
mod keys;
mod measure;
mod moving;
mod news;
mod notes;
mod notify;
mod pace;
mod personal;
mod query;
mod queued;
mod refusal;
mod rehearse;
mod report;
mod settle;
mod spans;
mod steer;
mod sweep;
mod turns;
mod wiretap;
mod withdraw;
mod worker;

pub use bulk::{Bulk, BulkDraft, BulkSearch, Line, LineFault, RefusedLine};
pub use content::{Content, ContentError, ContentId};
pub use draft::{DraftContent, PartDraft, Submission, TemplateChange, TemplateDraft};
pub use endpoint::EndpointStatus;
pub use engine::{Engine, EngineParts, EngineSettings};
pub use find::{Find, Found};
pub use fit::Unfit;
pub use gateway::{
    Amendment, AmendmentKind, Answer, Call, CallSubject, CallVerdict, Connections, Delivery, FetchError,
    Fetcher, Gateway, InboundContent, InboundMessage, InboundPart, Incoming, Notifier, Outbound,
    OutboundAnswer, OutboundReport, Outcome, Scales, Unreadable, Verdict,
};
pub use group::Group;
pub use idempotency::{Claim, Claimed, Made, Repeatable};
pub use instance::{InstanceIdentity, MissedHeartbeats};
pub use measure::{CallbackOutcome, GroupMeasured, Stage, StoreMeasured};
pub use mmsgw_domain::{
    Announced, BulkState, BulkStatus, GroupCounts, GroupStatus, QueueStatus, without_secrets,
};
pub use mmsgw_store::{DeadJob, Distribution, Histogram, Place, QueuedJob, RoundsMeasured, SHORT};
pub use news::{Happening, Heard, Listening};
pub use refusal::{Field, Refusal};
pub use rehearse::Rehearsal;
pub use report::Agreement;
pub use spans::{Span, SpanCounts, SpanSide, SpanSink};
pub use wiretap::{Earlier, LONGEST_WATCH, Said, Speaker, Tap, TooManyWatches, Watch, Watched, Wiretap};
pub use withdraw::{Amended, Replacement};

/// What fuzz targets reach beside the public interface; it is there for them only.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::personal::fuzz as template;
}
