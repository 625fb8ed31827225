//! An engine with everything around it in the test's hands.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mmsgw_domain::{
    Address, AnswerJob, CarrierReport, Clock, ContentSettings, Features, GroupName, GroupSettings,
    InstanceId, IntakeJob, IntakeKind, Message, MessageId, Queue, QueueKind, Release, ReportOrder,
    RetryPolicy, State, SystemClock, Template, TemplateContent,
};
use mmsgw_engine::{
    Amendment, Answer, Call, CallSubject, CallVerdict, Delivery, DraftContent, Engine, EngineParts,
    EngineSettings, FetchError, Fetcher, Gateway, Incoming, InstanceIdentity, Notifier, Outbound,
    OutboundAnswer, OutboundReport, PartDraft, Scales, Submission, TemplateDraft, Unreadable, Verdict,
};
use mmsgw_store::{DirectoryBlobs, LocalRegistry, MemoryStore, Store};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::slow_store::SlowStore;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<LocalRegistry>,
    pub(crate) app: Arc<App>,
    pub(crate) media: Arc<Media>,
    stop: CancellationToken,
    tasks: TaskTracker,
    dir: tempfile::TempDir,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new(Arc::new(SystemClock))))
    }

    /// On a store whose every commit takes so long.
    pub(crate) fn with_slow_store(pause: Duration) -> Self {
        Self::on(Arc::new(SlowStore { store: MemoryStore::new(Arc::new(SystemClock)), pause }))
    }

    /// With other settings of the engine.
    pub(crate) fn with(change: impl FnOnce(&mut EngineSettings)) -> Self {
        Self::made(Arc::new(MemoryStore::new(Arc::new(SystemClock))), change)
    }

    fn on(store: Arc<dyn Store>) -> Self {
        Self::made(store, |_| {})
    }

    fn made(store: Arc<dyn Store>, change: impl FnOnce(&mut EngineSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let registry = Arc::new(LocalRegistry::new(Arc::clone(&clock)));
        let (app, media) = (Arc::new(App::default()), Arc::new(Media::default()));
        let parts = EngineParts {
            store: Arc::clone(&store),
            registry: registry.clone(),
            blobs: Arc::new(DirectoryBlobs::open(dir.path()).unwrap()),
            clock,
            fetcher: media.clone(),
            notifier: app.clone(),
        };
        let quick = |max_tries| RetryPolicy { delays: vec![Duration::from_millis(5)], max_tries };
        let mut settings = EngineSettings {
            callback_retry: quick(4),
            report_retry: quick(40),
            defect_retry: quick(3),
            default_group: Some("gw".parse().unwrap()),
            ..EngineSettings::default()
        };
        change(&mut settings);
        let engine = Engine::new(parts, settings);
        Self {
            engine,
            store,
            registry,
            app,
            media,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            dir,
        }
    }

    /// Another engine on the same store, as another process would have it.
    pub(crate) fn another_engine(&self) -> Engine {
        let parts = EngineParts {
            store: Arc::clone(&self.store),
            registry: Arc::new(LocalRegistry::new(Arc::new(SystemClock))),
            blobs: Arc::new(DirectoryBlobs::open(self.dir.path()).unwrap()),
            clock: Arc::new(SystemClock),
            fetcher: self.media.clone(),
            notifier: self.app.clone(),
        };
        let engine = Engine::new(parts, self.engine.settings().clone());
        self.engine.groups().iter().for_each(|group| drop(engine.know_group(group.settings.clone())));
        engine
    }

    /// Has the workers take no more.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Adds a group and starts its workers.
    pub(crate) fn gateway(&self, name: &str, change: impl FnOnce(&mut GroupSettings)) -> Arc<Carrier> {
        let mut settings = group_settings(name);
        change(&mut settings);
        let instance = InstanceId::new(&settings.name, "test", "host", 1);
        let carrier = Arc::new(Carrier::new(instance));
        let gateway: Arc<dyn Gateway> = carrier.clone();
        let group = self.engine.know_group(settings);
        group.weigh_by(PlainScales);
        let identity = InstanceIdentity::new(carrier.instance.clone(), "serve").speaking("MM7");
        self.engine.run_group(&group, &gateway, identity.clone(), &self.stop, &self.tasks);
        self.engine.run_callbacks(&group, identity, &self.stop, &self.tasks);
        carrier
    }

    pub(crate) async fn send(&self, to: &[&str]) -> MessageId {
        self.send_through("gw", to).await
    }

    pub(crate) async fn send_through(&self, group: &str, to: &[&str]) -> MessageId {
        self.submit(text_template(), group, to).await
    }

    pub(crate) async fn submit(&self, draft: TemplateDraft, group: &str, to: &[&str]) -> MessageId {
        let submission = Submission {
            to: numbers(to),
            group: Some(group.parse().unwrap()),
            events_url: vec!["http://app.example/events".into()],
            ..Submission::default()
        };
        self.engine.submit_new(draft, submission).await.unwrap().0.id
    }

    /// How many media are kept.
    pub(crate) fn blobs(&self) -> usize {
        fn files(directory: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
        }
        files(self.dir.path())
    }

    /// Puts a file where the directory of media was.
    pub(crate) fn lose_media_directory(&self) {
        std::fs::remove_dir_all(self.dir.path()).unwrap();
        std::fs::write(self.dir.path(), "").unwrap();
    }

    pub(crate) async fn message(&self, id: MessageId) -> Message {
        self.store.message(id).await.unwrap().expect("the message is known")
    }

    /// The message, as soon as it is as wanted.
    pub(crate) async fn message_when(&self, id: MessageId, wanted: impl Fn(&Message) -> bool) -> Message {
        eventually("the message is as wanted", async || Some(self.message(id).await).filter(&wanted)).await
    }

    pub(crate) async fn until_state(&self, id: MessageId, state: State) -> Message {
        self.message_when(id, |m| m.state() == Some(state)).await
    }

    /// Hands in a report as if it came from the carrier of `group`. The test's gateways read reports
    /// by their number.
    pub(crate) async fn report(&self, carrier: &Carrier, group: &str, report: CarrierReport) {
        let number = carrier.will_read(Ok(Incoming::Report { report, answer: None }));
        self.hand_in(group, number).await;
    }

    pub(crate) async fn hand_in(&self, group: &str, number: usize) {
        let group: GroupName = group.parse().unwrap();
        let kind = IntakeKind::Http { content_type: "text/xml".into() };
        self.engine.intake(&group, kind, "127.0.0.1".into(), number.to_string().into()).await.unwrap();
    }

    pub(crate) async fn dead(&self, kind: QueueKind) -> Vec<mmsgw_store::DeadJob> {
        let queue = Queue { group: "gw".parse().unwrap(), kind };
        self.store.dead(&queue, None, 100).await.unwrap()
    }

    /// Nothing waits and nothing is in hand.
    pub(crate) async fn until_idle(&self) {
        eventually("the queues are empty", async || {
            let queues = self.store.queues().await.unwrap();
            queues.iter().all(|q| q.waiting == 0 && q.leased == 0).then_some(())
        })
        .await;
    }

    /// Stops taking jobs and waits for those in hand.
    pub(crate) async fn drain(&self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.expect("the workers end");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Looks until there is something to see.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

pub(crate) fn numbers(list: &[&str]) -> Vec<Address> {
    list.iter().map(|n| n.parse().unwrap()).collect()
}

pub(crate) fn group_settings(name: &str) -> GroupSettings {
    GroupSettings {
        name: name.parse().unwrap(),
        window: 8,
        tps_limit: None,
        retry: RetryPolicy { delays: vec![Duration::from_millis(5)], max_tries: 4 },
        events_url: vec![],
        mms_received_url: None,
        features: Features {
            request_submit_ack: Some(true),
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
        max_age: Duration::from_secs(3600),
        heartbeat_interval: None,
        content: ContentSettings::default(),
    }
}

pub(crate) fn text_template() -> TemplateDraft {
    template_with(DraftContent::Text("hello".into()))
}

pub(crate) fn template_with(content: DraftContent) -> TemplateDraft {
    let content_type = "text/plain".into();
    TemplateDraft {
        content: TemplateContent {
            origin: "54321".parse().unwrap(),
            show_sender: None,
            earliest_delivery: None,
            latest_delivery: None,
            expire_after: None,
            message_class: None,
            content_class: None,
            charged_party: None,
            charged_party_id: None,
            drm: None,
            content_adaptation: None,
            can_redistribute: None,
            defaults: mmsgw_domain::Variables::new(),
            personal: false,
            reply_charging: None,
            reply_charging_size: None,
            reply_deadline: None,
            delivery_conditions: None,
            subject: Some("hi".into()),
            parts: vec![],
        },
        parts: vec![PartDraft::New { name: "a.txt".into(), content_type, content }],
    }
}

/// A carrier that does what the test says, in order; then it takes everything.
pub(crate) struct Carrier {
    instance: InstanceId,
    script: Mutex<VecDeque<Turn>>,
    pub(crate) seen: Mutex<Vec<Outbound>>,
    reports: Mutex<Vec<Result<Incoming, Unreadable>>>,
    pub(crate) delay: Mutex<Duration>,
    pub(crate) told: Mutex<Vec<OutboundReport>>,
    pub(crate) answers: Mutex<Vec<AnswerJob>>,
    pub(crate) amended: Mutex<Vec<Amendment>>,
    /// Whether it gives a sign of life.
    pub(crate) lives: Mutex<bool>,
}

pub(crate) enum Turn {
    Answer(Verdict),
    Panic,
}

impl Carrier {
    fn new(instance: InstanceId) -> Self {
        Self {
            instance,
            script: Mutex::default(),
            seen: Mutex::default(),
            reports: Mutex::default(),
            delay: Mutex::default(),
            told: Mutex::default(),
            answers: Mutex::default(),
            amended: Mutex::default(),
            lives: Mutex::new(true),
        }
    }

    pub(crate) fn will(&self, turns: impl IntoIterator<Item = Turn>) {
        self.script.lock().extend(turns);
    }

    /// What comes in under the number given back will be read as that.
    pub(crate) fn will_read(&self, what: Result<Incoming, Unreadable>) -> usize {
        let mut reports = self.reports.lock();
        reports.push(what);
        reports.len() - 1
    }

    fn next_turn(&self, usual: Delivery) -> Verdict {
        let turn = self.script.lock().pop_front();
        match turn {
            None => Verdict::all(usual),
            Some(Turn::Answer(verdict)) => verdict,
            Some(Turn::Panic) => panic!("the test asked for it"),
        }
    }

    pub(crate) fn takes(&self) -> usize {
        self.seen.lock().len()
    }

    pub(crate) fn transactions(&self) -> Vec<String> {
        self.seen.lock().iter().map(|o| o.transaction_id.clone()).collect()
    }
}

/// Octets as they are, and a head of 500.
struct PlainScales;

impl Scales for PlainScales {
    fn wire_octets(&self, outbound: &Outbound) -> u64 {
        500 + outbound.content.bodies.iter().map(|body| body.len() as u64).sum::<u64>()
    }

    fn media_octets(&self, wire: u64) -> u64 {
        wire
    }
}

#[async_trait]
impl Gateway for Carrier {
    fn instance(&self) -> &InstanceId {
        &self.instance
    }

    async fn heartbeat(&self) -> Result<(), String> {
        if *self.lives.lock() { Ok(()) } else { Err("no answer".to_owned()) }
    }

    async fn send(&self, outbound: &Outbound) -> Verdict {
        let delay = *self.delay.lock();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.seen.lock().push(outbound.clone());
        self.next_turn(sent(&format!("ref-{}", outbound.transaction_id)))
    }

    fn read(&self, intake: &IntakeJob) -> Result<Incoming, Unreadable> {
        let number: usize = std::str::from_utf8(&intake.raw).unwrap().parse().unwrap();
        self.reports.lock()[number].clone()
    }

    async fn report(&self, report: &OutboundReport) -> Verdict {
        self.told.lock().push(report.clone());
        self.next_turn(sent("told"))
    }

    async fn amend(&self, amendment: &Amendment) -> Verdict {
        self.amended.lock().push(amendment.clone());
        let answer = Answer::own(mmsgw_domain::Code::OK, "done");
        self.next_turn(Delivery::Sent { peer_ref: None, answer, acknowledged: true })
    }

    async fn answer(&self, answer: &OutboundAnswer<'_>) -> Verdict {
        self.answers.lock().push(answer.job.clone());
        self.next_turn(sent("answered"))
    }
}

pub(crate) fn answer(description: &str) -> Answer {
    Answer::own(mmsgw_domain::Code::UNSPECIFIED, description)
}

pub(crate) fn sent(peer_ref: &str) -> Delivery {
    let answer = Answer::own(mmsgw_domain::Code::OK, "accepted");
    Delivery::Sent { peer_ref: Some(peer_ref.into()), answer, acknowledged: true }
}

pub(crate) fn not_now(heard: bool, later: bool) -> Turn {
    Turn::Answer(Verdict::all(Delivery::Defer { answer: answer("not now"), later, heard, pause: None }))
}

/// An application that keeps what it is told.
#[derive(Default)]
pub(crate) struct App {
    pub(crate) told: Mutex<Vec<Told>>,
    pub(crate) refuse: Mutex<Vec<CallVerdict>>,
    pub(crate) dead_hosts: Mutex<Vec<String>>,
    /// Messages that came in.
    pub(crate) received: Mutex<Vec<(Message, Template)>>,
    /// What it orders in its answer to those.
    pub(crate) orders: Mutex<Vec<ReportOrder>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) url: String,
    pub(crate) delivery_id: String,
    pub(crate) sequence: u32,
    pub(crate) state: State,
}

impl App {
    pub(crate) fn states(&self) -> Vec<State> {
        let mut told = self.told.lock().clone();
        told.sort_by_key(|t| t.sequence);
        told.iter().map(|t| t.state).collect()
    }
}

#[async_trait]
impl Notifier for App {
    async fn notify(&self, call: &Call<'_>) -> CallVerdict {
        if self.dead_hosts.lock().iter().any(|host| call.url.contains(host)) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return CallVerdict::Later { reason: "nobody answers".into(), pause: None };
        }
        if let Some(verdict) = self.refuse.lock().pop() {
            return verdict;
        }
        match call.subject {
            CallSubject::Event { event, .. } => {
                let (url, delivery_id) = (call.url.to_owned(), call.delivery_id.to_owned());
                self.told.lock().push(Told {
                    url,
                    delivery_id,
                    sequence: event.sequence,
                    state: event.state,
                });
                CallVerdict::Done
            }
            CallSubject::InboundMessage { message, template } => {
                self.received.lock().push((message.clone(), template.clone()));
                match self.orders.lock().clone() {
                    orders if orders.is_empty() => CallVerdict::Done,
                    orders => CallVerdict::Answered { orders },
                }
            }
        }
    }
}

/// The web: serves the same octets for every URL, and counts.
#[derive(Default)]
pub(crate) struct Media {
    pub(crate) fetched: Mutex<usize>,
    pub(crate) trouble: Mutex<Option<FetchError>>,
}

#[async_trait]
impl Fetcher for Media {
    fn check(&self, url: &str) -> Result<(), FetchError> {
        if url.contains("forbidden") { Err(FetchError::Refused("not allowed".into())) } else { Ok(()) }
    }

    async fn fetch(&self, _url: &str, _content_type: &str) -> Result<Bytes, FetchError> {
        *self.fetched.lock() += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
        match self.trouble.lock().clone() {
            Some(error) => Err(error),
            None => Ok(Bytes::from_static(b"\xff\xd8fetched")),
        }
    }
}
