//! Lines and dots: what a mail looks like on the wire (RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2).
//!
//! The end of a mail is CRLF.CRLF and nothing else, and a CR or LF that stands alone is never a line ending: peers
//! that disagree on this let one mail smuggle in another. Everything here works on runs found by `memchr`.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};
use thiserror::Error;

/// What follows a dot-stuffed mail that ends with CRLF.
pub const END_OF_DATA: &[u8] = b".\r\n";

/// What must follow this dot-stuffed mail after DATA: the final dot, on a line of its own.
#[must_use]
pub fn end_of_data(mail: &[u8]) -> &'static [u8] {
    if mail.is_empty() || mail.ends_with(b"\r\n") { END_OF_DATA } else { b"\r\n.\r\n" }
}

/// Doubles the dots that begin a line (RFC 5321 section 4.5.2). Borrows when there is none. The part must not begin
/// between a CR and its LF.
///
/// `at_line_start` says that the part begins a line: the first part of a mail, or one after a CRLF.
#[must_use]
pub fn dot_stuff(part: &[u8], at_line_start: bool) -> Cow<'_, [u8]> {
    let first = (at_line_start && part.first() == Some(&b'.')).then_some(0);
    let finder = memmem::Finder::new(b"\r\n.");
    let mut dots = first.into_iter().chain(finder.find_iter(part).map(|at| at + 2)).peekable();
    if dots.peek().is_none() {
        return Cow::Borrowed(part);
    }
    let mut stuffed = Vec::with_capacity(part.len() + part.len() / 64 + 8);
    let mut from = 0;
    for dot in dots {
        stuffed.extend_from_slice(&part[from..=dot]);
        from = dot;
    }
    stuffed.extend_from_slice(&part[from..]);
    Cow::Owned(stuffed)
}

/// A CR or LF that stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a lone CR or LF at {at}")]
pub struct LoneLineEnding {
    /// Its offset in the octets.
    pub at: usize,
}

/// Checks that every CR is followed by LF and every LF follows a CR, as SMTP demands of each mail.
///
/// # Errors
/// [`LoneLineEnding`] with the offset of the first that is not so.
pub fn check_line_endings(octets: &[u8]) -> Result<(), LoneLineEnding> {
    let mut from = 0;
    while let Some(found) = memchr2(b'\r', b'\n', &octets[from..]) {
        let at = from + found;
        if !octets[at..].starts_with(b"\r\n") {
            return Err(LoneLineEnding { at });
        }
        from = at + 2;
    }
    Ok(())
}

/// What stands at the beginning of a server's input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// No whole line yet.
    Incomplete,
    /// A line of this many octets, CRLF included, without another CR, LF or NUL.
    Line(usize),
    /// A lone CR, LF, or a NUL: the line must not be believed.
    Broken,
    /// No line ending within the limit.
    TooLong,
}

/// Finds the first command line.
pub(crate) fn frame(input: &[u8], max_line: usize) -> Frame {
    let window = &input[..input.len().min(max_line)];
    let Some(end) = memchr(b'\n', window) else {
        return if input.len() >= max_line { Frame::TooLong } else { Frame::Incomplete };
    };
    match window[..end].split_last() {
        Some((b'\r', head)) if memchr2(b'\r', 0, head).is_none() => Frame::Line(end + 1),
        _ => Frame::Broken,
    }
}

/// How many octets to drop so that what follows begins behind a CRLF; the flag says that it was found. A CR at the
/// very end is kept for the next look.
pub(crate) fn skip_line(input: &[u8]) -> (usize, bool) {
    match memmem::find(input, b"\r\n") {
        Some(at) => (at + 2, true),
        None if input.last() == Some(&b'\r') => (input.len() - 1, false),
        None => (input.len(), false),
    }
}

/// Reads a mail after DATA: takes the doubled dots away and stops behind CRLF.CRLF. What is not wanted (too large,
/// lone line endings) is swallowed to the same end, so that the session stays in step.
#[derive(Debug)]
pub(crate) struct DataReader {
    mail: Vec<u8>,
    max_size: usize,
    seen: u64,
    position: Position,
    fault: Option<DataFault>,
}

/// Why a mail that was read to its end is not given on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataFault {
    TooLarge,
    LoneLineEnding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    LineStart,
    /// Behind a dot that began a line; the dot is not stored.
    Dot,
    /// Behind such a dot and a CR.
    DotCr,
    Within,
    Cr,
}

