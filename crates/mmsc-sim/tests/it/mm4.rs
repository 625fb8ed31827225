//! MM4: every behaviour of the script, the answers by mail and the reports.

use std::time::{Duration, Instant};

use mmsgw_mmsc_sim::{
    Credentials, Delay, Mm4Answer, Mm4Behaviour, Mm4Names, Mm4Stage, Plan, Rule, Script, SimConfig,
    Simulator, When,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use crate::{PATIENCE, SILENCE, gateway, start};

const ENVELOPE: &str = "MAIL FROM:<+15555550101/TYPE=PLMN@gw.example> SIZE=500\r\n\
    RCPT TO:<+15555550102/TYPE=PLMN@sim.example>\r\nRCPT TO:<+15555550103/TYPE=PLMN@sim.example>\r\nDATA\r\n";

fn forward(transaction: &str, subject: &str) -> String {
    format!(
        "Date: Thu, 13 Jan 2022 01:18:18 +0000\r\nFrom: +15555550101/TYPE=PLMN\r\n\
         Sender: +15555550101/TYPE=PLMN@gw.example\r\nTo: +15555550102/TYPE=PLMN,\r\n +15555550103/TYPE=PLMN\r\n\
         Message-ID: <1@gw.example>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\nX-Mms-3GPP-MMS-Version: 6.10.0\r\n\
         X-Mms-Message-Type: MM4_forward.REQ\r\nX-Mms-Transaction-ID: \"{transaction}\"\r\n\
         X-Mms-Message-ID: \"m-{transaction}\"\r\nX-Mms-Delivery-Report: Yes\r\nX-Mms-Read-Reply: Yes\r\n\
         X-Mms-Ack-Request: Yes\r\nX-Mms-Originator-System: system-user@gw.example\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\n..dots\r\n--b\r\nContent-Type: image/gif\r\n\
         Content-Transfer-Encoding: base64\r\n\r\nR0lG\r\n--b--\r\n.\r\n"
    )
}

fn failing(answer: Mm4Answer) -> Script {
    Script { mm4: Mm4Behaviour { answer, ..Mm4Behaviour::default() }, ..Script::default() }
}

fn reply(at: Mm4Stage, code: u16) -> Mm4Answer {
    Mm4Answer::Reply { at, code, text: None }
}

/// A client that speaks lines.
struct Client(BufStream<TcpStream>);

impl Client {
    async fn open(simulator: &Simulator) -> Self {
        Self(BufStream::new(TcpStream::connect(simulator.mm4_addr).await.unwrap()))
    }

    async fn greeted(simulator: &Simulator) -> Self {
        let mut client = Self::open(simulator).await;
        assert_eq!(client.line().await.unwrap()[..3], *"220");
        assert_eq!(client.ask("EHLO gw.example\r\n", 5).await.last().unwrap(), "250");
        client
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_until(b'\n', &mut line)).await.unwrap();
        read.is_ok_and(|read| read > 0).then(|| String::from_utf8_lossy(&line).into_owned())
    }

    async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Writes, and gives the codes of up to `lines` reply lines; less if the connection closes.
    async fn ask(&mut self, text: &str, lines: usize) -> Vec<String> {
        self.write(text).await;
        let mut codes = Vec::new();
        while codes.len() < lines {
            let Some(line) = self.line().await else { break };
            codes.push(line[..3].to_owned());
        }
        codes
    }

    async fn send(&mut self, transaction: &str, subject: &str) -> String {
        assert_eq!(self.ask(ENVELOPE, 4).await, ["250", "250", "250", "354"]);
        self.ask(&forward(transaction, subject), 1).await.join(",")
    }
}

