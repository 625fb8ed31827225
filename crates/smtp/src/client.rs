//! The client's session: one connection from greeting to QUIT, with any number of mails.
//!
//! The caller owns the connection. It asks [`ClientSession::next`] what to do, does it, and asks again; octets that
//! arrive go to [`ClientSession::receive`]. This module answers for the order of commands and replies; what happens
//! within one mail is `transaction`'s. It must not wait, retry, or decide whether a refused mail is sent again.
//!
//! With PIPELINING a mail costs two round trips, with CHUNKING one. Every recipient keeps its own reply.

mod error;
mod transaction;

pub use crate::command::Capabilities;
pub use error::{ClientError, EnvelopeError};
pub use transaction::MailOutcome;

use crate::auth::{self, Credentials, Mechanism};
use crate::command;
use crate::envelope::{Body, Envelope};
use crate::reply::{Reply, ReplyReader};
use crate::stage::Stage;
use crate::text::{self, TextError};
use transaction::{Progress, Transaction};

/// Most recipients of one mail: the commands of a group and their replies must fit socket buffers, or both sides
/// would wait for each other (RFC 2920 section 3.1).
pub const MAX_RECIPIENTS: usize = 256;

/// When a connection is secured by STARTTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartTls {
    /// Never; also for a connection that began with TLS.
    #[default]
    Never,
    /// When offered.
    IfOffered,
    /// Always; without it the session fails.
    Required,
}

/// How a session behaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientOptions {
    /// Our name in EHLO.
    pub hostname: String,
    /// Whether the connection is encrypted before the first octet.
    pub encrypted: bool,
    /// When to use STARTTLS.
    pub starttls: StartTls,
    /// Whom to authenticate as, if at all.
    pub credentials: Option<Credentials>,
    /// The mechanism to use even when it is not offered; else PLAIN, or LOGIN when only that is offered.
    pub mechanism: Option<Mechanism>,
    /// Whether a password may go over a connection that is not encrypted, as on private links between carriers.
    pub auth_in_clear: bool,
    /// Do without PIPELINING even when it is offered.
    pub one_by_one: bool,
    /// Use CHUNKING when it is offered: BDAT instead of DATA.
    pub chunking: bool,
}

/// What the caller does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write these octets.
    Send(Vec<u8>),
    /// Write the mail in this form, then call [`ClientSession::body_sent`].
    SendBody(BodyForm),
    /// Read, for at most the stage's time, and give what came to [`ClientSession::receive`].
    Read(Stage),
    /// Do the TLS handshake, then call [`ClientSession::tls_started`].
    StartTls,
    /// Nothing to do: begin a mail, send NOOP, or quit.
    Ready,
    /// What became of the mail; comes once.
    MailDone(MailOutcome),
    /// The session is over in good order: QUIT, or the server's 421, or it closed while we were idle.
    Closed(Option<Reply>),
    /// The session is over, close the connection.
    Failed(ClientError),
}

/// The form in which the octets of the mail are to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    /// Dot-stuffed ([`crate::lines::dot_stuff`]), followed by [`crate::lines::end_of_data`].
    Dots,
    /// As they are, exactly [`Envelope::size`] octets.
    Plain,
}

#[derive(Debug)]
enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Handshake,
    /// In AUTH; the answers still to give, the next one last.
    Auth(Vec<String>),
    Ready,
    Mail(Box<Transaction>),
    Noop,
    Quit,
    Ended(Step),
}

/// One connection's session. See the module for its use.
#[derive(Debug)]
pub struct ClientSession {
    options: ClientOptions,
    state: State,
    reader: ReplyReader,
    out: Vec<u8>,
    offered: Capabilities,
    encrypted: bool,
    /// A transaction may lie open at the server.
    reset_due: bool,
    in_doubt: bool,
    outcome: Option<MailOutcome>,
    peer_closed: bool,
}

impl ClientSession {
    /// A session that waits for the greeting.
    ///
    /// # Errors
    /// [`TextError`] when the host name or the credentials cannot go into a command.
    pub fn new(options: ClientOptions) -> Result<Self, TextError> {
        text::check_host(&options.hostname)?;
        options.credentials.as_ref().map_or(Ok(()), Credentials::check)?;
        Ok(Self {
            encrypted: options.encrypted,
            options,
            state: State::Greeting,
            reader: ReplyReader::default(),
            out: Vec::new(),
            offered: Capabilities::default(),
            reset_due: false,
            in_doubt: false,
            outcome: None,
            peer_closed: false,
        })
    }

    /// Takes octets that arrived.
    pub fn receive(&mut self, octets: &[u8]) {
        match self.state {
            State::Handshake if !octets.is_empty() => self.fail(ClientError::Injected),
            State::Ended(_) => {}
            _ => self.reader.receive(octets),
        }
    }

    /// The server closed the connection; replies received before still count.
    pub fn peer_closed(&mut self) {
        self.peer_closed = true;
    }

