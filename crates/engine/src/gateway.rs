//! The four traits through which the engine reaches the outside, and what they answer.
//!
//! The engine defines them, the edges implement them, and nothing calls upward in another way. A
//! delivery ends in a [`Verdict`], never in an error: whatever went wrong, somebody has to say
//! whether the message was sent, is to be tried again, or has failed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mmsgw_domain::{
    Address, AnswerJob, AnswerTo, CarrierIds, CarrierReport, Code, Event, InstanceId, IntakeJob, Message,
    MessageId, PreviouslySent, Priority, Recipient, RecipientKind, ReportOrder, Template, TemplateContent,
    Timestamp, TraceParent,
};

use crate::Content;
use crate::wiretap::Tap;

/// One instance's way to its carrier.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// The instance, for events and logs.
    fn instance(&self) -> &InstanceId;

    /// Its connections.
    fn connections(&self) -> Connections {
        Connections::default()
    }

    /// Asks the carrier for a sign of life, in the way that the gateway's settings say. Bounded in time.
    ///
    /// # Errors
    /// What was wrong with the answer, for people.
    async fn heartbeat(&self) -> Result<(), String>;

    /// Hands a message to the carrier and waits for the carrier's word. Bounded in time by the
    /// gateway's own time-outs.
    async fn send(&self, outbound: &Outbound) -> Verdict;

    /// Reads what the carrier handed to us.
    ///
    /// # Errors
    /// [`Unreadable`] where it is nothing that this gateway's protocol knows.
    fn read(&self, intake: &IntakeJob) -> Result<Incoming, Unreadable>;

    /// Tells the carrier about a message that it handed to us. A protocol that has no such report
    /// answers [`Delivery::Fail`].
    async fn report(&self, report: &OutboundReport) -> Verdict;

    /// Answers a request of the carrier's.
    async fn answer(&self, answer: &OutboundAnswer<'_>) -> Verdict;

    /// Has the carrier take back a message that it has, or put other content in its place.
    ///
    /// [`Delivery::Sent`] says that the carrier did so, with the id that the message has from now on
    /// where that is another one; [`Delivery::Fail`] that it will not, since it is too late, say, or
    /// the protocol has no such request (canonical code 415 and no `carrier_status`). The outcomes
    /// together name every number of the amendment.
    async fn amend(&self, _amendment: &Amendment) -> Verdict {
        let why = "the protocol has no way to change a message that the carrier has";
        Verdict::all(Delivery::Fail { answer: Answer::own(Code::UNSUPPORTED, why) })
    }
}

/// Connections of one instance to its carrier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// At work now, or being opened.
    pub busy: u64,
    /// Open without work; `None` where the protocol's client does not tell.
    pub idle: Option<u64>,
    /// Opened since the start.
    pub opened: u64,
    /// Attempts to open one that came to nothing.
    pub failed: u64,
}

impl Connections {
    /// Those of two instances together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            busy: self.busy + other.busy,
            idle: self.idle.map_or(other.idle, |idle| Some(idle + other.idle.unwrap_or(0))),
            opened: self.opened + other.opened,
            failed: self.failed + other.failed,
        }
    }
}

/// A message that the carrier has, to be changed there now.
#[derive(Debug, Clone)]
pub struct Amendment {
    /// The message.
    pub message: Arc<Message>,
    /// The numbers concerned, a part of the message's: those that the carrier took and of which no
    /// end is known.
    pub recipients: Vec<Recipient>,
    /// What is to be done.
    pub change: AmendmentKind,
    /// The transaction id to use; the same one for each try.
    pub transaction_id: String,
    /// The present, for dates.
    pub now: Timestamp,
    /// Notes what is said.
    pub tap: Tap,
}

/// An answer to a request of the carrier's, to be handed over now.
#[derive(Debug, Clone)]
pub struct OutboundAnswer<'a> {
    /// What to answer.
    pub job: &'a AnswerJob,
    /// The present, for dates.
    pub now: Timestamp,
    /// Notes what is said.
    pub tap: Tap,
}

/// What an [`Amendment`] does to a message.
#[derive(Debug, Clone)]
pub enum AmendmentKind {
    /// Takes it back (MM7 CancelReq, extendedCancelReq).
    Withdraw,
    /// Puts this in its place (MM7 ReplaceReq, extendedReplaceReq).
    Replace(Arc<Content>),
}

