//! The gateway is killed at random instants while carriers hand in messages, often right after it took one: what was
//! answered 250 or 1000 reaches the application, once by its id, however often carrier and gateway repeat themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mmsgw_mmsc_sim::{Mo, SimConfig};
use tokio::sync::Notify;

use crate::rig::crash::{Application, Chance, Mood, Over, World, text, until};
use crate::rig::picture;

const KILLS: u64 = 30;
/// Phones that send at the same time.
const PHONES: usize = 6;

/// Phones that send without end, and which of their messages the gateway took.
struct Stream {
    world: Arc<World>,
    next: AtomicU64,
    over: AtomicBool,
    taken: Mutex<BTreeMap<u64, Over>>,
    refused: AtomicU64,
    took_one: Notify,
}

impl Stream {
    async fn send(self: Arc<Self>) {
        while !self.over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let over = Over::BOTH[usize::from(number.is_multiple_of(2))];
            // A carrier repeats what was not taken, under the same ids.
            while !self.offer(number, over).await {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            self.taken.lock().unwrap().insert(number, over);
            self.took_one.notify_one();
        }
    }

    async fn offer(&self, number: u64, over: Over) -> bool {
        let (mo, simulator) = (message(number), self.world.simulator());
        let sent = match over {
            Over::Mm4 => simulator.send_mo_mm4(&mo).await,
            Over::Mm7 => simulator.send_mo_mm7(&mo).await,
        };
        sent.answer.is_ok()
    }
}

fn message(number: u64) -> Mo {
    Mo {
        from: "+15555550150".into(),
        to: vec!["+15555550161".into()],
        subject: format!("mo {number}"),
        text: format!("message {number}"),
        picture: Some(media(number)),
        dr: true,
        transaction_id: Some(format!("mo-t-{number}")),
        message_id: Some(format!("mo-m-{number}")),
        ..Mo::default()
    }
}

fn media(number: u64) -> Vec<u8> {
    picture(3_000, u32::try_from(number).unwrap().wrapping_mul(2)).to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_taken_is_lost_however_often_the_gateway_is_killed() {
    let mut chance = Chance::new("inbound_crash");
    let world = Arc::new(World::new(SimConfig::default()).await);
    let application = Application::start();
    application.set(Mood::TakesMostly);
    world.receive_at(&application.url());
    let stream = Arc::new(Stream {
        world: Arc::clone(&world),
        next: AtomicU64::new(1),
        over: AtomicBool::new(false),
        taken: Mutex::default(),
        refused: AtomicU64::new(0),
        took_one: Notify::new(),
    });
    let phones: Vec<_> = (0..PHONES).map(|_| tokio::spawn(Arc::clone(&stream).send())).collect();
    for kill in 0..KILLS {
        let gateway = world.start().await;
        chance.pause(0, 100).await;
        if kill % 3 > 0 {
            // What was told before may be the process before this one: wait for two.
            stream.took_one.notified().await;
            stream.took_one.notified().await;
            chance.pause(0, kill % 3 - 1).await;
        }
        gateway.kill();
    }
    let _gateway = world.start().await;
    stream.over.store(true, Ordering::Relaxed);
    for phone in phones {
        phone.await.unwrap();
    }
    application.set(Mood::Takes);
    world.quiet().await;
    let taken = stream.taken.lock().unwrap().clone();
    assert_eq!(world.jobs().await, [0; 3], "{}", world.log_tail());
    let repeated = assert_told(&application, &taken).await;
    until("all delivery reports are there", async || reported(&world).len() >= of_mm4(&taken).len()).await;
    assert_eq!(reported(&world), of_mm4(&taken));
    let refused = stream.refused.load(Ordering::Relaxed);
    println!("inbound_crash: {KILLS} kills, {} taken, {refused} refused, {repeated} told again", taken.len());
    assert!(taken.len() >= 60, "too little load to prove anything");
    assert!(refused > 0 && repeated > 0, "no kill fell where it hurts");
}

/// Every message taken was told whole, as one message with one id; gives how many callbacks were repetitions.
async fn assert_told(application: &Application, taken: &BTreeMap<u64, Over>) -> usize {
    let came = application.came();
    let mut ids = BTreeMap::<u64, BTreeSet<(String, String)>>::new();
    let mut bodies = BTreeMap::new();
    for callback in application.callbacks() {
        let number = number_in(text(&callback.body["template"], "subject"));
        bodies.entry(number).or_insert(callback.body);
    }
    for callback in &came {
        let number = number_in(text(&callback.body["template"], "subject"));
        ids.entry(number).or_default().insert((text(&callback.body, "id").to_owned(), callback.id.clone()));
    }
    assert_eq!(bodies.keys().collect::<Vec<_>>(), taken.keys().collect::<Vec<_>>());
    for (number, known) in &ids {
        assert_eq!(known.len(), 1, "number {number} is told under several ids: {known:?}");
    }
    for (number, body) in &bodies {
        assert_eq!(text(body, "gateway"), taken[number].group());
        let parts = body["template"]["parts"].as_array().unwrap();
        let of_type =
            |wanted: &str| parts.iter().find(|part| text(part, "content_type").starts_with(wanted)).unwrap();
        assert_eq!(text(of_type("text/plain"), "content"), format!("message {number}"));
        let octets = reqwest::get(text(of_type("image/jpeg"), "content_url")).await.unwrap();
        assert!(octets.bytes().await.unwrap() == media(*number), "media of number {number}");
    }
    came.len() - bodies.len()
}

fn number_in(subject: &str) -> u64 {
    subject.strip_prefix("mo ").unwrap().parse().unwrap()
}

fn of_mm4(taken: &BTreeMap<u64, Over>) -> BTreeSet<String> {
    let mm4 = taken.iter().filter(|(_, over)| **over == Over::Mm4);
    mm4.map(|(number, _)| format!("mo-m-{number}")).collect()
}

/// The messages that the carrier has delivery reports on; each has the same transaction however often it came.
fn reported(world: &World) -> BTreeSet<String> {
    let mut transactions = BTreeMap::<String, BTreeSet<String>>::new();
    for report in world.simulator().received().iter().filter(|r| r.kind == "MM4_delivery_report.REQ") {
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        transactions.entry(report.message_id.clone()).or_default().insert(report.transaction_id.clone());
    }
    for (message, transactions) in &transactions {
        assert_eq!(transactions.len(), 1, "{message} is reported on under several transactions");
    }
    transactions.into_keys().collect()
}
