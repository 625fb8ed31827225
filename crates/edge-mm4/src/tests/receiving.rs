//! The receiver with raw dialogues over real sockets, and an engine over a store in memory.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use mmsgw_domain::{InstanceId, IntakeJob, IntakeKind, Job, Queue, QueueKind, Span, State, SystemClock};
use mmsgw_engine::config::group_settings;
use mmsgw_engine::{
    Call, CallVerdict, DraftContent, Engine, EngineParts, EngineSettings, FetchError, Fetcher, Gateway,
    Incoming, InstanceIdentity, Notifier, PartDraft, Submission, TemplateDraft,
};
use mmsgw_net::{Alpn, ClientTls, Drain, MaybeTls};
use mmsgw_store::{DirectoryBlobs, LeaseRequest, LocalRegistry, MemoryStore, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fake::{Fake, LONG};
use super::settings;
use crate::config::Mm4Settings;
use crate::{Mm4Gateway, ReceiverError, ReceiverSettings, Routes, SmtpReceiver};

struct Nobody;

#[async_trait]
impl Fetcher for Nobody {
    fn check(&self, url: &str) -> Result<(), FetchError> {
        Err(FetchError::Refused(url.to_owned()))
    }

    async fn fetch(&self, url: &str, _content_type: &str) -> Result<Bytes, FetchError> {
        Err(FetchError::Refused(url.to_owned()))
    }
}

#[async_trait]
impl Notifier for Nobody {
    async fn notify(&self, _call: &Call<'_>) -> CallVerdict {
        CallVerdict::Done
    }
}

pub(super) struct House {
    pub(super) engine: Engine,
    pub(super) address: std::net::SocketAddr,
    store: Arc<MemoryStore>,
    pub(super) routes: Arc<ArcSwap<Routes>>,
    pub(super) drain: Drain,
    _dir: tempfile::TempDir,
}

fn gateways() -> [Mm4Settings; 2] {
    ["east", "west"].map(|group| {
        let mut settings = settings();
        settings.gateway.group = group.parse().unwrap();
        settings.dialect.originator_system = format!("{group}-system");
        settings.inbound.host = Some(format!("{group}.own.example"));
        settings
    })
}

/// A receiver for two groups, of which the engine knows those in `known`.
pub(super) async fn house(tables: &str, known: &[&str]) -> House {
    let mut receiver: ReceiverSettings = toml::from_str(tables).unwrap();
    receiver.listen = "127.0.0.1:0".parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let parts = EngineParts {
        store: Arc::clone(&store) as Arc<dyn Store>,
        registry: Arc::new(LocalRegistry::new(Arc::new(SystemClock))),
        blobs: Arc::new(DirectoryBlobs::open(dir.path()).unwrap()),
        clock: Arc::new(SystemClock),
        fetcher: Arc::new(Nobody),
        notifier: Arc::new(Nobody),
    };
    let engine = Engine::new(parts, EngineSettings::default());
    for settings in gateways().iter().filter(|s| known.contains(&s.gateway.group.as_str())) {
        engine.know_group(group_settings(&settings.gateway, &settings.features, &settings.content, None));
    }
    let routes = Arc::new(ArcSwap::from_pointee(Routes::new(&receiver, &gateways()).unwrap()));
    let (drain, receiver) = (Drain::new(), SmtpReceiver::bind(receiver).unwrap());
    let address = receiver.address();
    drain.spawn(receiver.serve(engine.clone(), Arc::clone(&routes), drain.clone()));
    House { engine, address, store, routes, drain, _dir: dir }
}

impl House {
    pub(super) async fn jobs(&self, group: &str) -> Vec<IntakeJob> {
        let queue = Queue { group: group.parse().unwrap(), kind: QueueKind::Rx };
        let owner = InstanceId::new(&queue.group, "t", "h", 1);
        let request = LeaseRequest { queue, max: 100, owner, hold: Duration::from_secs(60) };
        let leased = self.store.lease(request).await.unwrap();
        let intake = |job| match job {
            Job::IntakeV1(intake) => intake,
            other => panic!("{other:?}"),
        };
        leased.jobs.into_iter().map(|leased| intake(leased.job)).collect()
    }

    pub(super) async fn talk(&self) -> Talk {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Talk::over(stream)
    }

    /// A connection past EHLO.
    pub(super) async fn greeted(&self) -> Talk {
        let mut talk = self.talk().await;
        talk.hears("220").await;
        talk.asks("EHLO mmsc.peer.example", "250").await;
        talk
    }
}

/// A client that knows nothing but lines.
pub(super) struct Talk {
    pub(super) stream: MaybeTls,
    input: Vec<u8>,
}

impl Talk {
    pub(super) fn over(stream: TcpStream) -> Self {
        Self { stream: MaybeTls::Plain(stream), input: Vec::new() }
    }

    /// Reads one reply of any number of lines, which must begin with `code`.
    pub(super) async fn hears(&mut self, code: &str) -> String {
        let mut reply = String::new();
        loop {
            let line = tokio::time::timeout(LONG, self.line()).await.expect("no reply in time");
            assert!(line.starts_with(code), "{line:?} instead of {code}");
            reply.push_str(&line);
            reply.push('\n');
            if line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
        }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.input.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.input.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).unwrap();
            }
            let mut buffer = [0; 1024];
            let count = self.stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "closed; before that came {:?}", String::from_utf8_lossy(&self.input));
            self.input.extend_from_slice(&buffer[..count]);
        }
    }

    /// A line, where one comes within a moment.
    pub(super) async fn hears_soon(&mut self) -> Option<String> {
        tokio::time::timeout(Duration::from_millis(20), self.line()).await.ok()
    }

    pub(super) async fn says(&mut self, text: &str) {
        self.stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(super) async fn asks(&mut self, text: &str, code: &str) -> String {
        self.says(text).await;
        self.hears(code).await
    }

    pub(super) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(LONG, self.stream.read_to_end(&mut rest)).await.expect("still open");
        read.is_err() || (rest.is_empty() && self.input.is_empty())
    }
}

