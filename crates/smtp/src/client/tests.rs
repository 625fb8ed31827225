use super::*;
use crate::reply::{Enhanced, ReplyError};

fn options() -> ClientOptions {
    ClientOptions { hostname: "gw.example".into(), ..ClientOptions::default() }
}

fn credentials() -> Option<Credentials> {
    Some(Credentials { user: "u".into(), password: "p".into() })
}

fn envelope(recipients: &[&str]) -> Envelope {
    let rcpt_to = recipients.iter().map(|&address| address.to_owned()).collect();
    Envelope { mail_from: "a@x".into(), rcpt_to, size: 5, ..Envelope::default() }
}

/// A session that has read these octets after its greeting.
fn session(options: ClientOptions, ehlo: &str) -> ClientSession {
    let mut session = ClientSession::new(options).unwrap();
    assert_eq!(session.next(), Step::Read(Stage::Greeting));
    session.receive(b"220 mmsc.example ready\r\n");
    sends(&mut session, "EHLO gw.example\r\n");
    assert_eq!(session.next(), Step::Read(Stage::Hello));
    session.receive(ehlo.as_bytes());
    session
}

fn sends(session: &mut ClientSession, text: &str) {
    assert_eq!(session.next(), Step::Send(text.as_bytes().to_vec()));
}

fn done(session: &mut ClientSession) -> MailOutcome {
    match session.next() {
        Step::MailDone(outcome) => outcome,
        step => panic!("{step:?}"),
    }
}

const PIPELINING: &str = "250-x\r\n250-SIZE\r\n250 PIPELINING\r\n";

