//! Reading MM7: the SOAP envelope as a flat map, and where it stands in the HTTP body (TS 23.140 clause 8.7).
//!
//! Reads anything that is well-formed, and lists what breaks the rules as problems, so that a test can insist on none.

use std::collections::BTreeMap;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

use crate::config::MM7_BASE;
use crate::mail;

/// Why octets are no SOAP envelope.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SoapError {
    /// Not well-formed, or not UTF-8.
    #[error("the XML is broken: {0}")]
    Xml(String),
    /// Well-formed, but not `Envelope/Body/<operation>`.
    #[error("no operation in a SOAP body")]
    NoOperation,
    /// A document type, or nesting or an amount beyond all reason.
    #[error("the XML holds {0}")]
    Refused(&'static str),
    /// The multipart body has no root part.
    #[error("the multipart body has no root part")]
    NoRoot,
}

/// An MM7 request or response, flat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Soap {
    /// Local name of the body's entry; of RSErrorRsp or VASPErrorRsp in a fault.
    pub(crate) operation: String,
    /// Namespace of the operation; empty if it has none.
    pub(crate) namespace: String,
    /// MM7Version; empty if absent.
    pub(crate) version: String,
    /// TransactionID, trimmed; empty if absent.
    pub(crate) transaction_id: String,
    /// Elements with text and attributes, by local name.
    pub(crate) fields: BTreeMap<String, String>,
    /// Addresses in To, Cc, Bcc.
    pub(crate) recipients: [Vec<String>; 3],
    /// SenderAddress, or Sender.
    pub(crate) sender: Option<String>,
    /// Names of the operation's children, in order.
    children: Vec<String>,
    /// Whether the envelope has the SOAP 1.1 namespace.
    soap11: bool,
}

impl Soap {
    /// StatusCode, if there is one that is a number.
    pub(crate) fn status(&self) -> Option<u16> {
        self.fields.get("StatusCode")?.parse().ok()
    }

    /// A field, unless it is empty.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// An xs:boolean field.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.field(name).is_some_and(|value| matches!(value, "true" | "1"))
    }

    /// What breaks the rules of clause 8.7 and SOAP 1.1, as far as this witness checks them.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |ok: bool, text: &str| {
            if !ok {
                problems.push(text.to_owned());
            }
        };
        check(self.soap11, "the envelope is not in the SOAP 1.1 namespace");
        check(self.namespace.starts_with(MM7_BASE), "the operation is not in an MM7 namespace");
        check(!self.transaction_id.is_empty(), "TransactionID is missing");
        check(!self.version.is_empty(), "MM7Version is missing");
        if let Some(order) = child_order(&self.operation) {
            let places: Vec<_> =
                self.children.iter().map(|name| order.iter().position(|known| known == name)).collect();
            check(places.iter().all(Option::is_some), "the operation has a child the schema does not know");
            check(places.is_sorted(), "children of the operation are not in schema order");
        }
        if self.operation == "SubmitReq" {
            check(self.recipients.iter().any(|list| !list.is_empty()), "there is no recipient");
        }
        problems
    }
}

