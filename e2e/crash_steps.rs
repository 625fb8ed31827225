//! The gateway dies at each step of the crash table, brought about from outside: by a carrier or an application that
//! holds still while it is killed. At the end of each, [`World::audit`] looks at everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use mmsgw_mmsc_sim::{Delay, Plan, SimConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::crash::{Callback, Chance, Mood, Over, World, event_of, request, until};

/// Posts one message over each protocol; `first` and the next are their numbers.
async fn post_both(world: &World, first: u64) -> BTreeMap<u64, String> {
    let mut answered = BTreeMap::new();
    for (number, over) in (first..).zip(Over::BOTH) {
        answered.insert(number, world.post(number, over).await.unwrap());
    }
    answered
}

fn ids(answered: &BTreeMap<u64, String>) -> Vec<String> {
    answered.values().cloned().collect()
}

/// The head and `octets` of the body of a request to the API.
fn request_octets(world: &World, number: u64, octets: usize) -> Vec<u8> {
    let body = request(number, Over::Mm7).to_string();
    let head = format!(
        "POST /mmsgw/v1/mms HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        world.api(),
        body.len()
    );
    [head.as_bytes(), &body.as_bytes()[..octets.min(body.len())]].concat()
}

/// What is left to read; nothing where the connection was reset.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after some octets leaves these.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_not_whole_or_not_read_leaves_nothing() {
    let world = World::new(SimConfig::default()).await;
    // Cut in the middle.
    let gateway = world.start().await;
    let mut cut = TcpStream::connect(world.api()).await.unwrap();
    cut.write_all(&request_octets(&world, 1, 1_000)).await.unwrap();
    // A request later than the cut one, so that this was looked at.
    let answered = BTreeMap::from([(2, world.post(2, Over::Mm4).await.unwrap())]);
    gateway.kill();
    assert_eq!(rest(cut).await, "");
    // Whole, but the process is frozen and reads nothing any more.
    let gateway = world.start().await;
    let mut unread = TcpStream::connect(world.api()).await.unwrap();
    gateway.freeze();
    unread.write_all(&request_octets(&world, 3, usize::MAX)).await.unwrap();
    gateway.kill();
    assert_eq!(rest(unread).await, "");
    let _gateway = world.start().await;
    world.all_in(&ids(&answered), "READ").await;
    world.quiet().await;
    let tally = world.audit(&answered).await;
    assert_eq!(tally.known, 1, "only the whole message exists");
    assert!(world.copies(1).is_empty() && world.copies(3).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_work_is_whole_or_not_there() {
    let mut chance = Chance::new("crash_steps, in work");
    let world = World::new(SimConfig::default()).await;
    let mut answered = BTreeMap::new();
    let rounds = 12;
    for round in 0..rounds {
        let gateway = world.start().await;
        // How long it takes on this machine now.
        let start = Instant::now();
        answered.insert(round * 5, world.post(round * 5, Over::Mm4).await.unwrap());
        let usual = u64::try_from(start.elapsed().as_millis()).unwrap();
        let mut posts = Vec::new();
        for number in round * 5 + 1..round * 5 + 5 {
            let mut stream = TcpStream::connect(world.api()).await.unwrap();
            stream.write_all(&request_octets(&world, number, usize::MAX)).await.unwrap();
            posts.push((number, stream));
        }
        // Somewhere between the first octet and the last answer.
        chance.pause(0, usual).await;
        gateway.kill();
        for (number, stream) in posts {
            let answer = rest(stream).await;
            let Some((head, _)) = answer.split_once("\r\n\r\n") else { continue };
            assert!(head.starts_with("HTTP/1.1 202 "), "{answer}");
            let place = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
            answered.insert(number, place.rsplit('/').next().unwrap().to_owned());
        }
    }
    let _gateway = world.start().await;
    world.all_in(&ids(&answered), "READ").await;
    world.quiet().await;
    println!(
        "crash_steps, in work: {rounds} kills, {} posts, {:?}",
        rounds * 5,
        world.audit(&answered).await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_while_the_carrier_is_away_is_sent_after_the_crash() {
    let mut world = World::without_carrier();
    let gateway = world.start().await;
    let mut answered = post_both(&world, 1).await;
    gateway.kill();
    let gateway = world.start().await;
    // This time the tries fail before the kill.
    answered.extend(post_both(&world, 3).await);
    for over in Over::BOTH {
        let deferred = format!("mmsgw_messages_deferred_total{{gateway_group=\"{}\"}}", over.group());
        until("tries have failed", async || world.metric(&deferred).await >= 2).await;
    }
    for id in answered.values() {
        assert_eq!(world.state(id).await, "SCHEDULED");
    }
    gateway.kill();
    world.open_carrier(SimConfig::default()).await;
    let _gateway = world.start().await;
    world.all_in(&ids(&answered), "READ").await;
    world.quiet().await;
    let tally = world.audit(&answered).await;
    assert_eq!((tally.known, tally.copies), (4, 4), "each was sent once");
}

/// A carrier that takes messages and keeps its answer back for `ms`.
fn slow(ms: u64) -> SimConfig {
    let mut config = SimConfig::default();
    config.script.mm7.delay = Delay::fixed(ms);
    config.script.mm4.delay = Delay::fixed(ms);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_carrier_has_but_did_not_answer_is_sent_again_under_the_same_ids() {
    let world = World::new(slow(15_000)).await;
    let gateway = world.start().await;
    let answered = post_both(&world, 1).await;
    until("the carrier has both", async || answered.keys().all(|number| !world.copies(*number).is_empty()))
        .await;
    gateway.kill();
    // Its answers to the first copies fall into the void; the reports that follow them do not.
    let mut quick = SimConfig::default().script;
    (quick.report_retries, quick.report_retry_ms) = (10_000, 100);
    world.simulator().set_script(quick);
    let _gateway = world.start().await;
    world.all_in(&ids(&answered), "READ").await;
    world.quiet().await;
    let tally = world.audit(&answered).await;
    assert_eq!((tally.copies, tally.repeated), (4, 2), "each was sent exactly twice");
    for number in answered.keys() {
        let copies = world.copies(*number);
        assert_eq!([copies[0].attempt, copies[1].attempt], [1, 2]);
        assert_eq!(copies[0].transaction_id, copies[1].transaction_id);
        assert_eq!(copies[0].message_id, copies[1].message_id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callbacks_that_were_not_taken_come_after_the_crash() {
    let world = World::new(SimConfig::default()).await;
    world.application.set(Mood::Refuses);
    let gateway = world.start().await;
    let answered = post_both(&world, 1).await;
    world.all_in(&ids(&answered), "READ").await;
    until("the application refused some", async || !world.application.came().is_empty()).await;
    gateway.kill();
    let refused = world.application.came();
    assert!(refused.iter().all(|callback| !callback.taken));
    world.application.set(Mood::Takes);
    let _gateway = world.start().await;
    world.quiet().await;
    world.audit(&answered).await;
    came_again(&refused, &world.application.callbacks());
}

/// Every callback of `before` is among `after`, with the same id and text.
fn came_again(before: &[Callback], after: &[Callback]) {
    for old in before {
        let new = after.iter().find(|new| event_of(&new.body) == event_of(&old.body));
        let new = new.unwrap_or_else(|| panic!("{} did not come again", old.id));
        assert_eq!((&new.id, &new.body), (&old.id, &old.body));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_whose_answer_was_not_heard_comes_again_under_its_id() {
    let world = World::new(SimConfig::default()).await;
    world.application.set(Mood::Holds);
    let gateway = world.start().await;
    let answered = post_both(&world, 1).await;
    until("the application holds callbacks of both", async || {
        let came = world.application.came();
        let messages: BTreeSet<String> = came.iter().map(|callback| event_of(&callback.body).0).collect();
        messages.len() == 2
    })
    .await;
    gateway.kill();
    let held = world.application.came();
    world.application.set(Mood::Takes);
    let _gateway = world.start().await;
    world.all_in(&ids(&answered), "READ").await;
    world.quiet().await;
    world.audit(&answered).await;
    came_again(&held, &world.application.callbacks());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_was_answered_yes_is_an_event_after_the_crash() {
    let mut chance = Chance::new("crash_steps, reports");
    let mut config = SimConfig::default();
    let within = |min_ms, max_ms| Plan { delay: Delay { min_ms, max_ms }, ..Plan::default() };
    (config.script.mm7.delivery, config.script.mm7.read) = (within(0, 40), within(0, 80));
    (config.script.mm4.res, config.script.mm4.delivery) = (within(0, 40), within(0, 80));
    config.script.mm4.read = within(20, 100);
    let world = World::new(config).await;
    let (mut answered, mut kills, mut taken_at_kills) = (BTreeMap::new(), 0, 0);
    let mut gateway = world.start().await;
    for round in 0..12 {
        let before = world.simulator().counts().reports_ok;
        answered.extend(post_both(&world, round * 2).await);
        until("a report was taken", async || world.simulator().counts().reports_ok > before).await;
        chance.pause(0, 15).await;
        gateway.kill();
        kills += 1;
        let taken = reports_taken(&world);
        taken_at_kills += taken.len();
        gateway = world.start().await;
        for (id, state) in &taken {
            until(&format!("the {state} of {id} is an event"), async || has_event(&world, id, state).await)
                .await;
        }
    }
    world.all_in(&ids(&answered), "READ").await;
    world.quiet().await;
    println!(
        "crash_steps, reports: {kills} kills with {taken_at_kills} answered reports looked for, {:?}",
        world.audit(&answered).await
    );
}

/// The reports that the gateway has answered with yes: message and state. Over MM7 the carrier knows the message
/// by its own id.
fn reports_taken(world: &World) -> BTreeSet<(String, &'static str)> {
    let received = world.simulator().received();
    let answers = world.simulator().report_answers();
    let taken = answers.iter().filter(|answer| answer.outcome.is_ok()).filter_map(|answer| {
        let state = match answer.kind.as_str() {
            "MM4_forward.RES" => "ACKNOWLEDGED",
            "DeliveryReportReq" | "MM4_delivery_report.REQ" => "DELIVERED",
            "ReadReplyReq" | "MM4_read_reply_report.REQ" => "READ",
            _ => return None,
        };
        let copy = received.iter().find(|copy| {
            copy.message_id == answer.message_id
                && matches!(copy.kind.as_str(), "SubmitReq" | "MM4_forward.REQ")
        })?;
        Some((copy.transaction_id.split('-').next()?.to_owned(), state))
    });
    taken.collect()
}

async fn has_event(world: &World, id: &str, state: &str) -> bool {
    let message = world.message(id).await.unwrap_or_else(|| panic!("the message {id} is lost"));
    message["events"].as_array().unwrap().iter().any(|event| event["state"] == state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_was_killed_is_no_hindrance_to_the_next() {
    let mut chance = Chance::new("crash_steps, starts");
    let world = World::new(slow(300)).await;
    // From nothing: the files themselves are in the making.
    for _ in 0..10 {
        let gateway = world.spawn();
        chance.pause(0, 200).await;
        gateway.kill();
        let gateway = world.start().await;
        gateway.kill();
        std::fs::remove_dir_all(world.data()).unwrap();
    }
    let gateway = world.start().await;
    let answered = post_both(&world, 1).await;
    gateway.kill();
    for _ in 0..20 {
        let gateway = world.spawn();
        chance.pause(0, 200).await;
        gateway.kill();
    }
    let _gateway = world.start().await;
    world.all_in(&ids(&answered), "READ").await;
    world.quiet().await;
    println!("crash_steps, starts: 30 kills, {:?}", world.audit(&answered).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_ends_in_good_order_and_loses_nothing() {
    let world = std::sync::Arc::new(World::new(slow(100)).await);
    let gateway = world.start().await;
    let loaders: Vec<_> = (0..4)
        .map(|loader| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move {
                let (mut answered, mut number) = (BTreeMap::new(), loader);
                // Until the door is closed.
                while let Ok(id) = world.post(number, Over::BOTH[(number / 4 % 2) as usize]).await {
                    answered.insert(number, id);
                    number += 4;
                }
                answered
            })
        })
        .collect();
    until("there is load", async || world.simulator().counts().accepted > 20).await;
    let ended = gateway.terminate().await;
    assert_eq!(ended.code(), Some(0), "{ended:?}\n{}", world.log_tail());
    assert!(world.logged("not all was finished in time").is_empty(), "{}", world.log_tail());
    let mut answered = BTreeMap::new();
    for loader in loaders {
        answered.extend(loader.await.unwrap());
    }
    let _gateway = world.start().await;
    world.all_in(&ids(&answered), "READ").await;
    world.quiet().await;
    let tally = world.audit(&answered).await;
    println!("crash_steps, SIGTERM: {tally:?}");
    assert_eq!(tally.repeated, 0, "what was in hand was finished, not cut off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_does_not_wait_for_a_carrier_without_end() {
    let world = World::new(slow(50_000)).await;
    let gateway = world.start().await;
    let answered = post_both(&world, 1).await;
    until("the carrier has both", async || answered.keys().all(|number| !world.copies(*number).is_empty()))
        .await;
    let ended = gateway.terminate().await;
    assert_eq!(ended.code(), Some(0), "{ended:?}\n{}", world.log_tail());
    assert_eq!(world.simulator().counts().reports_queued, 0, "it waited for the carrier's answer");
    let mut quick = SimConfig::default().script;
    (quick.report_retries, quick.report_retry_ms) = (10_000, 100);
    world.simulator().set_script(quick);
    let _gateway = world.start().await;
    world.all_in(&ids(&answered), "READ").await;
    world.quiet().await;
    assert_eq!(world.audit(&answered).await.known, 2);
}