    /// What to do next.
    #[expect(
        clippy::should_implement_trait,
        reason = "a session is not an iterator: it never runs out of steps"
    )]
    pub fn next(&mut self) -> Step {
        loop {
            if let Some(outcome) = self.outcome.take() {
                return Step::MailDone(outcome);
            }
            match &self.state {
                State::Ended(step) => return step.clone(),
                _ if !self.out.is_empty() => return Step::Send(std::mem::take(&mut self.out)),
                State::Handshake => return Step::StartTls,
                State::Mail(mail) if mail.wants_body() => return Step::SendBody(mail.body_form()),
                _ => {}
            }
            if let Some(step) = self.read_reply() {
                return step;
            }
        }
    }

    /// The extensions of the server; empty before the session is ready.
    #[must_use]
    pub fn offered(&self) -> &Capabilities {
        &self.offered
    }

    /// What the session waits for.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match &self.state {
            State::Greeting => Stage::Greeting,
            State::Ehlo | State::Helo => Stage::Hello,
            State::StartTls | State::Handshake => Stage::StartTls,
            State::Auth(_) => Stage::Auth,
            State::Mail(mail) => mail.stage(),
            State::Noop => Stage::Noop,
            State::Quit => Stage::Quit,
            State::Ready | State::Ended(_) => Stage::Idle,
        }
    }

    /// Whether the server may have taken the mail although no reply says so; stays when the session fails. Such a
    /// mail must be sent again in a form that the peer can recognise as the same.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Begins a mail.
    ///
    /// # Errors
    /// [`EnvelopeError`]; nothing was sent then and the session stays ready.
    pub fn begin(&mut self, envelope: Envelope) -> Result<(), EnvelopeError> {
        self.check(&envelope)?;
        let pipelined = self.offered.pipelining && !self.options.one_by_one;
        let chunked = self.offered.chunking && self.options.chunking;
        let mut mail = Transaction::new(envelope, self.offered, pipelined, chunked);
        mail.start(self.reset_due, &mut self.out);
        self.reset_due = true;
        self.state = State::Mail(Box::new(mail));
        Ok(())
    }

    /// The mail was written in the form asked for. Without effect when it was not asked for.
    pub fn body_sent(&mut self) {
        if let State::Mail(mail) = &mut self.state
            && mail.wants_body()
        {
            mail.body_sent();
            self.in_doubt = true;
        }
    }

    /// The handshake is done; everything learnt in clear is forgotten (RFC 3207 section 4.2). Without effect when
    /// STARTTLS was not asked for.
    pub fn tls_started(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.encrypted = true;
            self.offered = Capabilities::default();
            self.hello();
        }
    }

    /// Sends NOOP to see whether the server is there; [`Step::Ready`] comes again. `false` when not ready.
    pub fn noop(&mut self) -> bool {
        self.ask("NOOP", State::Noop)
    }

    /// Sends QUIT; [`Step::Closed`] comes. `false` when not ready: then just close the connection.
    pub fn quit(&mut self) -> bool {
        self.ask("QUIT", State::Quit)
    }

    fn ask(&mut self, command: &str, state: State) -> bool {
        let ready = self.is_ready();
        if ready {
            command::write(&mut self.out, &[command]);
            self.state = state;
        }
        ready
    }

    /// Octets that lie unread would be taken for the next command's reply.
    fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready) && self.reader.is_empty()
    }

    fn check(&self, envelope: &Envelope) -> Result<(), EnvelopeError> {
        let address = |text: &str, recipient| {
            text::check_address(text, envelope.smtputf8)
                .map_err(|source| EnvelopeError::Address { recipient, source })
        };
        match self.offered.size {
            _ if !self.is_ready() => return Err(EnvelopeError::NotReady),
            _ if envelope.rcpt_to.is_empty() => return Err(EnvelopeError::NoRecipient),
            _ if envelope.rcpt_to.len() > MAX_RECIPIENTS => return Err(EnvelopeError::TooManyRecipients),
            _ if envelope.smtputf8 && !self.offered.smtputf8 => return Err(EnvelopeError::Utf8NotOffered),
            _ if envelope.body == Body::EightBitMime && !self.offered.eight_bit => {
                return Err(EnvelopeError::EightBitNotOffered);
            }
            Some(limit) if limit > 0 && envelope.size > limit => {
                return Err(EnvelopeError::TooLarge { limit });
            }
            _ => {}
        }
        if !envelope.mail_from.is_empty() {
            address(&envelope.mail_from, None)?;
        }
        envelope.rcpt_to.iter().enumerate().try_for_each(|(at, text)| address(text, Some(at)))
    }

    /// Takes one reply if it is there; gives the step when there is none.
    fn read_reply(&mut self) -> Option<Step> {
        let stage = self.stage();
        match self.reader.next_reply() {
            Ok(Some((reply, octets))) => {
                if reply.code() == 421 {
                    self.closed_by_server(reply);
                } else {
                    let offered = matches!(self.state, State::Ehlo).then(|| Capabilities::read(octets));
                    self.reply(stage, reply, offered);
                }
                None
            }
            Err(_) if matches!(self.state, State::Ready) => self.fail_step(ClientError::OutOfStep),
            Err(source) => self.fail_step(ClientError::Garbage { stage, source }),
            Ok(None) if self.peer_closed => {
                if matches!(self.state, State::Ready | State::Quit) {
                    self.state = State::Ended(Step::Closed(None));
                    None
                } else {
                    self.fail_step(ClientError::PeerClosed { stage })
                }
            }
            Ok(None) if matches!(self.state, State::Ready) => Some(Step::Ready),
            Ok(None) => Some(Step::Read(stage)),
        }
    }

    fn reply(&mut self, stage: Stage, reply: Reply, offered: Option<Capabilities>) {
        match &mut self.state {
            State::Mail(mail) => match mail.reply(reply, &mut self.out) {
                Ok(Progress::More) => {}
                Ok(Progress::Done(outcome)) => {
                    self.reset_due = outcome.result.is_err();
                    self.in_doubt = false;
                    self.outcome = Some(outcome);
                    self.state = State::Ready;
                }
                Err(error) => self.fail(error),
            },
            State::Auth(_) if reply.is_intermediate() => self.answer(reply),
            State::Ehlo if matches!(reply.code(), 500 | 502) => {
                command::write(&mut self.out, &["HELO", &self.options.hostname]);
                self.state = State::Helo;
            }
            State::Noop if reply.is_positive() || reply.is_refusal() => self.state = State::Ready,
            State::Quit => self.state = State::Ended(Step::Closed(Some(reply))),
            State::Ready | State::Handshake | State::Ended(_) => self.fail(ClientError::OutOfStep),
            _ if reply.is_refusal() => self.fail(ClientError::Refused { stage, reply }),
            _ if !reply.is_positive() => self.fail(ClientError::Unexpected { stage, reply }),
            State::Greeting => self.hello(),
            State::Ehlo | State::Helo => self.greeted(offered.unwrap_or_default()),
            State::StartTls if self.reader.is_empty() => self.state = State::Handshake,
            State::StartTls => self.fail(ClientError::Injected),
            State::Auth(_) | State::Noop => self.state = State::Ready,
        }
    }

    fn hello(&mut self) {
        command::write(&mut self.out, &["EHLO", &self.options.hostname]);
        self.state = State::Ehlo;
    }

    /// After EHLO: STARTTLS, or AUTH, or ready.
    fn greeted(&mut self, offered: Capabilities) {
        self.offered = offered;
        let wanted = !self.encrypted && self.options.starttls != StartTls::Never;
        if wanted && offered.starttls {
            command::write(&mut self.out, &["STARTTLS"]);
            self.state = State::StartTls;
        } else if wanted && self.options.starttls == StartTls::Required {
            self.fail(ClientError::TlsNotOffered);
        } else {
            self.authenticate();
        }
    }

    fn authenticate(&mut self) {
        let Some(credentials) = &self.options.credentials else {
            self.state = State::Ready;
            return;
        };
        if !self.encrypted && !self.options.auth_in_clear {
            return self.fail(ClientError::AuthInClear);
        }
        let offered = match self.offered {
            Capabilities { auth_plain: true, .. } => Some(Mechanism::Plain),
            Capabilities { auth_login: true, .. } => Some(Mechanism::Login),
            _ => None,
        };
        let answers = match self.options.mechanism.or(offered) {
            None => return self.fail(ClientError::AuthNotOffered),
            Some(Mechanism::Plain) => {
                let plain = credentials.plain();
                command::write(&mut self.out, &["AUTH", "PLAIN", &plain]);
                // Some servers ask for what they were given already.
                vec![plain]
            }
            Some(Mechanism::Login) => {
                command::write(&mut self.out, &["AUTH", "LOGIN"]);
                vec![auth::encode(&credentials.password), auth::encode(&credentials.user)]
            }
        };
        self.state = State::Auth(answers);
    }

    fn answer(&mut self, reply: Reply) {
        let State::Auth(answers) = &mut self.state else { return };
        match answers.pop() {
            Some(answer) => command::write(&mut self.out, &[&answer]),
            None => self.fail(ClientError::Unexpected { stage: Stage::Auth, reply }),
        }
    }

    fn closed_by_server(&mut self, reply: Reply) {
        let closed = State::Ended(Step::Closed(Some(reply.clone())));
        if let State::Mail(mail) = std::mem::replace(&mut self.state, closed) {
            self.in_doubt = false;
            self.outcome = Some(mail.cut_off(reply));
        }
        self.out.clear();
    }

    fn fail(&mut self, error: ClientError) {
        self.out.clear();
        self.state = State::Ended(Step::Failed(error));
    }

    fn fail_step(&mut self, error: ClientError) -> Option<Step> {
        self.fail(error);
        None
    }
}

#[cfg(test)]
mod tests;