/// Tells how large a message is on its way to a carrier, from the gateway's settings alone: also where the
/// gateway itself runs in another process.
pub trait Scales: Send + Sync + 'static {
    /// Octets of the largest transmission that [`Gateway::send`] would make of a message: the encoded
    /// content, and the head that goes with it. Told without encoding anything large; 0 for what cannot be
    /// written at all, as sending tells why.
    fn wire_octets(&self, outbound: &Outbound) -> u64;

    /// The most octets of a medium that are no more than `wire` octets in this gateway's transfer coding.
    fn media_octets(&self, wire: u64) -> u64;
}

/// A report on an inbound message, to be handed to the carrier now.
#[derive(Debug, Clone)]
pub struct OutboundReport {
    /// The message.
    pub message: Arc<Message>,
    /// What to tell.
    pub order: ReportOrder,
    /// The transaction id to use; the same one for each try.
    pub transaction_id: String,
    /// The present, for dates.
    pub now: Timestamp,
    /// Notes what is said.
    pub tap: Tap,
}

/// A message to be sent now.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The message.
    pub message: Arc<Message>,
    /// The numbers still to be served, a part of the message's.
    pub recipients: Vec<Recipient>,
    /// Its content.
    pub content: Arc<Content>,
    /// The transaction id to use: the same one again where the last answer was lost.
    pub transaction_id: String,
    /// The present, for dates in headers.
    pub now: Timestamp,
    /// Notes what is said.
    pub tap: Tap,
}

/// What became of an [`Outbound`]: one or more outcomes that together name every number of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Numbers and what became of the message to them.
    pub outcomes: Vec<Outcome>,
}

impl Verdict {
    /// The same for all numbers.
    pub fn all(delivery: Delivery) -> Self {
        Self { outcomes: vec![Outcome { recipients: Vec::new(), delivery }] }
    }
}

/// What became of a message to some numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The numbers; empty means all of the [`Outbound`].
    pub recipients: Vec<Address>,
    /// What became of it.
    pub delivery: Delivery,
}

/// What became of one hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The carrier has it.
    Sent {
        /// The carrier's id of it.
        peer_ref: Option<String>,
        /// The carrier's answer.
        answer: Answer,
        /// True where that answer also accepts the message for further handling (MM7), false where
        /// an acknowledgement comes apart (MM4).
        acknowledged: bool,
    },
    /// Not now.
    Defer {
        /// The carrier's answer, or what went wrong on the way.
        answer: Answer,
        /// True where the carrier itself asked for patience.
        later: bool,
        /// True where the carrier gave a definite answer; false where the answer was lost, so that
        /// the next try must look like a retransmission.
        heard: bool,
        /// The pause that the carrier asked for.
        pause: Option<Duration>,
    },
    /// Never.
    Fail {
        /// The carrier's answer, or why it cannot be sent.
        answer: Answer,
    },
}

/// What somebody said about a hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The canonical code.
    pub code: Code,
    /// The carrier's own word or number.
    pub carrier_status: Option<String>,
    /// What the carrier said besides (MM7 Details), as text.
    pub details: Option<String>,
    /// A sentence for people.
    pub description: String,
}

impl Answer {
    /// An answer without a carrier's word.
    pub fn own(code: Code, description: impl Into<String>) -> Self {
        Self { code, carrier_status: None, details: None, description: description.into() }
    }
}

/// What a carrier handed to us, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time passes through, none is kept")]
pub enum Incoming {
    /// A report on a message of ours.
    Report {
        /// The report.
        report: CarrierReport,
        /// The answer that it wants.
        answer: Option<AnswerTo>,
    },
    /// A message for our side.
    Message(Box<InboundMessage>),
    /// Something that asks for nothing, such as an answer to an answer; the reason is logged.
    Nothing(String),
}

