//! Whoever speaks SMTP can hand in messages, and whoever speaks it badly harms nobody: `swaks`, Python's `smtplib`,
//! `smtp-source`, a real Postfix, and conversations octet by octet.

use std::process::Stdio;

use mmsgw_mmsc_sim::{Mo, Targets};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::rig::{LIMIT, Postfix, Program, World, picture, program, run_python, scratch, wait_until};

const FROM: &str = "+15555550150/TYPE=PLMN@mms.sim.example";
const TO: &str = "+15555550161/TYPE=PLMN@mms.gw.example";
/// More than files and sockets of a test, less than the usual limit of a process.
const IDLERS: usize = 2_000;

/// An MM4_forward.REQ whose subject is also its id.
fn mail(subject: &str, line_end: &str) -> String {
    let lines = [
        "From: +15555550150/TYPE=PLMN",
        "To: +15555550161/TYPE=PLMN",
        "Date: Mon, 02 Nov 2026 10:00:00 +0000",
        &format!("Message-ID: <{subject}@mms.sim.example>"),
        &format!("Subject: {subject}"),
        "X-Mms-3GPP-MMS-Version: 6.10.0",
        "X-Mms-Message-Type: MM4_forward.REQ",
        &format!("X-Mms-Transaction-ID: \"t-{subject}\""),
        &format!("X-Mms-Message-ID: \"m-{subject}\""),
        "X-Mms-Originator-System: system-user@mms.sim.example",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "hello",
        ".begins with a dot",
        "",
    ];
    lines.join(line_end)
}

fn smtp(world: &World) -> String {
    world.gateway.awaited("SMTP for carriers")
}

/// The message with `subject` is at the application, once, as it was sent.
async fn told(world: &World, subject: &str) {
    let message = world.application.gets(subject, "received").await.body;
    let text = message["template"]["parts"][0]["content"].as_str().unwrap().replace("\r\n", "\n");
    assert_eq!(text.trim_end(), "hello\n.begins with a dot");
    assert_eq!(times(world, subject), 1);
}

fn times(world: &World, subject: &str) -> usize {
    let told = world.application.at("received");
    told.iter().filter(|c| c.body["template"]["subject"] == subject).count()
}

async fn run(wanted: Program, arguments: &[&str]) {
    let mut command = tokio::process::Command::new(program(wanted));
    let running = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(LIMIT, running).await.expect("it ends in time").unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{out}\n{err}", wanted.name, output.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks_is_served() {
    let world = World::start("", "", "").await;
    let (server, files) = (smtp(&world), scratch());
    let swaks = Program { name: "swaks", package: "swaks" };
    for (subject, more) in [("swaks", &[][..]), ("swaks-pipelined", &["--pipeline"][..])] {
        let path = files.path().join(subject);
        std::fs::write(&path, mail(subject, "\n")).unwrap();
        let data = format!("@{}", path.display());
        // It takes what begins with a plus for an option.
        let (from, to) = (FROM.trim_start_matches('+'), TO.trim_start_matches('+'));
        let mut arguments =
            vec!["--server", &server, "--ehlo", "mms.sim.example", "--from", from, "--to", to];
        arguments.extend(["--data", &data]);
        arguments.extend(more);
        run(swaks, &arguments).await;
        told(&world, subject).await;
    }
}

const SMTPLIB: &str = r#"
import smtplib, sys
host, port = sys.argv[1].split(":")
sender, recipient, mails = sys.argv[2], sys.argv[3], sys.argv[4:]
with smtplib.SMTP(host, int(port), "mms.sim.example", timeout=60) as client:
    client.ehlo()
    assert client.has_extn("size") and client.has_extn("pipelining") and client.has_extn("8bitmime")
    for mail in mails:
        refused = client.sendmail(sender, [recipient], mail.encode(), ["BODY=8BITMIME"])
        assert refused == {}, refused
    try:
        client.sendmail(sender, ["somebody@elsewhere.example"], mails[0])
        raise AssertionError("the gateway is a relay")
    except smtplib.SMTPRecipientsRefused as refusal:
        code = refusal.recipients["somebody@elsewhere.example"][0]
        assert 500 <= code < 600, code
print("good")
"#;

