//! Nouns, states and rules of a multimedia message.
//!
//! Rung 1 of the ladder: nothing here does I/O, waits, or looks at a clock. The store keeps these
//! values, the engine decides over them, the edges translate them into a carrier's or an
//! application's words.
//!
//! Where to look: a [`Template`] has [`Part`]s and is sent as a [`Message`] to [`Recipient`]s;
//! what happens becomes an [`Event`], and moves a [`State`]; work waits as a [`Job`] in a [`Queue`].

mod address;
mod clock;
mod content_class;
mod event;
mod filter;
mod gateway;
mod id;
mod instance;
mod job;
mod message;
mod part;
mod report;
mod retry;
mod state;
mod status;
mod template;
mod trace;
mod units;
mod url;
mod variables;

pub use address::{Address, AddressError, AddressKind};
pub use clock::{Clock, SystemClock, Timestamp};
pub use content_class::PartFacts;
pub use event::Event;
pub use filter::MessageFilter;
pub use gateway::{
    Compose, ContentSettings, Features, GroupName, GroupNameError, GroupSettings, InstanceId, Release,
};
pub use id::{BatchId, Id, IdError, JobId, MessageId, PartId, RevisionId, TemplateId};
pub use instance::{Announced, Heartbeat, InstanceHealth, InstanceRecord};
pub use job::{
    AmendJob, AmendOrder, AnswerJob, CallbackJob, CallbackSubject, IntakeJob, IntakeKind, Job, Queue,
    QueueError, QueueKind, ReportJob, TransmitJob,
};
pub use message::{CarrierIds, Direction, Message, PreviouslySent, Priority, Recipient, RecipientKind};
pub use part::{BlobRef, Digest, DigestError, Part, PartContent};
pub use report::{AnswerTo, CarrierReport, Correlation, ReportKind, ReportOrder};
pub use retry::RetryPolicy;
pub use state::{Code, State, summary};
pub use status::{BulkState, BulkStatus, GroupCounts, GroupStatus, Pause, QueueStatus};
pub use template::{ChargedParty, ContentClass, MessageClass, Template, TemplateContent};
pub use trace::{TraceParent, TraceParentError};
pub use units::{ByteSize, Span, UnitError};
pub use url::without_secrets;
pub use variables::{Variable, Variables};