const ID: &str = "018bcfe568007eb382b98f0eb89ead81";

pub(super) fn delivery_report() -> String {
    format!(
        "X-Mms-3GPP-MMS-Version: 6.10.0\r\nX-Mms-Message-Type: MM4_delivery_report.REQ\r\n\
         X-Mms-Transaction-ID: \"T1\"\r\nX-Mms-Message-ID: \"{ID}@mms.own.example\"\r\n\
         From: +15555550102/TYPE=PLMN\r\nTo: 54321/TYPE=PLMN\r\nX-Mms-MM-Status-Code: Retrieved\r\n\r\n"
    )
}

pub(super) const SENDER: &str = "MAIL FROM:<system-user@mms.peer.example>";
pub(super) const EAST: &str = "RCPT TO:<east-system@mms.own.example>";
const WEST: &str = "RCPT TO:<west-system@mms.own.example>";

#[tokio::test]
async fn a_report_is_kept_before_it_is_acknowledged_and_read_later() {
    let house = house("", &["east", "west"]).await;
    let mut talk = house.greeted().await;
    for _ in 0..2 {
        talk.asks(SENDER, "250").await;
        talk.asks(EAST, "250").await;
        talk.asks("DATA", "354").await;
        talk.asks(&format!("{}..a\r\n.", delivery_report()), "250").await;
    }
    talk.asks("QUIT", "221").await;
    assert!(talk.is_closed().await);
    let jobs = house.jobs("east").await;
    assert_eq!(jobs.len(), 2);
    let kind = IntakeKind::Mail {
        mail_from: "system-user@mms.peer.example".into(),
        rcpt_to: vec!["east-system@mms.own.example".into()],
    };
    assert_eq!(jobs[0].kind, kind);
    assert_eq!(jobs[0].raw, format!("{}.a\r\n", delivery_report()));
    assert!(jobs[0].peer.starts_with("127.0.0.1:"));
    let gateway =
        Mm4Gateway::new(&settings(), InstanceId::new(&"east".parse().unwrap(), "g", "h", 1)).unwrap();
    let Ok(Incoming::Report { report, .. }) = gateway.read(&jobs[0]) else { panic!("no report") };
    assert_eq!(
        (report.state, report.about.message),
        (State::Delivered, Some(format!("{ID}@mms.own.example")))
    );
}

