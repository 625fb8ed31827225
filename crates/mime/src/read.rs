//! Mails and HTTP bodies into a tree of parts.
//!
//! Forgives what the field does: preambles, white space after boundary lines, a missing closing
//! boundary, parts without empty line, multiparts that are none. Bodies are slices of the input
//! unless a transfer coding has to be undone. The limits are checked while boundaries are counted,
//! before any part is looked into.

use crate::header::{Headers, Stray, TooLarge, read_block};
use crate::media_type::{MediaType, read_params};
use crate::transfer::Coding;
use crate::{Limits, charset, safe_name, words};
use bytes::Bytes;
use memchr::memmem;
use thiserror::Error;

/// A mail, a part or an HTTP body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// The header block as it came.
    pub headers: Headers,
    /// The type: WAP multipart names changed to mail names, `text/plain` where there is none.
    pub media_type: MediaType,
    /// The body.
    pub content: Content,
}

/// The body of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Octets, transfer coding undone. An unknown coding is left as it is.
    Leaf(Bytes),
    /// Parts in order.
    Multipart(Vec<Entity>),
}

/// Why a message cannot be read. Each is a limit: form alone is never a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReadError {
    /// More octets than [`Limits::message_bytes`].
    #[error("message larger than {limit} octets")]
    MessageTooLarge {
        /// The limit.
        limit: usize,
    },
    /// A header block past [`Limits::header_bytes`] or [`Limits::header_fields`].
    #[error("header block larger than {limit} octets or {fields} fields")]
    HeaderTooLarge {
        /// The limit in octets.
        limit: usize,
        /// The limit in fields.
        fields: usize,
    },
    /// Multiparts nested deeper than [`Limits::depth`].
    #[error("multiparts nested deeper than {limit}")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// More parts than [`Limits::parts`].
    #[error("more than {limit} parts")]
    TooManyParts {
        /// The limit.
        limit: usize,
    },
}

/// Reads a mail: header block and body.
///
/// # Errors
/// A limit was passed; see [`ReadError`].
pub fn read_message(input: Bytes, limits: &Limits) -> Result<Entity, ReadError> {
    let mut reader = Reader::new(&input, limits)?;
    reader.entity(input, Stray::Skip, 0)
}

/// Reads only the header block of a mail, and where its body begins; for a caller that must decide
/// before the body is looked into, or answer a body that cannot be read.
///
/// # Errors
/// The header block is past its limit.
pub fn read_headers(input: &[u8], limits: &Limits) -> Result<(Headers, usize), ReadError> {
    read_block(input, Stray::Skip, limits).map_err(|TooLarge| header_too_large(limits))
}

/// Reads the body that follows `headers`, as [`read_headers`] gave them.
///
/// # Errors
/// A limit was passed; see [`ReadError`].
pub fn read_body(headers: Headers, body: Bytes, limits: &Limits) -> Result<Entity, ReadError> {
    Reader::new(&body, limits)?.content(headers, body, 0)
}

/// Reads a body whose headers came apart from it (HTTP): `content_type` is the value of its
/// `Content-Type`. The body is taken as it is, HTTP knows no transfer coding.
///
/// # Errors
/// A limit was passed; see [`ReadError`].
pub fn read_parts(content_type: &str, body: Bytes, limits: &Limits) -> Result<Entity, ReadError> {
    let mut headers = Headers::default();
    headers.push("Content-Type", content_type);
    read_body(headers, body, limits)
}

