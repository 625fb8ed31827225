//! Reading MIME: header fields and media, for mails and for the attachments of SOAP.
//!
//! A reader of its own on top of `mailparse`, so that it can disagree with the gateway's writer.

use bytes::Bytes;
use mailparse::{MailHeader, ParsedMail};

use crate::record::ReceivedPart;

/// Why octets are no MIME entity.
#[derive(Debug, thiserror::Error)]
#[error("not a MIME entity: {0}")]
pub(crate) struct MailError(#[from] mailparse::MailParseError);

/// Header fields in order, values decoded (RFC 2047) and unfolded.
pub(crate) type Fields = Vec<(String, String)>;

/// The header fields at the start of `octets`, and where the body begins.
pub(crate) fn headers(octets: &[u8]) -> Result<(Fields, usize), MailError> {
    let (headers, body) = mailparse::parse_headers(octets)?;
    Ok((pairs(&headers), body))
}

/// The first value of a header field, in any letter case.
pub(crate) fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The media of a whole entity: its leaves, decoded, in order.
pub(crate) fn leaves(octets: &[u8]) -> Result<Vec<ReceivedPart>, MailError> {
    let mail = mailparse::parse_mail(octets)?;
    let mut parts = Vec::new();
    collect(&mail, &mut parts)?;
    Ok(parts)
}

/// The addresses in an address field: bare addr-specs without display names, angle brackets and comments.
pub(crate) fn addresses(value: &str) -> Vec<String> {
    let bare = |entry: &str| match (entry.find('<'), entry.rfind('>')) {
        (Some(start), Some(end)) if start < end => entry[start + 1..end].trim().to_owned(),
        _ => entry.trim().to_owned(),
    };
    value.split(',').map(bare).filter(|address| !address.is_empty()).collect()
}

/// Recursion ends: `mailparse` refuses more than a hundred levels.
fn collect(mail: &ParsedMail<'_>, parts: &mut Vec<ReceivedPart>) -> Result<(), MailError> {
    if mail.ctype.mimetype.starts_with("multipart/") {
        return mail.subparts.iter().try_for_each(|part| collect(part, parts));
    }
    let headers = pairs(&mail.headers);
    let octets = Bytes::from(mail.get_body_raw()?);
    parts.push(ReceivedPart {
        content_type: field(&headers, "Content-Type").unwrap_or("text/plain").to_owned(),
        content_id: field(&headers, "Content-ID").map(|id| bare(id).to_owned()),
        content_location: field(&headers, "Content-Location").map(|place| place.trim().to_owned()),
        length: octets.len(),
        octets,
    });
    Ok(())
}

/// A Content-ID without its angle brackets.
pub(crate) fn bare(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}

fn pairs(headers: &[MailHeader<'_>]) -> Fields {
    headers.iter().map(|header| (header.get_key(), header.get_value())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_media_come_out_flat_and_decoded() {
        let mail = "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\nContent-Type: multipart/related; boundary=\"o\"\r\n\r\n\
            --o\r\nContent-Type: text/plain; charset=utf-8\r\nContent-ID: <t>\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n\
            --o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n\
            --i\r\nContent-Type: image/png\r\nContent-Location: a.png\r\nContent-Transfer-Encoding: base64\r\n\r\n\
            iVBO\r\nRw==\r\n--i--\r\n--o--\r\n";
        let (fields, _) = headers(mail.as_bytes()).unwrap();
        assert_eq!(field(&fields, "SUBJECT"), Some("Grüße"));
        let parts = leaves(mail.as_bytes()).unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!((&parts[0].octets[..], parts[0].content_id.as_deref()), ("Grüße".as_bytes(), Some("t")));
        assert_eq!((&parts[1].octets[..], parts[1].length), (&b"\x89PNG"[..], 4));
        assert_eq!(parts[1].content_location.as_deref(), Some("a.png"));
    }

    #[test]
    fn address_lists_lose_their_ornaments() {
        assert_eq!(addresses("+1/TYPE=PLMN, \"A\" <b@c.example>,\r\n "), ["+1/TYPE=PLMN", "b@c.example"]);
    }
}
