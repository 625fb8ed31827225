//! What was received and what happened: the carrier's memory, bounded, and its counters.
//!
//! Nothing is dropped silently: what does not fit is counted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use tokio::sync::Notify;

use crate::config::{Recording, RecordingConfig};

/// The two carrier protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Mail between carriers (TS 23.140 clause 8.4).
    Mm4,
    /// SOAP with attachments (TS 23.140 clause 8.7).
    Mm7,
}

/// One received request or mail.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    /// Number in the order of arrival, from 1; never used twice, not even after a clear.
    pub seq: u64,
    /// How it came.
    pub protocol: Protocol,
    /// The operation: `SubmitReq`, `CancelReq`, …, `MM4_forward.REQ`, `MM4_delivery_report.RES`, …; empty if it
    /// could not be told.
    pub kind: String,
    /// When its last octet was there, in milliseconds since 1970.
    pub at_ms: i64,
    /// TransactionID or X-Mms-Transaction-ID, without surrounding quotes and white space.
    pub transaction_id: String,
    /// MM7: the MessageID that was given out, or the one a later request names. MM4: X-Mms-Message-ID without quotes.
    pub message_id: String,
    /// How often this transaction was seen, from 1.
    pub attempt: u32,
    /// Whether the carrier took responsibility for it.
    pub accepted: bool,
    /// Header fields of the HTTP request or of the mail, as they came.
    pub headers: Vec<(String, String)>,
    /// MAIL FROM, without the angle brackets (MM4).
    pub mail_from: Option<String>,
    /// RCPT TO as accepted, without the angle brackets (MM4).
    pub rcpt_to: Vec<String>,
    /// The SOAP envelope (MM7).
    pub xml: Option<String>,
    /// MM7: elements by local name, attributes as `Element@attribute`, repeated ones joined with `, `.
    /// MM4: header fields by lower-case name, decoded.
    pub fields: BTreeMap<String, String>,
    /// Decoded subject.
    pub subject: Option<String>,
    /// SenderAddress, or From.
    pub sender: Option<String>,
    /// Recipients in To.
    pub to: Vec<String>,
    /// Recipients in Cc.
    pub cc: Vec<String>,
    /// Recipients in Bcc.
    pub bcc: Vec<String>,
    /// The media, decoded, in order, without nesting; the SOAP part is not among them.
    pub parts: Vec<ReceivedPart>,
    /// What the reader did not like; empty for a message that keeps the rules it checks.
    pub problems: Vec<String>,
    /// The HTTP body, or the mail with its dots unstuffed.
    #[serde(serialize_with = "base64")]
    pub raw: Bytes,
}

impl Received {
    /// All recipients of To, Cc and Bcc (MM7), or of the envelope (MM4).
    #[must_use]
    pub fn recipients(&self) -> Vec<String> {
        match self.protocol {
            Protocol::Mm4 => self.rcpt_to.clone(),
            Protocol::Mm7 => [&self.to[..], &self.cc[..], &self.bcc[..]].concat(),
        }
    }

    /// A field by its name in [`Received::fields`]; MM4 names in any letter case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = match self.protocol {
            Protocol::Mm4 => self.fields.get(&name.to_ascii_lowercase()),
            Protocol::Mm7 => self.fields.get(name),
        };
        found.map(String::as_str)
    }

    fn weight(&self) -> usize {
        self.raw.len() + self.parts.iter().map(|part| part.octets.len()).sum::<usize>()
    }
}

/// One medium of a message.
#[derive(Debug, Clone, Serialize)]
pub struct ReceivedPart {
    /// Content-Type as it came, with its parameters.
    pub content_type: String,
    /// Content-ID as it came, without angle brackets.
    pub content_id: Option<String>,
    /// Content-Location as it came.
    pub content_location: Option<String>,
    /// Number of octets after decoding.
    pub length: usize,
    /// The octets after decoding.
    #[serde(serialize_with = "base64")]
    pub octets: Bytes,
}

