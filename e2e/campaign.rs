//! A campaign: one template to very many, each with words of their own, in one stream that breaks off because the
//! gateway is killed, while single messages go through the same gateway.
//!
//! `MMSGW_CAMPAIGN_LINES` says to how many; a million belongs to a release build.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream;
use mmsgw_domain::{Clock, GroupName, InstanceId, Job, MessageId, Queue, QueueKind, SystemClock};
use mmsgw_mmsc_sim::{Delay, Recording, SimConfig};
use mmsgw_store::{LeaseRequest, Store};
use mmsgw_store_embedded::{EmbeddedOptions, EmbeddedStore};
use serde_json::{Value, json};

use crate::rig::crash::{Gateway, World, text, until};

const GROUP: &str = "campaign";
/// One line in so many lacks a variable.
const BAD_EVERY: u64 = 1_000;
/// How much more memory the gateway may take than before.
const ROOM: u64 = 100 << 20;
/// A single message is at the carrier within that, whatever else goes on; a debug build may take longer.
const SOON: Duration = if cfg!(debug_assertions) { Duration::from_secs(5) } else { Duration::from_secs(1) };

fn lines() -> u64 {
    std::env::var("MMSGW_CAMPAIGN_LINES").map_or(30_000, |lines| lines.parse().expect("a number of lines"))
}

/// A carrier that takes its time, so that most of the campaign is still to be sent when all of it is accepted.
fn carrier() -> SimConfig {
    let mut config = SimConfig::default();
    config.script.mm7.delay = Delay::fixed(50);
    config.recording.mode = Recording::Full;
    config.recording.messages = 1_000_000;
    config.recording.ledger = 2_000_000;
    config.recording.octets = 4 << 30;
    config
}

fn number(line: u64) -> String {
    format!("+1555{line:08}")
}

fn line(line: u64) -> String {
    let mut request = json!({"destination": number(line), "variables": {"name": format!("Customer {line}"), "points": line}});
    if line.is_multiple_of(BAD_EVERY) {
        request["variables"] = json!({"name": "Nobody"});
    }
    request.to_string() + "\n"
}

/// The whole stream in pieces, which counts what was taken off it.
fn body(count: u64, given: Arc<AtomicU64>) -> reqwest::Body {
    const PIECE: u64 = 200;
    let pieces = (0..count.div_ceil(PIECE)).map(move |piece| {
        let (first, last) = (piece * PIECE + 1, ((piece + 1) * PIECE).min(count));
        given.store(last, Ordering::Relaxed);
        Ok::<_, std::io::Error>((first..=last).map(line).collect::<String>())
    });
    reqwest::Body::wrap_stream(stream::iter(pieces))
}

struct Campaign {
    world: World,
    http: reqwest::Client,
    template: String,
}

impl Campaign {
    async fn start() -> (Self, Gateway) {
        let world = World::new(carrier()).await;
        // So much at once that a single message does not wait for others of its kind, and no more.
        world.add_group(GROUP, "window = 8");
        let gateway = world.start().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut campaign = Self { world, http, template: String::new() };
        let template = json!({
            "origin": "54321", "subject": "For {{ name }}",
            "parts": [
                {"name": "a.txt", "content_type": "text/plain", "content": "{{ name }}, you have {{ points }} points."},
                {"name": "b.gif", "content_type": "image/gif", "encoding": "base64", "content": "R0lGODlhAQABAAAAACw="},
            ],
        });
        let made = campaign.http.post(campaign.url("mms")).header("content-type", "application/json");
        let made: Value = made.body(template.to_string()).send().await.unwrap().json().await.unwrap();
        campaign.template = text(&made, "id").to_owned();
        (campaign, gateway)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/mmsgw/v1/{path}", self.world.api())
    }

