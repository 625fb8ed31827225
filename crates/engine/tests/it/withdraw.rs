//! Messages taken back and replaced.

use std::time::Duration;

use mmsgw_domain::{Clock, Code, MessageId, State, SystemClock};
use mmsgw_engine::{
    AmendmentKind, Answer, Delivery, DraftContent, Outcome, Refusal, Replacement, TemplateChange, Verdict,
};

use crate::rig::{Rig, Turn, eventually, not_now, numbers, text_template};

fn refused() -> Turn {
    let answer =
        Answer { carrier_status: Some("2007".into()), ..Answer::own(Code::REFUSED, "delivered already") };
    Turn::Answer(Verdict::all(Delivery::Fail { answer }))
}

/// A message that is due in an hour.
async fn scheduled(rig: &Rig) -> MessageId {
    let mut draft = text_template();
    draft.content.earliest_delivery = Some(SystemClock.now().after(Duration::from_secs(3_600)));
    rig.submit(draft, "gw", &["+15555550101", "+15555550102"]).await
}

#[tokio::test]
async fn what_is_unsent_is_cancelled_at_once_and_told() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let id = scheduled(&rig).await;
    let amended = rig.engine.withdraw(id).await.unwrap();
    assert!(!amended.ordered);
    assert_eq!(amended.message.state(), Some(State::Cancelled));
    assert!(amended.message.recipients.iter().all(|r| r.state == State::Cancelled));
    assert!(matches!(rig.engine.withdraw(id).await, Err(Refusal::TooLate)));
    assert!(matches!(rig.engine.replace(id, &Replacement::default()).await, Err(Refusal::TooLate)));
    eventually("it is told", async || rig.app.states().contains(&State::Cancelled).then_some(())).await;
    assert_eq!((carrier.takes(), carrier.amended.lock().len()), (0, 0));
}

#[tokio::test]
async fn the_carrier_is_asked_for_what_it_has_and_an_event_tells_what_came_of_it() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let id = rig.send(&["+15555550101", "+15555550102"]).await;
    rig.until_state(id, State::Acknowledged).await;
    carrier.will([not_now(true, true), refused()]);
    assert!(rig.engine.withdraw(id).await.unwrap().ordered);
    let told = |message: &mmsgw_domain::Message| {
        message.events.last().unwrap().description.contains("not withdrawn")
    };
    let message = rig.message_when(id, told).await;
    let last = message.events.last().unwrap();
    assert_eq!(
        (last.state, last.code, last.carrier_status.as_deref()),
        (State::Acknowledged, Code::REFUSED, Some("2007"))
    );
    assert_eq!(message.state(), Some(State::Acknowledged));
    {
        let asked = carrier.amended.lock();
        assert_eq!(asked.len(), 2, "put off once");
        assert_eq!(asked[0].transaction_id, asked[1].transaction_id);
        assert_eq!(asked[0].recipients.len(), 2);
    }
    assert!(rig.engine.withdraw(id).await.unwrap().ordered);
    rig.until_state(id, State::Cancelled).await;
    assert!(rig.dead(mmsgw_domain::QueueKind::Ev).await.is_empty());
}

#[tokio::test]
async fn only_the_numbers_that_the_carrier_has_are_asked_for() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |settings| settings.retry.delays = vec![Duration::from_secs(60)]);
    let split = |later| {
        let outcome = |number: &str, delivery| Outcome { recipients: numbers(&[number]), delivery };
        let put_off = Answer::own(Code::UNSPECIFIED, "not now");
        Turn::Answer(Verdict {
            outcomes: vec![
                outcome("+15555550101", crate::rig::sent("ref-1")),
                outcome("+15555550102", Delivery::Defer { answer: put_off, later, heard: true, pause: None }),
            ],
        })
    };
    carrier.will([split(false)]);
    let id = rig.send(&["+15555550101", "+15555550102"]).await;
    rig.message_when(id, |m| m.recipients[0].state == State::Acknowledged).await;
    let amended = rig.engine.withdraw(id).await.unwrap();
    assert!(amended.ordered);
    assert_eq!(amended.message.recipients[1].state, State::Cancelled);
    let message = rig.until_state(id, State::Cancelled).await;
    assert_eq!(message.recipients[0].state, State::Cancelled);
    assert_eq!(carrier.amended.lock()[0].recipients.len(), 1);
}

