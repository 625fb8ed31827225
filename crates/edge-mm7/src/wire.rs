//! What is said with an MMSC over HTTP, noted for who watches. Credentials are left out, content is cut.

use std::fmt::Write as _;

use axum::body::Body;
use axum::response::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use mmsgw_engine::Tap;
use mmsgw_mm7::Packaged;

/// A request that we are about to make.
pub(crate) fn said(tap: &Tap, begun: &reqwest::RequestBuilder, packaged: &Packaged) {
    if !tap.is_on() {
        return;
    }
    let request = begun.try_clone().and_then(|builder| builder.build().ok());
    let head = request.map_or_else(String::new, |request| {
        let url = mmsgw_engine::without_secrets(request.url().as_str());
        format!("{} {url}\n{}", request.method(), headers(request.headers()))
    });
    tap.said(head.as_bytes());
    tap.said(&packaged.head);
    tap.said_content(&packaged.body);
    tap.said_content(&packaged.tail);
}

/// The head of the MMSC's answer.
pub(crate) fn heard_head(tap: &Tap, response: &reqwest::Response) {
    if tap.is_on() {
        let head = format!("{:?} {}\n{}", response.version(), response.status(), headers(response.headers()));
        tap.heard(head.as_bytes());
    }
}

/// A request that an MMSC made.
pub(crate) fn heard_request(tap: &Tap, line: &str, fields: &HeaderMap) {
    if tap.is_on() {
        tap.heard(format!("{line}\n{}", headers(fields)).as_bytes());
    }
}

/// Its body: the envelope whole, what is attached only in its beginning.
pub(crate) fn heard_body(tap: &Tap, body: &[u8]) {
    if tap.is_on() {
        let (envelope, attached) = body.split_at(attachments(body));
        tap.heard(envelope);
        tap.heard_content(attached);
    }
}

/// Where the second part of a multipart begins; the end of a body that is none.
fn attachments(body: &[u8]) -> usize {
    let end = body.len();
    let Some(line) = body.iter().position(|octet| *octet == b'\n').filter(|_| body.starts_with(b"--")) else {
        return end;
    };
    let delimiter = [b"\n", body[..line].trim_ascii_end()].concat();
    let found = body[line..].windows(delimiter.len()).position(|window| window == delimiter);
    found.map_or(end, |at| line + at + 1)
}

/// Our answer to it; its body is made already, so that it is there at once.
pub(crate) async fn said_response(tap: &Tap, response: Response) -> Response {
    if !tap.is_on() {
        return response;
    }
    let (head, body) = response.into_parts();
    tap.said(format!("{}\n{}", head.status, headers(&head.headers)).as_bytes());
    match body.collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            tap.said(&body);
            Response::from_parts(head, body.into())
        }
        Err(_) => Response::from_parts(head, Body::empty()),
    }
}

fn headers(fields: &HeaderMap) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        let value =
            if is_secret(name, value) { "***".into() } else { String::from_utf8_lossy(value.as_bytes()) };
        // A String takes whatever is written to it.
        let _ = writeln!(text, "{name}: {value}");
    }
    text
}

/// Judged by its name: carriers want keys in headers of their own (`dialect.extra_headers`).
fn is_secret(name: &HeaderName, value: &HeaderValue) -> bool {
    let words = ["auth", "cookie", "key", "token", "secret", "password"];
    value.is_sensitive() || words.iter().any(|word| name.as_str().contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_with_secrets_are_named_only() {
        let mut fields = HeaderMap::new();
        for name in ["authorization", "proxy-authorization", "set-cookie", "x-api-key", "x-auth-token"] {
            fields.insert(HeaderName::from_static(name), HeaderValue::from_static("hidden"));
        }
        fields.insert("soapaction", HeaderValue::from_static("shown"));
        let text = headers(&fields);
        assert!(text.contains("x-api-key: ***\n") && text.contains("soapaction: shown\n"), "{text}");
        assert!(!text.contains("hidden"), "{text}");
    }

    #[test]
    fn attachments_begin_behind_the_envelope() {
        let body = b"--b\r\n\r\n<Envelope/>\r\n--b\r\n\r\npicture\r\n--b--\r\n";
        let (envelope, attached) = body.split_at(attachments(body));
        assert!(envelope.ends_with(b"<Envelope/>\r\n") && attached.starts_with(b"--b\r\n\r\npicture"));
        for whole in [&b"<Envelope/>"[..], b"--b", b"--b\nno more", b""] {
            assert_eq!(attachments(whole), whole.len());
        }
    }
}