impl Entity {
    /// The octets, if this is no multipart.
    pub fn body(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Leaf(body) => Some(body),
            Content::Multipart(_) => None,
        }
    }

    /// The parts, none for a leaf.
    pub fn parts(&self) -> &[Self] {
        match &self.content {
            Content::Leaf(_) => &[],
            Content::Multipart(parts) => parts,
        }
    }

    /// All leaves below (or this one itself), in order.
    pub fn leaves(&self) -> Vec<&Self> {
        match &self.content {
            Content::Leaf(_) => vec![self],
            Content::Multipart(parts) => parts.iter().flat_map(Self::leaves).collect(),
        }
    }

    /// The root part of a multipart (RFC 2387): the one `start` names, else the first of the type
    /// that `type` names, else the first. `None` for a leaf.
    pub fn root(&self) -> Option<&Self> {
        let parts = self.parts();
        let start = self.media_type.param("start").map(strip_id);
        let by_start = parts.iter().find(|part| start.is_some() && part.content_id() == start);
        let kind = self.media_type.param("type");
        let of_kind =
            |part: &&Self| kind.is_some_and(|kind| kind.eq_ignore_ascii_case(part.media_type.essence()));
        by_start.or_else(|| parts.iter().find(of_kind)).or_else(|| parts.first())
    }

    /// The part whose `Content-ID` is `id`, given bare, in brackets or as a `cid:` URL (RFC 2392).
    pub fn part_by_id(&self, id: &str) -> Option<&Self> {
        let id = id.trim();
        let url = id.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("cid:"));
        let bare = strip_id(url.map_or(id, |_| &id[4..]));
        let decoded = crate::transfer::percent_decode(bare.as_bytes());
        self.parts().iter().find(|part| {
            part.content_id().is_some_and(|known| known == bare || known.as_bytes() == decoded.as_slice())
        })
    }

    /// `Content-ID` without white space, quotes and angle brackets; `None` if missing or empty.
    pub fn content_id(&self) -> Option<String> {
        self.headers.value("Content-ID").map(strip_id).filter(|id| !id.is_empty())
    }

    /// `Content-Location` as text; `None` if missing or empty.
    pub fn content_location(&self) -> Option<String> {
        self.headers.text("Content-Location").filter(|location| !location.is_empty())
    }

    /// A safe file name (see [`safe_name`]): from `Content-Location`, the `name` parameter, or the
    /// `filename` of `Content-Disposition`, in this order.
    pub fn name(&self) -> Option<String> {
        let disposition = self.headers.value("Content-Disposition").and_then(|value| value.split_once(';'));
        let params = disposition.map(|(_, params)| read_params(params)).unwrap_or_default();
        let filename =
            params.iter().find(|(name, _)| name == "filename").map(|(_, value)| words::decode(value));
        let name = self.media_type.param("name").map(words::decode);
        [self.content_location(), name, filename].into_iter().flatten().find_map(|name| safe_name(&name))
    }

    /// The text of a textual leaf, from its charset to UTF-8.
    pub fn text(&self) -> Option<String> {
        let body = self.body().filter(|_| self.media_type.is_text())?;
        Some(charset::decode(body, self.media_type.param("charset")))
    }
}

/// An id without white space, one pair of quotes and one pair of angle brackets.
fn strip_id(text: &str) -> String {
    let mut id = text.trim();
    for (open, close) in [('"', '"'), ('<', '>')] {
        id = id.strip_prefix(open).map_or(id, |inner| inner.strip_suffix(close).unwrap_or(inner)).trim();
    }
    id.to_owned()
}

fn header_too_large(limits: &Limits) -> ReadError {
    ReadError::HeaderTooLarge { limit: limits.header_bytes, fields: limits.header_fields }
}

struct Reader<'a> {
    limits: &'a Limits,
    parts_left: usize,
}

impl<'a> Reader<'a> {
    fn new(input: &Bytes, limits: &'a Limits) -> Result<Self, ReadError> {
        if input.len() > limits.message_bytes {
            return Err(ReadError::MessageTooLarge { limit: limits.message_bytes });
        }
        Ok(Self { limits, parts_left: limits.parts })
    }

    /// Recursion goes as deep as `Limits::depth` and no deeper.
    fn entity(&mut self, input: Bytes, stray: Stray, depth: usize) -> Result<Entity, ReadError> {
        let (headers, body) =
            read_block(&input, stray, self.limits).map_err(|TooLarge| header_too_large(self.limits))?;
        self.content(headers, input.slice(body..), depth)
    }

