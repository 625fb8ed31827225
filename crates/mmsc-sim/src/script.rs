//! How the pretend carrier behaves: a behaviour per protocol, and rules that change it for some messages.
//!
//! Answers for the choice of a behaviour; it sends nothing itself. The first rule that fits wins, field by field
//! nothing is merged: a rule's `mm7` or `mm4` table stands in for the whole default behaviour.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The behaviour of both protocols.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// MM7 behaviour where no rule fits.
    pub mm7: Mm7Behaviour,
    /// MM4 behaviour where no rule fits.
    pub mm4: Mm4Behaviour,
    /// Exceptions, tried in order.
    pub rules: Vec<Rule>,
    /// How often a report is tried again when the gateway is down or answers a failure. Default 10.
    pub report_retries: u32,
    /// Milliseconds between two tries of a report. Default 500.
    pub report_retry_ms: u64,
    /// What was accepted once is not refused later, whatever the behaviour says. Default false.
    pub keeps_word: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            mm7: Mm7Behaviour::default(),
            mm4: Mm4Behaviour::default(),
            rules: Vec::new(),
            report_retries: 10,
            report_retry_ms: 500,
            keeps_word: false,
        }
    }
}

/// A behaviour for some messages. Conditions that are absent hold; a rule without any holds for all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// The subject contains this text (letter case counts).
    pub subject: Option<String>,
    /// One recipient is this number (digits are compared) or, if it has an `@`, this mail address. Reports are
    /// chosen per recipient, so that one message may have several fates.
    pub recipient: Option<String>,
    /// MM7: the request is this one, such as `CancelReq`; without it a rule is about any request.
    pub operation: Option<String>,
    /// Only every so-many-th message that fits otherwise (2 means the second, fourth, …). Zero counts as one.
    pub every: Option<u64>,
    /// Behaviour over MM7; absent: the rule says nothing about MM7.
    pub mm7: Option<Mm7Behaviour>,
    /// Behaviour over MM4; absent: the rule says nothing about MM4.
    pub mm4: Option<Mm4Behaviour>,
}

/// Milliseconds to wait: fixed if only `min_ms` is given, else anything from `min_ms` to `max_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delay {
    /// Shortest wait in milliseconds.
    pub min_ms: u64,
    /// Longest wait in milliseconds; less than `min_ms` counts as `min_ms`.
    pub max_ms: u64,
}

impl Delay {
    /// A fixed wait of `ms` milliseconds.
    #[must_use]
    pub fn fixed(ms: u64) -> Self {
        Self { min_ms: ms, max_ms: ms }
    }

    /// A wait between `min_ms` and `max_ms` milliseconds.
    #[must_use]
    pub fn range(min_ms: u64, max_ms: u64) -> Self {
        Self { min_ms, max_ms }
    }

    /// One wait, drawn anew at each call.
    pub(crate) fn draw(self) -> Duration {
        let span = self.max_ms.saturating_sub(self.min_ms);
        let extra = if span == 0 { 0 } else { random() % (span + 1) };
        Duration::from_millis(self.min_ms + extra)
    }
}

/// Sixty-odd random bits; good enough for delays, not for secrets.
fn random() -> u64 {
    let low = uuid::Uuid::now_v7().as_u128() & u128::from(u64::MAX >> 2);
    u64::try_from(low).expect("masked to 62 bits")
}

/// Behaviour over MM7.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mm7Behaviour {
    /// Wait between the last octet of the request and the answer.
    pub delay: Delay,
    /// The answer.
    pub answer: Mm7Answer,
    /// Only the first so-many attempts of a transaction get `answer`, later ones succeed. Absent: all get it.
    pub fail_first: Option<u32>,
    /// The answer is written at this many octets a second.
    pub drip_octets_per_second: Option<u32>,
    /// DeliveryReportReq per recipient; `status` is an MMStatus, `Retrieved` if absent.
    pub delivery: Plan,
    /// ReadReplyReq per recipient; `status` is an MMStatus, `Read` if absent.
    pub read: Plan,
}

