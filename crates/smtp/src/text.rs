//! What text may stand in a command. Everything that comes from outside and goes into a command line passes here, so
//! that no value can end a line or a path and begin another.

use thiserror::Error;

/// Longest address: a path is at most 256 octets with its brackets (RFC 5321 section 4.5.3.1.3).
pub const MAX_ADDRESS: usize = 254;
/// Longest host name (RFC 5321 section 4.5.3.1.2).
pub const MAX_HOST: usize = 255;
/// Longest user name or password, so that an AUTH line stays within RFC 4954's 12288 octets.
pub const MAX_SECRET: usize = 1024;

/// The kind of text that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// A path of MAIL FROM or RCPT TO.
    Address,
    /// The name given in EHLO or HELO.
    Host,
    /// An AUTH user name.
    User,
    /// An AUTH password.
    Password,
}

/// Why a text cannot go into a command. The text itself is not repeated: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TextError {
    /// Nothing where something is needed.
    #[error("{0:?} is empty")]
    Empty(Field),
    /// More octets than the protocol allows.
    #[error("{field:?} is longer than {limit} octets")]
    TooLong {
        /// What was too long.
        field: Field,
        /// The limit in octets.
        limit: usize,
    },
    /// An octet that could break the command or that the peer cannot take.
    #[error("{field:?} has a forbidden octet {octet:#04x} at {at}")]
    Forbidden {
        /// What holds the octet.
        field: Field,
        /// The octet.
        octet: u8,
        /// Its offset.
        at: usize,
    },
}

/// Checks an address for a path: not empty, no control characters, spaces or angle brackets, no source route, and
/// octets above 127 only with `utf8`.
///
/// # Errors
/// [`TextError`] that names the first fault.
pub fn check_address(address: &str, utf8: bool) -> Result<(), TextError> {
    check(Field::Address, address, MAX_ADDRESS, |at, octet| match octet {
        b'<' | b'>' => false,
        b'@' => at > 0,
        0x21..=0x7e => true,
        0x80.. => utf8,
        _ => false,
    })
}

/// Checks the name for EHLO or HELO: a domain or an address literal, ASCII, no spaces.
///
/// # Errors
/// [`TextError`] that names the first fault.
pub fn check_host(host: &str) -> Result<(), TextError> {
    let allowed = |_, octet: u8| octet.is_ascii_alphanumeric() || b".-_:[]".contains(&octet);
    check(Field::Host, host, MAX_HOST, allowed)
}

/// Checks an AUTH user name or password: not empty, no NUL (RFC 4616 section 2).
pub(crate) fn check_secret(field: Field, secret: &str) -> Result<(), TextError> {
    check(field, secret, MAX_SECRET, |_, octet| octet != 0)
}

fn check(
    field: Field,
    text: &str,
    limit: usize,
    allowed: impl Fn(usize, u8) -> bool,
) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty(field));
    }
    if text.len() > limit {
        return Err(TextError::TooLong { field, limit });
    }
    match text.bytes().enumerate().find(|&(at, octet)| !allowed(at, octet)) {
        Some((at, octet)) => Err(TextError::Forbidden { field, octet, at }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mm4_addresses_pass() {
        for address in
            ["+15551230001/TYPE=PLMN@mmsc.a.example", "system@mms.example", "a@[192.0.2.1]", "Postmaster"]
        {
            assert_eq!(check_address(address, false), Ok(()), "{address}");
        }
    }

    #[test]
    fn nothing_breaks_out_of_a_path() {
        for address in
            ["a\r\nDATA@x", "a\n@x", "a\0@x", "a b@x", "a>@x", "<a@x", "a\t@x", "a\u{7f}@x", "@r:a@x"]
        {
            assert!(matches!(check_address(address, true), Err(TextError::Forbidden { .. })), "{address:?}");
        }
        assert!(check_address("jürgen@example", false).is_err());
        assert_eq!(check_address("jürgen@example", true), Ok(()));
        assert_eq!(check_address("", true), Err(TextError::Empty(Field::Address)));
        let long = "a".repeat(MAX_ADDRESS + 1);
        assert!(matches!(check_address(&long, false), Err(TextError::TooLong { .. })));
    }

    #[test]
    fn hosts_are_one_word() {
        assert_eq!(check_host("mms.mnc006.mcc260.gprs"), Ok(()));
        assert_eq!(check_host("[IPv6:2001:db8::1]"), Ok(()));
        for host in ["", "a b", "a\r\nb", "a<b"] {
            assert!(check_host(host).is_err(), "{host:?}");
        }
    }
}
