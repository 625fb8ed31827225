//! One mail within a client's session: which commands go out together, and whose reply is whose.
//!
//! Replies come in the order of the commands (RFC 2920 section 3.1), so the phase is simply the command whose reply
//! is next; pipelining only changes when commands are written.

use super::{BodyForm, ClientError};
use crate::command::{self, Capabilities};
use crate::envelope::Envelope;
use crate::reply::Reply;
use crate::stage::Stage;

/// What became of one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailOutcome {
    /// Every recipient in the order of the envelope with its own fate at RCPT TO. A recipient has the mail only if it
    /// was accepted here and `result` is `Ok`.
    pub recipients: Vec<(String, Result<(), Reply>)>,
    /// The reply to the whole mail, or the reply that ended it.
    pub result: Result<Reply, Reply>,
    /// Where it ended; [`Stage::BodyReply`] for a mail that was taken.
    pub stage: Stage,
}

/// What a reply led to.
#[derive(Debug)]
pub(super) enum Progress {
    More,
    Done(MailOutcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Reset,
    Mail,
    Rcpt,
    Data,
    Final,
}

#[derive(Debug)]
pub(super) struct Transaction {
    envelope: Envelope,
    offered: Capabilities,
    pipelined: bool,
    chunked: bool,
    phase: Phase,
    /// The mail is to be written now.
    body_due: bool,
    mail_refused: Option<Reply>,
    recipients: Vec<Result<(), Reply>>,
}

impl Transaction {
    pub(super) fn new(envelope: Envelope, offered: Capabilities, pipelined: bool, chunked: bool) -> Self {
        let recipients = Vec::with_capacity(envelope.rcpt_to.len());
        let (phase, body_due, mail_refused) = (Phase::Mail, false, None);
        Self { envelope, offered, pipelined, chunked, phase, body_due, mail_refused, recipients }
    }

    /// Writes the first group of commands.
    pub(super) fn start(&mut self, reset: bool, out: &mut Vec<u8>) {
        if reset {
            command::write(out, &["RSET"]);
            self.phase = Phase::Reset;
        }
        if self.pipelined {
            self.write_mail(out);
            for address in &self.envelope.rcpt_to {
                command::write_rcpt(out, address);
            }
            self.write_data(out);
        } else if !reset {
            self.write_mail(out);
        }
    }

    pub(super) fn wants_body(&self) -> bool {
        self.body_due
    }

    pub(super) fn body_form(&self) -> BodyForm {
        if self.chunked { BodyForm::Plain } else { BodyForm::Dots }
    }

    pub(super) fn body_sent(&mut self) {
        self.body_due = false;
    }

    pub(super) fn stage(&self) -> Stage {
        match self.phase {
            _ if self.body_due => Stage::Body,
            Phase::Reset => Stage::Reset,
            Phase::Mail => Stage::MailFrom,
            Phase::Rcpt => Stage::RcptTo,
            Phase::Data => Stage::Data,
            Phase::Final => Stage::BodyReply,
        }
    }

    /// Takes the next reply, writes what follows from it.
    pub(super) fn reply(&mut self, reply: Reply, out: &mut Vec<u8>) -> Result<Progress, ClientError> {
        let stage = self.stage();
        if reply.is_intermediate() && self.phase != Phase::Data {
            return Err(ClientError::Unexpected { stage, reply });
        }
        match self.phase {
            Phase::Reset if reply.is_refusal() => return Err(ClientError::Unexpected { stage, reply }),
            Phase::Reset => {
                self.phase = Phase::Mail;
                if !self.pipelined {
                    self.write_mail(out);
                }
            }
            Phase::Mail => return Ok(self.mail_reply(reply, out)),
            Phase::Rcpt => return Ok(self.rcpt_reply(reply, out)),
            Phase::Data => return self.data_reply(reply, out),
            Phase::Final => return Ok(Progress::Done(self.final_reply(reply))),
        }
        Ok(Progress::More)
    }

