//! SOAP with attachments, as written: an envelope and content as one multipart/related HTTP body,
//! without copying the content.

use std::collections::HashSet;

use bytes::Bytes;
use memchr::memmem;
use mmsgw_mime::write::Entity;

use crate::charset::Charset;
use crate::write::WriteError;

/// An HTTP body in three pieces, to be sent one after the other, and its Content-Type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packaged {
    /// Value of the Content-Type header.
    pub content_type: String,
    /// Octets before the content: the envelope and MIME headers.
    pub head: Bytes,
    /// Octets of the content, shared with the entity they came from.
    pub body: Bytes,
    /// Octets after the content.
    pub tail: Bytes,
}

impl Packaged {
    /// A body that is the envelope alone.
    pub fn bare(envelope: Vec<u8>, charset: Charset) -> Self {
        let content_type = format!("text/xml; charset={}", charset.label());
        Self { content_type, head: envelope.into(), body: Bytes::new(), tail: Bytes::new() }
    }

    /// Value of the Content-Length header, in octets.
    pub fn content_length(&self) -> usize {
        self.head.len() + self.body.len() + self.tail.len()
    }
}

/// Puts an envelope and the content it refers to as `cid:content_id` into a multipart/related.
///
/// `boundary` is what the boundary is made from; digits are added if it occurs in the envelope or content.
///
/// # Errors
/// [`WriteError::NotAToken`] if `content_id` or `boundary` hold what a MIME header cannot.
pub fn package(
    (envelope, charset): (&[u8], Charset),
    content: &Entity,
    content_id: &str,
    boundary: &str,
) -> Result<Packaged, WriteError> {
    let is_id = |b: u8| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\');
    if content_id.is_empty() || content_id.len() > 200 || !content_id.bytes().all(is_id) {
        return Err(WriteError::NotAToken { field: "Content-ID" });
    }
    let is_boundary = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b);
    // 70 characters at most (RFC 2046 clause 5.1.1), nine of them kept for what may be added.
    if boundary.is_empty() || boundary.len() > 61 || !boundary.bytes().all(is_boundary) {
        return Err(WriteError::NotAToken { field: "boundary" });
    }
    let boundary = absent(boundary, [envelope, &content.body]);
    let root = if content_id == "soap" { "soap-envelope" } else { "soap" };
    let mut head = root_part((envelope, charset), root, &boundary);
    let mut line = |pieces: &[&str]| pieces.iter().for_each(|piece| head.extend_from_slice(piece.as_bytes()));
    line(&["\r\n--", &boundary, "\r\nContent-Type: ", &content.content_type]);
    if let Some(transfer) = content.transfer {
        line(&["\r\nContent-Transfer-Encoding: ", transfer]);
    }
    line(&["\r\nContent-ID: <", content_id, ">"]);
    if let Some(location) = &content.content_location {
        line(&["\r\nContent-Location: ", location]);
    }
    line(&["\r\n\r\n"]);
    Ok(Packaged {
        content_type: root_type(root, &boundary),
        head: head.into(),
        body: content.body.clone(),
        tail: format!("\r\n--{boundary}--\r\n").into(),
    })
}

/// Puts an envelope before the parts of a multipart, into the same multipart: `content` is such a body with
/// `boundary` between its parts.
///
/// # Errors
/// [`WriteError::BoundaryOccurs`] if the envelope holds the boundary.
pub fn package_flat(
    (envelope, charset): (&[u8], Charset),
    content: &Entity,
    boundary: &str,
) -> Result<Packaged, WriteError> {
    if memmem::find(envelope, boundary.as_bytes()).is_some() {
        return Err(WriteError::BoundaryOccurs);
    }
    // Parts are named by the application, so that the root needs a name that no part has.
    let root = format!("soap-{boundary}");
    let mut head = root_part((envelope, charset), &root, boundary);
    head.extend_from_slice(b"\r\n");
    Ok(Packaged {
        content_type: root_type(&root, boundary),
        head: head.into(),
        body: content.body.clone(),
        tail: Bytes::new(),
    })
}

fn root_type(root: &str, boundary: &str) -> String {
    format!("multipart/related; type=\"text/xml\"; start=\"<{root}>\"; boundary=\"{boundary}\"")
}

/// The part with the envelope, up to its end.
fn root_part((envelope, charset): (&[u8], Charset), root: &str, boundary: &str) -> Vec<u8> {
    let mut part = Vec::with_capacity(envelope.len() + 600);
    let charset = charset.label();
    for piece in [
        "--",
        boundary,
        "\r\nContent-Type: text/xml; charset=",
        &charset,
        "\r\nContent-ID: <",
        root,
        ">\r\n\r\n",
    ] {
        part.extend_from_slice(piece.as_bytes());
    }
    part.extend_from_slice(envelope);
    part
}