    /// Sends the whole stream; the answer's status and body, or none where the connection broke.
    async fn stream(&self, count: u64, given: &Arc<AtomicU64>) -> Option<(u16, Value)> {
        let url = self.url(&format!("mms/outbound/{}/batch?gateway={GROUP}", self.template));
        let request = self.http.post(url).header("content-type", "application/x-ndjson");
        let request = request.header("idempotency-key", "spring").body(body(count, Arc::clone(given)));
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.unwrap_or(Value::Null)))
    }

    /// Sends one message and waits until the carrier has it; how long that took. None where the gateway is away.
    async fn single(&self, name: &str) -> Option<Duration> {
        let begun = Instant::now();
        let request =
            json!({"destination": "54322", "gateway": GROUP, "variables": {"name": name, "points": 0}});
        let url = self.url(&format!("mms/outbound/{}", self.template));
        let request =
            self.http.post(url).header("content-type", "application/json").body(request.to_string());
        let answer = request.send().await.ok()?;
        assert_eq!(answer.status().as_u16(), 202);
        let message: Value = answer.json().await.ok()?;
        let url = self.url(&format!("mms/outbound/{}", text(&message, "id")));
        loop {
            let answer = self.http.get(&url).send().await.ok()?;
            let message: Value = answer.json().await.ok()?;
            if text(&message, "state") != "SCHEDULED" {
                return Some(begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Single messages and looks at the memory, until told to stop: the slowest message, the most memory, how many.
    async fn watch(&self, gateway: &Gateway, over: &AtomicBool) -> (Duration, u64, u32) {
        let (mut slowest, mut most, mut count) = (Duration::ZERO, 0, 0);
        while !over.load(Ordering::Relaxed) {
            if let Some(took) = self.single("Single").await {
                slowest = slowest.max(took);
                count += 1;
            }
            most = most.max(gateway.resident());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        (slowest, most, count)
    }

    /// Sends the stream while [`Campaign::watch`] goes on; checks what was watched.
    async fn watched(&self, gateway: &Gateway, idle: u64, count: u64) -> Value {
        let (over, given) = (AtomicBool::new(false), Arc::default());
        let begun = Instant::now();
        let streaming = async {
            let answer = self.stream(count, &given).await;
            over.store(true, Ordering::Relaxed);
            answer
        };
        let (answer, (slowest, most, singles)) = tokio::join!(streaming, self.watch(gateway, &over));
        println!(
            "campaign: {count} lines in {:.1?}, {} MiB idle, {} MiB at most, {singles} singles, the slowest took {slowest:.0?}",
            begun.elapsed(),
            idle >> 20,
            most >> 20
        );
        assert!(singles > 0 && slowest < SOON, "the slowest of {singles} single messages took {slowest:?}");
        assert!(most < idle + ROOM, "{idle} octets before, {most} while lines came");
        let (status, batch) = answer.expect("the connection holds");
        assert_eq!(status, 202, "{batch}");
        batch
    }

    /// Who is in the queue, and who is at the carrier: the ids of all messages to each number.
    async fn whereabouts(&self) -> BTreeMap<String, BTreeSet<MessageId>> {
        let mut found = BTreeMap::<String, BTreeSet<MessageId>>::new();
        for received in self.world.simulator().received() {
            let id: MessageId = received.transaction_id[..32].parse().unwrap();
            for number in received.recipients() {
                found.entry(number).or_default().insert(id);
            }
        }
        assert_eq!(
            self.world.simulator().counts().dropped,
            0,
            "the carrier's memory is too small for this test"
        );
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = EmbeddedStore::open(&self.world.data(), clock, EmbeddedOptions::default()).unwrap();
        let group: GroupName = GROUP.parse().unwrap();
        let owner = InstanceId::new(&group, "test", "host", 1);
        loop {
            let queue = Queue { group: group.clone(), kind: QueueKind::Tx };
            let request =
                LeaseRequest { queue, max: 1_000, owner: owner.clone(), hold: Duration::from_secs(86_400) };
            let leased = store.lease(request).await.unwrap();
            if leased.jobs.is_empty() {
                return found;
            }
            for job in leased.jobs {
                let Job::TransmitV1(transmit) = job.job else { panic!("{:?}", job.job) };
                let message = store.message(transmit.message).await.unwrap().expect("a job has its message");
                for recipient in &message.recipients {
                    found.entry(recipient.address.to_string()).or_default().insert(message.id);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_survives_a_kill_in_flat_memory_and_delays_nobody() {
    let count = lines();
    let (campaign, gateway) = Campaign::start().await;
    for _ in 0..20 {
        campaign.single("First").await.unwrap();
    }
    let idle = gateway.resident();

    // Half of it, and the gateway is gone.
    let given = Arc::<AtomicU64>::default();
    let streaming = campaign.stream(count, &given);
    let killing = async {
        until("half of the lines are on their way", async || given.load(Ordering::Relaxed) > count / 2).await;
        assert!(gateway.resident() < idle + ROOM);
        gateway.kill();
    };
    let (answer, ()) = tokio::join!(streaming, killing);
    assert!(answer.is_none(), "{answer:?}");

    let gateway = campaign.world.start().await;
    for _ in 0..20 {
        campaign.single("Second").await.unwrap();
    }
    let batch = campaign.watched(&gateway, idle.max(gateway.resident()), count).await;
    let bad = count / BAD_EVERY;
    assert_eq!(
        (&batch["state"], &batch["received"], &batch["accepted"], &batch["refused"]),
        (&json!("complete"), &json!(count), &json!(count - bad), &json!(bad))
    );
    let counted = |batch: &Value| -> u64 {
        batch["counts"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
    };
    assert_eq!(counted(&batch), count - bad, "{batch}");
    let path = format!("batches/{}", text(&batch, "id"));
    let refused =
        campaign.http.get(campaign.url(&format!("{path}/refused?limit=1000"))).send().await.unwrap();
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["lines"].as_array().unwrap().len() as u64, bad.min(1_000));
    assert_eq!(text(&refused["lines"][0], "code"), "missing_variable");

    // Sent once more it is nothing new.
    let (status, again) = campaign.stream(count, &Arc::default()).await.unwrap();
    assert_eq!((status, &again["accepted"], &again["id"]), (202, &batch["accepted"], &batch["id"]));

    assert!(gateway.terminate().await.success());
    let mut found = campaign.whereabouts().await;
    found.remove("54322");
    let twice: Vec<_> = found.iter().filter(|(_, ids)| ids.len() != 1).take(5).collect();
    assert!(twice.is_empty(), "numbers with two messages: {twice:?}");
    let expected = (1..=count).filter(|line| !line.is_multiple_of(BAD_EVERY)).map(number);
    let missing: Vec<_> = expected.clone().filter(|number| !found.contains_key(number)).take(5).collect();
    assert!(missing.is_empty(), "numbers without a message: {missing:?}");
    assert_eq!(found.len() as u64, count - bad);
}
