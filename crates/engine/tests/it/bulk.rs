//! Batches: their counts, their end.

use std::time::Duration;

use mmsgw_domain::{BatchId, Digest, State};
use mmsgw_engine::{BulkDraft, BulkState, BulkStatus, Line, LineFault, Refusal, Submission};

use crate::rig::{Rig, eventually, numbers, text_template};

fn fault(refusal: Refusal) -> LineFault {
    LineFault { code: "refused".into(), pointer: String::new(), detail: refusal.to_string() }
}

/// A batch of so many lines through `gw`, all taken.
async fn batch(rig: &Rig, lines: u64) -> BatchId {
    let template = rig.engine.create_template(text_template()).await.unwrap();
    let draft = BulkDraft { template: template.id, group: None };
    let mut bulk = rig.engine.open_bulk(&draft, None).await.unwrap();
    let line = |number: u64| {
        let to = numbers(&[&format!("+1555{number:07}")]);
        Line { number, submission: Ok(Submission { to, ..Submission::default() }) }
    };
    let taken: Vec<Line> = (1..=lines).map(line).collect();
    bulk.take(taken, lines + 1, Digest::new([0; 32]), &fault).await.unwrap();
    let id = bulk.id();
    bulk.complete().await.unwrap();
    id
}

async fn counted(rig: &Rig, id: BatchId, state: State, count: u64) -> BulkStatus {
    eventually("the counts are as wanted", async || {
        let status = rig.engine.bulk(id).await.unwrap();
        (status.counts.get(state.name()).copied() == Some(count)).then_some(status)
    })
    .await
}

#[tokio::test]
async fn counts_move_with_the_messages() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    *carrier.delay.lock() = Duration::from_millis(20);
    let id = batch(&rig, 20).await;
    let status = counted(&rig, id, State::Acknowledged, 20).await;
    assert_eq!(status.counts.len(), 1, "{status:?}");
    assert_eq!((status.state, status.received, status.accepted), (BulkState::Complete, 20, 20));
}

#[tokio::test]
async fn what_is_unsent_of_a_cancelled_batch_is_never_sent() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |settings| settings.window = 1);
    *carrier.delay.lock() = Duration::from_millis(30);
    let id = batch(&rig, 200).await;
    eventually("some are sent", async || (carrier.takes() >= 3).then_some(())).await;
    let cancelled = rig.engine.cancel_bulk(id).await.unwrap();
    assert_eq!(cancelled.state, BulkState::Cancelled);
    rig.until_idle().await;
    let status = rig.engine.bulk(id).await.unwrap();
    let sent = status.counts[State::Acknowledged.name()];
    assert_eq!(status.counts[State::Cancelled.name()] + sent, 200, "{status:?}");
    assert_eq!(status.counts.len(), 2, "{status:?}");
    assert_eq!(carrier.takes() as u64, sent);
    assert!(sent < 20, "{status:?}");
    assert!(rig.dead(mmsgw_domain::QueueKind::Tx).await.is_empty(), "nothing is left for people to look at");
}

#[tokio::test]
async fn a_withdrawn_order_is_noticed_by_who_feeds_it() {
    let rig = Rig::new();
    rig.gateway("gw", |_| {});
    let template = rig.engine.create_template(text_template()).await.unwrap();
    let draft = BulkDraft { template: template.id, group: None };
    let mut bulk = rig.engine.open_bulk(&draft, None).await.unwrap();
    rig.engine.cancel_bulk(bulk.id()).await.unwrap();
    let line =
        Line { number: 1, submission: Ok(Submission { to: numbers(&["54322"]), ..Submission::default() }) };
    bulk.take(vec![line], 2, Digest::new([0; 32]), &fault).await.unwrap();
    let id = bulk.id();
    assert!(matches!(bulk.complete().await, Err(Refusal::BulkCancelled)));
    assert_eq!(rig.engine.bulk(id).await.unwrap().accepted, 0);
}
