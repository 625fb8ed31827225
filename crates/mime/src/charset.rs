//! Text in any charset to UTF-8. Never fails: what cannot be read becomes U+FFFD.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// Turns `octets` into text. A byte order mark decides first, then `label` (a charset name of the
/// IANA registry or the WHATWG list, any case); without either, or with an unknown label, UTF-8 is
/// taken where it is valid and Windows-1252 (a superset of Latin-1) otherwise.
pub fn decode(octets: &[u8], label: Option<&str>) -> String {
    if let Some((encoding, bom_len)) = Encoding::for_bom(octets) {
        return encoding.decode_without_bom_handling(&octets[bom_len..]).0.into_owned();
    }
    match label.and_then(|label| Encoding::for_label(label.trim().as_bytes())) {
        Some(encoding) if !label_is_ascii(label) => {
            encoding.decode_without_bom_handling(octets).0.into_owned()
        }
        _ => guess(octets),
    }
}

/// `us-ascii` is claimed for much that is not: such text is guessed like unlabelled text.
fn label_is_ascii(label: Option<&str>) -> bool {
    label.is_some_and(|label| label.trim().to_ascii_lowercase().contains("ascii"))
}

/// UTF-8 where it is valid, Windows-1252 otherwise; a byte order mark means nothing here.
pub(crate) fn guess(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(octets).0.into_owned(),
    }
}

/// Whether `label` names a charset whose octets are not ASCII where the text is (UTF-16 and the
/// like), so that a line-based transfer coding would harm it.
pub(crate) fn is_wide(label: &str) -> bool {
    let label = label.trim().to_ascii_lowercase();
    label.starts_with("utf-16") || label.starts_with("utf-32") || label.contains("ucs-2")
}

/// The charset this crate writes.
pub(crate) fn written() -> &'static str {
    debug_assert_eq!(UTF_8.name(), "UTF-8");
    "utf-8"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_mark_wins_over_the_label() {
        assert_eq!(decode(b"\xff\xfeh\0i\0", Some("iso-8859-1")), "hi");
        assert_eq!(decode(b"\xfe\xff\0h\0i", Some("utf-8")), "hi");
        assert_eq!(decode("\u{feff}x".as_bytes(), None), "x");
    }

    #[test]
    fn labels_of_the_field() {
        assert_eq!(decode(b"caf\xe9", Some("ISO-8859-1")), "café");
        assert_eq!(decode(b"\xb0\xa1", Some("euc-kr")), "가");
        assert_eq!(decode(b"h\0i\0", Some("UTF-16LE")), "hi");
        assert_eq!(decode("é".as_bytes(), Some("us-ascii")), "é");
        assert_eq!(decode(b"\xe9", None), "é");
        assert_eq!(decode(b"\xe9", Some("no-such-charset")), "é");
        assert_eq!(decode(b"a\xff", Some("utf-8")), "a\u{fffd}");
    }
}
