//! Addresses of MM4 headers and envelopes (TS 23.140 clause 8.4.5.1), read tolerantly.
//!
//! Mail libraries are of no use here: `+15551234/TYPE=PLMN` without a domain is no mailbox of
//! RFC 5322. What a number without `+` means is the caller's rule.

use std::fmt::Write;

/// What kind of address it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// A number: `/TYPE=PLMN`, or digits without a type.
    Plmn,
    /// A mailbox, or a bare word such as `PostMaster`.
    Email,
    /// `/TYPE=IPv4`.
    Ipv4,
    /// `/TYPE=IPv6`.
    Ipv6,
    /// Another `/TYPE=`, kept as it came.
    Other(String),
}

/// An address without its decoration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mm4Address {
    /// The number (a leading `+` kept, visual separators gone), local part of the mailbox, or IP
    /// address.
    pub local: String,
    /// What it is.
    pub kind: AddressKind,
    /// What stood behind the `@`, in lower case.
    pub domain: Option<String>,
}

impl Mm4Address {
    /// A number, with a leading `+` if it is E.164.
    pub fn number(number: impl Into<String>) -> Self {
        Self { local: number.into(), kind: AddressKind::Plmn, domain: None }
    }

    /// A mailbox.
    pub fn email(local: impl Into<String>, domain: impl Into<String>) -> Self {
        Self { local: local.into(), kind: AddressKind::Email, domain: Some(domain.into()) }
    }

    /// Reads one address: with or without display name, angle brackets, type, domain and `+`.
    /// `None` if nothing is there.
    pub fn parse(text: &str) -> Option<Self> {
        let spec = addr_spec(text)?;
        let (local, domain) = match spec.rsplit_once('@') {
            Some((local, domain)) => (local, Some(domain)),
            None => (spec.as_str(), None),
        };
        // Some write the type behind the domain.
        let (domain, late_type) = domain.map_or((None, None), |domain| {
            let (domain, kind) = cut_type(domain);
            (Some(domain.trim().to_ascii_lowercase()).filter(|domain| !domain.is_empty()), kind)
        });
        let (local, kind) = cut_type(local);
        let kind = read_kind(kind.or(late_type), local, domain.as_deref());
        let local: String = match kind {
            AddressKind::Plmn => local.chars().filter(|c| !is_separator(*c)).collect(),
            _ => local.trim_matches('"').to_owned(),
        };
        (!local.is_empty()).then_some(Self { local, kind, domain })
    }

    /// Reads a list with commas or semicolons between, as in `To` and `Cc`. Empty entries and
    /// group names are skipped.
    pub fn parse_list(text: &str) -> Vec<Self> {
        split_list(text).into_iter().filter_map(Self::parse).collect()
    }

    /// Reads `X-Mms-Request-Recipients`: a list, also joined with dots as one stack writes it.
    pub fn parse_recipients(text: &str) -> Vec<Self> {
        Self::parse_list(&text.replace(".+", ",+"))
    }

    /// Whether this is a number in international form.
    pub fn is_e164(&self) -> bool {
        self.kind == AddressKind::Plmn && self.local.starts_with('+')
    }
}

/// How numbers are written for one side. A mailbox is always written as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressStyle {
    /// Stands in place of the `+` of an international number. Numbers without `+` (short codes)
    /// get none.
    pub prefix: String,
    /// Follows the number.
    pub suffix: String,
    /// Follows the suffix after an `@`; headers usually have none.
    pub domain: Option<String>,
}

impl Default for AddressStyle {
    /// `+15551234/TYPE=PLMN`.
    fn default() -> Self {
        Self { prefix: "+".to_owned(), suffix: "/TYPE=PLMN".to_owned(), domain: None }
    }
}

impl AddressStyle {
    /// The address as a header holds it.
    pub fn write(&self, address: &Mm4Address) -> String {
        self.write_at(address, self.domain.as_deref())
    }

    /// Addresses with commas between.
    pub fn write_list(&self, addresses: &[Mm4Address]) -> String {
        addresses.iter().map(|address| self.write(address)).collect::<Vec<_>>().join(", ")
    }

    /// The mailbox of a user for `MAIL FROM` or `RCPT TO`: a number at `domain`, a mailbox as it is
    /// (at `domain` if it has none).
    pub fn envelope(&self, address: &Mm4Address, domain: &str) -> String {
        self.write_at(address, Some(domain))
    }

