//! Commands: written for the client, read for the server, and the extensions a server names. The grammar is
//! `smtp-proto`'s; what it does not take though peers send it (address literals, paths without brackets, addresses
//! without a domain) is brought into a form it takes, and the address put back afterwards.
//!
//! Writers expect text that [`crate::text`] has checked.

use std::borrow::Cow;

use smtp_proto::{
    AUTH_LOGIN, AUTH_PLAIN, EXT_8BIT_MIME, EXT_CHUNKING, EXT_PIPELINING, EXT_SIZE, EXT_SMTP_UTF8,
    EXT_START_TLS, EhloResponse, Error, MAIL_BODY_8BITMIME, MAIL_BODY_BINARYMIME, MAIL_CONPERM,
    MAIL_REQUIRETLS, MAIL_SMTPUTF8, MailFrom, Request,
};

use crate::auth::Mechanism;
use crate::envelope::{Body, Envelope};
use crate::text::check_address;

/// What a server offered in its EHLO reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 6152.
    pub eight_bit: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 1870: `None` not offered, `Some(0)` offered without a limit, else the most octets of a mail.
    pub size: Option<u64>,
    /// AUTH with PLAIN.
    pub auth_plain: bool,
    /// AUTH with LOGIN.
    pub auth_login: bool,
}

impl Capabilities {
    /// Reads the octets of a positive EHLO reply; one that is no list of extensions offers none.
    pub(crate) fn read(octets: &[u8]) -> Self {
        let Ok(ehlo) = EhloResponse::parse(&mut octets.iter()) else { return Self::default() };
        Self {
            pipelining: ehlo.has_capability(EXT_PIPELINING),
            chunking: ehlo.has_capability(EXT_CHUNKING),
            eight_bit: ehlo.has_capability(EXT_8BIT_MIME),
            smtputf8: ehlo.has_capability(EXT_SMTP_UTF8),
            starttls: ehlo.has_capability(EXT_START_TLS),
            size: ehlo.has_capability(EXT_SIZE).then_some(ehlo.size as u64),
            auth_plain: ehlo.auth() & AUTH_PLAIN != 0,
            auth_login: ehlo.auth() & AUTH_LOGIN != 0,
        }
    }
}