fn base64<S: Serializer>(octets: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encodify::base64::STANDARD.encode(octets))
}

/// The gateway's answer to one try of a report or of an answer by mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportAnswer {
    /// What was sent: `DeliveryReportReq`, `ReadReplyReq`, `MM4_forward.RES`, ….
    pub kind: String,
    /// TransactionID or X-Mms-Transaction-ID of what was sent.
    pub transaction_id: String,
    /// The message it is about.
    pub message_id: String,
    /// The recipient it is about; empty for a RES.
    pub recipient: String,
    /// Which try, from 1.
    pub attempt: u32,
    /// What came back.
    pub outcome: Answer,
}

/// What the gateway said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Answer {
    /// HTTP status, or code of the SMTP reply that decided; 0 if there was none.
    pub code: u16,
    /// StatusCode in the SOAP answer (MM7).
    pub status: Option<u16>,
    /// Body of the HTTP answer, text of the SMTP reply, or what broke.
    pub text: String,
}

impl Answer {
    /// Whether the gateway took it: an SMTP 2xx, or HTTP 2xx whose SOAP status, if any, is 1xxx.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.code) && self.status.is_none_or(|status| (1000..2000).contains(&status))
    }
}

/// Totals since the start; a clear does not touch them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Connections accepted by the MM7 listener.
    pub mm7_connections: u64,
    /// Connections accepted by the MM4 listener.
    pub mm4_connections: u64,
    /// Requests and mails read whole.
    pub received: u64,
    /// Octets of their bodies.
    pub octets: u64,
    /// Those for which responsibility was taken.
    pub accepted: u64,
    /// Those whose transaction had been accepted before.
    pub duplicates: u64,
    /// Those that could not be read.
    pub unreadable: u64,
    /// Those kept in memory since the last clear.
    pub recorded: u64,
    /// Those that did not fit the memory.
    pub dropped: u64,
    /// Received, by operation.
    pub kinds: BTreeMap<String, u64>,
    /// Commands sent ahead of a reply although PIPELINING was not offered.
    pub pipelining_violations: u64,
    /// Reports and answers by mail put into the queue.
    pub reports_queued: u64,
    /// Those the gateway took.
    pub reports_ok: u64,
    /// Tries that failed.
    pub report_tries_failed: u64,
    /// Those given up after all tries.
    pub reports_failed: u64,
    /// Those refused since the queue was full.
    pub reports_refused: u64,
    /// Those not sent since no address of the gateway is configured.
    pub reports_without_target: u64,
}

/// What is known of a transaction when a message of it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// Which attempt this is, from 1.
    pub(crate) attempt: u32,
    /// The number under which an earlier attempt was accepted.
    pub(crate) accepted_as: Option<u64>,
    /// The number that its message is named by, once it has a name.
    pub(crate) named: Option<u64>,
}

/// The carrier's memory.
#[derive(Debug)]
pub(crate) struct Recorder {
    config: RecordingConfig,
    hasher: RandomState,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    seq: u64,
    counts: Counts,
    messages: Vec<Received>,
    weight: usize,
    answers: Vec<ReportAnswer>,
    ledger: HashMap<u64, Sighting>,
    ledger_order: VecDeque<u64>,
}

impl Recorder {
    pub(crate) fn new(config: RecordingConfig) -> Self {
        Self { config, hasher: RandomState::new(), inner: Mutex::default(), changed: Notify::new() }
    }

    /// Whether whole messages are kept.
    pub(crate) fn keeps_messages(&self) -> bool {
        self.config.mode == Recording::Full
    }

    /// The next sequence number.
    pub(crate) fn next_seq(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.seq += 1;
        inner.seq
    }

