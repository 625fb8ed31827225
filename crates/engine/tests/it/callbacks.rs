//! Callbacks: durable, repeated, and each on its own.

use std::collections::HashSet;
use std::time::Duration;

use mmsgw_domain::{QueueKind, State};
use mmsgw_engine::CallVerdict;

use crate::rig::{Rig, eventually};

#[tokio::test]
async fn every_url_hears_every_event_under_an_id_of_its_own() {
    let rig = Rig::new();
    rig.gateway("gw", |g| g.events_url = vec!["http://one.example/".into(), "http://two.example/".into()]);
    let id = rig.send(&["+15555550101"]).await;
    rig.until_state(id, State::Acknowledged).await;
    rig.until_idle().await;
    let told = rig.app.told.lock();
    assert_eq!(told.len(), 9, "three events to three URLs");
    assert_eq!(told.iter().map(|t| &t.delivery_id).collect::<HashSet<_>>().len(), 9);
    assert_eq!(told.iter().filter(|t| t.url == "http://two.example/").count(), 3);
}

#[tokio::test]
async fn a_callback_is_posted_again_and_then_given_up() {
    let rig = Rig::new();
    let later = || CallVerdict::Later { reason: "503".into(), pause: None };
    rig.app.refuse.lock().extend([later(), later()]);
    rig.engine.know_group(crate::rig::group_settings("gw"));
    let first = rig.send(&["+15555550101"]).await;
    rig.gateway("gw", |_| {});
    rig.until_state(first, State::Acknowledged).await;
    rig.until_idle().await;
    assert_eq!(rig.app.states(), [State::Scheduled, State::Sent, State::Acknowledged]);
    assert!(rig.dead(QueueKind::Callback).await.is_empty());
    rig.app.refuse.lock().push(CallVerdict::Never { reason: "410".into() });
    let second = rig.send(&["+15555550101"]).await;
    rig.until_state(second, State::Acknowledged).await;
    rig.until_idle().await;
    let dead = rig.dead(QueueKind::Callback).await;
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].reason.as_str(), dead[0].tries), ("410", 1));
}

#[tokio::test]
async fn a_dead_url_delays_nobody_else() {
    let rig = Rig::new();
    rig.app.dead_hosts.lock().push("dead.example".into());
    rig.gateway("gw", |g| g.events_url = vec!["http://dead.example/".into()]);
    for _ in 0..20 {
        rig.send(&["+15555550101"]).await;
    }
    let told = eventually("the living URL has heard all", async || {
        let told = rig.app.told.lock().len();
        (told == 60).then_some(told)
    });
    tokio::time::timeout(Duration::from_secs(5), told).await.unwrap();
    rig.until_idle().await;
    let dead = rig.dead(QueueKind::Callback).await;
    assert_eq!(dead.len(), 60, "every callback to the dead URL is kept for people to look at");
    assert!(dead.iter().all(|d| d.tries == 4));
}