/// What is answered over MM7.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mm7Answer {
    /// Status 1000.
    #[default]
    Ok,
    /// The ordinary response with this status (TS 23.140 clause 8.7, status codes); 1xxx accepts the message.
    Status {
        /// StatusCode.
        code: u16,
        /// StatusText; absent: a word for the class.
        #[serde(default)]
        text: Option<String>,
        /// Text of Details; absent: no such element.
        #[serde(default)]
        details: Option<String>,
    },
    /// A SOAP fault with RSErrorRsp.
    Fault {
        /// StatusCode in RSErrorRsp.
        code: u16,
        /// StatusText; absent: a word for the class.
        #[serde(default)]
        text: Option<String>,
        /// HTTP status, 500 if absent; many carriers use 200.
        #[serde(default)]
        http: Option<u16>,
    },
    /// An HTTP status with an HTML page, as a proxy in between would give it.
    Html {
        /// HTTP status.
        http: u16,
    },
    /// HTTP 200 without a body; the message counts as accepted (seen at Vibes).
    Empty,
    /// Octets that are not HTTP, then the connection closes.
    Garbage,
    /// No answer, the connection stays open.
    Hang,
    /// The connection closes.
    Disconnect {
        /// When.
        at: Mm7Stage,
    },
}

/// When an MM7 connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mm7Stage {
    /// When the first octet of a request arrives. Nothing is known of the message then: only a behaviour of
    /// `Script::mm7` can ask for it, and `fail_first` counts connections.
    BeforeReading,
    /// The request was read; it is recorded but not accepted.
    AfterReading,
    /// The request was read and accepted, the answer breaks off in its middle.
    MidAnswer,
}

/// Behaviour over MM4.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mm4Behaviour {
    /// Wait between the final dot and its reply.
    pub delay: Delay,
    /// The mishap, if any.
    pub answer: Mm4Answer,
    /// Only the first so-many attempts get `answer`. Attempts are counted per transaction at the end of data, per
    /// envelope address at MAIL, RCPT and DATA, and per simulator at connect and EHLO.
    pub fail_first: Option<u32>,
    /// The reply to the final dot is written at this many octets a second.
    pub drip_octets_per_second: Option<u32>,
    /// MM4_forward.RES (and RES of reports); `status` is an X-Mms-Request-Status-Code, `Ok` if absent. Any other
    /// status means that no report follows.
    pub res: Plan,
    /// MM4_delivery_report.REQ per recipient; `status` is an X-Mms-MM-Status-Code, `Retrieved` if absent.
    pub delivery: Plan,
    /// MM4_read_reply_report.REQ per recipient; `status` is an X-Mms-Read-Status, `Read` if absent.
    pub read: Plan,
}

/// What goes wrong over MM4.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mm4Answer {
    /// Nothing.
    #[default]
    Ok,
    /// This reply instead of the good one. 421 also closes the connection; 2xx at the end of data accepts.
    Reply {
        /// At which point.
        at: Mm4Stage,
        /// Reply code (RFC 5321 section 4.2).
        code: u16,
        /// Text after the code, with the enhanced code if wanted.
        #[serde(default)]
        text: Option<String>,
    },
    /// No reply, the connection stays open.
    Hang {
        /// At which point.
        at: Mm4Stage,
    },
    /// The connection closes without a reply. At the end of data the mail counts as received and accepted.
    Disconnect {
        /// At which point.
        at: Mm4Stage,
    },
    /// Octets that are no SMTP reply, then the connection closes.
    Garbage {
        /// At which point.
        at: Mm4Stage,
    },
}

impl Mm4Answer {
    /// The point at which this mishap happens.
    pub(crate) fn stage(&self) -> Option<Mm4Stage> {
        match self {
            Self::Ok => None,
            Self::Reply { at, .. } | Self::Hang { at } | Self::Disconnect { at } | Self::Garbage { at } => {
                Some(*at)
            }
        }
    }
}

/// A point in an SMTP session. What is known there decides which rules can fit: none before MAIL's reply, those
/// without a subject at RCPT, DATA and in the middle of the data, all at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mm4Stage {
    /// Instead of the greeting.
    Connect,
    /// At EHLO or HELO.
    Ehlo,
    /// At MAIL FROM.
    Mail,
    /// At RCPT TO, for that recipient.
    Rcpt,
    /// At DATA.
    Data,
    /// After 354, when the first data arrive.
    MidData,
    /// After the final dot.
    EndOfData,
}

/// Whether and how an answer by mail or a report is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Whether it is sent. Default `asked`.
    pub send: When,
    /// Status word; absent: the word of success.
    pub status: Option<String>,
    /// StatusText or X-Mms-Status-Text; absent: left out.
    pub text: Option<String>,
    /// MMStatusExtension or X-Mms-MM-Status-Extension, in delivery reports; absent: left out.
    pub extension: Option<String>,
    /// Wait after the answer to the message.
    pub delay: Delay,
    /// How often the same is sent, with the same ids. Default 1.
    pub copies: u32,
    /// Sent, and its answer awaited, before the message itself is answered; `delay` is ignored.
    pub at_once: bool,
    /// X-Mms-Ack-Request: Yes in MM4 reports. Default true.
    pub ack_request: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            send: When::Asked,
            status: None,
            text: None,
            extension: None,
            delay: Delay::default(),
            copies: 1,
            at_once: false,
            ack_request: true,
        }
    }
}

