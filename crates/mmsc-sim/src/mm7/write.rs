//! Writing MM7: responses, faults, reports and messages of the carrier (TS 23.140 clause 8.7).

use quick_xml::escape::escape;

use super::soap::{SOAP11, Soap};

/// What an answer or a report takes over from the message it is about.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    /// Schema namespace.
    pub(crate) namespace: String,
    /// MM7Version.
    pub(crate) version: String,
}

impl Dialect {
    /// That of a request, with the carrier's own where the request says nothing.
    pub(crate) fn of(soap: Option<&Soap>, own: &Self) -> Self {
        let pick = |theirs: Option<&str>, own: &str| match theirs {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => own.to_owned(),
        };
        Self {
            namespace: pick(soap.map(|soap| soap.namespace.as_str()), &own.namespace),
            version: pick(soap.map(|soap| soap.version.as_str()), &own.version),
        }
    }
}

/// Status of a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status<'a> {
    pub(crate) code: u16,
    pub(crate) text: &'a str,
    pub(crate) details: Option<&'a str>,
}

impl<'a> Status<'a> {
    /// A status whose text defaults to the words for its class.
    pub(crate) fn new(code: u16, text: Option<&'a str>, details: Option<&'a str>) -> Self {
        let words = match code {
            1000 => "Success",
            1001..2000 => "Partial success",
            2000..3000 => "Client error",
            3000..4000 => "Server Error",
            _ => "General service error",
        };
        Self { code, text: text.unwrap_or(words), details }
    }

    fn xml(&self) -> String {
        let details = self.details.map(|text| element("Details", text)).unwrap_or_default();
        format!(
            "<Status><StatusCode>{}</StatusCode>{}{details}</Status>",
            self.code,
            element("StatusText", self.text)
        )
    }
}

/// The response to `operation` (`SubmitReq` → `SubmitRsp`), with MessageID if given.
pub(crate) fn response(
    dialect: &Dialect,
    transaction: &str,
    operation: &str,
    status: Status<'_>,
    message_id: Option<&str>,
) -> String {
    let name = format!("{}Rsp", operation.strip_suffix("Req").unwrap_or(operation));
    let id = message_id.map(|id| element("MessageID", id)).unwrap_or_default();
    let children = match operation.starts_with("extended") {
        // They have the id first, and of the status only its code.
        true => format!("{id}<Status>{}</Status>", element("StatusCode", &status.code.to_string())),
        false => format!("{}{id}", status.xml()),
    };
    request(dialect, transaction, &name, &children)
}

/// A fault with RSErrorRsp.
pub(crate) fn fault(dialect: &Dialect, transaction: &str, status: Status<'_>) -> String {
    let side = if (2000..3000).contains(&status.code) { "Client" } else { "Server" };
    let body = format!(
        "<env:Fault><faultcode>env:{side}</faultcode><faultstring>{side} error</faultstring><detail>\
         <RSErrorRsp xmlns=\"{}\">{}{}</RSErrorRsp></detail></env:Fault>",
        escape(dialect.namespace.as_str()),
        element("MM7Version", &dialect.version),
        status.xml()
    );
    envelope(dialect, transaction, &body)
}

/// A body entry with MM7Version and then `children`, in an envelope.
pub(crate) fn request(dialect: &Dialect, transaction: &str, name: &str, children: &str) -> String {
    let body = format!(
        "<{name} xmlns=\"{}\">{}{children}</{name}>",
        escape(dialect.namespace.as_str()),
        element("MM7Version", &dialect.version)
    );
    envelope(dialect, transaction, &body)
}

/// An element with text.
pub(crate) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// An element with an address in the form that fits it: mail address, short code or number.
pub(crate) fn address(name: &str, address: &str) -> String {
    let digits = address.strip_prefix('+').unwrap_or(address);
    let kind = if address.contains('@') {
        "RFC2822Address"
    } else if !address.starts_with('+') && digits.len() <= 6 {
        "ShortCode"
    } else {
        "Number"
    };
    format!("<{name}>{}</{name}>", element(kind, address))
}

fn envelope(dialect: &Dialect, transaction: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<env:Envelope xmlns:env=\"{SOAP11}\"><env:Header>\
         <mm7:TransactionID xmlns:mm7=\"{}\" env:mustUnderstand=\"1\">{}</mm7:TransactionID></env:Header>\
         <env:Body>{body}</env:Body></env:Envelope>",
        escape(dialect.namespace.as_str()),
        escape(transaction)
    )
}

#[cfg(test)]
mod tests {
    use super::super::soap;
    use super::*;

    fn dialect() -> Dialect {
        Dialect { namespace: format!("{}REL-5-MM7-1-2", crate::config::MM7_BASE), version: "5.3.0".into() }
    }

    #[test]
    fn answers_read_back() {
        let status = Status::new(1100, None, Some("+1 <unknown>"));
        let xml = response(&dialect(), "t<1>", "SubmitReq", status, Some("m&1"));
        let soap = soap::read(xml.as_bytes()).unwrap();
        assert_eq!((soap.operation.as_str(), soap.status()), ("SubmitRsp", Some(1100)));
        assert_eq!((soap.transaction_id.as_str(), soap.field("MessageID")), ("t<1>", Some("m&1")));
        assert_eq!(
            (soap.field("StatusText"), soap.field("Details")),
            (Some("Partial success"), Some("+1 <unknown>"))
        );
        assert_eq!((soap.namespace, soap.version), (dialect().namespace, dialect().version));

        let xml = response(&dialect(), "t", "extendedReplaceReq", Status::new(1000, None, None), Some("m2"));
        assert!(xml.contains("<MessageID>m2</MessageID><Status><StatusCode>1000</StatusCode></Status>"));

        let xml = fault(&dialect(), "t", Status::new(2007, Some("bad"), None));
        let soap = soap::read(xml.as_bytes()).unwrap();
        assert_eq!((soap.operation.as_str(), soap.status()), ("RSErrorRsp", Some(2007)));
        assert_eq!(soap.field("faultcode"), Some("env:Client"));
    }

    #[test]
    fn addresses_take_the_form_that_fits() {
        assert_eq!(
            address("Sender", "a@b.example"),
            "<Sender><RFC2822Address>a@b.example</RFC2822Address></Sender>"
        );
        assert_eq!(address("To", "12345"), "<To><ShortCode>12345</ShortCode></To>");
        assert_eq!(address("To", "+15555550101"), "<To><Number>+15555550101</Number></To>");
        assert_eq!(address("To", "15555550101"), "<To><Number>15555550101</Number></To>");
    }
}