/// Appends a command line of one or two words.
pub(crate) fn write(out: &mut Vec<u8>, words: &[&str]) {
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends MAIL FROM with the parameters the server offered.
pub(crate) fn write_mail(out: &mut Vec<u8>, envelope: &Envelope, offered: &Capabilities) {
    out.extend_from_slice(format!("MAIL FROM:<{}>", envelope.mail_from).as_bytes());
    if offered.size.is_some() {
        out.extend_from_slice(format!(" SIZE={}", envelope.size).as_bytes());
    }
    if envelope.body == Body::EightBitMime {
        out.extend_from_slice(b" BODY=8BITMIME");
    }
    if envelope.smtputf8 {
        out.extend_from_slice(b" SMTPUTF8");
    }
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn write_rcpt(out: &mut Vec<u8>, address: &str) {
    out.extend_from_slice(b"RCPT TO:<");
    out.extend_from_slice(address.as_bytes());
    out.extend_from_slice(b">\r\n");
}

pub(crate) fn write_bdat_last(out: &mut Vec<u8>, size: u64) {
    out.extend_from_slice(format!("BDAT {size} LAST\r\n").as_bytes());
}

/// A command a server understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Hello { host: String, extended: bool },
    StartTls,
    Auth { mechanism: Option<Mechanism>, initial: Option<String> },
    Mail(Envelope),
    Rcpt(String),
    Data,
    Chunk { octets: u64, last: bool },
    Reset,
    Noop,
    Verify,
    Help,
    Quit,
}

/// Why a line is no command a server understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandError {
    /// No such verb.
    Unknown,
    /// A verb that is known and not served.
    NotServed,
    /// A known verb with arguments that are not its own; the text says how they should be.
    Syntax(&'static str),
    /// A parameter of MAIL or RCPT that is not offered or not well-formed.
    Parameter,
    /// An address that is not one.
    Address,
    /// BDAT that does not say how many octets follow: the session cannot go on.
    Chunk,
}

/// Reads a command line, CRLF included, that is known to hold no other CR, LF or NUL.
pub(crate) fn read(line: &[u8]) -> Result<Command, CommandError> {
    let plain = Path::take_out(line);
    let wire = plain.as_ref().map_or(Cow::Borrowed(line), |(wire, _)| Cow::Owned(wire.clone()));
    let path = plain.map(|(_, path)| path);
    let request = Request::parse(&mut wire.iter()).map_err(|error| failed(line, &error))?;
    let restored =
        |address: &str| path.as_ref().map_or_else(|| address.to_owned(), |path| path.put_back(address));
    Ok(match request {
        Request::Ehlo { host } => Command::Hello { host: host.into_owned(), extended: true },
        Request::Helo { host } => Command::Hello { host: host.into_owned(), extended: false },
        Request::StartTls => Command::StartTls,
        Request::Auth { mechanism, initial_response } => Command::Auth {
            mechanism: match mechanism {
                AUTH_PLAIN => Some(Mechanism::Plain),
                AUTH_LOGIN => Some(Mechanism::Login),
                _ => None,
            },
            initial: (!initial_response.is_empty()).then(|| initial_response.into_owned()),
        },
        Request::Mail { from } => Command::Mail(envelope(&from, restored(&from.address))?),
        Request::Rcpt { to } => {
            let address = match restored(&to.address) {
                // The grammar makes the bare postmaster of RFC 5321 section 4.5.1 an empty address.
                empty if empty.is_empty() && !is_null_path(line) => "postmaster".to_owned(),
                address => address,
            };
            check_address(&address, true).map_err(|_| CommandError::Address)?;
            Command::Rcpt(address)
        }
        Request::Data => Command::Data,
        Request::Bdat { chunk_size, is_last } => Command::Chunk { octets: chunk_size as u64, last: is_last },
        Request::Rset => Command::Reset,
        Request::Noop { .. } => Command::Noop,
        Request::Vrfy { .. } => Command::Verify,
        Request::Help { .. } => Command::Help,
        Request::Quit => Command::Quit,
        _ => return Err(CommandError::NotServed),
    })
}

fn failed(line: &[u8], error: &Error) -> CommandError {
    if line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT")) {
        return CommandError::Chunk;
    }
    match error {
        Error::UnknownCommand => CommandError::Unknown,
        Error::InvalidSenderAddress | Error::InvalidRecipientAddress => CommandError::Address,
        Error::InvalidParameter { .. } | Error::UnsupportedParameter { .. } => CommandError::Parameter,
        Error::SyntaxError { syntax } => CommandError::Syntax(syntax),
        Error::NeedsMoreData { .. } | Error::ResponseTooLong | Error::InvalidResponse { .. } => {
            CommandError::Syntax("command line")
        }
    }
}

/// The envelope MAIL begins. What other parameters ask of delivery is not served; RET, ENVID and AUTH= ask for nothing
/// that a mail is the worse without.
fn envelope(from: &MailFrom<Cow<'_, str>>, mail_from: String) -> Result<Envelope, CommandError> {
    let unserved = MAIL_BODY_BINARYMIME | MAIL_REQUIRETLS | MAIL_CONPERM;
    if from.flags & unserved != 0 || from.by != 0 || from.hold_for != 0 || from.hold_until != 0 {
        return Err(CommandError::Parameter);
    }
    if !mail_from.is_empty() {
        check_address(&mail_from, true).map_err(|_| CommandError::Address)?;
    }
    let eight = from.flags & MAIL_BODY_8BITMIME != 0;
    Ok(Envelope {
        mail_from,
        rcpt_to: Vec::new(),
        size: from.size as u64,
        body: if eight { Body::EightBitMime } else { Body::SevenBit },
        smtputf8: from.flags & MAIL_SMTPUTF8 != 0,
    })
}

/// A part of a path that the grammar does not take, and was taken out.
#[derive(Debug, PartialEq, Eq)]
struct Path {
    /// What stands behind the local part in the original: `@[192.0.2.1]`, or nothing.
    domain: String,
}

