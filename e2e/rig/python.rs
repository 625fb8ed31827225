//! Python's `email` as a reader of our mails.

use encodify::base64::STANDARD;
use serde_json::Value;

use super::run_python;

/// Reads the mail at standard input strictly; prints what it found and everything it did not like.
const READER: &str = r#"
import base64, email, json, sys
from email import policy

octets = sys.stdin.buffer.read()
complaints = []
for line in octets.split(b"\r\n"):
    if len(line) > 998:
        complaints.append("a line of %d octets" % len(line))
    if b"\r" in line or b"\n" in line:
        complaints.append("a lone CR or LF: %r" % line[:60])
if not octets.endswith(b"\r\n"):
    complaints.append("the last line has no end")
if any(octet > 126 or (octet < 32 and octet not in (9, 10, 13)) for octet in octets):
    complaints.append("octets that are not 7-bit text")

mail = email.message_from_bytes(octets, policy=policy.strict)
# Numbers stand without a domain between relays, which is an address to no mail program.
addresses = {"from", "to", "cc", "sender"}
for part in mail.walk():
    complaints += ["%s: %r" % (part.get_content_type(), defect) for defect in part.defects]
    for name, value in part.items():
        if name.lower() not in addresses:
            complaints += ["%s: %r" % (name, defect) for defect in getattr(value, "defects", ())]
leaves = [part for part in mail.walk() if not part.is_multipart()]
print(json.dumps({
    "complaints": complaints,
    "headers": [[name, str(value)] for name, value in mail.items()],
    "parts": [{"type": part.get_content_type(), "name": part.get_filename(),
               "octets": base64.b64encode(part.get_payload(decode=True)).decode()} for part in leaves],
}))
"#;

/// A mail as Python's `email` sees it.
#[derive(Debug)]
pub(crate) struct Mail {
    /// What broke a rule.
    pub(crate) complaints: Vec<String>,
    headers: Vec<(String, String)>,
    /// Type and octets of each leaf.
    pub(crate) parts: Vec<(String, Vec<u8>)>,
}

impl Mail {
    pub(crate) async fn read(octets: &[u8]) -> Self {
        let printed = run_python(READER, &[], octets).await;
        let found: Value = serde_json::from_str(&printed).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |key: &str| found[key].as_array().unwrap().clone();
        Self {
            complaints: list("complaints").iter().map(text).collect(),
            headers: list("headers").iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
            parts: list("parts")
                .iter()
                .map(|part| (text(&part["type"]), STANDARD.decode(text(&part["octets"])).unwrap()))
                .collect(),
        }
    }

    /// The values of a header, decoded.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}