    /// Notes another attempt of what `scope` and `key` name.
    pub(crate) fn sight(&self, scope: &str, key: &str) -> Sighting {
        let hash = self.hasher.hash_one((scope, key));
        let mut inner = self.inner.lock();
        if let Some(entry) = inner.ledger.get_mut(&hash) {
            entry.attempt = entry.attempt.saturating_add(1);
            return *entry;
        }
        if inner.ledger_order.len() >= self.config.ledger.max(1)
            && let Some(oldest) = inner.ledger_order.pop_front()
        {
            inner.ledger.remove(&oldest);
        }
        let entry = Sighting { attempt: 1, accepted_as: None, named: None };
        inner.ledger.insert(hash, entry);
        inner.ledger_order.push_back(hash);
        entry
    }

    /// The number that the message of a transaction is named by: `seq` if it has none yet. Attempts that come at the same
    /// time get the same.
    pub(crate) fn name(&self, scope: &str, key: &str, seq: u64) -> u64 {
        let hash = self.hasher.hash_one((scope, key));
        self.inner.lock().ledger.get_mut(&hash).map_or(seq, |entry| *entry.named.get_or_insert(seq))
    }

    /// Notes that a transaction was accepted as number `seq`.
    pub(crate) fn settle(&self, scope: &str, key: &str, seq: u64) {
        let hash = self.hasher.hash_one((scope, key));
        if let Some(entry) = self.inner.lock().ledger.get_mut(&hash) {
            entry.accepted_as.get_or_insert(seq);
        }
    }