/// Reads an envelope.
pub(crate) fn read(xml: &[u8]) -> Result<Soap, SoapError> {
    let mut reader = NsReader::from_reader(xml);
    let mut walk = Walk::default();
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(broken)?;
        let namespace = match namespace {
            ResolveResult::Bound(namespace) => namespace.into_inner(),
            _ => b"",
        };
        match event {
            Event::Start(start) => walk.open(namespace, &start)?,
            Event::Empty(start) => {
                walk.open(namespace, &start)?;
                walk.close();
            }
            Event::End(_) => walk.close(),
            Event::Text(text) => walk.text.push_str(&text.decode().map_err(broken)?),
            Event::CData(text) => walk.text.push_str(&text.decode().map_err(broken)?),
            Event::GeneralRef(entity) => {
                let name = entity.decode().map_err(broken)?;
                let text = format!("&{name};");
                walk.text.push_str(&quick_xml::escape::unescape(&text).map_err(broken)?);
            }
            Event::DocType(_) => return Err(SoapError::Refused("a document type")),
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
    let soap = walk.soap;
    if !walk.path.is_empty() {
        return Err(SoapError::Xml("an element is not closed".into()));
    }
    if soap.operation.is_empty() { Err(SoapError::NoOperation) } else { Ok(soap) }
}

/// The octets of the envelope in an HTTP body of this Content-Type: the part that `start` names, else the first.
pub(crate) fn root<'a>(content_type: &str, body: &'a [u8]) -> Result<&'a [u8], SoapError> {
    let content_type = mailparse::parse_content_type(content_type);
    if !content_type.mimetype.starts_with("multipart/") {
        return Ok(body);
    }
    let boundary = content_type.params.get("boundary").ok_or(SoapError::NoRoot)?;
    let start = content_type.params.get("start").map(|id| mail::bare(id));
    let delimiter = format!("--{boundary}");
    let mut marks =
        memchr::memmem::find_iter(body, delimiter.as_bytes()).filter(|at| *at == 0 || body[at - 1] == b'\n');
    let mut from = marks.next().ok_or(SoapError::NoRoot)?;
    let mut first = None;
    for to in marks {
        let part = part_body(&body[from + delimiter.len()..to]);
        if let Some((id, octets)) = part {
            if start.is_none() || start == id.as_deref() {
                return Ok(octets);
            }
            first.get_or_insert(octets);
        }
        from = to;
    }
    first.ok_or(SoapError::NoRoot)
}

/// Content-ID and body of what stands between two boundary delimiters.
fn part_body(part: &[u8]) -> Option<(Option<String>, &[u8])> {
    let line_end = memchr::memchr(b'\n', part)?;
    let part = &part[line_end + 1..];
    let (headers, body) = mail::headers(part).ok()?;
    let octets = part.get(body..)?;
    let octets = octets.strip_suffix(b"\r\n").or_else(|| octets.strip_suffix(b"\n")).unwrap_or(octets);
    Some((mail::field(&headers, "Content-ID").map(|id| mail::bare(id).to_owned()), octets))
}

/// The walk through the envelope: the path of local names, and what was gathered.
#[derive(Debug, Default)]
struct Walk {
    path: Vec<String>,
    text: String,
    soap: Soap,
}

impl Walk {
    fn open(&mut self, namespace: &[u8], start: &BytesStart<'_>) -> Result<(), SoapError> {
        if self.path.len() >= MAX_DEPTH || self.soap.fields.len() >= MAX_FIELDS {
            return Err(SoapError::Refused("too much"));
        }
        let name = String::from_utf8_lossy(start.local_name().into_inner()).into_owned();
        self.text.clear();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(broken)?;
            let key = String::from_utf8_lossy(attribute.key.local_name().into_inner()).into_owned();
            if attribute.key.as_ref().starts_with(b"xmlns") {
                continue;
            }
            let value = String::from_utf8_lossy(&attribute.value).into_owned();
            let value = quick_xml::escape::unescape(&value).map_err(broken)?.into_owned();
            self.add(format!("{name}@{key}"), &value);
        }
        let depth = self.path.len();
        if depth == 0 {
            self.soap.soap11 = name == "Envelope" && namespace == SOAP11.as_bytes();
        }
        let operation = depth == 2 && self.path[1] == "Body" && name != "Fault";
        if operation || (self.path.iter().any(|step| step == "detail") && name.ends_with("ErrorRsp")) {
            self.soap.operation = name.clone();
            self.soap.namespace = String::from_utf8_lossy(namespace).into_owned();
        } else if depth == 2 && name == "Fault" {
            self.soap.operation = name.clone();
        } else if self.path.last().is_some_and(|parent| *parent == self.soap.operation) {
            self.soap.children.push(name.clone());
        }
        self.path.push(name);
        Ok(())
    }

    fn close(&mut self) {
        let Some(name) = self.path.pop() else { return };
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        let parent = self.path.last().map_or("", String::as_str);
        match name.as_str() {
            "MM7Version" => text.clone_into(&mut self.soap.version),
            "TransactionID" if parent == "Header" => text.clone_into(&mut self.soap.transaction_id),
            "RFC2822Address" | "Number" | "ShortCode" => self.address(text),
            "Sender" | "SenderAddress" if !text.is_empty() => self.soap.sender = Some(text.to_owned()),
            _ => {}
        }
        let inner = matches!(name.as_str(), "Envelope" | "Header" | "Body" | "Fault");
        if !inner && !text.is_empty() {
            self.add(name, text);
        }
    }

    fn address(&mut self, text: &str) {
        let list = match self.path.last().map(String::as_str) {
            Some("To") => 0,
            Some("Cc") => 1,
            Some("Bcc") => 2,
            Some("Sender" | "SenderAddress") => {
                self.soap.sender = Some(text.to_owned());
                return;
            }
            _ => return,
        };
        self.soap.recipients[list].push(text.to_owned());
    }

    fn add(&mut self, name: String, value: &str) {
        let field = self.soap.fields.entry(name).or_default();
        if !field.is_empty() {
            field.push_str(", ");
        }
        field.push_str(value);
    }
}

