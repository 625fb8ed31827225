//! Client against server in one thread, with the octets between them cut anywhere.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;

use crate::auth::Credentials;
use crate::client::{BodyForm, ClientOptions, ClientSession, MailOutcome, StartTls, Step as Client};
use crate::envelope::Envelope;
use crate::lines;
use crate::reply::Reply;
use crate::server::{AuthPolicy, Event, Extensions, ServerOptions, ServerSession, Step as Server};
use crate::stage::Stage;

#[derive(Debug, Clone)]
struct Mail {
    envelope: Envelope,
    octets: Vec<u8>,
}

/// Two sessions and the wires between them.
struct Line<'a> {
    client: ClientSession,
    server: ServerSession,
    up: VecDeque<u8>,
    down: VecDeque<u8>,
    cuts: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    stored: Vec<(Envelope, Bytes)>,
    /// Writes of the client that were followed by a wait.
    turns: usize,
}

impl Line<'_> {
    /// Carries the mails over; gives their outcomes.
    fn carry(&mut self, mails: &[Mail]) -> Vec<MailOutcome> {
        let mut outcomes = Vec::new();
        let mut waiting = mails.iter();
        let mut current = waiting.next();
        for _ in 0..200_000 {
            match self.client.next() {
                Client::Send(octets) => self.up.extend(octets),
                Client::SendBody(form) => {
                    let octets = &current.unwrap().octets;
                    match form {
                        BodyForm::Plain => self.up.extend(octets),
                        BodyForm::Dots => {
                            self.up.extend(lines::dot_stuff(octets, true).iter());
                            self.up.extend(lines::end_of_data(octets));
                        }
                    }
                    self.client.body_sent();
                }
                Client::Read(_) => self.turn(),
                Client::StartTls => {
                    self.server_until_quiet();
                    self.client.tls_started();
                }
                Client::Ready => match current {
                    Some(mail) => self.client.begin(mail.envelope.clone()).unwrap(),
                    None => assert!(self.client.quit()),
                },
                Client::MailDone(outcome) => {
                    assert!(!self.client.in_doubt());
                    outcomes.push(outcome);
                    current = waiting.next();
                }
                Client::Closed(_) => return outcomes,
                Client::Failed(error) => panic!("{error}"),
            }
        }
        panic!("the sessions never end");
    }

    /// Moves one piece each way.
    fn turn(&mut self) {
        self.turns += usize::from(!self.up.is_empty());
        let cut = *self.cuts.next().unwrap();
        let piece: Vec<u8> = self.up.drain(..cut.min(self.up.len())).collect();
        if !piece.is_empty() {
            self.server.receive(&piece);
        }
        self.server_until_quiet();
        let cut = *self.cuts.next().unwrap();
        let piece: Vec<u8> = self.down.drain(..cut.min(self.down.len())).collect();
        if !piece.is_empty() {
            self.client.receive(&piece);
        }
    }

    fn server_until_quiet(&mut self) {
        loop {
            match self.server.next() {
                Server::Send(octets) => self.down.extend(octets),
                Server::Event(Event::Mail { envelope, octets }) => {
                    self.stored.push((envelope, octets));
                    self.server.mail_stored("1").unwrap();
                }
                Server::Event(event) if refuses(&event) => {
                    self.server.reject(Reply::not_permitted()).unwrap();
                }
                Server::Event(_) => self.server.accept().unwrap(),
                Server::StartTls if self.down.is_empty() => self.server.tls_started().unwrap(),
                Server::StartTls | Server::Read(_) | Server::Close(_) => return,
                Server::Undecided => panic!("every event was answered"),
            }
        }
    }
}

fn refuses(event: &Event) -> bool {
    match event {
        Event::MailFrom(envelope) => envelope.mail_from.starts_with("no"),
        Event::RcptTo(address) => address.starts_with("no"),
        Event::Auth(credentials) => credentials.password != "secret",
        Event::Hello { .. } | Event::Mail { .. } => false,
    }
}

