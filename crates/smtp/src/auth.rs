//! AUTH PLAIN and LOGIN (RFC 4954, RFC 4616): the texts of both sides. Whether a password is right is the caller's
//! question; whether a mechanism may be used without TLS is the session's.

use std::fmt;

use encodify::base64;
use thiserror::Error;

use crate::text::{Field, MAX_SECRET, TextError, check_secret};

/// A mechanism both sides of this crate speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616: one message.
    Plain,
    /// Never a standard, asked for by many carriers: user name and password one after the other.
    Login,
}

impl Mechanism {
    /// Its name in EHLO and AUTH.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

/// A user name and its password. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The authentication identity.
    pub user: String,
    /// The secret, in clear.
    pub password: String,
}

impl Credentials {
    pub(crate) fn check(&self) -> Result<(), TextError> {
        check_secret(Field::User, &self.user)?;
        check_secret(Field::Password, &self.password)
    }

    /// The one message of PLAIN, without an authorization identity.
    pub(crate) fn plain(&self) -> String {
        base64::STANDARD.encode(format!("\0{}\0{}", self.user, self.password))
    }

    /// Reads the one message of PLAIN. An authorization identity other than the user is refused: nobody may act for
    /// another here.
    pub(crate) fn from_plain(text: &str) -> Result<Self, AuthError> {
        let message = decode(text)?;
        let mut parts = message.split('\0');
        let (Some(actor), Some(user), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AuthError::Malformed);
        };
        if user.is_empty() || !(actor.is_empty() || actor == user) {
            return Err(AuthError::Malformed);
        }
        Ok(Self { user: user.to_owned(), password: password.to_owned() })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Why a client's AUTH text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum AuthError {
    #[error("not base64 of UTF-8 text, or too long")]
    Encoding,
    #[error("not the message of the mechanism")]
    Malformed,
}

/// One base64 answer of LOGIN, or the message of PLAIN. A lone `=` is the empty answer (RFC 4954 section 4).
pub(crate) fn decode(text: &str) -> Result<String, AuthError> {
    if text == "=" {
        return Ok(String::new());
    }
    if text.len() > MAX_SECRET * 4 {
        return Err(AuthError::Encoding);
    }
    let octets = base64::STANDARD.decode(text).map_err(|_| AuthError::Encoding)?;
    String::from_utf8(octets).map_err(|_| AuthError::Encoding)
}

pub(crate) fn encode(text: &str) -> String {
    base64::STANDARD.encode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_round_trip() {
        let credentials = Credentials { user: "mmsc".into(), password: "s\r\n3cret é".into() };
        assert_eq!(credentials.check(), Ok(()));
        assert_eq!(Credentials::from_plain(&credentials.plain()), Ok(credentials));
    }

    #[test]
    fn plain_refuses_what_is_not_plain() {
        for message in ["", "a", "\0a", "\0\0b", "other\0a\0b", "\0a\0b\0c"] {
            assert_eq!(Credentials::from_plain(&encode(message)), Err(AuthError::Malformed), "{message:?}");
        }
        assert_eq!(Credentials::from_plain("***"), Err(AuthError::Encoding));
        assert_eq!(Credentials::from_plain(&"A".repeat(8192)), Err(AuthError::Encoding));
        assert!(Credentials::from_plain(&encode("a\0a\0b")).is_ok());
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", Credentials { user: "u".into(), password: "hush".into() });
        assert!(shown.contains('u') && !shown.contains("hush"));
    }
}