fn broken(error: impl std::fmt::Display) -> SoapError {
    SoapError::Xml(error.to_string())
}

/// Children in schema order (REL-6-MM7-1-4), for the operations a gateway sends.
fn child_order(operation: &str) -> Option<&'static [&'static str]> {
    Some(match operation {
        "DeliveryReportReq" => &[
            "MM7Version",
            "MMSRelayServerID",
            "MessageID",
            "Recipient",
            "Sender",
            "Date",
            "MMStatus",
            "MMStatusExtension",
            "StatusText",
            "ApplicID",
            "ReplyApplicID",
            "AuxApplicInfo",
            "UACapabilities",
        ],
        "ReadReplyReq" => &[
            "MM7Version",
            "MMSRelayServerID",
            "MessageID",
            "Recipient",
            "Sender",
            "TimeStamp",
            "MMStatus",
            "StatusText",
            "ApplicID",
            "ReplyApplicID",
            "AuxApplicInfo",
        ],
        "SubmitReq" => &[
            "MM7Version",
            "SenderIdentification",
            "Recipients",
            "ServiceCode",
            "LinkedID",
            "MessageClass",
            "TimeStamp",
            "ReplyCharging",
            "EarliestDeliveryTime",
            "ExpiryDate",
            "DeliveryReport",
            "ReadReply",
            "Priority",
            "Subject",
            "ChargedParty",
            "ChargedPartyID",
            "DistributionIndicator",
            "DeliveryCondition",
            "ApplicID",
            "ReplyApplicID",
            "AuxApplicInfo",
            "ContentClass",
            "DRMContent",
            "Content",
        ],
        "CancelReq" => {
            &["MM7Version", "SenderIdentification", "MessageID", "ApplicID", "ReplyApplicID", "AuxApplicInfo"]
        }
        "ReplaceReq" => &[
            "MM7Version",
            "SenderIdentification",
            "MessageID",
            "ServiceCode",
            "TimeStamp",
            "ReadReply",
            "EarliestDeliveryTime",
            "DistributionIndicator",
            "ContentClass",
            "DRMContent",
            "ApplicID",
            "ReplyApplicID",
            "AuxApplicInfo",
            "Content",
        ],
        "DeliverRsp" => &["MM7Version", "Status", "ServiceCode"],
        "DeliveryReportRsp" | "ReadReplyRsp" | "RSErrorRsp" | "VASPErrorRsp" => &["MM7Version", "Status"],
        _ => return None,
    })
}

