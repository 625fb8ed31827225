//! A gateway that may die at any moment, between a carrier and an application that outlive it.
//!
//! The gateway is the real process, always in the same directory and on the same ports; carrier and
//! application live in the test and remember everything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use mmsgw_mmsc_sim::{Received, SimConfig, Simulator, Targets};
use mmsgw_net::{Drain, HttpLimits, bind, serve_http};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

/// Nothing here takes that long, on however slow a machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until `holds`; panics with `what` where that takes longer than [`LIMIT`].
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < LIMIT, "waited in vain until {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Numbers by chance, the same ones for the same seed (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// Another seed each time, printed; `MMSGW_SEED` repeats one.
    pub(crate) fn new(test: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let given = std::env::var("MMSGW_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| now.as_secs() * 1_000_000 + u64::from(now.subsec_micros()));
        println!("{test}: MMSGW_SEED={seed}");
        Self(seed)
    }

    /// A number from `least` to `most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        least + (mixed ^ (mixed >> 31)) % (most - least + 1)
    }

    /// Lets some time pass.
    pub(crate) async fn pause(&mut self, least_ms: u64, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.between(least_ms, most_ms))).await;
    }
}

/// What a carrier speaks; also the name of the gateway's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Mm4,
    Mm7,
}

impl Over {
    pub(crate) const BOTH: [Self; 2] = [Self::Mm4, Self::Mm7];

    pub(crate) fn group(self) -> &'static str {
        match self {
            Self::Mm4 => "crash-mm4",
            Self::Mm7 => "crash-mm7",
        }
    }
}

/// Directory, ports, carrier, application: all that outlives the gateway.
pub(crate) struct World {
    pub(crate) application: Application,
    directory: TempDir,
    /// Of API, operations, SMTP receiver, HTTP receiver.
    own: [SocketAddr; 4],
    /// Of the carrier: MM7, MM4.
    peer: [SocketAddr; 2],
    simulator: Option<Simulator>,
    http: reqwest::Client,
}

impl World {
    /// A world with a carrier that behaves as `config` says.
    pub(crate) async fn new(config: SimConfig) -> Self {
        let mut world = Self::without_carrier();
        world.open_carrier(config).await;
        world
    }

