//! Calls of scripts, and what they answer.

use mmsgw_domain::{Id, Timestamp};
use mmsgw_store::StoreError;
use redis::{Script, Value};

use crate::record::corrupt;

/// The scripts. A release calls its own by their digest, so that two releases can use one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Commit,
    Lease,
    Extend,
    Status,
    Dead,
    Sweep,
    Disown,
    Hold,
    Records,
    Tally,
    Announce,
    Instances,
    Turns,
    Owed,
    Queued,
}

/// All scripts with their digests.
pub(crate) struct Programs(Vec<(&'static str, Script)>);

impl Programs {
    pub(crate) fn new() -> Self {
        Self(SOURCES.iter().map(|source| (*source, Script::new(source))).collect())
    }

    pub(crate) fn source(&self, program: Program) -> &'static str {
        self.0[program as usize].0
    }

    pub(crate) fn digest(&self, program: Program) -> &str {
        self.0[program as usize].1.get_hash()
    }
}

macro_rules! source {
    ($name:literal) => {
        concat!(include_str!("lua/common.lua"), include_str!(concat!("lua/", $name, ".lua")))
    };
}

/// In the order of [`Program`].
const SOURCES: [&str; 15] = [
    source!("commit"),
    source!("lease"),
    source!("extend"),
    source!("status"),
    source!("dead"),
    source!("sweep"),
    source!("disown"),
    source!("hold"),
    source!("records"),
    source!("tally"),
    source!("announce"),
    source!("instances"),
    source!("turns"),
    source!("owed"),
    source!("queued"),
];

/// One request.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    /// A script.
    Script {
        program: Program,
        keys: Vec<String>,
        args: Vec<Vec<u8>>,
        /// The argument that becomes `1` when an earlier try may have been done, its answer lost.
        repeated: Option<usize>,
    },
    /// A command that can be repeated at will.
    Plain(Vec<Vec<u8>>),
}

impl Call {
    pub(crate) fn plain<const N: usize>(words: [&str; N]) -> Self {
        Self::Plain(words.map(|word| word.as_bytes().to_vec()).to_vec())
    }

    pub(crate) fn script(program: Program, key: String, args: Vec<Vec<u8>>) -> Self {
        Self::Script { program, keys: vec![key], args, repeated: None }
    }

    /// Notes that it may have been done already.
    pub(crate) fn again(&mut self) {
        if let Self::Script { args, repeated: Some(index), .. } = self {
            args[*index] = b"1".to_vec();
        }
    }
}

/// An answer of the server.
#[derive(Debug, Clone)]
pub(crate) struct Answer(pub(crate) Value);

impl Answer {
    pub(crate) fn octets(self) -> Result<Option<Vec<u8>>, StoreError> {
        match self.0 {
            Value::Nil => Ok(None),
            Value::BulkString(octets) => Ok(Some(octets)),
            Value::SimpleString(text) => Ok(Some(text.into_bytes())),
            Value::Int(number) => Ok(Some(number.to_string().into_bytes())),
            Value::Okay => Ok(Some(b"OK".to_vec())),
            _ => Err(corrupt("the server answered something else than a text")),
        }
    }

    pub(crate) fn number(self) -> Result<i64, StoreError> {
        match self.0 {
            Value::Int(number) => Ok(number),
            other => {
                let octets = Self(other).octets()?.unwrap_or_default();
                let text = std::str::from_utf8(&octets).ok();
                text.and_then(|text| text.parse().ok())
                    .ok_or_else(|| corrupt("the server answered something else than a number"))
            }
        }
    }

    pub(crate) fn list(self) -> Result<Vec<Self>, StoreError> {
        match self.0 {
            Value::Array(values) | Value::Set(values) => Ok(values.into_iter().map(Self).collect()),
            Value::Nil => Ok(Vec::new()),
            _ => Err(corrupt("the server answered something else than a list")),
        }
    }

    pub(crate) fn text(self) -> Result<String, StoreError> {
        String::from_utf8(self.octets()?.unwrap_or_default()).map_err(|_| corrupt("a text is not UTF-8"))
    }

    pub(crate) fn count(self) -> Result<u64, StoreError> {
        u64::try_from(self.number()?).map_err(|_| corrupt("a count is below zero"))
    }

    pub(crate) fn id<K>(self) -> Result<Id<K>, StoreError> {
        let octets = self.octets()?.unwrap_or_default();
        Id::from_slice(&octets).ok_or_else(|| corrupt("an id has not 16 octets"))
    }

    /// A time; `None` where the text is empty.
    pub(crate) fn time(self) -> Result<Option<Timestamp>, StoreError> {
        match self.0 {
            Value::BulkString(octets) if octets.is_empty() => Ok(None),
            other => Self(other).number().map(|millis| Some(Timestamp::from_millis(millis))),
        }
    }
}
