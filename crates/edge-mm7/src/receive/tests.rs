//! The receiver over real sockets, with a real engine, store and media directory.

use std::net::SocketAddr;

use async_trait::async_trait;
use mmsgw_domain::{InstanceId, Job, MessageId, Queue, QueueKind, State, SystemClock, TemplateContent};
use mmsgw_engine::config::group_settings;
use mmsgw_engine::{
    Call, CallSubject, CallVerdict, DraftContent, EngineParts, EngineSettings, FetchError, Fetcher, Gateway,
    InstanceIdentity, Notifier, PartDraft, Submission, TemplateDraft,
};
use mmsgw_net::{Drain, HttpLimits, bind, serve_http};
use mmsgw_store::{DirectoryBlobs, LeaseRequest, LocalRegistry, MemoryStore, Store, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::send::Mm7Gateway;
use crate::testing::{self, delivery_report, read_reply, settings, settings_for, submit_rsp};

const LIMIT: Duration = Duration::from_secs(20);

mod messages;

struct Nobody;

/// An application that takes everything and says what is to be told to the carrier.
#[derive(Default)]
struct App {
    received: parking_lot::Mutex<Vec<(mmsgw_domain::Message, mmsgw_domain::Template)>>,
    orders: parking_lot::Mutex<Vec<mmsgw_domain::ReportOrder>>,
}

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
impl Notifier for App {
    async fn notify(&self, call: &Call<'_>) -> CallVerdict {
        let CallSubject::InboundMessage { message, template } = call.subject else {
            return CallVerdict::Done;
        };
        self.received.lock().push((message.clone(), template.clone()));
        CallVerdict::Answered { orders: self.orders.lock().clone() }
    }
}

struct House {
    engine: Engine,
    store: Arc<MemoryStore>,
    app: Arc<App>,
    address: SocketAddr,
    _media: tempfile::TempDir,
}

impl House {
    async fn open(sections: &str) -> Self {
        Self::with(&settings(sections)).await
    }

    async fn with(settings: &Mm7Settings) -> Self {
        let media = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        let app = Arc::new(App::default());
        let parts = EngineParts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            registry: Arc::new(LocalRegistry::new(Arc::new(SystemClock))),
            blobs: Arc::new(DirectoryBlobs::open(media.path()).unwrap()),
            clock: Arc::new(SystemClock),
            fetcher: Arc::new(Nobody),
            notifier: Arc::clone(&app) as Arc<dyn Notifier>,
        };
        let engine = Engine::new(parts, EngineSettings::default());
        engine.know_group(group_settings(
            &settings.gateway,
            &settings.features,
            &settings.content,
            settings.inbound.mms_received_url.as_deref(),
        ));
        let service =
            router(engine.clone(), vec![Receiver::new(settings).unwrap()], &Admission::new(100, 1 << 30));
        let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        tokio::spawn(serve_http(listener, None, HttpLimits::default(), Drain::new(), service));
        Self { engine, store, app, address, _media: media }
    }

    /// Starts the workers of a gateway with these settings.
    fn run(&self, settings: &Mm7Settings) {
        let instance = InstanceId::new(&settings.gateway.group, "east", "host", 1);
        let identity = InstanceIdentity::new(instance.clone(), "test");
        let gateway: Arc<dyn Gateway> = Arc::new(Mm7Gateway::new(settings, instance).unwrap());
        let group = self.engine.group(&settings.gateway.group).unwrap();
        self.engine.run_group(&group, &gateway, identity.clone(), &Default::default(), &Default::default());
        self.engine.run_callbacks(&group, identity, &Default::default(), &Default::default());
    }

    async fn post(&self, headers: &str, body: &str) -> Heard {
        self.post_to("/mmsgw/v1/mms/inbound/carrier", headers, body).await
    }

    async fn post_to(&self, path: &str, headers: &str, body: &str) -> Heard {
        let headers = format!("content-type: text/xml; charset=utf-8\r\n{headers}");
        self.exchange(path, &headers, body.as_bytes()).await
    }

    async fn exchange(&self, path: &str, headers: &str, body: &[u8]) -> Heard {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A refusal may come before all was written.
        let _ = stream.write_all(&request(path, headers, body)).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await;
        read.expect("no answer in time").expect("no answer");
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Heard { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// The jobs that wait in the group's RX queue.
    async fn kept(&self) -> Vec<Job> {
        let queue = Queue { group: "carrier".parse().unwrap(), kind: QueueKind::Rx };
        let owner = InstanceId::new(&queue.group, "test", "host", 1);
        let request = LeaseRequest { queue, owner, max: 100, hold: LIMIT };
        self.store.lease(request).await.unwrap().jobs.into_iter().map(|leased| leased.job).collect()
    }
}

fn request(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

struct Heard {
    status: u16,
    head: String,
    body: String,
}

impl Heard {
    /// HTTP status and StatusCode.
    fn codes(&self) -> (u16, Option<u16>) {
        let code = self.body.split("<StatusCode>").nth(1).and_then(|rest| rest.split('<').next());
        (self.status, code.map(|code| code.parse().unwrap()))
    }
}

#[tokio::test]
async fn a_report_is_kept_before_it_is_answered() {
    let house = House::open("").await;
    for (body, response) in [
        (delivery_report("tx-9", "msg-1", "Retrieved"), "DeliveryReportRsp"),
        (read_reply("tx-9", "msg-1", "Read"), "ReadReplyRsp"),
    ] {
        let heard = house.post("", &body).await;
        assert_eq!(heard.codes(), (200, Some(1000)));
        assert!(heard.head.contains("content-type: text/xml; charset=utf-8"), "{}", heard.head);
        assert!(
            heard.body.contains(&format!("<{response} xmlns=")) && heard.body.contains(">tx-9<"),
            "{}",
            heard.body
        );
        let kept = house.kept().await;
        let [Job::IntakeV1(intake)] = kept.as_slice() else { panic!("{kept:?}") };
        assert_eq!(intake.raw, body.as_bytes());
        assert_eq!(intake.kind, IntakeKind::Http { content_type: "text/xml; charset=utf-8".into() });
        assert!(intake.peer.starts_with("127.0.0.1:"));
    }
}

#[tokio::test]
async fn the_answer_speaks_the_requests_release() {
    let house = House::open("").await;
    let old = delivery_report("tx-1", "msg-1", "Expired")
        .replace("REL-6-MM7-1-4", "REL-5-MM7-1-2")
        .replace("6.8.0", "5.3.0");
    let heard = house.post("", &old).await;
    assert_eq!(heard.codes(), (200, Some(1000)));
    assert!(
        heard.body.contains("REL-5-MM7-1-2") && heard.body.contains("<MM7Version>5.3.0<"),
        "{}",
        heard.body
    );
    assert!(!heard.body.contains("REL-6"));
}

#[tokio::test]
async fn what_is_wrong_is_answered_with_its_fault_and_never_taken() {
    let house = House::open("").await;
    let report = delivery_report("tx-1", "msg-1", "Expired");
    let submit = report
        .replace("DeliveryReportReq", "SubmitReq")
        .replace("<Recipient>", "<Recipients><To>")
        .replace("</Recipient>", "</To></Recipients>");
    for (body, code, faultcode) in [
        ("", 2007, "Client"),
        ("<html></html>", 2007, "Client"),
        ("{}", 2007, "Client"),
        (&report[..report.len() - 30], 2007, "Client"),
        (&report.replace("schemas.xmlsoap.org/soap/envelope/", "example.org/"), 4002, "VersionMismatch"),
        (
            &report.replace("</e:Header>", "<x:y xmlns:x='u' e:mustUnderstand='1'/></e:Header>"),
            2007,
            "MustUnderstand",
        ),
        (&report.replace("DeliveryReportReq", "SingReq"), 4003, "Client"),
        (&report.replace("DeliveryReportReq", "CancelReq"), 4003, "Client"),
        (&testing::deliver(" ", ""), 2007, "Client"),
        (&testing::deliver("tx-1", "<Sender>"), 2007, "Client"),
        (&submit, 4003, "Client"),
        (&submit_rsp("tx-1", 1000, "m", ""), 4003, "Client"),
        (&report.replace("http://www.3gpp.org/ftp", "http://www.example.org"), 4002, "Client"),
        (&report.replace("<MessageID>msg-1</MessageID>", ""), 2007, "Client"),
    ] {
        let heard = house.post("", body).await;
        assert_eq!(heard.codes(), (500, Some(code)), "{body}\n{}", heard.body);
        assert!(
            heard.body.contains(&format!(":{faultcode}<")) && heard.body.contains("VASPErrorRsp"),
            "{}",
            heard.body
        );
    }
    let heard = house.post("", &report.replace("DeliveryReportReq", "SingReq")).await;
    assert!(heard.body.contains(">tx-1<"), "{}", heard.body);
    // What cannot be read is kept for people, and for nobody else.
    for job in house.kept().await {
        let Job::IntakeV1(intake) = &job else { panic!("{job:?}") };
        let text = String::from_utf8_lossy(&intake.raw);
        assert!(!text.is_empty() && !text.contains("CancelReq") && !text.contains("SubmitReq"), "{text}");
        let gateway =
            Mm7Gateway::new(&settings(""), InstanceId::new(&"carrier".parse().unwrap(), "t", "h", 1))
                .unwrap();
        assert!(gateway.read(intake).is_err(), "{text}");
    }
}

#[tokio::test]
async fn faults_with_200_for_those_who_want_them() {
    let house = House::open("[inbound]\nfaults_with_200 = true\n").await;
    assert_eq!(house.post("", "{}").await.codes(), (200, Some(2007)));
}

#[tokio::test]
async fn credentials_are_asked_for() {
    let house = House::open("[inbound]\nusername = 'user'\npassword = 'pass'\n").await;
    let report = delivery_report("tx-1", "msg-1", "Expired");
    for headers in ["", "authorization: Basic dXNlcjpub3Bl\r\n", "authorization: Bearer user:pass\r\n"] {
        let heard = house.post(headers, &report).await;
        assert_eq!(heard.codes(), (401, Some(4001)), "{headers}");
        assert!(heard.head.contains("www-authenticate: basic realm=\"mm7\""), "{}", heard.head);
    }
    assert!(house.kept().await.is_empty());
    assert_eq!(house.post("authorization: Basic dXNlcjpwYXNz\r\n", &report).await.codes(), (200, Some(1000)));
    let far = House::open("[inbound]\nallow = ['192.0.2.0/24']\n").await;
    assert_eq!(far.post("", &report).await.codes(), (403, Some(4001)));
}

#[tokio::test]
async fn ids_in_the_request_are_checked_where_wanted() {
    let report = delivery_report("tx-1", "msg-1", "Expired");
    let house = House::open("[inbound]\nrelay_server_id = 'another'\n").await;
    assert_eq!(house.post("", &report).await.codes(), (500, Some(4001)));
    let same = House::open("[inbound]\nrelay_server_id = 'mmsc'\n").await;
    assert_eq!(same.post("", &report).await.codes(), (200, Some(1000)));
    let deliver = report
        .replace("DeliveryReportReq", "DeliverReq")
        .replace("</MMSRelayServerID>", "</MMSRelayServerID><VASPID>stranger</VASPID>");
    let vaspid = House::open("# with-ids\n[inbound]\ncheck_vaspid = true\n").await;
    assert_eq!(vaspid.post("", &deliver).await.codes(), (500, Some(4001)));
}

#[tokio::test]
async fn paths_groups_and_sizes() {
    let house = House::open("[inbound]\npath = '/:mm7'\nmax_body = 3000\n").await;
    let report = delivery_report("tx-1", "msg-1", "Expired");
    assert_eq!(house.post_to("/:mm7", "", &report).await.codes(), (200, Some(1000)));
    for unknown in ["nobody", "..%2f", ".x"] {
        let heard = house.post_to(&format!("/mmsgw/v1/mms/inbound/{unknown}"), "", &report).await;
        assert_eq!(heard.codes(), (404, None), "{unknown}");
        assert!(heard.head.contains("text/plain"));
    }
    let long = report.replace("Expired", &"x".repeat(3000));
    assert_eq!(house.post("", &long).await.codes(), (413, Some(2004)));
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = "POST /mmsgw/v1/mms/inbound/carrier HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    stream.write_all(format!("{head}{chunked}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn trouble_of_our_own_asks_for_patience() {
    let house = House::open("").await;
    let receiver = Arc::new(Receiver::new(&settings("")).unwrap());
    let admission = Admission::new(1, 1);
    let reception = Reception { engine: house.engine.clone(), admission, receiver };
    for (refusal, wait) in [
        (Refusal::Overloaded { retry_after: Duration::from_secs(5) }, "5"),
        (Refusal::Store(StoreError::Corrupt("x".into())), "10"),
        (Refusal::Conflict, "10"),
    ] {
        let response = reception.refuse(&refusal, &Context::default());
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], wait);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("<StatusCode>4006<"));
    }
    let unknown = reception.refuse(&Refusal::UnknownGroup("x".parse().unwrap()), &Context::default());
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn what_there_is_no_room_for_is_to_come_again() {
    let house = House::open("").await;
    let receiver = Arc::new(Receiver::new(&settings("")).unwrap());
    let door = Admission::new(2, 4 << 10);
    let held = door.admit(3 << 10).unwrap();
    let reception = Reception { engine: house.engine.clone(), admission: door.clone(), receiver };
    let ask = async |body: Body| {
        let request = Request::post("/mmsgw/v1/mms/inbound/carrier").header(CONTENT_TYPE, "text/xml");
        let mut request = request.body(body).unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        request.extensions_mut().insert(Peer { address, certificate: None });
        reception.take(request).await
    };
    let refused = |response: &Response| response.status() == 503 && response.headers()[RETRY_AFTER] == "2";
    let chunks =
        futures_util::stream::iter([Ok::<_, std::io::Error>("x".repeat(1_000)), Ok("x".repeat(1_000))]);
    assert!(refused(&ask(Body::from_stream(chunks)).await), "too many octets, not announced");
    assert_ne!(ask("x".into()).await.status(), 503);
    let other = door.admit(0).unwrap();
    assert!(refused(&ask("x".into()).await), "too many requests");
    drop((held, other));
    assert_ne!(ask("x".repeat(4_000).into()).await.status(), 503);
}

/// An MMSC that takes one message.
async fn mmsc() -> String {
    let service = Router::new().route(
        "/mm7",
        post(async |body: String| {
            let transaction = body.split("TransactionID").nth(1).unwrap().split(['>', '<']).nth(1).unwrap();
            submit_rsp(transaction, 1000, "msg-77", "")
        }),
    );
    let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    tokio::spawn(serve_http(listener, None, HttpLimits::default(), Drain::new(), service));
    format!("http://{address}/mm7")
}

async fn await_state(engine: &Engine, id: MessageId, state: State) {
    let reached = async {
        while engine.message(id).await.unwrap().0.state() != Some(state) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, reached).await.unwrap_or_else(|_| panic!("{state} was not reached"));
}

#[tokio::test]
async fn a_message_goes_out_and_its_reports_come_back() {
    let settings = settings_for(&mmsc().await, "");
    let house = House::with(&settings).await;
    house.run(&settings);
    let part = PartDraft::New {
        name: "a.txt".into(),
        content_type: "text/plain".into(),
        content: DraftContent::Text("hello".into()),
    };
    let content: TemplateContent = testing::content(&[]).template.content;
    let submission = Submission {
        to: vec!["+15555550101".parse().unwrap()],
        cc: Vec::new(),
        bcc: Vec::new(),
        group: Some(settings.gateway.group.clone()),
        priority: None,
        linked_id: None,
        ..Submission::default()
    };
    let draft = TemplateDraft { content, parts: vec![part] };
    let (message, _) = house.engine.submit_new(draft, submission).await.unwrap();
    await_state(&house.engine, message.id, State::Acknowledged).await;
    let (sent, _) = house.engine.message(message.id).await.unwrap();
    assert_eq!(sent.peer_ref.as_deref(), Some("msg-77"));
    for (report, state) in [
        (delivery_report("tx-1", "msg-77", "Retrieved"), State::Delivered),
        (read_reply("tx-2", "msg-77", "Read"), State::Read),
    ] {
        assert_eq!(house.post("", &report).await.codes(), (200, Some(1000)));
        await_state(&house.engine, message.id, state).await;
    }
}

#[tokio::test]
async fn a_peer_has_its_requests_in_a_second() {
    let house = House::open("[inbound]\nrequests_per_second = 0.01\n").await;
    let report = delivery_report("tx-1", "msg-1", "Expired");
    assert_eq!(house.post("", &report).await.codes(), (200, Some(1000)));
    let refused = house.post("", &report).await;
    assert_eq!(refused.codes(), (503, Some(4006)));
    assert!(refused.head.to_lowercase().contains("retry-after: "), "{}", refused.head);
}
