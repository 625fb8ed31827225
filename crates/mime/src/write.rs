//! Multipart bodies, written once into one buffer.
//!
//! Answers for layout, part headers and transfer codings. Which parts there are, and what they are
//! called, is the caller's to say.

use crate::header::{HeaderError, HeaderWriter};
use crate::media_type::MediaType;
use crate::transfer::Coding;
use crate::{charset, read};
use bytes::Bytes;
use thiserror::Error;

/// One part to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The type; a `name` parameter in it gives way to `name`.
    pub media_type: MediaType,
    /// The `name` parameter of `Content-Type`.
    pub name: Option<String>,
    /// `Content-ID` without angle brackets; empty for none.
    pub content_id: String,
    /// `Content-Location`, which SMIL refers to.
    pub content_location: Option<String>,
    /// The octets, not encoded.
    pub body: Bytes,
}

/// How the parts stand together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// `multipart/related` (RFC 2387): parts that refer to each other from a root part.
    Related {
        /// `Content-ID` of the root part, without angle brackets.
        start: String,
        /// Media type of the root part.
        root_type: String,
    },
    /// `multipart/mixed`: parts side by side.
    Mixed,
    /// No multipart: the one part is the body.
    Single,
}

/// What the path lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// Every part in base64, 76 columns, CRLF.
    Base64,
    /// For mail: text in 7bit, quoted-printable or base64, the rest in base64; 7-bit clean.
    Mail,
    /// Octets as they are, for HTTP.
    Binary,
}

/// A body with the header values that describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Value of `Content-Type`, not folded, with the boundary where there is one.
    pub content_type: String,
    /// Value of `Content-Transfer-Encoding` of a single part; `None` for a multipart.
    pub transfer: Option<&'static str>,
    /// `Content-ID` of a single part, without angle brackets.
    pub content_id: Option<String>,
    /// `Content-Location` of a single part.
    pub content_location: Option<String>,
    /// The body, shared: it can be sent more than once without a copy.
    pub body: Bytes,
}

/// Why a body cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// A part header that cannot be written.
    #[error("part header: {0}")]
    Header(#[from] HeaderError),
    /// The boundary is empty, longer than 70 or has a character RFC 2046 does not allow.
    #[error("{0:?} is no boundary")]
    Boundary(String),
    /// The boundary occurs in the body of part `part` (counted from 0).
    #[error("the boundary occurs in part {part}")]
    Collision {
        /// Index of the part.
        part: usize,
    },
    /// A single layout wants exactly one part.
    #[error("a single part is wanted, {0} were given")]
    NotSingle(usize),
}

/// Writes `leaves` as one body. `boundary` (see [`boundary_for`]) is not used by a single layout.
///
/// # Errors
/// A header value that cannot be written, a boundary that is illegal or occurs in a part, or other
/// than one part for [`Layout::Single`].
pub fn entity(
    leaves: &[Leaf],
    layout: Layout,
    transfer: Transfer,
    boundary: &str,
) -> Result<Entity, WriteError> {
    if layout == Layout::Single {
        return single(leaves, transfer);
    }
    let media_type = multipart(layout, boundary);
    check_boundary(boundary)?;
    let codings: Vec<Coding> = leaves.iter().map(|leaf| coding(leaf, transfer)).collect();
    let mut out = Vec::with_capacity(capacity(leaves, &codings, boundary));
    for (index, (leaf, &coding)) in leaves.iter().zip(&codings).enumerate() {
        out.extend_from_slice(b"--");
        out.extend_from_slice(boundary.as_bytes());
        out.extend_from_slice(b"\r\n");
        out = write_head(leaf, coding, out)?;
        let start = out.len();
        coding.encode_into(&leaf.body, &mut out);
        // A line of base64 never starts with a dash.
        if coding != Coding::Base64 && memchr::memmem::find(&out[start..], boundary.as_bytes()).is_some() {
            return Err(WriteError::Collision { part: index });
        }
        if coding != Coding::Base64 || leaf.body.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"--");
    out.extend_from_slice(boundary.as_bytes());
    out.extend_from_slice(b"--\r\n");
    Ok(whole(media_type, Bytes::from(out)))
}

