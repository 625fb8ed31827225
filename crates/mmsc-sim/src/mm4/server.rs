//! The MM4 listener: an ESMTP session (RFC 5321) that errs where the script says so.

use std::slice::Iter;
use std::sync::Arc;

use bytes::Bytes;
use smtp_proto::request::receiver::{DataReceiver, LineReceiver, RequestReceiver};
use smtp_proto::{AUTH_LOGIN, AUTH_PLAIN, Error as SmtpError, Request};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::forward::{Incoming, follow_ups};
use crate::mail;
use crate::outbox;
use crate::record::{Protocol, Received, Sighting, blank};
use crate::script::{LiveScript, Mm4Answer, Mm4Behaviour, Mm4Stage};
use crate::shared::Shared;
use crate::wire::write_slowly;

/// Serves one connection until it closes.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut session = Session {
        shared,
        stream,
        output: Vec::new(),
        requests: RequestReceiver::default(),
        mode: Mode::Command,
        greeted: false,
        authenticated: false,
        mail_from: None,
        rcpt_to: Vec::new(),
    };
    // An error means that the peer is gone; there is nobody to tell.
    let _ = session.run().await;
}

/// What becomes of the connection.
#[derive(PartialEq, Eq)]
enum Next {
    Open,
    Close,
}

/// What the script does at a stage.
#[derive(PartialEq, Eq)]
enum Deed {
    /// Nothing: go on.
    Proceed,
    /// A reply was given in place of the good one.
    Replied,
    /// The connection is at its end.
    Close,
}

/// What the next octets are.
enum Mode {
    Command,
    Data(Box<DataReceiver>, Vec<u8>, bool),
    Login(LineReceiver<Login>),
}

/// Steps of AUTH.
#[derive(Default)]
enum Login {
    #[default]
    Plain,
    Username,
    Password(String),
}

struct Session {
    shared: Arc<Shared>,
    stream: TcpStream,
    output: Vec<u8>,
    requests: RequestReceiver,
    mode: Mode,
    greeted: bool,
    authenticated: bool,
    mail_from: Option<String>,
    rcpt_to: Vec<String>,
}

