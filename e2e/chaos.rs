//! Everything goes wrong at once, by chance and from a printed seed, while messages go out, come in and are told of.
//! Then all is put right, and accounts are made up: nothing that was taken is lost or done twice, and nothing is left.
//!
//! `MMSGW_SEED` repeats a run's choices (the machine's timing it cannot repeat). `MMSGW_CHAOS_SECONDS` and
//! `MMSGW_CHAOS_MESSAGES` say how long it lasts at least, on each store, and over how many messages. See docs/chaos.md.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mmsgw_mmsc_sim::{Mo, Protocol};
use serde_json::{Value, json};

use crate::rig::crash::{Chance, check_events, text};
use crate::rig::mischief::{Mischief, REFUSED, good_carrier};
use crate::rig::redis::Redis;
use crate::rig::site::{GROUPS, Site};
use crate::rig::vitals::files_below;
use crate::rig::{BINARY, picture, wait_until};

/// Applications and phones that send at the same time.
const SENDERS: usize = 24;
/// Lines of a batch.
const LINES: u64 = 40;
/// Longest time until all is done once everything works again.
const SETTLING: Duration = Duration::from_secs(120);
/// What a process may hold that has nothing to do: its listeners, files and idle connections.
const DESCRIPTORS: usize = 200;
/// How much memory may grow from one quiet moment to the next.
const GROWTH: u64 = 64 << 20;

