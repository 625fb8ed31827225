//! Where a request comes from, as far as browsers tell it.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;

/// Whether the request names this host, and no page of another site has made it.
///
/// It protects a listener that asks for no key: a name that somebody else makes point at the loopback address (DNS
/// rebinding) is no name of ours, and what a browser sends for a foreign page says so in `Origin`. Programs send no
/// `Origin`.
pub(crate) fn is_from_here(parts: &Parts) -> bool {
    let header = |name| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = header(HOST).or_else(|| parts.uri.authority().map(Authority::as_str));
    let names_loopback = host.is_none_or(|host| host.parse().is_ok_and(|host: Authority| is_loopback(&host)));
    let same = |origin: &str| {
        origin
            .split_once("://")
            .is_some_and(|(_, from)| host.is_some_and(|host| host.eq_ignore_ascii_case(from)))
    };
    names_loopback && header(ORIGIN).is_none_or(same)
}

/// Whether a proxy in front tells that the browser's side of the way is TLS.
pub(crate) fn is_told_over_tls(parts: &Parts) -> bool {
    parts.headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes() == b"https")
}

fn is_loopback(host: &Authority) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn asked(host: Option<&str>, origin: Option<&str>) -> bool {
        let mut request = Request::get("/");
        for (name, value) in [("host", host), ("origin", origin)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        is_from_here(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn names_of_loopback_are_ours_and_no_other() {
        for host in ["localhost", "LocalHost:8081", "127.0.0.1:8081", "127.8.9.1", "[::1]:8081"] {
            assert!(asked(Some(host), None), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8081",
            "localhost.evil.example",
            "192.0.2.1",
            "",
            "a b",
            "127.0.0.1.evil",
        ] {
            assert!(!asked(Some(host), None), "{host}");
        }
        assert!(asked(None, None), "a program that names nobody");
    }

    #[test]
    fn a_page_of_another_site_is_told_by_its_origin() {
        let host = Some("localhost:8081");
        assert!(asked(host, Some("http://localhost:8081")));
        for origin in ["http://evil.example", "http://localhost:9999", "null", ""] {
            assert!(!asked(host, Some(origin)), "{origin}");
        }
    }
}
