//! Carriers that lie: answers to other questions, answers without what they must hold, answers without an end, and
//! reports on what nobody sent. None of it holds up others, none of it fills memory.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::vitals::Vitals;
use crate::rig::{BINARY, World, mm4, mm7, text, wait_until};

const SCHEMA: &str = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/REL-6-MM7-1-4";
/// How much memory lies may take.
const ROOM: u64 = 64 << 20;

/// What a liar says.
#[derive(Debug, Clone, Copy)]
enum Lie {
    /// Status 1000 to another transaction.
    AnotherTransaction,
    /// Status 1000 without a MessageID.
    NoMessageId,
    /// A body that never ends.
    EndlessBody,
    /// A head that never ends.
    EndlessHead,
    /// An SMTP greeting of many lines that never ends.
    EndlessGreeting,
    /// An SMTP line that never ends.
    EndlessLine,
}

/// A carrier that says it to everybody.
async fn liar(lie: Lie) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(tell(stream, lie));
        }
    });
    address
}

async fn tell(mut stream: TcpStream, lie: Lie) -> std::io::Result<()> {
    if !matches!(lie, Lie::EndlessGreeting | Lie::EndlessLine) {
        let mut octets = vec![0; 64 << 10];
        let mut request = String::new();
        while !request.contains("</") || !request.trim_end().ends_with("--") {
            let count = stream.read(&mut octets).await?;
            if count == 0 {
                return Ok(());
            }
            request.push_str(&String::from_utf8_lossy(&octets[..count]));
        }
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\n";
    let response = |more: &str| {
        let body = format!(
            "<env:Envelope xmlns:env=\"http://schemas.xmlsoap.org/soap/envelope/\"><env:Header><TransactionID \
             xmlns=\"{SCHEMA}\">not yours</TransactionID></env:Header><env:Body><SubmitRsp xmlns=\"{SCHEMA}\">\
             <MM7Version>6.8.0</MM7Version><Status><StatusCode>1000</StatusCode></Status>{more}</SubmitRsp></env:Body>\
             </env:Envelope>"
        );
        format!("{head}content-length: {}\r\n\r\n{body}", body.len())
    };
    match lie {
        Lie::AnotherTransaction => {
            stream.write_all(response("<MessageID>other</MessageID>").as_bytes()).await?;
        }
        Lie::NoMessageId => stream.write_all(response("").as_bytes()).await?,
        Lie::EndlessBody => {
            stream.write_all(format!("{head}content-length: 99999999999\r\n\r\n").as_bytes()).await?;
            forever(&mut stream, &[b' '; 64 << 10]).await?;
        }
        Lie::EndlessHead => {
            stream.write_all(head.as_bytes()).await?;
            forever(&mut stream, b"x-more: and more and more and more and more and more\r\n").await?;
        }
        Lie::EndlessGreeting => forever(&mut stream, b"220-welcome and welcome and welcome\r\n").await?,
        Lie::EndlessLine => forever(&mut stream, &[b'2'; 64 << 10]).await?,
    }
    // Until the gateway has had enough.
    let _ = stream.read(&mut [0; 1]).await;
    Ok(())
}

async fn forever(stream: &mut TcpStream, octets: &[u8]) -> std::io::Result<()> {
    let many = octets.repeat((64 << 10) / octets.len());
    loop {
        stream.write_all(&many).await?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_lie_do_no_harm() {
    let hasty = "[gateway]\nmax_tries = 3\n[outbound]\ntimeout = '3s'\n";
    let lies = [
        ("another-transaction", Lie::AnotherTransaction),
        ("no-message-id", Lie::NoMessageId),
        ("endless-body", Lie::EndlessBody),
        ("endless-head", Lie::EndlessHead),
        ("endless-greeting", Lie::EndlessGreeting),
        ("endless-line", Lie::EndlessLine),
    ];
    let mut more = Vec::new();
    for (group, lie) in lies {
        let address = liar(lie).await;
        let file = if matches!(lie, Lie::EndlessGreeting | Lie::EndlessLine) {
            let own = format!(
                "local_domain = '{group}.gw.example'\n[dialect]\noriginator_system = '{group}-system'\n"
            );
            mm4(group, &address, &format!("{hasty}{own}[inbound]\nhost = '{group}.gw.example'\n"))
        } else {
            mm7(group, &format!("http://{address}/"), hasty)
        };
        more.push((group, file));
    }
    let carrier = mmsgw_mmsc_sim::Simulator::start(mmsgw_mmsc_sim::SimConfig::default()).await.unwrap();
    let world = World::around(carrier, "", "", "", &more);
    let before = Vitals::of(world.gateway.pid()).resident;
    let mut ids = Vec::new();
    for (group, _) in lies {
        ids.push((group, world.api.send_text(group, group, &["+15555550102"]).await));
    }
    // Those who do not lie are not held up by those who do.
    for gateway in ["mm7", "mm4"] {
        let id = world.api.send_text(gateway, "honest", &["+15555550102"]).await;
        world.api.reaches(&id, &["READ"]).await;
    }
    for (group, id) in &ids {
        if group.starts_with("endless") {
            let message = world.api.reaches(id, &["FAILED"]).await;
            let last = message["events"].as_array().unwrap().last().unwrap();
            assert!(!text(last, "description").is_empty(), "{last}");
        } else {
            // It came on the connection of the request: to send that again could only make two of it.
            let message = world.api.reaches(id, &["ACKNOWLEDGED"]).await;
            assert_eq!(text(&message, "peer_ref").is_empty(), *group == "no-message-id", "{message}");
        }
    }
    assert!(world.gateway.log().contains("answer with another TransactionID"));
    let after = Vitals::of(world.gateway.pid()).resident;
    assert!(after <= before + ROOM, "{} MiB became {}", before >> 20, after >> 20);
}

/// Reports, and answers by mail, on messages that nobody sent.
const STRANGERS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn reports_on_what_nobody_sent_are_put_aside_with_their_reason() {
    let main = "[general]\nreport_delays = ['200ms']\nreport_tries = 3\n";
    let world = World::start(main, "", "").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/mmsgw/v1/mms/inbound/mm7", world.gateway.awaited("HTTP for carriers"));
    for number in 0..STRANGERS {
        let body = format!(
            "<?xml version=\"1.0\"?><env:Envelope xmlns:env=\"http://schemas.xmlsoap.org/soap/envelope/\"><env:Header>\
             <TransactionID xmlns=\"{SCHEMA}\">s-{number}</TransactionID></env:Header><env:Body>\
             <DeliveryReportReq xmlns=\"{SCHEMA}\"><MM7Version>6.8.0</MM7Version><MessageID>nobodys-{number}</MessageID>\
             <Recipient><Number>+15555550102</Number></Recipient><Sender><Number>54321</Number></Sender>\
             <Date>2026-11-02T10:00:00Z</Date><MMStatus>Retrieved</MMStatus></DeliveryReportReq></env:Body></env:Envelope>"
        );
        let answer = http.post(&url).header("content-type", "text/xml").body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let ops = format!("http://{}", world.gateway.awaited("health and metrics"));
    let jobs = wait_until("all of them to be given up", async || {
        let arguments = ["dead", "list", "mm7/rx", "--json", "--max", "1000", "--ops", &ops];
        let output = tokio::process::Command::new(BINARY).args(arguments).output().await.unwrap();
        let listed: Value = serde_json::from_slice(&output.stdout).ok()?;
        let jobs = listed["jobs"].as_array()?.clone();
        (jobs.len() == STRANGERS).then_some(jobs)
    })
    .await;
    assert!(jobs.iter().all(|job| text(job, "reason").contains("unknown message: nobodys-")), "{}", jobs[0]);
    let start = std::time::Instant::now();
    let id = world.api.send_text("mm7", "honest", &["+15555550102"]).await;
    world.api.reaches(&id, &["READ"]).await;
    assert!(start.elapsed() < Duration::from_secs(30));
}
