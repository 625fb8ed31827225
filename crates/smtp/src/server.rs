//! The server's session: one connection, command by command, with the decisions left to the caller.
//!
//! Octets that arrive go to [`ServerSession::receive`]; [`ServerSession::next`] says what to do. A [`Step::Event`]
//! waits for [`ServerSession::accept`] or [`ServerSession::reject`], and a mail for [`ServerSession::mail_stored`] or
//! [`ServerSession::mail_failed`], which the caller gives when the mail is durable. Replies of a pipelined group leave
//! in one write.
//!
//! This module answers for sequence, limits and the framing of commands; `intake` for the octets of a mail. It must
//! not decide who may send what to whom, and holds no more than one mail.

mod commands;
mod heard;
mod intake;
mod options;

use bytes::Bytes;

pub use options::{AuthPolicy, Extensions, ServerOptions};

use crate::auth::Credentials;
use crate::envelope::Envelope;
use crate::lines::{self, Frame};
use crate::reply::{Enhanced, Reply};
use crate::stage::Stage;
use heard::Heard;
use intake::Intake;

/// What the caller does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write these octets.
    Send(Vec<u8>),
    /// Read, for at most the stage's time, and give what came to [`ServerSession::receive`].
    Read(Stage),
    /// Decide, then call the method the event names.
    Event(Event),
    /// A decision is due; nothing else happens before it.
    Undecided,
    /// Do the TLS handshake, then call [`ServerSession::tls_started`].
    StartTls,
    /// Close the connection.
    Close(CloseReason),
}

/// Something the caller decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// EHLO or HELO with the name the client gives itself; accept or reject.
    Hello {
        /// The name, unchecked.
        host: String,
        /// EHLO.
        extended: bool,
    },
    /// AUTH; accept, or reject with [`Reply::wrong_credentials`].
    Auth(Credentials),
    /// MAIL FROM: the envelope so far; accept or reject.
    MailFrom(Envelope),
    /// RCPT TO: one address; accept or reject. Nobody accepted, no mail.
    RcptTo(String),
    /// A whole mail; [`ServerSession::mail_stored`] or [`ServerSession::mail_failed`].
    Mail {
        /// Sender and accepted recipients.
        envelope: Envelope,
        /// The mail as rendered by its writer: no doubled dots, no final dot.
        octets: Bytes,
    },
}

/// Why the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said QUIT.
    Quit,
    /// The caller wanted it, or answered with a 421.
    Told,
    /// More errors than [`ServerOptions::max_errors`].
    TooManyErrors,
    /// More input than the limits allow while it could not be used.
    Flood,
    /// Octets in clear between STARTTLS and the handshake.
    Injected,
    /// BDAT without a size: what follows cannot be told from commands (RFC 3030 section 2).
    LostStep,
}

/// The answer came when no event waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such decision is due")]
pub struct NotDue;

#[derive(Debug)]
enum State {
    Commands,
    /// Swallowing a line that is not believed, up to its CRLF; how much was swallowed.
    Skip(usize),
    AuthPlain,
    AuthUser,
    AuthPassword(String),
    Intake(Intake),
    /// An event to hand out once earlier replies are sent.
    Hand(Event, Due),
    Wait(Due),
    Handshake,
    Closed(CloseReason),
}

/// The decision that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Due {
    Hello { extended: bool },
    Auth,
    MailFrom(Envelope),
    RcptTo(String),
    Mail,
}

impl Due {
    /// A decision within a pipelined group, whose replies leave together.
    fn is_quick(&self) -> bool {
        matches!(self, Self::MailFrom(_) | Self::RcptTo(_))
    }
}

/// One connection's session. See the module for its use.
#[derive(Debug)]
pub struct ServerSession {
    options: ServerOptions,
    state: State,
    input: Vec<u8>,
    at: usize,
    out: Vec<u8>,
    greeted: bool,
    encrypted: bool,
    authenticated: bool,
    transaction: Option<Envelope>,
    /// Chunks of the transaction so far.
    chunks: Option<Vec<u8>>,
    errors: u32,
    /// MAIL was refused: what was pipelined behind it is out of sequence through no fault of the client.
    mail_refused: bool,
    farewell: Option<Reply>,
    heard: Option<Heard>,
}

impl ServerSession {
    /// A session whose first step is to send the greeting.
    #[must_use]
    pub fn new(options: ServerOptions) -> Self {
        let mut session = Self {
            encrypted: options.encrypted,
            state: State::Commands,
            input: Vec::new(),
            at: 0,
            out: Vec::new(),
            greeted: false,
            authenticated: false,
            transaction: None,
            chunks: None,
            errors: 0,
            mail_refused: false,
            farewell: None,
            heard: None,
            options,
        };
        let greeting = format!("{} ESMTP", session.options.hostname);
        session.reply(&Reply::bare(220, greeting));
        session
    }

