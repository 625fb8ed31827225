//! SOAP with attachments, as read: which part is the SOAP part, and which is the content that the PDU
//! refers to.

use bytes::Bytes;
use mmsgw_mime::header::Headers;
use mmsgw_mime::{Content, Entity, MediaType};

use crate::element::ContentReference;
use crate::pdu::Pdu;

/// A body taken apart.
pub(crate) struct Parts {
    /// Octets of the SOAP part.
    pub(crate) soap: Bytes,
    /// Charset that the part's or body's Content-Type names.
    pub(crate) charset: Option<String>,
    /// All parts beside it, in order.
    pub(crate) others: Vec<Entity>,
}

impl Parts {
    /// Takes the SOAP part out of a multipart: the one `start` or `type` point to, if it looks like XML;
    /// else the first that is XML by its type and looks.
    pub(crate) fn split(entity: Entity) -> Self {
        let root = entity.root().filter(|part| looks_xml(part));
        let is_soap = |part: &&Entity| looks_xml(part) && part.media_type.essence().ends_with("xml");
        let chosen = root.or_else(|| entity.parts().iter().find(is_soap)).or_else(|| entity.root());
        let position =
            chosen.and_then(|chosen| entity.parts().iter().position(|part| std::ptr::eq(part, chosen)));
        let mut others = match entity.content {
            Content::Multipart(parts) => parts,
            Content::Leaf(body) => return Self { soap: body, charset: None, others: Vec::new() },
        };
        let Some(position) = position else { return Self { soap: Bytes::new(), charset: None, others } };
        let part = others.remove(position);
        let charset = part.media_type.param("charset").map(str::to_owned);
        let soap = match part.content {
            Content::Leaf(body) => body,
            Content::Multipart(_) => Bytes::new(),
        };
        Self { soap, charset, others }
    }
}

/// Charset parameter of a Content-Type value.
pub(crate) fn charset(content_type: &str) -> Option<String> {
    content_type.parse::<MediaType>().ok()?.param("charset").map(str::to_owned)
}

/// The content of a request. The part that `href` names (by Content-ID or Content-Location); if it names
/// none, or a presentation that stands beside its media, what there is: the only other part, or all of them as a `multipart/mixed`.
pub(crate) fn content(mut others: Vec<Entity>, pdu: &Pdu) -> Option<Entity> {
    let reference = match pdu {
        Pdu::SubmitReq(request) => request.content.as_ref(),
        Pdu::DeliverReq(request) => request.content.as_ref(),
        Pdu::ReplaceReq(request) => request.content.as_ref(),
        Pdu::ExtendedReplaceReq(request) => request.content.as_ref(),
        _ => return None,
    };
    let named =
        reference.and_then(|r: &ContentReference| r.href.as_deref()).and_then(|href| find(&others, href));
    match named {
        // A presentation beside what it presents: the parts stand flat (China Mobile).
        Some(index) if others.len() > 1 && others[index].media_type.is_smil() => {
            others[..=index].rotate_right(1);
            Some(gather(others))
        }
        Some(index) => Some(others.swap_remove(index)),
        None if others.len() <= 1 => others.pop(),
        None => Some(gather(others)),
    }
}

/// Position of the part that `href` names: `cid:` may be missing, may be followed by spaces, may be
/// percent-encoded.
fn find(parts: &[Entity], href: &str) -> Option<usize> {
    let href = href.trim();
    let id = match href.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("cid:") => &href[4..],
        _ => href,
    };
    let id = id.trim().trim_start_matches('<').trim_end_matches('>');
    let decoded = mmsgw_mime::transfer::percent_decode(id.as_bytes());
    let names = |part: &Entity| {
        let by_id =
            part.content_id().is_some_and(|known| known == id || known.as_bytes() == decoded.as_slice());
        by_id || part.content_location().is_some_and(|location| location == href)
    };
    parts.iter().position(names)
}

fn gather(parts: Vec<Entity>) -> Entity {
    let media_type = "multipart/mixed".parse().unwrap_or_else(|_| MediaType::octet_stream());
    let mut headers = Headers::default();
    headers.push("Content-Type", "multipart/mixed");
    Entity { headers, media_type, content: Content::Multipart(parts) }
}

fn looks_xml(part: &Entity) -> bool {
    let Some(body) = part.body() else { return false };
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    // In UTF-16, with or without mark, `<` comes within four octets.
    body.trim_ascii_start().iter().take(4).any(|b| *b == b'<')
}
