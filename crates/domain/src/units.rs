//! Durations and sizes as settings state them: `250ms`, `30s`, `5m`, `2h`, `7d`; `64KiB`, `1MB`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in a settings file: a text with a unit, or a bare number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A size in a settings file: a text with a unit, or a bare number of octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A setting that is no duration or no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a duration.
    #[error("`{0}` is no duration: write a whole number and one of ms, s, m, h, d, as in `30s`")]
    Span(String),
    /// Not a size.
    #[error("`{0}` is no size: write a whole number and one of B, KB, MB, GB, KiB, MiB, GiB, as in `300KB`")]
    Size(String),
}

impl Span {
    /// A span of `seconds` seconds.
    pub const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl ByteSize {
    /// The size for indexing memory; what does not fit is clamped.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let millis = |unit| match unit {
            "ms" => Some(1),
            "s" | "" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            "d" => Some(86_400_000),
            _ => None,
        };
        split(text)
            .and_then(|(number, unit)| number.checked_mul(millis(unit)?))
            .map(|m| Self(Duration::from_millis(m)))
            .ok_or_else(|| UnitError::Span(text.to_owned()))
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let octets = |unit| match unit {
            "B" | "" => Some(1),
            "KB" => Some(1_000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            _ => None,
        };
        split(text)
            .and_then(|(number, unit)| number.checked_mul(octets(unit)?))
            .map(Self)
            .ok_or_else(|| UnitError::Size(text.to_owned()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
        let (unit, size) = *units
            .iter()
            .find(|(_, size)| millis >= *size && millis.is_multiple_of(*size))
            .unwrap_or(&("s", 1_000));
        write!(f, "{}{unit}", millis / size)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
        let (unit, size) = *units
            .iter()
            .find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size))
            .unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// What a settings file may hold for either unit.
#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Raw::deserialize(deserializer)
            .map_err(|_| de::Error::custom("expected a duration, as in \"30s\""))?
        {
            Raw::Number(seconds) => Ok(Self::secs(seconds)),
            Raw::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Raw::deserialize(deserializer)
            .map_err(|_| de::Error::custom("expected a size, as in \"300KB\""))?
        {
            Raw::Number(octets) => Ok(Self(octets)),
            Raw::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_read_as_people_write_them() {
        let span = |text: &str| text.parse::<Span>().map(|s| s.0.as_millis());
        assert_eq!(span("250ms"), Ok(250));
        assert_eq!(span("5 m"), Ok(300_000));
        assert_eq!(span("14400"), Ok(14_400_000));
        assert!(span("5 weeks").is_err() && span("-1s").is_err() && span("99999999999999999999d").is_err());
        let size = |text: &str| text.parse::<ByteSize>().map(|s| s.0);
        assert_eq!(size("300KB"), Ok(300_000));
        assert_eq!(size("1MiB"), Ok(1_048_576));
        assert!(size("1.5MB").is_err() && size("lots").is_err());
    }

    #[test]
    fn both_read_back_what_they_print() {
        for text in ["0s", "250ms", "30s", "5m", "36h", "7d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["0B", "300000B", "64KiB", "5MiB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
    }
}
