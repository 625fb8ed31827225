//! Content transfer codings (RFC 2045 clause 6): the only room that knows how base64 and
//! quoted-printable are computed.

use bytes::Bytes;
use encodify::{base64, qp};

/// How the octets of a body are put on the wire (RFC 2045 clause 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Lines of ASCII, as they are.
    SevenBit,
    /// Lines of any octets, as they are.
    EightBit,
    /// Octets as they are.
    Binary,
    /// Base64 in lines of 76 columns.
    Base64,
    /// Quoted-printable.
    QuotedPrintable,
}

impl Coding {
    /// Reads a `Content-Transfer-Encoding` value: any case, white space and comments round it
    /// ignored. `None` for a coding nobody defined; such a body is best taken as it is.
    pub fn read(value: &str) -> Option<Self> {
        let word = value.split([';', '(']).next().unwrap_or_default().trim().trim_matches('"');
        let known = [Self::SevenBit, Self::EightBit, Self::Binary, Self::Base64, Self::QuotedPrintable];
        known.into_iter().find(|coding| coding.as_str().eq_ignore_ascii_case(word))
    }

    /// The word as written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Binary => "binary",
            Self::Base64 => "base64",
            Self::QuotedPrintable => "quoted-printable",
        }
    }

    /// The octets behind `body`. Uncoded bodies are the same shared octets, nothing is copied.
    /// Damaged base64 and quoted-printable give what can be read (RFC 2045 clause 6.8: characters
    /// outside the alphabet are skipped).
    pub fn decode(self, body: &Bytes) -> Bytes {
        match self {
            Self::SevenBit | Self::EightBit | Self::Binary => body.clone(),
            Self::Base64 => Bytes::from(decode_base64(body)),
            Self::QuotedPrintable => decode_quoted_printable(body),
        }
    }

    /// Exact or upper-bound length of `body` once encoded, to reserve room.
    pub(crate) fn encoded_len(self, body: &[u8]) -> usize {
        match self {
            Self::SevenBit | Self::EightBit | Self::Binary => body.len(),
            Self::Base64 => base64::MIME.encoded_len(body.len()),
            Self::QuotedPrintable => quoting(body).encoded_len(body),
        }
    }

    /// Appends the encoded `body` to `out`.
    pub(crate) fn encode_into(self, body: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::SevenBit | Self::EightBit | Self::Binary => out.extend_from_slice(body),
            Self::Base64 => drop(base64::MIME.encode_append(body, out)),
            Self::QuotedPrintable => drop(quoting(body).encode_append(body, out)),
        }
    }

    /// The coding for a textual body that must pass a 7-bit mail path: as it is where it is ASCII in
    /// short CRLF lines, else the shorter of quoted-printable and base64. Lines that agents escape
    /// make it base64, as quoted-printable would leave them as they are.
    pub(crate) fn for_text(body: &[u8]) -> Self {
        if is_seven_bit(body) {
            return Self::SevenBit;
        }
        if body.split(|&b| b == b'\n').any(line_is_touchy) {
            return Self::Base64;
        }
        let limit = base64::MIME.encoded_len(body.len());
        match quoting(body).encoded_len_within(body, limit) {
            Some(_) => Self::QuotedPrintable,
            None => Self::Base64,
        }
    }
}

/// Whether `body` is ASCII text in CRLF lines of at most 76 octets, so that no mail agent has a
/// reason to touch it.
fn is_seven_bit(body: &[u8]) -> bool {
    let clean = body.iter().all(|&b| matches!(b, b'\t' | b'\r' | b'\n' | 0x20..=0x7e));
    clean && breaks_are_crlf(body) && body.split(|&b| b == b'\n').all(line_is_plain)
}

/// No longer than 76 without its CR, no white space at its end (agents strip it), and not touchy.
fn line_is_plain(line: &[u8]) -> bool {
    let plain = line.strip_suffix(b"\r").unwrap_or(line);
    plain.len() <= 76 && !plain.ends_with(b" ") && !plain.ends_with(b"\t") && !line_is_touchy(line)
}

/// A lone dot, or `From ` at its start: lines with a meaning to mail agents and mailbox files.
fn line_is_touchy(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line == b"." || line == b".\r"
}

/// Quoted-printable that gives back exactly the octets put in: line breaks stay line breaks only
/// where all of them are CRLF, else they are escaped.
fn quoting(body: &[u8]) -> qp::QuotedPrintable {
    if breaks_are_crlf(body) { qp::BODY } else { qp::BINARY }
}

/// Every LF follows a CR and every CR precedes an LF.
fn breaks_are_crlf(body: &[u8]) -> bool {
    memchr::memchr2_iter(b'\r', b'\n', body).all(|at| match body[at] {
        b'\r' => body.get(at + 1) == Some(&b'\n'),
        _ => at > 0 && body[at - 1] == b'\r',
    })
}

fn decode_base64(body: &[u8]) -> Vec<u8> {
    base64::MIME.decode(body).unwrap_or_else(|_| {
        let end = memchr::memchr(b'=', body).unwrap_or(body.len());
        let mut kept: Vec<u8> = body[..end].iter().copied().filter(is_base64).collect();
        if kept.len() % 4 == 1 {
            kept.pop();
        }
        base64::LENIENT.decode(&kept).unwrap_or_default()
    })
}

