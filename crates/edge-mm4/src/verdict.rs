//! What SMTP said, as deliveries.
//!
//! | said | meant |
//! |---|---|
//! | 250 to the mail | sent; an acknowledgement of the message itself comes as a mail of its own |
//! | 421, 450, 451, 452 | later: the carrier asks for patience, and the message waits as long as it may |
//! | other 4xx | put off, up to the group's number of tries |
//! | 530, 534, 535, 538 | later: AUTH or encryption is wanted, which is the operator's trouble |
//! | x.7.n with 5xx, 521, 554 and other 5xx | failed: refused (406) |
//! | x.1.n with 5xx, 550, 551, 553, 556 | failed: unknown recipient (404) |
//! | x.2.3, x.3.4, x.6.n with 5xx, 552 | failed: size or kind of content (415) |
//! | 500 to 504, 555 | failed: malformed (400) |
//! | no connection, no answer, garbage | put off unheard: the next try repeats the transaction id |
//! | session refused, AUTH or TLS failed | later and unheard, with a description for the operator |
//!
//! The enhanced code (RFC 3463) counts before the basic one. `retry_statuses` of the dialect turns
//! a final reply into one that is tried again.

use mmsgw_domain::{Address, Code, Recipient};
use mmsgw_engine::{Answer, Delivery, Outcome, Unfit, Verdict};
use mmsgw_net::UpgradeError;
use mmsgw_smtp::client::{ClientError, EnvelopeError, MailOutcome};
use mmsgw_smtp::{Enhanced, Reply};

use crate::link::{LinkError, Tried};

/// What a peer's replies mean beyond the table of this module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Judge {
    /// Replies that are tried again although others take them for final.
    pub(crate) retry: Vec<u16>,
}

impl Judge {
    /// What became of one mail to `recipients`. `peer_ref` is our id of the message. Where
    /// `addressed` is false other addresses stood in the envelope, so that replies to single ones say
    /// nothing of these numbers.
    pub(crate) fn outcomes(
        &self,
        tried: &Result<Tried, LinkError>,
        recipients: &[&Recipient],
        addressed: bool,
        peer_ref: &str,
    ) -> Vec<Outcome> {
        let numbers = || recipients.iter().map(|r| r.address.clone());
        let all = |delivery| vec![Outcome { recipients: numbers().collect(), delivery }];
        let outcome = match tried {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => return all(unsendable(*error)),
            Err(error) => return all(lost(error)),
        };
        let whole = self.whole(outcome, peer_ref);
        if !addressed || outcome.recipients.len() != recipients.len() {
            return all(whole);
        }
        let each = outcome.recipients.iter().map(|(_, fate)| match fate {
            Ok(()) => whole.clone(),
            Err(reply) => self.refused(reply),
        });
        numbers().zip(each).map(|(number, delivery)| Outcome { recipients: vec![number], delivery }).collect()
    }

    fn whole(&self, outcome: &MailOutcome, peer_ref: &str) -> Delivery {
        match &outcome.result {
            Ok(reply) => {
                let mut answer = answer(Code::OK, reply);
                answer.description.insert_str(0, "handed to the carrier: ");
                Delivery::Sent { peer_ref: Some(peer_ref.to_owned()), answer, acknowledged: false }
            }
            Err(reply) => self.refused(reply),
        }
    }

    fn refused(&self, reply: &Reply) -> Delivery {
        let asked = matches!(reply.code(), 421 | 450..=452 | 530 | 534 | 535 | 538);
        if asked || reply.is_transient() || self.retry.contains(&reply.code()) {
            let answer = answer(Code::DEFERRED, reply);
            return Delivery::Defer { answer, later: asked, heard: true, pause: None };
        }
        Delivery::Fail { answer: answer(final_code(reply), reply) }
    }
}

/// One verdict out of the outcomes of all mails: those of equal fate are told together.
pub(crate) fn join(outcomes: impl IntoIterator<Item = Outcome>) -> Verdict {
    let mut joined: Vec<Outcome> = Vec::new();
    for outcome in outcomes {
        match joined.iter_mut().find(|known| known.delivery == outcome.delivery) {
            Some(known) => known.recipients.extend(outcome.recipients),
            None => joined.push(outcome),
        }
    }
    if let [only] = joined.as_mut_slice() {
        only.recipients = Vec::<Address>::new();
    }
    Verdict { outcomes: joined }
}

