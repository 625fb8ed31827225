//! The character set of a SOAP part: octets to text.
//!
//! Order of trust (RFC 7303 clause 3): byte order mark, charset of the part or HTTP header, XML
//! declaration, UTF-8. As peers declare what they do not send, a candidate that the octets contradict
//! gives way to the next one.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

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