    /// Counts a received message, and keeps it if messages are kept and there is room.
    pub(crate) fn keep(&self, message: Received, octets: usize, duplicate: bool) {
        let mut inner = self.inner.lock();
        let counts = &mut inner.counts;
        counts.received += 1;
        counts.octets += octets as u64;
        counts.accepted += u64::from(message.accepted);
        counts.duplicates += u64::from(duplicate);
        counts.unreadable += u64::from(message.kind.is_empty());
        if let Some(count) = counts.kinds.get_mut(&message.kind) {
            *count += 1;
        } else {
            let known = counts.kinds.len() < MAX_KINDS && message.kind.len() < MAX_KINDS;
            let name = if known { message.kind.as_str() } else { "other" };
            *counts.kinds.entry(name.to_owned()).or_default() += 1;
        }
        if self.keeps_messages() {
            let weight = message.weight();
            let full = inner.messages.len() >= self.config.messages
                || inner.weight.saturating_add(weight) > self.config.octets;
            if full {
                inner.counts.dropped += 1;
            } else {
                inner.counts.recorded += 1;
                inner.weight += weight;
                inner.messages.push(message);
            }
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Keeps the gateway's answer to a report, as far as messages are kept and there is room.
    pub(crate) fn keep_answer(&self, answer: ReportAnswer, given_up: bool) {
        let mut inner = self.inner.lock();
        let ok = answer.outcome.is_ok();
        inner.counts.reports_ok += u64::from(ok);
        inner.counts.report_tries_failed += u64::from(!ok);
        inner.counts.reports_failed += u64::from(given_up);
        if self.keeps_messages() && inner.answers.len() < self.config.messages {
            inner.answers.push(answer);
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Changes a counter.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.inner.lock().counts);
        self.changed.notify_waiters();
    }

    /// Totals.
    pub(crate) fn counts(&self) -> Counts {
        self.inner.lock().counts.clone()
    }

    /// Messages after number `since`.
    pub(crate) fn received(&self, since: u64) -> Vec<Received> {
        let mut messages: Vec<_> =
            self.inner.lock().messages.iter().filter(|message| message.seq > since).cloned().collect();
        messages.sort_unstable_by_key(|message| message.seq);
        messages
    }

    /// Answers to reports, in the order they came.
    pub(crate) fn answers(&self) -> Vec<ReportAnswer> {
        self.inner.lock().answers.clone()
    }

    /// Forgets messages, answers and transactions; totals stay, except `recorded`.
    pub(crate) fn clear(&self) {
        let mut inner = self.inner.lock();
        let (seq, mut counts) = (inner.seq, std::mem::take(&mut inner.counts));
        counts.recorded = 0;
        *inner = Inner { seq, counts, ..Inner::default() };
    }

    /// Waits until `done` holds, looked at after every change; false if `limit` passes first.
    pub(crate) async fn wait(&self, limit: Duration, mut done: impl FnMut() -> bool) -> bool {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if done() {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, waiting).await.is_ok()
    }
}

/// Kinds counted by name, and the longest name counted; a peer can make up as many as it likes.
const MAX_KINDS: usize = 64;

/// An empty record to be filled in.
pub(crate) fn blank(protocol: Protocol, seq: u64) -> Received {
    Received {
        seq,
        protocol,
        kind: String::new(),
        at_ms: jiff::Timestamp::now().as_millisecond(),
        transaction_id: String::new(),
        message_id: String::new(),
        attempt: 1,
        accepted: false,
        headers: Vec::new(),
        mail_from: None,
        rcpt_to: Vec::new(),
        xml: None,
        fields: BTreeMap::new(),
        subject: None,
        sender: None,
        to: Vec::new(),
        cc: Vec::new(),
        bcc: Vec::new(),
        parts: Vec::new(),
        problems: Vec::new(),
        raw: Bytes::new(),
    }
}

/// An id without surrounding white space and one pair of quotes (TS 23.140 clause 8.4 quotes ids, peers differ).
pub(crate) fn bare_id(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(messages: usize, octets: usize) -> RecordingConfig {
        RecordingConfig { messages, octets, ledger: 2, ..RecordingConfig::default() }
    }

    fn message(recorder: &Recorder, octets: &'static [u8]) -> Received {
        Received {
            kind: "SubmitReq".into(),
            raw: Bytes::from_static(octets),
            ..blank(Protocol::Mm7, recorder.next_seq())
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_not_lost_silently() {
        let recorder = Recorder::new(config(2, 10));
        recorder.keep(message(&recorder, b"12345678"), 8, false);
        recorder.keep(message(&recorder, b"123"), 3, false);
        recorder.keep(message(&recorder, b"12"), 2, true);
        recorder.keep(message(&recorder, b""), 0, false);
        let counts = recorder.counts();
        assert_eq!((counts.received, counts.recorded, counts.dropped), (4, 2, 2));
        assert_eq!((counts.octets, counts.duplicates, counts.kinds["SubmitReq"]), (13, 1, 4));
        let seqs: Vec<_> = recorder.received(0).iter().map(|message| message.seq).collect();
        assert_eq!(seqs, [1, 3]);
        assert_eq!(recorder.received(1).len(), 1);
        recorder.clear();
        assert_eq!((recorder.received(0).len(), recorder.next_seq()), (0, 5));
    }

    #[test]
    fn the_ledger_numbers_attempts_and_forgets_the_oldest() {
        let recorder = Recorder::new(config(1, 1));
        assert_eq!(recorder.sight("mm7", "a").attempt, 1);
        recorder.settle("mm7", "a", 7);
        assert_eq!(recorder.sight("mm7", "a"), Sighting { attempt: 2, accepted_as: Some(7), named: None });
        assert_eq!((recorder.name("mm7", "a", 7), recorder.name("mm7", "a", 9)), (7, 7));
        assert_eq!(recorder.sight("mm4", "a").attempt, 1);
        assert_eq!(recorder.sight("mm7", "b").attempt, 1);
        assert_eq!(recorder.sight("mm7", "a").attempt, 1, "forgotten, two newer ones are known");
    }

    #[test]
    fn ids_lose_one_pair_of_quotes() {
        assert_eq!(bare_id(" \"a\" "), "a");
        assert_eq!(bare_id("\"a"), "\"a");
        assert_eq!(bare_id("\""), "\"");
    }
}
