//! The sign of life that is asked of the MMSC: `outbound.heartbeat`.

use std::fmt;
use std::str::FromStr;

use http::{Method, StatusCode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A request without a body to the MMSC's URL, and the HTTP status that means that it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The method.
    pub(crate) method: Method,
    expected: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// This status.
    One(u16),
    /// All statuses of a class, as in `2xx`.
    Class(u16),
    /// Any answer at all.
    Any,
}

/// A text that describes no heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: must be an HTTP method and a status, as in \"HEAD 200\", \"GET 2xx\" or \"OPTIONS any\"")]
pub struct HeartbeatError(String);

impl Heartbeat {
    /// Whether an answer with this status is a sign of life.
    pub(crate) fn is_met_by(&self, status: StatusCode) -> bool {
        match self.expected {
            Expected::One(one) => status.as_u16() == one,
            Expected::Class(class) => status.as_u16() / 100 == class,
            Expected::Any => true,
        }
    }
}

impl FromStr for Heartbeat {
    type Err = HeartbeatError;

    fn from_str(text: &str) -> Result<Self, HeartbeatError> {
        let wrong = || HeartbeatError(text.to_owned());
        let mut words = text.split_ascii_whitespace();
        let method = words.next().ok_or_else(wrong)?.to_ascii_uppercase();
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| wrong())?;
        let expected = match words.next().map(str::to_ascii_lowercase) {
            None => Expected::Class(2),
            Some(any) if any == "any" => Expected::Any,
            Some(class) if class.len() == 3 && class.ends_with("xx") => {
                let class = class[..1].parse().ok().filter(|class| (1..=5).contains(class));
                Expected::Class(class.ok_or_else(wrong)?)
            }
            Some(one) => {
                Expected::One(one.parse().ok().filter(|one| (100..600).contains(one)).ok_or_else(wrong)?)
            }
        };
        if words.next().is_some() { Err(wrong()) } else { Ok(Self { method, expected }) }
    }
}

impl fmt::Display for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expected {
            Expected::One(one) => write!(f, "{} {one}", self.method),
            Expected::Class(class) => write!(f, "{} {class}xx", self.method),
            Expected::Any => write!(f, "{} any", self.method),
        }
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
    fn a_heartbeat_is_a_method_and_a_status() {
        for (text, good, bad) in [
            ("HEAD 200", vec![200], vec![204, 404]),
            ("get 2xx", vec![200, 204], vec![301, 500]),
            ("OPTIONS", vec![204], vec![405]),
            ("POST any", vec![200, 405, 500], vec![]),
            ("PING 405", vec![405], vec![200]),
        ] {
            let beat: Heartbeat = text.parse().unwrap();
            let met = |status: &u16| beat.is_met_by(StatusCode::from_u16(*status).unwrap());
            assert!(good.iter().all(met) && !bad.iter().any(met), "{text}");
            assert_eq!(beat.to_string().parse(), Ok(beat));
        }
        for bad in ["", "HEAD 99", "HEAD 9xx", "HEAD 200 OK", "HE(D", "HEAD ok", "HEAD éxx"] {
            assert!(bad.parse::<Heartbeat>().is_err(), "{bad}");
        }
    }
}