#[tokio::test]
async fn without_a_request_for_it_the_protocol_says_no() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |settings| settings.amends = false);
    let id = rig.send(&["+15555550101"]).await;
    rig.until_state(id, State::Acknowledged).await;
    assert!(matches!(rig.engine.withdraw(id).await, Err(Refusal::NotAmendable)));
    assert!(matches!(rig.engine.replace(id, &Replacement::default()).await, Err(Refusal::NotAmendable)));
    assert!(carrier.amended.lock().is_empty());
    let unknown = MessageId::generate(SystemClock.now());
    assert!(matches!(rig.engine.withdraw(unknown).await, Err(Refusal::Unknown(_))));
}

#[tokio::test]
async fn a_hand_over_under_way_is_waited_for() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    *carrier.delay.lock() = Duration::from_millis(150);
    for _ in 0..5 {
        let id = rig.send(&["+15555550101"]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let amended = rig.engine.withdraw(id).await.unwrap();
        assert!(amended.ordered, "it was with the carrier by then");
        rig.until_state(id, State::Cancelled).await;
    }
    assert_eq!((carrier.takes(), carrier.amended.lock().len()), (5, 5));
}

#[tokio::test]
async fn who_is_cancelled_by_another_process_while_being_sent_is_taken_back() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    *carrier.delay.lock() = Duration::from_millis(200);
    let other = rig.another_engine();
    let id = rig.send(&["+15555550101"]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let amended = other.withdraw(id).await.unwrap();
    assert_eq!(amended.message.state(), Some(State::Cancelled));
    eventually("the carrier is asked", async || (carrier.amended.lock().len() == 1).then_some(())).await;
    let message = rig.message(id).await;
    assert_eq!(message.state(), Some(State::Cancelled));
    assert!(message.events.iter().any(|event| event.state == State::Sent), "the truth is told: {message:?}");
}

#[tokio::test]
async fn other_content_takes_its_place_here_or_at_the_carrier() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let here = scheduled(&rig).await;
    let there = rig.send(&["+15555550101"]).await;
    rig.until_state(there, State::Acknowledged).await;
    for id in [here, there] {
        let template = rig.message(id).await.template;
        let parts = text_template().parts;
        let set =
            Box::new(|content: &mut mmsgw_domain::TemplateContent| content.subject = Some("new".into()));
        rig.engine.change_template(template, TemplateChange { set, clear_parts: true, parts }).await.unwrap();
        let amended = rig.engine.replace(id, &Replacement::default()).await.unwrap();
        assert_eq!(
            (amended.ordered, amended.template.content.subject.as_deref()),
            (id == there, Some("new"))
        );
    }
    let message = rig.message_when(there, |m| m.events.len() > 3).await;
    assert_eq!(message.state(), Some(State::Acknowledged));
    {
        let asked = carrier.amended.lock();
        let AmendmentKind::Replace(content) = &asked[0].change else { panic!("{:?}", asked[0]) };
        assert_eq!(content.template.content.subject.as_deref(), Some("new"));
    }
    let message = rig.message(here).await;
    assert_eq!((message.state(), message.events.len()), (Some(State::Scheduled), 2));
    let other = rig
        .engine
        .create_template(crate::rig::template_with(DraftContent::Text("{{ x }}".into())))
        .await
        .unwrap();
    let replacement = Replacement { template: Some(other.id), variables: None };
    assert!(matches!(rig.engine.replace(here, &replacement).await, Err(Refusal::MissingVariables(_))));
}
