//! How a capture is understood, to be told to people: what was recognised, and where the capture differs from
//! what the standard would have written.

use bytes::Bytes;

use crate::read::Entity;

/// How a capture is understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// Which PDU it is, where it is one.
    pub pdu: Option<String>,
    /// Why it is not understood.
    pub fault: Option<String>,
    /// What is recognised, as the standard writes it.
    pub fields: Vec<Field>,
    /// The parts of the message.
    pub parts: Vec<PartReading>,
    /// What the standard has otherwise.
    pub tolerated: Vec<String>,
    /// What would be answered.
    pub answer: Option<String>,
}

/// A header or element with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Field {
    /// A field.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartReading {
    /// File name.
    pub name: Option<String>,
    /// Media type with its parameters.
    pub content_type: String,
    /// Content-ID without angle brackets.
    pub content_id: Option<String>,
    /// Octets, decoded.
    pub octets: usize,
}

/// The leaves of a message.
pub fn parts(content: Option<&Entity>) -> Vec<PartReading> {
    let leaves = content.map(Entity::leaves).unwrap_or_default();
    let part = |leaf: &Entity| PartReading {
        name: leaf.name(),
        content_type: leaf.media_type.to_string(),
        content_id: leaf.content_id(),
        octets: leaf.body().map_or(0, Bytes::len),
    };
    leaves.into_iter().map(part).collect()
}

/// Where a capture differs from what was understood of it.
pub fn differences(capture: &[Field], understood: &[Field]) -> Vec<String> {
    let mut left: Vec<&Field> = understood.iter().collect();
    let mut told = Vec::new();
    let mut odd = Vec::new();
    for field in capture {
        match left.iter().position(|known| *known == field) {
            Some(at) => drop(left.remove(at)),
            None => odd.push(field),
        }
    }
    for field in odd {
        let Field { name, value } = field;
        let same = |known: &&Field| known.name.eq_ignore_ascii_case(name);
        let at = left.iter().position(|known| same(known) && known.value == *value);
        match at.or_else(|| left.iter().position(same)) {
            Some(at) => {
                let known = left.remove(at);
                if known.name != *name {
                    told.push(format!("{name} is spelt {}", known.name));
                }
                if known.value != *value {
                    told.push(format!("{}: {} is read as {}", known.name, short(value), short(&known.value)));
                }
            }
            None => told.push(format!("{name}: {} is left out of account", short(value))),
        }
    }
    told.extend(
        left.iter().map(|known| format!("{}: {} is read from elsewhere", known.name, short(&known.value))),
    );
    told
}

/// At most 100 characters in quotes.
fn short(value: &str) -> String {
    let cut: String = value.chars().take(100).collect();
    let end = if cut.len() < value.len() { "…" } else { "" };
    format!("\"{cut}{end}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_once_and_only_they() {
        let list = |fields: &[(&str, &str)]| -> Vec<Field> {
            fields.iter().map(|(name, value)| Field::new(*name, *value)).collect()
        };
        let capture = list(&[("A", "1"), ("b", "2"), ("C", "x"), ("D", "?"), ("A", "1")]);
        let understood = list(&[("A", "1"), ("A", "1"), ("B", "2"), ("C", "y"), ("E", "5")]);
        assert_eq!(
            differences(&capture, &understood),
            [
                "b is spelt B",
                "C: \"x\" is read as \"y\"",
                "D: \"?\" is left out of account",
                "E: \"5\" is read from elsewhere"
            ]
        );
        assert!(differences(&understood, &understood).is_empty());
    }
}
