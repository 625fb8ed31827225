//! Instances: heartbeats, pauses, and what happens to the jobs of one that is gone.

use std::time::Duration;

use mmsgw_domain::{GroupName, InstanceHealth, InstanceId, InstanceRecord, Queue, QueueKind, State};
use mmsgw_engine::{Refusal, Submission};
use mmsgw_store::{LeaseRequest, Registry};

use crate::rig::{Rig, eventually, text_template};

#[tokio::test]
async fn a_paused_group_keeps_its_messages_until_it_goes_on() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let group = "gw".parse().unwrap();
    rig.engine.pause(&group, "ops", "the carrier moves").await.unwrap();
    let id = rig.send(&["+12065550100"]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(carrier.seen.lock().len(), 0);
    let queues = rig.engine.queues().await.unwrap();
    let paused = queues.iter().filter_map(|q| q.paused.as_ref()).map(|p| p.reason.as_str());
    assert_eq!(paused.collect::<Vec<_>>(), ["the carrier moves"; 2]);
    rig.engine.resume(&group, "ops", "it is there").await.unwrap();
    rig.until_state(id, State::Acknowledged).await;
    assert!(rig.engine.pause(&"nobody".parse().unwrap(), "ops", "").await.is_err());
}

#[tokio::test]
async fn an_instance_without_a_sign_of_life_takes_nothing_until_there_is_one() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |s| {
        s.heartbeat_interval = Some(Duration::from_millis(100));
        // Jobs wait in hand for their turn, and go back from there.
        s.tps_limit = Some(2.0);
    });
    let ids = [rig.send(&["+12065550100"]).await, rig.send(&["+12065550101"]).await];
    rig.until_state(ids[0], State::Acknowledged).await;
    *carrier.lives.lock() = false;
    let health = async || rig.engine.instances().await.unwrap().into_iter().map(|i| i.record).next();
    eventually("it is unwell", async || {
        health().await.filter(|record| matches!(record.health, InstanceHealth::Unwell { .. }))
    })
    .await;
    let seen = carrier.seen.lock().len();
    let late = rig.send(&["+12065550102"]).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(carrier.seen.lock().len(), seen, "nothing goes out");
    let tx = rig.engine.queues().await.unwrap().into_iter().find(|q| q.queue.kind == QueueKind::Tx).unwrap();
    assert_eq!(tx.leased, 0, "what it held went back");
    *carrier.lives.lock() = true;
    rig.until_state(late, State::Acknowledged).await;
    rig.until_state(ids[1], State::Acknowledged).await;
    let record = eventually("it is well", async || {
        health().await.filter(|record| record.health == InstanceHealth::Well)
    })
    .await;
    assert_eq!(record.heartbeat.map(|beat| (beat.ok, beat.missed)), Some((true, 0)));
}

#[tokio::test]
async fn jobs_of_an_instance_that_died_come_back_at_once() {
    let rig = Rig::new();
    rig.engine.know_group(crate::rig::group_settings("gw"));
    let id = rig.send(&["+12065550100"]).await;
    let queue = Queue { group: "gw".parse().unwrap(), kind: QueueKind::Tx };
    let dead = InstanceId::new(&queue.group, "dead", "elsewhere", 7);
    let hold = Duration::from_secs(3600);
    let request = LeaseRequest { queue, max: 1, owner: dead.clone(), hold };
    assert_eq!(rig.store.lease(request).await.unwrap().jobs.len(), 1);
    rig.registry.announce(&record(dead), Duration::from_millis(20)).await.unwrap();
    rig.engine.reap().await.unwrap();
    let carrier = rig.gateway("gw", |_| {});
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(carrier.seen.lock().len(), 0, "it was alive then");
    rig.engine.reap().await.unwrap();
    rig.until_state(id, State::Acknowledged).await;
    assert!(
        rig.engine.instances().await.unwrap().iter().all(|i| i.record.id.as_str() != "gw:dead:elsewhere:7")
    );
}

#[tokio::test]
async fn a_process_that_leaves_gives_back_what_it_holds() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    *carrier.delay.lock() = Duration::from_secs(3600);
    rig.send(&["+12065550100"]).await;
    eventually("it is in hand", async || {
        let queues = rig.engine.queues().await.unwrap();
        queues.into_iter().find(|q| q.leased == 1)
    })
    .await;
    assert_eq!(rig.engine.instances().await.unwrap().len(), 1);
    rig.stop();
    rig.engine.leave().await.unwrap();
    let queues = rig.engine.queues().await.unwrap();
    assert!(queues.iter().any(|q| q.waiting == 1) && queues.iter().all(|q| q.leased == 0), "{queues:?}");
    assert_eq!(rig.engine.instances().await.unwrap(), []);
}

fn record(id: InstanceId) -> InstanceRecord {
    InstanceRecord {
        role: "gateway".to_owned(),
        group: None,
        protocol: None,
        host: id.host().to_owned(),
        pid: id.pid(),
        id,
        started: mmsgw_domain::Timestamp::from_secs(0),
        updated: mmsgw_domain::Timestamp::from_secs(0),
        health: InstanceHealth::Well,
        heartbeat: None,
        in_flight: 1,
        sent: 0,
        deferred: 0,
        failed: 0,
        last_error: None,
    }
}

#[tokio::test]
async fn a_group_is_replaced_forgotten_and_known_again_while_its_jobs_wait() {
    let rig = Rig::new();
    rig.gateway("gw", |_| {});
    let id = rig.send(&["+12065550100"]).await;
    rig.until_state(id, State::Acknowledged).await;
    let (name, old): (GroupName, _) = ("gw".parse().unwrap(), rig.engine.groups().remove(0));
    let mut settings = old.settings.clone();
    settings.window += 1;
    let new = rig.engine.know_group(settings.clone());
    assert_eq!((new.settings.window, new.counts().sent), (old.settings.window + 1, 1), "it goes on counting");
    // Workers of the old one go on until they are stopped; what they do counts for the new one as well.
    let id = rig.send(&["+12065550100"]).await;
    rig.until_state(id, State::Acknowledged).await;
    assert_eq!(new.counts(), old.counts());

    rig.engine.pause(&name, "ops", "so that it waits").await.unwrap();
    let waits = rig.send(&["+12065550100"]).await;
    rig.engine.forget_group(&name);
    assert!(rig.engine.group(&name).is_none() && rig.engine.pause(&name, "ops", "x").await.is_err());
    rig.engine.dismiss(&InstanceId::new(&name, "test", "host", 1)).await.unwrap();
    assert!(rig.engine.instances().await.unwrap().is_empty(), "nobody is told of it any more");
    rig.engine.know_group(settings);
    rig.engine.resume(&name, "ops", "it is back").await.unwrap();
    rig.until_state(waits, State::Acknowledged).await;
}

#[tokio::test]
async fn the_group_of_messages_that_name_none_may_be_another() {
    let rig = Rig::new();
    rig.gateway("gw", |_| {});
    rig.gateway("other", |_| {});
    let nameless = Submission { to: vec!["+12065550100".parse().unwrap()], ..Submission::default() };
    let carried_by = async || {
        let (message, _) = rig.engine.submit_new(text_template(), nameless.clone()).await?;
        Ok::<_, Refusal>(message.group.to_string())
    };
    rig.engine.set_default_group(Some("other".parse().unwrap()));
    assert_eq!(carried_by().await.unwrap(), "other");
    rig.engine.set_default_group(Some("gw".parse().unwrap()));
    assert_eq!(carried_by().await.unwrap(), "gw");
    rig.engine.set_default_group(None);
    assert!(matches!(carried_by().await, Err(Refusal::NoGroup)));
}
