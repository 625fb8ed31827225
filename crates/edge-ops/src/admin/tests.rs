//! Who sees what of the dead.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use mmsgw_contract::{ApiKey, KeyRing, KeySettings, Scope};
use mmsgw_domain::{Clock, InstanceId, IntakeJob, IntakeKind, Job, JobId, Queue};
use mmsgw_store::{Batch, Lane, LeaseRequest, ManualClock, MemoryStore, NewJob, Store, Write};
use secrecy::ExposeSecret;
use serde_json::Value;
use tower::ServiceExt;

use crate::config::OpsSettings;
use crate::router::tests::Rig;

const RAW: &[u8] = b"no mail\xff\n";

struct World {
    rig: Rig,
    store: Arc<MemoryStore>,
    keys: KeyRing,
    settings: OpsSettings,
}

impl World {
    fn new(keys: &[KeySettings]) -> Self {
        let mut kept = None;
        let rig = Rig::on(|clock| {
            let store = Arc::new(MemoryStore::new(clock));
            kept = Some(Arc::clone(&store));
            store
        });
        let (keys, settings) = (KeyRing::new(keys), OpsSettings::default());
        Self { rig, store: kept.unwrap(), keys, settings }
    }

    /// Gives up a job of that queue.
    async fn bury(&self, queue: &str) -> JobId {
        let clock: &Arc<ManualClock> = &self.rig.clock;
        let (id, queue) = (JobId::generate(clock.now()), queue.parse::<Queue>().unwrap());
        let kind = IntakeKind::Mail { mail_from: "a@b.example".into(), rcpt_to: vec!["c@d.example".into()] };
        let job = Job::IntakeV1(IntakeJob { kind, peer: "192.0.2.1:9".into(), raw: RAW.into() });
        let new = NewJob { id, queue: queue.clone(), lane: Lane::Normal, due: clock.now(), job };
        self.store.commit(Batch::new().with(Write::Enqueue(new))).await.unwrap();
        let owner = InstanceId::new(&queue.group, "t", "h", 1);
        let request = LeaseRequest { queue, max: 1, owner, hold: Duration::from_secs(60) };
        let lease = self.store.lease(request).await.unwrap().jobs.remove(0).lease;
        let expires = clock.now().after(Duration::from_secs(1_000));
        let bury = Write::Bury { lease, reason: "unreadable: no mail".into(), expires };
        self.store.commit(Batch::new().with(bury)).await.unwrap();
        id
    }

    fn router(&self) -> Router {
        crate::router(self.rig.parts(self.keys.clone()), &self.settings)
    }

    async fn ask(&self, path: &str, key: Option<&ApiKey>) -> (StatusCode, Value) {
        let mut request = Request::get(path);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {}", key.secret.expose_secret()));
        }
        let answer = self.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        let octets = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&octets).unwrap_or(Value::Null))
    }
}

fn settings(key: &ApiKey, scope: Scope) -> KeySettings {
    let name = format!("{scope:?}").to_lowercase();
    KeySettings { name, hash: key.hash, scopes: vec![scope], gateways: None, origins: None }
}