/// Namespace of SOAP 1.1 envelopes.
pub(crate) const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const MAX_DEPTH: usize = 32;
const MAX_FIELDS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NS: &str = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/REL-6-MM7-1-4";

    fn envelope(body: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"{SOAP11}\"><e:Header><m:TransactionID xmlns:m=\"{NS}\" \
             e:mustUnderstand=\"1\"> t&amp;1 </m:TransactionID></e:Header><e:Body>{body}</e:Body></e:Envelope>"
        )
    }

    #[test]
    fn an_envelope_becomes_flat() {
        let xml = envelope(&format!(
            "<SubmitReq xmlns=\"{NS}\"><MM7Version>6.8.0</MM7Version><SenderIdentification><VASPID>v</VASPID>\
             <SenderAddress><ShortCode>123</ShortCode></SenderAddress></SenderIdentification><Recipients><To>\
             <Number>+1</Number><Number>+2</Number></To><Bcc><RFC2822Address>a@b.example</RFC2822Address></Bcc>\
             </Recipients><DeliveryReport>true</DeliveryReport><Subject>A &lt;b&gt; &#x43;</Subject>\
             <Content href=\"cid:c&amp;d\" allowAdaptations=\"true\"/></SubmitReq>"
        ));
        let soap = read(xml.as_bytes()).unwrap();
        assert_eq!((soap.operation.as_str(), soap.namespace.as_str()), ("SubmitReq", NS));
        assert_eq!((soap.version.as_str(), soap.transaction_id.as_str()), ("6.8.0", "t&1"));
        assert_eq!(soap.sender.as_deref(), Some("123"));
        assert_eq!(soap.recipients[0], ["+1", "+2"]);
        assert_eq!(soap.recipients[2], ["a@b.example"]);
        assert_eq!(soap.fields["Subject"], "A <b> C");
        assert_eq!(soap.fields["Content@href"], "cid:c&d");
        assert_eq!(soap.fields["Number"], "+1, +2");
        assert!(soap.flag("DeliveryReport"));
        assert_eq!(soap.problems(), Vec::<String>::new());
    }

    #[test]
    fn rule_breaks_are_named() {
        let xml = envelope("<SubmitReq><Subject>x</Subject><MM7Version>1</MM7Version><Odd/></SubmitReq>");
        let problems = read(xml.as_bytes()).unwrap().problems();
        assert_eq!(problems.len(), 4, "{problems:?}");
    }

    #[test]
    fn a_fault_is_read_for_its_status() {
        let xml = envelope(&format!(
            "<e:Fault><faultcode>e:Client</faultcode><faultstring>x</faultstring><detail><VASPErrorRsp \
             xmlns=\"{NS}\"><MM7Version>6.8.0</MM7Version><Status><StatusCode>4004</StatusCode><StatusText>no\
             </StatusText></Status></VASPErrorRsp></detail></e:Fault>"
        ));
        let soap = read(xml.as_bytes()).unwrap();
        assert_eq!((soap.operation.as_str(), soap.status()), ("VASPErrorRsp", Some(4004)));
    }

    #[test]
    fn hostile_xml_is_refused_without_a_panic() {
        let deep = "<a>".repeat(100_000);
        for bad in
            ["", "x", "<a", "<a></b>", "<!DOCTYPE a []><a/>", "<a>&boom;</a>", "<a><b></a>", deep.as_str()]
        {
            assert!(read(bad.as_bytes()).is_err(), "{}", &bad[..bad.len().min(20)]);
        }
    }

    #[test]
    fn the_root_part_is_found_by_start_or_by_place() {
        let body =
            b"--b\r\nContent-ID: <x>\r\n\r\nmedia\r\n--b\r\nContent-ID: <s>\r\n\r\n<soap/>\r\n--b--\r\n";
        assert_eq!(root("multipart/related; boundary=b; start=\"<s>\"", body).unwrap(), b"<soap/>");
        assert_eq!(root("multipart/related; boundary=\"b\"", body).unwrap(), b"media");
        assert_eq!(root("text/xml", b"<a/>").unwrap(), b"<a/>");
        assert!(root("multipart/related", body).is_err());
        assert!(root("multipart/related; boundary=none", body).is_err());
    }
}
