//! Jobs that wait: listed, done at once, forgotten, and never without the application hearing of it.

use std::process::Output;

use serde_json::{Value, json};

use crate::rig::redis::Redis;
use crate::rig::{World, run, text, wait_until};

const PATIENT: &str = "[gateway]\nretry_delays = ['1h']\nmax_tries = 4\n";
/// An answer that asks for another try.
const TROUBLE: &str = "[mm7]\nanswer = { kind = 'status', code = 3000 }\n";

async fn order(world: &World, arguments: &[&str]) -> Output {
    let ops = world.gateway.awaited("health and metrics");
    run(&[arguments, &["--ops", &ops]].concat()).await
}

/// What it printed; it has to end with `code`.
async fn said(world: &World, arguments: &[&str], code: i32) -> String {
    let output = order(world, arguments).await;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}:\n{out}\n{err}");
    out.into_owned()
}

/// The jobs of a queue that are in nobody's hands.
async fn waiting(world: &World, queue: &str, count: usize) -> Vec<Value> {
    wait_until(&format!("{count} jobs in {queue}"), async || {
        let listed: Value =
            serde_json::from_str(&said(world, &["queues", "jobs", queue, "--json"], 0).await).unwrap();
        let jobs: Vec<Value> = listed["jobs"].as_array().unwrap().clone();
        (jobs.len() == count && jobs.iter().all(|job| job["holder"].is_null())).then_some(jobs)
    })
    .await
}

fn id_of<'a>(jobs: &'a [Value], message: &str) -> &'a str {
    let found = jobs.iter().find(|job| text(job, "message") == message);
    text(found.unwrap_or_else(|| panic!("no job of {message}: {jobs:#?}")), "id")
}

async fn jobs_that_wait_are_in_the_operators_hands(storage: &str) {
    let world = World::start(storage, PATIENT, "").await;
    world.script(TROUBLE);
    let mut ids = Vec::new();
    for subject in ["one", "two", "three", "four"] {
        ids.push(world.api.send_text("mm7", subject, &["+15555550102"]).await);
    }
    wait_until("a try of each", async || (world.carrier.received().len() >= 4).then_some(())).await;
    let template = json!({
        "origin": "54321", "subject": "later", "earliest_delivery": 4_102_444_800_u64,
        "parts": [{"name": "t.txt", "content_type": "text/plain", "content": "later"}],
        "send": {"destination": "+15555550102", "gateway": "mm7"},
    });
    let later = world.api.send(&template).await;
    let jobs = waiting(&world, "mm7/tx", 5).await;
    for job in &jobs {
        let tries = if text(job, "message") == later { 0 } else { 1 };
        assert_eq!(
            (&job["job"], &job["lane"], &job["tries"]),
            (&"transmit".into(), &"normal".into(), &tries.into())
        );
    }
    assert_eq!(text(&jobs[4], "message"), later, "in the order in which they leave");
    let table = said(&world, &["queues", "jobs", "mm7/tx", "--max", "2"], 0).await;
    let place = table.lines().last().unwrap().split(" --after ").nth(1).unwrap_or_else(|| panic!("{table}"));
    let rest = said(&world, &["queues", "jobs", "mm7/tx", "--after", place], 0).await;
    assert!(rest.contains(text(&jobs[2], "id")) && !rest.contains(text(&jobs[1], "id")), "{rest}");

    // One, by its id.
    world.script("");
    said(&world, &["queues", "retry", "mm7/tx", id_of(&jobs, &ids[0]), "--reason", "it is well"], 0).await;
    world.api.reaches(&ids[0], &["READ"]).await;
    said(&world, &["queues", "retry", "mm7/tx", id_of(&jobs, &ids[0]), "--reason", "it is well"], 1).await;

    // Away with one: the application hears of it, and nothing was sent.
    let purge = ["queues", "purge", "mm7/tx", "--message", &ids[1], "--reason", "nobody wants it"];
    assert!(said(&world, &purge, 0).await.starts_with("1 jobs meant"));
    assert_eq!(said(&world, &[&purge[..], &["--yes"]].concat(), 0).await, "1 of 1 jobs done.\n");
    let gone = world.api.reaches(&ids[1], &["CANCELLED"]).await;
    let last = gone["events"].as_array().unwrap().last().unwrap().clone();
    assert!(text(&last, "description").contains("nobody wants it"), "{gone}");
    world.application.hears(&ids[1], "gateway", "CANCELLED").await;

    // All that were tried; what has its time from the application stays.
    let retry = ["queues", "retry", "mm7/tx", "--reason", "it is well"];
    assert!(said(&world, &retry, 0).await.starts_with("2 jobs meant"));
    assert_eq!(waiting(&world, "mm7/tx", 3).await.len(), 3, "counting does nothing");
    assert_eq!(said(&world, &[&retry[..], &["--yes"]].concat(), 0).await, "2 of 2 jobs done.\n");
    for id in &ids[2..] {
        world.api.reaches(id, &["READ"]).await;
    }
    assert_eq!(text(&waiting(&world, "mm7/tx", 1).await[0], "message"), later);
    for line in
        ["administration: retry waiting", "administration: purge waiting", "reason=\"nobody wants it\""]
    {
        wait_until(line, async || world.gateway.log().contains(line).then_some(())).await;
    }
    assert_eq!(world.received("two").len(), 1, "only the try before");
    assert!(said(&world, &["queues"], 0).await.contains("mm7/tx"));
    assert_eq!(order(&world, &["queues", "purge", "mm7/tx"]).await.status.code(), Some(2), "why?");
    let nowhere = said(&world, &["queues", "jobs", "nobody/tx"], 0).await;
    assert_eq!(nowhere, "Nothing waits.\n");
}

