//! What an MMSC's answer means for a message. One table, no I/O.
//!
//! The body comes before the HTTP status, as many MMSCs send faults with 200 and some send ordinary
//! answers with an error status.
//!
//! | StatusCode | canonical code | try again by default |
//! |---|---|---|
//! | 1000, other 1xxx | 200 | done |
//! | 1100 | 200; what the details name: 406 | done; what the details name has failed |
//! | 2000, 2007, 4004 | 400 | no |
//! | 2001, 3001, 3002, 3005, 4001, 4007, 4008 | 406 | no |
//! | 2002, 2003, 2005, 2006, 2008, 2009 | 404 | no |
//! | 2004, 3003, 3004, 4002, 4003 | 415 | no |
//! | 4005 | 500 | no |
//! | 3000, 4000, 3510 and unknown ones of 3xxx and 4xxx | 500 | yes |
//! | 4006 | 500 | yes, with patience, as after 3510 |
//!
//! | HTTP status without SOAP | canonical code | |
//! |---|---|---|
//! | 2xx, empty | 200 | success where the dialect says so, else as if unheard |
//! | 2xx, not understood | 500 | as if unheard |
//! | 3xx | 500 | again; redirects are not followed |
//! | 401, 403, 407 | 406 | again; the operator can mend it |
//! | 429, 503 | 500 | again, with patience |
//! | 502, 504 | 500 | again, as if unheard: a proxy knows nothing of the MMSC behind it |
//! | 408, other 5xx | 500 | again |
//! | 413, 415 | 415 | failed |
//! | 400, 405, 411 | 400 | failed |
//! | other 4xx | 406 | failed |

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{Address, AddressKind, Code, MessageId, Recipient};
use mmsgw_engine::{Answer, Delivery, Outbound, Outcome, Verdict};
use mmsgw_mm7::status::known;
use mmsgw_mm7::{FaultCode, Limits, Pdu, ReadErrorKind, Response, Status, read_response};

use crate::config::{Dialect, HttpStatuses};
use crate::translate::Numbering;

/// What came back for a request.
pub(crate) enum Heard {
    /// An HTTP answer.
    Answer(HttpAnswer),
    /// None: the connection failed or broke, or time was over.
    Nothing(String),
}

/// An HTTP answer.
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    /// Retry-After.
    pub(crate) pause: Option<Duration>,
    /// The body, or why it could not be had.
    pub(crate) body: Result<Bytes, String>,
}

/// What was asked of the peer, as far as its answer is judged by it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) message: MessageId,
    pub(crate) transaction_id: &'a str,
    /// The numbers asked for, which a partial success is about.
    pub(crate) recipients: &'a [Recipient],
}

impl<'a> From<&'a Outbound> for Asked<'a> {
    fn from(outbound: &'a Outbound) -> Self {
        Self {
            message: outbound.message.id,
            transaction_id: &outbound.transaction_id,
            recipients: &outbound.recipients,
        }
    }
}

/// Turns answers into verdicts, by the habits of one MMSC.
pub(crate) struct Judge {
    retry_statuses: Vec<u16>,
    retry_http: Vec<HttpStatuses>,
    empty_200_is_success: bool,
    numbering: Numbering,
}

impl Judge {
    pub(crate) fn new(dialect: &Dialect, numbering: Numbering) -> Self {
        Self {
            retry_statuses: dialect.retry_statuses.clone(),
            retry_http: dialect.retry_http.clone(),
            empty_200_is_success: dialect.empty_200_is_success,
            numbering,
        }
    }

