//! An API with an engine beneath it, and ways to talk to it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use mmsgw_contract::{KeyRing, Links};
use mmsgw_domain::{Features, GroupSettings, Release, RetryPolicy};
use mmsgw_edge_api::{ApiSettings, router_with_clock};
use mmsgw_engine::{Call, CallVerdict, Engine, EngineParts, EngineSettings, FetchError, Fetcher, Notifier};
use mmsgw_store::{DirectoryBlobs, LocalRegistry, ManualClock, MemoryStore};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) blobs: Arc<DirectoryBlobs>,
    _directory: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

struct Nowhere;

#[async_trait]
impl Notifier for Nowhere {
    async fn notify(&self, _: &Call<'_>) -> CallVerdict {
        CallVerdict::Done
    }
}

#[async_trait]
impl Fetcher for Nowhere {
    fn check(&self, url: &str) -> Result<(), FetchError> {
        assert!(!url.contains("panic"), "a fault of ours");
        let refused = url.contains("169.254.");
        if refused { Err(FetchError::Refused("a private address".into())) } else { Ok(()) }
    }

    async fn fetch(&self, _: &str, _: &str) -> Result<Bytes, FetchError> {
        Err(FetchError::Missing("nothing is there".into()))
    }
}

fn group(name: &str) -> GroupSettings {
    GroupSettings {
        name: name.parse().unwrap(),
        window: 1,
        tps_limit: None,
        retry: RetryPolicy { delays: vec![Duration::from_secs(1)], max_tries: 2 },
        events_url: vec!["https://events.example/gw".into()],
        mms_received_url: None,
        features: Features {
            request_submit_ack: None,
            request_delivery_report: Some(true),
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
        max_age: Duration::from_secs(3_600),
        heartbeat_interval: None,
        content: mmsgw_domain::ContentSettings::default(),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with("", EngineSettings::default())
    }

    /// A world whose section `[api]` goes on with `text`.
    pub(crate) fn with(text: &str, engine: EngineSettings) -> Self {
        let settings: ApiSettings = toml::from_str(text).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let blobs = Arc::new(DirectoryBlobs::open(directory.path()).unwrap());
        let parts = EngineParts {
            store: store.clone(),
            registry: Arc::new(LocalRegistry::new(clock.clone())),
            blobs: blobs.clone(),
            clock: clock.clone(),
            fetcher: Arc::new(Nowhere),
            notifier: Arc::new(Nowhere),
        };
        let engine =
            Engine::new(parts, EngineSettings { default_group: Some("gw".parse().unwrap()), ..engine });
        for name in ["gw", "other"] {
            engine.know_group(group(name));
        }
        let shared = format!("file://{}/", directory.path().display());
        let links = Links::at(&settings.public_base()).with_group("other".parse().unwrap(), &shared);
        let keys = KeyRing::new(&settings.keys);
        let router = router_with_clock(engine.clone(), &settings, keys, links, clock.clone()).unwrap();
        Self { router, engine, clock, store, blobs, _directory: directory }
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: head.status, headers: head.headers, body }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.call(request(method, path, body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Request::get(path).body(Body::empty()).unwrap()).await
    }
}

pub(crate) fn request(method: Method, path: &str, body: &Value) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// The JSON of an answer with that status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:?}", self.body);
        self.json()
    }

    /// Checks that it is a problem of that status and code, and gives the pointers at fault.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Vec<String> {
        let problem = self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some(code), Some(status.into())));
        let instance = problem["instance"].as_str().unwrap();
        assert!(instance.ends_with(self.header("x-request-id")), "{instance}");
        let faults = problem["errors"].as_array().unwrap();
        faults.iter().map(|fault| fault["pointer"].as_str().unwrap().to_owned()).collect()
    }
}
