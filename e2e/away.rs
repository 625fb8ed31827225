//! The application is away for as long as its operator sleeps, and comes back: it hears of everything, and was not
//! hammered meanwhile. An hour of the usual schedule is scaled down to seconds by configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::rig::wire::{Flaw, Wire};
use crate::rig::{Application, World, text, wait_until};

const MESSAGES: usize = 30;
/// SCHEDULED, SENT, ACKNOWLEDGED, DELIVERED and READ.
const EVENTS: usize = 5;
/// The delays of the usual schedule up to an hour, two hundred times shorter: 5 s, 30 s, 2 min, 10 min, 30 min, 2 h.
const SCHEDULE: &str = "['25ms', '150ms', '600ms', '3s', '9s', '36s']";
/// An hour.
const AWAY: Duration = Duration::from_secs(18);

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_was_away_for_an_hour_hears_of_everything() {
    let application = Application::start();
    let door = application.url("away");
    let address = door.strip_prefix("http://").unwrap().split('/').next().unwrap().parse().unwrap();
    let wire = Wire::to(address).await;
    let url = format!("http://{}/app/away", wire.address);
    let main = format!(
        "[general]\ncallback_delays = {SCHEDULE}\ncallback_tries = 8\n[callbacks]\nclosed_min = '100ms'\n\
         closed_max = '1s'\n"
    );
    wire.be(Flaw::Cut);
    let over = format!("[gateway]\nevents_url = '{url}'\n");
    let world = World::start(&main, &over, "").await;
    let start = std::time::Instant::now();
    let mut ids = Vec::new();
    for n in 0..MESSAGES {
        ids.push(world.api.send_text("mm7", &format!("away {n}"), &["+15555550102"]).await);
    }
    for id in &ids {
        world.api.reaches(id, &["READ"]).await;
    }
    tokio::time::sleep(AWAY.saturating_sub(start.elapsed())).await;
    assert!(application.at("away").is_empty());
    // The first try of each, and those that the schedule has for an hour.
    assert!(wire.calls() <= MESSAGES * EVENTS * 6, "{} calls", wire.calls());
    wire.be(Flaw::None);
    wait_until("every event to be told", async || {
        (application.at("away").len() >= MESSAGES * EVENTS).then_some(())
    })
    .await;
    let mut told = BTreeMap::<String, Vec<String>>::new();
    for callback in application.at("away") {
        told.entry(callback.webhook_id).or_default().push(text(&callback.body, "state").to_owned());
    }
    assert_eq!(told.len(), MESSAGES * EVENTS);
    assert!(told.values().all(|times| times.len() == 1), "told twice: {told:?}");
}