    pub(crate) fn verdict<'a>(&self, asked: impl Into<Asked<'a>>, heard: Heard) -> Verdict {
        let asked = asked.into();
        let answer = match heard {
            Heard::Nothing(why) => return Verdict::all(unheard(why)),
            Heard::Answer(answer) => answer,
        };
        let (status, pause) = (answer.status, answer.pause);
        let body = match answer.body {
            Ok(body) => body,
            Err(why) => return Verdict::all(self.by_http(status, pause, &why)),
        };
        match read_response(answer.content_type.as_deref(), body, &Limits::default()) {
            Ok(response) => self.by_status(asked, &response, (status, pause)),
            Err(error) if error.kind == ReadErrorKind::Empty && self.is_silent_yes(status) => {
                let description = format!("taken without a word (HTTP {status})");
                Verdict::all(sent(
                    None,
                    Answer { carrier_status: Some(http_word(status)), ..Answer::own(Code::OK, description) },
                ))
            }
            Err(error) => Verdict::all(self.by_http(status, pause, &error.to_string())),
        }
    }

    fn is_silent_yes(&self, status: u16) -> bool {
        self.empty_200_is_success && (200..300).contains(&status)
    }

    fn by_status(&self, asked: Asked<'_>, response: &Response, http: (u16, Option<Duration>)) -> Verdict {
        if let Some(got) = response.transaction_id.as_deref().filter(|id| *id != asked.transaction_id) {
            let want = asked.transaction_id;
            tracing::warn!(message.id = %asked.message, got, want, "answer with another TransactionID");
        }
        let (code, status) = (effective_code(response), response.status());
        let answer = Answer {
            code: canonical(code),
            carrier_status: Some(status.code.to_string()),
            details: status.details.as_deref().and_then(details),
            description: sentence(status),
        };
        if response.is_success() {
            let peer_ref = response.message_id().map(str::to_owned);
            return match known(code) {
                1100 => self.partial(asked, peer_ref, answer, status),
                _ => Verdict::all(sent(peer_ref, answer)),
            };
        }
        if !self.is_worth_retry(code) {
            return Verdict::all(Delivery::Fail { answer });
        }
        let later = matches!(code, 4006 | 3510) || asks_patience(http.0);
        Verdict::all(Delivery::Defer { answer, later, heard: true, pause: http.1.filter(|_| later) })
    }

    /// The code itself decides, or the first of its class where no standard has it.
    fn is_worth_retry(&self, code: u16) -> bool {
        self.retry_statuses.contains(&code) || self.retry_statuses.contains(&known(code))
    }

    /// Partial success: the numbers that the details name have failed. Where they name none, or all, the
    /// reports will tell.
    fn partial(
        &self,
        asked: Asked<'_>,
        peer_ref: Option<String>,
        answer: Answer,
        status: &Status,
    ) -> Verdict {
        let named = Named::inside(status.details.as_deref().unwrap_or_default());
        let numbers = asked.recipients.iter().map(|recipient| &recipient.address);
        let (failed, taken): (Vec<Address>, Vec<Address>) =
            numbers.cloned().partition(|address| named.holds(address, &self.numbering));
        if failed.is_empty() || taken.is_empty() {
            return Verdict::all(sent(peer_ref, answer));
        }
        let refused = Answer { code: Code::REFUSED, ..answer.clone() };
        Verdict {
            outcomes: vec![
                Outcome { recipients: taken, delivery: sent(peer_ref, answer) },
                Outcome { recipients: failed, delivery: Delivery::Fail { answer: refused } },
            ],
        }
    }

    fn by_http(&self, status: u16, pause: Option<Duration>, why: &str) -> Delivery {
        if (200..300).contains(&status) {
            return unheard(format!("answer not understood: {}", cut(why)));
        }
        let (code, text) = http_meaning(status);
        let description = format!("{text} (HTTP {status}, {})", cut(why));
        let answer = Answer { carrier_status: Some(http_word(status)), ..Answer::own(code, description) };
        let mendable = matches!(status, 300..=399 | 401 | 403 | 407);
        if !mendable && !self.retry_http.iter().any(|statuses| statuses.contains(status)) {
            return Delivery::Fail { answer };
        }
        let later = asks_patience(status);
        // A proxy's word that it had no answer says nothing of the MMSC behind it.
        let heard = !matches!(status, 502 | 504);
        Delivery::Defer { answer, later, heard, pause: pause.filter(|_| later) }
    }
}

