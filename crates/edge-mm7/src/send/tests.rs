//! The sender against an MMSC of a few lines, over real sockets.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mmsgw_engine::{Content, Scales};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::Mm7Scales;
use crate::testing::{self, outbound, settings_for, submit_rsp};

/// What an MMSC does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Answers with status line, further header lines, and a body; `{tx}` in it is the TransactionID.
    Say(&'static str, &'static str, String),
    /// As success, after a while.
    SuccessAfter(Duration),
    /// Never answers.
    Silence,
    /// Answers an octet at a time, endlessly.
    Drip,
    /// Closes the connection.
    HangUp,
}

/// A request as it came.
pub(crate) struct Posted {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Posted {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The body's parts: what stands before and behind the first empty line of each.
    pub(crate) fn parts(&self) -> Vec<(String, Vec<u8>)> {
        let content_type = self.header("content-type").unwrap();
        let boundary = content_type.split("boundary=\"").nth(1).unwrap().trim_end_matches('"');
        split_parts(&self.body, boundary)
    }

    pub(crate) fn envelope(&self) -> String {
        match self.header("content-type").unwrap().starts_with("text/xml") {
            true => String::from_utf8(self.body.clone()).unwrap(),
            false => String::from_utf8(self.parts().swap_remove(0).1).unwrap(),
        }
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

fn split_parts(body: &[u8], boundary: &str) -> Vec<(String, Vec<u8>)> {
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let mut rest = [b"\r\n", body].concat();
    let mut parts = Vec::new();
    while let Some(start) = find(&rest, &delimiter) {
        let after = rest.split_off(start + delimiter.len());
        if after.starts_with(b"--") {
            return parts;
        }
        let end = find(&after, &delimiter).expect("a part without an end");
        let blank = find(&after, b"\r\n\r\n").expect("a part without an empty line");
        let head = String::from_utf8(after[2..blank.max(2)].to_vec()).unwrap();
        parts.push((head, after[blank + 4..end].to_vec()));
        rest = after[end..].to_vec();
    }
    panic!("a multipart without an end");
}

pub(crate) struct Mmsc {
    address: SocketAddr,
    pub(crate) posted: mpsc::UnboundedReceiver<Posted>,
    connections: Arc<AtomicUsize>,
}

impl Mmsc {
    pub(crate) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, posted) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let (reply, tell) = (reply.clone(), tell.clone());
                tokio::spawn(async move { serve(stream, reply, tell).await });
            }
        });
        Self { address, posted, connections }
    }

    pub(crate) fn gateway(&self, more: &str) -> Mm7Gateway {
        gateway(&settings_for(&format!("http://{}/mm7", self.address), more))
    }
}

fn gateway(settings: &Mm7Settings) -> Mm7Gateway {
    let instance = InstanceId::new(&settings.gateway.group, &settings.gateway.name, "host", 1);
    Mm7Gateway::new(settings, instance).unwrap()
}

