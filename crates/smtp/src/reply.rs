//! Replies (RFC 5321 section 4.2): the type, its writer, the usual ones, and the reader of a client.
//!
//! What is written is cleaned here, so that no text of a caller can begin another line. What is read has limits, and
//! anything that is not a reply is an error, never a guess.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use smtp_proto::response::parser::ResponseReceiver;
use thiserror::Error;

/// Most octets of one reply, all its lines together.
pub const MAX_REPLY: usize = 4096;
/// Most octets a client holds that it has not looked at.
pub const MAX_UNREAD: usize = 256 * 1024;
/// Longest line written: RFC 5321 section 4.5.3.1.5 allows 512 octets with code and CRLF.
const MAX_TEXT: usize = 480;

/// An enhanced status code: class, subject, detail (RFC 3463).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enhanced(pub u8, pub u8, pub u8);

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One reply of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<Enhanced>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply with an enhanced code. `text` may have several lines, parted by LF. A code outside 200 to 599 is made
    /// 451, so that the peer comes again.
    #[must_use]
    pub fn new(code: u16, enhanced: Enhanced, text: impl Into<Cow<'static, str>>) -> Self {
        Self { enhanced: Some(enhanced), ..Self::bare(code, text) }
    }

    /// A reply without an enhanced code, as for the greeting, EHLO and every 3xx.
    #[must_use]
    pub fn bare(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        let code = if (200..600).contains(&code) { code } else { 451 };
        Self { code, enhanced: None, text: text.into() }
    }

    /// The three digits.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, if there is one.
    #[must_use]
    pub fn enhanced(&self) -> Option<Enhanced> {
        self.enhanced
    }

    /// The text, its lines parted by LF.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// 2xx: done.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3xx: go on.
    #[must_use]
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4xx: not now.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx: never.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Whether it refuses, for now or for ever.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.code >= 400
    }

    /// Appends the reply as it goes over the wire. Control characters and what is not ASCII become `?`; long lines
    /// are broken.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut pieces = self.text.split('\n').flat_map(pieces).peekable();
        while let Some(piece) = pieces.next() {
            let separator = if pieces.peek().is_some() { '-' } else { ' ' };
            out.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(format!("{enhanced} ").as_bytes());
            }
            out.extend(piece.iter().map(|&octet| if (b' '..=b'~').contains(&octet) { octet } else { b'?' }));
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Reads one whole reply that [`ReplyReader`] framed.
    fn read(octets: &[u8]) -> Result<Self, ReplyError> {
        let read = ResponseReceiver::default().parse(&mut octets.iter()).map_err(|_| ReplyError::Garbage)?;
        let [class, subject, detail] = read.esc;
        let enhanced =
            (class != 0 && u16::from(class) == read.code / 100).then_some(Enhanced(class, subject, detail));
        Ok(Self { code: read.code, enhanced, text: read.message.into() })
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.text.escape_debug())
    }
}

/// The replies everybody needs; sessions use them, callers may.
impl Reply {
    /// 250 for a command.
    #[must_use]
    pub fn ok() -> Self {
        Self::new(250, Enhanced(2, 0, 0), "OK")
    }

    /// 250 for a mail that is stored under this id.
    #[must_use]
    pub fn stored(id: &str) -> Self {
        Self::new(250, Enhanced(2, 0, 0), format!("OK, stored as {id}"))
    }

    /// 452: no room for a mail at present.
    #[must_use]
    pub fn no_room() -> Self {
        Self::new(452, Enhanced(4, 3, 1), "no room at present")
    }

    /// 421: no room for a mail, not even to read it to its end.
    #[must_use]
    pub fn no_room_at_all() -> Self {
        Self::new(421, Enhanced(4, 3, 1), "no room for more mails at present, try again later")
    }

    /// 451: our own trouble; the peer shall come again.
    #[must_use]
    pub fn local_error() -> Self {
        Self::new(451, Enhanced(4, 3, 0), "local trouble, try again later")
    }

