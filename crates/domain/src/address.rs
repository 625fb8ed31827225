//! Who a message comes from or goes to: a telephone number, a short code or a mail address.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One address, as an application or a carrier states it.
///
/// Two addresses are equal when they reach the same place: a leading `+` does not matter, nor does
/// the letter case of a mail address. The text keeps the form in which it was given, less visual
/// separators, so that an application reads back what it wrote.
#[derive(Clone)]
pub struct Address {
    text: String,
    kind: AddressKind,
}

/// What an [`Address`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// An E.164 number of 7 to 15 digits.
    Number,
    /// A short code of 3 to 6 digits.
    ShortCode,
    /// A mail address (RFC 5321 mailbox, without quoting).
    Mail,
    /// Something else that a carrier stated, such as a sender who hides. Never taken from an application.
    Other,
}

/// Why a text is no [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing there.
    #[error("the address is empty")]
    Empty,
    /// A number with too few or too many digits.
    #[error("`{0}` has {1} digits: a number has 7 to 15, a short code 3 to 6 and no plus sign")]
    Digits(String, usize),
    /// Neither digits nor a mail address.
    #[error("`{0}` is neither an E.164 number, nor a short code, nor a mail address")]
    Form(String),
}

/// Most characters kept of something that is no address.
const MAX_OTHER: usize = 100;

/// Longest address taken (RFC 5321 4.5.3.1.3 allows 256 octets for a path).
const MAX_LENGTH: usize = 254;

impl Address {
    /// What kind of address this is.
    pub fn kind(&self) -> AddressKind {
        self.kind
    }

    /// The address in the form it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Digits without the plus sign, or the mail address.
    pub fn bare(&self) -> &str {
        self.text.strip_prefix('+').unwrap_or(&self.text)
    }

    fn key(&self) -> Cow<'_, str> {
        match self.kind {
            AddressKind::Mail | AddressKind::Other => Cow::Owned(self.text.to_ascii_lowercase()),
            AddressKind::Number | AddressKind::ShortCode => Cow::Borrowed(self.bare()),
        }
    }

    /// An address as a carrier states it: where it is none, its printable characters are kept, so that
    /// a message is not lost for a sender who hides. Empty text becomes `unknown`.
    pub fn from_carrier(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| {
            let kept: String = text.trim().chars().filter(|c| !c.is_control()).take(MAX_OTHER).collect();
            let text = if kept.is_empty() { "unknown".to_owned() } else { kept };
            Self { text, kind: AddressKind::Other }
        })
    }

    fn parse_mail(text: &str) -> Option<Self> {
        let (local, domain) = text.rsplit_once('@')?;
        let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        let label = |l: &str| {
            !l.is_empty() && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !l.starts_with('-')
        };
        let good = !local.is_empty()
            && local.len() <= 64
            && local.chars().all(atom)
            && !local.starts_with('.')
            && !local.ends_with('.')
            && domain.split('.').all(label);
        good.then(|| Self { text: text.to_owned(), kind: AddressKind::Mail })
    }

    fn parse_digits(text: &str) -> Result<Self, AddressError> {
        let kept: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
        let digits = kept.strip_prefix('+').unwrap_or(&kept);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AddressError::Form(shorten(text)));
        }
        let kind = match (digits.len(), kept.starts_with('+')) {
            (7..=15, _) => AddressKind::Number,
            (3..=6, false) => AddressKind::ShortCode,
            (count, _) => return Err(AddressError::Digits(shorten(text), count)),
        };
        Ok(Self { text: kept, kind })
    }
}

/// At most 40 characters of a bad text, so that an error stays a line.
fn shorten(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(AddressError::Form(shorten(text)));
        }
        if text.contains('@') {
            return Self::parse_mail(text).ok_or_else(|| AddressError::Form(shorten(text)));
        }
        Self::parse_digits(text)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Records are believed: what was kept from a carrier has to read back.
        Ok(Self::from_carrier(&<Cow<'de, str>>::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn separators_go_and_the_plus_stays() {
        assert_eq!(address("+1 (206) 555-01.02").as_str(), "+12065550102");
        assert_eq!(address("12065550102").as_str(), "12065550102");
        assert_eq!(address("+12065550102"), address("12065550102"));
        assert_eq!(address(" 54321 ").kind(), AddressKind::ShortCode);
        assert_eq!(address("Someone@Example.org"), address("someone@example.ORG"));
    }

    #[test]
    fn what_a_carrier_states_is_kept_and_reads_back() {
        for text in ["Anonymous", "", "#hidden#", "+15555550101", "a\r\nb"] {
            let kept = Address::from_carrier(text);
            assert!(!kept.as_str().contains(char::is_control));
            let json = serde_json::to_string(&kept).unwrap();
            assert_eq!(serde_json::from_str::<Address>(&json).unwrap().as_str(), kept.as_str());
        }
        assert_eq!(Address::from_carrier("+1555-555 0101").kind(), AddressKind::Number);
        assert_eq!(Address::from_carrier("").as_str(), "unknown");
    }

    #[test]
    fn what_is_no_address_is_named() {
        for bad in ["", "+", "12", "+12345", "1234567890123456", "12a45678", "a@", "@b", "a b@c", "a@b..c"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
        let injected = "+1206555\r\nRCPT TO:<x@y>";
        assert!(!injected.parse::<Address>().unwrap_err().to_string().contains('\r'));
        assert!("a\r\n@example.org".parse::<Address>().is_err());
        assert!("a>b@example.org".parse::<Address>().is_err());
        assert!(format!("{}@example.org", "a".repeat(1 << 20)).parse::<Address>().is_err());
    }
}
