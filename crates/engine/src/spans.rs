//! What happened to a message as spans of one trace, for whoever collects traces.
//!
//! A message that an application sent with a `traceparent` belongs to that trace. Any other has a trace of its own, whose
//! id is the message's id. Ids of spans are derived from the message and from what they tell of, so that every process
//! of a fleet knows the parents of its spans without anything being kept for it.
//!
//! Spans are made of what is durable or over, never on the way to it; the sink drops what it cannot take.

use std::sync::OnceLock;
use std::time::Duration;

use mmsgw_domain::{CallbackJob, CallbackSubject, Event, Message, MessageId, State, Timestamp, TraceParent};

use crate::engine::Engine;
use crate::gateway::{CallVerdict, Delivery, Verdict};

/// One step on a message's way.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace.
    pub trace: [u8; 16],
    /// The span.
    pub id: [u8; 8],
    /// The span that it belongs to.
    pub parent: Option<[u8; 8]>,
    /// What was done; one of few words.
    pub name: &'static str,
    /// Which side of a conversation it is.
    pub side: SpanSide,
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What else is known.
    pub attributes: Vec<(&'static str, String)>,
    /// Why it failed, where it did.
    pub fault: Option<String>,
}

/// Which side of a conversation a span is, in the words of OpenTelemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanSide {
    /// Neither.
    Internal,
    /// Asked by another.
    Server,
    /// Asks another.
    Client,
}

/// Takes spans to where they are collected.
pub trait SpanSink: Send + Sync + 'static {
    /// Takes one over, or drops it; never waits.
    fn take(&self, span: Span);

    /// What became of them so far.
    fn counts(&self) -> SpanCounts;
}

/// What became of spans since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// Handed over to the collector.
    pub exported: u64,
    /// Dropped, since the collector was too slow or away.
    pub dropped: u64,
}

/// Where spans go; nowhere unless somebody said so.
#[derive(Default)]
pub(crate) struct Spans(OnceLock<Tracing>);

struct Tracing {
    sink: Box<dyn SpanSink>,
    /// Traces below this, of the 2^56 that there can be, are recorded.
    below: u64,
}

/// The trace of a message, as far as it concerns spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageTrace {
    id: MessageId,
    given: Option<TraceParent>,
}

/// What a span tells of, unique in its message.
enum Step<'a> {
    /// The event of that number. That of the first one is what all others belong to.
    Event(u32),
    Queue(u32),
    Send(u32),
    Callback(&'a str, u32),
}

impl MessageTrace {
    pub(crate) fn of(message: &Message) -> Self {
        Self { id: message.id, given: message.trace }
    }

    fn trace(self) -> [u8; 16] {
        self.given.map_or(*self.id.as_bytes(), |given| given.trace)
    }

    /// The id of a span: FNV-1a of message and step, which the avalanche of a last mix spreads.
    fn span(self, step: &Step<'_>) -> [u8; 8] {
        let (kind, number, word) = match step {
            Step::Event(sequence) => (b'e', u64::from(*sequence), ""),
            Step::Queue(tries) => (b'q', u64::from(*tries), ""),
            Step::Send(tries) => (b's', u64::from(*tries), ""),
            Step::Callback(delivery, tries) => (b'c', u64::from(*tries), *delivery),
        };
        let number = number.to_be_bytes();
        let octets = self.id.as_bytes().iter().chain([&kind]).chain(&number).chain(word.as_bytes());
        let hash = octets.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
        });
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).max(1).to_be_bytes()
    }

    fn root(self) -> [u8; 8] {
        self.span(&Step::Event(1))
    }

    fn begin(self, step: &Step<'_>, parent: [u8; 8], name: &'static str) -> Span {
        Span {
            trace: self.trace(),
            id: self.span(step),
            parent: Some(parent),
            name,
            side: SpanSide::Internal,
            began: Timestamp::from_millis(0),
            took: Duration::ZERO,
            attributes: vec![("mmsgw.message.id", self.id.to_string())],
            fault: None,
        }
    }
}