    /// A world whose carrier cannot be reached yet.
    pub(crate) fn without_carrier() -> Self {
        let [api, ops, smtp, carrier_http, mm7, mm4] = free_ports();
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT);
        let world = Self {
            application: Application::start(),
            directory: tempfile::Builder::new().prefix("mmsgw-crash-").tempdir().unwrap(),
            own: [api, ops, smtp, carrier_http],
            peer: [mm7, mm4],
            simulator: None,
            http: http.build().unwrap(),
        };
        world.configure();
        world
    }

    /// Opens the carrier's ports.
    pub(crate) async fn open_carrier(&mut self, mut config: SimConfig) {
        let [_, _, smtp, carrier_http] = self.own;
        [config.mm7_listen, config.mm4_listen] = self.peer;
        // The gateway is away often, and for a while.
        (config.script.report_retries, config.script.report_retry_ms) = (10_000, 100);
        let simulator = Simulator::start(config).await.unwrap();
        simulator.set_targets(Targets {
            mm7_report_url: Some(format!("http://{carrier_http}/mmsgw/v1/mms/inbound/{}", Over::Mm7.group())),
            mm4_report_addr: Some(smtp.to_string()),
        });
        self.simulator = Some(simulator);
    }

    pub(crate) fn simulator(&self) -> &Simulator {
        self.simulator.as_ref().expect("the carrier is open")
    }

    fn configure(&self) {
        let [api, ops, smtp, carrier_http] = self.own;
        let [mm7, mm4] = self.peer;
        let main = format!(
            "api.listen = '{api}'\nops.listen = '{ops}'\nmm4rx.listen = '{smtp}'\nmm7rx.listen = '{carrier_http}'\n\
             [general]\ncallback_delays = ['300ms']\ncallback_tries = 1000\n\
             report_delays = ['300ms']\nreport_tries = 1000\n"
        );
        let head = |protocol: &str, version: &str, over: Over| {
            format!(
                "[gateway]\nprotocol = '{protocol}'\nversion = '{version}'\nname = 'crash'\ngroup = '{}'\n\
                 events_url = '{}'\nretry_delays = ['300ms']\nmax_tries = 1000\n\
                 [features]\nrequest_submit_ack = true\nrequest_delivery_report = true\n\
                 request_read_receipt = true\n[outbound]\n",
                over.group(),
                self.application.url()
            )
        };
        let mm7 = format!("{}remote_host = 'http://{mm7}/mm7'\n", head("MM7", "6.8.0", Over::Mm7));
        let mm4 = format!(
            "{}remote_host = '{mm4}'\nremote_domain = 'mms.sim.example'\nlocal_domain = 'mms.gw.example'\n",
            head("MM4", "6.10.0", Over::Mm4)
        );
        let gateways = self.directory.path().join("gateways");
        std::fs::create_dir(&gateways).unwrap();
        std::fs::write(self.directory.path().join("mmsgw.toml"), main).unwrap();
        std::fs::write(gateways.join("mm7.toml"), mm7).unwrap();
        std::fs::write(gateways.join("mm4.toml"), mm4).unwrap();
    }

    /// Further lines of the main file's section `[general]`; before the gateway is started.
    pub(crate) fn configure_more(&self, lines: &str) {
        let path = self.directory.path().join("mmsgw.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{text}{lines}\n")).unwrap();
    }

    /// Has messages from phones posted to `url`; before the gateway is started.
    pub(crate) fn receive_at(&self, url: &str) {
        for gateway in ["mm7", "mm4"] {
            let path = self.directory.path().join("gateways").join(format!("{gateway}.toml"));
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, format!("{text}[inbound]\nmms_received_url = '{url}'\n")).unwrap();
        }
    }

    /// Adds a group that speaks MM7 to the same carrier and tells nobody; `head` are further lines of its section
    /// `[gateway]`. Before the gateway is started.
    pub(crate) fn add_group(&self, group: &str, head: &str) {
        let text = format!(
            "[gateway]\nprotocol = 'MM7'\nversion = '6.8.0'\nname = 'crash'\ngroup = '{group}'\n{head}\n\
             [outbound]\nremote_host = 'http://{}/mm7'\n",
            self.peer[0]
        );
        std::fs::write(self.directory.path().join(format!("gateways/{group}.toml")), text).unwrap();
    }

    /// Where the gateway keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("mmsgw-data")
    }

    pub(crate) fn api(&self) -> SocketAddr {
        self.own[0]
    }

    /// Starts the process and does not wait for it.
    pub(crate) fn spawn(&self) -> Gateway {
        let log = self.directory.path().join("log");
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_mmsgw"))
            .args(["serve", "-c"])
            .arg(self.directory.path().join("mmsgw.toml"))
            .env_remove("MMSGW_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Gateway { child: child.unwrap() }
    }

    /// Starts the process, and waits until the API answers.
    pub(crate) async fn start(&self) -> Gateway {
        let mut gateway = self.spawn();
        let start = Instant::now();
        loop {
            let ready = self.http.get(format!("http://{}/readyz", self.own[1])).send().await;
            let open = tokio::net::TcpStream::connect(self.api()).await.is_ok();
            if open && ready.is_ok_and(|answer| answer.status().is_success()) {
                return gateway;
            }
            let ended = gateway.child.try_wait().unwrap();
            assert!(ended.is_none(), "the gateway did not start: {ended:?}\n{}", self.log_tail());
            assert!(start.elapsed() < LIMIT, "the gateway does not get ready\n{}", self.log_tail());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The last lines that the gateway logged.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read(self.directory.path().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Lines of the log that contain `text`.
    pub(crate) fn logged(&self, text: &str) -> Vec<String> {
        let log = std::fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// Posts message number `number`; its id where the answer is 202, else what came instead.
    pub(crate) async fn post(&self, number: u64, over: Over) -> Result<String, String> {
        let url = format!("http://{}/mmsgw/v1/mms", self.api());
        let body = request(number, over).to_string();
        let request = self.http.post(url).header("content-type", "application/json").body(body);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        if answer.status() != StatusCode::ACCEPTED {
            return Err(format!("{}: {}", answer.status(), answer.text().await.unwrap_or_default()));
        }
        // Its head is the promise; where the body is cut off, the place tells the id.
        let place = answer.headers().get("location").and_then(|place| place.to_str().ok());
        let id = place.and_then(|place| place.rsplit('/').next()).expect("202 says where the message is");
        Ok(id.to_owned())
    }

    /// The message as the API shows it; absent where it does not exist.
    pub(crate) async fn message(&self, id: &str) -> Option<Value> {
        let url = format!("http://{}/mmsgw/v1/mms/outbound/{id}", self.api());
        let answer = self.http.get(url).send().await.unwrap();
        if answer.status() == StatusCode::NOT_FOUND {
            return None;
        }
        assert!(answer.status().is_success(), "GET {id}: {}", answer.status());
        Some(answer.json().await.unwrap())
    }

    /// The message's state.
    pub(crate) async fn state(&self, id: &str) -> String {
        let message = self.message(id).await.unwrap_or_else(|| panic!("the message {id} is lost"));
        text(&message, "state").to_owned()
    }

    /// Waits until every message has the state.
    pub(crate) async fn all_in(&self, ids: &[String], state: &str) {
        for id in ids {
            until(&format!("message {id} is {state}"), async || self.state(id).await == state).await;
        }
    }

    /// Waiting, leased and dead jobs over all queues.
    pub(crate) async fn jobs(&self) -> [u64; 3] {
        let metrics = self.metrics().await;
        assert!(metrics.contains("\nmmsgw_store_up 1\n"), "{metrics}");
        ["waiting", "leased", "dead"].map(|kind| sum_of(&metrics, &format!("mmsgw_queue_{kind}_jobs{{")))
    }

    /// The metric of that name, or the sum of all whose names and labels begin so.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        sum_of(&self.metrics().await, name)
    }

    async fn metrics(&self) -> String {
        let metrics = self.http.get(format!("http://{}/metrics", self.own[1])).send().await.unwrap();
        metrics.text().await.unwrap()
    }

    /// Waits until nothing is under way any more: neither a job nor a report of the carrier.
    pub(crate) async fn quiet(&self) {
        until("all work is done", async || {
            let counts = self.simulator.as_ref().map(Simulator::counts).unwrap_or_default();
            let [waiting, leased, _] = self.jobs().await;
            waiting + leased == 0 && counts.reports_queued == counts.reports_ok + counts.reports_failed
        })
        .await;
    }

    /// What the carrier received as message number `number`, every copy.
    pub(crate) fn copies(&self, number: u64) -> Vec<Received> {
        let mut received = self.simulator().received();
        received.retain(|copy| number_of(copy) == Some(number));
        received
    }

    /// After [`World::quiet`]: checks all that must hold of every message however the gateway died, and counts.
    ///
    /// `answered` are the messages that were answered 202, by number. What else the gateway took has lost its
    /// answer on the way, and must be whole all the same.
    pub(crate) async fn audit(&self, answered: &BTreeMap<u64, String>) -> Tally {
        let [waiting, leased, dead] = self.jobs().await;
        assert_eq!((waiting, leased, dead), (0, 0, 0), "waiting, leased, dead jobs\n{}", self.log_tail());
        assert_eq!(self.simulator().counts().reports_failed, 0, "the gateway refused a report");
        let told = self.application.told();
        let mut ids: BTreeSet<String> = told.keys().cloned().collect();
        ids.extend(answered.values().cloned());
        let mut tally = Tally { answered: answered.len(), known: ids.len(), ..Tally::default() };
        let mut transactions = BTreeMap::new();
        for id in &ids {
            let message =
                self.message(id).await.unwrap_or_else(|| panic!("the gateway has lost the message {id}"));
            assert_eq!(text(&message, "state"), "READ", "{message:#}");
            tally.events += check_events(&message, told.get(id));
            let number = number_in(text(&message["template"], "subject")).expect("a number in the subject");
            if let Some(expected) = answered.get(&number) {
                assert_eq!(id, expected, "number {number} is two messages");
            }
            assert!(transactions.insert(number, message).is_none(), "number {number} is two messages");
        }
        self.check_copies(&transactions, &mut tally);
        let callbacks = self.application.callbacks();
        tally.callbacks_repeated = callbacks.len() - tally.events;
        tally
    }

    /// Every message is at the carrier, repeated under one transaction id only, and nothing else is there.
    fn check_copies(&self, messages: &BTreeMap<u64, Value>, tally: &mut Tally) {
        assert_eq!(self.simulator().counts().dropped, 0, "the carrier's memory is too small for this test");
        let mut seen = BTreeMap::<u64, Vec<Received>>::new();
        for copy in self.simulator().received() {
            if let Some(number) = number_of(&copy) {
                seen.entry(number).or_default().push(copy);
            }
        }
        for (number, message) in messages {
            let copies = seen.remove(number).unwrap_or_else(|| panic!("number {number} was never sent"));
            tally.copies += copies.len();
            tally.repeated += usize::from(copies.len() > 1);
            for copy in &copies {
                assert_eq!(copy.transaction_id, text(message, "last_tran_id"), "of number {number}");
                assert_eq!(copy.message_id, copies[0].message_id, "of number {number}");
                assert!(copy.problems.is_empty(), "{:?}", copy.problems);
                let media = picture(*number);
                assert!(copy.parts.iter().any(|part| part.octets == media), "media of number {number}");
            }
        }
        assert!(seen.is_empty(), "the carrier has what the gateway does not know: {:?}", seen.keys());
    }
}

/// What [`World::audit`] counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Messages answered 202.
    pub(crate) answered: usize,
    /// Those, and the ones whose 202 was lost on the way.
    pub(crate) known: usize,
    /// Copies at the carrier.
    pub(crate) copies: usize,
    /// Messages with more than one copy at the carrier.
    pub(crate) repeated: usize,
    /// Events of all messages.
    pub(crate) events: usize,
    /// Callbacks beyond one for each event.
    pub(crate) callbacks_repeated: usize,
}

/// Events are numbered without a gap, and the application was told of these and no others.
pub(crate) fn check_events(message: &Value, told: Option<&BTreeMap<u64, Value>>) -> usize {
    let events = message["events"].as_array().unwrap();
    let sequences: Vec<u64> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, (1..=events.len() as u64).collect::<Vec<_>>(), "{message:#}");
    let told = told.unwrap_or_else(|| panic!("the application heard nothing of {message:#}"));
    for event in events {
        let sequence = event["sequence"].as_u64().unwrap();
        let callback = told.get(&sequence);
        let callback = callback.unwrap_or_else(|| panic!("event {sequence} was not told: {message:#}"));
        for field in ["state", "code", "timestamp", "destinations"] {
            assert_eq!(callback[field], event[field], "{field} of event {sequence} of {message:#}");
        }
    }
    assert_eq!(told.len(), events.len(), "an event was told that is not in {message:#}");
    events.len()
}

/// The process.
pub(crate) struct Gateway {
    child: Child,
}

impl Gateway {
    /// SIGKILL, now.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Octets of memory that the process holds.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the process lives");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// SIGSTOP: the process does nothing any more, its sockets stay.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// SIGTERM, and what the process ended with.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        let mut ended = None;
        until("the process ends after SIGTERM", async || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        })
        .await;
        ended.unwrap()
    }

    fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The application: takes callbacks and remembers them.
