//! Work that waits in a queue. Payloads are versioned: a newer mmsgw reads what an older one queued.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Address, AnswerTo, Code, Event, GroupName, MessageId, ReportOrder, TraceParent};

/// Names a queue: each group has one of each kind, shared by all its instances.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Queue {
    /// The group.
    pub group: GroupName,
    /// What for.
    pub kind: QueueKind,
}

/// What a queue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// TX: messages to hand to the carrier.
    Tx,
    /// EV: acknowledgements and reports to hand to the carrier.
    Ev,
    /// RX: what the carrier handed to us, not looked into yet.
    Rx,
    /// Callbacks to the application.
    Callback,
}

impl QueueKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Tx, Self::Ev, Self::Rx, Self::Callback];

    /// The name in stores, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tx => "tx",
            Self::Ev => "ev",
            Self::Rx => "rx",
            Self::Callback => "callback",
        }
    }
}

impl std::fmt::Display for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.group, self.kind.name())
    }
}

/// A text that names no queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no queue: write it as `group/kind`, the kind being tx, ev, rx or callback")]
pub struct QueueError(String);

impl std::str::FromStr for Queue {
    type Err = QueueError;

    fn from_str(text: &str) -> Result<Self, QueueError> {
        let named = text.rsplit_once('/').and_then(|(group, kind)| {
            let kind = QueueKind::ALL.into_iter().find(|known| known.name() == kind)?;
            Some(Self { group: group.parse().ok()?, kind })
        });
        named.ok_or_else(|| QueueError(text.chars().take(100).collect()))
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Hand a message to the carrier.
    TransmitV1(TransmitJob),
    /// Look into what a carrier sent.
    IntakeV1(IntakeJob),
    /// Tell the application.
    CallbackV1(CallbackJob),
    /// Tell the carrier about a message that it handed to us.
    ReportV1(ReportJob),
    /// Answer a request of the carrier's.
    AnswerV1(AnswerJob),
    /// Have the carrier take back or replace a message that it has.
    AmendV1(AmendJob),
}

impl Job {
    /// The job as stores keep it: a line of JSON, and behind it the octets of an intake as they are, which in JSON would
    /// have to be escaped or take a third more.
    ///
    /// # Errors
    /// As serialising has them.
    pub fn to_record(&self) -> serde_json::Result<Vec<u8>> {
        let Self::IntakeV1(intake) = self else { return serde_json::to_vec(self) };
        let mut record = Vec::with_capacity(intake.raw.len() + HEAD);
        let head = Self::IntakeV1(IntakeJob { raw: Bytes::new(), ..intake.clone() });
        serde_json::to_writer(&mut record, &head)?;
        record.push(b'\n');
        record.extend_from_slice(&intake.raw);
        Ok(record)
    }

    /// The job that [`Job::to_record`] made; also one that is JSON throughout, as earlier releases wrote it.
    ///
    /// # Errors
    /// It is no job.
    pub fn from_record(record: &Bytes) -> serde_json::Result<Self> {
        // JSON as we write it has no line break of its own.
        let end = memchr::memchr(b'\n', record).unwrap_or(record.len());
        let mut job: Self = serde_json::from_slice(&record[..end])?;
        if let Self::IntakeV1(intake) = &mut job
            && end < record.len()
        {
            intake.raw = record.slice(end + 1..);
        }
        Ok(job)
    }
}

/// About what the record of an intake takes beside its octets.
const HEAD: usize = 512;

/// See [`Job::AmendV1`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmendJob {
    /// The message.
    pub message: MessageId,
    /// What is to be done to it.
    pub order: AmendOrder,
    /// The numbers concerned; empty means those that the carrier has by now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<Address>,
}

/// What is to be done to a message that the carrier has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmendOrder {
    /// It is taken back.
    Withdraw,
    /// The revision that the message has by now is put in its place.
    Replace,
}

