//! Where a session waits, and how long it may. Durations are values here; the clock is the caller's.

use std::time::Duration;

/// What the session waits for from its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The 220 of a new connection.
    Greeting,
    /// The reply to EHLO or HELO.
    Hello,
    /// The reply to STARTTLS.
    StartTls,
    /// A reply within AUTH.
    Auth,
    /// The reply to MAIL FROM.
    MailFrom,
    /// The reply to a RCPT TO.
    RcptTo,
    /// The 354 after DATA.
    Data,
    /// Progress while the octets of the mail are written.
    Body,
    /// The reply after the end of the mail.
    BodyReply,
    /// The reply to RSET.
    Reset,
    /// The reply to NOOP.
    Noop,
    /// The reply to QUIT.
    Quit,
    /// Nothing: the session is ready for a mail.
    Idle,
    /// A command, on the server's side.
    Command,
}

impl Stage {
    /// The wait RFC 5321 section 4.5.3.2 recommends.
    #[must_use]
    pub fn timeout(self) -> Duration {
        Timeouts::default().of(self)
    }
}

/// The waits of both sides; the default is RFC 5321 section 4.5.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the greeting, 5 minutes.
    pub greeting: Duration,
    /// For EHLO, STARTTLS, AUTH, MAIL, RCPT, RSET, NOOP: 5 minutes.
    pub command: Duration,
    /// For the 354 after DATA, 2 minutes.
    pub data: Duration,
    /// For each write of a part of the mail, 3 minutes.
    pub body: Duration,
    /// For the reply after the mail, 10 minutes.
    pub body_reply: Duration,
    /// For the reply to QUIT; nothing depends on it, 30 seconds.
    pub quit: Duration,
    /// For the next command, on the server's side, 5 minutes.
    pub server: Duration,
}

impl Timeouts {
    /// The wait for a stage. Idle has the server's: a peer may close after it.
    #[must_use]
    pub fn of(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Greeting => self.greeting,
            Stage::Hello | Stage::StartTls | Stage::Auth | Stage::MailFrom => self.command,
            Stage::RcptTo | Stage::Reset | Stage::Noop => self.command,
            Stage::Data => self.data,
            Stage::Body => self.body,
            Stage::BodyReply => self.body_reply,
            Stage::Quit => self.quit,
            Stage::Idle | Stage::Command => self.server,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            greeting: Duration::from_mins(5),
            command: Duration::from_mins(5),
            data: Duration::from_mins(2),
            body: Duration::from_mins(3),
            body_reply: Duration::from_mins(10),
            quit: Duration::from_secs(30),
            server: Duration::from_mins(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_overrides_the_standard() {
        let hasty = Timeouts { data: Duration::from_secs(1), ..Timeouts::default() };
        assert_eq!(hasty.of(Stage::Data), Duration::from_secs(1));
        assert_eq!(hasty.of(Stage::BodyReply), Stage::BodyReply.timeout());
        assert_eq!(Stage::Data.timeout(), Duration::from_mins(2));
        assert_eq!(Stage::BodyReply.timeout(), Duration::from_mins(10));
    }
}