#[tokio::test(flavor = "multi_thread")]
async fn pythons_smtplib_is_served() {
    let world = World::start("", "", "").await;
    let subjects = ["lib-1", "lib-2", "lib-3"];
    let (server, mails) = (smtp(&world), subjects.map(|subject| mail(subject, "\r\n")));
    let arguments = [&server, FROM, TO, &mails[0], &mails[1], &mails[2]];
    assert_eq!(run_python(SMTPLIB, &arguments, b"").await.trim(), "good");
    for subject in subjects {
        told(&world, subject).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_sessions_of_smtp_source_are_served() {
    let world = World::start("", "", "").await;
    let (server, files) = (smtp(&world), scratch());
    let path = files.path().join("mail");
    std::fs::write(&path, mail("source", "\n")).unwrap();
    let source = Program { name: "smtp-source", package: "postfix" };
    let (file, inet) = (path.display().to_string(), format!("inet:{server}"));
    run(source, &["-s", "50", "-m", "500", "-f", FROM, "-t", TO, "-F", &file, &inet]).await;
    // All are copies of one message, which is told once.
    told(&world, "source").await;
    let again = "message came again";
    wait_until("all 500 to be read", async || {
        (world.gateway.log().matches(again).count() == 499).then_some(())
    })
    .await;
    assert_eq!(times(&world, "source"), 1);
    assert_eq!(world.gateway.log().matches("state=RECEIVED").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postfix_is_served() {
    let world = World::start("", "", "").await;
    let postfix = Postfix::relaying_to(smtp(&world).parse().unwrap());
    world
        .carrier
        .set_targets(Targets { mm7_report_url: None, mm4_report_addr: Some(postfix.address.to_string()) });
    for number in 0..5 {
        let subject = format!("Grüße {number}");
        let octets = picture(20_000, number);
        let mo = Mo {
            from: "+15555550150".into(),
            to: (0..20).map(|n| format!("+155555501{n:02}")).collect(),
            subject: subject.clone(),
            text: "hello".into(),
            picture: Some(octets.to_vec()),
            ..Mo::default()
        };
        let sent = world.carrier.send_mo_mm4(&mo).await;
        assert!(sent.answer.is_ok(), "{sent:?}\n{}", postfix.log());
        let message = world.application.gets(&subject, "received").await.body;
        assert_eq!(message["destination"], mo.to.join(","), "{}", postfix.log());
        assert_eq!(times(&world, &subject), 1);
    }
}

/// A conversation octet by octet.
struct Talk {
    stream: BufReader<TcpStream>,
}

impl Talk {
    async fn begin(address: &str) -> Self {
        let mut talk = Self { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) };
        talk.expect(&[220]).await;
        talk
    }

    async fn greeted(address: &str) -> Self {
        let mut talk = Self::begin(address).await;
        talk.says("EHLO mms.sim.example\r\n", &[250]).await;
        talk
    }

    async fn send(&mut self, octets: &str) {
        self.stream.get_mut().write_all(octets.as_bytes()).await.unwrap();
    }

    /// Sends and takes so many replies with these codes.
    async fn says(&mut self, octets: &str, codes: &[u16]) -> String {
        self.send(octets).await;
        self.expect(codes).await
    }

    async fn expect(&mut self, codes: &[u16]) -> String {
        let mut all = String::new();
        for code in codes {
            let reply = tokio::time::timeout(LIMIT, self.reply()).await.expect("a reply in time");
            all.push_str(&reply);
            assert!(reply.starts_with(&code.to_string()), "{code} expected, in {all}");
        }
        all
    }

    async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            self.stream.read_line(&mut reply).await.unwrap();
            if reply.as_bytes().get(start + 3) != Some(&b'-') {
                return reply;
            }
        }
    }

    /// Nothing but the end comes any more.
    async fn ends(mut self) {
        let mut rest = String::new();
        let read = self.stream.read_to_string(&mut rest);
        tokio::time::timeout(LIMIT, read).await.expect("an end in time").unwrap();
        assert_eq!(rest, "");
    }
}

fn envelope() -> String {
    format!("MAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\n")
}

/// The mail with its dots stuffed and its end.
fn data(subject: &str) -> String {
    format!("{}\r\n.\r\n", mail(subject, "\r\n").trim_end().replace("\r\n.", "\r\n.."))
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_commands_are_answered_in_order() {
    let world = World::start("", "", "").await;
    let mut talk = Talk::begin(&smtp(&world)).await;
    let offered = talk.says("EHLO mms.sim.example\r\n", &[250]).await;
    for extension in ["PIPELINING", "SIZE", "8BITMIME", "CHUNKING", "ENHANCEDSTATUSCODES"] {
        assert!(offered.contains(extension), "{offered}");
    }
    let group = format!(
        "MAIL FROM:<{FROM}>\r\nRCPT TO:<x@elsewhere.example>\r\nRCPT TO:<{TO}>\r\nNOOP\r\nRSET\r\n{}DATA\r\n",
        envelope()
    );
    talk.says(&group, &[250, 554, 250, 250, 250, 250, 250, 354]).await;
    // The mail, and at once all of the next one's commands.
    talk.says(&format!("{}{}DATA\r\n", data("piped-1"), envelope()), &[250, 250, 250, 354]).await;
    talk.says(&format!("{}QUIT\r\n", data("piped-2")), &[250, 221]).await;
    talk.ends().await;
    told(&world, "piped-1").await;
    told(&world, "piped-2").await;

    // By BDAT, in two chunks, all in one go.
    let mut talk = Talk::greeted(&smtp(&world)).await;
    let mail = mail("chunked", "\r\n");
    let (first, second) = mail.split_at(100);
    let chunks = format!("{}BDAT 100\r\n{first}BDAT {} LAST\r\n{second}QUIT\r\n", envelope(), second.len());
    talk.says(&chunks, &[250, 250, 250, 250, 221]).await;
    told(&world, "chunked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_and_the_session_goes_on() {
    let world = World::start("mm4rx.max_size = '20KiB'\n", "", "").await;
    let mut talk = Talk::greeted(&smtp(&world)).await;
    talk.says(&format!("MAIL FROM:<{FROM}> SIZE=30000\r\n"), &[552]).await;
    talk.says(&format!("{}DATA\r\n", envelope()), &[250, 250, 354]).await;
    let filler = "a line that is repeated many times\r\n".repeat(3_000);
    talk.says(&format!("Subject: large\r\n\r\n{filler}.\r\n"), &[552]).await;
    talk.says(&format!("{}BDAT 100000 LAST\r\n{}", envelope(), "x".repeat(100_000)), &[250, 250, 552]).await;
    talk.says(&format!("RSET\r\n{}DATA\r\n", envelope()), &[250, 250, 250, 354]).await;
    talk.says(&data("small"), &[250]).await;
    told(&world, "small").await;
    assert_eq!(world.application.at("received").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mail_is_smuggled() {
    let world = World::start("", "", "").await;
    let ends = ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\r\n.\r\n", "\n\r\n.\r\n"];
    for end in ends {
        let mut talk = Talk::greeted(&smtp(&world)).await;
        talk.says(&format!("{}DATA\r\n", envelope()), &[250, 250, 354]).await;
        let outer = mail("outer", "\r\n");
        if end.ends_with("\r\n.\r\n") {
            // The true end comes after a line end that is none.
            talk.says(&format!("{}{end}", outer.trim_end()), &[554]).await;
        } else {
            let smuggled = format!("{}{end}{}DATA\r\n{}", outer.trim_end(), envelope(), data("smuggled"));
            talk.says(&smuggled, &[554]).await;
        }
        // One mail, one reply, and the session is where both sides think it is.
        talk.says("NOOP\r\nQUIT\r\n", &[250, 221]).await;
        talk.ends().await;
    }
    let mut talk = Talk::greeted(&smtp(&world)).await;
    talk.says(&format!("{}DATA\r\n", envelope()), &[250, 250, 354]).await;
    talk.says(&data("honest"), &[250]).await;
    told(&world, "honest").await;
    assert_eq!(world.application.at("received").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_leave_nothing_behind() {
    let world = World::start("", "", "").await;
    let address = smtp(&world);
    // Gone within a command, within a mail, and right before the last octet of its end.
    let whole = data("cut");
    for (commands, codes, rest) in [
        ("MAIL FROM:<", &[][..], ""),
        (&format!("{}DATA\r\n", envelope())[..], &[250, 250, 354][..], &whole[..200]),
        (&format!("{}DATA\r\n", envelope()), &[250, 250, 354], &whole[..whole.len() - 1]),
        (&format!("{}BDAT 5000 LAST\r\n", envelope()), &[250, 250], "Subject: cut\r\n"),
    ] {
        let mut talk = Talk::greeted(&address).await;
        talk.says(commands, codes).await;
        talk.send(rest).await;
        drop(talk);
    }
    // Its sending side is closed, its ear is not.
    let mut talk = Talk::greeted(&address).await;
    talk.says(&format!("{}DATA\r\n", envelope()), &[250, 250, 354]).await;
    talk.send(&data("half")).await;
    talk.stream.get_mut().shutdown().await.unwrap();
    talk.expect(&[250]).await;
    told(&world, "half").await;
    assert_eq!(world.application.at("received").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_are_no_burden() {
    let world = World::start("", "", "").await;
    let address = smtp(&world);
    let mut idlers = Vec::with_capacity(IDLERS);
    for number in 0..IDLERS {
        idlers.push(if number % 2 == 0 {
            Talk::begin(&address).await
        } else {
            Talk::greeted(&address).await
        });
    }
    for number in 0..20 {
        let mut talk = Talk::greeted(&address).await;
        talk.says(&format!("{}DATA\r\n", envelope()), &[250, 250, 354]).await;
        let subject = format!("busy-{number}");
        talk.says(&data(&subject), &[250]).await;
        told(&world, &subject).await;
    }
    for idler in &mut idlers {
        idler.says("NOOP\r\n", &[250]).await;
    }
}