impl Path {
    /// The line with a path that the grammar takes, when this one needs it: MAIL FROM: or RCPT TO: with a path
    /// without brackets, with an address literal, or without a domain.
    fn take_out(line: &[u8]) -> Option<(Vec<u8>, Self)> {
        let (head, path, tail) = split_path(line)?;
        let bracketed = path.starts_with(b"<");
        let path = path.strip_prefix(b"<").unwrap_or(path);
        let path = path.strip_suffix(b">").unwrap_or(path);
        let domain = match memchr::memrchr(b'@', path) {
            Some(at) if is_literal(&path[at + 1..]) => Some(at),
            Some(_) => None,
            None if path.is_empty() || path.eq_ignore_ascii_case(b"postmaster") => None,
            None => Some(path.len()),
        };
        if domain.is_none() && bracketed {
            return None;
        }
        let at = domain.unwrap_or(path.len());
        let stand_in = if domain.is_some() { STAND_IN } else { "" };
        let wire = [head, b"<", &path[..at], stand_in.as_bytes(), b">", tail].concat();
        Some((wire, Self { domain: String::from_utf8_lossy(&path[at..]).into_owned() }))
    }

    /// The address with its own domain again.
    fn put_back(&self, address: &str) -> String {
        match address.strip_suffix(STAND_IN) {
            Some(local) => format!("{local}{}", self.domain),
            None => address.to_owned(),
        }
    }
}

/// Stands for a domain that the grammar does not take; RFC 2606 keeps it from being anybody's.
const STAND_IN: &str = "@stand-in.invalid";

/// `MAIL FROM:` or `RCPT TO:`, the path, and what follows it; `None` for every other line.
fn split_path(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let verb = line.get(..5)?;
    if !verb.eq_ignore_ascii_case(b"MAIL ") && !verb.eq_ignore_ascii_case(b"RCPT ") {
        return None;
    }
    let colon = memchr::memchr(b':', line)? + 1;
    let start = colon + line[colon..].iter().position(|&octet| octet != b' ')?;
    let rest = &line[start..];
    let bracketed = rest.starts_with(b"<");
    let mut quoted = false;
    let end = rest.iter().position(|&octet| {
        quoted ^= octet == b'"';
        matches!(octet, b'\r' | b'\n') || !quoted && octet == if bracketed { b'>' } else { b' ' }
    })?;
    if bracketed && rest[end] != b'>' {
        return None;
    }
    let end = end + usize::from(bracketed);
    (end > 0).then(|| (&line[..colon], &rest[..end], &rest[end..]))
}

fn is_null_path(line: &[u8]) -> bool {
    split_path(line).is_some_and(|(_, path, _)| path == b"<>")
}