pub(crate) struct Application {
    address: SocketAddr,
    shared: Arc<Shared>,
    _drain: Drain,
}

/// How the application answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// 204.
    Takes,
    /// 503 now and then, else 204.
    TakesMostly,
    /// 503.
    Refuses,
    /// Not at all.
    Holds,
}

/// A callback as it came.
#[derive(Debug, Clone)]
pub(crate) struct Callback {
    /// The header `webhook-id`.
    pub(crate) id: String,
    pub(crate) body: Value,
    /// Whether it was answered 204.
    pub(crate) taken: bool,
}

struct Shared {
    mood: watch::Sender<Mood>,
    came: Mutex<Vec<Callback>>,
}

impl Application {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared { mood: watch::Sender::new(Mood::Takes), came: Default::default() });
        let router = axum::Router::new().route("/events", post(take)).with_state(Arc::clone(&shared));
        let (listener, address) = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let drain = Drain::new();
        drain.spawn(serve_http(listener, None, HttpLimits::default(), drain.child(), router));
        Self { address, shared, _drain: drain }
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where callbacks go.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Changes how it answers. A callback that is held stays so.
    pub(crate) fn set(&self, mood: Mood) {
        self.shared.mood.send_replace(mood);
    }

    /// Every callback that came.
    pub(crate) fn came(&self) -> Vec<Callback> {
        self.shared.came.lock().unwrap().clone()
    }

    /// Every callback that was taken.
    pub(crate) fn callbacks(&self) -> Vec<Callback> {
        self.came().into_iter().filter(|callback| callback.taken).collect()
    }

    /// The events taken, by message and sequence. Repetitions must have the same id and say the same.
    pub(crate) fn told(&self) -> BTreeMap<String, BTreeMap<u64, Value>> {
        let mut ids = BTreeMap::new();
        let mut told = BTreeMap::<String, BTreeMap<u64, Value>>::new();
        for callback in self.callbacks() {
            let (message, sequence) = event_of(&callback.body);
            let known = ids.entry((message.clone(), sequence)).or_insert_with(|| callback.id.clone());
            assert_eq!(*known, callback.id, "an event has one webhook-id");
            let old = told.entry(message).or_default().insert(sequence, callback.body.clone());
            assert!(old.is_none_or(|old| old == callback.body), "{} says two things", callback.id);
        }
        told
    }
}