/// A message that cannot be written as a mail.
pub(crate) fn unwritable(error: &dyn std::fmt::Display) -> Delivery {
    Delivery::Fail { answer: Answer::own(Code::MALFORMED, format!("cannot be written as a mail: {error}")) }
}

/// A mail larger than it may be.
pub(crate) fn too_large(octets: u64, limit: u64) -> Delivery {
    let unfit = Unfit::TooLarge { octets, limit };
    Delivery::Fail { answer: Answer::own(Code::UNSUPPORTED, unfit.to_string()) }
}

fn final_code(reply: &Reply) -> Code {
    match (reply.code(), reply.enhanced()) {
        (_, Some(Enhanced(_, 7, _))) => Code::REFUSED,
        (_, Some(Enhanced(_, 2, 3) | Enhanced(_, 3, 4) | Enhanced(_, 6, _))) => Code::UNSUPPORTED,
        (_, Some(Enhanced(_, 1, _))) | (550 | 551 | 553 | 556, _) => Code::UNKNOWN,
        (552, _) => Code::UNSUPPORTED,
        (500..=504 | 555, _) => Code::MALFORMED,
        _ => Code::REFUSED,
    }
}

fn answer(code: Code, reply: &Reply) -> Answer {
    let status = match reply.enhanced() {
        Some(enhanced) => format!("{} {enhanced}", reply.code()),
        None => reply.code().to_string(),
    };
    let text: String =
        reply.text().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect();
    let description = if text.trim().is_empty() { format!("the carrier said {status}") } else { text };
    Answer { carrier_status: Some(status), ..Answer::own(code, description) }
}

fn unsendable(error: EnvelopeError) -> Delivery {
    match error {
        EnvelopeError::TooLarge { limit } => {
            let text = format!("the mail is larger than the {limit} octets that the carrier takes");
            Delivery::Fail { answer: Answer::own(Code::UNSUPPORTED, text) }
        }
        EnvelopeError::NotReady => {
            put_off("the connection to the carrier was not ready".to_owned(), None, false)
        }
        error => unwritable(&error),
    }
}

/// A connection that ended without a word on the mail. Nothing was heard of it, so whatever the
/// reason the next try is a retransmission.
fn lost(error: &LinkError) -> Delivery {
    let text = |what: &str| format!("{what}: {error}");
    match error {
        LinkError::Session(ClientError::Refused { stage, reply }) => {
            let what = match stage {
                mmsgw_smtp::Stage::Auth => "the carrier refuses our user name or password",
                mmsgw_smtp::Stage::StartTls => "the carrier refuses encryption",
                _ => "the carrier refuses the session",
            };
            put_off(text(what), Some(reply), true)
        }
        LinkError::Closed(Some(reply)) => put_off(text("the carrier ended the session"), Some(reply), true),
        LinkError::Session(
            ClientError::TlsNotOffered | ClientError::AuthNotOffered | ClientError::AuthInClear,
        )
        | LinkError::Handshake(_)
        | LinkError::Upgrade(UpgradeError::Handshake(_))
        | LinkError::Options(_) => put_off(text("no session with the carrier, see the settings"), None, true),
        LinkError::Connect(_) => put_off(text("no connection to the carrier"), None, false),
        _ => put_off(text("the connection to the carrier was lost"), None, false),
    }
}

fn put_off(description: String, reply: Option<&Reply>, later: bool) -> Delivery {
    let carrier_status = reply.map(|reply| reply.code().to_string());
    let description: String = description.chars().take(MAX_TEXT).collect();
    let answer = Answer { carrier_status, ..Answer::own(Code::DEFERRED, description) };
    Delivery::Defer { answer, later, heard: false, pause: None }
}

/// Longest text of a carrier that is kept.
const MAX_TEXT: usize = 400;

#[cfg(test)]
mod tests {
    use mmsgw_smtp::Stage;

    use super::*;
    use crate::tests::recipient;

    fn fate(code: u16, enhanced: Option<Enhanced>) -> Delivery {
        let reply = match enhanced {
            Some(enhanced) => Reply::new(code, enhanced, "word"),
            None => Reply::bare(code, "word"),
        };
        Judge { retry: vec![557] }.refused(&reply)
    }