    /// The outcome when the server ends the session in the middle: who has no answer yet gets this one.
    pub(super) fn cut_off(mut self, reply: Reply) -> MailOutcome {
        let stage = self.stage();
        let total = self.envelope.rcpt_to.len();
        self.recipients.resize(total, Err(reply.clone()));
        self.outcome(Err(reply), stage)
    }

    fn mail_reply(&mut self, reply: Reply, out: &mut Vec<u8>) -> Progress {
        self.phase = Phase::Rcpt;
        if reply.is_refusal() {
            self.mail_refused = Some(reply);
            if !self.pipelined {
                return Progress::Done(self.refused());
            }
        } else if !self.pipelined {
            self.write_rcpt(out);
        }
        Progress::More
    }

    fn rcpt_reply(&mut self, reply: Reply, out: &mut Vec<u8>) -> Progress {
        self.recipients.push(if reply.is_positive() { Ok(()) } else { Err(reply) });
        if self.recipients.len() < self.envelope.rcpt_to.len() {
            if !self.pipelined {
                self.write_rcpt(out);
            }
            return Progress::More;
        }
        self.phase = if self.chunked { Phase::Final } else { Phase::Data };
        if !self.pipelined {
            if !self.any_accepted() {
                return Progress::Done(self.refused());
            }
            self.write_data(out);
        }
        Progress::More
    }

    fn data_reply(&mut self, reply: Reply, out: &mut Vec<u8>) -> Result<Progress, ClientError> {
        if reply.is_positive() {
            return Err(ClientError::Unexpected { stage: Stage::Data, reply });
        }
        if !self.any_accepted() {
            if reply.is_refusal() {
                return Ok(Progress::Done(self.refused()));
            }
            // A server that goes on without a recipient gets an empty mail (RFC 2920 section 3.1).
            out.extend_from_slice(crate::lines::END_OF_DATA);
        } else if reply.is_refusal() {
            return Ok(Progress::Done(self.outcome(Err(reply), Stage::Data)));
        } else {
            self.body_due = true;
        }
        self.phase = Phase::Final;
        Ok(Progress::More)
    }

    fn final_reply(&mut self, reply: Reply) -> MailOutcome {
        if !self.any_accepted() {
            return self.refused();
        }
        let result = if reply.is_positive() { Ok(reply) } else { Err(reply) };
        self.outcome(result, Stage::BodyReply)
    }

    fn any_accepted(&self) -> bool {
        self.mail_refused.is_none() && self.recipients.iter().any(Result::is_ok)
    }

    /// The outcome when the sender or every recipient was refused. A reply "later" counts more than one "never".
    fn refused(&mut self) -> MailOutcome {
        if let Some(reply) = self.mail_refused.take() {
            self.recipients.clear();
            self.recipients.resize(self.envelope.rcpt_to.len(), Err(reply.clone()));
            return self.outcome(Err(reply), Stage::MailFrom);
        }
        let mut refusals = self.recipients.iter().filter_map(|recipient| recipient.as_ref().err());
        let chosen = refusals.clone().find(|reply| reply.is_transient()).or_else(|| refusals.next());
        let reply = chosen.cloned().unwrap_or_else(Reply::local_error);
        self.outcome(Err(reply), Stage::RcptTo)
    }

    fn outcome(&mut self, result: Result<Reply, Reply>, stage: Stage) -> MailOutcome {
        let addresses = std::mem::take(&mut self.envelope.rcpt_to);
        let recipients = addresses.into_iter().zip(std::mem::take(&mut self.recipients)).collect();
        MailOutcome { recipients, result, stage }
    }

    fn write_mail(&self, out: &mut Vec<u8>) {
        command::write_mail(out, &self.envelope, &self.offered);
    }

    /// The next recipient's command, one by one.
    fn write_rcpt(&self, out: &mut Vec<u8>) {
        if let Some(address) = self.envelope.rcpt_to.get(self.recipients.len()) {
            command::write_rcpt(out, address);
        }
    }

    fn write_data(&mut self, out: &mut Vec<u8>) {
        if self.chunked {
            command::write_bdat_last(out, self.envelope.size);
            self.body_due = true;
        } else {
            command::write(out, &["DATA"]);
        }
    }
}
