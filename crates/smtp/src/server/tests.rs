use super::*;

fn options() -> ServerOptions {
    ServerOptions {
        hostname: "mms.example".into(),
        max_size: 1000,
        max_recipients: 3,
        ..ServerOptions::default()
    }
}

/// Accepts everything but what speaks of "bad"; gives the replies and the mails.
fn run(session: &mut ServerSession, input: &[u8], chunk: usize) -> (String, Vec<Bytes>, Option<CloseReason>) {
    let (mut sent, mut mails) = (Vec::new(), Vec::new());
    let mut chunks = input.chunks(chunk);
    loop {
        match session.next() {
            Step::Send(octets) => sent.extend(octets),
            Step::Event(Event::Mail { octets, .. }) => {
                mails.push(octets);
                session.mail_stored("id").unwrap();
            }
            Step::Event(event) if format!("{event:?}").contains("bad") => {
                session.reject(Reply::not_permitted()).unwrap();
            }
            Step::Event(_) => session.accept().unwrap(),
            Step::StartTls => session.tls_started().unwrap(),
            Step::Undecided => panic!("every event was answered"),
            Step::Close(reason) => return (String::from_utf8(sent).unwrap(), mails, Some(reason)),
            Step::Read(_) => match chunks.next() {
                Some(octets) => session.receive(octets),
                None => return (String::from_utf8(sent).unwrap(), mails, None),
            },
        }
    }
}

/// The codes of the replies' last lines, the greeting left out.
fn codes(options: &ServerOptions, input: &str) -> Vec<u16> {
    let all: Vec<_> = [1, 3, usize::MAX]
        .map(|chunk| {
            let (sent, ..) = run(&mut ServerSession::new(options.clone()), input.as_bytes(), chunk);
            let last = sent.lines().filter(|line| line.as_bytes()[3] == b' ').skip(1);
            last.map(|line| line[..3].parse().unwrap()).collect::<Vec<u16>>()
        })
        .into();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "pieces matter: {all:?}");
    all.into_iter().next().unwrap()
}

const BEGIN: &str = "EHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n";

#[test]
fn a_group_is_answered_in_one_write() {
    let mut session = ServerSession::new(options());
    assert!(matches!(session.next(), Step::Send(_)));
    session.receive(b"EHLO x\r\n");
    assert!(matches!(session.next(), Step::Event(Event::Hello { extended: true, .. })));
    session.accept().unwrap();
    let Step::Send(ehlo) = session.next() else { panic!() };
    let ehlo = String::from_utf8(ehlo).unwrap();
    for line in ["250-mms.example\r\n", "250-PIPELINING\r\n", "250-CHUNKING\r\n", "250 SIZE 1000\r\n"] {
        assert!(ehlo.contains(line), "{ehlo}");
    }
    assert!(!ehlo.contains("STARTTLS") && !ehlo.contains("AUTH") && !ehlo.contains("SMTPUTF8"));
    session.receive(b"MAIL FROM:<a@x> SIZE=20\r\nRCPT TO:<b@y>\r\nRCPT TO:<bad@y>\r\nDATA\r\n");
    for accept in [true, true, false] {
        assert!(matches!(session.next(), Step::Event(_)));
        assert_eq!(session.next(), Step::Undecided);
        if accept { session.accept().unwrap() } else { session.reject(Reply::unknown_recipient()).unwrap() }
    }
    let Step::Send(replies) = session.next() else { panic!() };
    let replies = String::from_utf8(replies).unwrap();
    let codes: Vec<_> = replies.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["250", "250", "550", "354"]);
    session.receive(b"hello\r\n..dot\r\n.\r\n");
    let Step::Event(Event::Mail { envelope, octets }) = session.next() else { panic!() };
    assert_eq!(&octets[..], b"hello\r\n.dot\r\n");
    assert_eq!((envelope.rcpt_to, envelope.size), (vec!["b@y".to_owned()], 13));
    session.receive(b"QUIT\r\n");
    assert_eq!(session.next(), Step::Undecided);
    session.mail_stored("a\r\n250 b").unwrap();
    assert_eq!(session.mail_stored("again"), Err(NotDue));
    let Step::Send(last) = session.next() else { panic!() };
    assert_eq!(last, b"250-2.0.0 OK, stored as a\r\n250 2.0.0 250 b\r\n221 2.0.0 goodbye\r\n");
    assert_eq!(session.next(), Step::Close(CloseReason::Quit));
}

