//! Bodies made to hurt: each is refused, and soon.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mmsgw_mm7::{Limits, ReadErrorKind, XmlError, read_request, read_response};

/// Limits as they are, but for the size, so that the other ones are met.
fn refuse(body: String) -> ReadErrorKind {
    let limits = Limits { xml_octets: 64 << 20, ..Limits::default() };
    let start = Instant::now();
    let error = read_request(Some("text/xml"), Bytes::from(body), &limits).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
    error.kind
}

#[test]
fn entities_are_not_expanded() {
    let lol = "<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><a>&b;</a>";
    assert_eq!(refuse(lol.into()), ReadErrorKind::Xml(XmlError::DocType));
    assert_eq!(refuse("<a>&b;</a>".into()), ReadErrorKind::Xml(XmlError::UnknownEntity { name: "b".into() }));
    let file = "<?xml version=\"1.0\"?><!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>";
    assert_eq!(refuse(file.into()), ReadErrorKind::Xml(XmlError::DocType));
}

#[test]
fn a_million_of_anything_is_too_much() {
    let million = 1_000_000;
    let limits = Limits::default();
    assert_eq!(refuse("<a>".repeat(million)), ReadErrorKind::Xml(XmlError::TooDeep { limit: limits.depth }));
    assert_eq!(
        refuse(format!("<a>{}</a>", "<b/>".repeat(million))),
        ReadErrorKind::Xml(XmlError::TooManyElements { limit: limits.elements })
    );
    let attributes: String = (0..million).map(|n| format!(" a{n}=''")).collect();
    assert_eq!(
        refuse(format!("<a{attributes}/>")),
        ReadErrorKind::Xml(XmlError::TooManyAttributes { limit: limits.attributes })
    );
    let namespaces: String = (0..million).map(|n| format!(" xmlns:a{n}='u'")).collect();
    assert!(matches!(refuse(format!("<a{namespaces}/>")), ReadErrorKind::Xml(XmlError::Syntax { .. })));
    assert_eq!(
        refuse(format!("<a>{}</a>", "x".repeat(30 * million))),
        ReadErrorKind::Xml(XmlError::TooMuchText { limit: limits.text_octets })
    );
    assert_eq!(
        refuse(format!("<a>{}</a>", "&#65;".repeat(million))),
        ReadErrorKind::Xml(XmlError::TooMuchText { limit: limits.text_octets })
    );
    assert!(matches!(refuse("<".repeat(million)), ReadErrorKind::Xml(_)));
    assert!(matches!(refuse(format!("<{}", "a".repeat(million))), ReadErrorKind::Xml(_)));
}

#[test]
fn many_namespaces_in_scope_of_many_elements_stay_cheap() {
    let mut body = String::new();
    for depth in 0..31 {
        body += "<a";
        (0..64).for_each(|n| body += &format!(" xmlns:p{depth}x{n}='u{depth}x{n}'"));
        body += ">";
    }
    body += &"<p0x0:b/>".repeat(9_900);
    body += &"</a>".repeat(31);
    assert!(matches!(refuse(body), ReadErrorKind::NotSoap { .. }));
}

#[test]
fn multiparts_have_limits_too() {
    let body = Bytes::from("--b\r\n\r\n<a/>\r\n".repeat(10_000));
    let error = read_request(Some("multipart/related; boundary=b"), body, &Limits::default()).unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::Mime(_)), "{:?}", error.kind);
}

#[test]
fn excerpts_are_short_and_clean() {
    let error =
        read_response(None, Bytes::from("\u{1b}[31m".repeat(10_000)), &Limits::default()).unwrap_err();
    let ReadErrorKind::NotXml { excerpt } = error.kind else { panic!("{:?}", error.kind) };
    assert!(excerpt.chars().count() <= 120 && !excerpt.contains('\u{1b}'));
}
