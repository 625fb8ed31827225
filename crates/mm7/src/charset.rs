//! The character set of a SOAP part: octets to text, and text to octets for peers that want another than UTF-8.
//!
//! Order of trust (RFC 7303 clause 3): byte order mark, charset of the part or HTTP header, XML
//! declaration, UTF-8. As peers declare what they do not send, a candidate that the octets contradict
//! gives way to the next one.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// A charset that envelopes are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Default for Charset {
    /// UTF-8.
    fn default() -> Self {
        Self(UTF_8)
    }
}

impl Charset {
    /// The charset of a label; none where nothing is written in it (UTF-16, and what is only read).
    pub fn named(label: &str) -> Option<Self> {
        let encoding = Encoding::for_label(label.trim().as_bytes())?;
        (encoding.output_encoding() == encoding && encoding.is_ascii_compatible()).then_some(Self(encoding))
    }

    /// Its name in lower case.
    pub fn label(self) -> String {
        self.0.name().to_ascii_lowercase()
    }

    /// An envelope of [`write_envelope`](crate::write_envelope) in this charset, and so declared. What the
    /// charset lacks becomes a character reference.
    pub fn encode(self, envelope: Vec<u8>) -> Vec<u8> {
        if self.0 == UTF_8 {
            return envelope;
        }
        let text = String::from_utf8_lossy(&envelope);
        let declared = text.replacen("encoding=\"UTF-8\"", &format!("encoding=\"{}\"", self.0.name()), 1);
        self.0.encode(&declared).0.into_owned()
    }
}

/// Decodes an XML text. Octets that no candidate charset explains become U+FFFD.
pub(crate) fn decode<'a>(octets: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(octets) {
        return encoding.decode_without_bom_handling(&octets[mark..]).0;
    }
    let candidates = [guess(octets), charset.and_then(named), declared(octets), Some(UTF_8)];
    let mut candidates = candidates.into_iter().flatten();
    let first = candidates.next().unwrap_or(UTF_8);
    std::iter::once(first)
        .chain(candidates)
        .find_map(|encoding| encoding.decode_without_bom_handling_and_without_replacement(octets))
        .unwrap_or_else(|| first.decode_without_bom_handling(octets).0)
}

/// UTF-16 without a mark shows in how `<` is written.
fn guess(octets: &[u8]) -> Option<&'static Encoding> {
    match octets {
        [b'<', 0, ..] => Some(UTF_16LE),
        [0, b'<', ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// A charset label as an encoding in which ASCII octets stand for themselves.
fn named(label: &str) -> Option<&'static Encoding> {
    let label = label.trim();
    if label.eq_ignore_ascii_case("us-ascii") || label.eq_ignore_ascii_case("ascii") {
        return Some(UTF_8);
    }
    // UTF-16 was recognised by its mark or its zero octets; otherwise the label is not true.
    Encoding::for_label(label.as_bytes()).filter(|e| e.is_ascii_compatible())
}

/// The encoding named by an XML declaration in ASCII.
fn declared(octets: &[u8]) -> Option<&'static Encoding> {
    let head = &octets[..octets.len().min(200)];
    let start = head.iter().position(|b| !b.is_ascii_whitespace())?;
    let declaration = head[start..].strip_prefix(b"<?xml")?;
    let declaration = &declaration[..memchr::memmem::find(declaration, b"?>")?];
    let after = &declaration[memchr::memmem::find(declaration, b"encoding")? + "encoding".len()..];
    let mut quoted = after.split(|b| matches!(b, b'"' | b'\''));
    let equals = quoted.next()?.trim_ascii();
    let label = quoted.next()?;
    (equals == b"=").then(|| std::str::from_utf8(label).ok()).flatten().and_then(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_a_charset_is_read_in_it() {
        let envelope = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>\u{c548}\u{1f600}</a>";
        let korean = Charset::named("EUC-KR").unwrap();
        let octets = korean.encode(envelope.into());
        assert!(octets.ends_with(b"<a>\xBE\xC8&#128512;</a>"), "{octets:?}");
        assert!(decode(&octets, None).contains("encoding=\"EUC-KR\"?><a>\u{c548}&#128512;"));
        assert_eq!(Charset::default().encode(envelope.into()), envelope.as_bytes());
        assert_eq!((korean.label(), Charset::default().label()), ("euc-kr".into(), "utf-8".into()));
        assert_eq!((Charset::named("utf-16"), Charset::named("nonsense")), (None, None));
    }

    #[test]
    fn the_mark_beats_the_header_beats_the_declaration() {
        assert_eq!(decode(b"\xEF\xBB\xBF<a>\xC3\xA9</a>", Some("iso-8859-1")), "<a>\u{e9}</a>");
        assert_eq!(decode(b"\xFF\xFE<\0a\0/\0>\0", Some("utf-8")), "<a/>");
        assert_eq!(
            decode(b"<?xml encoding='utf-8'?>\xE9", Some("iso-8859-1")),
            "<?xml encoding='utf-8'?>\u{e9}"
        );
        assert_eq!(decode(b"\0<\0a\0/\0>", None), "<a/>");
    }

    #[test]
    fn a_declaration_is_used_when_nothing_else_speaks() {
        let korean = b"<?xml version=\"1.0\" encoding=\"EUC-KR\"?><a>\xBE\xC8</a>";
        assert!(decode(korean, None).ends_with("<a>\u{c548}</a>"));
        assert!(decode(korean, Some("utf-8")).ends_with("<a>\u{c548}</a>"), "octets contradict the header");
        assert!(decode(korean, Some("no-such-charset")).ends_with("<a>\u{c548}</a>"));
    }

    #[test]
    fn a_false_declaration_of_utf_16_is_not_believed() {
        let text = "<?xml version=\"1.0\" encoding=\"utf-16\"?><a>\u{e9}</a>";
        assert_eq!(decode(text.as_bytes(), Some("utf-8")), text);
        assert_eq!(decode(text.as_bytes(), None), text);
    }

    #[test]
    fn us_ascii_with_high_octets_is_utf_8_and_rubbish_is_replaced() {
        assert_eq!(decode("<a>\u{e9}</a>".as_bytes(), Some("us-ascii")), "<a>\u{e9}</a>");
        assert_eq!(decode(b"<a>\xFF</a>", Some("utf-8")), "<a>\u{FFFD}</a>");
    }
}