    #[test]
    fn the_table_of_refusals() {
        for (code, later) in [(421, true), (450, true), (451, true), (452, true), (454, false), (535, true)] {
            let Delivery::Defer { later: said, heard: true, .. } = fate(code, None) else { panic!("{code}") };
            assert_eq!(said, later, "{code}");
        }
        assert!(matches!(fate(557, None), Delivery::Defer { later: false, heard: true, .. }));
        for (code, enhanced, meant) in [
            (550, None, Code::UNKNOWN),
            (551, None, Code::UNKNOWN),
            (553, None, Code::UNKNOWN),
            (552, None, Code::UNSUPPORTED),
            (554, None, Code::REFUSED),
            (501, None, Code::MALFORMED),
            (550, Some(Enhanced(5, 7, 1)), Code::REFUSED),
            (554, Some(Enhanced(5, 6, 1)), Code::UNSUPPORTED),
            (554, Some(Enhanced(5, 1, 1)), Code::UNKNOWN),
            (550, Some(Enhanced(5, 3, 4)), Code::UNSUPPORTED),
        ] {
            let Delivery::Fail { answer } = fate(code, enhanced) else { panic!("{code}") };
            assert_eq!((answer.code, answer.description.as_str()), (meant, "word"), "{code}");
        }
    }

    #[test]
    fn each_number_has_its_own_outcome_and_equal_ones_are_told_together() {
        let recipients = [recipient("+15555550101"), recipient("+15555550102"), recipient("+15555550103")];
        let refs: Vec<&Recipient> = recipients.iter().collect();
        let no = Err(Reply::unknown_recipient());
        let outcome = MailOutcome {
            recipients: vec![("a".into(), Ok(())), ("b".into(), no), ("c".into(), Ok(()))],
            result: Ok(Reply::ok()),
            stage: Stage::BodyReply,
        };
        let verdict = join(Judge::default().outcomes(&Ok(Ok(outcome.clone())), &refs, true, "ref"));
        assert_eq!(verdict.outcomes.len(), 2);
        assert_eq!(
            verdict.outcomes[0].recipients,
            [recipients[0].address.clone(), recipients[2].address.clone()]
        );
        assert!(
            matches!(&verdict.outcomes[0].delivery, Delivery::Sent { peer_ref: Some(p), .. } if p == "ref")
        );
        assert!(
            matches!(&verdict.outcomes[1].delivery, Delivery::Fail { answer } if answer.code == Code::UNKNOWN)
        );
        let late = MailOutcome { result: Err(Reply::local_error()), ..outcome };
        let verdict = join(Judge::default().outcomes(&Ok(Ok(late)), &refs, true, "ref"));
        assert!(matches!(verdict.outcomes[0].delivery, Delivery::Defer { heard: true, .. }));
        assert!(matches!(verdict.outcomes[1].delivery, Delivery::Fail { .. }));
    }

    #[test]
    fn a_common_fate_names_no_number() {
        let recipients = [recipient("+15555550101"), recipient("+15555550102")];
        let refs: Vec<&Recipient> = recipients.iter().collect();
        let closed = LinkError::Session(ClientError::PeerClosed { stage: Stage::BodyReply });
        let verdict = join(Judge::default().outcomes(&Err(closed), &refs, true, "ref"));
        let [Outcome { recipients, delivery: Delivery::Defer { heard: false, later: false, .. } }] =
            verdict.outcomes.as_slice()
        else {
            panic!("{verdict:?}");
        };
        assert!(recipients.is_empty());
    }

    #[test]
    fn trouble_of_the_operator_waits_and_says_so() {
        let refused = ClientError::Refused { stage: Stage::Auth, reply: Reply::wrong_credentials() };
        let Delivery::Defer { answer, later: true, heard: false, .. } = lost(&refused.into()) else {
            panic!("not put off");
        };
        assert!(answer.description.contains("user name or password"), "{}", answer.description);
        assert_eq!(answer.carrier_status.as_deref(), Some("535"));
        assert!(matches!(lost(&ClientError::TlsNotOffered.into()), Delivery::Defer { later: true, .. }));
    }
}