fn from_environment(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// What was sent, and what was said to it.
struct Load {
    site: Arc<Site>,
    next: AtomicU64,
    over: AtomicBool,
    /// Messages answered 202, by number.
    single: Mutex<BTreeMap<u64, String>>,
    /// Batches answered 202, by number.
    batches: Mutex<BTreeMap<u64, String>>,
    /// Messages from phones that were taken.
    phones: Mutex<BTreeMap<u64, Protocol>>,
    /// Answers other than yes, by what they were.
    refused: Mutex<BTreeMap<String, u64>>,
}

impl Load {
    fn new(site: &Arc<Site>) -> Arc<Self> {
        Arc::new(Self {
            site: Arc::clone(site),
            next: AtomicU64::new(1),
            over: AtomicBool::new(false),
            single: Mutex::default(),
            batches: Mutex::default(),
            phones: Mutex::default(),
            refused: Mutex::default(),
        })
    }

    /// Sends one thing after the other until all is over; each is repeated until it is taken.
    async fn send(self: Arc<Self>) {
        while !self.over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            match number % 5 {
                _ if number.is_multiple_of(60) => self.batch(number).await,
                0 => self.phone(number, Protocol::Mm4).await,
                1 => self.phone(number, Protocol::Mm7).await,
                _ => self.message(number).await,
            }
        }
    }

    async fn message(&self, number: u64) {
        let id = self.posted(&format!("one-{number}"), "mms", &message(number)).await;
        self.single.lock().unwrap().insert(number, id);
    }

    async fn batch(&self, number: u64) {
        let template = json!({"origin": "54321", "subject": "to all", "parts": [words("to all")]});
        let template = self.posted(&format!("template-{number}"), "mms", &template).await;
        let path = format!("mms/outbound/{template}/batch?gateway={}", group(number));
        let lines: Vec<Value> =
            (0..LINES).map(|line| json!({"destination": batch_number(number, line)})).collect();
        let id = self.posted(&format!("batch-{number}"), &path, &json!(lines)).await;
        self.batches.lock().unwrap().insert(number, id);
    }

    /// Posts under an Idempotency-Key until it is taken; the id of what was made.
    async fn posted(&self, key: &str, path: &str, body: &Value) -> String {
        loop {
            let request = self.site.http.post(self.site.url(path)).header("idempotency-key", key);
            let answer =
                request.header("content-type", "application/json").body(body.to_string()).send().await;
            match answer {
                Ok(answer) if answer.status().is_success() => {
                    // Its head is the promise; where the body is cut off, the place tells the id.
                    let place = answer.headers().get("location").and_then(|place| place.to_str().ok());
                    return place.and_then(|place| place.rsplit('/').next()).expect("a place").to_owned();
                }
                Ok(answer) => {
                    let status = answer.status();
                    let said = answer.text().await.unwrap_or_default();
                    // All others would mean that the gateway blames the request for trouble of its own.
                    let may_pass = matches!(status.as_u16(), 409 | 429 | 503 | 504 | 408);
                    assert!(may_pass, "{path}: {status} {said}");
                    self.count(status.as_str());
                }
                Err(_) => self.count("no answer"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn phone(&self, number: u64, over: Protocol) {
        let mo = from_phone(number);
        loop {
            let carrier = &self.site.carrier;
            let sent = match over {
                Protocol::Mm4 => carrier.send_mo_mm4(&mo).await,
                Protocol::Mm7 => carrier.send_mo_mm7(&mo).await,
            };
            if sent.answer.is_ok() {
                self.phones.lock().unwrap().insert(number, over);
                return;
            }
            self.count(&format!("{over:?} {}", sent.answer.code));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn count(&self, what: &str) {
        *self.refused.lock().unwrap().entry(what.to_owned()).or_default() += 1;
    }

    fn taken(&self) -> u64 {
        let [single, batches] = [&self.single, &self.batches].map(|kind| kind.lock().unwrap().len() as u64);
        single + batches * LINES + self.phones.lock().unwrap().len() as u64
    }
}

fn group(number: u64) -> &'static str {
    GROUPS[usize::from(number % 4 < 2)]
}

fn is_refused(number: u64) -> bool {
    number.is_multiple_of(49)
}

fn words(words: &str) -> Value {
    json!({"name": "a.txt", "content_type": "text/plain", "content": words})
}

fn message(number: u64) -> Value {
    let mut parts = vec![words(&format!("message {number}"))];
    if number.is_multiple_of(7) {
        let octets = encodify::base64::STANDARD.encode(media(number));
        parts.push(
            json!({"name": "a.jpg", "content_type": "image/jpeg", "encoding": "base64", "content": octets}),
        );
    }
    let subject = if is_refused(number) { format!("{REFUSED} {number}") } else { format!("chaos {number}") };
    json!({"origin": "54321", "subject": subject, "parts": parts,
        "send": {"destination": single_number(number), "gateway": group(number)}})
}

fn single_number(number: u64) -> String {
    format!("+1555{number:07}")
}

fn batch_number(number: u64, line: u64) -> String {
    format!("+1666{:07}", number * 100 + line)
}

fn from_phone(number: u64) -> Mo {
    Mo {
        from: "+15555550150".into(),
        to: vec!["+15555550161".into()],
        subject: format!("mo {number}"),
        text: format!("message {number}"),
        picture: number.is_multiple_of(3).then(|| media(number)),
        transaction_id: Some(format!("mo-t-{number}")),
        message_id: Some(format!("mo-m-{number}")),
        ..Mo::default()
    }
}

fn media(number: u64) -> Vec<u8> {
    picture(3_000, u32::try_from(number).unwrap().wrapping_mul(2)).to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_wrong_on_the_embedded_store() {
    run("chaos on the embedded store", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_wrong_on_redis() {
    run("chaos on Redis", Some(Redis::durable())).await;
}

async fn run(name: &str, redis: Option<Redis>) {
    let mut mischief = Mischief::new(Chance::new(name));
    let (seconds, messages) =
        (from_environment("MMSGW_CHAOS_SECONDS", 20), from_environment("MMSGW_CHAOS_MESSAGES", 1_500));
    let start = Instant::now();
    let site = Arc::new(Site::start(good_carrier(), redis).await);
    let load = Load::new(&site);
    let watched = Arc::clone(&site);
    let supervisor = tokio::spawn(async move {
        loop {
            watched.supervise();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let senders: Vec<_> = (0..SENDERS).map(|_| tokio::spawn(Arc::clone(&load).send())).collect();
    while start.elapsed() < Duration::from_secs(seconds) {
        assert!(!senders.iter().any(tokio::task::JoinHandle::is_finished), "a sender gave up");
        mischief.step(&site).await;
    }
    mischief.end(&site);
    let (stormy, taken) = (start.elapsed(), load.taken());
    // The rest on better days.
    let calm = Instant::now();
    while load.taken() < messages {
        assert!(calm.elapsed() < 3 * SETTLING, "{} of {messages} taken\n{}", load.taken(), site.log_tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    load.over.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    println!(
        "{name}: {taken} taken in {stormy:.1?} of storm, {} in all, with {} kills\n  {:?}\n  not taken: {:?}",
        load.taken(),
        mischief.kills,
        mischief.drawn,
        load.refused.lock().unwrap()
    );
    site.quiet(SETTLING).await;
    println!("  settled within {:.1?} after the storm", start.elapsed() - stormy);
    let told = audit_messages(&load).await;
    audit_carrier(&load, &told);
    audit_phones(&load);
    audit_dead(&load).await;
    audit_vitals(&load).await;
    supervisor.abort();
    let log = std::fs::read_to_string(site.path().join("log")).unwrap();
    assert!(!log.contains("panicked"), "a defect showed:\n{}", site.log_tail());
    // Redis lives by a clock of its own, which cannot be shifted: libfaketime and its allocator do not get along.
    if site.redis.is_none() {
        audit_remains(&site).await;
    }
    println!("{name}: all in {:.1?}", start.elapsed());
}

/// Every message has come to its end, and the application was told all of it, each event under one id; the last
/// transaction of each message, by number.
async fn audit_messages(load: &Load) -> BTreeMap<String, String> {
    let (site, told) = (&load.site, load.site.events.told());
    let single = load.single.lock().unwrap().clone();
    let mut transactions = BTreeMap::new();
    let mut known = BTreeSet::new();
    for (number, id) in &single {
        let message = site.get(&format!("mms/outbound/{id}")).await;
        let end = if is_refused(*number) { ["FAILED", "REJECTED"] } else { ["READ", "READ"] };
        assert!(end.contains(&text(&message, "state")), "{message:#}");
        check_events(&message, told.get(id));
        transactions.insert(single_number(*number), text(&message, "last_tran_id").to_owned());
        known.insert(id.clone());
    }
    let batches = load.batches.lock().unwrap().clone();
    for id in batches.values() {
        let batch = site.get(&format!("batches/{id}")).await;
        assert_eq!((&batch["accepted"], text(&batch, "state")), (&json!(LINES), "complete"), "{batch:#}");
        assert_eq!(batch["counts"], json!({"READ": LINES}), "{batch:#}");
    }
    let others = told.keys().filter(|id| !known.contains(*id)).count() as u64;
    assert_eq!(others, batches.len() as u64 * LINES, "messages of batches that the application heard of");
    transactions
}

/// Every number got its message, repeated under one transaction id only, and nobody else got any.
fn audit_carrier(load: &Load, transactions: &BTreeMap<String, String>) {
    assert_eq!(load.site.carrier.counts().dropped, 0, "the carrier's memory is too small for this test");
    let (mut reached, mut taken) = (BTreeSet::new(), BTreeMap::<String, Vec<String>>::new());
    for received in load.site.carrier.received() {
        if matches!(received.kind.as_str(), "SubmitReq" | "MM4_forward.REQ") {
            assert!(received.problems.is_empty(), "{:?}", received.problems);
            for recipient in received.recipients() {
                let number = recipient.split('/').next().unwrap_or_default().to_owned();
                reached.insert(number.clone());
                // What was refused for the time being comes again under another transaction id.
                if received.accepted {
                    taken.entry(number).or_default().push(received.transaction_id.clone());
                }
            }
        }
    }
    let batches = load.batches.lock().unwrap();
    let lines = batches.keys().flat_map(|batch| (0..LINES).map(|line| batch_number(*batch, line)));
    let wanted: BTreeSet<String> = transactions.keys().cloned().chain(lines).collect();
    let missing: Vec<_> = wanted.difference(&reached).collect();
    let strangers: Vec<_> = reached.difference(&wanted).collect();
    assert!(missing.is_empty() && strangers.is_empty(), "never sent {missing:?}, nobody's {strangers:?}");
    let mut repeated = 0;
    for (number, copies) in &taken {
        let different: BTreeSet<_> = copies.iter().collect();
        assert_eq!(different.len(), 1, "{number} was taken under {different:?}");
        // Where the process died between the carrier's answer and its record, reports may bring the message to its end
        // first; then the last transaction on record is an earlier one of the same message.
        if let Some(known) = transactions.get(number) {
            assert_eq!(message_of(&copies[0]), message_of(known), "of {number}");
        }
        repeated += copies.len() - 1;
    }
    println!("  {} numbers reached, {repeated} copies under the same transaction id", reached.len());
}

/// What is the same in all transaction ids of a message.
fn message_of(transaction: &str) -> &str {
    transaction.rsplit_once('-').map_or(transaction, |(message, _)| message)
}

/// Every message from a phone was handed to the application whole, as one message under one id.
fn audit_phones(load: &Load) {
    let mut ids = BTreeMap::<u64, BTreeSet<(String, String)>>::new();
    for callback in load.site.phones.came() {
        let subject = text(&callback.body["template"], "subject").to_owned();
        let number = subject.strip_prefix("mo ").and_then(|number| number.parse().ok());
        let number = number.unwrap_or_else(|| panic!("nobody sent {}", callback.body));
        ids.entry(number).or_default().insert((text(&callback.body, "id").to_owned(), callback.id.clone()));
        let parts = callback.body["template"]["parts"].as_array().unwrap();
        let words = parts.iter().find(|part| text(part, "content_type").starts_with("text/plain")).unwrap();
        assert_eq!(text(words, "content"), format!("message {number}"));
        assert_eq!(
            parts.iter().any(|part| text(part, "content_type") == "image/jpeg"),
            number.is_multiple_of(3)
        );
    }
    let taken = load.phones.lock().unwrap().clone();
    assert_eq!(ids.keys().collect::<Vec<_>>(), taken.keys().collect::<Vec<_>>(), "messages from phones");
    let several: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(several.is_empty(), "one message is several: {several:?}");
}

/// What was given up is what the carrier refused, and each of it says why.
async fn audit_dead(load: &Load) {
    let [.., dead] = load.site.jobs().await.expect("the store answers");
    let url = format!("http://{}", load.site.ops_address());
    let output = tokio::process::Command::new(BINARY)
        .args(["dead", "list", "--json", "--max", "1000", "--ops", &url])
        .output()
        .await
        .unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).expect("a list of dead jobs");
    let jobs = listed["jobs"].as_array().unwrap();
    assert_eq!(jobs.len() as u64, dead);
    let single = load.single.lock().unwrap();
    let refused = single.keys().filter(|number| is_refused(**number)).count();
    println!("  {dead} dead jobs, {refused} messages refused by the carrier");
    for job in jobs {
        assert!(text(job, "queue").ends_with("/tx") && !text(job, "reason").is_empty(), "{job:#}");
    }
    assert!(jobs.len() <= refused, "{listed:#}");
}

/// After all is done nothing is held that has no use, and doing more of it takes no more.
async fn audit_vitals(load: &Load) {
    let mut quiet = Vec::new();
    for round in 0..3_u64 {
        for number in 0..100 {
            load.message(900_000 + round * 1_000 + number * 2).await;
        }
        load.site.quiet(SETTLING).await;
        let vitals = wait_until("sockets whose peer has gone to be closed", async || {
            let vitals = load.site.vitals();
            vitals.iter().all(|one| one.forgotten == 0 && one.descriptors < DESCRIPTORS).then_some(vitals)
        })
        .await;
        quiet.push(vitals);
    }
    let resident: Vec<Vec<u64>> =
        quiet.iter().map(|all| all.iter().map(|one| one.resident >> 20).collect()).collect();
    println!("  MiB of memory in quiet moments: {resident:?}");
    for (early, late) in quiet[1].iter().zip(&quiet[2]) {
        assert!(late.resident <= early.resident + GROWTH, "{early:?} became {late:?}");
    }
}

/// When the time of all records is over, nothing is left of them: no job, no file, no key.
async fn audit_remains(site: &Site) {
    let before = files_below(&site.media()).len() + small_media(site).await;
    assert!(before > 0, "messages with pictures left no media");
    site.move_to("+20d").await;
    let start = Instant::now();
    let (mut jobs, mut files, mut small) = (None, Vec::new(), 0);
    while start.elapsed() < SETTLING {
        (jobs, files, small) = (site.jobs().await, files_below(&site.media()), small_media(site).await);
        if jobs == Some([0; 3]) && files.is_empty() && small == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let state =
        format!("jobs {jobs:?}, of {before} media {small} small ones and {:?}", files.iter().take(20));
    let nothing = jobs == Some([0; 3]) && files.is_empty() && small == 0;
    assert!(nothing, "something is left: {state}\n{}", site.log_tail());
    println!("  {before} media and all records were forgotten within {:.1?}", start.elapsed());
}

/// Media that the embedded store has as rows, counted by another reader of its file.
async fn small_media(site: &Site) -> usize {
    let count = "import sqlite3, sys\n\
                 store = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True, timeout=30)\n\
                 print(store.execute('SELECT count(*) FROM medium').fetchone()[0])";
    let file = site.path().join("mmsgw-data/media.db");
    let output =
        tokio::process::Command::new("/usr/bin/python3").args(["-c", count]).arg(file).output().await;
    let output = output.expect("Python");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}