#[test]
fn sequence_and_syntax() {
    let options = options();
    assert_eq!(codes(&options, "MAIL FROM:<a@x>\r\nDATA\r\nRCPT TO:<a@x>\r\n"), [503, 503, 503]);
    assert_eq!(
        codes(&options, &format!("{BEGIN}MAIL FROM:<a@x>\r\nRSET\r\nDATA\r\n")),
        [250, 250, 250, 503, 250, 503]
    );
    assert_eq!(
        codes(&options, "WHAT\r\nEXPN a\r\nVRFY a\r\nHELP\r\nNOOP\r\nHELO\r\n"),
        [500, 502, 252, 214, 250, 501]
    );
    assert_eq!(codes(&options, "EHLO x\r\nMAIL FROM:<a@x> SMTPUTF8\r\nMAIL FROM:<a b>\r\n"), [250, 555, 553]);
    assert_eq!(codes(&options, "EHLO x\r\nMAIL FROM:<\u{e4}@x>\r\n"), [250, 553]);
    assert_eq!(codes(&options, "EHLO x\r\nMAIL FROM:<a@x>\r\nDATA\r\n"), [250, 250, 554]);
}

#[test]
fn smuggling_finds_no_second_mail() {
    for fake in
        ["\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r\n.\r\r\n", "\n.\r", "\r\n\r.\n"]
    {
        let input = format!(
            "{BEGIN}DATA\r\nhello{fake}MAIL FROM:<evil@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n"
        );
        assert_eq!(codes(&options(), &input), [250, 250, 250, 354, 554, 250], "{fake:?}");
        let (_, mails, _) = run(&mut ServerSession::new(options()), input.as_bytes(), 5);
        assert!(mails.is_empty(), "{fake:?}");
    }
    for line in ["NOOP\nMAIL FROM:<evil@x>\r\n", "NOOP\rRSET\r\n", "NOOP\0\r\n", "\nNOOP\r\n"] {
        assert_eq!(codes(&options(), &format!("EHLO x\r\n{line}VRFY a\r\n")), [250, 500, 252], "{line:?}");
    }
    let chunk = format!("{BEGIN}BDAT 9 LAST\r\nab\n.\ncd\r\nNOOP\r\n");
    assert_eq!(codes(&options(), &chunk), [250, 250, 250, 554, 250]);
}

#[test]
fn sizes() {
    let options = options();
    assert_eq!(codes(&options, "EHLO x\r\nMAIL FROM:<a@x> SIZE=1001\r\nRCPT TO:<b@y>\r\n"), [250, 552, 503]);
    let large = "x".repeat(1001);
    assert_eq!(
        codes(&options, &format!("{BEGIN}DATA\r\n{large}\r\n.\r\nNOOP\r\n")),
        [250, 250, 250, 354, 552, 250]
    );
    assert_eq!(
        codes(&options, &format!("{BEGIN}BDAT 1001 LAST\r\n{large}NOOP\r\n")),
        [250, 250, 250, 552, 250]
    );
    let two = format!("{BEGIN}BDAT 600\r\n{0}BDAT 401 LAST\r\n{1}", &large[..600], &large[..401]);
    assert_eq!(codes(&options, &two), [250, 250, 250, 250, 552]);
    let endless = format!("{BEGIN}DATA\r\n{}", "x".repeat(2 << 20));
    let (sent, _, reason) = run(&mut ServerSession::new(options.clone()), endless.as_bytes(), 4096);
    assert!(sent.ends_with("limit\r\n") && reason == Some(CloseReason::Flood), "{sent}");
    let bdat = format!("{BEGIN}BDAT 18446744073709551614 LAST\r\n{}", "x".repeat(2 << 20));
    let (_, _, reason) = run(&mut ServerSession::new(options), bdat.as_bytes(), 4096);
    assert!(matches!(reason, Some(CloseReason::Flood | CloseReason::LostStep)));
}

#[test]
fn chunks_make_one_mail() {
    let input = format!("{BEGIN}BDAT 4\r\n.a\r\nBDAT 0\r\nBDAT 3 LAST\r\nb\r\nBDAT 2 LAST\r\nxxBDAT x\r\n");
    for chunk in [1, 4, 1000] {
        let mut session = ServerSession::new(options());
        let (sent, mails, reason) = run(&mut session, input.as_bytes(), chunk);
        assert_eq!(mails, [Bytes::from_static(b".a\r\nb\r\n")]);
        assert!(sent.contains("503 ") && reason == Some(CloseReason::LostStep), "{sent}");
    }
}

