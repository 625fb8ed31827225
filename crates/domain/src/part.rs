//! Parts of a template: text, SMIL and media.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::PartId;

/// One part of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its id, under which it can be shown and put into further templates.
    pub id: PartId,
    /// File name, by which SMIL refers to it.
    pub name: String,
    /// Media type, lower case, with parameters as the application gave them.
    pub content_type: String,
    /// The content, or where it is.
    pub content: PartContent,
}

/// Where a part's octets are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartContent {
    /// Here, as text.
    Text(String),
    /// In the media store.
    Blob(BlobRef),
    /// At an `http`, `https` or `file` URL, not fetched yet.
    Url(String),
}

/// Octets in the media store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// Their digest, which is their name.
    pub digest: Digest,
    /// How many octets.
    pub size: u64,
    /// The URL they were fetched from, for the application to recognise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A SHA-256 digest; its text is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// A digest from its octets.
    pub const fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// The octets.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: expected 64 lower-case hexadecimal digits")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let nibble = |b: u8| match b {
            b'0'..=b'9' => Ok(b - b'0'),
            b'a'..=b'f' => Ok(b - b'a' + 10),
            _ => Err(DigestError),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(DigestError);
        }
        let mut octets = [0; 32];
        for (octet, [high, low]) in octets.iter_mut().zip(pairs) {
            *octet = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(Self(octets))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_read_back_and_nothing_else_is_one() {
        let digest = Digest::new(std::array::from_fn(|i| u8::try_from(i * 7 % 256).unwrap()));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in ["", "zz", "../../../etc/passwd", &"0".repeat(63), &"0".repeat(65), &"F".repeat(64)] {
            assert_eq!(bad.parse::<Digest>(), Err(DigestError), "{bad}");
        }
    }
}
