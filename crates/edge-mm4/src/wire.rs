//! What is said on one connection, noted for who watches. Passwords are left out.

use mmsgw_engine::Tap;

/// Notes both sides of an SMTP session.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    tap: Tap,
    /// Whether what we say next answers a challenge of AUTH (RFC 4954).
    is_secret: bool,
}

impl Wire {
    pub(crate) fn new(tap: &Tap) -> Self {
        Self { tap: tap.clone(), is_secret: false }
    }

    pub(crate) fn said(&mut self, octets: &[u8]) {
        if !self.tap.is_on() {
            return;
        }
        let is_auth = octets.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH "));
        self.is_secret &= !is_verb(octets);
        if is_auth {
            // The mechanism is no secret; an initial response is.
            let mechanism = octets.split(u8::is_ascii_whitespace).nth(1).unwrap_or_default();
            self.tap.said(&[b"AUTH ", mechanism, b" ***"].concat());
        } else if self.is_secret {
            self.tap.said(b"***");
        } else {
            self.tap.said(octets.trim_ascii_end());
        }
        self.is_secret |= is_auth;
    }

    pub(crate) fn heard(&self, octets: &[u8]) {
        self.tap.heard(octets.trim_ascii_end());
    }

    pub(crate) fn said_mail(&self, head: &[u8], body: &[u8]) {
        self.tap.said(head.trim_ascii_end());
        self.tap.said_content(body);
    }

    pub(crate) fn is_encrypted(&self) {
        self.tap.happened("TLS");
    }
}

/// A mail that a peer handed over.
pub(crate) fn heard_mail(tap: &Tap, octets: &[u8]) {
    if !tap.is_on() {
        return;
    }
    let body = octets.windows(4).position(|four| four == b"\r\n\r\n").map_or(octets.len(), |at| at + 4);
    tap.heard(octets[..body].trim_ascii_end());
    tap.heard_content(&octets[body..]);
}

/// A command that our client says behind AUTH; anything else may belong to AUTH, however its answers came in pieces.
fn is_verb(octets: &[u8]) -> bool {
    let verb = octets.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    [&b"MAIL"[..], b"EHLO", b"QUIT", b"RSET", b"NOOP"].contains(&verb)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use mmsgw_domain::{GroupName, SystemClock};
    use mmsgw_engine::{Watched, Wiretap};

    use super::*;

    #[test]
    fn passwords_are_not_noted() {
        let (wiretap, group) =
            (Arc::new(Wiretap::new(Arc::new(SystemClock))), "east".parse::<GroupName>().unwrap());
        let watch = wiretap.begin(Watched::Group(group.clone()), Duration::from_secs(60)).unwrap();
        let mut wire = Wire::new(&wiretap.tap(&group, None));
        wire.said(b"EHLO us\r\n");
        wire.heard(b"250 AUTH PLAIN\r\n");
        wire.said(b"auth PLAIN AHVzZXIAcGFzcw==\r\n");
        wire.heard(b"3");
        wire.heard(b"34 more\r\n");
        wire.said(b"cGFzcw==\r\n");
        wire.heard(b"235 welcome\r\n");
        wire.said(b"MAIL FROM:<a@b>\r\n");
        let (_, said) = wiretap.read(watch.id, 0, 100).unwrap();
        let said: Vec<_> = said.iter().map(|said| said.text.as_str()).collect();
        let expected = [
            "EHLO us",
            "250 AUTH PLAIN",
            "AUTH PLAIN ***",
            "3",
            "34 more",
            "***",
            "235 welcome",
            "MAIL FROM:<a@b>",
        ];
        assert_eq!(said, expected);
    }
}