#[test]
fn one_group_and_every_reply_in_order() {
    let mut session = session(options(), PIPELINING);
    assert_eq!(session.next(), Step::Ready);
    session.begin(envelope(&["a@y", "b@y", "c@y"])).unwrap();
    sends(
        &mut session,
        "MAIL FROM:<a@x> SIZE=5\r\nRCPT TO:<a@y>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n",
    );
    session.receive(b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n452 later\r\n354 go\r\n");
    assert_eq!(session.next(), Step::SendBody(BodyForm::Dots));
    session.body_sent();
    assert_eq!(session.next(), Step::Read(Stage::BodyReply));
    assert!(session.in_doubt());
    session.receive(b"250 2.0.0 taken\r\n");
    let outcome = done(&mut session);
    assert_eq!(outcome.result.unwrap().code(), 250);
    let codes: Vec<_> =
        outcome.recipients.iter().map(|(_, fate)| fate.as_ref().map_err(Reply::code)).collect();
    assert_eq!(codes, [Ok(&()), Err(550), Err(452)]);
    assert_eq!(session.next(), Step::Ready);
    session.begin(envelope(&["a@y"])).unwrap();
    sends(&mut session, "MAIL FROM:<a@x> SIZE=5\r\nRCPT TO:<a@y>\r\nDATA\r\n");
}

#[test]
fn a_354_without_a_recipient_gets_a_lone_dot_and_the_next_mail_a_reset() {
    let mut session = session(options(), PIPELINING);
    session.next();
    session.begin(envelope(&["a@y", "b@y"])).unwrap();
    session.next();
    session.receive(b"250 ok\r\n550 no\r\n451 later\r\n354 go\r\n");
    sends(&mut session, ".\r\n");
    session.receive(b"250 taken by nobody\r\n");
    let outcome = done(&mut session);
    assert_eq!((outcome.stage, outcome.result.unwrap_err().code()), (Stage::RcptTo, 451));
    assert_eq!(session.next(), Step::Ready);
    session.begin(envelope(&["a@y"])).unwrap();
    sends(&mut session, "RSET\r\nMAIL FROM:<a@x> SIZE=5\r\nRCPT TO:<a@y>\r\nDATA\r\n");
    session.receive(b"250 reset\r\n550 5.7.1 not you\r\n503 no mail\r\n503 no mail\r\n");
    let outcome = done(&mut session);
    assert_eq!(outcome.stage, Stage::MailFrom);
    assert_eq!(outcome.recipients[0].1, Err(Reply::new(550, Enhanced(5, 7, 1), "not you")));
}

#[test]
fn step_by_step_without_pipelining() {
    let mut session = session(options(), "502 what\r\n");
    sends(&mut session, "HELO gw.example\r\n");
    session.receive(b"250 hello\r\n");
    assert_eq!(session.next(), Step::Ready);
    session.begin(envelope(&["a@y", "b@y"])).unwrap();
    sends(&mut session, "MAIL FROM:<a@x>\r\n");
    session.receive(b"250 ok\r\n");
    sends(&mut session, "RCPT TO:<a@y>\r\n");
    session.receive(b"550 no\r\n");
    sends(&mut session, "RCPT TO:<b@y>\r\n");
    session.receive(b"251 will forward\r\n");
    sends(&mut session, "DATA\r\n");
    session.receive(b"451 not now\r\n");
    let outcome = done(&mut session);
    assert_eq!((outcome.stage, outcome.recipients[1].1.clone()), (Stage::Data, Ok(())));
    session.next();
    session.begin(envelope(&["a@y"])).unwrap();
    sends(&mut session, "RSET\r\n");
    session.receive(b"250 ok\r\n");
    sends(&mut session, "MAIL FROM:<a@x>\r\n");
    session.receive(b"550 no\r\n");
    assert_eq!(done(&mut session).stage, Stage::MailFrom);
}

#[test]
fn chunking_is_one_round_trip() {
    let chunking = ClientOptions { chunking: true, ..options() };
    let mut session = session(chunking, "250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
    session.next();
    session.begin(envelope(&["a@y"])).unwrap();
    sends(&mut session, "MAIL FROM:<a@x>\r\nRCPT TO:<a@y>\r\nBDAT 5 LAST\r\n");
    assert_eq!(session.next(), Step::SendBody(BodyForm::Plain));
    session.body_sent();
    assert_eq!(session.next(), Step::Read(Stage::MailFrom));
    session.receive(b"250 ok\r\n250 ok\r\n250 taken\r\n");
    assert!(done(&mut session).result.is_ok());
    session.next();
    session.begin(envelope(&["a@y"])).unwrap();
    session.next();
    assert!(!session.in_doubt());
    session.body_sent();
    session.peer_closed();
    assert_eq!(session.next(), Step::Failed(ClientError::PeerClosed { stage: Stage::MailFrom }));
    assert!(session.in_doubt(), "the whole mail went out with its envelope");
}

#[test]
fn a_421_ends_the_session_wherever_it_comes() {
    let full = "250 ok\r\n250 ok\r\n354 go\r\n";
    for before in 0..=3 {
        let mut session = session(options(), PIPELINING);
        session.next();
        session.begin(envelope(&["a@y"])).unwrap();
        session.next();
        let part: String = full.split_inclusive('\n').take(before).collect();
        session.receive(part.as_bytes());
        if session.next() == Step::SendBody(BodyForm::Dots) {
            session.body_sent();
        }
        session.receive(b"421 4.3.2 bye\r\n");
        let outcome = done(&mut session);
        assert_eq!(outcome.result.unwrap_err().code(), 421);
        assert_eq!(outcome.recipients.len(), 1);
        assert_eq!(outcome.recipients[0].1.is_ok(), before >= 2);
        assert!(matches!(session.next(), Step::Closed(Some(_))));
        assert!(!session.quit());
    }
    let mut idle = session(options(), PIPELINING);
    assert_eq!(idle.next(), Step::Ready);
    idle.receive(b"421 idle too long\r\n");
    assert_eq!(idle.begin(envelope(&["a@y"])), Err(EnvelopeError::NotReady));
    assert!(matches!(idle.next(), Step::Closed(Some(_))));
}

#[test]
fn garbage_and_silence_say_where() {
    let mut session = session(options(), PIPELINING);
    session.next();
    session.begin(envelope(&["a@y"])).unwrap();
    session.next();
    session.receive(b"250 ok\r\nwhat?\r\n");
    let garbage = ClientError::Garbage { stage: Stage::RcptTo, source: ReplyError::Garbage };
    assert_eq!(session.next(), Step::Failed(garbage));

    let mut session = self::session(options(), "250 x\r\n");
    session.next();
    assert!(session.noop());
    sends(&mut session, "NOOP\r\n");
    session.peer_closed();
    assert_eq!(session.next(), Step::Failed(ClientError::PeerClosed { stage: Stage::Noop }));

    let mut session = self::session(options(), "250 x\r\n250 y\r\n");
    assert_eq!(session.next(), Step::Failed(ClientError::OutOfStep));
    let mut session = self::session(options(), "554 go away\r\n");
    assert!(matches!(session.next(), Step::Failed(ClientError::Refused { stage: Stage::Hello, .. })));
}

#[test]
fn a_positive_reply_to_data_is_unexpected() {
    let mut session = session(options(), PIPELINING);
    session.next();
    session.begin(envelope(&["a@y"])).unwrap();
    session.next();
    session.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n");
    assert!(matches!(session.next(), Step::Failed(ClientError::Unexpected { stage: Stage::Data, .. })));
}

#[test]
fn words_behind_starttls_are_not_believed() {
    let tls = ClientOptions { starttls: StartTls::IfOffered, ..options() };
    for together in [true, false] {
        let mut session = session(tls.clone(), "250-x\r\n250 STARTTLS\r\n");
        sends(&mut session, "STARTTLS\r\n");
        if together {
            session.receive(b"220 go\r\n250-evil\r\n");
        } else {
            session.receive(b"220 go\r\n");
            assert_eq!(session.next(), Step::StartTls);
            session.receive(b"250-evil\r\n");
        }
        assert_eq!(session.next(), Step::Failed(ClientError::Injected));
    }
}

#[test]
fn tls_then_login() {
    let tls = ClientOptions { starttls: StartTls::Required, credentials: credentials(), ..options() };
    let mut session = session(tls.clone(), "250-x\r\n250-PIPELINING\r\n250 STARTTLS\r\n");
    sends(&mut session, "STARTTLS\r\n");
    session.receive(b"220 go\r\n");
    assert_eq!(session.next(), Step::StartTls);
    session.tls_started();
    assert_eq!(*session.offered(), Capabilities::default());
    sends(&mut session, "EHLO gw.example\r\n");
    session.receive(b"250-x\r\n250 AUTH LOGIN\r\n");
    sends(&mut session, "AUTH LOGIN\r\n");
    session.receive(b"334 VXNlcm5hbWU6\r\n");
    sends(&mut session, "dQ==\r\n");
    session.receive(b"334 UGFzc3dvcmQ6\r\n");
    sends(&mut session, "cA==\r\n");
    session.receive(b"535 5.7.8 no\r\n");
    assert!(matches!(session.next(), Step::Failed(ClientError::Refused { stage: Stage::Auth, .. })));
    let mut plain = self::session(tls, "250 x\r\n");
    assert_eq!(plain.next(), Step::Failed(ClientError::TlsNotOffered));
}

#[test]
fn a_password_stays_at_home_without_tls() {
    let offered = "250-x\r\n250 AUTH PLAIN LOGIN\r\n";
    let clear = ClientOptions { credentials: credentials(), ..options() };
    assert_eq!(session(clear.clone(), offered).next(), Step::Failed(ClientError::AuthInClear));
    let allowed = ClientOptions { auth_in_clear: true, ..clear };
    let mut forgetful = session(allowed.clone(), offered);
    sends(&mut forgetful, "AUTH PLAIN AHUAcA==\r\n");
    forgetful.receive(b"334 \r\n");
    sends(&mut forgetful, "AHUAcA==\r\n");
    forgetful.receive(b"334 \r\n");
    assert!(matches!(forgetful.next(), Step::Failed(ClientError::Unexpected { stage: Stage::Auth, .. })));
    assert_eq!(session(allowed, "250 x\r\n").next(), Step::Failed(ClientError::AuthNotOffered));
}

#[test]
fn envelopes_are_checked_before_anything_is_sent() {
    let mut session = session(options(), "250-x\r\n250 SIZE 4\r\n");
    assert_eq!(session.begin(envelope(&["a@y"])), Err(EnvelopeError::NotReady));
    assert_eq!(session.next(), Step::Ready);
    assert_eq!(session.begin(envelope(&["a@y"])), Err(EnvelopeError::TooLarge { limit: 4 }));
    let small = Envelope { size: 1, ..envelope(&["a@y", "b>\r\nDATA@y"]) };
    assert!(matches!(session.begin(small), Err(EnvelopeError::Address { recipient: Some(1), .. })));
    let eight = Envelope { size: 1, body: Body::EightBitMime, ..envelope(&["a@y"]) };
    assert_eq!(session.begin(eight), Err(EnvelopeError::EightBitNotOffered));
    let utf8 = Envelope { size: 1, smtputf8: true, ..envelope(&["a@y"]) };
    assert_eq!(session.begin(utf8), Err(EnvelopeError::Utf8NotOffered));
    assert_eq!(session.begin(Envelope { size: 1, ..envelope(&[]) }), Err(EnvelopeError::NoRecipient));
    let many = vec!["a@y"; MAX_RECIPIENTS + 1];
    assert_eq!(session.begin(envelope(&many)), Err(EnvelopeError::TooManyRecipients));
    assert_eq!(session.next(), Step::Ready);
    assert!(ClientSession::new(ClientOptions { hostname: "a\r\nb".into(), ..options() }).is_err());
}

#[test]
fn noop_and_quit() {
    let mut session = session(options(), "250 x\r\n");
    session.next();
    assert!(session.noop());
    sends(&mut session, "NOOP\r\n");
    session.receive(b"500 what\r\n");
    assert_eq!(session.next(), Step::Ready);
    assert!(session.quit());
    sends(&mut session, "QUIT\r\n");
    session.receive(b"221 bye\r\n");
    assert_eq!(session.next(), Step::Closed(Some(Reply::bare(221, "bye"))));
}