async fn messages_go_over_to_another_carrier(storage: &str) {
    let world = World::start(storage, PATIENT, "[content]\nmax_message_octets = 5000\n").await;
    world.script(TROUBLE);
    let put_off = world.api.send_text("mm7", "put off", &["+15555550102"]).await;
    wait_until("its try", async || (!world.received("put off").is_empty()).then_some(())).await;
    let large = json!({
        "origin": "54321", "subject": "large",
        "parts": [{"name": "t.txt", "content_type": "text/plain", "content": "large ".repeat(1_000)}],
        "send": {"destination": "+15555550102", "gateway": "mm7"},
    });
    let large = world.api.send(&large).await;
    let template = json!({
        "origin": "54321", "subject": "many",
        "parts": [{"name": "t.txt", "content_type": "text/plain", "content": "hello"}],
    });
    let template = world.api.post("mms", &template).await;
    let path = format!("mms/outbound/{}/batch?gateway=mm7", text(&template.body, "id"));
    let batch = world.api.post(&path, &json!([{"destination": "+15555550103"}])).await;
    assert_eq!(batch.status, 202, "{:?}", batch.body);
    let jobs = waiting(&world, "mm7/tx", 3).await;
    let order = ["queues", "move", "mm7/tx", "--to", "mm4", "--reason", "MM7 is down"];
    let meant = said(&world, &order, 0).await;
    assert!(meant.starts_with("3 jobs meant") && meant.contains("part of a batch"), "{meant}");
    assert!(meant.contains(id_of(&jobs, &large)) && !meant.contains(id_of(&jobs, &put_off)), "{meant}");
    assert_eq!(waiting(&world, "mm7/tx", 3).await.len(), 3, "counting does nothing");
    let done = said(&world, &[&order[..], &["--yes"]].concat(), 1).await;
    assert!(done.starts_with("1 of 3 jobs done."), "{done}");
    let message = world.api.reaches(&put_off, &["READ"]).await;
    assert_eq!((&message["gateway"], &message["direction"]), (&"mm4".into(), &(-1).into()));
    let events = message["events"].as_array().unwrap();
    let told = events.iter().find(|event| text(event, "description").contains("moved from mm7 to mm4"));
    assert!(told.is_some_and(|event| text(event, "description").contains("MM7 is down")), "{message}");
    world.application.hears(&put_off, "gateway", "READ").await;
    let kinds: Vec<String> = world.received("put off").into_iter().map(|r| r.kind).collect();
    assert_eq!(kinds, ["SubmitReq", "MM4_forward.REQ"]);
    assert_eq!(waiting(&world, "mm7/tx", 2).await.len(), 2);
    world.script("");
    said(&world, &["queues", "retry", "mm7/tx", "--reason", "it is well", "--yes"], 0).await;
    world.api.reaches(&large, &["READ"]).await;
    let nowhere = ["queues", "move", "mm7/tx", "--to", "nobody", "--reason", "x", "--yes"];
    said(&world, &nowhere, 1).await;
    wait_until("the line in the log", async || {
        world.gateway.log().contains("1 jobs of mm7/tx to mm4").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_over_to_another_carrier_embedded() {
    messages_go_over_to_another_carrier("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_over_to_another_carrier_on_redis() {
    let redis = Redis::durable();
    messages_go_over_to_another_carrier(&redis.storage()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_wait_are_in_the_operators_hands_embedded() {
    jobs_that_wait_are_in_the_operators_hands("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_wait_are_in_the_operators_hands_on_redis() {
    let redis = Redis::durable();
    jobs_that_wait_are_in_the_operators_hands(&redis.storage()).await;
}