    fn write_at(&self, address: &Mm4Address, domain: Option<&str>) -> String {
        let mut out = String::with_capacity(address.local.len() + 40);
        match &address.kind {
            AddressKind::Plmn => {
                match address.local.strip_prefix('+') {
                    Some(number) => out.extend([self.prefix.as_str(), number]),
                    None => out.push_str(&address.local),
                }
                out.push_str(&self.suffix);
            }
            AddressKind::Email => out.push_str(&address.local),
            AddressKind::Ipv4 => out.extend([&address.local, "/TYPE=IPv4"]),
            AddressKind::Ipv6 => out.extend([&address.local, "/TYPE=IPv6"]),
            AddressKind::Other(kind) => out.extend([&address.local, "/TYPE=", kind]),
        }
        let own = address.domain.as_deref().filter(|_| address.kind == AddressKind::Email);
        if let Some(domain) = own.or(domain) {
            // Writing into a String does not fail.
            let _ = write!(out, "@{domain}");
        }
        out
    }
}

/// Sender and recipients of one SMTP transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `MAIL FROM`, without angle brackets.
    pub mail_from: String,
    /// `RCPT TO`, without angle brackets; only recipients the peer serves.
    pub rcpt_to: Vec<String>,
}

impl Envelope {
    /// The envelope of a forward request: the originator at our domain, the recipients at the
    /// peer's.
    pub fn forward(
        (originator, origin_style, own_domain): (&Mm4Address, &AddressStyle, &str),
        (recipients, destination_style, peer_domain): (&[Mm4Address], &AddressStyle, &str),
    ) -> Self {
        Self {
            mail_from: origin_style.envelope(originator, own_domain),
            rcpt_to: recipients.iter().map(|to| destination_style.envelope(to, peer_domain)).collect(),
        }
    }

    /// The envelope of reports and answers: system mailbox to one mailbox.
    pub fn system(own_system: impl Into<String>, to: impl Into<String>) -> Self {
        Self { mail_from: own_system.into(), rcpt_to: vec![to.into()] }
    }
}

/// The mailbox out of a header such as `Sender`: no display name, comment or angle brackets. Only
/// printable ASCII without spaces, so that it may stand in an SMTP command.
pub fn addr_spec(text: &str) -> Option<String> {
    let outside = without_comments(text);
    let inner = outside.rfind('<').map_or(outside.as_str(), |open| {
        let rest = &outside[open + 1..];
        rest.find('>').map_or(rest, |close| &rest[..close])
    });
    let inner = inner.trim();
    let inner =
        inner.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:")).map_or(inner, |_| &inner[7..]);
    let spec: String = match inner.contains('@') {
        true => inner.to_owned(),
        false => inner.chars().filter(|c| !c.is_whitespace()).collect(),
    };
    (!spec.is_empty() && spec.bytes().all(|b| b.is_ascii_graphic() && !b"<>,;".contains(&b))).then_some(spec)
}

/// The mailbox of `X-Mms-Originator-System`; one simulator wraps it as `system=…;party=…`.
pub fn system_mailbox(text: &str) -> Option<String> {
    let wrapped = text.split(';').find_map(|field| {
        let (name, value) = field.split_once('=')?;
        name.trim().eq_ignore_ascii_case("system").then_some(value)
    });
    addr_spec(wrapped.unwrap_or(text))
}

/// Text without comments in parentheses, which may nest; quoted strings are left alone.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut depth, mut quoted) = (0u32, false);
    for c in text.chars() {
        match c {
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            out.push(c);
        }
    }
    out
}

/// Cuts a list at commas and semicolons that stand outside quotes and angle brackets.
fn split_list(text: &str) -> Vec<&str> {
    let mut entries = Vec::new();
    let (mut quoted, mut start) = (false, 0);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' | ';' if !quoted => {
                entries.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    entries.push(&text[start..]);
    // A group is `name: a, b;`, where only the addresses count.
    entries.into_iter().map(|entry| entry.strip_suffix(':').map_or(entry, |_| "")).collect()
}

/// `local/TYPE=kind` into its halves.
fn cut_type(text: &str) -> (&str, Option<&str>) {
    let lower = text.to_ascii_lowercase();
    match lower.find("/type=") {
        Some(at) => (&text[..at], Some(text[at + "/type=".len()..].trim())),
        None => (text, None),
    }
}