    /// 421: the server closes, because it is told to.
    #[must_use]
    pub fn shutting_down() -> Self {
        Self::new(421, Enhanced(4, 3, 2), "closing down, try again later")
    }

    /// 421: the peer kept silent for too long.
    #[must_use]
    pub fn timed_out() -> Self {
        Self::new(421, Enhanced(4, 4, 2), "waited too long, closing")
    }

    /// 421: more connections than this peer or this server may have.
    #[must_use]
    pub fn too_many_connections() -> Self {
        Self::new(421, Enhanced(4, 7, 0), "too many connections, try again later")
    }

    /// 550: no such recipient here.
    #[must_use]
    pub fn unknown_recipient() -> Self {
        Self::new(550, Enhanced(5, 1, 1), "no such recipient here")
    }

    /// 550: the peer may not do this.
    #[must_use]
    pub fn not_permitted() -> Self {
        Self::new(550, Enhanced(5, 7, 1), "not permitted")
    }

    /// 535: wrong user name or password.
    #[must_use]
    pub fn wrong_credentials() -> Self {
        Self::new(535, Enhanced(5, 7, 8), "wrong user name or password")
    }

    /// 552: more octets than a mail may have.
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(552, Enhanced(5, 3, 4), "the mail is larger than the limit")
    }
}

/// Why octets are not a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// Not three digits from 200 to 599 and a separator, or another code within one reply.
    #[error("not an SMTP reply")]
    Garbage,
    /// More than [`MAX_REPLY`] octets.
    #[error("a reply of more than {MAX_REPLY} octets")]
    TooLong,
    /// More than [`MAX_UNREAD`] octets that nobody asked for.
    #[error("more than {MAX_UNREAD} octets of replies at once")]
    Flood,
}

/// Cuts what arrives into whole replies.
#[derive(Debug, Default)]
pub(crate) struct ReplyReader {
    input: Vec<u8>,
    at: usize,
    flooded: bool,
}

impl ReplyReader {
    pub(crate) fn receive(&mut self, octets: &[u8]) {
        if self.input.len() - self.at + octets.len() > MAX_UNREAD {
            self.flooded = true;
            return;
        }
        if self.at > 0 {
            self.input.drain(..self.at);
            self.at = 0;
        }
        self.input.extend_from_slice(octets);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.input.len() && !self.flooded
    }

    /// The octets of the next whole reply, if it is there.
    pub(crate) fn next_octets(&mut self) -> Result<Option<&[u8]>, ReplyError> {
        if self.flooded {
            return Err(ReplyError::Flood);
        }
        let start = self.at;
        let Some(len) = reply_len(&self.input[start..])? else { return Ok(None) };
        self.at += len;
        Ok(Some(&self.input[start..start + len]))
    }

    /// The next whole reply, if it is there, together with its octets.
    pub(crate) fn next_reply(&mut self) -> Result<Option<(Reply, &[u8])>, ReplyError> {
        self.next_octets()?.map(|octets| Ok((Reply::read(octets)?, octets))).transpose()
    }
}