/// See [`Job::ReportV1`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportJob {
    /// The message.
    pub message: MessageId,
    /// What to tell.
    pub order: ReportOrder,
}

/// See [`Job::AnswerV1`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerJob {
    /// What is answered.
    pub to: AnswerTo,
    /// How.
    pub code: Code,
    /// A sentence for the other side.
    pub description: Option<String>,
}

/// See [`Job::TransmitV1`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransmitJob {
    /// The message.
    pub message: MessageId,
}

/// See [`Job::IntakeV1`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntakeJob {
    /// In which form it came.
    pub kind: IntakeKind,
    /// Who sent it: address of the peer, for logs.
    pub peer: String,
    /// The octets as they came: a mail, or an HTTP body.
    #[serde(with = "octets")]
    pub raw: Bytes,
}

/// In which form something came from a carrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntakeKind {
    /// A mail, with its SMTP envelope.
    Mail {
        /// MAIL FROM, empty for the null sender.
        mail_from: String,
        /// RCPT TO, in order.
        rcpt_to: Vec<String>,
    },
    /// An HTTP request body.
    Http {
        /// Its Content-Type.
        content_type: String,
    },
}

/// See [`Job::CallbackV1`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackJob {
    /// Where to post to.
    pub url: String,
    /// The same for each try, so that a receiver can drop repetitions.
    pub delivery_id: String,
    /// The message concerned.
    pub message: MessageId,
    /// The trace that the application had the message take part in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
    /// What to tell.
    pub subject: CallbackSubject,
}

/// What a callback tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackSubject {
    /// Something happened to the message.
    Event(Event),
    /// The message, which came in.
    InboundMessage,
}

/// Octets inside a JSON payload: as text where they are UTF-8, which mails and SOAP mostly are, else
/// base64.
mod octets {
    use super::{Bytes, Deserialize, Serialize};
    use std::borrow::Cow;

    use encodify::base64::STANDARD;
    use serde::{Deserializer, Serializer, de::Error};

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Form<'a> {
        Text(Cow<'a, str>),
        Base64(Cow<'a, str>),
    }

    pub(super) fn serialize<S: Serializer>(octets: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match std::str::from_utf8(octets) {
            Ok(text) => Form::Text(text.into()),
            Err(_) => Form::Base64(STANDARD.encode(octets).into()),
        };
        form.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(text.into_owned().into()),
            Form::Base64(text) => STANDARD.decode(text.as_bytes()).map(Bytes::from).map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_read_back_whatever_octets_they_hold() {
        for raw in [&b"X-Mms: a\r\n\r\nb"[..], &[0xff, 0x00, 0x80, b'\n']] {
            let job = Job::IntakeV1(IntakeJob {
                kind: IntakeKind::Mail { mail_from: String::new(), rcpt_to: vec!["a@b".into()] },
                peer: "127.0.0.1".into(),
                raw: Bytes::copy_from_slice(raw),
            });
            let text = serde_json::to_string(&job).unwrap();
            assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
            assert_eq!(Job::from_record(&text.into()).unwrap(), job, "as earlier releases wrote it");
            let record = job.to_record().unwrap();
            assert!(record.ends_with(raw), "the octets are there as they came");
            assert_eq!(Job::from_record(&record.into()).unwrap(), job);
        }
    }

    #[test]
    fn a_queue_is_known_by_its_name() {
        for kind in QueueKind::ALL {
            let queue = Queue { group: "carrier".parse().unwrap(), kind };
            assert_eq!(queue.to_string().parse(), Ok(queue));
        }
        for bad in ["", "carrier", "carrier/", "/rx", "carrier/RX", "a b/rx"] {
            assert!(bad.parse::<Queue>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_payload_queued_by_the_first_release_is_still_read() {
        let text = r#"{"transmit_v1":{"message":"019a0000000070008000000000000000"}}"#;
        assert!(matches!(serde_json::from_str::<Job>(text), Ok(Job::TransmitV1(_))));
    }
}