#[test]
fn limits_of_a_session() {
    let many = format!("{BEGIN}RCPT TO:<c@y>\r\nRCPT TO:<d@y>\r\nRCPT TO:<e@y>\r\nRCPT TO:<bad@y>\r\n");
    assert_eq!(codes(&options(), &many), [250, 250, 250, 250, 250, 452, 452]);
    let long = format!("NOOP {}\r\nNOOP\r\n", "x".repeat(5000));
    assert_eq!(codes(&options(), &long), [500, 250]);
    let mut session = ServerSession::new(options());
    let (sent, _, reason) = run(&mut session, "WHAT\r\n".repeat(100).as_bytes(), 1000);
    assert_eq!((sent.lines().count(), reason), (1 + 21 + 1, Some(CloseReason::TooManyErrors)));
    let mut session = ServerSession::new(options());
    let (_, _, reason) = run(&mut session, &b"x".repeat(100_000), 1000);
    assert_eq!(reason, Some(CloseReason::Flood));
}

#[test]
fn a_group_behind_a_refused_sender_is_no_crime() {
    let group = "MAIL FROM:<bad@x>\r\nRCPT TO:<a@y>\r\nRCPT TO:<b@y>\r\nDATA\r\nRSET\r\n".repeat(30);
    let (sent, _, reason) =
        run(&mut ServerSession::new(options()), format!("EHLO x\r\n{group}").as_bytes(), 100);
    assert_eq!((sent.matches("503 ").count(), reason), (90, None));
}

#[test]
fn input_during_a_decision_is_kept_up_to_a_limit() {
    let mut session = ServerSession::new(ServerOptions { max_buffered: 100, ..options() });
    session.next();
    session.receive(b"EHLO x\r\n");
    assert!(matches!(session.next(), Step::Event(_)));
    session.receive(&b"NOOP\r\n".repeat(20));
    assert!(!session.wants_input());
    session.receive(b"NOOP\r\n");
    assert!(matches!(session.next(), Step::Send(_)));
    assert_eq!(session.next(), Step::Close(CloseReason::Flood));
    assert_eq!(session.accept(), Err(NotDue));
}

#[test]
fn starttls_forgets_and_refuses_injection() {
    let tls = ServerOptions { tls_available: true, require_tls: true, ..options() };
    let mut session = ServerSession::new(tls.clone());
    let (sent, ..) = run(&mut session, b"EHLO x\r\nMAIL FROM:<a@x>\r\n", 100);
    assert!(sent.contains("250-STARTTLS\r\n") && sent.contains("530 5.7.0"), "{sent}");
    let (sent, ..) = run(&mut session, b"STARTTLS\r\n", 100);
    assert!(sent.starts_with("220 ") && session.is_encrypted());
    let (sent, ..) = run(&mut session, b"MAIL FROM:<a@x>\r\nEHLO x\r\nMAIL FROM:<a@x>\r\nSTARTTLS\r\n", 100);
    assert!(sent.starts_with("503 ") && !sent.contains("250-STARTTLS"), "{sent}");
    assert!(sent.contains("250 2.1.0") && sent.contains("502 "), "{sent}");

    let mut session = ServerSession::new(tls.clone());
    let (_, _, reason) = run(&mut session, b"EHLO x\r\nSTARTTLS\r\nRSET\r\n", 100);
    assert_eq!((reason, session.is_encrypted()), (Some(CloseReason::Injected), false));
    let mut session = ServerSession::new(tls);
    session.next();
    session.receive(b"STARTTLS\r\n");
    session.next();
    assert_eq!(session.next(), Step::StartTls);
    session.receive(b"EHLO evil\r\n");
    assert_eq!(session.next(), Step::Close(CloseReason::Injected));
}

#[test]
fn auth_in_all_its_forms() {
    let auth = ServerOptions { auth: AuthPolicy::Required, auth_in_clear: true, ..options() };
    let mail = "MAIL FROM:<a@x>\r\n";
    assert_eq!(codes(&auth, &format!("EHLO x\r\n{mail}AUTH PLAIN AHUAcA==\r\n{mail}")), [250, 530, 235, 250]);
    assert_eq!(codes(&auth, "EHLO x\r\nAUTH PLAIN\r\nAHUAcA==\r\nAUTH PLAIN\r\n"), [250, 334, 235, 503]);
    assert_eq!(codes(&auth, "EHLO x\r\nAUTH LOGIN\r\ndQ==\r\ncA==\r\n"), [250, 334, 334, 235]);
    assert_eq!(codes(&auth, "EHLO x\r\nAUTH LOGIN dQ==\r\ncA==\r\n"), [250, 334, 235]);
    assert_eq!(
        codes(&auth, "EHLO x\r\nAUTH PLAIN\r\n*\r\nAUTH LOGIN\r\n%\r\nAUTH NTLM\r\n"),
        [250, 334, 501, 334, 501, 504]
    );
    // "bad" as user.
    assert_eq!(codes(&auth, "EHLO x\r\nAUTH PLAIN AGJhZABw\r\n"), [250, 550]);
    let hidden = ServerOptions { auth_in_clear: false, ..auth };
    assert_eq!(codes(&hidden, "EHLO x\r\nAUTH PLAIN AHUAcA==\r\n"), [250, 538]);
    assert_eq!(codes(&options(), "EHLO x\r\nAUTH PLAIN AHUAcA==\r\n"), [250, 502]);
}