/// The length of the reply at the beginning, when all of it is there.
fn reply_len(input: &[u8]) -> Result<Option<usize>, ReplyError> {
    let window = &input[..input.len().min(MAX_REPLY)];
    let mut at = 0;
    loop {
        let rest = &window[at..];
        let Some(end) = memchr(b'\n', rest) else {
            check_start(rest, window)?;
            return if input.len() >= MAX_REPLY { Err(ReplyError::TooLong) } else { Ok(None) };
        };
        let line = &rest[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        check_start(line, window)?;
        if line.len() < 3 {
            return Err(ReplyError::Garbage);
        }
        at += end + 1;
        if line.get(3) != Some(&b'-') {
            return Ok(Some(at));
        }
    }
}

/// Checks as much of a line's code and separator as there is; the code must be the first line's.
fn check_start(line: &[u8], first: &[u8]) -> Result<(), ReplyError> {
    let code = &line[..line.len().min(3)];
    let digits = code.iter().enumerate().all(|(at, octet)| match at {
        0 => (b'2'..=b'5').contains(octet),
        _ => octet.is_ascii_digit() || (line.len() < 3 && *octet == b'\r'),
    });
    let separated = matches!(line.get(3), None | Some(b' ' | b'-' | b'\r'));
    if digits && separated && first.starts_with(code) { Ok(()) } else { Err(ReplyError::Garbage) }
}

/// One line of text in pieces that fit a line; at least one piece.
fn pieces(line: &str) -> impl Iterator<Item = &[u8]> {
    let line = line.strip_suffix('\r').unwrap_or(line).as_bytes();
    let empty = line.is_empty().then_some(line);
    line.chunks(MAX_TEXT).chain(empty)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(octets: &[u8], chunk: usize) -> Result<Vec<Reply>, ReplyError> {
        let mut reader = ReplyReader::default();
        let mut replies = Vec::new();
        for piece in octets.chunks(chunk) {
            reader.receive(piece);
            while let Some((reply, _)) = reader.next_reply()? {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    #[test]
    fn replies_of_many_kinds() {
        let wire = b"250-a\r\n250-b\r\n250 c\r\n550-5.1.1 no\r\n550 5.1.1 such\r\n250\r\n354 go\n";
        for chunk in 1..wire.len() {
            let replies = read_all(wire, chunk).unwrap();
            assert_eq!(replies.len(), 4, "{chunk}");
            assert_eq!(replies[0].text(), "a\nb\nc");
            assert_eq!(replies[1], Reply::new(550, Enhanced(5, 1, 1), "no\nsuch"));
            assert_eq!((replies[2].code(), replies[3].code()), (250, 354));
        }
    }

    #[test]
    fn garbage_is_an_error() {
        let garbage: [&[u8]; 9] = [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\r\n",
            b"25\r\n",
            b"250-a\r\n251 b\r\n",
            b"199 x\r\n",
            b"600 x\r\n",
            b"250x\r\n",
            b"\xff\xfe\0\0",
            b"250-a\r\n\r\n",
        ];
        for octets in garbage {
            assert_eq!(read_all(octets, 1), Err(ReplyError::Garbage), "{octets:?}");
            assert_eq!(read_all(octets, 100), Err(ReplyError::Garbage), "{octets:?}");
        }
    }

    #[test]
    fn replies_have_a_limit() {
        assert_eq!(read_all(&b"250-more\r\n".repeat(1000), 100), Err(ReplyError::TooLong));
        let long = [b"250 ".as_slice(), &b"x".repeat(5000)].concat();
        assert_eq!(read_all(&long, 100), Err(ReplyError::TooLong));
        let mut reader = ReplyReader::default();
        reader.receive(&vec![b'2'; MAX_UNREAD + 1]);
        assert_eq!(reader.next_reply(), Err(ReplyError::Flood));
    }

    #[test]
    fn a_class_that_contradicts_the_code_is_not_believed() {
        assert_eq!(read_all(b"250 5.1.1 odd\r\n", 100).unwrap()[0].enhanced(), None);
    }

    #[test]
    fn no_text_begins_another_line() {
        let mut wire = Vec::new();
        Reply::new(550, Enhanced(5, 0, 0), "a\r250 b\0\u{e9}\r\nc").write(&mut wire);
        assert_eq!(wire, b"550-5.0.0 a?250 b???\r\n550 5.0.0 c\r\n");
        assert_eq!(Reply::bare(7, "").code(), 451);
    }

    proptest! {
        #[test]
        fn written_and_read_back(code in 200u16..600, text in "\\PC{0,600}", detail in 0u8..100) {
            let reply = Reply::new(code, Enhanced((code / 100) as u8, 1, detail), text);
            let mut wire = Vec::new();
            reply.write(&mut wire);
            prop_assert!(wire.split(|&octet| octet == b'\n').all(|line| line.len() < 512));
            let read = read_all(&wire, 7).unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!((read[0].code(), read[0].enhanced()), (reply.code(), reply.enhanced()));
        }

        #[test]
        fn octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..300), chunk in 1usize..50) {
            let _ = read_all(&octets, chunk);
        }
    }
}