async fn serve(stream: TcpStream, reply: Reply, tell: mpsc::UnboundedSender<Posted>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let posted = read_request(&mut stream).await?;
        let envelope = String::from_utf8_lossy(&posted.body).into_owned();
        let transaction = envelope.split("TransactionID").nth(1)?.split(['>', '<']).nth(1)?.to_owned();
        // Nobody listens in tests that look at verdicts only.
        let _ = tell.send(posted);
        let (status, headers, body) = match &reply {
            Reply::Say(status, headers, body) => (*status, *headers, body.replace("{tx}", &transaction)),
            Reply::SuccessAfter(pause) => {
                tokio::time::sleep(*pause).await;
                ("200 OK", "", submit_rsp(&transaction, 1000, "msg-1", ""))
            }
            Reply::Silence => std::future::pending().await,
            Reply::HangUp => return None,
            Reply::Drip => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(b"<").await.ok()?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/xml\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Posted> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let mut posted = Posted { head: String::from_utf8(head).ok()?, body: Vec::new() };
    let length = posted.header("content-length").expect("no Content-Length").parse().unwrap();
    posted.body = vec![0; length];
    stream.read_exact(&mut posted.body).await.ok()?;
    Some(posted)
}

async fn delivery(reply: Reply, more: &str) -> Delivery {
    let mmsc = Mmsc::start(reply).await;
    let mut verdict = mmsc.gateway(more).send(&outbound(&["+15555550101"])).await;
    assert_eq!(verdict.outcomes.len(), 1);
    verdict.outcomes.remove(0).delivery
}

fn say(status: &'static str, body: impl Into<String>) -> Reply {
    Reply::Say(status, "", body.into())
}

#[tokio::test]
async fn a_success_carries_the_carriers_id() {
    let sent = delivery(say("200 OK", submit_rsp("{tx}", 1000, "msg-7", "")), "").await;
    let Delivery::Sent { peer_ref, answer, acknowledged } = sent else { panic!("{sent:?}") };
    assert_eq!((peer_ref.as_deref(), acknowledged), (Some("msg-7"), true));
    assert_eq!((answer.code, answer.carrier_status.as_deref()), (Code::OK, Some("1000")));
}

#[tokio::test]
async fn retry_after_is_honoured_as_seconds_and_as_a_date() {
    let date = "retry-after: Tue, 14 Nov 2023 22:14:20 GMT\r\n"; // a minute after `now` of the message
    for (header, seconds) in
        [("retry-after: 17\r\n", Some(17)), (date, Some(60)), ("retry-after: soon\r\n", None), ("", None)]
    {
        let answer = delivery(Reply::Say("503 Busy", header, String::new()), "").await;
        let Delivery::Defer { later: true, heard: true, pause, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(pause.map(|pause| pause.as_secs()), seconds, "{header}");
    }
    let fault = delivery(Reply::Say("500 No", "retry-after: 17\r\n", testing::fault("{tx}", 4006)), "").await;
    assert!(matches!(fault, Delivery::Defer { later: true, pause: Some(_), .. }), "{fault:?}");
}

#[tokio::test]
async fn what_is_not_understood_counts_as_unheard() {
    let large = "x".repeat(MAX_ANSWER + 1);
    for body in ["<html><body>Welcome</body></html>", "\0\u{1}garbage", "", "<a><b></a>", large.as_str()] {
        let answer = delivery(say("200 OK", body), "").await;
        let Delivery::Defer { heard: false, later: false, answer, .. } = answer else { panic!("{answer:?}") };
        assert!(answer.description.starts_with("answer not understood"), "{}", answer.description);
    }
    let silent = delivery(say("200 OK", ""), "[dialect]\nempty_200_is_success = true\n").await;
    assert!(matches!(silent, Delivery::Sent { peer_ref: None, .. }), "{silent:?}");
}

#[tokio::test]
async fn time_outs_drips_and_hang_ups_count_as_unheard() {
    for (reply, timeout, want) in [
        (Reply::Silence, "300ms", "no answer within 300ms"),
        (Reply::Drip, "300ms", "no answer within 300ms"),
        (Reply::HangUp, "20s", "the exchange broke off"),
    ] {
        let begun = Instant::now();
        let answer = delivery(reply, &format!("timeout = '{timeout}'\n")).await;
        assert!(begun.elapsed() < Duration::from_secs(10));
        let Delivery::Defer { heard: false, later: false, answer, .. } = answer else { panic!("{answer:?}") };
        assert!(answer.description.contains(want), "{}", answer.description);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let verdict = gateway(&settings_for(&url, "")).send(&outbound(&["+15555550101"])).await;
    let Delivery::Defer { heard: false, answer, .. } = &verdict.outcomes[0].delivery else {
        panic!("{verdict:?}")
    };
    assert!(answer.description.starts_with("cannot connect to the MMSC"), "{}", answer.description);
    assert!(!answer.description.contains(&url), "{}", answer.description);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let answer = delivery(Reply::Say("302 Found", "location: /elsewhere\r\n", String::new()), "").await;
    assert!(matches!(answer, Delivery::Defer { heard: true, later: false, .. }), "{answer:?}");
}

#[tokio::test]
async fn one_connection_serves_many_messages() {
    let mmsc = Mmsc::start(say("200 OK", submit_rsp("{tx}", 1000, "m", ""))).await;
    let gateway = mmsc.gateway("");
    for _ in 0..20 {
        let verdict = gateway.send(&outbound(&["+15555550101"])).await;
        assert!(matches!(verdict.outcomes[0].delivery, Delivery::Sent { .. }));
    }
    assert_eq!(mmsc.connections.load(Ordering::SeqCst), 1);
}

async fn send_many(mmsc: &Mmsc, gateway: Mm7Gateway, count: usize) -> Duration {
    let gateway = Arc::new(gateway);
    let begun = Instant::now();
    let sends: Vec<_> = (0..count)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { gateway.send(&outbound(&["+15555550101"])).await })
        })
        .collect();
    for send in sends {
        let verdict = send.await.unwrap();
        assert!(matches!(verdict.outcomes[0].delivery, Delivery::Sent { .. }), "{verdict:?}");
    }
    assert!(mmsc.connections.load(Ordering::SeqCst) <= count);
    begun.elapsed()
}