impl Plan {
    /// Whether it is sent, given whether the message asked for it.
    pub(crate) fn wanted(&self, asked: bool) -> bool {
        match self.send {
            When::Asked => asked,
            When::Always => true,
            When::Never => false,
        }
    }
}

/// Whether something is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// If the message asks for it.
    #[default]
    Asked,
    /// Whether asked or not.
    Always,
    /// Never: the carrier stays silent.
    Never,
}

/// A script at work: with the counters that `every` needs.
#[derive(Debug, Default)]
pub(crate) struct LiveScript {
    pub(crate) script: Script,
    ticks: Vec<AtomicU64>,
}

impl LiveScript {
    pub(crate) fn new(script: Script) -> Self {
        let ticks = script.rules.iter().map(|_| AtomicU64::new(0)).collect();
        Self { script, ticks }
    }

    /// Decides once for a message which rules are in force. `operation` is that of an
    /// MM7 request; `subject` is absent where it is not known yet.
    /// `relevant` says whether a rule is looked at here; one that is not, and that counts messages, stays out.
    pub(crate) fn decide(
        &self,
        operation: Option<&str>,
        subject: Option<&str>,
        recipients: &[String],
        relevant: impl Fn(&Rule) -> bool,
    ) -> Decision<'_> {
        let rules = self.script.rules.iter().zip(&self.ticks);
        let fires = rules.map(|(rule, ticks)| {
            let fits =
                rule.fits_operation(operation) && rule.fits_subject(subject) && rule.fits_any(recipients);
            match rule.every {
                None => fits,
                Some(every) => {
                    fits && relevant(rule)
                        && (ticks.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every.max(1))
                }
            }
        });
        Decision { script: &self.script, fires: fires.collect() }
    }
}

/// Which rules are in force for one message.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    script: &'a Script,
    fires: Vec<bool>,
}

impl<'a> Decision<'a> {
    /// MM7 behaviour for the message as a whole.
    pub(crate) fn mm7(&self) -> &'a Mm7Behaviour {
        self.rules().find_map(|rule| rule.mm7.as_ref()).unwrap_or(&self.script.mm7)
    }

    /// MM7 behaviour for one recipient.
    pub(crate) fn mm7_for(&self, recipient: &str) -> &'a Mm7Behaviour {
        self.rules()
            .filter(|rule| rule.fits_recipient(recipient))
            .find_map(|rule| rule.mm7.as_ref())
            .unwrap_or(&self.script.mm7)
    }

    /// MM4 behaviour for the message as a whole, at `stage`: the first in force that has a mishap there, else the
    /// first in force.
    pub(crate) fn mm4(&self, stage: Mm4Stage) -> &'a Mm4Behaviour {
        let mut behaviours = self.rules().filter_map(|rule| rule.mm4.as_ref());
        let first = behaviours.clone().next().unwrap_or(&self.script.mm4);
        behaviours.find(|behaviour| behaviour.answer.stage() == Some(stage)).unwrap_or(first)
    }

    /// MM4 behaviour for one recipient.
    pub(crate) fn mm4_for(&self, recipient: &str) -> &'a Mm4Behaviour {
        self.rules()
            .filter(|rule| rule.fits_recipient(recipient))
            .find_map(|rule| rule.mm4.as_ref())
            .unwrap_or(&self.script.mm4)
    }

    fn rules(&self) -> impl Iterator<Item = &'a Rule> + Clone {
        let script = self.script;
        script.rules.iter().zip(self.fires.clone()).filter(|(_, fires)| *fires).map(|(rule, _)| rule)
    }
}

impl Rule {
    fn fits_subject(&self, subject: Option<&str>) -> bool {
        self.subject.as_deref().is_none_or(|wanted| subject.is_some_and(|subject| subject.contains(wanted)))
    }

    fn fits_operation(&self, operation: Option<&str>) -> bool {
        self.operation.as_deref().is_none_or(|wanted| operation == Some(wanted))
    }

    fn fits_any(&self, recipients: &[String]) -> bool {
        self.recipient.is_none() || recipients.iter().any(|recipient| self.fits_recipient(recipient))
    }

    fn fits_recipient(&self, recipient: &str) -> bool {
        self.recipient.as_deref().is_none_or(|wanted| same_address(wanted, recipient))
    }
}

