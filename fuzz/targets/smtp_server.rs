//! What a stranger says to our SMTP server, in pieces as a network may cut them; everything is
//! accepted, so that all of the session is reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mmsgw_smtp::server::{Event, ServerOptions, ServerSession, Step};

fuzz_target!(|octets: &[u8]| {
    let Some((cut, octets)) = octets.split_first() else { return };
    let options = ServerOptions { max_size: 4096, max_recipients: 4, ..ServerOptions::default() };
    let mut session = ServerSession::new(options);
    let pieces = octets.chunks(usize::from(*cut).max(1));
    for piece in pieces.map(Some).chain([None]) {
        if !run(&mut session) {
            return;
        }
        match piece {
            Some(piece) => session.receive(piece),
            None => return,
        }
    }
});

/// Answers until the session wants to read; false where it has ended.
fn run(session: &mut ServerSession) -> bool {
    loop {
        let answered = match session.next() {
            Step::Send(_) => Ok(()),
            Step::Read(_) => return true,
            Step::Event(Event::Mail { octets, .. }) => {
                assert!(octets.len() <= 4096, "a mail above the limit came through");
                session.mail_stored("id")
            }
            Step::Event(_) => session.accept(),
            Step::StartTls => session.tls_started(),
            Step::Undecided | Step::Close(_) => return false,
        };
        assert!(answered.is_ok(), "an answer that was asked for is due");
    }
}