/// The message with that id, once it is in `state`.
async fn message_in(engine: &Engine, id: mmsgw_domain::MessageId, state: State) -> mmsgw_domain::Message {
    for _ in 0..2_000 {
        let (message, _) = engine.message(id).await.unwrap();
        if message.state() == Some(state) {
            return message;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not {state} in time: {:?}", engine.message(id).await.unwrap().0.events);
}

#[tokio::test]
async fn a_message_goes_out_and_its_reports_come_home() {
    let (house, carrier) = (house("", &["east"]).await, Fake::usual().await);
    let mut settings = gateways()[0].clone();
    settings.outbound.remote_host = carrier.address.to_string();
    let working = Working::start(&house, &settings);
    let text = PartDraft::New {
        name: "t.txt".into(),
        content_type: "text/plain".into(),
        content: DraftContent::Text("hello".into()),
    };
    let draft = TemplateDraft { content: super::content(vec![]).template.content, parts: vec![text] };
    let to = vec!["+15555550102".parse().unwrap()];
    let submission = Submission { to, group: Some(settings.gateway.group.clone()), ..Submission::default() };
    let (message, _) = house.engine.submit_new(draft, submission).await.unwrap();
    message_in(&house.engine, message.id, State::Sent).await;
    let sent = mmsgw_mm4::read(carrier.mails.lock()[0].clone().into(), &mmsgw_mime::Limits::DEFAULT).unwrap();
    let echo = sent.pdu.echo();
    let (transaction, id) = (echo.transaction_id.unwrap(), echo.message_id.unwrap());
    let mut talk = house.greeted().await;
    let answer = format!(
        "X-Mms-Message-Type: MM4_forward.RES\r\nX-Mms-Transaction-ID: {}\r\nX-Mms-Request-Status-Code: Ok\r\n",
        transaction.raw()
    );
    for (mail, state) in
        [(answer, State::Acknowledged), (delivery_report().replace(ID, &id.bare()[..32]), State::Delivered)]
    {
        talk.asks(SENDER, "250").await;
        talk.asks(EAST, "250").await;
        talk.asks("DATA", "354").await;
        talk.asks(&format!("{mail}."), "250").await;
        message_in(&house.engine, message.id, state).await;
    }
    working.end().await;
}

#[tokio::test]
async fn a_pipelined_mail_to_two_groups_is_kept_once_for_each() {
    let house = house("", &["east", "west"]).await;
    let mut talk = house.greeted().await;
    talk.says(&format!("{SENDER}\r\n{EAST}\r\n{WEST}\r\n{EAST}\r\nDATA")).await;
    for code in ["250", "250", "250", "250", "354"] {
        talk.hears(code).await;
    }
    talk.asks(&format!("{}.", delivery_report()), "250").await;
    let (east, west) = (house.jobs("east").await, house.jobs("west").await);
    assert_eq!((east.len(), west.len()), (1, 1));
    assert!(matches!(&east[0].kind, IntakeKind::Mail { rcpt_to, .. } if rcpt_to.len() == 2));
}

#[tokio::test]
async fn nothing_is_relayed_and_nobody_unknown_is_served() {
    let house = house("[peers]\n\"127.0.0.1\" = \"east\"", &["east", "west"]).await;
    let mut talk = house.greeted().await;
    talk.asks(SENDER, "250").await;
    talk.asks("RCPT TO:<victim@mail.example>", "554 5.7.1").await;
    talk.asks("RCPT TO:<@mms.own.example:victim@mail.example>", "5").await;
    talk.asks("DATA", "5").await;
    talk.asks("RCPT TO:<+15555550101/TYPE=PLMN@mms.own.example>", "250").await;
    let strict = self::house("", &["east", "west"]).await;
    let mut talk = strict.greeted().await;
    talk.asks(SENDER, "250").await;
    talk.asks("RCPT TO:<+15555550101/TYPE=PLMN@mms.own.example>", "550 5.1.1").await;
    assert!(house.jobs("east").await.is_empty() && strict.jobs("east").await.is_empty());
}

#[tokio::test]
async fn a_refused_recipient_does_not_get_the_mail_of_another() {
    let house = house("", &["east", "west"]).await;
    let mut talk = house.greeted().await;
    talk.asks(SENDER, "250").await;
    talk.asks(EAST, "250").await;
    talk.asks("RSET", "250").await;
    talk.asks(SENDER, "250").await;
    talk.asks(WEST, "250").await;
    talk.asks("DATA", "354").await;
    talk.asks(&format!("{}.", delivery_report()), "250").await;
    assert_eq!((house.jobs("east").await.len(), house.jobs("west").await.len()), (0, 1));
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_taken() {
    let house = house("", &["west"]).await;
    let mut talk = house.greeted().await;
    talk.asks(SENDER, "250").await;
    talk.asks(EAST, "250").await;
    talk.asks("DATA", "354").await;
    talk.asks(&format!("{}.", delivery_report()), "451 4.3.0").await;
    talk.asks(SENDER, "250").await;
}

/// An instance of a gateway that works for the group `east`, and how to end it.
struct Working {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Working {
    fn start(house: &House, settings: &Mm4Settings) -> Self {
        let instance = InstanceId::new(&settings.gateway.group, "g", "h", 1);
        let identity = InstanceIdentity::new(instance.clone(), "test");
        let gateway: Arc<dyn Gateway> = Arc::new(Mm4Gateway::new(settings, instance).unwrap());
        let working = Self { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        let group = house.engine.group(&settings.gateway.group).unwrap();
        house.engine.run_group(&group, &gateway, identity, &working.stop, &working.tasks);
        working
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(LONG, self.tasks.wait()).await.unwrap();
    }
}

fn new_message() -> String {
    "X-Mms-3GPP-MMS-Version: 6.10.0\r\nX-Mms-Message-Type: MM4_forward.REQ\r\n\
     X-Mms-Transaction-ID: \"T 7\"\r\nX-Mms-Message-ID: \"M-7@mms.peer.example\"\r\n\
     From: +15555550109/TYPE=PLMN\r\nTo: +15555550101/TYPE=PLMN\r\nSubject: hi\r\n\
     X-Mms-Ack-Request: Yes\r\nX-Mms-Delivery-Report: Yes\r\nX-Mms-Read-Reply: Yes\r\n\
     X-Mms-Originator-System: PostMaster@mms.peer.example\r\n\
     Content-Type: text/plain\r\n\r\nhello\r\n"
        .to_owned()
}

/// What the carrier got, by the type of its mails.
fn received(carrier: &Fake, kind: &str) -> Vec<mmsgw_mm4::Pdu> {
    let mails = carrier.mails.lock().clone();
    let read = |mail: Vec<u8>| mmsgw_mm4::read(mail.into(), &mmsgw_mime::Limits::DEFAULT).unwrap().pdu;
    mails.into_iter().map(read).filter(|pdu| pdu.kind().as_str() == kind).collect()
}

#[tokio::test]
async fn a_message_comes_in_and_what_is_told_of_it_goes_out() {
    let (house, carrier) = (house("", &["east"]).await, Fake::usual().await);
    let mut settings = gateways()[0].clone();
    settings.outbound.remote_host = carrier.address.to_string();
    settings.outbound.remote_domain = Some("mms.peer.example".into());
    settings.features.auto_ack = true;
    settings.features.auto_dr = mmsgw_domain::Release::Immediate;
    house.engine.know_group(group_settings(&settings.gateway, &settings.features, &settings.content, None));
    let working = Working::start(&house, &settings);
    let mut talk = house.greeted().await;
    for _ in 0..2 {
        talk.asks("MAIL FROM:<+15555550109/TYPE=PLMN@mms.peer.example>", "250").await;
        talk.asks("RCPT TO:<+15555550101/TYPE=PLMN@east.own.example>", "250").await;
        talk.asks("RCPT TO:<+15555550102/TYPE=PLMN@east.own.example>", "250").await;
        talk.asks("DATA", "354").await;
        talk.asks(&format!("{}.", new_message()), "250").await;
        let what = "acknowledgement and two reports";
        carrier.until(what, |carrier| carrier.mails.lock().len() >= 3).await;
    }
    // The repetition is acknowledged again, and not reported again.
    carrier.until("the acknowledgement again", |carrier| carrier.mails.lock().len() >= 4).await;
    let acks = received(&carrier, "MM4_forward.RES");
    assert_eq!(acks.len(), 2);
    let mmsgw_mm4::Pdu::ForwardRes(ack) = &acks[0] else { panic!("{acks:?}") };
    assert_eq!(ack.head.transaction_id.raw(), "\"T 7\"");
    assert_eq!(ack.message_id.as_ref().unwrap().raw(), "\"M-7@mms.peer.example\"");
    assert_eq!(ack.status, mmsgw_mm4::RequestStatus::Ok);
    let reports = received(&carrier, "MM4_delivery_report.REQ");
    let mut from: Vec<String> = reports
        .iter()
        .map(|pdu| match pdu {
            mmsgw_mm4::Pdu::DeliveryReportReq(req) => req.report.from.clone().unwrap().local,
            other => panic!("{other:?}"),
        })
        .collect();
    from.sort();
    assert_eq!(from, ["+15555550101", "+15555550102"]);
    assert_eq!(carrier.count("RCPT TO:<PostMaster@mms.peer.example>"), 4);
    assert_eq!(carrier.count("MAIL FROM:<east-system@mms.own.example>"), 4);
    working.end().await;
}

#[tokio::test]
async fn a_report_that_wants_an_answer_gets_one() {
    let (house, carrier) = (house("", &["east"]).await, Fake::usual().await);
    let mut settings = gateways()[0].clone();
    settings.outbound.remote_host = carrier.address.to_string();
    settings.outbound.remote_domain = Some("mms.peer.example".into());
    let working = Working::start(&house, &settings);
    let mut talk = house.greeted().await;
    talk.asks(SENDER, "250").await;
    talk.asks(EAST, "250").await;
    talk.asks("DATA", "354").await;
    let broken = "X-Mms-Message-Type: MM4_delivery_report.REQ\r\nX-Mms-Transaction-ID: T8\r\n\
                  X-Mms-Ack-Request: Yes\r\nX-Mms-Message-ID: M8\r\n\r\n";
    talk.asks(&format!("{broken}."), "250").await;
    carrier.until("the refusal", |carrier| carrier.mails.lock().len() == 1).await;
    let answers = received(&carrier, "MM4_delivery_report.RES");
    let [mmsgw_mm4::Pdu::DeliveryReportRes(res)] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(res.status, mmsgw_mm4::RequestStatus::ErrorMessageFormatCorrupt);
    assert_eq!(res.head.transaction_id.raw(), "T8");
    assert_eq!(carrier.count("RCPT TO:<system-user@mms.peer.example>"), 1);
    working.end().await;
}

#[tokio::test]
async fn strangers_are_sent_away() {
    let house = house("allow = [\"192.0.2.0/24\"]", &["east"]).await;
    let mut talk = house.talk().await;
    talk.hears("554 5.7.1").await;
    assert!(talk.is_closed().await);
}

#[tokio::test]
async fn peers_are_known_by_their_host_names() {
    let tables = "allow = [\"localhost\"]\n[peers]\n\"127.0.0.0/8\" = \"east\"\n\"localhost\" = \"west\"";
    let named = house(tables, &["east", "west"]).await;
    let mut talk = named.greeted().await;
    talk.asks(SENDER, "250").await;
    talk.asks("RCPT TO:<+15555550101/TYPE=PLMN@mms.own.example>", "250").await;
    talk.asks("DATA", "354").await;
    talk.asks(&format!("{}.", delivery_report()), "250").await;
    assert_eq!((named.jobs("east").await.len(), named.jobs("west").await.len()), (0, 1));
    let nowhere = house("allow = [\"no-such-host.invalid\", \"192.0.2.0/24\"]", &["east"]).await;
    nowhere.talk().await.hears("554 5.7.1").await;
    let said = "[peers]\n\"ehlo:mmsc.peer.example\" = \"west\"\n\"no-such-host.invalid\" = \"east\"";
    let mut talk = house(said, &["east", "west"]).await.greeted().await;
    talk.asks(SENDER, "250").await;
    talk.asks("RCPT TO:<+15555550101/TYPE=PLMN@mms.own.example>", "250").await;
}

#[tokio::test]
async fn auth_before_mail_where_users_are_known() {
    let house = house("auth_in_clear = true\n[users]\nu = \"hush\"", &["east"]).await;
    let mut talk = house.greeted().await;
    talk.asks(SENDER, "530").await;
    talk.asks("AUTH PLAIN AHUAd3Jvbmc=", "535").await;
    talk.asks("AUTH PLAIN AHgAaHVzaA==", "535").await;
    talk.asks("AUTH PLAIN AHUAaHVzaA==", "235").await;
    talk.asks(SENDER, "250").await;
}

#[tokio::test]
async fn starttls_and_no_mail_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = super::sending::pki(dir.path());
    let tables = format!(
        "require_tls = true\n[tls]\ncert_file = {:?}\nkey_file = {:?}",
        server.cert_file.display().to_string(),
        server.key_file.display().to_string()
    );
    let house = house(&tables, &["east"]).await;
    let mut talk = house.greeted().await;
    talk.asks(SENDER, "530").await;
    talk.asks("STARTTLS", "220").await;
    let tls = ClientTls::load(&client, Alpn::None).unwrap();
    let stream = talk.stream.upgrade_client(&tls, "localhost", LONG).await.unwrap();
    let mut talk = Talk { stream, input: Vec::new() };
    assert!(!talk.asks("EHLO x", "250").await.contains("STARTTLS"));
    talk.asks(SENDER, "250").await;
    talk.asks(EAST, "250").await;
    talk.asks("DATA", "354").await;
    talk.asks(&format!("{}.", delivery_report()), "250").await;
    assert_eq!(house.jobs("east").await.len(), 1);
}

#[tokio::test]
async fn encryption_from_the_first_octet() {
    let dir = tempfile::tempdir().unwrap();
    let (server, client) = super::sending::pki(dir.path());
    let tables = format!(
        "implicit_tls = true\nrequire_tls = true\n[tls]\ncert_file = {:?}\nkey_file = {:?}",
        server.cert_file.display().to_string(),
        server.key_file.display().to_string()
    );
    let house = house(&tables, &["east"]).await;
    let tls = ClientTls::load(&client, Alpn::None).unwrap();
    let stream = TcpStream::connect(house.address).await.unwrap();
    let stream = MaybeTls::Plain(stream).upgrade_client(&tls, "localhost", LONG).await.unwrap();
    let mut talk = Talk { stream, input: Vec::new() };
    talk.hears("220").await;
    assert!(!talk.asks("EHLO x", "250").await.contains("STARTTLS"));
    talk.asks(SENDER, "250").await;
    let mut clear = house.talk().await;
    clear.says("EHLO x").await;
    let mut octet = [0; 3];
    assert!(clear.stream.read_exact(&mut octet).await.is_err() || octet != *b"220");
}

#[tokio::test]
async fn a_drain_ends_idle_sessions_and_lets_a_mail_finish() {
    let house = house("", &["east"]).await;
    let (mut idle, mut busy) = (house.greeted().await, house.greeted().await);
    busy.asks(SENDER, "250").await;
    busy.asks(EAST, "250").await;
    busy.asks("DATA", "354").await;
    busy.says("X-Mms-Message-Type: MM4_forward.RES").await;
    let drain = house.drain.clone();
    let drained = tokio::spawn(async move { drain.drain(LONG).await });
    idle.hears("421").await;
    assert!(idle.is_closed().await);
    busy.asks(".", "250").await;
    busy.hears("421").await;
    assert!(drained.await.unwrap());
    assert_eq!(house.jobs("east").await.len(), 1);
    assert!(TcpStream::connect(house.address).await.is_err());
}

#[tokio::test]
async fn silence_and_floods_end_a_session() {
    let house = house("command_timeout = \"100ms\"\nmax_size = 2000\nmax_errors = 3", &["east"]).await;
    let mut silent = house.greeted().await;
    silent.hears("421").await;
    assert!(silent.is_closed().await);
    let mut large = house.greeted().await;
    large.asks(&format!("{SENDER} SIZE=2001"), "552").await;
    large.asks(SENDER, "250").await;
    large.asks(EAST, "250").await;
    large.asks("DATA", "354").await;
    large.asks(&format!("{}.", "filler\r\n".repeat(300)), "552").await;
    let mut odd = house.greeted().await;
    for _ in 0..4 {
        odd.says("WHAT").await;
    }
    for _ in 0..4 {
        odd.hears("500").await;
    }
    odd.hears("421").await;
    assert!(house.jobs("east").await.is_empty());
}

#[tokio::test]
async fn bad_settings_do_not_start() {
    let settings = ReceiverSettings { data_timeout: Span::secs(0), ..ReceiverSettings::default() };
    assert!(matches!(SmtpReceiver::bind(settings), Err(ReceiverError::Settings(_))));
}
