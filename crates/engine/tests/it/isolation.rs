//! One carrier's trouble is no other's, and a limit is a limit.

use std::time::{Duration, Instant};

use mmsgw_domain::State;

use crate::rig::{Rig, eventually, not_now};

#[tokio::test]
async fn a_slow_carrier_slows_no_other() {
    let rig = Rig::new();
    let slow = rig.gateway("slow", |_| {});
    let fast = rig.gateway("fast", |_| {});
    *slow.delay.lock() = Duration::from_secs(60);
    for _ in 0..20 {
        rig.send_through("slow", &["+15555550101"]).await;
    }
    for _ in 0..100 {
        rig.send_through("fast", &["+15555550102"]).await;
    }
    eventually("the fast carrier has all", async || (fast.takes() == 100).then_some(())).await;
    assert_eq!(slow.takes(), 0);
}

#[tokio::test]
async fn the_window_is_full_and_never_more_than_full() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |g| g.window = 16);
    *carrier.delay.lock() = Duration::from_millis(50);
    let start = Instant::now();
    for _ in 0..64 {
        rig.send(&["+15555550101"]).await;
    }
    eventually("all are sent", async || (carrier.takes() == 64).then_some(())).await;
    // Four full windows take 200 ms; one at a time would take 3.2 s.
    assert!(start.elapsed() >= Duration::from_millis(200), "the window holds: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_millis(2_400), "the window is used: {:?}", start.elapsed());
}

#[tokio::test]
async fn a_rate_limit_holds_for_the_whole_group() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |g| {
        g.tps_limit = Some(50.0);
        g.window = 64;
    });
    for _ in 0..40 {
        rig.send(&["+15555550101"]).await;
    }
    let start = Instant::now();
    eventually("all are sent", async || (carrier.takes() == 40).then_some(())).await;
    assert!(start.elapsed() >= Duration::from_millis(600), "faster than the limit: {:?}", start.elapsed());
}

#[tokio::test]
async fn a_backlog_does_not_burn_its_tries_against_a_closed_door() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |g| {
        g.window = 32;
        g.retry.max_tries = 30;
    });
    carrier.will((0..44).map(|_| not_now(false, false)));
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(rig.send(&["+15555550101"]).await);
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    // At 5 ms between tries, 32 at a time, 44 refusals would be over in 10 ms.
    let asked = carrier.takes();
    assert!(asked < 44, "the group holds its breath: asked {asked} times");
    for id in ids {
        rig.until_state(id, State::Acknowledged).await;
    }
}