impl Session {
    async fn run(&mut self) -> std::io::Result<()> {
        match self.act(Mm4Stage::Connect, "").await? {
            Deed::Proceed => {
                let domain = &self.shared.config.mm4.domain;
                self.output.extend_from_slice(format!("220 {domain} ESMTP pretend carrier\r\n").as_bytes());
            }
            Deed::Replied => {}
            Deed::Close => return Ok(()),
        }
        let idle = self.shared.config.limits.idle();
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            self.flush(None).await?;
            let Ok(read) = tokio::time::timeout(idle, self.stream.read(&mut buffer)).await else {
                self.reply("421 4.4.2 idle for too long");
                return self.flush(None).await;
            };
            let read = read?;
            if read == 0 {
                return Ok(());
            }
            let mut octets = buffer[..read].iter();
            while !octets.as_slice().is_empty() {
                if self.step(&mut octets).await? == Next::Close {
                    return self.flush(None).await;
                }
            }
        }
    }

    async fn step(&mut self, octets: &mut Iter<'_, u8>) -> std::io::Result<Next> {
        match &mut self.mode {
            Mode::Command => self.command(octets).await,
            Mode::Login(line) => {
                if !line.ingest(octets) {
                    return Ok(Next::Open);
                }
                let (text, login) = (std::mem::take(&mut line.buf), std::mem::take(&mut line.state));
                self.mode = Mode::Command;
                self.log_in(login, &text);
                Ok(Next::Open)
            }
            Mode::Data(receiver, data, too_large) => {
                let ended = receiver.ingest(octets, data);
                if data.len() > self.shared.config.limits.message_octets {
                    *too_large = true;
                    data.clear();
                }
                if !ended {
                    return Ok(Next::Open);
                }
                let (data, too_large) = (std::mem::take(data), *too_large);
                self.mode = Mode::Command;
                self.end_of_data(data, too_large).await
            }
        }
    }

    async fn command(&mut self, octets: &mut Iter<'_, u8>) -> std::io::Result<Next> {
        let request = match self.requests.ingest(octets) {
            Ok(request) => request.into_owned(),
            Err(SmtpError::NeedsMoreData { .. }) => return Ok(Next::Open),
            Err(SmtpError::ResponseTooLong) => {
                self.reply("500 5.5.2 line too long");
                return Ok(Next::Close);
            }
            Err(error) => {
                self.reply(match error {
                    SmtpError::UnknownCommand => "500 5.5.1 unknown command",
                    SmtpError::InvalidSenderAddress => "501 5.1.7 bad sender address",
                    SmtpError::InvalidRecipientAddress => "501 5.1.3 bad recipient address",
                    _ => "501 5.5.4 syntax error in the command or its parameters",
                });
                return Ok(Next::Open);
            }
        };
        if !self.shared.config.mm4.pipelining && !octets.as_slice().is_empty() {
            self.shared.recorder.count(|counts| counts.pipelining_violations += 1);
        }
        self.request(request).await
    }

    async fn request(&mut self, request: Request<String>) -> std::io::Result<Next> {
        match request {
            Request::Ehlo { .. } => return self.hello(true).await,
            Request::Helo { .. } => return self.hello(false).await,
            Request::Mail { from } => return self.mail(from.address, from.size).await,
            Request::Rcpt { to } => return self.rcpt(to.address).await,
            Request::Data => return self.data().await,
            Request::Auth { mechanism, initial_response } => self.auth(mechanism, &initial_response),
            Request::Rset => {
                self.forget();
                self.reply("250 2.0.0 forgotten");
            }
            Request::Noop { .. } => self.reply("250 2.0.0 here"),
            Request::Vrfy { .. } => self.reply("252 2.1.5 send and see"),
            Request::Quit => {
                self.reply("221 2.0.0 bye");
                return Ok(Next::Close);
            }
            _ => self.reply("502 5.5.1 not implemented"),
        }
        Ok(Next::Open)
    }

    async fn hello(&mut self, extended: bool) -> std::io::Result<Next> {
        match self.act(Mm4Stage::Ehlo, "").await? {
            Deed::Proceed => {}
            Deed::Replied => return Ok(Next::Open),
            Deed::Close => return Ok(Next::Close),
        }
        self.forget();
        self.greeted = true;
        let config = &self.shared.config;
        let domain = &config.mm4.domain;
        if !extended {
            let line = format!("250 {domain}");
            self.reply(&line);
            return Ok(Next::Open);
        }
        let mut lines =
            vec![domain.clone(), format!("SIZE {}", config.limits.message_octets), "8BITMIME".into()];
        if config.mm4.pipelining {
            lines.push("PIPELINING".into());
        }
        if config.mm4.auth.is_some() {
            lines.push("AUTH PLAIN LOGIN".into());
        }
        lines.push("ENHANCEDSTATUSCODES".into());
        let last = lines.len() - 1;
        for (at, line) in lines.iter().enumerate() {
            let mark = if at == last { ' ' } else { '-' };
            self.reply(&format!("250{mark}{line}"));
        }
        Ok(Next::Open)
    }

    async fn mail(&mut self, from: String, size: usize) -> std::io::Result<Next> {
        let config = &self.shared.config;
        let refusal = if !self.greeted {
            Some("503 5.5.1 EHLO first")
        } else if config.mm4.auth.is_some() && !self.authenticated {
            Some("530 5.7.0 authentication required")
        } else if self.mail_from.is_some() {
            Some("503 5.5.1 MAIL was given")
        } else if size > config.limits.message_octets {
            Some("552 5.3.4 message too large")
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.reply(refusal);
            return Ok(Next::Open);
        }
        match self.act(Mm4Stage::Mail, &from).await? {
            Deed::Proceed => {
                self.mail_from = Some(from);
                self.reply("250 2.1.0 sender ok");
            }
            Deed::Replied => {}
            Deed::Close => return Ok(Next::Close),
        }
        Ok(Next::Open)
    }

    async fn rcpt(&mut self, to: String) -> std::io::Result<Next> {
        if self.mail_from.is_none() {
            self.reply("503 5.5.1 MAIL first");
            return Ok(Next::Open);
        }
        if self.rcpt_to.len() >= self.shared.config.limits.recipients {
            self.reply("452 4.5.3 too many recipients");
            return Ok(Next::Open);
        }
        match self.act(Mm4Stage::Rcpt, &to).await? {
            Deed::Proceed => {
                self.rcpt_to.push(to);
                self.reply("250 2.1.5 recipient ok");
            }
            Deed::Replied => {}
            Deed::Close => return Ok(Next::Close),
        }
        Ok(Next::Open)
    }

    async fn data(&mut self) -> std::io::Result<Next> {
        if self.rcpt_to.is_empty() {
            self.reply("503 5.5.1 no valid recipients");
            return Ok(Next::Open);
        }
        let first = self.rcpt_to[0].clone();
        match self.act(Mm4Stage::Data, &first).await? {
            Deed::Proceed => {}
            Deed::Replied => {
                self.forget();
                return Ok(Next::Open);
            }
            Deed::Close => return Ok(Next::Close),
        }
        self.reply("354 go ahead");
        if self.act(Mm4Stage::MidData, &first).await? != Deed::Proceed {
            return Ok(Next::Close);
        }
        // The receiver takes a dot for the end only after a line end: DATA's own counts (RFC 5321 section 4.1.1.4).
        let mut receiver = DataReceiver::new();
        let mut data = Vec::with_capacity(READ_BUFFER);
        receiver.ingest(&mut b"\r\n".iter(), &mut data);
        data.clear();
        self.mode = Mode::Data(Box::new(receiver), data, false);
        Ok(Next::Open)
    }

    async fn end_of_data(&mut self, data: Vec<u8>, too_large: bool) -> std::io::Result<Next> {
        let (from, to) = (self.mail_from.take().unwrap_or_default(), std::mem::take(&mut self.rcpt_to));
        if too_large {
            self.reply("552 5.3.4 message too large");
            return Ok(Next::Open);
        }
        // Without a blank line the end of the data ends the header.
        let (fields, _) = mail::headers(&data).unwrap_or_default();
        let incoming = Incoming { from, to, fields };
        let live = self.shared.script();
        let outcome = self.settle(&live, incoming, data).await;
        self.finish(outcome).await
    }

    /// Records the mail and decides on the reply to its dot.
    async fn settle(&mut self, live: &LiveScript, incoming: Incoming, data: Vec<u8>) -> Outcome {
        let shared = Arc::clone(&self.shared);
        let subject = incoming.field("Subject").unwrap_or_default();
        let decision = live.decide(None, Some(subject), &incoming.to, |rule| {
            let stage = rule.mm4.as_ref().map(|mm4| mm4.answer.stage());
            stage.is_some_and(|stage| stage.is_none_or(|stage| stage == Mm4Stage::EndOfData))
        });
        let behaviour = decision.mm4(Mm4Stage::EndOfData);
        let scope = format!("mm4 {}", incoming.kind());
        // HotMobile-like peers send one mail per recipient under one transaction: recipients tell them apart.
        let key = format!("{} {}", incoming.transaction_id(), incoming.to.join(" "));
        let sighting = shared.recorder.sight(&scope, &key);
        let answer = match effective(behaviour, Mm4Stage::EndOfData, sighting.attempt) {
            Mm4Answer::Reply { code: 400.., .. }
                if live.script.keeps_word && sighting.accepted_as.is_some() =>
            {
                Mm4Answer::Ok
            }
            answer => answer,
        };
        let accepted = match &answer {
            Mm4Answer::Ok | Mm4Answer::Disconnect { .. } => true,
            Mm4Answer::Reply { code, .. } => (200..300).contains(code),
            _ => false,
        };
        let planned = if accepted && sighting.accepted_as.is_none() {
            follow_ups(&shared, &incoming, &decision)
        } else {
            Vec::new()
        };
        let seq = shared.recorder.next_seq();
        if accepted {
            shared.recorder.settle(&scope, &key, seq);
        }
        let (delay, drip) = (behaviour.delay.draw(), behaviour.drip_octets_per_second);
        record(&shared, incoming, data, Judged { seq, sighting, accepted });
        outbox::send_at_once(&shared, &planned).await;
        Outcome { answer, delay, drip, planned, seq }
    }

    async fn finish(&mut self, outcome: Outcome) -> std::io::Result<Next> {
        let Outcome { answer, delay, drip, planned, seq } = outcome;
        if !delay.is_zero() {
            self.flush(None).await?;
            tokio::time::sleep(delay).await;
        }
        let done = match self.perform(&answer).await {
            Ok(Deed::Proceed) => {
                self.reply(&format!("250 2.0.0 taken as {seq}"));
                Ok(Next::Open)
            }
            Ok(Deed::Replied) => Ok(Next::Open),
            Ok(Deed::Close) => Ok(Next::Close),
            Err(error) => Err(error),
        };
        let flushed = match drip {
            Some(_) => self.flush(drip).await,
            None => Ok(()),
        };
        // A mail that was taken leads to its reports even if the peer did not wait for the reply.
        outbox::queue(&self.shared, planned);
        flushed.and(done)
    }

    /// Does what the script wants at a stage before the end of data; `address` is what is known there.
    async fn act(&mut self, stage: Mm4Stage, address: &str) -> std::io::Result<Deed> {
        let live = self.shared.script();
        let recipients: Vec<String> = match stage {
            Mm4Stage::Rcpt => vec![address.to_owned()],
            _ => self.rcpt_to.clone(),
        };
        let early = matches!(stage, Mm4Stage::Connect | Mm4Stage::Ehlo | Mm4Stage::Mail);
        let decision = live.decide(None, None, &recipients, |rule| {
            rule.mm4.as_ref().is_some_and(|mm4| mm4.answer.stage() == Some(stage))
        });
        let behaviour = if early { &live.script.mm4 } else { decision.mm4(stage) };
        if behaviour.answer.stage() != Some(stage) {
            return Ok(Deed::Proceed);
        }
        let attempt = self.shared.recorder.sight(&format!("mm4 {stage:?}"), address).attempt;
        let answer = effective(behaviour, stage, attempt);
        if stage == Mm4Stage::MidData && answer != Mm4Answer::Ok {
            self.flush(None).await?;
            self.stream.readable().await?;
        }
        self.perform(&answer).await
    }

    async fn perform(&mut self, answer: &Mm4Answer) -> std::io::Result<Deed> {
        match answer {
            Mm4Answer::Ok => return Ok(Deed::Proceed),
            Mm4Answer::Reply { code, text, .. } => {
                let text = text.as_deref().unwrap_or("as the script says");
                self.reply(&format!("{code} {text}"));
                if *code != 421 {
                    return Ok(Deed::Replied);
                }
                self.flush(None).await?;
            }
            Mm4Answer::Hang { .. } => {
                self.flush(None).await?;
                let mut scratch = [0; 4096];
                while self.stream.read(&mut scratch).await? > 0 {}
            }
            Mm4Answer::Disconnect { .. } => self.flush(None).await?,
            Mm4Answer::Garbage { .. } => self.output.extend_from_slice(GARBAGE),
        }
        Ok(Deed::Close)
    }

    fn auth(&mut self, mechanism: u64, initial: &str) {
        if self.shared.config.mm4.auth.is_none() {
            self.reply("502 5.5.1 not offered");
        } else if mechanism == AUTH_PLAIN && !initial.is_empty() {
            self.log_in(Login::Plain, initial.as_bytes());
        } else if mechanism == AUTH_PLAIN {
            self.reply("334 ");
            self.mode = Mode::Login(LineReceiver::new(Login::Plain));
        } else if mechanism == AUTH_LOGIN && !initial.is_empty() {
            self.log_in(Login::Username, initial.as_bytes());
        } else if mechanism == AUTH_LOGIN {
            self.reply("334 VXNlcm5hbWU6");
            self.mode = Mode::Login(LineReceiver::new(Login::Username));
        } else {
            self.reply("504 5.5.4 unknown mechanism");
        }
    }

    fn log_in(&mut self, login: Login, text: &[u8]) {
        let decoded = encodify::base64::STANDARD.decode(text).unwrap_or_default();
        let decoded = String::from_utf8_lossy(&decoded).into_owned();
        let (username, password) = match login {
            Login::Username => {
                self.reply("334 UGFzc3dvcmQ6");
                self.mode = Mode::Login(LineReceiver::new(Login::Password(decoded)));
                return;
            }
            Login::Password(username) => (username, decoded),
            Login::Plain => {
                let mut words = decoded.splitn(3, '\0').skip(1).map(str::to_owned);
                (words.next().unwrap_or_default(), words.next().unwrap_or_default())
            }
        };
        let wanted = self.shared.config.mm4.auth.as_ref();
        self.authenticated =
            wanted.is_some_and(|wanted| wanted.username == username && wanted.password == password);
        self.reply(if self.authenticated { "235 2.7.0 welcome" } else { "535 5.7.8 wrong credentials" });
    }

    fn forget(&mut self) {
        self.mail_from = None;
        self.rcpt_to.clear();
    }

    fn reply(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    async fn flush(&mut self, drip: Option<u32>) -> std::io::Result<()> {
        let output = std::mem::take(&mut self.output);
        if output.is_empty() { Ok(()) } else { write_slowly(&mut self.stream, &output, drip).await }
    }
}