/// An address literal (RFC 5321 section 4.1.3), loosely: brackets around digits, letters, dots and colons.
fn is_literal(domain: &[u8]) -> bool {
    let inner = domain.strip_prefix(b"[").and_then(|domain| domain.strip_suffix(b"]"));
    inner.is_some_and(|inner| {
        !inner.is_empty() && inner.iter().all(|octet| octet.is_ascii_alphanumeric() || b".:-".contains(octet))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from(line: &str) -> Result<Envelope, CommandError> {
        match read(format!("{line}\r\n").as_bytes())? {
            Command::Mail(envelope) => Ok(envelope),
            other => panic!("{other:?}"),
        }
    }

    fn to(line: &str) -> Result<String, CommandError> {
        match read(format!("{line}\r\n").as_bytes())? {
            Command::Rcpt(address) => Ok(address),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_of_the_field() {
        let mm4 = "+15551230001/TYPE=PLMN@mmsc.a.example";
        assert_eq!(to(&format!("RCPT TO:<{mm4}>")).unwrap(), mm4);
        assert_eq!(to(&format!("rcpt to: <{mm4}>")).unwrap(), mm4);
        assert_eq!(to(&format!("RCPT TO:{mm4}")).unwrap(), mm4);
        assert_eq!(to("RCPT TO:<a@[192.0.2.1]>").unwrap(), "a@[192.0.2.1]");
        assert_eq!(to("RCPT TO:a@[IPv6:2001:db8::1]").unwrap(), "a@[IPv6:2001:db8::1]");
        assert_eq!(to("RCPT TO:<+15551230001/TYPE=PLMN>").unwrap(), "+15551230001/TYPE=PLMN");
        assert_eq!(to("RCPT TO:<@relay.example:b@c.example>").unwrap(), "b@c.example");
        assert_eq!(to("RCPT TO:<Postmaster>").unwrap(), "postmaster");
        assert_eq!(from("MAIL FROM:<>").unwrap().mail_from, "");
    }

    #[test]
    fn parameters_of_mail() {
        let envelope = from("MAIL FROM:a@[192.0.2.1] SIZE=300 BODY=8BITMIME SMTPUTF8 RET=HDRS").unwrap();
        assert_eq!((envelope.mail_from.as_str(), envelope.size), ("a@[192.0.2.1]", 300));
        assert_eq!((envelope.body, envelope.smtputf8), (Body::EightBitMime, true));
        for parameter in ["SIZE=x", "BODY=BINARYMIME", "REQUIRETLS", "NOVELTY=1", "HOLDFOR=10"] {
            assert_eq!(
                from(&format!("MAIL FROM:<a@b> {parameter}")),
                Err(CommandError::Parameter),
                "{parameter}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for path in ["<a@b@c>", "<@b>", "<a b@c>", "<\"a>b\"@c>", "<\"a b\"@c>", "<a<b@c>", "<a@[x y]>", "<>"]
        {
            let read = to(&format!("RCPT TO:{path}"));
            assert!(matches!(read, Err(CommandError::Address | CommandError::Syntax(_))), "{path}: {read:?}");
        }
    }

    #[test]
    fn other_commands() {
        assert_eq!(read(b"ehlo x\r\n"), Ok(Command::Hello { host: "x".into(), extended: true }));
        assert_eq!(read(b"BDAT 10 LAST\r\n"), Ok(Command::Chunk { octets: 10, last: true }));
        assert_eq!(read(b"BDAT ten\r\n"), Err(CommandError::Chunk));
        assert_eq!(read(b"EXPN x\r\n"), Err(CommandError::NotServed));
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Err(CommandError::Unknown));
        assert_eq!(read(b"\r\n"), Err(CommandError::Unknown));
        let auth = read(b"AUTH PLAIN AGEAYg==\r\n");
        assert_eq!(
            auth,
            Ok(Command::Auth { mechanism: Some(Mechanism::Plain), initial: Some("AGEAYg==".into()) })
        );
        assert_eq!(read(b"AUTH NTLM\r\n"), Ok(Command::Auth { mechanism: None, initial: None }));
    }

    #[test]
    fn extensions() {
        let offered = Capabilities::read(
            b"250-x\r\n250-SIZE 1000\r\n250-AUTH LOGIN\r\n250-STARTTLS\r\n250 X-ODD 1\r\n",
        );
        let expected =
            Capabilities { size: Some(1000), auth_login: true, starttls: true, ..Capabilities::default() };
        assert_eq!(offered, expected);
        assert_eq!(Capabilities::read(b"250 hello\r\n"), Capabilities::default());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(local in "[a-z+/=0-9]{1,20}", size in 0u64..1 << 40) {
            let envelope = Envelope { mail_from: format!("{local}@x.example"), size, ..Envelope::default() };
            let mut line = Vec::new();
            write_mail(&mut line, &envelope, &Capabilities { size: Some(0), ..Capabilities::default() });
            prop_assert_eq!(read(&line), Ok(Command::Mail(envelope)));
        }

        #[test]
        fn lines_never_panic(verb in "(MAIL FROM:|RCPT TO:|BDAT |AUTH |EHLO )?", rest in "[ -~\u{e9}]{0,60}") {
            if let Ok(Command::Rcpt(address)) = read(format!("{verb}{rest}\r\n").as_bytes()) {
                prop_assert_eq!(check_address(&address, true), Ok(()));
            }
        }
    }
}
