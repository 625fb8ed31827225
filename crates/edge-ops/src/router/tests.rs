use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use http_body_util::BodyExt;
use mmsgw_domain::{
    Features, GroupSettings, InstanceId, JobId, Message, MessageId, Part, PartId, Queue, Release,
    RetryPolicy, RevisionId, Span, Template, TemplateContent, TemplateId, Timestamp,
};
use mmsgw_engine::{
    Call, CallVerdict, DraftContent, EngineParts, EngineSettings, FetchError, Fetcher, Notifier, PartDraft,
    Submission, TemplateDraft,
};
use mmsgw_store::{
    Batch, DeadJob, DirectoryBlobs, Lease, LeaseRequest, Leased, LocalRegistry, ManualClock, MemoryStore,
    Place, QueueStatus, QueuedJob, Record, RecordKey, Reference, Scan, Scanned, Store, StoreError, Swept,
    TallyKey,
};
use tower::ServiceExt;

use super::*;
use crate::controls::Reloaded;

pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    levels: Arc<Levels>,
    _dir: tempfile::TempDir,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::on(|clock| Arc::new(MemoryStore::new(clock)))
    }

    pub(crate) fn on(store: impl FnOnce(Arc<dyn Clock>) -> Arc<dyn Store>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let parts = EngineParts {
            store: store(clock.clone()),
            registry: Arc::new(LocalRegistry::new(clock.clone())),
            blobs: Arc::new(DirectoryBlobs::open(dir.path()).unwrap()),
            clock: clock.clone(),
            fetcher: Arc::new(Nobody),
            notifier: Arc::new(Nobody),
        };
        Self {
            engine: Engine::new(parts, EngineSettings::default()),
            clock,
            levels: Arc::default(),
            _dir: dir,
        }
    }

    fn router(&self) -> Router {
        let settings =
            OpsSettings { store_timeout: Span(Duration::from_millis(200)), ..OpsSettings::default() };
        router(self.parts(KeyRing::default()), &settings)
    }

    pub(crate) fn parts(&self, keys: KeyRing) -> OpsParts {
        OpsParts {
            engine: self.engine.clone(),
            clock: self.clock.clone(),
            keys,
            links: Arc::new(ArcSwap::from_pointee(Links::at(""))),
            controls: self.levels.clone(),
            drain: Drain::new(),
            listeners: Arc::default(),
        }
    }

    async fn ask(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = self.router().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// Keeps what level it was told.
#[derive(Default)]
struct Levels(std::sync::Mutex<String>);

#[async_trait]
impl Controls for Levels {
    fn log_level(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn set_log_level(&self, filter: &str) -> Result<(), String> {
        if filter == "loud" {
            return Err("no such level".into());
        }
        filter.clone_into(&mut self.0.lock().unwrap());
        Ok(())
    }

    /// Well where the level is anything but `faulty`.
    async fn reload(&self) -> Result<Reloaded, String> {
        match self.log_level().as_str() {
            "faulty" => Err("main.toml: line 2: no such field".into()),
            _ => Ok(Reloaded { added: vec!["new".into()], ..Reloaded::default() }),
        }
    }
}

/// Neither an application nor a media server.
struct Nobody;

#[async_trait]
impl Fetcher for Nobody {
    fn check(&self, _url: &str) -> Result<(), FetchError> {
        Ok(())
    }

    async fn fetch(&self, _url: &str, _content_type: &str) -> Result<Bytes, FetchError> {
        Err(FetchError::Missing("there is nothing".into()))
    }
}

#[async_trait]
impl Notifier for Nobody {
    async fn notify(&self, _call: &Call<'_>) -> CallVerdict {
        CallVerdict::Done
    }
}

/// A store that says no, or nothing at all.
struct Broken {
    silent: bool,
}

impl Broken {
    async fn no<T>(&self) -> Result<T, StoreError> {
        if self.silent {
            pending::<()>().await;
        }
        Err(StoreError::Unavailable("the disk is gone".into()))
    }
}

#[async_trait]
impl Store for Broken {
    async fn commit(&self, _: Batch) -> Result<(), StoreError> {
        self.no().await
    }

    async fn template(&self, _: TemplateId) -> Result<Option<Template>, StoreError> {
        self.no().await
    }

    async fn revision(&self, _: RevisionId) -> Result<Option<Template>, StoreError> {
        self.no().await
    }

    async fn part(&self, _: PartId) -> Result<Option<Part>, StoreError> {
        self.no().await
    }

    async fn message(&self, _: MessageId) -> Result<Option<Message>, StoreError> {
        self.no().await
    }

    async fn messages(&self, _: Scan) -> Result<Scanned, StoreError> {
        self.no().await
    }

    async fn find(&self, _: &Reference) -> Result<Option<MessageId>, StoreError> {
        self.no().await
    }

    async fn lease(&self, _: LeaseRequest) -> Result<Leased, StoreError> {
        self.no().await
    }

    async fn extend(&self, _: &[Lease], _: Duration) -> Result<Vec<Lease>, StoreError> {
        self.no().await
    }

    async fn record(&self, _: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.no().await
    }

    async fn records(&self, _: &RecordKey, _: usize) -> Result<Vec<Record>, StoreError> {
        self.no().await
    }

    async fn tally(&self, _: &TallyKey) -> Result<BTreeMap<String, i64>, StoreError> {
        self.no().await
    }

    async fn disown(&self, _: &InstanceId) -> Result<u64, StoreError> {
        self.no().await
    }

    async fn hold_back(&self, _: &Queue, _: Timestamp) -> Result<(), StoreError> {
        self.no().await
    }

    async fn wait(&self, _: &Queue, at_most: Duration) {
        tokio::time::sleep(at_most).await;
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, StoreError> {
        self.no().await
    }

    async fn dead(&self, _: &Queue, _: Option<JobId>, _: usize) -> Result<Vec<DeadJob>, StoreError> {
        self.no().await
    }

    async fn queued(&self, _: &Queue, _: Option<Place>, _: usize) -> Result<Vec<QueuedJob>, StoreError> {
        self.no().await
    }

    async fn queued_job(&self, _: &Queue, _: JobId) -> Result<Option<QueuedJob>, StoreError> {
        self.no().await
    }

    async fn sweep(&self, _: usize) -> Result<Swept, StoreError> {
        self.no().await
    }
}

pub(crate) fn group(name: &str) -> GroupSettings {
    GroupSettings {
        name: name.parse().unwrap(),
        window: 8,
        tps_limit: None,
        retry: RetryPolicy::default(),
        events_url: vec!["http://app.example/".into()],
        mms_received_url: None,
        features: Features {
            request_submit_ack: None,
            request_delivery_report: None,
            request_read_receipt: None,
            auto_ack: true,
            auto_dr: Release::OnCallback,
            auto_rr: Release::No,
            applic_id: None,
            reply_applic_id: None,
            aux_applic_info: None,
        },
        amends: true,
        queue_by_priority: false,
        max_age: Duration::from_secs(3600),
        heartbeat_interval: None,
        content: mmsgw_domain::ContentSettings::default(),
    }
}

pub(crate) fn draft() -> TemplateDraft {
    let content: TemplateContent =
        serde_json::from_value(serde_json::json!({ "origin": "54321", "parts": [] })).unwrap();
    let part = PartDraft::New {
        name: "a.txt".into(),
        content_type: "text/plain".into(),
        content: DraftContent::Text("hello".into()),
    };
    TemplateDraft { content, parts: vec![part] }
}

#[tokio::test]
async fn a_process_is_live_whatever_the_store_says() {
    for silent in [false, true] {
        let rig = Rig::on(|_| Arc::new(Broken { silent }));
        assert_eq!(rig.ask("/livez").await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn readiness_depends_on_the_store() {
    let (status, body) = Rig::new().ask("/readyz").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, r#"{"ready":true,"reasons":[],"warnings":[]}"#);
    for (silent, reason) in [(false, "the disk is gone"), (true, "does not answer")] {
        let rig = Rig::on(|_| Arc::new(Broken { silent }));
        let (status, body) = rig.ask("/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("\"ready\":false") && body.contains(reason), "{body}");
    }
}

#[tokio::test]
async fn metrics_show_what_was_accepted_and_how_long_it_waits() {
    let rig = Rig::new();
    rig.engine.know_group(group("east"));
    rig.engine.know_group(group("west"));
    for _ in 0..3 {
        let submission = Submission {
            to: vec!["+12065550102".parse().unwrap()],
            group: Some("east".parse().unwrap()),
            ..Submission::default()
        };
        rig.engine.submit_new(draft(), submission).await.unwrap();
    }
    rig.clock.advance(Duration::from_secs(42));
    let (status, text) = rig.ask("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "mmsgw_messages_accepted_total{gateway_group=\"east\"} 3",
        "mmsgw_messages_accepted_total{gateway_group=\"west\"} 0",
        "mmsgw_queue_waiting_jobs{gateway_group=\"east\",queue=\"tx\"} 3",
        "mmsgw_queue_waiting_jobs{gateway_group=\"east\",queue=\"callback\"} 3",
        "mmsgw_queue_waiting_jobs{gateway_group=\"west\",queue=\"tx\"} 0",
        "mmsgw_queue_oldest_age_seconds{gateway_group=\"east\",queue=\"tx\"} 42.0",
        "mmsgw_store_up 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("2065550102"), "a number is told");
}

#[tokio::test]
async fn metrics_are_told_without_the_store() {
    let rig = Rig::on(|_| Arc::new(Broken { silent: true }));
    rig.engine.know_group(group("east"));
    let (status, text) = rig.ask("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("mmsgw_store_up 0") && text.contains("mmsgw_messages_sent_total"), "{text}");
}

#[tokio::test]
async fn there_is_nothing_else() {
    let rig = Rig::new();
    assert_eq!(rig.ask("/elsewhere").await.0, StatusCode::NOT_FOUND);
    let post = Request::post("/livez").body(Body::empty()).unwrap();
    assert_eq!(rig.router().oneshot(post).await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn it_listens_until_the_drain_begins() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let rig = Rig::new();
    let (listener, address) = mmsgw_net::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let (drain, settings) = (Drain::new(), OpsSettings::default());
    let parts = OpsParts { drain: drain.clone(), ..rig.parts(KeyRing::default()) };
    let serving = tokio::spawn(async move { serve(listener, None, parts, &settings).await });
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: application/openmetrics-text"), "{answer}");
    assert!(drain.drain(Duration::from_secs(10)).await);
    timeout(Duration::from_secs(10), serving).await.expect("it ends").unwrap();
}