    fn content(&mut self, headers: Headers, body: Bytes, depth: usize) -> Result<Entity, ReadError> {
        let media_type = match headers.value("Content-Type") {
            None | Some("") => MediaType::text_plain(),
            Some(value) => value.parse().map_or_else(|_| MediaType::octet_stream(), MediaType::without_wap),
        };
        let coding = headers.value("Content-Transfer-Encoding").and_then(Coding::read);
        let body = coding.unwrap_or(Coding::Binary).decode(&body);
        if !media_type.is_multipart() {
            return Ok(Entity { headers, media_type, content: Content::Leaf(body) });
        }
        let content = match boundary(&media_type, &body) {
            Some(boundary) => self.multipart(&boundary, body, depth)?,
            None => Content::Leaf(body),
        };
        Ok(Entity { headers, media_type, content })
    }

    fn multipart(&mut self, boundary: &[u8], body: Bytes, depth: usize) -> Result<Content, ReadError> {
        if depth >= self.limits.depth {
            return Err(ReadError::TooDeep { limit: self.limits.depth });
        }
        let Some(ranges) = self.split(boundary, &body)? else {
            return Ok(Content::Leaf(body));
        };
        let parts = ranges.into_iter().map(|range| self.entity(body.slice(range), Stray::Body, depth + 1));
        Ok(Content::Multipart(parts.collect::<Result<_, _>>()?))
    }

    /// Where the parts lie, or `None` if the boundary never occurs.
    fn split(
        &mut self,
        boundary: &[u8],
        body: &[u8],
    ) -> Result<Option<Vec<std::ops::Range<usize>>>, ReadError> {
        let mut ranges = Vec::new();
        let mut open: Option<usize> = None;
        let mut seen = false;
        for at in memmem::find_iter(body, boundary) {
            let Some(line) = Delimiter::at(body, at, boundary.len()) else { continue };
            if let Some(start) = open.take() {
                ranges.push(start..before_break(body, start, at));
            }
            seen = true;
            if line.closing {
                return Ok(Some(ranges));
            }
            let limit = self.limits.parts;
            self.parts_left = self.parts_left.checked_sub(1).ok_or(ReadError::TooManyParts { limit })?;
            open = Some(line.end);
        }
        // The closing boundary is missing: the last part runs to the end, unless nothing is there.
        ranges.extend(open.filter(|&start| start < body.len()).map(|start| start..body.len()));
        Ok(seen.then_some(ranges))
    }
}

/// The boundary as it stands in the body, dashes included: from the parameter, or from the first
/// line where the parameter is missing.
fn boundary(media_type: &MediaType, body: &[u8]) -> Option<Vec<u8>> {
    if let Some(value) = media_type.param("boundary").map(str::trim_end).filter(|value| !value.is_empty()) {
        return (value.len() <= MAX_BOUNDARY).then(|| [b"--", value.as_bytes()].concat());
    }
    let line = body.trim_ascii_start().split(|&b| b == b'\n').next()?.trim_ascii_end();
    let fits = (3..=MAX_BOUNDARY).contains(&line.len()) && line.starts_with(b"--");
    fits.then(|| line.to_vec())
}

/// RFC 2046 allows 70 characters; longer ones are read all the same.
const MAX_BOUNDARY: usize = 256;
/// Longest boundary that may be written (RFC 2046 clause 5.1.1).
pub(crate) const MAX_BOUNDARY_WRITTEN: usize = 70;

/// A boundary line.
struct Delimiter {
    closing: bool,
    /// Where the next line begins.
    end: usize,
}

impl Delimiter {
    /// The boundary line whose dashes start at `at`; `None` if that is not the start of a line or
    /// something else follows the boundary. White space at the end of the line is forgiven.
    fn at(body: &[u8], at: usize, len: usize) -> Option<Self> {
        if at > 0 && body[at - 1] != b'\n' {
            return None;
        }
        let rest = &body[at + len..];
        let (closing, rest) = match rest.strip_prefix(b"--") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let blank = rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r')).count();
        let offset = body.len() - rest.len() + blank;
        match body.get(offset) {
            None => Some(Self { closing, end: offset }),
            Some(b'\n') => Some(Self { closing, end: offset + 1 }),
            // Text on the closing line, such as a lone dot left by SMTP, harms nobody.
            Some(_) if closing && blank > 0 => Some(Self { closing, end: offset }),
            Some(_) => None,
        }
    }
}