fn ids(page: &Value) -> Vec<&str> {
    page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_dead_are_listed_page_by_page_and_shown_whole() {
    let world = World::new(&[]);
    let mut buried = Vec::new();
    for _ in 0..3 {
        buried.push(world.bury("east/rx").await.to_string());
        world.rig.clock.advance(Duration::from_secs(10));
    }
    world.bury("west/rx").await;
    let (status, page) = world.ask("/admin/v1/dead?queue=east/rx&max=2", None).await;
    assert_eq!((status, ids(&page)), (StatusCode::OK, buried[..2].iter().map(String::as_str).collect()));
    let next = page["next"].as_str().unwrap();
    let (_, rest) = world.ask(&format!("/admin/v1/dead?queue=east/rx&max=2&after={next}"), None).await;
    assert_eq!((ids(&rest), &rest["next"]), (vec![buried[2].as_str()], &Value::Null));
    let first = &page["jobs"][0];
    for (key, value) in [
        ("queue", "east/rx".into()),
        ("job", "intake".into()),
        ("reason", "unreadable: no mail".into()),
        ("tries", 1.into()),
        ("peer", "192.0.2.1:9".into()),
        ("size", RAW.len().into()),
    ] {
        let value: Value = value;
        assert_eq!(first[key], value, "{first}");
    }
    assert_eq!(first["died_ts"], first["created_ts"]);
    let (status, whole) = world.ask(&format!("/admin/v1/dead/{}", buried[1]), None).await;
    assert_eq!((status, &whole["id"]), (StatusCode::OK, &Value::from(buried[1].as_str())));
    assert_eq!(whole["intake"]["octets"], encodify::base64::STANDARD.encode(RAW));
    assert_eq!(whole["intake"]["rcpt_to"][0], "c@d.example");
    let (_, queues) = world.ask("/admin/v1/queues", None).await;
    assert_eq!((&queues["queues"][0]["queue"], &queues["queues"][0]["dead"]), (&"east/rx".into(), &3.into()));
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_told() {
    let world = World::new(&[]);
    for (path, status, word) in [
        ("/admin/v1/dead", 422, "queue"),
        ("/admin/v1/dead?queue=east", 422, "group/kind"),
        ("/admin/v1/dead?queue=east/rx&after=x", 422, "after"),
        ("/admin/v1/dead?queue=east/rx&max=0", 422, "from 1"),
        ("/admin/v1/dead?queue=east/rx&max=1001", 422, "1000"),
        ("/admin/v1/dead?queue=east/rx&order=1", 422, "order"),
        ("/admin/v1/dead/x", 404, "no such"),
        ("/admin/v1/dead/018bcfe568007eb382b98f0eb89ead81", 404, "dead job"),
        ("/admin/v2/dead", 404, "path"),
    ] {
        let (is, problem) = world.ask(path, None).await;
        assert_eq!(is.as_u16(), status, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{path}: {problem}");
        assert_eq!(problem["status"], status, "{path}");
    }
    let (status, empty) = world.ask("/admin/v1/dead?queue=east/rx", None).await;
    assert_eq!((status, ids(&empty).len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn administration_is_for_administrators() {
    let [admin, reader, east, narrow] = std::array::from_fn(|_| ApiKey::generate());
    let world = World::new(&[
        settings(&admin, Scope::Admin),
        settings(&reader, Scope::Read),
        KeySettings { gateways: Some(vec!["east".parse().unwrap()]), ..settings(&east, Scope::Admin) },
        KeySettings { origins: Some(vec!["54321".parse().unwrap()]), ..settings(&narrow, Scope::Admin) },
    ]);
    let west = world.bury("west/rx").await;
    world.bury("east/rx").await;
    let stranger = ApiKey::generate();
    let paths = [
        "/admin/v1/queues".to_owned(),
        "/admin/v1/dead?queue=west/rx".into(),
        format!("/admin/v1/dead/{west}"),
    ];
    for path in &paths {
        for (key, status) in [
            (None, 401),
            (Some(&stranger), 401),
            (Some(&reader), 403),
            (Some(&narrow), 403),
            (Some(&admin), 200),
        ] {
            assert_eq!(world.ask(path, key).await.0.as_u16(), status, "{path}");
        }
    }
    let (_, queues) = world.ask(&paths[0], Some(&east)).await;
    assert_eq!(queues["queues"].as_array().unwrap().len(), 1, "{queues}");
    for path in &paths[1..] {
        assert_eq!(world.ask(path, Some(&east)).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(world.ask("/metrics", None).await.0, StatusCode::OK, "metrics ask for no key");
}

#[tokio::test]
async fn without_keys_it_is_served_on_loopback_only() {
    let mut world = World::new(&[]);
    for (listen, status) in [("127.0.0.1:0", 200), ("[::1]:0", 200), ("0.0.0.0:0", 403), ("192.0.2.1:0", 403)]
    {
        world.settings.listen = listen.parse().unwrap();
        assert_eq!(world.ask("/admin/v1/queues", None).await.0.as_u16(), status, "{listen}");
    }
}

mod keys;
mod steering;