fn read_kind(kind: Option<&str>, local: &str, domain: Option<&str>) -> AddressKind {
    match kind.map(str::to_ascii_lowercase).as_deref() {
        Some("plmn") => AddressKind::Plmn,
        Some("ipv4") => AddressKind::Ipv4,
        Some("ipv6") => AddressKind::Ipv6,
        Some(_) => AddressKind::Other(kind.unwrap_or_default().to_owned()),
        None if is_number(local) && (domain.is_none() || local.starts_with('+')) => AddressKind::Plmn,
        None => AddressKind::Email,
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    digits.contains(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || is_separator(c))
}

/// Characters people put into numbers to read them better.
fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '(' | ')')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_of_the_field() {
        let expected = Mm4Address::number("+15555550101");
        for text in [
            "+15555550101/TYPE=PLMN",
            "+15555550101",
            "<+1 555-555.0101/type=plmn>",
            "\"A, B\" <+15555550101/TYPE=PLMN>",
            "+15555550101/TYPE=PLMN (user)",
        ] {
            assert_eq!(Mm4Address::parse(text).as_ref(), Some(&expected), "{text}");
        }
        let at_domain = Mm4Address { domain: Some("mms.example".to_owned()), ..expected };
        for text in [
            "+15555550101/TYPE=PLMN@MMS.example",
            "+15555550101@mms.example",
            "+15555550101@mms.example/TYPE=PLMN",
        ] {
            assert_eq!(Mm4Address::parse(text).as_ref(), Some(&at_domain), "{text}");
        }
        assert_eq!(Mm4Address::parse("88888/TYPE=PLMN"), Some(Mm4Address::number("88888")));
        assert_eq!(Mm4Address::parse("12345@mail.example"), Some(Mm4Address::email("12345", "mail.example")));
        assert_eq!(Mm4Address::parse("10.0.0.1/TYPE=IPv4").unwrap().kind, AddressKind::Ipv4);
        assert_eq!(Mm4Address::parse("PostMaster").unwrap().kind, AddressKind::Email);
        for nothing in ["", "<>", "/TYPE=PLMN", "(comment)", "a\u{7f}b@c"] {
            assert_eq!(Mm4Address::parse(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn lists() {
        let list = Mm4Address::parse_list("+1555/TYPE=PLMN,\t+1556 ; \"x, y\" <a@b.example>, ,undisclosed:;");
        let locals: Vec<&str> = list.iter().map(|address| address.local.as_str()).collect();
        assert_eq!(locals, ["+1555", "+1556", "a"]);
        let dotted = Mm4Address::parse_recipients("+15555550101/TYPE=PLMN.+15555550102/TYPE=PLMN");
        assert_eq!(dotted, [Mm4Address::number("+15555550101"), Mm4Address::number("+15555550102")]);
    }

    #[test]
    fn system_mailboxes() {
        assert_eq!(system_mailbox("system-user@mms.example").as_deref(), Some("system-user@mms.example"));
        assert_eq!(system_mailbox("system=<mms@sim.example>;party=x").as_deref(), Some("mms@sim.example"));
        assert_eq!(system_mailbox("a b@c.example"), None);
        assert_eq!(addr_spec("x> <y@z.example"), Some("y@z.example".to_owned()));
    }

    #[test]
    fn styles_and_envelopes() {
        let bare = AddressStyle { prefix: String::new(), suffix: String::new(), domain: None };
        let number = Mm4Address::number("+15555550101");
        assert_eq!(bare.write(&number), "15555550101");
        let style = AddressStyle::default();
        assert_eq!(style.write(&Mm4Address::number("88888")), "88888/TYPE=PLMN");
        assert_eq!(style.write(&Mm4Address::email("a", "b.example")), "a@b.example");
        let to = [Mm4Address::number("+15555550102")];
        let envelope = Envelope::forward((&number, &style, "own.example"), (&to, &style, "peer.example"));
        assert_eq!(envelope.mail_from, "+15555550101/TYPE=PLMN@own.example");
        assert_eq!(envelope.rcpt_to, ["+15555550102/TYPE=PLMN@peer.example"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in any::<String>(), odd in "[<>(),;:\"@/+=TYPEtype0-9 ]{0,60}") {
            for text in [text, odd] {
                let _ = (Mm4Address::parse_recipients(&text), system_mailbox(&text));
            }
        }
    }
}
