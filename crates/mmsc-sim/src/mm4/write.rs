//! Writing MM4 mails: header fields in the spelling of TS 23.140 clause 8.4, and MIME bodies for messages.

use encodify::{Fold, base64, rfc2047};

/// A mail in the making.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    text: String,
}

impl Mail {
    /// Adds a header field; control characters in the value become spaces.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.text.push_str(name);
        self.text.push_str(": ");
        self.text.extend(value.chars().map(|char| if char.is_control() { ' ' } else { char }));
        self.text.push_str("\r\n");
        self
    }

    /// Adds a header field if there is a value.
    pub(crate) fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Adds an unstructured header field, in encoded words where it is not ASCII (RFC 2047).
    pub(crate) fn words(mut self, name: &str, value: &str) -> Self {
        if value.is_ascii() {
            return self.field(name, value);
        }
        self.text.push_str(name);
        self.text.push_str(": ");
        let mut column = name.len() + 2;
        rfc2047::B.encode_words("utf-8", value, &mut column, Fold::HEADER, &mut self.text);
        self.text.push_str("\r\n");
        self
    }

    /// Ends the header and adds a body.
    pub(crate) fn body(mut self, body: &str) -> Vec<u8> {
        self.text.push_str("\r\n");
        self.text.push_str(body);
        self.text.into_bytes()
    }
}

/// A body part to be written.
#[derive(Debug)]
pub(crate) struct Medium<'a> {
    /// Content-Type without `name`.
    pub(crate) content_type: &'a str,
    /// File name: Content-Location, and with `<>` Content-ID.
    pub(crate) name: &'a str,
    pub(crate) octets: &'a [u8],
}

/// A multipart body, every part in base64.
pub(crate) fn multipart(boundary: &str, media: &[Medium<'_>]) -> String {
    let mut body = String::new();
    for Medium { content_type, name, octets } in media {
        body.push_str(&format!(
            "--{boundary}\r\nContent-Type: {content_type}; name=\"{name}\"\r\nContent-ID: <{name}>\r\n\
             Content-Location: {name}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            base64::MIME.encode(octets)
        ));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    body
}

/// An MM4 address for a header field: `+<digits>/TYPE=PLMN`, or the mail address as it is.
pub(crate) fn header_address(address: &str) -> String {
    let number = crate::script::number(address);
    let is_number = number.trim_start_matches('+').chars().all(|char| char.is_ascii_digit());
    if is_number { format!("{number}/TYPE=PLMN") } else { address.to_owned() }
}

/// An MM4 address for the envelope: that of the header with `domain`, or the mail address as it is.
pub(crate) fn envelope_address(address: &str, domain: &str) -> String {
    let header = header_address(address);
    if header.contains('@') { header } else { format!("{header}@{domain}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail;

    #[test]
    fn a_written_mail_reads_back() {
        let picture = vec![0xff; 200];
        let media = [
            Medium { content_type: "text/plain; charset=utf-8", name: "t.txt", octets: "Grüße".as_bytes() },
            Medium { content_type: "image/jpeg", name: "p.jpg", octets: &picture },
        ];
        let octets = Mail::default()
            .words("Subject", "Grüße")
            .field("X-Evil", "a\r\nX-Other: b")
            .maybe("X-None", None)
            .field("Content-Type", "multipart/mixed; boundary=\"b\"")
            .body(&multipart("b", &media));
        let (fields, _) = mail::headers(&octets).unwrap();
        assert_eq!(fields.len(), 3);
        assert_eq!(mail::field(&fields, "subject"), Some("Grüße"));
        let parts = mail::leaves(&octets).unwrap();
        assert_eq!(parts[0].octets, "Grüße".as_bytes());
        assert_eq!(parts[1].octets, picture);
        assert_eq!(parts[1].content_id.as_deref(), Some("p.jpg"));
    }

    #[test]
    fn addresses_get_type_and_domain() {
        assert_eq!(header_address("+1555/TYPE=PLMN@a.example"), "+1555/TYPE=PLMN");
        assert_eq!(header_address("a@b.example"), "a@b.example");
        assert_eq!(envelope_address("+1555", "a.example"), "+1555/TYPE=PLMN@a.example");
    }
}
