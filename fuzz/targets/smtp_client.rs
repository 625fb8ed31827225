//! What a stranger's SMTP server says to us while we send it a mail.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mmsgw_smtp::client::{ClientOptions, ClientSession, Step};
use mmsgw_smtp::{Body, Envelope};

fuzz_target!(|octets: &[u8]| {
    let Some((cut, octets)) = octets.split_first() else { return };
    let options = ClientOptions { hostname: "gw.example".into(), ..ClientOptions::default() };
    let Ok(mut session) = ClientSession::new(options) else { return };
    for piece in octets.chunks(usize::from(*cut).max(1)) {
        if !run(&mut session) {
            return;
        }
        session.receive(piece);
    }
    run(&mut session);
    session.peer_closed();
    run(&mut session);
});

/// Goes on until the session wants to read; false where it has ended.
fn run(session: &mut ClientSession) -> bool {
    for _ in 0..64 {
        match session.next() {
            Step::Send(_) | Step::MailDone(_) => {}
            Step::SendBody(_) => session.body_sent(),
            Step::Read(_) => return true,
            Step::StartTls => session.tls_started(),
            Step::Ready => {
                let envelope = Envelope {
                    mail_from: "+15555550101/TYPE=PLMN@gw.example".into(),
                    rcpt_to: vec!["+15555550102/TYPE=PLMN@mmsc.example".into(); 2],
                    size: 100,
                    body: Body::SevenBit,
                    smtputf8: false,
                };
                if session.begin(envelope).is_err() {
                    return true;
                }
            }
            Step::Closed(_) | Step::Failed(_) => return false,
        }
    }
    true
}