/// What follows a mail's dot.
struct Outcome {
    answer: Mm4Answer,
    delay: std::time::Duration,
    drip: Option<u32>,
    planned: Vec<outbox::Planned>,
    seq: u64,
}

/// What was decided about a mail.
struct Judged {
    seq: u64,
    sighting: Sighting,
    accepted: bool,
}

fn effective(behaviour: &Mm4Behaviour, stage: Mm4Stage, attempt: u32) -> Mm4Answer {
    let healed = behaviour.fail_first.is_some_and(|first| attempt > first);
    if healed || behaviour.answer.stage() != Some(stage) { Mm4Answer::Ok } else { behaviour.answer.clone() }
}

fn record(shared: &Shared, incoming: Incoming, data: Vec<u8>, judged: Judged) {
    let octets = data.len();
    let Judged { seq, sighting, accepted } = judged;
    let kind = incoming.kind().to_owned();
    let mut message = Received { kind, accepted, attempt: sighting.attempt, ..blank(Protocol::Mm4, seq) };
    if shared.recorder.keeps_messages() {
        fill(&mut message, incoming, data);
    }
    shared.recorder.keep(message, octets, sighting.accepted_as.is_some());
}

fn fill(message: &mut Received, incoming: Incoming, data: Vec<u8>) {
    message.transaction_id = incoming.transaction_id().to_owned();
    message.message_id = incoming.message_id().to_owned();
    message.problems = incoming.problems();
    message.subject = incoming.field("Subject").map(str::to_owned);
    let list = |name| incoming.field(name).map(mail::addresses).unwrap_or_default();
    (message.to, message.cc, message.bcc) = (list("To"), list("Cc"), list("Bcc"));
    message.sender = list("From").into_iter().next();
    for (name, value) in &incoming.fields {
        let field = message.fields.entry(name.to_ascii_lowercase()).or_default();
        if !field.is_empty() {
            field.push_str(", ");
        }
        field.push_str(value.trim());
    }
    if incoming.is_message() {
        match mail::leaves(&data) {
            Ok(parts) => message.parts = parts,
            Err(error) => message.problems.push(error.to_string()),
        }
    }
    message.headers = incoming.fields;
    message.mail_from = Some(incoming.from);
    message.rcpt_to = incoming.to;
    message.raw = Bytes::from(data);
}

const READ_BUFFER: usize = 64 << 10;
const GARBAGE: &[u8] = b"\x16\x03\x01 this is no reply \xff\r\n";