fn is_base64(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/')
}

fn decode_quoted_printable(body: &Bytes) -> Bytes {
    match qp::BODY.decode(body.as_ref()) {
        Ok(std::borrow::Cow::Owned(octets)) => Bytes::from(octets),
        Ok(std::borrow::Cow::Borrowed(_)) | Err(_) => body.clone(),
    }
}

/// Percent escapes of RFC 2231 clause 4 and RFC 3986: `%41` gives `A`; a percent sign that starts
/// no escape stays.
pub fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

fn hex(digit: u8) -> u8 {
    (digit as char).to_digit(16).map_or(0, |value| value as u8)
}

/// Escapes every octet that RFC 2231 does not allow bare in an extended value (`attribute-char`).
pub(crate) fn percent_encode(text: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&octet) {
            out.push(octet as char);
        } else {
            out.push('%');
            out.push(DIGITS[usize::from(octet >> 4)] as char);
            out.push(DIGITS[usize::from(octet & 15)] as char);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Base64 by the table of RFC 4648, slow and plain, to hold the library against.
    fn plain_base64(input: &[u8]) -> String {
        const TABLE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for chunk in input.chunks(3) {
            let word = chunk.iter().enumerate().fold(0u32, |w, (i, &b)| w | u32::from(b) << (16 - 8 * i));
            for i in 0..4 {
                let digit = TABLE[(word >> (18 - 6 * i) & 63) as usize] as char;
                out.push(if i <= chunk.len() { digit } else { '=' });
            }
        }
        out
    }

    proptest! {
        #[test]
        fn base64_agrees_with_the_table(body in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut out = Vec::new();
            Coding::Base64.encode_into(&body, &mut out);
            prop_assert_eq!(out.len(), Coding::Base64.encoded_len(&body));
            let text = String::from_utf8(out.clone()).unwrap();
            prop_assert!(text.split("\r\n").all(|line| line.len() <= 76));
            prop_assert_eq!(text.replace("\r\n", ""), plain_base64(&body));
            prop_assert_eq!(Coding::Base64.decode(&Bytes::from(out)), body);
        }

        #[test]
        fn text_codings_give_back_what_was_put_in(text in "([ -~éא\t\r\n=.]|\r\n|From ){0,300}") {
            let coding = Coding::for_text(text.as_bytes());
            let mut out = Vec::new();
            coding.encode_into(text.as_bytes(), &mut out);
            prop_assert!(out.is_ascii());
            prop_assert!(out.split(|&b| b == b'\n').all(|line| line.len() <= 77));
            prop_assert_eq!(coding.decode(&Bytes::from(out)), text.as_bytes());
        }

        #[test]
        fn quoted_printable_of_any_octets(body in prop::collection::vec(any::<u8>(), 0..500)) {
            let mut out = Vec::new();
            Coding::QuotedPrintable.encode_into(&body, &mut out);
            prop_assert_eq!(Coding::QuotedPrintable.decode(&Bytes::from(out)), body);
        }

        #[test]
        fn decoding_any_octets_never_panics(body in prop::collection::vec(any::<u8>(), 0..500)) {
            let body = Bytes::from(body);
            for coding in [Coding::Base64, Coding::QuotedPrintable] {
                prop_assert!(coding.decode(&body).len() <= body.len());
            }
        }

        #[test]
        fn percent_escapes_come_back(text in any::<String>()) {
            let mut out = String::new();
            percent_encode(&text, &mut out);
            prop_assert!(out.is_ascii());
            prop_assert_eq!(percent_decode(out.as_bytes()), text.as_bytes());
        }
    }

    #[test]
    fn damaged_base64_gives_what_can_be_read() {
        let read = |text: &'static str| Coding::Base64.decode(&Bytes::from_static(text.as_bytes()));
        assert_eq!(read("aGVs\nbG8=\n\n"), "hello");
        assert_eq!(read("aGVs-*bG8"), "hello");
        assert_eq!(read("aGVsbG8\u{e9}"), "hello");
        assert_eq!(read(""), "");
    }

    #[test]
    fn coding_names_in_any_case() {
        assert_eq!(Coding::read(" BASE64 "), Some(Coding::Base64));
        assert_eq!(Coding::read("Quoted-Printable (old)"), Some(Coding::QuotedPrintable));
        assert_eq!(Coding::read("x-uuencode"), None);
    }

    #[test]
    fn lines_an_agent_would_touch_are_quoted() {
        assert_eq!(Coding::for_text(b"short\r\nlines"), Coding::SevenBit);
        for quoted in [&b"trail \r\nx"[..], b"a long line\nb", &[b'x'; 77]] {
            assert_eq!(Coding::for_text(quoted), Coding::QuotedPrintable, "{quoted:?}");
        }
        for touchy in [&b"From me"[..], b"a\r\n.\r\nb"] {
            assert_eq!(Coding::for_text(touchy), Coding::Base64, "{touchy:?}");
        }
        assert_eq!(Coding::for_text("שלום שלום".as_bytes()), Coding::Base64);
    }
}