impl Tracing {
    /// Whether the trace is recorded: as its beginner says, else by chance, the same everywhere.
    fn records(&self, trace: MessageTrace) -> bool {
        match trace.given {
            Some(given) => given.sampled,
            // The random end of the id.
            None => {
                trace.id.as_bytes()[9..].iter().fold(0, |all, octet| all << 8 | u64::from(*octet))
                    < self.below
            }
        }
    }
}

impl Engine {
    /// Has `sink` told of messages from now on; of that share of them, from 0 to 1, that nobody else decided about. The
    /// first one stays.
    pub fn trace_into(&self, sink: impl SpanSink, ratio: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^56")]
        let below = (ratio.clamp(0.0, 1.0) * 72_057_594_037_927_936.0) as u64;
        let _ = self.spans.0.set(Tracing { sink: Box::new(sink), below });
    }

    /// What became of spans.
    pub fn span_counts(&self) -> SpanCounts {
        self.spans.0.get().map(|tracing| tracing.sink.counts()).unwrap_or_default()
    }

    fn tracing(&self, trace: MessageTrace) -> Option<&dyn SpanSink> {
        self.spans.0.get().filter(|tracing| tracing.records(trace)).map(|tracing| tracing.sink.as_ref())
    }

    /// An event that is durable now.
    pub(crate) fn trace_event(&self, trace: MessageTrace, created: Timestamp, event: &Event) {
        let Some(sink) = self.tracing(trace) else { return };
        let is_first = event.sequence == 1;
        let name = match event.state {
            State::Scheduled if is_first => "accept",
            State::Received if is_first => "receive",
            other => other.name(),
        };
        let mut span = trace.begin(&Step::Event(event.sequence), trace.root(), name);
        let began = if is_first { created } else { event.at };
        if is_first {
            span.parent = trace.given.map(|given| given.span);
            span.side = SpanSide::Server;
        }
        span.took = began.until(self.now());
        span.began = began;
        span.attributes.push(("mmsgw.state", event.state.name().to_owned()));
        span.attributes.push(("mmsgw.code", event.code.to_string()));
        if let Some(status) = &event.carrier_status {
            span.attributes.push(("mmsgw.carrier_status", status.clone()));
        }
        span.fault = is_failure(event.state).then(|| event.description.clone());
        sink.take(span);
    }

    /// A line of a batch that is durable now.
    pub(crate) fn trace_line(&self, trace: MessageTrace, created: Timestamp) {
        let Some(sink) = self.tracing(trace) else { return };
        let mut span = trace.begin(&Step::Event(1), trace.root(), "accept");
        span.parent = trace.given.map(|given| given.span);
        span.side = SpanSide::Server;
        span.began = created;
        span.took = created.until(self.now());
        sink.take(span);
    }

    /// Whether anything is recorded of a message.
    pub(crate) fn is_traced(&self, trace: MessageTrace) -> bool {
        self.tracing(trace).is_some()
    }

    /// A hand-over that began at `began`, and the wait before it.
    pub(crate) fn trace_send(
        &self,
        message: &Message,
        tries: u32,
        (began, took): (Timestamp, Duration),
        verdict: &Verdict,
    ) {
        let trace = MessageTrace::of(message);
        let Some(sink) = self.tracing(trace) else { return };
        let mut wait = trace.begin(&Step::Queue(tries), trace.root(), "queue");
        wait.began = message.processed.unwrap_or(message.created);
        wait.took = wait.began.until(began);
        sink.take(wait);
        let mut span = trace.begin(&Step::Send(tries), trace.root(), "send");
        span.side = SpanSide::Client;
        (span.began, span.took) = (began, took);
        span.attributes.push(("mmsgw.group", message.group.to_string()));
        span.attributes.push(("mmsgw.tries", tries.to_string()));
        for outcome in &verdict.outcomes {
            let (word, answer, failed) = match &outcome.delivery {
                Delivery::Sent { answer, .. } => ("sent", answer, false),
                Delivery::Defer { answer, .. } => ("deferred", answer, true),
                Delivery::Fail { answer } => ("failed", answer, true),
            };
            span.attributes.push(("mmsgw.outcome", word.to_owned()));
            span.attributes.push(("mmsgw.code", answer.code.to_string()));
            if failed {
                span.fault = Some(answer.description.clone());
            }
        }
        // Of several numbers the last answer stands for all: an attribute has one value.
        let mut seen = std::collections::BTreeSet::new();
        span.attributes.reverse();
        span.attributes.retain(|(key, _)| seen.insert(*key));
        sink.take(span);
    }

