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

/// Documents that some readers understand otherwise than others.
#[test]
fn tricks_with_markup_are_refused() {
    for (name, body) in [
        ("a DTD behind white space", "\u{feff} \n<!DOCTYPE a><a/>"),
        (
            "a DTD behind a comment",
            "<!-- x --><!doctype a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        ),
        ("a parameter entity", "<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://192.0.2.1/x.dtd'> %p;]><a/>"),
        ("an entity in an attribute", "<a b='&c;'/>"),
        ("an entity that is never ended", "<a>&lt</a>"),
        ("a reference to nothing", "<a>&#0;</a>"),
        ("a reference to a control", "<a>&#x1b;[31m</a>"),
        ("a reference to half a character", "<a>&#xd800;</a>"),
        ("a reference beyond Unicode", "<a>&#x110000;</a>"),
        ("a control", "<a>\u{1}</a>"),
        ("an attribute twice", "<a b='1' b='2'/>"),
        ("a prefix that nobody declared", "<e:a/>"),
        ("a prefix that is taken back", "<e:a xmlns:e='u'><b xmlns:e=''><e:c/></b></e:a>"),
        ("the prefix xml bound anew", "<a xmlns:xml='u'/>"),
        ("the prefix xmlns declared", "<a xmlns:xmlns='u'/>"),
        ("ends in another order", "<a><b></a></b>"),
        ("a comment that is never ended", "<a><!-- "),
        ("CDATA that is never ended", "<a><![CDATA[ "),
        ("an instruction that is never ended", "<a><?php "),
        ("less-than in an attribute", "<a b='<'/>"),
    ] {
        let kind = refuse(body.to_owned());
        assert!(
            matches!(
                kind,
                ReadErrorKind::Xml(_) | ReadErrorKind::NotXml { .. } | ReadErrorKind::NotSoap { .. }
            ),
            "{name}: {kind:?}"
        );
        let text = format!("{kind:?}");
        assert!(!text.contains("root:x") && text.len() < 400, "{name}: {text}");
    }
}

/// What is within CDATA, comments and instructions is text or nothing, never markup.
#[test]
fn hidden_markup_stays_text() {
    let schema = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/REL-6-MM7-1-4";
    let envelope = format!(
        "<env:Envelope xmlns:env=\"http://schemas.xmlsoap.org/soap/envelope/\"><env:Header>\
         <t:TransactionID xmlns:t=\"{schema}\" env:mustUnderstand=\"1\">T</t:TransactionID></env:Header><env:Body>\
         <DeliverReq xmlns=\"{schema}\"><MM7Version>6.8.0</MM7Version><!-- <LinkedID>forged</LinkedID> -->\
         <?x <LinkedID>forged</LinkedID> ?><Sender><Number>+15555550150</Number></Sender>\
         <Recipients><To><Number>+15555550161</Number></To></Recipients>\
         <Subject><![CDATA[</Subject><LinkedID>forged</LinkedID>&lt;]]></Subject></DeliverReq></env:Body></env:Envelope>"
    );
    let request = read_request(Some("text/xml"), Bytes::from(envelope), &Limits::default()).unwrap();
    let mmsgw_mm7::Pdu::DeliverReq(delivery) = &request.message.pdu else {
        panic!("{:?}", request.message.pdu)
    };
    assert_eq!(delivery.linked_id, None);
    assert_eq!(delivery.subject.as_deref(), Some("</Subject><LinkedID>forged</LinkedID>&lt;"));
}
