//! What each command does: its place in the sequence (RFC 5321 section 4.1.4), its checks, its reply or event.

use bytes::Bytes;

use super::intake::{Intake, fault_reply};
use super::{AuthPolicy, CloseReason, Due, Event, ServerSession, State};
use crate::auth::{self, Credentials, Mechanism};
use crate::command::{self, Command, CommandError};
use crate::envelope::{Body, Envelope};
use crate::lines::{self, DataFault, DataReader};
use crate::reply::{Enhanced, Reply};

impl ServerSession {
    /// One line: a command, or an answer within AUTH.
    pub(super) fn line(&mut self, line: &[u8]) {
        match std::mem::replace(&mut self.state, State::Commands) {
            State::AuthPlain => self.auth_plain(answer(line)),
            State::AuthUser => self.auth_user(answer(line)),
            State::AuthPassword(user) => self.auth_password(user, answer(line)),
            _ => match command::read(line) {
                Ok(command) => self.command(command),
                Err(error) => self.no_command(error),
            },
        }
    }

    /// The whole of DATA or of a chunk is there.
    pub(super) fn intake_done(&mut self) {
        let State::Intake(intake) = std::mem::replace(&mut self.state, State::Commands) else { return };
        match intake {
            Intake::Swallow { reply, .. } => self.reply(&reply),
            Intake::Data { reader, .. } => self.deliver(reader.finish()),
            Intake::Chunk { last: false, octets, .. } => {
                self.chunks = Some(octets);
                self.reply(&Reply::new(250, Enhanced(2, 0, 0), "chunk OK"));
            }
            Intake::Chunk { last: true, octets, .. } => {
                let checked = lines::check_line_endings(&octets);
                self.deliver(checked.map(|()| octets).map_err(|_| DataFault::LoneLineEnding));
            }
        }
    }

    /// The reply to EHLO or HELO.
    pub(super) fn welcome(&mut self, extended: bool) {
        self.greeted = true;
        let mut text = self.options.hostname.clone();
        if extended {
            for line in self.extensions() {
                text.push('\n');
                text.push_str(&line);
            }
        }
        self.reply(&Reply::bare(250, text));
    }

    fn extensions(&self) -> Vec<String> {
        let offered = self.options.extensions;
        let flags = [
            (offered.pipelining, "PIPELINING"),
            (offered.eight_bit, "8BITMIME"),
            (offered.chunking, "CHUNKING"),
            (offered.smtputf8, "SMTPUTF8"),
            (self.offers_tls(), "STARTTLS"),
            (self.offers_auth() && !self.authenticated, "AUTH PLAIN LOGIN"),
            (true, "ENHANCEDSTATUSCODES"),
        ];
        let named = flags.into_iter().filter(|(on, _)| *on).map(|(_, name)| name.to_owned());
        named.chain([format!("SIZE {}", self.options.max_size)]).collect()
    }

    fn offers_tls(&self) -> bool {
        self.options.tls_available && !self.encrypted
    }

