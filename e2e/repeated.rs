//! Applications repeat their requests under one key while the gateway is killed again and again: each is carried out
//! once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mmsgw_mmsc_sim::SimConfig;

use crate::rig::crash::{Chance, Over, World, request};

const MESSAGES: u64 = 40;
const KILLS: u32 = 6;

/// Posts message `number` under its key until it is answered 202; its id.
async fn insist(world: &World, http: &reqwest::Client, number: u64) -> String {
    loop {
        let url = format!("http://{}/mmsgw/v1/mms", world.api());
        let post = http.post(url).header("content-type", "application/json");
        let post = post.header("idempotency-key", format!("\"message {number}\""));
        if let Ok(answer) = post
            .body(request(number, Over::BOTH[usize::from(number.is_multiple_of(2))]).to_string())
            .send()
            .await
        {
            match answer.status().as_u16() {
                202 => {
                    let place = answer.headers()["location"].to_str().unwrap().to_owned();
                    return place.rsplit('/').next().unwrap().to_owned();
                }
                409 | 503 => {}
                other => panic!("{other}: {}", answer.text().await.unwrap_or_default()),
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_carried_out_once_however_often_the_gateway_dies() {
    let world = World::new(SimConfig::default()).await;
    world.configure_more("idempotency_takeover = '1s'");
    let world = Arc::new(world);
    let mut chance = Chance::new("repeated");
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
    let mut gateway = world.start().await;
    let insisting: Vec<_> = (0..MESSAGES)
        .map(|number| {
            let (world, http) = (Arc::clone(&world), http.clone());
            tokio::spawn(async move { insist(&world, &http, number).await })
        })
        .collect();
    for _ in 0..KILLS {
        chance.pause(5, 60).await;
        gateway.kill();
        gateway = world.start().await;
    }
    let mut ids = BTreeMap::new();
    for (number, task) in (0..).zip(insisting) {
        ids.insert(number, task.await.unwrap());
    }
    for number in 0..MESSAGES {
        assert_eq!(insist(&world, &http, number).await, ids[&number], "the same answer, for ever");
    }
    world.quiet().await;
    let mut copies = BTreeMap::<String, BTreeSet<String>>::new();
    for received in world.simulator().received() {
        if let Some(subject) = received.subject.filter(|subject| subject.starts_with("crash ")) {
            copies.entry(subject).or_default().insert(received.transaction_id[..32].to_owned());
        }
    }
    assert_eq!(copies.len() as u64, MESSAGES);
    for (subject, messages) in copies {
        assert_eq!(messages.len(), 1, "{subject} became several messages: {messages:?}");
    }
    drop(gateway);
}
