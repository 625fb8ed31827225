//! Header blocks of mails and parts (RFC 5322): read tolerantly, written strictly.
//!
//! Knows nothing of what a field means; that is for the codec that asks for it.

use crate::{Limits, charset, words};
use thiserror::Error;

/// One field of a header block that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name in the letter case it came in.
    pub name: String,
    /// The value unfolded and trimmed, encoded words not yet decoded. Octets that are no UTF-8 were
    /// read as Windows-1252.
    pub value: String,
}

/// A header block in the order it came; names compare without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<Field>,
}

impl Headers {
    /// The value of the first field called `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all fields called `name`, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|f| f.value.as_str())
    }

    /// The first field called `name` as text: encoded words (RFC 2047) decoded.
    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(words::decode)
    }

    /// All fields in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Field> {
        self.fields.iter()
    }

    /// Adds a field at the end, for a caller that has the fields of a body from elsewhere (HTTP).
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.fields.push(Field { name: name.into(), value: value.into() });
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Field;
    type IntoIter = std::slice::Iter<'a, Field>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// What a line that is neither field nor continuation means to the reader.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stray {
    /// Skip it: the head of a mail, where agents leave such lines.
    Skip,
    /// The body starts there: a part whose empty line was forgotten.
    Body,
}

/// A header block is larger than its limit.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// Reads the header block at the start of `input`; gives it and where the body begins. Lines end
/// with LF or CRLF; the block ends at an empty line, at a line that starts with `--` (a part
/// without header, or an empty line that was forgotten), or at the end of the input.
pub(crate) fn read_block(input: &[u8], stray: Stray, limits: &Limits) -> Result<(Headers, usize), TooLarge> {
    let mut fields: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut at = 0;
    while at < input.len() {
        let room = &input[at..input.len().min(limits.header_bytes.saturating_add(2))];
        let (line, next) = match memchr::memchr(b'\n', room) {
            Some(end) => (&room[..end], at + end + 1),
            None if at + room.len() == input.len() => (room, input.len()),
            // A part without header whose body has no line breaks.
            None if stray == Stray::Body && split_field(room).is_none() => break,
            None => return Err(TooLarge),
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            at = next;
            break;
        }
        if line.starts_with(b"--") {
            break;
        }
        match split_field(line) {
            _ if matches!(line[0], b' ' | b'\t') => match fields.last_mut() {
                Some((_, value)) => value.extend_from_slice(line),
                None if stray == Stray::Body => break,
                None => {}
            },
            Some((name, value)) => fields.push((name, value.to_vec())),
            None if stray == Stray::Body => break,
            None => {}
        }
        if next > limits.header_bytes || fields.len() > limits.header_fields {
            return Err(TooLarge);
        }
        at = next;
    }
    let fields =
        fields.into_iter().map(|(name, value)| Field { name: name.to_owned(), value: to_text(&value) });
    Ok((Headers { fields: fields.collect() }, at))
}

fn to_text(value: &[u8]) -> String {
    charset::guess(value.trim_ascii())
}

/// `Name: value`. A name starts with a letter or digit, so that markup with a colon in a body is not
/// taken for a field; white space before the colon is forgiven.
fn split_field(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    let legal = name.first()?.is_ascii_alphanumeric() && name.iter().all(u8::is_ascii_graphic);
    let name = std::str::from_utf8(name).ok()?;
    legal.then_some((name, &line[colon + 1..]))
}

/// Why a field cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The name is empty or has a character that may not stand in a name.
    #[error("{name:?} is no header name")]
    Name {
        /// The name as given.
        name: String,
    },
    /// The value has a control character; written, it could start a field of its own.
    #[error("{name}: control character at octet {at}")]
    Control {
        /// The field.
        name: String,
        /// Position in the value.
        at: usize,
    },
    /// The value has a character outside ASCII where no encoded word may stand.
    #[error("{name}: not ASCII at octet {at}")]
    NotAscii {
        /// The field.
        name: String,
        /// Position in the value.
        at: usize,
    },
    /// A word so long that no line of mail holds it (RFC 5322 clause 2.1.1: 998 octets).
    #[error("{name}: a word of {len} octets fits no line")]
    TooLong {
        /// The field.
        name: String,
        /// Octets of the word.
        len: usize,
    },
}

