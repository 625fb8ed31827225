//! Encoded words in header text (RFC 2047): the only room that knows how they are computed.

use crate::charset;
use encodify::{Fold, rfc2047};

/// Reads unstructured header text (`Subject` and the like): folds become one space, encoded words
/// of any charset are decoded, broken ones stay as they are.
pub fn decode(value: &str) -> String {
    rfc2047::decode_text(value.as_bytes(), |label, octets, out| {
        let label = std::str::from_utf8(label).ok();
        out.push_str(&charset::decode(octets, label));
    })
    .into_owned()
}

/// Appends `text` as UTF-8 encoded words, folded at 76 columns; `column` is where the line stands.
/// Takes the shorter of the "B" and "Q" forms.
pub(crate) fn encode_into(text: &str, mut column: usize, out: &mut Vec<u8>) {
    let (b, q) = (rfc2047::B, rfc2047::Q_TEXT);
    let encoder = if q.payload_len(text) <= b.payload_len(text) { q } else { b };
    encoder.encode_words(charset::written(), text, &mut column, Fold::HEADER, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_of_several_charsets() {
        assert_eq!(decode("=?iso-8859-1?q?caf=E9?= =?UTF-8?B?4oKs?= ok"), "café€ ok");
        assert_eq!(decode("=?euc-kr?b?sKE=?="), "가");
        assert_eq!(decode("plain  text"), "plain  text");
        assert_eq!(decode("=?utf-8?x?broken?="), "=?utf-8?x?broken?=");
    }

    proptest! {
        #[test]
        fn words_come_back(text in "[ -~éא€😀]{1,200}") {
            prop_assume!(text.trim() == text);
            let mut out = Vec::new();
            encode_into(&text, 9, &mut out);
            prop_assert!(out.is_ascii());
            let out = String::from_utf8(out).unwrap();
            let field = ["Subject: ", &out].concat();
            prop_assert!(field.split("\r\n").all(|line| line.len() <= 76));
            prop_assert_eq!(decode(&out), text);
        }

        #[test]
        fn any_text_is_read(text in any::<String>()) {
            let _ = decode(&text);
        }
    }
}