    /// What a callback says in `traceparent`: its own span where traces are collected, else what the application gave.
    pub(crate) fn callback_parent(&self, callback: &CallbackJob, tries: u32) -> Option<TraceParent> {
        let trace = MessageTrace { id: callback.message, given: callback.trace };
        if self.spans.0.get().is_none() {
            return callback.trace;
        }
        let span = trace.span(&Step::Callback(&callback.delivery_id, tries));
        Some(TraceParent { trace: trace.trace(), span, sampled: self.is_traced(trace) })
    }

    /// A callback that was posted, or tried to be.
    pub(crate) fn trace_callback(
        &self,
        callback: &CallbackJob,
        tries: u32,
        (began, took): (Timestamp, Duration),
        verdict: &CallVerdict,
    ) {
        let trace = MessageTrace { id: callback.message, given: callback.trace };
        let Some(sink) = self.tracing(trace) else { return };
        let parent = match &callback.subject {
            CallbackSubject::Event(event) => trace.span(&Step::Event(event.sequence)),
            CallbackSubject::InboundMessage => trace.root(),
        };
        let mut span = trace.begin(&Step::Callback(&callback.delivery_id, tries), parent, "callback");
        span.side = SpanSide::Client;
        (span.began, span.took) = (began, took);
        span.attributes.push(("url.full", crate::without_secrets(&callback.url)));
        span.attributes.push(("mmsgw.webhook_id", callback.delivery_id.clone()));
        span.attributes.push(("mmsgw.tries", tries.to_string()));
        span.fault = match verdict {
            CallVerdict::Done | CallVerdict::Answered { .. } => None,
            CallVerdict::Gone { reason }
            | CallVerdict::Never { reason }
            | CallVerdict::Later { reason, .. } => Some(reason.clone()),
            // It was not posted.
            CallVerdict::Busy { .. } => return,
        };
        sink.take(span);
    }
}

fn is_failure(state: State) -> bool {
    matches!(state, State::Rejected | State::Expired | State::Failed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    struct Nowhere;

    impl SpanSink for Nowhere {
        fn take(&self, _span: Span) {}

        fn counts(&self) -> SpanCounts {
            SpanCounts::default()
        }
    }

    fn own() -> MessageTrace {
        MessageTrace { id: MessageId::generate(Timestamp::from_secs(1_700_000_000)), given: None }
    }

    #[test]
    fn a_share_of_the_traces_is_recorded_unless_their_beginner_decided() {
        let below = |below| Tracing { sink: Box::new(Nowhere), below };
        let recorded = |tracing: &Tracing| (0..4_000).filter(|_| tracing.records(own())).count();
        assert_eq!((recorded(&below(0)), recorded(&below(1 << 56))), (0, 4_000));
        let quarter = recorded(&below(1 << 54));
        assert!((700..1_300).contains(&quarter), "{quarter}");
        for sampled in [false, true] {
            let given = Some(TraceParent { trace: [1; 16], span: [2; 8], sampled });
            assert_eq!(below(1 << 54).records(MessageTrace { given, ..own() }), sampled);
        }
    }

    #[test]
    fn spans_have_ids_of_their_own_that_every_process_knows() {
        let mut seen = BTreeSet::new();
        for trace in [own(), own()] {
            let given = Some(TraceParent { trace: [1; 16], span: [2; 8], sampled: true });
            let same = MessageTrace { given, ..trace };
            for number in 1..100 {
                for step in [
                    Step::Event(number),
                    Step::Queue(number),
                    Step::Send(number),
                    Step::Callback("evt_1", number),
                    Step::Callback("evt_2", number),
                ] {
                    assert!(seen.insert(trace.span(&step)), "twice the same");
                    assert_eq!(same.span(&step), trace.span(&step));
                }
            }
            assert_eq!((trace.trace(), same.trace()), (*trace.id.as_bytes(), [1; 16]));
        }
    }
}