/// Builds a header block: CRLF lines, ASCII only, folded at 76 columns where white space allows
/// and never past 998. A value cannot break out of its field.
#[derive(Debug, Default)]
pub struct HeaderWriter {
    out: Vec<u8>,
}

impl HeaderWriter {
    /// A writer with room for `capacity` octets.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity) }
    }

    /// A writer that goes on where `out` ends; [`finish`](Self::finish) gives it back.
    pub fn append_to(out: Vec<u8>) -> Self {
        Self { out }
    }

    /// Writes a field whose value is ASCII already.
    ///
    /// # Errors
    /// An illegal name, a control character, a character outside ASCII, a word past 998 octets.
    pub fn raw(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        check_name(name)?;
        check_controls(name, value)?;
        if let Some(at) = value.bytes().position(|octet| !octet.is_ascii()) {
            return Err(HeaderError::NotAscii { name: name.to_owned(), at });
        }
        let words = Words(value.trim());
        let longest = words.map(str::len).max().unwrap_or(0);
        if longest + name.len() + 2 > MAX_LINE {
            return Err(HeaderError::TooLong { name: name.to_owned(), len: longest });
        }
        self.start(name);
        let mut column = name.len() + 2;
        for (index, word) in Words(value.trim()).enumerate() {
            if index > 0 && column + word.len() > COLUMNS {
                self.out.extend_from_slice(b"\r\n");
                column = 0;
            }
            self.out.extend_from_slice(word.as_bytes());
            column += word.len();
        }
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Writes a field of free text: as it is where that is safe, else as encoded words (RFC 2047).
    ///
    /// # Errors
    /// An illegal name or a control character.
    pub fn text(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        check_name(name)?;
        check_controls(name, value)?;
        let plain = value.is_ascii()
            && value.trim() == value
            && !value.contains("=?")
            && Words(value).all(|word| word.len() <= MAX_PLAIN_WORD);
        if plain {
            return self.raw(name, value);
        }
        self.start(name);
        words::encode_into(value, name.len() + 2, &mut self.out);
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Ends the block with an empty line and gives the octets.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"\r\n");
        self.out
    }

    fn start(&mut self, name: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
    }
}

/// Columns of a line, and octets of a line, that mail allows (RFC 5322 clause 2.1.1); the first
/// less the two that encoded words leave (RFC 2047 clause 2).
const COLUMNS: usize = 76;
const MAX_LINE: usize = 998;
/// A longer word of free text is put into encoded words, which fold.
const MAX_PLAIN_WORD: usize = 200;

/// Cuts text before each run of spaces: every piece but the first starts with its spaces.
#[derive(Clone, Copy)]
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let spaces = self.0.len() - self.0.trim_start_matches(' ').len();
        let end = self.0[spaces..].find(' ').map_or(self.0.len(), |at| spaces + at);
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

fn check_name(name: &str) -> Result<(), HeaderError> {
    let legal = name.bytes().all(|b| b.is_ascii_graphic() && b != b':') && name.len() < 100;
    match legal && !name.is_empty() {
        true => Ok(()),
        false => Err(HeaderError::Name { name: name.to_owned() }),
    }
}