/// The line break before a boundary belongs to the boundary (RFC 2046 clause 5.1.1).
fn before_break(body: &[u8], start: usize, at: usize) -> usize {
    let part = &body[start..at];
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    start + part.strip_suffix(b"\r").unwrap_or(part).len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: impl Into<Bytes>) -> Result<Entity, ReadError> {
        read_message(text.into(), &Limits::DEFAULT)
    }

    #[test]
    fn a_tolerant_tree() {
        let mail = "Content-Type: application/vnd.wap.multipart.related;Start=0.smil; boundary=\"a b\"\r\n\r\n\
            preamble\r\n--a b \t\r\nContent-Type: application/smil;Name=0.smil\r\nContent-ID:0.smil\r\n\r\n<smil/>\r\n\
            --a b\r\nContent-Type: image/gif; \r\nContent-Transfer-Encoding: BASE64\r\n\
            Content-Id: \"<x>\"\r\n\r\nR0lG\r\n\r\n--a b\r\nContent-Type: text/xml\r\n<x/>\r\n--a bc";
        let entity = read(mail).unwrap();
        assert_eq!(entity.media_type.essence(), "multipart/related");
        assert_eq!(entity.parts().len(), 3);
        assert_eq!(entity.root().unwrap().body().unwrap(), "<smil/>");
        assert_eq!(entity.part_by_id("cid:x").unwrap().body().unwrap(), "GIF");
        assert_eq!(entity.parts()[2].text().unwrap(), "<x/>\r\n--a bc");
    }

    #[test]
    fn bodies_are_slices_of_the_input() {
        let mail = Bytes::from_static(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nbody\n--b--\n");
        let entity = read_message(mail.clone(), &Limits::DEFAULT).unwrap();
        let body = entity.parts()[0].body().unwrap();
        assert_eq!(body, "body");
        assert!(mail.as_ptr_range().contains(&body.as_ptr()));
    }

    #[test]
    fn a_multipart_that_is_none() {
        let entity = read_parts("multipart/related; boundary=b", "<xml/>".into(), &Limits::DEFAULT).unwrap();
        assert_eq!(entity.body().unwrap(), "<xml/>");
        let entity = read_parts("multipart/mixed", "--q\r\n\r\nx\r\n--q--".into(), &Limits::DEFAULT).unwrap();
        assert_eq!(entity.parts()[0].body().unwrap(), "x");
    }

    #[test]
    fn names_and_charsets() {
        let mail = "Content-Type: text/plain; charset=UTF-16; name=\"=?utf-8?q?=C3=A9.txt?=\"\r\n\
            Content-Disposition: attachment; filename=\"../../b.txt\"\r\n\r\n";
        let mut octets = mail.as_bytes().to_vec();
        octets.extend_from_slice(b"\xff\xfeh\0i\0");
        let entity = read(octets).unwrap();
        assert_eq!(entity.name().as_deref(), Some("é.txt"));
        assert_eq!(entity.text().as_deref(), Some("hi"));
        let other = read("Content-Disposition: x; FileName=\"/etc/..pass\"\r\n\r\n").unwrap();
        assert_eq!(other.name().as_deref(), Some("pass"));
    }

    #[test]
    fn names_cannot_lead_anywhere() {
        for name in [
            "name=\"../../etc/passwd\"",
            "name=\"..\\..\\windows\\passwd\"",
            "name=\"/etc/passwd\"",
            "name=\"C:/passwd\"",
            "name=\"pass\0wd\"",
            "name*=utf-8''..%2F..%2Fetc%2Fpasswd",
            "name*=utf-8''%2e%2e%5cpasswd",
            "name*=utf-8''pass%00wd",
            "name*=utf-8''pass%0d%0aX-Evil:%201wd",
            "name*0*=utf-8''..%2F; name*1*=..%2F; name*2=passwd",
            "name*1=passwd; name*0=\"../../\"",
            "name=\"=?utf-8?q?=2E=2E=2Fetc=2Fpasswd?=\"",
            "name=\"=?utf-8?b?Li4vLi4vcGFzc3dk?=\"",
            "name=\".passwd\"",
            "name=\"passwd/.\"",
            "name=\"passwd:stream\"",
            "name*=nonsense''%ff%fe/passwd",
            "name*9999999999999999999999=passwd",
        ] {
            let entity = read(format!("Content-Type: text/plain; {name}\r\n\r\nx").into_bytes()).unwrap();
            let Some(found) = entity.name() else { continue };
            assert!(!found.contains(['/', '\\', '\0', '\r', '\n', ':']), "{name}: {found:?}");
            assert!(!found.starts_with('.') && !found.contains("X-Evil: "), "{name}: {found:?}");
        }
    }

    /// A boundary that others find elsewhere does not make parts of what is one part.
    #[test]
    fn boundaries_are_lines_of_their_own() {
        let body = "\r\n--b\r\nContent-Type: text/plain\r\n\r\none --b\r\n --b\r\n--bb\r\n-b\r\n-- b\r\n--B\r\ntwo\r\n--b--\r\n--b\r\n\r\nbehind\r\n";
        let mail = format!("Content-Type: multipart/mixed; boundary=b\r\n{body}");
        let entity = read(mail.into_bytes()).unwrap();
        let parts = entity.parts();
        assert!(parts.len() == 1 && parts[0].text().unwrap().contains("two"), "{parts:?}");
        for odd in [
            "boundary=\"\"",
            "boundary=\" \"",
            "boundary=\"a\r\n b\"",
            &format!("boundary={}", "b".repeat(5_000)),
        ] {
            let mail = format!("Content-Type: multipart/mixed; {odd}\r\n\r\n--\r\n\r\nx\r\n----\r\n");
            let _ = read(mail.into_bytes());
        }
    }

    #[test]
    fn a_million_boundaries() {
        let mut mail = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
        mail.extend(b"--b\r\n".repeat(1_000_000));
        assert_eq!(read(mail), Err(ReadError::TooManyParts { limit: 200 }));
    }

    #[test]
    fn deep_nesting() {
        let level = |n: usize| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
        let mail: String = (0..10_000).map(level).collect();
        assert_eq!(read(mail), Err(ReadError::TooDeep { limit: 8 }));
        let mail: String = (0..8).map(level).collect();
        assert!(read(mail).is_ok());
    }

    #[test]
    fn a_header_of_ten_megabytes() {
        let too_large = Err(ReadError::HeaderTooLarge { limit: 64 << 10, fields: 500 });
        assert_eq!(read([b"To: ".to_vec(), vec![b'x'; 10 << 20]].concat()), too_large);
        assert_eq!(read(b"X: y\r\n ".repeat(2 << 20)), too_large);
        assert_eq!(read(b" \r\n".repeat(3 << 20)), too_large);
        let limit = 64 << 20;
        assert_eq!(read(vec![0; limit + 1]), Err(ReadError::MessageTooLarge { limit }));
    }

    proptest! {
        #[test]
        fn any_octets_are_read(body in prop::collection::vec(
            prop_oneof![Just(b"--b".to_vec()), Just(b"\r\n".to_vec()), Just(b"--".to_vec()), Just(b"\n".to_vec()),
                Just(b"Content-Type: multipart/mixed; boundary=b".to_vec()), Just(b" ".to_vec()),
                prop::collection::vec(any::<u8>(), 0..20)], 0..60)) {
            let read = read_parts("multipart/mixed; boundary=b", body.concat().into(), &Limits::DEFAULT);
            if let Ok(entity) = read {
                for leaf in entity.leaves() {
                    let _ = (leaf.text(), leaf.name(), leaf.content_id());
                }
            }
        }
    }
}