#[test]
fn closing_waits_for_the_mail_in_hand() {
    let mut session = ServerSession::new(options());
    run(&mut session, format!("{BEGIN}DATA\r\nx\r\n").as_bytes(), 100);
    session.shut_down(Reply::shutting_down());
    assert_eq!(session.next(), Step::Read(Stage::Body));
    let (sent, mails, reason) = run(&mut session, b".\r\n", 100);
    assert_eq!((mails.len(), reason), (1, Some(CloseReason::Told)));
    assert!(sent.starts_with("250 ") && sent.contains("\r\n421 4.3.2"), "{sent}");
    let mut idle = ServerSession::new(options());
    idle.next();
    idle.abort(&Reply::timed_out());
    assert!(matches!(idle.next(), Step::Send(octets) if octets.starts_with(b"421 4.4.2")));
    let mut refused = ServerSession::refused(options(), &Reply::too_many_connections());
    assert!(matches!(refused.next(), Step::Send(octets) if octets.starts_with(b"421 4.7.0")));
    assert_eq!(refused.next(), Step::Close(CloseReason::Told));
}

#[test]
fn a_mail_that_cannot_be_stored() {
    let mut session = ServerSession::new(options());
    run(&mut session, format!("{BEGIN}DATA\r\n").as_bytes(), 100);
    session.receive(b"x\r\n.\r\n");
    assert!(matches!(session.next(), Step::Event(Event::Mail { .. })));
    session.mail_failed(Reply::ok()).unwrap();
    let Step::Send(sent) = session.next() else { panic!() };
    assert!(sent.starts_with(b"451 4.3.0"), "a refusal is never positive");
}

#[test]
fn what_was_heard_is_told_without_secrets() {
    let auth = ServerOptions { auth: AuthPolicy::Required, auth_in_clear: true, ..options() };
    let heard = |options: &ServerOptions, input: &str, chunk: usize| {
        let mut session = ServerSession::new(options.clone());
        session.keep_heard(true);
        run(&mut session, input.as_bytes(), chunk);
        session.take_heard()
    };
    let mail = "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nSubject: x\r\n\r\nMAIL y\r\n.\r\nQUIT\r\n";
    let input = format!("EHLO x\r\nauth login\r\ndXNlcg==\r\ncGFzcw==\r\n{mail}");
    for chunk in [1, 7, usize::MAX] {
        let lines = heard(&auth, &input, chunk);
        let mails = ["MAIL FROM:<a@x>", "RCPT TO:<b@y>", "DATA", "QUIT"];
        assert_eq!(lines, [&["EHLO x", "AUTH login", "***", "***"][..], &mails].concat());
    }
    assert_eq!(heard(&auth, "EHLO x\r\nAUTH PLAIN AHUAcA==\r\n", 100), ["EHLO x", "AUTH PLAIN ***"]);
    let hidden = ServerOptions { auth_in_clear: false, ..auth };
    let unasked = heard(&hidden, "EHLO x\r\nAUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\nNOOP\r\nwhat\r\n", 100);
    assert_eq!(unasked, ["EHLO x", "AUTH LOGIN", "***", "***", "NOOP", "what"]);
    assert_eq!(heard(&options(), "NO\0OP\r\n", 100), ["[not taken: a line with a lone CR, LF or a NUL]"]);
    let mut session = ServerSession::new(options());
    run(&mut session, b"EHLO x\r\n", 100);
    assert_eq!(session.take_heard(), [""; 0]);
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_panics_and_pieces_do_not_matter(
            lines in prop::collection::vec("(EHLO x\r\n|MAIL FROM:<a@x>\r\n|RCPT TO:<b@y>\r\n|DATA\r\n|BDAT [0-9]{1,2}( LAST)?\r\n|AUTH (PLAIN|LOGIN)\r\n|RSET\r\n|\\.\r\n|[a.\r\n]{0,6}|x\n)", 0..20),
            chunk in 1usize..30,
        ) {
            let input = lines.concat();
            let options = ServerOptions { auth: AuthPolicy::Optional, auth_in_clear: true, max_size: 40, ..options() };
            let whole = run(&mut ServerSession::new(options.clone()), input.as_bytes(), usize::MAX);
            prop_assert_eq!(run(&mut ServerSession::new(options), input.as_bytes(), chunk), whole);
        }
    }
}
