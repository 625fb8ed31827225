//! Messages out: verdicts become states, events and the next try.

use std::time::Duration;

use mmsgw_domain::{Code, QueueKind, State};
use mmsgw_engine::{Delivery, Outcome, Refusal, Submission, Verdict};

use crate::rig::{Rig, Turn, answer, not_now, numbers, sent, text_template};

fn states(message: &mmsgw_domain::Message) -> Vec<State> {
    message.events.iter().map(|e| e.state).collect()
}

#[tokio::test]
async fn a_message_goes_out_and_every_event_is_told_in_order() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let id = rig.send(&["+15555550101"]).await;
    let message = rig.until_state(id, State::Acknowledged).await;
    assert_eq!(states(&message), [State::Scheduled, State::Sent, State::Acknowledged]);
    assert_eq!(message.peer_ref.as_deref(), Some(format!("ref-{id}-0").as_str()));
    assert_eq!(message.last_tran_id.as_deref(), Some(format!("{id}-0").as_str()));
    assert!(message.expires.is_some() && message.processed.is_some());
    assert_eq!(message.instances[0].as_str(), "gw:test:host:1");
    rig.until_idle().await;
    assert_eq!(rig.app.states(), [State::Scheduled, State::Sent, State::Acknowledged]);
    assert_eq!(carrier.seen.lock()[0].content.bodies[0].as_ref(), b"hello");
}

#[tokio::test]
async fn a_heard_answer_starts_a_new_round_unless_one_was_lost_before() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    // The carrier may have taken the message when its answer was lost, whatever it says to the repetition.
    carrier.will([not_now(true, false), not_now(false, false), not_now(true, false)]);
    let id = rig.send(&["+15555550101"]).await;
    rig.until_state(id, State::Acknowledged).await;
    assert_eq!(carrier.transactions(), [0, 1, 1, 1].map(|round| format!("{id}-{round}")));
}

#[tokio::test]
async fn tries_end_and_the_application_hears_it() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    carrier.will((0..4).map(|_| not_now(false, false)));
    let id = rig.send(&["+15555550101"]).await;
    let message = rig.until_state(id, State::Failed).await;
    assert_eq!(carrier.takes(), 4);
    let last = message.events.last().unwrap();
    assert_eq!(last.description, "given up after 4 tries: not now");
    rig.until_idle().await;
    assert_eq!(rig.app.states(), [State::Scheduled, State::Failed]);
    let dead = rig.dead(QueueKind::Tx).await;
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].tries, dead[0].reason.as_str()), (4, "given up after 4 tries: not now"));
}

#[tokio::test]
async fn a_carrier_that_says_later_is_asked_until_the_message_expires() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |g| g.max_age = Duration::from_millis(300));
    carrier.will((0..1000).map(|_| not_now(true, true)));
    let id = rig.send(&["+15555550101"]).await;
    let message = rig.until_state(id, State::Expired).await;
    assert!(carrier.takes() > 4, "more often than the usual number of tries: {}", carrier.takes());
    assert_eq!(message.events.last().unwrap().code, Code::EXPIRED);
    rig.until_idle().await;
}

#[tokio::test]
async fn numbers_part_ways_and_only_the_unsent_ones_are_tried_again() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let [good, bad, slow] = ["+15555550101", "+15555550102", "+15555550103"];
    let outcome = |number: &str, delivery| Outcome { recipients: numbers(&[number]), delivery };
    let not_yet = Delivery::Defer { answer: answer("mailbox busy"), later: false, heard: true, pause: None };
    carrier.will([Turn::Answer(Verdict {
        outcomes: vec![
            outcome(good, sent("r1")),
            outcome(bad, Delivery::Fail { answer: answer("no such user") }),
            outcome(slow, not_yet),
        ],
    })]);
    let id = rig.send(&[good, bad, slow]).await;
    let message = rig.message_when(id, |m| !m.is_unsent()).await;
    let ends: Vec<State> = message.recipients.iter().map(|r| r.state).collect();
    assert_eq!(ends, [State::Acknowledged, State::Failed, State::Acknowledged]);
    let second = &carrier.seen.lock()[1];
    assert_eq!(second.recipients.iter().map(|r| r.address.as_str()).collect::<Vec<_>>(), [slow]);
    let failed = message.events.iter().find(|e| e.state == State::Failed).unwrap();
    assert_eq!(failed.destinations, numbers(&[bad]));
    assert_eq!(message.recipients[0].peer_ref.as_deref(), Some("r1"));
}

#[tokio::test]
async fn a_defect_of_ours_takes_nobody_down_and_ends() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    carrier.will([Turn::Panic]);
    let first = rig.send(&["+15555550101"]).await;
    rig.until_state(first, State::Acknowledged).await;
    carrier.will((0..4).map(|_| Turn::Panic));
    let second = rig.send(&["+15555550102"]).await;
    rig.until_state(second, State::Failed).await;
    let third = rig.send(&["+15555550103"]).await;
    rig.until_state(third, State::Acknowledged).await;
}

#[tokio::test]
async fn a_message_whose_time_is_over_is_not_sent() {
    let rig = Rig::new();
    let mut draft = text_template();
    draft.content.expire_after = Some(Duration::from_millis(1));
    rig.engine.know_group(crate::rig::group_settings("gw"));
    let id = rig.submit(draft, "gw", &["+15555550101"]).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let carrier = rig.gateway("gw", |_| {});
    rig.until_state(id, State::Expired).await;
    assert_eq!(carrier.takes(), 0);
}

#[tokio::test]
async fn a_message_waits_for_its_earliest_moment() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let mut draft = text_template();
    let soon = mmsgw_domain::Clock::now(&mmsgw_domain::SystemClock).after(Duration::from_millis(150));
    draft.content.earliest_delivery = Some(soon);
    let id = rig.submit(draft, "gw", &["+15555550101"]).await;
    rig.until_state(id, State::Acknowledged).await;
    assert!(carrier.seen.lock()[0].now >= soon);
}

#[tokio::test]
async fn stopping_waits_for_what_is_in_hand_and_takes_nothing_new() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |g| g.window = 2);
    *carrier.delay.lock() = Duration::from_millis(100);
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(rig.send(&["+15555550101"]).await);
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    rig.drain().await;
    assert_eq!(carrier.takes(), 2);
    let mut sent = 0;
    for id in ids {
        sent += usize::from(!rig.message(id).await.is_unsent());
    }
    assert_eq!(sent, 2, "what was in hand is settled, the rest waits");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_the_reason() {
    let rig = Rig::new();
    let nobody = rig.engine.submit_new(text_template(), Submission::default()).await;
    assert!(matches!(nobody, Err(Refusal::UnknownGroup(_))));
    rig.gateway("gw", |_| {});
    let nobody = rig.engine.submit_new(text_template(), Submission::default()).await;
    assert!(matches!(nobody, Err(Refusal::NoRecipient)));
    let crowd: Vec<String> = (0..10_000).map(|n| format!("+1555{n:07}")).collect();
    let to = crowd.iter().map(|n| n.parse().unwrap()).collect();
    let refused = rig.engine.submit_new(text_template(), Submission { to, ..Submission::default() }).await;
    assert!(refused.unwrap_err().to_string().contains("10000 numbers were given"));
    let twice = Submission { to: numbers(&["15555550101", "+1 555 555-0101"]), ..Submission::default() };
    let (message, _) = rig.engine.submit_new(text_template(), twice).await.unwrap();
    assert_eq!(message.recipients.len(), 1, "the same number counts once");
}
