//! Messages met in the field, where they are at hand (they are not part of the project): each is read to
//! its meaning.

use std::path::PathBuf;

use bytes::Bytes;
use mmsgw_mm7::{
    Limits, MmStatus, Pdu, ReadErrorKind, Request, Response, XmlError, read_request, read_response,
};

/// Content-Type and body of a sample; none, with a notice, where there are no samples.
fn sample(name: &str) -> Option<(Option<String>, Bytes)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec/samples/mm7").join(name);
    let Ok(octets) = std::fs::read(&path) else {
        eprintln!("skipped: no sample {name}");
        return None;
    };
    if name.ends_with(".xml") || name.ends_with(".mime") {
        return Some((None, octets.into()));
    }
    let text = String::from_utf8_lossy(&octets);
    let break_at = if text.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    let (head, _) = text.split_once(break_at).unwrap();
    let unfolded = head.replace("\r\n", "\n").replace("\n ", " ");
    let value = unfolded.lines().find_map(|line| line.strip_prefix("Content-Type: ")).map(str::to_owned);
    Some((value, Bytes::copy_from_slice(&octets[head.len() + break_at.len()..])))
}

fn request(name: &str) -> Option<Request> {
    let (content_type, body) = sample(name)?;
    Some(
        read_request(content_type.as_deref(), body, &Limits::default())
            .unwrap_or_else(|e| panic!("{name}: {e}")),
    )
}

fn response(name: &str) -> Option<Response> {
    let (content_type, body) = sample(name)?;
    Some(
        read_response(content_type.as_deref(), body, &Limits::default())
            .unwrap_or_else(|e| panic!("{name}: {e}")),
    )
}

/// Sender, recipients, subject, content type and content parts of a DeliverReq.
fn delivered(name: &str) -> Option<(String, usize, String, String, usize)> {
    let request = request(name)?;
    let Pdu::DeliverReq(deliver) = request.message.pdu else { panic!("{name}") };
    let content = request.content.unwrap();
    Some((
        deliver.sender.unwrap().value,
        deliver.recipients.all().count(),
        deliver.subject.unwrap_or_default(),
        content.media_type.essence().to_owned(),
        content.parts().len(),
    ))
}

#[test]
fn deliveries() {
    let say = |sender: &str, count, subject: &str, kind: &str, parts| {
        (sender.to_owned(), count, subject.to_owned(), kind.to_owned(), parts)
    };
    for (name, want) in [
        (
            "china-mobile-deliver-req-8bit-binary.mime",
            say("+8613800000000", 1, "Weather Forecast", "multipart/related", 3),
        ),
        (
            "cn-rel5-1-0-deliver-req-bare-sender.mime",
            say("13800000001", 3, "This is a test", "multipart/related", 2),
        ),
        (
            "comverse-style-deliver-req-nested-mixed-cid-mismatch.mime",
            say("972555000100@OMMS.com", 0, "Weather Forecast", "multipart/mixed", 2),
        ),
        (
            "comverse-style-deliver-req-text-content.mime",
            say("972555000100@OMMS.com", 0, "Weather Forecast", "text/plain", 0),
        ),
        ("nokia-mc5-deliver-req-related.mime", say("+385910000001", 1, "Bomb", "multipart/related", 2)),
    ] {
        if let Some(got) = delivered(name) {
            assert_eq!(got, want, "{name}");
        }
    }
}

#[test]
fn reports_and_submissions() {
    for (name, id) in [
        ("celcom-delivery-report-req-shortcode-plmn.xml", "23316115@mmsc1"),
        ("sinch-delivery-report-req.xml", "369500617770864640"),
    ] {
        let Some(request) = request(name) else { continue };
        let Pdu::DeliveryReportReq(report) = request.message.pdu else { panic!("{name}") };
        assert_eq!((report.message_id.as_str(), report.mm_status), (id, MmStatus::Retrieved));
        assert!(report.date.is_some() && !report.sender.unwrap().value.contains('/'));
    }
    if let Some(request) = request("sinch-submit-req.xml") {
        let Pdu::SubmitReq(submit) = request.message.pdu else { panic!() };
        assert_eq!(submit.sender.vasp_id.as_deref(), Some("EXAMPLE-VASPID"));
        assert!(!submit.content.unwrap().allow_adaptations);
    }
}

#[test]
fn responses_and_faults() {
    for (name, code, message_id, transaction) in [
        ("fault-unprefixed-faultcode.xml", 4002, None, "123456"),
        ("sinch-submit-fault-2007.xml", 2007, None, "1000001"),
        ("sinch-submit-rsp.xml", 1000, Some("369500617770864640"), "1000001"),
        ("sinch-submit-rsp-http.txt", 1000, Some("369500617770864640"), "1000001"),
        ("sinch-deliver-rsp.xml", 1000, None, "1000001"),
        ("sinch-deliver-rsp-http.txt", 1000, None, "1000001"),
        ("sinch-delivery-report-rsp.xml", 1000, None, "1000001"),
        ("sinch-delivery-report-rsp-http.txt", 1000, None, "1000001"),
        ("submit-rsp-bogus-namespace-6-7.xml", 1000, Some("041502073667"), "vas00001-sub"),
    ] {
        let Some(response) = response(name) else { continue };
        assert_eq!((response.status().code, response.message_id()), (code, message_id), "{name}");
        assert_eq!(response.transaction_id.as_deref(), Some(transaction), "{name}");
    }
}

#[test]
fn manuals_with_a_broken_prefix_are_refused_clearly() {
    for name in ["sinch-deliver-req.xml", "sinch-deliver-req-http.txt"] {
        let Some((content_type, body)) = sample(name) else { continue };
        let error = read_request(content_type.as_deref(), body, &Limits::default()).unwrap_err();
        assert_eq!(
            error.kind,
            ReadErrorKind::Xml(XmlError::UnboundPrefix { prefix: "soap-env".into() }),
            "{name}"
        );
    }
}