fn check_controls(name: &str, value: &str) -> Result<(), HeaderError> {
    match value.char_indices().find(|(_, c)| c.is_control()) {
        None => Ok(()),
        Some((at, _)) => Err(HeaderError::Control { name: name.to_owned(), at }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Headers, usize) {
        read_block(text.as_bytes(), Stray::Skip, &Limits::DEFAULT).unwrap()
    }

    #[test]
    fn folds_and_cases() {
        let text = "To: a,\r\n\tb\r\n        \r\nX-mms-ID :1\nstray line\r\nEmpty:\r\n\r\nbody";
        let (headers, body) = read(text);
        assert_eq!(headers.value("to"), Some("a,\tb"));
        assert_eq!(headers.value("X-MMS-Id"), Some("1"));
        assert_eq!(headers.value("empty"), Some(""));
        assert_eq!(headers.iter().count(), 3);
        assert_eq!(&text[body..], "body");
    }

    #[test]
    fn a_block_may_end_with_the_input() {
        let (headers, body) = read("A: 1\r\nB: 2");
        assert_eq!((headers.value("b"), body), (Some("2"), 10));
        assert_eq!(read("A: 1\r\n--b\r\n").1, 6);
    }

    #[test]
    fn a_part_may_forget_the_empty_line() {
        let text = b"Content-Type: text/xml\r\n<a:b/>\r\n";
        let (headers, body) = read_block(text, Stray::Body, &Limits::DEFAULT).unwrap();
        assert_eq!(headers.iter().count(), 1);
        assert_eq!(&text[body..], b"<a:b/>\r\n");
    }

    #[test]
    fn limits_hold() {
        let limits = Limits { header_bytes: 100, header_fields: 3, ..Limits::DEFAULT };
        assert!(read_block(&[b'a'; 10_000_000], Stray::Skip, &limits).is_err());
        assert!(read_block("A:1\n".repeat(4).as_bytes(), Stray::Skip, &limits).is_err());
        assert_eq!(read_block(&[b'a'; 1000], Stray::Body, &limits).unwrap().1, 0);
        assert!(read_block(b"A:1\n\nbody that may be long", Stray::Skip, &limits).is_ok());
    }

    #[test]
    fn nothing_breaks_out_of_a_value() {
        let mut writer = HeaderWriter::default();
        for value in ["a\r\nBcc: x", "a\nb", "a\0b", "a\tb", "a\u{85}b"] {
            assert!(matches!(writer.raw("X", value), Err(HeaderError::Control { at: 1, .. })), "{value:?}");
            assert!(matches!(writer.text("X", value), Err(HeaderError::Control { at: 1, .. })));
        }
        assert!(matches!(writer.raw("X", "é"), Err(HeaderError::NotAscii { .. })));
        assert!(matches!(writer.raw("X:Y", "a"), Err(HeaderError::Name { .. })));
        assert!(matches!(writer.raw("", "a"), Err(HeaderError::Name { .. })));
        assert!(matches!(writer.raw("X", &"a".repeat(998)), Err(HeaderError::TooLong { .. })));
        assert_eq!(writer.finish(), b"\r\n");
    }

    proptest! {
        #[test]
        fn written_then_read(raw in "[!-~ ]{0,400}", text in "[ -~é€😀]{0,200}") {
            let mut writer = HeaderWriter::default();
            writer.raw("X-Raw", &raw).unwrap();
            writer.text("Subject", text.trim()).unwrap();
            let block = writer.finish();
            prop_assert!(block.is_ascii());
            let folded_well = block.split(|&b| b == b'\n').all(|l| l.len() <= 998 && l != b" \r");
            prop_assert!(folded_well);
            let (headers, end) = read_block(&block, Stray::Skip, &Limits::DEFAULT).unwrap();
            prop_assert_eq!(end, block.len());
            prop_assert_eq!(headers.value("x-raw"), Some(raw.trim()));
            prop_assert_eq!(headers.text("subject"), Some(text.trim().to_owned()));
        }

        #[test]
        fn any_octets_are_read(input in prop::collection::vec(any::<u8>(), 0..500)) {
            let (_, end) = read_block(&input, Stray::Body, &Limits::DEFAULT).unwrap();
            prop_assert!(end <= input.len());
        }
    }
}