/// The message and the sequence of the event that a callback tells.
pub(crate) fn event_of(body: &Value) -> (String, u64) {
    (text(body, "message").to_owned(), body["sequence"].as_u64().unwrap())
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let id = headers.get("webhook-id").expect("a callback has an id").to_str().unwrap().to_owned();
    let body = serde_json::from_slice(&body).expect("a callback is JSON");
    let mood = *shared.mood.borrow();
    let taken = {
        let mut came = shared.came.lock().unwrap();
        let unlucky = mood == Mood::TakesMostly && came.len() % 25 == 24;
        let taken = matches!(mood, Mood::Takes | Mood::TakesMostly) && !unlucky;
        came.push(Callback { id, body, taken });
        taken
    };
    if mood == Mood::Holds {
        std::future::pending::<()>().await;
    }
    if taken { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE }
}

pub(crate) fn sum_of(metrics: &str, name: &str) -> u64 {
    let values = metrics.lines().filter(|line| line.starts_with(name));
    values.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// A member of a JSON object that is a text.
pub(crate) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

/// The request that makes message number `number`.
pub(crate) fn request(number: u64, over: Over) -> Value {
    json!({
        "origin": "+15555550101",
        "subject": format!("crash {number:06}"),
        "parts": [
            {"name": "words.txt", "content_type": "text/plain", "content": format!("message {number}")},
            {"name": "picture.png", "content_type": "image/png", "encoding": "base64",
             "content": encodify::base64::STANDARD.encode(picture(number))},
        ],
        "send": {"destination": [format!("+1555{number:07}")], "gateway": over.group()},
    })
}

/// Octets that no other message has.
fn picture(number: u64) -> Vec<u8> {
    let mut chance = Chance(number);
    (0..2_000).map(|_| u8::try_from(chance.between(0, 255)).unwrap()).collect()
}

/// The message number of a received message; none for answers and the like.
fn number_of(received: &Received) -> Option<u64> {
    let original = matches!(received.kind.as_str(), "SubmitReq" | "MM4_forward.REQ");
    received.subject.as_deref().filter(|_| original).and_then(number_in)
}

fn number_in(subject: &str) -> Option<u64> {
    subject.strip_prefix("crash ")?.parse().ok()
}

/// Ports that are free, and that the system gives to nobody by itself: a port of the ephemeral range could be taken
/// by any outgoing connection while the gateway is down.
pub(crate) fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut chance = Chance(u64::from(now.subsec_nanos()) ^ u64::from(std::process::id()) << 32);
    let mut held = Vec::new();
    while held.len() < N {
        let port = u16::try_from(chance.between(10_000, 32_000)).unwrap();
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    let addresses: Vec<SocketAddr> = held.iter().map(|listener| listener.local_addr().unwrap()).collect();
    addresses.try_into().unwrap()
}