impl DataReader {
    pub(crate) fn new(max_size: usize, expected: u64) -> Self {
        let capacity = usize::try_from(expected).unwrap_or(max_size).min(max_size).min(FIRST_CAPACITY);
        Self {
            mail: Vec::with_capacity(capacity),
            max_size,
            seen: 0,
            position: Position::LineStart,
            fault: None,
        }
    }

    /// Octets read so far, also those that were swallowed.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The mail, or why there is none; to be called when [`DataReader::read`] said that it has ended.
    pub(crate) fn finish(self) -> Result<Vec<u8>, DataFault> {
        self.fault.map_or(Ok(self.mail), Err)
    }

    /// Takes octets; says how many belong to this mail and whether it has ended.
    pub(crate) fn read(&mut self, octets: &[u8]) -> (usize, bool) {
        let mut at = 0;
        let mut ended = false;
        while let Some(&octet) = octets.get(at)
            && !ended
        {
            match (self.position, octet) {
                (Position::LineStart, b'.') => (self.position, at) = (Position::Dot, at + 1),
                (Position::Dot, b'\r') => (self.position, at) = (Position::DotCr, at + 1),
                (Position::DotCr, b'\n') => (ended, at) = (true, at + 1),
                (Position::Cr, b'\n') => {
                    self.keep(b"\n");
                    (self.position, at) = (Position::LineStart, at + 1);
                }
                (Position::DotCr | Position::Cr, _) => {
                    self.refuse(DataFault::LoneLineEnding);
                    self.position = Position::Within;
                }
                (Position::LineStart | Position::Dot | Position::Within, _) => at += self.run(&octets[at..]),
            }
        }
        self.seen += at as u64;
        (at, ended)
    }

    /// Keeps everything up to the next line that begins with a dot, or to the end of what is there.
    fn run(&mut self, octets: &[u8]) -> usize {
        let mut at = 0;
        self.position = Position::Within;
        while let Some(found) = memchr2(b'\r', b'\n', &octets[at..]) {
            at += found;
            match &octets[at..] {
                [b'\r'] => {
                    self.position = Position::Cr;
                    at += 1;
                }
                [b'\r', b'\n', rest @ ..] => {
                    at += 2;
                    if matches!(rest.first(), None | Some(b'.')) {
                        self.position = Position::LineStart;
                        self.keep(&octets[..at]);
                        return at;
                    }
                }
                _ => {
                    self.refuse(DataFault::LoneLineEnding);
                    at += 1;
                }
            }
        }
        if self.position == Position::Within {
            at = octets.len();
        }
        self.keep(&octets[..at]);
        at
    }

    fn keep(&mut self, run: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        if run.len() > self.max_size - self.mail.len() {
            self.refuse(DataFault::TooLarge);
        } else {
            self.mail.extend_from_slice(run);
        }
    }

    fn refuse(&mut self, fault: DataFault) {
        self.fault.get_or_insert(fault);
        self.mail = Vec::new();
    }
}