    fn offers_auth(&self) -> bool {
        let safe = self.encrypted || (self.options.auth_in_clear && !self.options.require_tls);
        self.options.auth != AuthPolicy::Off && safe
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Hello { host, extended } => {
                self.reset();
                self.hand(Event::Hello { host, extended }, Due::Hello { extended });
            }
            Command::StartTls => self.starttls(),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
            Command::Mail(envelope) => self.mail(envelope),
            Command::Rcpt(address) => self.rcpt(address),
            Command::Data => self.data(),
            Command::Chunk { octets, last } => self.chunk(octets, last),
            Command::Reset => {
                self.reset();
                self.reply(&Reply::ok());
            }
            Command::Noop => self.reply(&Reply::ok()),
            Command::Verify => {
                self.reply(&Reply::new(252, Enhanced(2, 5, 0), "not verified; send the mail and see"));
            }
            Command::Help => self.reply(&Reply::new(214, Enhanced(2, 0, 0), "see RFC 5321")),
            Command::Quit => {
                self.close(&Reply::new(221, Enhanced(2, 0, 0), "goodbye"), CloseReason::Quit);
            }
        }
    }

    fn no_command(&mut self, error: CommandError) {
        let reply = match error {
            CommandError::Unknown => Reply::new(500, Enhanced(5, 5, 2), "unknown command"),
            CommandError::NotServed => Reply::new(502, Enhanced(5, 5, 1), "command not served"),
            CommandError::Syntax(syntax) => Reply::new(501, Enhanced(5, 5, 4), syntax),
            CommandError::Parameter => Reply::new(555, Enhanced(5, 5, 4), "parameter not served"),
            CommandError::Address => Reply::new(553, Enhanced(5, 1, 3), "not an address"),
            CommandError::Chunk => {
                let reply = Reply::new(501, Enhanced(5, 5, 4), "BDAT octets [LAST]; closing");
                return self.close(&reply, CloseReason::LostStep);
            }
        };
        self.refuse(&reply);
    }

    fn hand(&mut self, event: Event, due: Due) {
        self.state = State::Hand(event, due);
    }

    fn sequence(&mut self, text: &'static str) {
        let reply = Reply::new(503, Enhanced(5, 5, 1), text);
        if self.mail_refused { self.reply(&reply) } else { self.refuse(&reply) }
    }

    fn starttls(&mut self) {
        if !self.offers_tls() {
            self.refuse(&Reply::new(502, Enhanced(5, 5, 1), "STARTTLS is not offered"));
        } else if self.transaction.is_some() {
            self.sequence("not within a mail");
        } else if self.at < self.input.len() {
            // Commands in clear behind STARTTLS would be taken for encrypted ones.
            let reply = Reply::new(501, Enhanced(5, 5, 4), "nothing may follow STARTTLS; closing");
            self.close(&reply, CloseReason::Injected);
        } else {
            self.reply(&Reply::new(220, Enhanced(2, 0, 0), "go ahead"));
            self.state = State::Handshake;
        }
    }

    fn auth(&mut self, mechanism: Option<Mechanism>, initial: Option<String>) {
        if self.options.auth == AuthPolicy::Off {
            return self.no_command(CommandError::NotServed);
        }
        if !self.offers_auth() {
            return self.refuse(&Reply::new(538, Enhanced(5, 7, 11), "encryption required"));
        }
        if !self.greeted || self.authenticated || self.transaction.is_some() {
            return self.sequence("not now");
        }
        match (mechanism, initial) {
            (None, _) => self.refuse(&Reply::new(504, Enhanced(5, 5, 4), "unknown mechanism")),
            (Some(Mechanism::Plain), Some(text)) => self.auth_plain(&text),
            (Some(Mechanism::Plain), None) => self.challenge("", State::AuthPlain),
            (Some(Mechanism::Login), Some(text)) => self.auth_user(&text),
            (Some(Mechanism::Login), None) => self.challenge("Username:", State::AuthUser),
        }
    }

    fn challenge(&mut self, text: &str, state: State) {
        self.reply(&Reply::bare(334, auth::encode(text)));
        self.state = state;
    }

    fn auth_plain(&mut self, text: &str) {
        match Credentials::from_plain(text) {
            Ok(credentials) => self.hand(Event::Auth(credentials), Due::Auth),
            Err(_) => self.bad_auth(),
        }
    }

    fn auth_user(&mut self, text: &str) {
        match auth::decode(text) {
            Ok(user) if !user.is_empty() => self.challenge("Password:", State::AuthPassword(user)),
            _ => self.bad_auth(),
        }
    }

    fn auth_password(&mut self, user: String, text: &str) {
        match auth::decode(text) {
            Ok(password) => self.hand(Event::Auth(Credentials { user, password }), Due::Auth),
            Err(_) => self.bad_auth(),
        }
    }

    /// Also for the `*` with which a client gives up.
    fn bad_auth(&mut self) {
        self.refuse(&Reply::new(501, Enhanced(5, 5, 2), "AUTH ended without credentials"));
    }

    fn mail(&mut self, envelope: Envelope) {
        let offered = self.options.extensions;
        self.mail_refused = false;
        if !self.greeted {
            self.sequence("EHLO first");
        } else if self.options.require_tls && !self.encrypted {
            self.refuse(&Reply::new(530, Enhanced(5, 7, 0), "STARTTLS first"));
        } else if self.options.auth == AuthPolicy::Required && !self.authenticated {
            self.refuse(&Reply::new(530, Enhanced(5, 7, 0), "AUTH first"));
        } else if self.transaction.is_some() {
            self.sequence("a mail is begun already");
        } else if (envelope.smtputf8 && !offered.smtputf8)
            || (envelope.body == Body::EightBitMime && !offered.eight_bit)
        {
            self.no_command(CommandError::Parameter);
        } else if !envelope.smtputf8 && !envelope.mail_from.is_ascii() {
            self.refuse(&needs_utf8());
        } else if envelope.size > self.options.max_size as u64 {
            self.reply(&Reply::too_large());
        } else {
            return self.hand(Event::MailFrom(envelope.clone()), Due::MailFrom(envelope));
        }
        self.mail_refused = self.transaction.is_none();
    }

    fn rcpt(&mut self, address: String) {
        let Some(envelope) = &self.transaction else { return self.sequence("MAIL first") };
        if self.chunks.is_some() {
            self.sequence("not after BDAT");
        } else if !envelope.smtputf8 && !address.is_ascii() {
            self.refuse(&needs_utf8());
        } else if envelope.rcpt_to.len() >= self.options.max_recipients {
            self.reply(&Reply::new(452, Enhanced(4, 5, 3), "too many recipients in one mail"));
        } else {
            self.hand(Event::RcptTo(address.clone()), Due::RcptTo(address));
        }
    }

    fn data(&mut self) {
        match &self.transaction {
            None => self.sequence("MAIL first"),
            Some(_) if self.chunks.is_some() => self.sequence("not after BDAT"),
            Some(envelope) if envelope.rcpt_to.is_empty() => self.reply(&no_recipient()),
            Some(envelope) => {
                let reader = DataReader::new(self.options.max_size, envelope.size);
                self.reply(&Reply::bare(354, "end with a dot on a line of its own"));
                self.state = State::Intake(Intake::Data { reader, ended: false });
            }
        }
    }

    /// BDAT: the octets follow at once, wanted or not. A refused chunk ends the mail (RFC 3030 section 2).
    fn chunk(&mut self, size: u64, last: bool) {
        let before = self.chunks.as_ref().map_or(0, Vec::len);
        let room = (self.options.max_size - before.min(self.options.max_size)) as u64;
        let refusal = match &self.transaction {
            _ if !self.options.extensions.chunking => {
                Reply::new(502, Enhanced(5, 5, 1), "CHUNKING is not offered")
            }
            None => Reply::new(503, Enhanced(5, 5, 1), "MAIL first"),
            Some(envelope) if envelope.rcpt_to.is_empty() => no_recipient(),
            Some(_) if size > room => Reply::too_large(),
            Some(_) => {
                let octets = self.chunks.take().unwrap_or_default();
                self.state = State::Intake(Intake::Chunk { left: size, last, octets });
                return;
            }
        };
        (self.transaction, self.chunks) = (None, None);
        self.state = State::Intake(Intake::Swallow { left: size, swallowed: 0, reply: refusal });
    }

    /// Hands a whole mail to the caller, or says why not; the transaction is over either way.
    fn deliver(&mut self, mail: Result<Vec<u8>, DataFault>) {
        let envelope = self.transaction.take();
        self.reset();
        match (mail, envelope) {
            (Ok(octets), Some(mut envelope)) => {
                envelope.size = octets.len() as u64;
                self.hand(Event::Mail { envelope, octets: Bytes::from(octets) }, Due::Mail);
            }
            (Ok(_), None) => self.sequence("MAIL first"),
            (Err(fault), _) => self.refuse(&fault_reply(fault)),
        }
    }
}

/// A line within AUTH without its CRLF; what is not ASCII cannot be base64 and is refused as such.
fn answer(line: &[u8]) -> &str {
    std::str::from_utf8(line).map_or("*", |line| line.trim_end_matches(['\r', '\n']))
}

fn no_recipient() -> Reply {
    Reply::new(554, Enhanced(5, 5, 1), "no valid recipient")
}

fn needs_utf8() -> Reply {
    Reply::new(553, Enhanced(5, 6, 7), "an address that needs SMTPUTF8")
}