fn mail() -> impl Strategy<Value = Mail> {
    let address = || "(no|yes)[a-z+]{1,5}(/TYPE=PLMN)?@[a-z]{2,4}\\.example";
    let lines = prop::collection::vec("[.a-c]{0,5}", 0..12);
    (address(), prop::collection::vec(address(), 1..6), lines).prop_map(|(mail_from, rcpt_to, lines)| {
        let octets: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
        let size = octets.len() as u64;
        Mail { envelope: Envelope { mail_from, rcpt_to, size, ..Envelope::default() }, octets }
    })
}

fn sessions(pipelining: bool, chunking: bool, secured: bool) -> (ClientSession, ServerSession) {
    let credentials = secured.then(|| Credentials { user: "u".into(), password: "secret".into() });
    let client = ClientOptions {
        hostname: "gw.example".into(),
        starttls: if secured { StartTls::Required } else { StartTls::Never },
        credentials,
        chunking: true,
        ..ClientOptions::default()
    };
    let server = ServerOptions {
        hostname: "mmsc.example".into(),
        extensions: Extensions { pipelining, chunking, ..Extensions::default() },
        tls_available: secured,
        require_tls: secured,
        auth: if secured { AuthPolicy::Required } else { AuthPolicy::Off },
        ..ServerOptions::default()
    };
    (ClientSession::new(client).unwrap(), ServerSession::new(server))
}

fn line((client, server): (ClientSession, ServerSession), cuts: &[usize]) -> Line<'_> {
    let cuts = cuts.iter().cycle();
    Line { client, server, up: VecDeque::new(), down: VecDeque::new(), cuts, stored: Vec::new(), turns: 0 }
}

proptest! {
    #[test]
    fn every_mail_arrives_as_it_was_sent(
        mails in prop::collection::vec(mail(), 1..8),
        pipelining: bool,
        chunking: bool,
        secured: bool,
        cuts in prop::collection::vec(1usize..200, 1..8),
    ) {
        let mut line = line(sessions(pipelining, chunking, secured), &cuts);
        let outcomes = line.carry(&mails);
        prop_assert_eq!(outcomes.len(), mails.len());
        let mut stored = line.stored.into_iter();
        for (mail, outcome) in mails.iter().zip(outcomes) {
            let sender = !mail.envelope.mail_from.starts_with("no");
            let accepted: Vec<_> = outcome.recipients.iter().filter(|(_, fate)| fate.is_ok()).map(|(to, _)| to.clone()).collect();
            let expected: Vec<_> = mail.envelope.rcpt_to.iter().filter(|to| sender && !to.starts_with("no")).cloned().collect();
            prop_assert_eq!(&accepted, &expected);
            prop_assert_eq!(outcome.recipients.len(), mail.envelope.rcpt_to.len());
            prop_assert_eq!(outcome.result.is_ok(), !expected.is_empty());
            if expected.is_empty() {
                prop_assert_eq!(outcome.stage, if sender { Stage::RcptTo } else { Stage::MailFrom });
            } else {
                let (envelope, octets) = stored.next().unwrap();
                prop_assert_eq!(&octets[..], &mail.octets[..]);
                prop_assert_eq!(envelope, Envelope { rcpt_to: expected, ..mail.envelope.clone() });
            }
        }
        prop_assert!(stored.next().is_none());
    }
}

#[test]
fn round_trips_per_mail() {
    let rcpt_to = vec!["yes@a.example".to_owned(), "yes@b.example".to_owned()];
    let envelope = Envelope { mail_from: "yes@c.example".into(), rcpt_to, size: 3, ..Envelope::default() };
    let mails = vec![Mail { envelope, octets: b"x\r\n".to_vec() }; 10];
    // EHLO and QUIT are two more.
    for (pipelining, chunking, turns) in [(true, true, 12), (true, false, 22), (false, false, 52)] {
        let mut line = line(sessions(pipelining, chunking, false), &[usize::MAX]);
        assert_eq!(line.carry(&mails).len(), 10);
        assert_eq!(line.turns, turns, "pipelining {pipelining}, chunking {chunking}");
    }
}