fn multipart(layout: Layout, boundary: &str) -> MediaType {
    let media_type = match layout {
        Layout::Related { start, root_type } => {
            media("multipart/related").with_param("type", root_type).with_param("start", format!("<{start}>"))
        }
        Layout::Mixed | Layout::Single => media("multipart/mixed"),
    };
    media_type.with_param("boundary", boundary)
}

fn whole(media_type: MediaType, body: Bytes) -> Entity {
    let content_type = media_type.to_string();
    Entity { content_type, transfer: None, content_id: None, content_location: None, body }
}

/// How many octets [`entity`] would write as the body, and its other values with an empty body: nothing is
/// encoded where the coding tells the length. Whether the boundary occurs in a part is not looked at.
///
/// # Errors
/// As [`entity`], collisions aside.
pub fn measure(
    leaves: &[Leaf],
    layout: Layout,
    transfer: Transfer,
    boundary: &str,
) -> Result<(Entity, u64), WriteError> {
    let octets = |leaf: &Leaf| encoded_octets(coding(leaf, transfer), &leaf.body) as u64;
    let media_type = match (layout, leaves) {
        (Layout::Single, [leaf]) => return Ok((described(leaf, coding(leaf, transfer)), octets(leaf))),
        (Layout::Single, _) => return Err(WriteError::NotSingle(leaves.len())),
        (layout, _) => multipart(layout, boundary),
    };
    check_boundary(boundary)?;
    let (mut sum, mut head) = (boundary.len() + 6, Vec::new());
    for leaf in leaves {
        let coding = coding(leaf, transfer);
        head.clear();
        head = write_head(leaf, coding, head)?;
        let is_open = coding != Coding::Base64 || leaf.body.is_empty();
        sum += boundary.len()
            + 4
            + head.len()
            + encoded_octets(coding, &leaf.body)
            + if is_open { 2 } else { 0 };
    }
    Ok((whole(media_type, Bytes::new()), sum as u64))
}

/// Only quoted-printable has to be tried, and only short texts are written so.
fn encoded_octets(coding: Coding, body: &[u8]) -> usize {
    if coding != Coding::QuotedPrintable {
        return coding.encoded_len(body);
    }
    let mut out = Vec::new();
    coding.encode_into(body, &mut out);
    out.len()
}

/// A boundary made of `id` (letters and digits of it) that occurs in none of the bodies. The same
/// parts and id give the same boundary.
pub fn boundary_for(leaves: &[Leaf], id: &str) -> String {
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let taken = |boundary: &str| {
        let finder = memchr::memmem::Finder::new(boundary.as_bytes());
        leaves.iter().any(|leaf| finder.find(&leaf.body).is_some())
    };
    let candidates = std::iter::once(format!("part-{id}")).chain((1u32..).map(|n| format!("part-{id}-{n}")));
    // Each body holds only finitely many of the candidates, so one is free.
    candidates.into_iter().find(|boundary| !taken(boundary)).unwrap_or_default()
}

fn media(essence: &str) -> MediaType {
    essence.parse().expect("a constant media type is legal")
}

fn single(leaves: &[Leaf], transfer: Transfer) -> Result<Entity, WriteError> {
    let [leaf] = leaves else {
        return Err(WriteError::NotSingle(leaves.len()));
    };
    let coding = coding(leaf, transfer);
    let body = match coding {
        Coding::SevenBit | Coding::EightBit | Coding::Binary => leaf.body.clone(),
        Coding::Base64 | Coding::QuotedPrintable => {
            let mut out = Vec::with_capacity(coding.encoded_len(&leaf.body));
            coding.encode_into(&leaf.body, &mut out);
            Bytes::from(out)
        }
    };
    Ok(Entity { body, ..described(leaf, coding) })
}

/// A single part but for its body.
fn described(leaf: &Leaf, coding: Coding) -> Entity {
    Entity {
        content_type: content_type(leaf),
        transfer: Some(coding.as_str()),
        content_id: Some(leaf.content_id.clone()).filter(|id| !id.is_empty()),
        content_location: leaf.content_location.clone(),
        body: Bytes::new(),
    }
}

/// RFC 2046 clause 5.1.1, less the characters that need quoting or that agents have trouble with.
fn check_boundary(boundary: &str) -> Result<(), WriteError> {
    let legal = boundary.bytes().all(|b| b.is_ascii_alphanumeric() || b"'+_-.=".contains(&b));
    match legal && (1..=read::MAX_BOUNDARY_WRITTEN).contains(&boundary.len()) {
        true => Ok(()),
        false => Err(WriteError::Boundary(boundary.to_owned())),
    }
}

