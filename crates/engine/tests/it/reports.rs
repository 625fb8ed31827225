//! Reports of carriers on messages of ours, in every order.

use mmsgw_domain::{CarrierReport, Code, Correlation, MessageId, QueueKind, ReportKind, State};
use mmsgw_engine::{Delivery, Incoming, Outcome, Unreadable, Verdict};

use crate::rig::{Rig, Turn, answer, numbers};

fn report(state: State, message: &str, recipients: &[&str]) -> CarrierReport {
    CarrierReport {
        kind: ReportKind::Delivery,
        about: Correlation { transaction: None, message: Some(message.into()) },
        recipients: numbers(recipients),
        other_party: vec![],
        state,
        code: Code::OK,
        carrier_status: "Retrieved".into(),
        description: None,
        at: None,
    }
}

fn reference(id: MessageId) -> String {
    format!("ref-{id}-0")
}

#[tokio::test]
async fn a_report_moves_the_number_that_it_names() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let id = rig.send(&["+15555550101", "+15555550102"]).await;
    rig.until_state(id, State::Acknowledged).await;
    rig.report(&carrier, "gw", report(State::Delivered, &reference(id), &["15555550102"])).await;
    let message = rig.message_when(id, |m| m.recipients[1].state == State::Delivered).await;
    assert_eq!(message.recipients[0].state, State::Acknowledged);
    assert_eq!(message.events.last().unwrap().destinations, numbers(&["+15555550102"]));
    let mut swapped = report(State::Delivered, &reference(id), &["54321"]);
    swapped.other_party = numbers(&["15555550101"]);
    rig.report(&carrier, "gw", swapped).await;
    rig.until_state(id, State::Delivered).await;
}

#[tokio::test]
async fn a_report_on_a_stranger_moves_nobody_unless_there_is_but_one() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let two = rig.send(&["+15555550101", "+15555550102"]).await;
    let one = rig.send(&["+15555550101"]).await;
    rig.until_state(two, State::Acknowledged).await;
    rig.until_state(one, State::Acknowledged).await;
    rig.report(&carrier, "gw", report(State::Failed, &reference(two), &["15555550999"])).await;
    rig.report(&carrier, "gw", report(State::Delivered, &reference(one), &["15555550999"])).await;
    let message = rig.message_when(two, |m| m.events.len() == 4).await;
    assert!(message.recipients.iter().all(|r| r.state == State::Acknowledged));
    assert_eq!(message.events.last().unwrap().destinations, numbers(&["15555550999"]));
    rig.until_state(one, State::Delivered).await;
}

#[tokio::test]
async fn a_report_that_comes_again_is_kept_once() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let id = rig.send(&["+15555550101"]).await;
    rig.until_state(id, State::Acknowledged).await;
    for _ in 0..3 {
        rig.report(&carrier, "gw", report(State::Delivered, &reference(id), &["15555550101"])).await;
    }
    rig.until_idle().await;
    let message = rig.message(id).await;
    assert_eq!(message.events.iter().filter(|e| e.state == State::Delivered).count(), 1);
}

#[tokio::test]
async fn a_report_may_be_faster_than_our_own_record() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    *carrier.delay.lock() = std::time::Duration::from_millis(12);
    let id = rig.send(&["+15555550101"]).await;
    // The carrier's own id is not known before its answer is recorded.
    rig.report(&carrier, "gw", report(State::Delivered, &reference(id), &[])).await;
    // An id of ours is known at once, quotes or not.
    let mut by_ours = report(State::Read, "nobody knows this", &[]);
    by_ours.about.transaction = Some(format!("\"{id}-0\""));
    by_ours.kind = ReportKind::Read;
    rig.report(&carrier, "gw", by_ours).await;
    let message = rig.message_when(id, |m| m.events.len() == 5).await;
    assert_eq!(message.state(), Some(State::Read));
    rig.until_idle().await;
    assert_eq!(carrier.takes(), 1);
}

