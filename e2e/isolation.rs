//! One thing that crawls slows nothing else.

use crate::rig::{World, text, wait_until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_crawls_slows_no_other() {
    let world =
        World::start("", "[gateway]\nwindow = 4\n", "[features]\nrequest_read_receipt = false\n").await;
    world.script("[mm7]\ndelay = { min_ms = 500 }\n");
    let mut slow = Vec::new();
    for n in 0..200 {
        slow.push(world.api.send_text("mm7", &format!("slow {n}"), &["+15555550102"]).await);
    }
    let mut fast = Vec::new();
    for n in 0..300 {
        fast.push(world.api.send_text("mm4", &format!("fast {n}"), &["+15555550103"]).await);
    }
    let sent = |kind: &str| world.carrier.received().iter().filter(|r| r.kind == kind).count();
    let slow_at_the_end = wait_until("300 messages at the fast carrier", async || {
        (sent("MM4_forward.REQ") >= 300).then(|| sent("SubmitReq"))
    })
    .await;
    // With four in flight the slow one takes 25 seconds for all of its own.
    assert!(slow_at_the_end < 200, "the slow carrier had {slow_at_the_end} of 200 when the fast one had all");
    for id in &fast {
        world.api.reaches(id, &["DELIVERED"]).await;
    }
    for id in &slow {
        world.api.reaches(id, &["READ"]).await;
    }
    assert_eq!(world.carrier.counts().duplicates, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_callback_url_delays_nothing() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let main = "[general]\ncallback_window = 8\ncallback_delays = ['1h']\n[callbacks]\ntimeout = '60s'\nin_flight = 4\n";
    let world = World::start(main, "", "").await;
    // It takes connections and never answers.
    let url = format!("http://{}/", dead.local_addr().unwrap());
    let mut ids = Vec::new();
    for n in 0..40 {
        let letter = json!({"origin": "54321", "subject": format!("mail {n}"),
            "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "x"}],
            "send": {"destination": "+15555550102", "gateway": "mm7", "events_url": url}});
        ids.push(world.api.send(&letter).await);
    }
    for id in &ids {
        world.api.reaches(id, &["READ"]).await;
        for state in ["SCHEDULED", "SENT", "ACKNOWLEDGED", "DELIVERED", "READ"] {
            world.application.hears(id, "gateway", state).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_are_tried_until_they_are_taken() {
    let main = "[general]\ncallback_delays = ['200ms']\ncallback_tries = 200\n[callbacks]\nclosed_min = '200ms'\n\
                closed_max = '400ms'\n";
    let world = World::start(main, "", "").await;
    world.application.answer(503);
    let id = world.api.send_text("mm7", "patience", &["+15555550102"]).await;
    world.api.reaches(&id, &["READ"]).await;
    world.application.hears(&id, "gateway", "SCHEDULED").await;
    let refused = world.application.callbacks(&id, "gateway").len();
    world.application.answer(204);
    let told = wait_until("every callback to be taken", async || {
        let all = world.application.callbacks(&id, "gateway");
        let again = |state: &str| all.iter().skip(refused).any(|c| text(&c.body, "state") == state);
        ["SENT", "ACKNOWLEDGED", "DELIVERED", "READ"]
            .into_iter()
            .all(again)
            .then(|| world.told(&id, "gateway"))
    })
    .await;
    let mut told = told;
    told.sort();
    assert_eq!(
        told,
        ["ACKNOWLEDGED", "DELIVERED", "READ", "SCHEDULED", "SENT"],
        "each under an id of its own"
    );
}