/// A message that a carrier handed to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundMessage {
    /// Who it comes from.
    pub origin: Address,
    /// Our numbers that it is for, as the envelope says.
    pub recipients: Vec<(RecipientKind, Address)>,
    /// Subject, class and the like; its list of parts is empty.
    pub content: TemplateContent,
    /// The parts.
    pub parts: Vec<InboundPart>,
    /// What tells this message from all others of this carrier: a repetition has the same.
    pub fingerprint: String,
    /// Whether the carrier wants an acknowledgement apart.
    pub ack_requested: Option<bool>,
    /// Whether the sender wants a delivery report.
    pub dr_requested: Option<bool>,
    /// Whether the sender wants a read report.
    pub rr_requested: Option<bool>,
    /// The carrier's id of the message.
    pub peer_ref: Option<String>,
    /// The carrier's ids to the letter.
    pub carrier_ids: Option<CarrierIds>,
    /// Where an acknowledgement goes.
    pub ack_at_addr: Option<String>,
    /// An earlier message that this one answers.
    pub linked_id: Option<String>,
    /// Its priority.
    pub priority: Option<Priority>,
    /// The relay that handed it over.
    pub relay_server: Option<String>,
    /// What the sender's handset can do.
    pub ua_caps: Option<String>,
    /// The reply charging id.
    pub reply_charging_id: Option<String>,
    /// The application that it is for.
    pub handling_app: Option<String>,
    /// The application that replies go to.
    pub reply_to_app: Option<String>,
    /// What the applications tell each other.
    pub app_info: Option<String>,
    /// The billing code.
    pub service_code: Option<String>,
    /// How often it was forwarded before.
    pub forward_counter: Option<u32>,
    /// Who sent it before, and when.
    pub previously_sent: Vec<PreviouslySent>,
}

/// A part of an [`InboundMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundPart {
    /// File name, made safe.
    pub name: String,
    /// Media type.
    pub content_type: String,
    /// Text in UTF-8, or octets.
    pub content: InboundContent,
}

/// Content of an [`InboundPart`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundContent {
    /// Text, whatever its charset was.
    Text(String),
    /// Octets.
    Octets(Bytes),
}

/// What a carrier handed to us makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    /// Why, for people.
    pub reason: String,
    /// How to tell the carrier, where that is possible.
    pub answer: Option<Box<AnswerJob>>,
}

impl Unreadable {
    /// Something that nobody can be told about.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), answer: None }
    }
}

/// Tells the application.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// Posts one callback and waits for the answer.
    async fn notify(&self, call: &Call<'_>) -> CallVerdict;

    /// Leaves the endpoint of a URL alone no longer.
    fn reopen(&self, _url: &str) {}
}

/// One callback to be posted.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Where to.
    pub url: &'a str,
    /// The same for each try.
    pub delivery_id: &'a str,
    /// Which try, from 1.
    pub tries: u32,
    /// The span that it is, where it belongs to a trace.
    pub trace: Option<TraceParent>,
    /// What to tell.
    pub subject: CallSubject<'a>,
}

/// What a [`Call`] tells.
#[derive(Debug, Clone, Copy)]
pub enum CallSubject<'a> {
    /// Something happened to a message.
    Event {
        /// The message.
        message: MessageId,
        /// What happened.
        event: &'a Event,
    },
    /// A message came in.
    InboundMessage {
        /// The message.
        message: &'a Message,
        /// Its content.
        template: &'a Template,
    },
}

/// What became of a [`Call`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallVerdict {
    /// The application has it.
    Done,
    /// The application has it, and says what to tell the carrier about the message. An order takes the
    /// place of the report of that kind that would be sent by itself.
    Answered {
        /// Its orders.
        orders: Vec<ReportOrder>,
    },
    /// Not now.
    Later {
        /// What went wrong.
        reason: String,
        /// The pause that the application asked for.
        pause: Option<Duration>,
    },
    /// Not asked: the endpoint is left alone for a while, or has its hands full. Does not count as a
    /// try.
    Busy {
        /// Why.
        reason: String,
        /// How long to leave it alone.
        pause: Duration,
    },
    /// Never, and nothing else either: the application says that the address is gone for good.
    Gone {
        /// What it answered.
        reason: String,
    },
    /// Never: the address is refused.
    Never {
        /// Why.
        reason: String,
    },
}

/// Fetches media by URL.
#[async_trait]
pub trait Fetcher: Send + Sync + 'static {
    /// Whether policy allows this URL at all, judged by its text alone.
    ///
    /// # Errors
    /// [`FetchError::Refused`] with the reason.
    fn check(&self, url: &str) -> Result<(), FetchError>;

    /// Fetches the octets, which must be of `content_type`.
    async fn fetch(&self, url: &str, content_type: &str) -> Result<Bytes, FetchError>;
}

/// Why media could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Policy does not allow it: scheme, directory, private address, size or type.
    #[error("{0}")]
    Refused(String),
    /// It is not there.
    #[error("{0}")]
    Missing(String),
    /// It may work later.
    #[error("{0}")]
    Later(String),
}