#[tokio::test]
async fn a_message_reported_while_its_answer_was_lost_is_not_sent_again() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |g| g.retry.delays = vec![std::time::Duration::from_millis(200)]);
    let lost = Delivery::Defer { answer: answer("no answer"), later: false, heard: false, pause: None };
    carrier.will([Turn::Answer(Verdict::all(lost))]);
    let id = rig.send(&["+15555550101"]).await;
    rig.message_when(id, |m| m.last_tran_id.is_some()).await;
    rig.report(&carrier, "gw", report(State::Delivered, &format!("{id}-0"), &[])).await;
    rig.until_state(id, State::Delivered).await;
    rig.until_idle().await;
    assert_eq!(carrier.takes(), 1);
}

#[tokio::test]
async fn a_report_tells_the_transaction_of_a_hand_over_that_nobody_settled() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    // Long enough for the report to come first; a crash would make it last for ever.
    *carrier.delay.lock() = std::time::Duration::from_secs(5);
    let id = rig.send(&["+15555550101"]).await;
    rig.report(&carrier, "gw", report(State::Delivered, &format!("{id}-0"), &[])).await;
    let message = rig.message_when(id, |m| m.state() == Some(State::Delivered)).await;
    assert_eq!(message.last_tran_id, Some(format!("{id}-0")));
    assert!(message.processed.is_some());
    assert!(message.events.iter().all(|event| event.state != State::Sent), "it was settled meanwhile");
}

#[tokio::test]
async fn an_acknowledgement_of_the_whole_leaves_a_number_that_was_put_off_to_be_sent() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |g| g.retry.delays = vec![std::time::Duration::from_millis(300)]);
    let [taken, slow] = ["+15555550101", "+15555550102"];
    let outcome = |number: &str, delivery| Outcome { recipients: numbers(&[number]), delivery };
    let busy = Delivery::Defer { answer: answer("mailbox busy"), later: false, heard: true, pause: None };
    let well = Delivery::Sent { peer_ref: None, answer: answer("taken"), acknowledged: false };
    carrier.will([Turn::Answer(Verdict { outcomes: vec![outcome(taken, well), outcome(slow, busy)] })]);
    let id = rig.send(&[taken, slow]).await;
    rig.message_when(id, |m| m.recipients[0].state == State::Sent).await;
    let whole = CarrierReport {
        kind: ReportKind::Acknowledgement,
        ..report(State::Acknowledged, &format!("{id}-0"), &[])
    };
    rig.report(&carrier, "gw", whole).await;
    rig.message_when(id, |m| m.recipients.iter().all(|r| r.state == State::Acknowledged)).await;
    let second = &carrier.seen.lock()[1];
    assert_eq!(second.recipients.iter().map(|r| r.address.as_str()).collect::<Vec<_>>(), [slow]);
}

#[tokio::test]
async fn a_report_on_nothing_of_ours_or_of_another_group_ends_with_the_dead() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let other = rig.gateway("other", |_| {});
    let theirs = rig.send_through("other", &["+15555550101"]).await;
    rig.until_state(theirs, State::Acknowledged).await;
    rig.report(&carrier, "gw", report(State::Failed, &reference(theirs), &[])).await;
    rig.report(&carrier, "gw", report(State::Failed, "unheard of", &[])).await;
    rig.until_idle().await;
    assert_eq!(rig.message(theirs).await.state(), Some(State::Acknowledged));
    let dead = rig.dead(QueueKind::Rx).await;
    assert_eq!(dead.len(), 2);
    assert!(dead.iter().all(|d| d.reason.contains("unknown message") && d.tries == 40));
    assert_eq!(other.takes(), 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_stops_nobody() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let unreadable = carrier.will_read(Err(Unreadable::because("no headers at all")));
    let nothing = carrier.will_read(Ok(Incoming::Nothing("an answer to an answer".into())));
    rig.hand_in("gw", unreadable).await;
    rig.hand_in("gw", nothing).await;
    rig.hand_in("gw", 999).await;
    rig.until_idle().await;
    let mut reasons: Vec<String> = rig.dead(QueueKind::Rx).await.into_iter().map(|d| d.reason).collect();
    reasons.sort();
    assert_eq!(
        reasons,
        ["a defect of mmsgw broke off the work on this job", "unreadable: no headers at all"]
    );
}