/// A declared size reserves at most this much before octets really come.
const FIRST_CAPACITY: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn read_in(chunks: usize, wire: &[u8], max: usize) -> (usize, Option<Result<Vec<u8>, DataFault>>) {
        let mut reader = DataReader::new(max, 0);
        let mut total = 0;
        for chunk in wire.chunks(chunks) {
            let (used, ended) = reader.read(chunk);
            total += used;
            if ended {
                return (total, Some(reader.finish()));
            }
        }
        (total, None)
    }

    #[test]
    fn only_crlf_dot_crlf_ends_a_mail() {
        let fakes: [&[u8]; 14] = [
            b"a\n.\n",
            b"a\r\n.\n",
            b"a\n.\r\n",
            b"a\r.\r",
            b"a\r\n.\r",
            b"a\r.\r\n",
            b"a\n.\r",
            b"a\r\n.\rb\r\n",
            b"a\r\n.\0\r\n",
            b"a\r\r\n.\n",
            b"a\r\n.\r\r\n",
            b"\n.\n",
            b".\n",
            b".\rX",
        ];
        for fake in fakes {
            let smuggled = [fake, b"MAIL FROM:<evil@x>\r\n.\r\nRSET\r\n"].concat();
            for size in 1..=smuggled.len() {
                let (used, mail) = read_in(size, &smuggled, 1000);
                assert_eq!(&smuggled[used..], b"RSET\r\n", "{fake:?} in pieces of {size}");
                let strange = fake != b"a\r\n.\0\r\n";
                assert_eq!(mail.unwrap().is_err(), strange, "{fake:?}");
            }
        }
    }

    #[test]
    fn an_empty_mail_is_a_lone_dot() {
        assert_eq!(read_in(1, b".\r\nQUIT", 10), (3, Some(Ok(Vec::new()))));
    }

    #[test]
    fn too_large_is_swallowed_to_the_end() {
        let wire = [b"x".repeat(100), b"\r\n.\r\nNOOP\r\n".to_vec()].concat();
        for size in [1, 7, 200] {
            assert_eq!(read_in(size, &wire, 50), (105, Some(Err(DataFault::TooLarge))));
        }
        assert_eq!(read_in(3, b"12345678\r\n.\r\n", 10), (13, Some(Ok(b"12345678\r\n".to_vec()))));
    }

    #[test]
    fn frames() {
        assert_eq!(frame(b"NOOP\r\nX", 100), Frame::Line(6));
        assert_eq!(frame(b"NOOP\r", 100), Frame::Incomplete);
        for broken in [&b"NOOP\n"[..], b"NO\rOP\r\n", b"\n", b"NO\0OP\r\n", b"A\nB\r\n", b"NOOP\r\r\n"] {
            assert_eq!(frame(broken, 100), Frame::Broken, "{broken:?}");
        }
        assert_eq!(frame(&[b'a'; 100], 100), Frame::TooLong);
        assert_eq!(skip_line(b"abc\r\nd"), (5, true));
        assert_eq!(skip_line(b"abc\r"), (3, false));
        assert_eq!(skip_line(b"a\nc"), (3, false));
    }

    #[test]
    fn line_endings() {
        assert_eq!(check_line_endings(b"a\r\nb\r\n"), Ok(()));
        assert_eq!(check_line_endings(b"a\r\nb\n"), Err(LoneLineEnding { at: 4 }));
        assert_eq!(check_line_endings(b"a\r\r\n"), Err(LoneLineEnding { at: 1 }));
        assert_eq!(check_line_endings(b"a\r"), Err(LoneLineEnding { at: 1 }));
    }

    #[test]
    fn stuffing_borrows_when_it_can() {
        assert!(matches!(dot_stuff(b"a\r\nb", true), Cow::Borrowed(_)));
        assert!(matches!(dot_stuff(b".a", false), Cow::Borrowed(_)));
        assert_eq!(&*dot_stuff(b".a\r\n.\r\n..b", true), b"..a\r\n..\r\n...b");
        assert_eq!(end_of_data(b"a"), b"\r\n.\r\n");
        assert_eq!(end_of_data(b"a\r\n"), b".\r\n");
        assert_eq!(end_of_data(b""), b".\r\n");
    }

    #[test]
    fn large_mails_go_at_memory_speed() {
        let line = [
            b"VGhpcyBpcyBhIGxpbmUgb2YgYmFzZTY0IHRoYXQgaXMgc2V2ZW50eS1zaXggb2N0ZXRzIGxvbmc=".as_slice(),
            b"\r\n",
        ]
        .concat();
        let mail = line.repeat(400 * 1024 / line.len());
        let start = Instant::now();
        for _ in 0..20 {
            let wire = [&*dot_stuff(&mail, true), END_OF_DATA].concat();
            assert_eq!(read_in(65_536, &wire, 1 << 20).1.unwrap().unwrap().len(), mail.len());
        }
        // 8 MB both ways, without optimisation and on a busy machine; octet by octet it takes many times this.
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn stuffed_and_read_back(
            lines in prop::collection::vec("[.a]{0,4}", 0..12),
            split in 0usize..64,
            chunk in 1usize..20,
        ) {
            let mail: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
            let mut split = split.min(mail.len());
            if split > 0 && mail[split - 1] == b'\r' {
                split -= 1;
            }
            let (head, tail) = mail.split_at(split);
            let at_start = head.is_empty() || head.ends_with(b"\r\n");
            let mut wire = [dot_stuff(head, true), dot_stuff(tail, at_start)].concat();
            wire.extend_from_slice(end_of_data(&mail));
            wire.extend_from_slice(b"QUIT\r\n");
            let (used, read) = read_in(chunk, &wire, 1000);
            prop_assert_eq!(&wire[used..], b"QUIT\r\n");
            prop_assert_eq!(read, Some(Ok(mail)));
        }

        #[test]
        fn any_octets_in_any_pieces_read_alike(wire in prop::collection::vec(prop::sample::select(b"\r\n.a".to_vec()), 0..40), chunk in 1usize..9) {
            prop_assert_eq!(read_in(chunk, &wire, 20), read_in(usize::MAX, &wire, 20));
        }
    }
}