/// A nested multipart may not be encoded again (RFC 2045 clause 6.4).
fn coding(leaf: &Leaf, transfer: Transfer) -> Coding {
    match transfer {
        _ if leaf.media_type.is_multipart() && leaf.body.is_ascii() => Coding::SevenBit,
        _ if leaf.media_type.is_multipart() => Coding::Binary,
        Transfer::Binary => Coding::Binary,
        Transfer::Base64 => Coding::Base64,
        Transfer::Mail if is_lines(leaf) => Coding::for_text(&leaf.body),
        Transfer::Mail => Coding::Base64,
    }
}

/// Text in a charset whose line breaks are those of ASCII.
fn is_lines(leaf: &Leaf) -> bool {
    let wide = leaf.media_type.param("charset").is_some_and(charset::is_wide);
    leaf.media_type.is_text() && !wide && memchr::memchr(0, &leaf.body).is_none()
}

fn content_type(leaf: &Leaf) -> String {
    match &leaf.name {
        Some(name) => leaf.media_type.clone().with_param("name", name).to_string(),
        None => leaf.media_type.to_string(),
    }
}

fn write_head(leaf: &Leaf, coding: Coding, out: Vec<u8>) -> Result<Vec<u8>, HeaderError> {
    let mut head = HeaderWriter::append_to(out);
    head.raw("Content-Type", &content_type(leaf))?;
    if !leaf.content_id.is_empty() {
        head.raw("Content-ID", &format!("<{}>", leaf.content_id))?;
    }
    if let Some(location) = &leaf.content_location {
        head.text("Content-Location", location)?;
    }
    head.raw("Content-Transfer-Encoding", coding.as_str())?;
    Ok(head.finish())
}

