//! Messages as a carrier hands them in: each copy has ids and a picture of its own.

use std::ops::Range;

use crate::bare::Specimen;
use crate::http::find;
use crate::workload::{GROUP, Protocol, SMIL, picture};

/// Digits of a place that is different in each copy.
const DIGITS: &str = "000000000000";

impl Specimen {
    /// A message from a phone to a number of ours, at `domain` where it is a mail.
    pub(crate) fn arriving(protocol: Protocol, domain: &str) -> Self {
        let (octets, marks): (Vec<u8>, &[&str]) = match protocol {
            Protocol::Mm7 => (deliver_request(), &["t-", "m-", "JFIF"]),
            // Digits are base64 too; these stand for nine octets of the picture.
            Protocol::Mm4 => (forward_request(domain), &["\"t-", "\"m-", "/9j/4AAQ"]),
        };
        let places = marks.iter().map(|mark| place(&octets, mark)).collect();
        Self {
            protocol,
            content_type: format!(
                "multipart/related; boundary={BOUNDARY}; type=\"text/xml\"; start=\"<env>\""
            ),
            mail_from: "system@mms.sim.example".into(),
            rcpt_to: format!("+15555550161/TYPE=PLMN@{domain}"),
            octets,
            places,
        }
    }

    /// Where a group's MMSC posts to.
    pub(crate) fn path() -> String {
        format!("/mmsgw/v1/mms/inbound/{GROUP}")
    }
}

/// Where the digits behind `mark` stand.
fn place(octets: &[u8], mark: &str) -> Range<usize> {
    let whole = [mark, DIGITS].concat();
    let at = find(octets, whole.as_bytes()).map_or(0, |at| at + mark.len());
    at..at + DIGITS.len()
}

/// A picture that begins with `start` and then digits.
fn numbered_picture() -> Vec<u8> {
    let mut octets = [&[0xff, 0xd8, 0xff, 0xe0, 0, 16][..], b"JFIF", DIGITS.as_bytes()].concat();
    octets.extend_from_slice(&picture(1)[octets.len()..]);
    octets
}

fn deliver_request() -> Vec<u8> {
    let envelope = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <env:Envelope xmlns:env=\"http://schemas.xmlsoap.org/soap/envelope/\"><env:Header>\
         <mm7:TransactionID xmlns:mm7=\"{NAMESPACE}\" env:mustUnderstand=\"1\">t-{DIGITS}</mm7:TransactionID>\
         </env:Header><env:Body><DeliverReq xmlns=\"{NAMESPACE}\"><MM7Version>6.8.0</MM7Version>\
         <MMSRelayServerID>mmsc</MMSRelayServerID><LinkedID>m-{DIGITS}</LinkedID>\
         <Sender><Number>+15555550101</Number></Sender>\
         <Recipients><To><ShortCode>54321</ShortCode></To></Recipients>\
         <TimeStamp>2026-03-03T10:16:00Z</TimeStamp><Priority>Normal</Priority>\
         <Subject>Greetings from the benchmark</Subject><Content href=\"cid:content\"/>\
         </DeliverReq></env:Body></env:Envelope>"
    );
    let head = format!(
        "--{BOUNDARY}\r\nContent-Type: text/xml; charset=utf-8\r\nContent-ID: <env>\r\n\r\n{envelope}\r\n\
         --{BOUNDARY}\r\nContent-Type: multipart/related; boundary={INNER}; type=\"application/smil\"; \
         start=\"<smil>\"\r\nContent-ID: <content>\r\n\r\n"
    );
    let picture = numbered_picture();
    let parts = parts("binary", &picture);
    [head.as_bytes(), &parts, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat()
}

fn forward_request(domain: &str) -> Vec<u8> {
    let head = format!(
        "Date: Tue, 03 Mar 2026 10:16:00 +0000\r\nFrom: +15555550101/TYPE=PLMN@mms.sim.example\r\n\
         To: +15555550161/TYPE=PLMN@{domain}\r\nSubject: Greetings from the benchmark\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/related; boundary={INNER}; type=\"application/smil\"; start=\"<smil>\"\r\n\
         X-Mms-3GPP-MMS-Version: 6.10.0\r\nX-Mms-Message-Type: MM4_forward.REQ\r\n\
         X-Mms-Transaction-ID: \"t-{DIGITS}\"\r\nX-Mms-Message-ID: \"m-{DIGITS}@mms.sim.example\"\r\n\
         X-Mms-Message-Class: Personal\r\nX-Mms-Priority: Normal\r\nX-Mms-Ack-Request: No\r\n\
         X-Mms-Originator-System: system@mms.sim.example\r\n\r\n"
    );
    let picture = encodify::base64::MIME.encode(&picture(1)[..]);
    // The first twelve characters behind the magic number make way for digits.
    let picture = ["/9j/4AAQ", DIGITS, &picture[20..]].concat();
    [head.as_bytes(), &parts("base64", picture.as_bytes())].concat()
}

/// A presentation, a picture and a text.
fn parts(coding: &str, picture: &[u8]) -> Vec<u8> {
    let part = |kind: &str, name: &str, coding: &str| {
        format!(
            "--{INNER}\r\nContent-Type: {kind}; name=\"{name}\"\r\nContent-ID: <{}>\r\nContent-Location: {name}\r\n\
             Content-Transfer-Encoding: {coding}\r\n\r\n",
            name.split('.').next().unwrap_or(name)
        )
    };
    let smil = part("application/smil", "smil.xml", "7bit") + SMIL + "\r\n";
    let image = part("image/jpeg", "picture.jpg", coding);
    let text = "\r\n".to_owned()
        + &part("text/plain; charset=us-ascii", "text.txt", "7bit")
        + "A picture and a few words to go with it.\r\n";
    let end = format!("--{INNER}--\r\n");
    [smil.as_bytes(), image.as_bytes(), picture, text.as_bytes(), end.as_bytes()].concat()
}

const BOUNDARY: &str = "=_outer";
const INNER: &str = "=_inner";
const NAMESPACE: &str = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/REL-6-MM7-1-4";
