//! Ids of our own: sortable by time, 32 lower-case hexadecimal digits, one type per kind of thing.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::{NoContext, Uuid};

use crate::Timestamp;

/// An id of something of kind `K`: a version 7 UUID (RFC 9562), so that ids sort by creation time.
///
/// Its text has no hyphens, which keeps it a legal atom in mail headers and addresses.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

/// Kinds of things with an id. They are never built.
#[derive(Debug)]
pub enum MessageKind {}
/// See [`MessageKind`].
#[derive(Debug)]
pub enum TemplateKind {}
/// See [`MessageKind`].
#[derive(Debug)]
pub enum RevisionKind {}
/// See [`MessageKind`].
#[derive(Debug)]
pub enum PartKind {}
/// See [`MessageKind`].
#[derive(Debug)]
pub enum JobKind {}
/// See [`MessageKind`].
#[derive(Debug)]
pub enum BatchKind {}

/// Names one message.
pub type MessageId = Id<MessageKind>;
/// Names a template through all its revisions.
pub type TemplateId = Id<TemplateKind>;
/// Names one unchanging revision of a template.
pub type RevisionId = Id<RevisionKind>;
/// Names a part.
pub type PartId = Id<PartKind>;
/// Names a job in a queue.
pub type JobId = Id<JobKind>;
/// Names a bulk order: many messages from one template.
pub type BatchId = Id<BatchKind>;

impl<K> Id<K> {
    /// A new id, sorted by `now`; the rest is random.
    pub fn generate(now: Timestamp) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
        let stamp = uuid::Timestamp::from_unix(NoContext, millis / 1000, nanos);
        Self::from_uuid(Uuid::new_v7(stamp))
    }

    /// When it was generated.
    pub fn created(&self) -> Timestamp {
        let (seconds, nanos) = self.uuid.get_timestamp().map_or((0, 0), |stamp| stamp.to_unix());
        let millis = i64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
        Timestamp::from_millis(millis.saturating_add(i64::from(nanos / 1_000_000)))
    }

    /// The first of all ids that could be generated at `at`, whether or not anything has it.
    pub fn first_at(at: Timestamp) -> Self {
        let millis = u128::try_from(at.as_millis()).unwrap_or(0).min((1 << 48) - 1);
        Self::from_uuid(Uuid::from_u128(millis << 80))
    }

    /// The id as 16 octets, for stores.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.uuid.as_bytes()
    }

    /// The id that [`Id::as_bytes`] gave; `None` where the length is not 16.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(Self::from_uuid)
    }

    /// The largest id that sorts before this one, whether or not anything has it; none for the first.
    #[must_use]
    pub fn before(&self) -> Option<Self> {
        self.uuid.as_u128().checked_sub(1).map(|id| Self::from_uuid(Uuid::from_u128(id)))
    }

    fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }
}

/// A text that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 32 hexadecimal digits")]
pub struct IdError;

impl<K> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != 32 {
            return Err(IdError);
        }
        Uuid::try_parse(text).map(Self::from_uuid).map_err(|_| IdError)
    }
}

impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid.as_simple(), f)
    }
}

impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// Written out because a derive would ask the same of `K`.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}

impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_read_back() {
        let early = MessageId::generate(Timestamp::from_millis(1_000));
        let late = MessageId::generate(Timestamp::from_millis(2_000));
        assert!(early < late);
        assert_eq!(late.created(), Timestamp::from_millis(2_000));
        assert_eq!(early.to_string().len(), 32);
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(MessageId::from_slice(early.as_bytes()), Some(early));
        let first = MessageId::first_at;
        assert!(first(Timestamp::from_millis(2_000)) <= late && early < first(Timestamp::from_millis(1_001)));
        assert!(first(Timestamp::from_millis(-1)) < early && late < first(Timestamp::from_millis(i64::MAX)));
    }

    #[test]
    fn hyphens_and_other_lengths_are_refused() {
        assert_eq!("019a0000-0000-7000-8000-000000000000".parse::<MessageId>(), Err(IdError));
        assert_eq!("".parse::<MessageId>(), Err(IdError));
        assert_eq!("../../etc/passwd/aaaaaaaaaaaaaaaa".parse::<MessageId>(), Err(IdError));
    }
}