#[tokio::test]
async fn sends_in_flight_do_not_wait_for_each_other() {
    let mmsc = Mmsc::start(Reply::SuccessAfter(Duration::from_millis(100))).await;
    let took = send_many(&mmsc, mmsc.gateway("connections = 256\n"), 256).await;
    assert!(took < Duration::from_secs(10), "256 sends of 100 ms took {took:?}, one by one 26 s");
}

#[tokio::test]
async fn no_more_connections_than_allowed() {
    let mmsc = Mmsc::start(Reply::SuccessAfter(Duration::from_millis(5))).await;
    send_many(&mmsc, mmsc.gateway("connections = 4\n"), 64).await;
    assert!(mmsc.connections.load(Ordering::SeqCst) <= 4);
}

/// What is posted for the message with every option.
async fn posted(more: &str, content: Option<Content>) -> Posted {
    let mut mmsc = Mmsc::start(say("200 OK", submit_rsp("{tx}", 1000, "m", ""))).await;
    let mut message = testing::outbound_with_everything();
    if let Some(content) = content {
        message.content = Arc::new(content);
    }
    let verdict = mmsc.gateway(more).send(&message).await;
    assert!(matches!(verdict.outcomes[0].delivery, Delivery::Sent { .. }), "{verdict:?}");
    mmsc.posted.recv().await.unwrap()
}

#[tokio::test]
async fn headers_are_as_mmscs_want_them() {
    let post = posted("", None).await;
    assert!(post.head.starts_with("POST /mm7 HTTP/1.1\r\n"), "{}", post.head);
    assert_eq!(post.header("soapaction"), Some("\"\""));
    assert_eq!(post.header("content-length").unwrap().parse(), Ok(post.body.len()));
    assert_eq!(
        (post.header("transfer-encoding"), post.header("authorization"), post.header("expect")),
        (None, None, None)
    );
    let names: BTreeSet<String> =
        post.head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_lowercase())).collect();
    let needed = ["accept", "content-length", "content-type", "host", "soapaction", "user-agent"];
    assert_eq!(names, BTreeSet::from(needed.map(str::to_owned)), "nothing of ours shall leak");
    let content_type = post.header("content-type").unwrap();
    assert!(content_type.starts_with("multipart/related; type=\"text/xml\"; start=\"<soap>\"; boundary=\""));
    let post = posted("soap_action = 'urn:x'\nusername = 'user'\npassword = 'pass'\n", None).await;
    assert_eq!(post.header("soapaction"), Some("\"urn:x\""));
    assert_eq!(post.header("authorization"), Some("Basic dXNlcjpwYXNz"));
    let post =
        posted("bearer_token = 'tok'\nusername = 'user'\npassword = 'pass'\n", Some(testing::content(&[])))
            .await;
    assert_eq!(post.header("authorization"), Some("Bearer tok"));
    assert_eq!(post.header("content-type"), Some("text/xml; charset=utf-8"));
    let post = posted("bearer_token = 'tok'\nauth = 'none'\n", None).await;
    assert_eq!(post.header("authorization"), None);
}

#[tokio::test]
async fn media_arrive_octet_for_octet() {
    let message = testing::outbound_with_everything();
    let post = posted("", Some(Content::clone(&message.content))).await;
    let parts = post.parts();
    assert_eq!(parts.len(), 2);
    assert!(parts[0].0.contains("Content-ID: <soap>") && parts[1].0.contains("Content-ID: <content>"));
    let boundary = parts[1].0.split("boundary=").nth(1).unwrap().split_whitespace().next().unwrap();
    let inner = split_parts(&parts[1].1, boundary.trim_matches('"'));
    assert!(inner[1].0.contains("Content-ID: <a.jpg>") && inner[1].0.contains("Content-Location: a.jpg"));
    for ((_, octets), want) in inner.iter().zip(&message.content.bodies) {
        assert!(octets == want, "the octets differ");
    }
    assert_eq!(inner.len(), 2);
}