#[tokio::test]
async fn mails_are_recorded_many_on_one_connection() {
    let simulator = start(Script::default()).await;
    let mut client = Client::open(&simulator).await;
    assert!(client.line().await.unwrap().starts_with("220 mms.sim.example"));
    client.write("EHLO gw.example\r\n").await;
    let mut offered = Vec::new();
    for _ in 0..5 {
        offered.push(client.line().await.unwrap()[4..].trim().to_owned());
    }
    assert_eq!(
        offered,
        ["mms.sim.example", "SIZE 16777216", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES"]
    );
    assert_eq!(client.send("t1", "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=").await, "250");
    assert_eq!(client.send("t2", "second").await, "250");
    let received = simulator.received();
    let message = &received[0];
    assert_eq!((received.len(), message.kind.as_str()), (2, "MM4_forward.REQ"));
    assert_eq!((message.transaction_id.as_str(), message.message_id.as_str()), ("t1", "m-t1"));
    assert_eq!(message.mail_from.as_deref(), Some("+15555550101/TYPE=PLMN@gw.example"));
    assert_eq!(message.rcpt_to[1], "+15555550103/TYPE=PLMN@sim.example");
    assert_eq!(message.to, ["+15555550102/TYPE=PLMN", "+15555550103/TYPE=PLMN"]);
    assert_eq!(message.subject.as_deref(), Some("Grüße"));
    assert_eq!(message.field("X-MMS-transaction-id"), Some("\"t1\""), "the field keeps its quotes");
    assert_eq!(message.problems, Vec::<String>::new());
    assert_eq!(&message.parts[0].octets[..], b".dots", "unstuffed");
    assert_eq!(&message.parts[1].octets[..], b"GIF");
    assert!(message.raw.ends_with(b"--b--\r\n"));
    assert_eq!(client.ask("NOOP\r\nFROB\r\nQUIT\r\n", 9).await, ["250", "500", "221"]);
}

#[tokio::test]
async fn rule_breaks_are_named_and_an_empty_mail_ends() {
    let simulator = start(Script::default()).await;
    let mut client = Client::greeted(&simulator).await;
    assert_eq!(client.ask(ENVELOPE, 4).await[3], "354");
    let mail = "X-Mms-Message-Type: MM4_delivery_report.RES\r\nBcc: x\r\n.\r\n";
    assert_eq!(client.ask(mail, 1).await, ["250"]);
    assert_eq!(client.ask(ENVELOPE, 4).await[3], "354");
    assert_eq!(client.ask(".\r\n", 1).await, ["250"]);
    let received = simulator.received();
    assert!(received[0].problems.contains(&"X-Mms-Request-Status-Code is missing".to_owned()));
    assert!(received[0].problems.contains(&"Bcc must not be a header field".to_owned()));
    assert_eq!((received[1].kind.as_str(), simulator.counts().unreadable), ("", 1));
}

#[tokio::test]
async fn replies_come_where_the_script_says() {
    let simulator = start(failing(reply(Mm4Stage::Mail, 451))).await;
    let mut client = Client::greeted(&simulator).await;
    assert_eq!(client.ask(ENVELOPE, 4).await, ["451", "503", "503", "503"]);
    let rule = Rule {
        recipient: Some("+15555550103".into()),
        mm4: Some(Mm4Behaviour { answer: reply(Mm4Stage::Rcpt, 550), ..Mm4Behaviour::default() }),
        ..Rule::default()
    };
    simulator.set_script(Script { rules: vec![rule], ..Script::default() });
    assert_eq!(client.ask(ENVELOPE, 4).await, ["250", "250", "550", "354"]);
    assert_eq!(client.ask(&forward("r", "x"), 1).await, ["250"]);
    assert_eq!(simulator.received()[0].rcpt_to.len(), 1);
    simulator.set_script(failing(reply(Mm4Stage::Data, 554)));
    assert_eq!(client.ask(ENVELOPE, 4).await, ["250", "250", "250", "554"]);
    simulator.set_script(failing(reply(Mm4Stage::EndOfData, 452)));
    assert_eq!(client.send("e", "x").await, "452");
    assert!(!simulator.received()[1].accepted);
    simulator.set_script(failing(reply(Mm4Stage::EndOfData, 421)));
    assert_eq!(client.send("f", "x").await, "421");
    assert_eq!(client.line().await, None, "421 closes");
    simulator.set_script(failing(reply(Mm4Stage::Connect, 421)));
    assert_eq!(Client::open(&simulator).await.line().await.unwrap()[..3], *"421");
    simulator.set_script(failing(reply(Mm4Stage::Ehlo, 550)));
    let mut client = Client::open(&simulator).await;
    client.line().await;
    assert_eq!(client.ask("EHLO a\r\n", 1).await, ["550"]);
}

#[tokio::test]
async fn connections_break_where_the_script_says() {
    let simulator = start(failing(Mm4Answer::Disconnect { at: Mm4Stage::EndOfData })).await;
    let mut client = Client::greeted(&simulator).await;
    assert_eq!(client.send("t", "x").await, "", "closed after the dot");
    assert_eq!(simulator.counts().accepted, 1, "the mail was taken all the same");
    let stages = [Mm4Stage::Connect, Mm4Stage::Ehlo, Mm4Stage::Mail, Mm4Stage::Rcpt, Mm4Stage::Data];
    for (lines, at) in stages.into_iter().enumerate() {
        simulator.set_script(failing(Mm4Answer::Disconnect { at }));
        let mut client = Client::open(&simulator).await;
        // Greeting, EHLO's five, then a reply per command; two recipients, of which the first breaks it.
        let expected = [0, 1, 6, 7, 9][lines];
        let mut seen = usize::from(client.line().await.is_some());
        client.write("EHLO a\r\n").await;
        if at != Mm4Stage::Connect && at != Mm4Stage::Ehlo {
            for _ in 0..5 {
                seen += usize::from(client.line().await.is_some());
            }
            seen += client.ask(ENVELOPE, 4).await.len();
        }
        assert_eq!((at, seen), (at, expected));
        assert_eq!(client.line().await, None);
    }
    simulator.set_script(failing(Mm4Answer::Disconnect { at: Mm4Stage::MidData }));
    let mut client = Client::greeted(&simulator).await;
    assert_eq!(client.ask(ENVELOPE, 4).await[3], "354");
    client.write("Subject: x\r\n").await;
    assert_eq!(client.line().await, None);
    assert_eq!(simulator.counts().received, 1);
    simulator.set_script(failing(Mm4Answer::Garbage { at: Mm4Stage::EndOfData }));
    let mut client = Client::greeted(&simulator).await;
    assert_eq!(client.ask(ENVELOPE, 4).await[3], "354");
    client.write(&forward("g", "x")).await;
    assert!(client.line().await.unwrap().starts_with('\u{16}'));
    simulator.set_script(failing(Mm4Answer::Hang { at: Mm4Stage::EndOfData }));
    let mut client = Client::greeted(&simulator).await;
    assert_eq!(client.ask(ENVELOPE, 4).await[3], "354");
    client.write(&forward("h", "x")).await;
    assert!(tokio::time::timeout(SILENCE, client.line()).await.is_err());
}

#[tokio::test]
async fn attempts_delays_and_drips() {
    let mut script = failing(reply(Mm4Stage::EndOfData, 451));
    script.mm4.fail_first = Some(1);
    script.mm4.delay = Delay::range(100, 120);
    script.mm4.drip_octets_per_second = Some(200);
    let simulator = start(script).await;
    let mut client = Client::greeted(&simulator).await;
    let began = Instant::now();
    assert_eq!(client.send("t", "x").await, "451");
    assert!(began.elapsed() > Duration::from_millis(200), "{:?}", began.elapsed());
    assert_eq!(client.send("t", "x").await, "250");
    assert_eq!(client.send("t", "x").await, "250");
    let received = simulator.received();
    assert_eq!(received.iter().map(|message| message.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(simulator.counts().duplicates, 1);
}

#[tokio::test]
async fn users_log_in_and_pipelining_can_be_withheld() {
    let auth = Some(Credentials { username: "u".into(), password: "p".into() });
    let mm4 = Mm4Names { auth, pipelining: false, ..Mm4Names::default() };
    let simulator = Simulator::start(SimConfig { mm4, ..SimConfig::default() }).await.unwrap();
    let mut client = Client::greeted(&simulator).await;
    assert_eq!(client.ask("MAIL FROM:<a@b.example>\r\n", 1).await, ["530"]);
    assert_eq!(client.ask("AUTH PLAIN AHUAcQ==\r\n", 1).await, ["535"]);
    assert_eq!(client.ask("AUTH PLAIN AHUAcA==\r\n", 1).await, ["235"]);
    let mut client = Client::greeted(&simulator).await;
    assert_eq!(client.ask("AUTH LOGIN\r\n", 1).await, ["334"]);
    assert_eq!(client.ask("dQ==\r\n", 1).await, ["334"]);
    assert_eq!(client.ask("cA==\r\n", 1).await, ["235"]);
    assert_eq!(simulator.counts().pipelining_violations, 0);
    assert_eq!(client.ask("MAIL FROM:<a@b.example>\r\nRSET\r\n", 2).await, ["250", "250"]);
    assert_eq!(simulator.counts().pipelining_violations, 1);
    let huge = "MAIL FROM:<a@b.example> SIZE=99999999\r\n";
    assert_eq!(client.ask(huge, 1).await, ["552"]);
}

async fn reporting(script: Script, refused: usize) -> (Simulator, gateway::Taken) {
    let (addr, taken) = gateway::smtp(refused).await;
    let config = SimConfig { mm4_report_addr: Some(addr), script, ..SimConfig::default() };
    (Simulator::start(config).await.unwrap(), taken)
}

#[tokio::test]
async fn res_and_reports_reach_the_gateway() {
    let script = Script { report_retry_ms: 10, ..Script::default() };
    let (simulator, taken) = reporting(script, 2).await;
    assert_eq!(Client::greeted(&simulator).await.send("t", "x").await, "250");
    let mails = taken.wait(5).await;
    let find = |wanted: &[&str]| {
        let mut found = mails.iter().filter(|mail| wanted.iter().all(|wanted| mail.contains(wanted)));
        let mail = found.next().unwrap_or_else(|| panic!("no mail has {wanted:?} in {mails:#?}"));
        assert!(found.next().is_none(), "{wanted:?}");
        mail
    };
    let res = find(&["X-Mms-Message-Type: MM4_forward.RES\r\n", "X-Mms-Request-Status-Code: Ok\r\n"]);
    assert!(
        res.starts_with("MAIL FROM:<system-user@mms.sim.example>\r\nRCPT TO:<system-user@gw.example>\r\n")
    );
    assert!(res.contains("X-Mms-Transaction-ID: \"t\"\r\nX-Mms-Message-ID: \"m-t\"\r\n"), "{res}");
    assert!(
        res.contains("\r\nSender: system-user@mms.sim.example\r\nTo: system-user@gw.example\r\n"),
        "{res}"
    );
    for to in ["From: +15555550102/TYPE=PLMN\r\n", "From: +15555550103/TYPE=PLMN\r\n"] {
        let report = find(&["MM4_delivery_report.REQ", to, "X-Mms-MM-Status-Code: Retrieved\r\n"]);
        assert!(report.contains("\r\nTo: +15555550101/TYPE=PLMN\r\n"), "{report}");
        assert!(
            report.contains("X-Mms-Message-ID: \"m-t\"\r\n") && report.contains("X-Mms-Ack-Request: Yes")
        );
        assert!(report.contains("X-Mms-Forward-To-Originator-UA: Yes\r\n"), "{report}");
        assert!(report.contains("RCPT TO:<system-user@gw.example>\r\n"), "{report}");
        find(&["MM4_read_reply_report.REQ", to, "X-Mms-Read-Status: Read\r\n"]);
    }
    assert!(simulator.wait_until(PATIENCE, |simulator| simulator.counts().reports_ok == 5).await);
    assert_eq!(simulator.counts().report_tries_failed, 2, "451 twice, then taken");
}

#[tokio::test]
async fn fates_differ_by_recipient_and_res() {
    let mut script = Script::default();
    script.mm4.read.send = When::Never;
    let unknown = Mm4Behaviour {
        res: Plan { status: Some("Error-sending-address-unresolved".into()), ..Plan::default() },
        ..Mm4Behaviour::default()
    };
    script.rules =
        vec![Rule { recipient: Some("+15555550103".into()), mm4: Some(unknown), ..Rule::default() }];
    let (simulator, taken) = reporting(script, 0).await;
    Client::greeted(&simulator).await.send("t", "x").await;
    let mails = taken.wait(3).await;
    let count = |text: &str| mails.iter().filter(|mail| mail.contains(text)).count();
    assert_eq!(count("MM4_forward.RES"), 2);
    assert_eq!(count("X-Mms-Request-Recipients: +15555550103/TYPE=PLMN\r\n"), 1);
    assert_eq!(count("Error-sending-address-unresolved"), 1);
    assert_eq!(count("MM4_delivery_report.REQ"), 1);
}

#[tokio::test]
async fn reports_can_come_before_the_res_and_twice_or_not_at_all() {
    let mut script = Script::default();
    script.mm4.read.send = When::Never;
    script.mm4.delivery =
        Plan { at_once: true, copies: 2, status: Some("Rejected".into()), ..Plan::default() };
    script.mm4.res.delay = Delay::fixed(50);
    let (simulator, taken) = reporting(script, 0).await;
    let mut client = Client::greeted(&simulator).await;
    client.send("t", "x").await;
    let mails = taken.all();
    assert_eq!(mails.iter().filter(|mail| mail.contains("Rejected")).count(), 4, "before the 250");
    assert!(taken.wait(5).await[4].contains("MM4_forward.RES"));
    client.send("t", "x").await;
    let never = Plan { send: When::Never, ..Plan::default() };
    let mm4 =
        Mm4Behaviour { res: never.clone(), delivery: never.clone(), read: never, ..Mm4Behaviour::default() };
    simulator.set_script(Script { mm4, ..Script::default() });
    client.send("u", "x").await;
    tokio::time::sleep(SILENCE).await;
    assert_eq!(taken.all().len(), 5, "nothing for the duplicate, nothing from the silent");
}