    /// A session that sends this reply instead of a greeting and closes.
    #[must_use]
    pub fn refused(options: ServerOptions, reply: &Reply) -> Self {
        let mut session = Self::new(options);
        session.out.clear();
        session.close(reply, CloseReason::Told);
        session
    }

    /// Takes octets that arrived. While a decision is due they are kept, up to a limit: see
    /// [`ServerSession::wants_input`].
    pub fn receive(&mut self, octets: &[u8]) {
        let mut rest = octets;
        if self.at == self.input.len()
            && let State::Intake(intake) = &mut self.state
        {
            let used = intake.read(octets);
            rest = &octets[used..];
        }
        match self.state {
            _ if rest.is_empty() => {}
            State::Closed(_) => {}
            State::Handshake => {
                self.out.clear();
                self.state = State::Closed(CloseReason::Injected);
            }
            _ if !self.wants_input() => self.close(&flood(), CloseReason::Flood),
            _ => {
                self.input.drain(..self.at);
                self.at = 0;
                self.input.extend_from_slice(rest);
            }
        }
    }

    /// Whether more input may be given now. A caller that goes on although this says no loses the session.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.input.len() - self.at <= self.options.max_buffered
    }

    /// What to do next.
    #[expect(
        clippy::should_implement_trait,
        reason = "a session is not an iterator: it never runs out of steps"
    )]
    pub fn next(&mut self) -> Step {
        loop {
            if self.out.len() >= FLUSH {
                return self.send();
            }
            match &mut self.state {
                State::Closed(_) | State::Handshake | State::Hand(..) | State::Wait(_) => {
                    return self.settled();
                }
                State::Intake(intake) => {
                    self.at += intake.read(&self.input[self.at..]);
                    if !intake.is_done() {
                        if intake.swallowed_too_much(self.options.max_size) {
                            self.close(&Reply::too_large(), CloseReason::Flood);
                            continue;
                        }
                        return self.idle(Stage::Body);
                    }
                    self.intake_done();
                }
                _ => {
                    if self.say_farewell() {
                        continue;
                    }
                    if !self.take_line() {
                        return self.idle(Stage::Command);
                    }
                }
            }
        }
    }

    /// Accepts what the last event asked, with the usual reply; for a mail the same as `mail_stored` without an id.
    ///
    /// # Errors
    /// [`NotDue`] when no decision is due.
    pub fn accept(&mut self) -> Result<(), NotDue> {
        match self.take_due()? {
            Due::Hello { extended } => self.welcome(extended),
            Due::Auth => {
                self.authenticated = true;
                self.reply(&Reply::new(235, Enhanced(2, 7, 0), "welcome"));
            }
            Due::MailFrom(envelope) => {
                self.transaction = Some(envelope);
                self.reply(&Reply::new(250, Enhanced(2, 1, 0), "sender OK"));
            }
            Due::RcptTo(address) => {
                if let Some(envelope) = &mut self.transaction {
                    envelope.rcpt_to.push(address);
                }
                self.reply(&Reply::new(250, Enhanced(2, 1, 5), "recipient OK"));
            }
            Due::Mail => {
                self.errors = 0;
                self.reply(&Reply::ok());
            }
        }
        Ok(())
    }

    /// Refuses what the last event asked. A reply with 421 also ends the session; one that refuses nothing is made a
    /// 451.
    ///
    /// # Errors
    /// [`NotDue`] when no decision is due.
    pub fn reject(&mut self, reply: Reply) -> Result<(), NotDue> {
        let due = self.take_due()?;
        let reply = if reply.is_refusal() { reply } else { Reply::local_error() };
        if reply.code() == 421 {
            self.close(&reply, CloseReason::Told);
        } else if due == Due::Auth {
            self.refuse(&reply);
        } else {
            self.mail_refused = matches!(due, Due::MailFrom(_));
            self.reply(&reply);
        }
        Ok(())
    }

    /// The mail of the last event is durable: 250, and it is ours now.
    ///
    /// # Errors
    /// [`NotDue`] when no mail waits.
    pub fn mail_stored(&mut self, id: &str) -> Result<(), NotDue> {
        if !matches!(self.state, State::Wait(Due::Mail)) {
            return Err(NotDue);
        }
        self.take_due()?;
        self.errors = 0;
        self.reply(&Reply::stored(id));
        Ok(())
    }

    /// The mail of the last event was not taken; see [`ServerSession::reject`].
    ///
    /// # Errors
    /// [`NotDue`] when no mail waits.
    pub fn mail_failed(&mut self, reply: Reply) -> Result<(), NotDue> {
        if !matches!(self.state, State::Wait(Due::Mail)) {
            return Err(NotDue);
        }
        self.reject(reply)
    }

    /// The handshake is done; everything learnt in clear is forgotten (RFC 3207 section 4.2).
    ///
    /// # Errors
    /// [`NotDue`] when STARTTLS was not the last step.
    pub fn tls_started(&mut self) -> Result<(), NotDue> {
        if !matches!(self.state, State::Handshake) {
            return Err(NotDue);
        }
        self.state = State::Commands;
        self.encrypted = true;
        self.authenticated = false;
        self.greeted = false;
        self.reset();
        Ok(())
    }

    /// Closes as soon as no mail is being read or decided on, with this reply. A caller that waits for input asks
    /// [`ServerSession::next`] again.
    pub fn shut_down(&mut self, reply: Reply) {
        self.farewell = Some(reply);
    }

    /// Closes now, with this reply: [`Reply::timed_out`] when the client kept silent.
    pub fn abort(&mut self, reply: &Reply) {
        self.close(reply, CloseReason::Told);
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    fn send(&mut self) -> Step {
        Step::Send(std::mem::take(&mut self.out))
    }

    /// Input is used up: what was answered goes out, then more is read.
    fn idle(&mut self, stage: Stage) -> Step {
        if self.out.is_empty() { Step::Read(stage) } else { self.send() }
    }

    /// The step in a state that uses no input.
    fn settled(&mut self) -> Step {
        // Other decisions may take their time; a client must not wait for the replies before them.
        let may_batch = matches!(&self.state, State::Hand(_, due) | State::Wait(due) if due.is_quick());
        if !may_batch && !self.out.is_empty() {
            return self.send();
        }
        match std::mem::replace(&mut self.state, State::Commands) {
            State::Hand(event, due) => {
                self.state = State::Wait(due);
                Step::Event(event)
            }
            State::Closed(reason) => {
                self.state = State::Closed(reason);
                Step::Close(reason)
            }
            State::Handshake => {
                self.state = State::Handshake;
                Step::StartTls
            }
            other => {
                self.state = other;
                Step::Undecided
            }
        }
    }

    fn take_due(&mut self) -> Result<Due, NotDue> {
        match std::mem::replace(&mut self.state, State::Commands) {
            State::Wait(due) => Ok(due),
            other => {
                self.state = other;
                Err(NotDue)
            }
        }
    }

    fn say_farewell(&mut self) -> bool {
        match self.farewell.take() {
            Some(reply) => self.close(&reply, CloseReason::Told),
            None => return false,
        }
        true
    }

    /// Takes one line from the input, or what is left of one that is skipped; `false` when there is none.
    fn take_line(&mut self) -> bool {
        let input = &self.input[self.at..];
        if let State::Skip(skipped) = &mut self.state {
            let (octets, found) = lines::skip_line(input);
            *skipped += octets;
            let flooded = *skipped > MAX_SKIPPED;
            self.at += octets;
            if flooded {
                self.close(&flood(), CloseReason::Flood);
            } else if found {
                self.state = State::Commands;
            }
            return found || flooded;
        }
        match lines::frame(input, self.options.max_line) {
            Frame::Incomplete => return false,
            Frame::Line(len) => {
                let line = input[..len].to_vec();
                self.at += len;
                self.hear(&line);
                self.line(&line);
            }
            Frame::Broken => self.skip("a line with a lone CR, LF or a NUL"),
            Frame::TooLong => self.skip("the line is too long"),
        }
        true
    }

    /// Refuses a line at once and swallows it: what stands behind a lone LF must not become a command.
    fn skip(&mut self, text: &'static str) {
        self.state = State::Skip(0);
        self.hear_no_line(text);
        self.refuse(&Reply::new(500, Enhanced(5, 5, 2), text));
    }

    fn reply(&mut self, reply: &Reply) {
        reply.write(&mut self.out);
    }

    /// Replies and counts an error of the client.
    fn refuse(&mut self, reply: &Reply) {
        self.reply(reply);
        self.errors += 1;
        if self.errors > self.options.max_errors {
            let reply = Reply::new(421, Enhanced(4, 7, 0), "too many errors, closing");
            self.close(&reply, CloseReason::TooManyErrors);
        }
    }

    fn close(&mut self, reply: &Reply, reason: CloseReason) {
        if !matches!(self.state, State::Closed(_)) {
            self.reply(reply);
            self.state = State::Closed(reason);
            self.reset();
            (self.input, self.at) = (Vec::new(), 0);
        }
    }

    fn reset(&mut self) {
        self.transaction = None;
        self.chunks = None;
        self.mail_refused = false;
    }
}

fn flood() -> Reply {
    Reply::new(421, Enhanced(4, 7, 0), "too much input, closing")
}

/// Replies beyond this many octets leave before more input is looked at.
const FLUSH: usize = 16 * 1024;
/// Most octets of a refused line that are swallowed.
const MAX_SKIPPED: usize = 64 * 1024;

#[cfg(test)]
mod tests;
