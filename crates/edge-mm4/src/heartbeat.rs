//! The sign of life that is asked of the carrier: `outbound.heartbeat`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How the carrier's SMTP server is asked whether it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heartbeat {
    /// Not at all: an empty text.
    #[default]
    None,
    /// By a connection of its own, up to the answer to EHLO: `HELO 250`.
    Greeting,
    /// By NOOP on a connection that is open, or on a new one: `NOOP 250`.
    Noop,
}

/// A text that names no heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}`: must be \"HELO 250\", \"NOOP 250\", or empty for none; SMTP knows no other good reply to them"
)]
pub struct HeartbeatError(String);

impl FromStr for Heartbeat {
    type Err = HeartbeatError;

    fn from_str(text: &str) -> Result<Self, HeartbeatError> {
        let mut words = text.split_ascii_whitespace();
        let kind = match words.next().map(str::to_ascii_uppercase).as_deref() {
            None => Self::None,
            Some("HELO" | "EHLO") => Self::Greeting,
            Some("NOOP") => Self::Noop,
            Some(_) => return Err(HeartbeatError(text.to_owned())),
        };
        match (words.next(), words.next()) {
            (None | Some("250"), None) => Ok(kind),
            _ => Err(HeartbeatError(text.to_owned())),
        }
    }
}

impl fmt::Display for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::Greeting => "HELO 250",
            Self::Noop => "NOOP 250",
        })
    }
}

impl<'de> Deserialize<'de> for Heartbeat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Heartbeat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_original_are_understood() {
        for (text, wanted) in [
            ("", Heartbeat::None),
            ("HELO 250", Heartbeat::Greeting),
            ("ehlo", Heartbeat::Greeting),
            ("NOOP", Heartbeat::Noop),
            (" noop  250 ", Heartbeat::Noop),
        ] {
            assert_eq!(text.parse(), Ok(wanted), "{text}");
            assert_eq!(wanted.to_string().parse(), Ok(wanted));
        }
        for bad in ["HELO 220", "VRFY 250", "NOOP 250 ok", "30s"] {
            assert!(bad.parse::<Heartbeat>().is_err(), "{bad}");
        }
    }
}