/// The canonical code for a StatusCode; see the table above.
fn canonical(code: u16) -> Code {
    match known(code) {
        1000 | 1100 => Code::OK,
        2000 | 2007 | 4004 => Code::MALFORMED,
        2001 | 3001 | 3002 | 3005 | 4001 | 4007 | 4008 => Code::REFUSED,
        2002 | 2003 | 2005 | 2006 | 2008 | 2009 => Code::UNKNOWN,
        2004 | 3003 | 3004 | 4002 | 4003 => Code::UNSUPPORTED,
        _ => Code::UNSPECIFIED,
    }
}

/// What an HTTP status without SOAP says; see the table above.
fn http_meaning(status: u16) -> (Code, &'static str) {
    match status {
        300..=399 => (Code::UNSPECIFIED, "the MMSC redirects, which is not followed"),
        401 | 403 | 407 => (Code::REFUSED, "the MMSC refuses our credentials"),
        429 | 503 => (Code::UNSPECIFIED, "the MMSC asks for patience"),
        413 | 415 => (Code::UNSUPPORTED, "the MMSC does not take such content"),
        400 | 405 | 411 => (Code::MALFORMED, "the MMSC does not understand the request"),
        408 | 500.. => (Code::UNSPECIFIED, "the MMSC is in trouble"),
        _ => (Code::REFUSED, "the MMSC refuses the request"),
    }
}

/// A fault never means success, whatever code stands in it.
fn effective_code(response: &Response) -> u16 {
    match &response.pdu {
        Pdu::Fault(fault) if fault.status.is_success() && fault.code == FaultCode::Client => 2000,
        Pdu::Fault(fault) if fault.status.is_success() => 3000,
        _ => response.status().code,
    }
}

fn sent(peer_ref: Option<String>, answer: Answer) -> Delivery {
    Delivery::Sent { peer_ref, answer, acknowledged: true }
}

/// No answer that can be relied on: the next try is a retransmission.
fn unheard(why: String) -> Delivery {
    Delivery::Defer { answer: Answer::own(Code::UNSPECIFIED, why), later: false, heard: false, pause: None }
}

fn asks_patience(http_status: u16) -> bool {
    matches!(http_status, 429 | 503)
}

fn http_word(status: u16) -> String {
    format!("HTTP {status}")
}

/// StatusText and Details as one line.
fn sentence(status: &Status) -> String {
    let text = if status.text.is_empty() { mmsgw_mm7::status::text(status.code) } else { &status.text };
    match status.details.as_deref().filter(|details| !details.trim().is_empty()) {
        Some(details) => cut(&format!("{text}: {details}")),
        None => cut(text),
    }
}

/// Details as they are kept: all of them up to a limit, line by line.
fn details(text: &str) -> Option<String> {
    let clean = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c });
    let clean: String = clean.take(MAX_DETAILS).collect();
    Some(clean.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Characters of Details that are kept.
const MAX_DETAILS: usize = 4_000;

/// At most 300 characters without controls, so that a description stays a line.
fn cut(text: &str) -> String {
    let clean = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(300).collect()
}

/// Addresses that a text names: runs of digits, and words with an `@`.
struct Named<'a> {
    digits: HashSet<&'a str>,
    mails: HashSet<String>,
}