/// Whether two addresses name the same recipient: the same digits, or the same mail address.
fn same_address(wanted: &str, address: &str) -> bool {
    if wanted.contains('@') {
        return wanted.eq_ignore_ascii_case(address);
    }
    let digits = |text: &str| number(text).chars().filter(char::is_ascii_digit).collect::<String>();
    digits(wanted) == digits(address)
}

/// The part of an address before `/TYPE=` and `@` (TS 23.140 clause 8.4.5).
pub(crate) fn number(address: &str) -> &str {
    let local = address.split('@').next().unwrap_or(address);
    local.split('/').next().unwrap_or(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipients(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    fn status(code: u16) -> Mm7Behaviour {
        Mm7Behaviour {
            answer: Mm7Answer::Status { code, text: None, details: None },
            ..Mm7Behaviour::default()
        }
    }

    #[test]
    fn a_script_reads_from_toml_and_refuses_typing_errors() {
        let text = r#"
            [mm7]
            delay = { min_ms = 5 }
            answer = { kind = "fault", code = 4006, http = 200 }
            [[rules]]
            subject = "slow"
            [rules.mm4]
            answer = { kind = "reply", at = "end_of_data", code = 451 }
            fail_first = 2
            delivery = { send = "never" }
        "#;
        let script: Script = toml::from_str(text).unwrap();
        assert_eq!(script.mm7.answer, Mm7Answer::Fault { code: 4006, text: None, http: Some(200) });
        let mm4 = script.rules[0].mm4.as_ref().unwrap();
        assert_eq!(mm4.delivery.send, When::Never);
        assert_eq!(mm4.read.send, When::Asked);
        assert_eq!(mm4.fail_first, Some(2));
        assert!(toml::from_str::<Script>("[mm7]\ndelai = 1").is_err());
        let again: Script = serde_json::from_str(&serde_json::to_string(&script).unwrap()).unwrap();
        assert_eq!(again, script);
    }

    #[test]
    fn the_first_rule_that_fits_wins_by_subject_and_by_number() {
        let script = Script {
            rules: vec![
                Rule { subject: Some("bad".into()), mm7: Some(status(2003)), ..Rule::default() },
                Rule { recipient: Some("+1 555".into()), mm7: Some(status(4006)), ..Rule::default() },
            ],
            ..Script::default()
        };
        let live = LiveScript::new(script);
        let all = |_: &Rule| true;
        let to = recipients(&["+1555/TYPE=PLMN@a.example", "+1666"]);
        assert_eq!(live.decide(None, Some("a bad day"), &to, all).mm7(), &status(2003));
        let decision = live.decide(None, Some("fine"), &to, all);
        assert_eq!(decision.mm7(), &status(4006));
        assert_eq!(decision.mm7_for("1555"), &status(4006));
        assert_eq!(decision.mm7_for("+1666"), &Mm7Behaviour::default());
        assert_eq!(live.decide(None, None, &recipients(&["+1666"]), all).mm7(), &Mm7Behaviour::default());
    }

    #[test]
    fn a_rule_may_be_about_one_operation() {
        let rule = Rule { operation: Some("CancelReq".into()), mm7: Some(status(3001)), ..Rule::default() };
        let live = LiveScript::new(Script { rules: vec![rule], ..Script::default() });
        assert_eq!(live.decide(Some("CancelReq"), None, &[], |_| true).mm7(), &status(3001));
        assert_eq!(live.decide(Some("SubmitReq"), None, &[], |_| true).mm7(), &Mm7Behaviour::default());
        assert_eq!(live.decide(None, None, &[], |_| true).mm7(), &Mm7Behaviour::default());
    }

    #[test]
    fn every_counts_only_what_fits() {
        let rule = Rule { every: Some(3), mm7: Some(status(3000)), ..Rule::default() };
        let live = LiveScript::new(Script { rules: vec![rule], ..Script::default() });
        let hits = (0..9).map(|_| live.decide(None, None, &[], |_| true).mm7() == &status(3000));
        assert_eq!(hits.collect::<Vec<_>>(), [false, false, true, false, false, true, false, false, true]);
        assert_eq!(live.decide(None, None, &[], |_| false).mm7(), &Mm7Behaviour::default());
    }

    #[test]
    fn a_range_is_kept() {
        for _ in 0..200 {
            let wait = Delay::range(3, 5).draw().as_millis();
            assert!((3..=5).contains(&wait), "{wait}");
        }
        assert_eq!(Delay { min_ms: 7, max_ms: 0 }.draw().as_millis(), 7);
    }
}