/// A boundary made from `base` that occurs in none of the texts, found in one pass over them: each
/// occurrence of `base` rules out one of the possible endings at most, and the first ending not ruled
/// out is taken.
fn absent(base: &str, texts: [&[u8]; 2]) -> String {
    let finder = memmem::Finder::new(base.as_bytes());
    let mut occurs = false;
    let mut endings: HashSet<&[u8]> = HashSet::new();
    for text in texts {
        let mut from = 0;
        // Occurrences may overlap, so the search goes on after the first octet of each.
        while let Some(at) = finder.find(&text[from..]).map(|at| from + at) {
            occurs = true;
            endings.extend(text[at + base.len()..].get(..9));
            from = at + 1;
        }
    }
    if !occurs {
        return base.to_owned();
    }
    let mut numbered = (0u32..=u32::MAX).map(|number| format!(".{number:08x}"));
    let free = numbered.find(|ending| !endings.contains(ending.as_bytes()));
    format!("{base}{}", free.expect("a text of less than 32 GiB cannot hold every ending"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(body: &'static [u8]) -> Entity {
        Entity {
            content_type: "image/jpeg".into(),
            transfer: Some("binary"),
            content_id: None,
            content_location: None,
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn pieces_add_up_and_the_content_is_shared() {
        let content = entity(b"\xFF\xD8 octets");
        let packaged = package((b"<e/>", Charset::default()), &content, "content", "edge").unwrap();
        assert_eq!(
            packaged.content_type,
            "multipart/related; type=\"text/xml\"; start=\"<soap>\"; boundary=\"edge\""
        );
        assert_eq!(
            std::str::from_utf8(&packaged.head).unwrap(),
            "--edge\r\nContent-Type: text/xml; charset=utf-8\r\nContent-ID: <soap>\r\n\r\n<e/>\r\n--edge\r\n\
             Content-Type: image/jpeg\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <content>\r\n\r\n"
        );
        assert_eq!(packaged.body.as_ptr(), content.body.as_ptr());
        assert_eq!(&packaged.tail[..], b"\r\n--edge--\r\n");
        let whole = [&packaged.head[..], &packaged.body[..], &packaged.tail[..]].concat();
        assert_eq!(whole.len(), packaged.content_length());
    }

    #[test]
    fn flat_parts_follow_the_envelope_in_one_multipart() {
        let content = entity(b"--edge\r\n\r\none\r\n--edge--\r\n");
        let korean = Charset::named("euc-kr").unwrap();
        let packaged = package_flat((b"<e/>", korean), &content, "edge").unwrap();
        let whole = [&packaged.head[..], &packaged.body[..], &packaged.tail[..]].concat();
        assert_eq!(
            std::str::from_utf8(&whole).unwrap(),
            "--edge\r\nContent-Type: text/xml; charset=euc-kr\r\nContent-ID: <soap-edge>\r\n\r\n<e/>\r\n\
             --edge\r\n\r\none\r\n--edge--\r\n"
        );
        assert!(packaged.content_type.contains("start=\"<soap-edge>\"; boundary=\"edge\""));
        let spoilt = package_flat((b"<e>edge</e>", korean), &content, "edge");
        assert_eq!(spoilt, Err(WriteError::BoundaryOccurs));
    }

    #[test]
    fn a_boundary_that_occurs_is_extended_until_it_does_not() {
        assert_eq!(absent("b", [b"x", b"y"]), "b");
        assert_eq!(absent("edge", [b"--edge", b""]), "edge.00000000");
        assert_eq!(absent("edge", [b"edge.00000000", b"edge.00000001 edge"]), "edge.00000002");
        assert_eq!(absent("aa", [b"aaa.00000000", b""]), "aa.00000001", "overlapping occurrences count");
    }

    #[test]
    fn ids_and_boundaries_that_break_headers_are_refused() {
        for id in ["", "a b", "a\r\nX: y", "<a>", "\u{e9}"] {
            assert_eq!(
                package((b"", Charset::default()), &entity(b""), id, "b").unwrap_err(),
                WriteError::NotAToken { field: "Content-ID" }
            );
        }
        for boundary in ["", "a b", "a\"b", &"b".repeat(62)] {
            assert!(package((b"", Charset::default()), &entity(b""), "c", boundary).is_err());
        }
    }
}