/// Element paths below the body entry with their texts, by a reader that knows nothing of MM7.
fn elements(xml: &str) -> Vec<(String, String)> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut path, mut found) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => path.push(String::from_utf8(tag.local_name().as_ref().to_vec()).unwrap()),
            Event::End(_) => drop(path.pop()),
            Event::Text(text) if !text.decode().unwrap().trim().is_empty() => {
                found.push((path.join("/"), text.decode().unwrap().into_owned()));
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_request_says_what_was_meant_to_another_reader() {
    for style in ["default", "mm7"] {
        let post = posted(&format!("[dialect]\nprefix_style = '{style}'\n"), None).await;
        let found = elements(&post.envelope());
        let value = |path: &str| {
            let whole = format!("Envelope/{path}");
            found.iter().find(|(known, _)| *known == whole).map(|(_, text)| text.as_str())
        };
        let message = "Body/SubmitReq/";
        assert!(value("Header/TransactionID").unwrap().ends_with("-0"));
        for (path, want) in [
            ("MM7Version", "6.8.0"),
            ("SenderIdentification/SenderAddress/ShortCode", "54321"),
            ("Recipients/To/Number", "+15555550101"),
            ("Recipients/Bcc/RFC2822Address", "a@b.example"),
            ("Priority", "High"),
            ("ChargedParty", "ThirdParty"),
        ] {
            assert_eq!(value(&format!("{message}{path}")), Some(want), "{style} {path}");
        }
    }
}

/// Needs `xmllint` and a schema beside the checkout; without them the other tests must do.
#[tokio::test]
async fn the_request_is_valid_by_the_schema() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec/xsd");
    let schema = folder.join("mm7-REL-6-MM7-1-4.reconstructed.xsd");
    if !schema.exists() || Command::new("xmllint").arg("--version").output().is_err() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for more in ["", "# with-ids\n[dialect]\nservice_code = 'x'\ntime_stamp = true\n"] {
        let envelope = posted(more, None).await.envelope();
        let (start, end) = (envelope.find("<SubmitReq").unwrap(), envelope.find("</SubmitReq>").unwrap());
        let file = dir.path().join("request.xml");
        std::fs::write(&file, &envelope[start..end + "</SubmitReq>".len()]).unwrap();
        let lint =
            Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).arg(&schema).arg(&file).output();
        let lint = lint.unwrap();
        assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stderr));
    }
}

#[tokio::test]
async fn the_size_on_the_wire_is_known_beforehand() {
    let parts: &[(&str, &str, &[u8])] = &[
        ("s.smil", "application/smil", b"<smil/>"),
        ("a b\u{e9}.jpg", "image/jpeg", &[0xff; 100_001]),
        ("t.txt", "text/plain", "\u{20ac}".as_bytes()),
    ];
    for more in ["", "[dialect]\ntransfer = 'base64'\n", "[dialect]\ncontent_layout = 'single'\n"] {
        for parts in [parts, &parts[1..2], &[]] {
            let mmsc = Mmsc::start(say("200 OK", submit_rsp("{tx}", 1000, "msg-7", ""))).await;
            let gateway = mmsc.gateway(more);
            let mut outbound = outbound(&["+15555550101"]);
            outbound.content = Arc::new(testing::content(parts));
            let told = Mm7Scales::new(&settings_for("http://127.0.0.1:1/", more)).wire_octets(&outbound);
            let previews = gateway.preview(&outbound).await.unwrap();
            assert_eq!(told, previews[0].body.len() as u64, "{more} {}", parts.len());
        }
    }
}

#[test]
fn media_have_the_room_that_their_coding_leaves() {
    for more in ["", "[dialect]\ntransfer = 'base64'\n"] {
        let scales = Mm7Scales::new(&testing::settings(more));
        let sized = |octets: u64| {
            let octets = vec![7; usize::try_from(octets).unwrap()];
            let mut outbound = outbound(&["+15555550101"]);
            outbound.content = Arc::new(testing::content(&[("a.gif", "image/gif", &octets)]));
            scales.wire_octets(&outbound)
        };
        let rest = sized(0);
        for wire in [0, 77, 78, 1_000, 300_000] {
            assert!(sized(scales.media_octets(wire)) <= rest + wire, "{wire}");
            assert!(sized(scales.media_octets(wire) + 116) > rest + wire, "{wire}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_written_fails_without_a_request() {
    let mut mmsc = Mmsc::start(Reply::Silence).await;
    let mut message = outbound(&["+15555550101"]);
    Arc::make_mut(&mut message.content).template.content.subject = Some("\u{1}".into());
    let verdict = mmsc.gateway("").send(&message).await;
    let Delivery::Fail { answer } = &verdict.outcomes[0].delivery else { panic!("{verdict:?}") };
    assert!(
        answer.code == Code::MALFORMED && answer.description.contains("Subject"),
        "{}",
        answer.description
    );
    assert!(mmsc.posted.try_recv().is_err());
}

#[test]
fn a_gateway_names_the_setting_that_it_cannot_use() {
    let fault = |more: &str| {
        let settings = settings_for("http://127.0.0.1/", more);
        let instance = InstanceId::new(&settings.gateway.group, "east", "host", 1);
        Mm7Gateway::new(&settings, instance).err().unwrap().to_string()
    };
    assert!(fault("timeout = 0\n").contains("outbound.timeout"));
    assert!(fault("bearer_token_file = '/nowhere/token'\n").contains("outbound.bearer_token_file"));
    assert!(fault("[outbound.tls]\nca_file = '/nowhere/ca.pem'\n").contains("/nowhere/ca.pem"));
}