impl<'a> Named<'a> {
    fn inside(text: &'a str) -> Self {
        let is_break = |c: char| c.is_whitespace() || ",;<>()\"'".contains(c);
        Self {
            digits: text.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() > 2).collect(),
            mails: text
                .split(is_break)
                .filter(|word| word.contains('@'))
                .map(str::to_ascii_lowercase)
                .collect(),
        }
    }

    fn holds(&self, address: &Address, numbering: &Numbering) -> bool {
        if address.kind() == AddressKind::Mail {
            return self.mails.contains(&address.as_str().to_ascii_lowercase());
        }
        let wire = numbering.destination(address).value;
        let wire = wire.trim_start_matches('+');
        let wire = &wire[..wire.find(|c: char| !c.is_ascii_digit()).unwrap_or(wire.len())];
        self.digits.contains(address.bare()) || self.digits.contains(wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, settings};

    fn judge(dialect: &str) -> Judge {
        let settings = settings(dialect);
        Judge::new(&settings.dialect, Numbering::new(&settings.addressing, &settings.dialect))
    }

    fn answer(status: u16, body: &str) -> Heard {
        let body = Ok(Bytes::copy_from_slice(body.as_bytes()));
        let pause = Some(Duration::from_secs(7));
        Heard::Answer(HttpAnswer { status, content_type: Some("text/xml".into()), pause, body })
    }

    fn one(dialect: &str, heard: Heard) -> Delivery {
        let mut verdict = judge(dialect).verdict(&testing::outbound(&["+15555550101"]), heard);
        assert_eq!(verdict.outcomes.len(), 1);
        assert!(verdict.outcomes[0].recipients.is_empty());
        verdict.outcomes.remove(0).delivery
    }

    /// A verdict in short: what, canonical code, and the flags of a deferral.
    fn short(delivery: &Delivery) -> String {
        match delivery {
            Delivery::Sent { answer, acknowledged, peer_ref } => {
                format!("sent {} {acknowledged} {}", answer.code, peer_ref.as_deref().unwrap_or("-"))
            }
            Delivery::Fail { answer } => format!("fail {}", answer.code),
            Delivery::Defer { answer, later, heard, pause } => {
                let pause = pause.map_or(0, |pause| pause.as_secs());
                format!("defer {} later={later} heard={heard} {pause}", answer.code)
            }
        }
    }

    #[test]
    fn every_status_code_has_its_verdict() {
        for (code, want) in [
            (1000, "sent 200 true msg-1"),
            (1100, "sent 200 true msg-1"),
            (1200, "sent 200 true msg-1"),
            (2000, "fail 400"),
            (2001, "fail 406"),
            (2002, "fail 404"),
            (2003, "fail 404"),
            (2004, "fail 415"),
            (2005, "fail 404"),
            (2006, "fail 404"),
            (2007, "fail 400"),
            (2008, "fail 404"),
            (2009, "fail 404"),
            (2500, "fail 400"),
            (3000, "defer 500 later=false heard=true 0"),
            (3001, "fail 406"),
            (3002, "fail 406"),
            (3003, "fail 415"),
            (3004, "fail 415"),
            (3005, "fail 406"),
            (3510, "defer 500 later=true heard=true 7"),
            (3520, "defer 500 later=false heard=true 0"),
            (4000, "defer 500 later=false heard=true 0"),
            (4001, "fail 406"),
            (4002, "fail 415"),
            (4003, "fail 415"),
            (4004, "fail 400"),
            (4005, "fail 500"),
            (4006, "defer 500 later=true heard=true 7"),
            (4007, "fail 406"),
            (4008, "fail 406"),
            (4010, "defer 500 later=false heard=true 0"),
        ] {
            let ordinary = one("", answer(200, &testing::submit_rsp("tx", code, "msg-1", "")));
            assert_eq!(short(&ordinary), want, "{code}");
            if code >= 2000 {
                for http in [200, 500, 400] {
                    assert_eq!(
                        short(&one("", answer(http, &testing::fault("tx", code)))),
                        want,
                        "{code} {http}"
                    );
                }
            }
        }
        let odd = one("", answer(200, &testing::fault("tx", 1000)));
        assert_eq!(short(&odd), "fail 400", "a fault is no success");
    }

    #[test]
    fn the_body_comes_first_and_503_asks_for_patience() {
        assert_eq!(short(&one("", answer(503, &testing::fault("tx", 2002)))), "fail 404");
        assert_eq!(
            short(&one("", answer(503, &testing::fault("tx", 3000)))),
            "defer 500 later=true heard=true 7"
        );
        assert_eq!(
            short(&one("", answer(500, &testing::submit_rsp("tx", 1000, "m", "")))),
            "sent 200 true m"
        );
        let Delivery::Fail { answer } = one("", answer(500, &testing::fault("tx", 2002))) else { panic!() };
        assert_eq!(answer.carrier_status.as_deref(), Some("2002"));
        assert!(answer.description.starts_with("Address Error"), "{}", answer.description);
    }

    #[test]
    fn every_http_status_without_soap_has_its_verdict() {
        for (status, want) in [
            (200, "defer 500 later=false heard=false 0"),
            (202, "defer 500 later=false heard=false 0"),
            (302, "defer 500 later=false heard=true 0"),
            (400, "fail 400"),
            (401, "defer 406 later=false heard=true 0"),
            (403, "defer 406 later=false heard=true 0"),
            (404, "fail 406"),
            (408, "defer 500 later=false heard=true 0"),
            (411, "fail 400"),
            (413, "fail 415"),
            (429, "defer 500 later=true heard=true 7"),
            (500, "defer 500 later=false heard=true 0"),
            (503, "defer 500 later=true heard=true 7"),
            (599, "defer 500 later=false heard=true 0"),
        ] {
            for body in ["", "<html>no</html>", "no", "<a", "<a/>"] {
                assert_eq!(short(&one("", answer(status, body))), want, "{status} {body}");
            }
            let broken = HttpAnswer {
                status,
                content_type: None,
                pause: Some(Duration::from_secs(7)),
                body: Err("broke".into()),
            };
            assert_eq!(short(&one("", Heard::Answer(broken))), want, "{status} broken");
        }
        assert_eq!(short(&one("", Heard::Nothing("gone".into()))), "defer 500 later=false heard=false 0");
    }

    #[test]
    fn dialects_change_the_table() {
        let silent = "[dialect]\nempty_200_is_success = true\n";
        assert_eq!(short(&one(silent, answer(200, " \n"))), "sent 200 true -");
        assert_eq!(short(&one(silent, answer(500, ""))), "defer 500 later=false heard=true 0");
        assert_eq!(short(&one(silent, answer(200, "OK"))), "defer 500 later=false heard=false 0");
        let strict = "[dialect]\nretry_statuses = [2003]\nretry_http = ['404']\n";
        assert_eq!(
            short(&one(strict, answer(200, &testing::fault("tx", 2003)))),
            "defer 404 later=false heard=true 0"
        );
        assert_eq!(short(&one(strict, answer(200, &testing::fault("tx", 4000)))), "fail 500");
        assert_eq!(short(&one(strict, answer(404, ""))), "defer 406 later=false heard=true 0");
        assert_eq!(short(&one(strict, answer(500, ""))), "fail 500");
    }

    fn partial(details: &str) -> Vec<(Vec<String>, String)> {
        let outbound = testing::outbound(&["+15555550101", "15555550102", "a@b.example"]);
        let body = testing::submit_rsp("tx", 1100, "msg-1", &format!("<Details>{details}</Details>"));
        let verdict = judge("").verdict(&outbound, answer(200, &body));
        let text = |outcome: &Outcome| outcome.recipients.iter().map(ToString::to_string).collect();
        verdict.outcomes.iter().map(|outcome| (text(outcome), short(&outcome.delivery))).collect()
    }

    #[test]
    fn partial_success_fails_the_numbers_that_the_details_name() {
        let sent = "sent 200 true msg-1".to_owned();
        let got = partial("<Failed><Number>+15555550102/TYPE=PLMN</Number></Failed> <x>A@B.example</x>");
        let failed = vec!["15555550102".to_owned(), "a@b.example".to_owned()];
        assert_eq!(got, [(vec!["+15555550101".to_owned()], sent.clone()), (failed, "fail 406".into())]);
        assert_eq!(partial("two numbers"), [(vec![], sent.clone())]);
        assert_eq!(
            partial("5555550102 1155555501021"),
            [(vec![], sent.clone())],
            "parts of a number are not it"
        );
        assert_eq!(partial("15555550101,15555550102,a@b.example"), [(vec![], sent)]);
    }

    #[test]
    fn descriptions_stay_a_line() {
        let long = format!("<Details>{}&#10;x</Details>", "y ".repeat(5_000));
        let Delivery::Sent { answer, .. } =
            one("", answer(200, &testing::submit_rsp("tx", 1000, "m", &long)))
        else {
            panic!()
        };
        assert!(answer.description.len() <= 300 && !answer.description.contains('\n'));
    }
}