/// Room for the whole body, so that it is allocated once.
fn capacity(leaves: &[Leaf], codings: &[Coding], boundary: &str) -> usize {
    let texts = |leaf: &Leaf| {
        let texts = [leaf.name.as_deref(), leaf.content_location.as_deref()];
        texts.into_iter().flatten().map(str::len).sum::<usize>() * 4 + leaf.content_id.len()
    };
    let parts = leaves.iter().zip(codings);
    let parts =
        parts.map(|(leaf, coding)| 300 + boundary.len() + texts(leaf) + coding.encoded_len(&leaf.body));
    parts.sum::<usize>() + boundary.len() + 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, Limits, read_parts};
    use proptest::prelude::*;

    fn leaf(media_type: &str, id: &str, body: impl Into<Bytes>) -> Leaf {
        Leaf {
            media_type: media_type.parse().unwrap(),
            name: Some(format!("{id}.x")),
            content_id: id.to_owned(),
            content_location: Some(format!("{id}.x")),
            body: body.into(),
        }
    }

    fn related() -> Layout {
        Layout::Related { start: "smil".to_owned(), root_type: "application/smil".to_owned() }
    }

    #[test]
    fn a_mail_body_in_full() {
        let parts =
            [leaf("application/smil", "smil", "<smil/>"), leaf("image/jpeg", "a", &b"\xff\xd8\xff"[..])];
        let written = entity(&parts, related(), Transfer::Mail, "b-1").unwrap();
        assert_eq!(
            written.content_type,
            "multipart/related; type=\"application/smil\"; start=\"<smil>\"; boundary=b-1"
        );
        let expected = "--b-1\r\nContent-Type: application/smil; name=smil.x\r\nContent-ID: <smil>\r\n\
            Content-Location: smil.x\r\nContent-Transfer-Encoding: 7bit\r\n\r\n<smil/>\r\n\
            --b-1\r\nContent-Type: image/jpeg; name=a.x\r\nContent-ID: <a>\r\nContent-Location: a.x\r\n\
            Content-Transfer-Encoding: base64\r\n\r\n/9j/\r\n--b-1--\r\n";
        assert_eq!(std::str::from_utf8(&written.body).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_written() {
        let parts = [leaf("text/plain", "t", "x --b-1 y")];
        let collision = entity(&parts, Layout::Mixed, Transfer::Binary, "b-1");
        assert_eq!(collision, Err(WriteError::Collision { part: 0 }));
        assert_eq!(entity(&[], Layout::Single, Transfer::Mail, ""), Err(WriteError::NotSingle(0)));
        for bad in ["", "a b", "a\r\nb", &"x".repeat(71)] {
            let refused = entity(&parts, Layout::Mixed, Transfer::Binary, bad);
            assert_eq!(refused, Err(WriteError::Boundary(bad.to_owned())));
        }
        let evil = [Leaf { content_id: "a>\r\nX: y".to_owned(), ..leaf("text/plain", "t", "x") }];
        assert!(matches!(entity(&evil, Layout::Mixed, Transfer::Mail, "b"), Err(WriteError::Header(_))));
    }

    #[test]
    fn boundaries_keep_clear_of_bodies() {
        let parts = [leaf("text/plain", "t", "part-x1 part-x1-1 part-x1-2")];
        let boundary = boundary_for(&parts, "x/1\r\n");
        assert_eq!(boundary, boundary_for(&parts, "x1"));
        assert!(entity(&parts, Layout::Mixed, Transfer::Binary, &boundary).is_ok());
    }

    #[test]
    fn a_single_body_is_shared_not_copied() {
        let parts = [leaf("image/png", "a", vec![0u8; 300_000])];
        let written = entity(&parts, Layout::Single, Transfer::Binary, "").unwrap();
        assert_eq!(written.body.as_ptr(), parts[0].body.as_ptr());
        assert_eq!(written.transfer, Some("binary"));
    }

    #[test]
    fn one_allocation() {
        let parts =
            [leaf("application/smil", "smil", "<smil/>"), leaf("image/jpeg", "a", vec![7u8; 300_000])];
        let codings: Vec<Coding> = parts.iter().map(|part| coding(part, Transfer::Mail)).collect();
        let written = entity(&parts, related(), Transfer::Mail, "b").unwrap();
        assert!(written.body.len() <= capacity(&parts, &codings, "b"));
    }

    fn any_leaf() -> impl Strategy<Value = Leaf> {
        let media =
            prop_oneof![Just("text/plain; charset=utf-8"), Just("image/png"), Just("application/smil")];
        let body = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..400),
            "[ -~é\r\n]{0,200}".prop_map(String::into_bytes),
            "(--part-i(-1)?(--)?\r\n){1,3}".prop_map(String::into_bytes),
        ];
        (media, "[a-z0-9.@]{1,20}", "[a-zé ]{0,30}x", body).prop_map(|(media, id, name, body)| Leaf {
            media_type: media.parse().unwrap(),
            name: Some(name.trim().to_owned()),
            content_id: id,
            content_location: Some(name.trim().to_owned()),
            body: body.into(),
        })
    }

    proptest! {
        #[test]
        fn written_then_read(leaves in prop::collection::vec(any_leaf(), 1..5), mode in 0..3) {
            let transfer = [Transfer::Base64, Transfer::Mail, Transfer::Binary][mode as usize];
            let boundary = boundary_for(&leaves, "i");
            let written = entity(&leaves, related(), transfer, &boundary).unwrap();
            let (hollow, octets) = measure(&leaves, related(), transfer, &boundary).unwrap();
            prop_assert_eq!(octets, written.body.len() as u64);
            prop_assert_eq!(hollow, Entity { body: Bytes::new(), ..written.clone() });
            let alone = entity(&leaves[..1], Layout::Single, transfer, "").unwrap();
            let (hollow, octets) = measure(&leaves[..1], Layout::Single, transfer, "").unwrap();
            prop_assert_eq!(octets, alone.body.len() as u64);
            prop_assert_eq!(hollow, Entity { body: Bytes::new(), ..alone });
            if transfer != Transfer::Binary {
                prop_assert!(written.body.is_ascii());
                prop_assert!(written.body.split(|&b| b == b'\n').all(|line| line.len() <= 998));
            }
            let again = read_parts(&written.content_type, written.body, &Limits::DEFAULT).unwrap();
            let Content::Multipart(parts) = again.content else { panic!("no multipart") };
            prop_assert_eq!(parts.len(), leaves.len());
            for (part, leaf) in parts.iter().zip(&leaves) {
                prop_assert_eq!(part.body(), Some(&leaf.body));
                prop_assert_eq!(part.content_id(), Some(leaf.content_id.clone()));
                prop_assert_eq!(part.content_location(), leaf.content_location.clone());
                prop_assert_eq!(part.name(), leaf.name.clone());
            }
        }
    }
}
