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
        places: None,
        again: false,
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

/// An answer to the request with this transaction that asks for another try.
fn once_more(transaction: &str, recipients: &[&str]) -> CarrierReport {
    CarrierReport {
        kind: ReportKind::Acknowledgement,
        about: Correlation { transaction: Some(transaction.into()), message: None },
        code: Code::UNSPECIFIED,
        carrier_status: "Error-network-problem".into(),
        again: true,
        ..report(State::Failed, "", recipients)
    }
}

/// Taken, and acknowledged by an answer of its own.
fn taken() -> Delivery {
    Delivery::Sent { peer_ref: None, answer: answer("taken"), acknowledged: false }
}

fn take_only(count: usize) -> impl Iterator<Item = Turn> {
    (0..count).map(|_| Turn::Answer(Verdict::all(taken())))
}

#[tokio::test]
async fn what_a_carrier_wants_once_more_goes_out_again_to_those_numbers() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    carrier.will(take_only(2));
    let [first, second] = ["+15555550101", "+15555550102"];
    let id = rig.send(&[first, second]).await;
    rig.until_state(id, State::Sent).await;
    let wish = once_more(&format!("{id}-0"), &[second]);
    for _ in 0..3 {
        rig.report(&carrier, "gw", wish.clone()).await;
    }
    rig.message_when(id, |m| m.recipients[1].round == 1).await;
    // It comes again when the second round is out.
    rig.report(&carrier, "gw", wish).await;
    rig.until_idle().await;
    assert_eq!(carrier.transactions(), [format!("{id}-0"), format!("{id}-1")]);
    let again: Vec<_> = carrier.seen.lock()[1].recipients.iter().map(|r| r.address.clone()).collect();
    assert_eq!(again, numbers(&[second]));
    let message = rig.message(id).await;
    let told: Vec<_> = message.events.iter().map(|e| (e.state, e.destinations.len())).collect();
    assert_eq!(told, [(State::Scheduled, 0), (State::Sent, 0), (State::Scheduled, 1), (State::Sent, 1)]);
    assert_eq!(message.events[2].code, Code::DEFERRED);
    assert_eq!(message.events[2].carrier_status.as_deref(), Some("Error-network-problem"));
    let well =
        CarrierReport { again: false, state: State::Acknowledged, ..once_more(&format!("{id}-1"), &[]) };
    rig.report(&carrier, "gw", well).await;
    let message = rig.message_when(id, |m| m.recipients[1].state == State::Acknowledged).await;
    assert_eq!(message.recipients[0].state, State::Sent, "the answer is to the second round");
}

#[tokio::test]
async fn a_carrier_that_always_wants_it_once_more_is_given_up() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    carrier.will(take_only(9));
    let id = rig.send(&["+15555550101"]).await;
    for round in 0..4 {
        rig.message_when(id, |m| m.recipients[0].round == round && m.recipients[0].state == State::Sent)
            .await;
        rig.report(&carrier, "gw", once_more(&format!("{id}-{round}"), &[])).await;
    }
    let message = rig.until_state(id, State::Failed).await;
    let last = message.events.last().unwrap();
    assert_eq!(last.description, "given up after 4 tries: Error-network-problem");
    rig.until_idle().await;
    assert_eq!(carrier.takes(), 4);
}

#[tokio::test]
async fn a_wish_for_another_try_that_is_faster_than_our_own_record_waits_for_it() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    *carrier.delay.lock() = std::time::Duration::from_millis(60);
    carrier.will(take_only(2));
    let id = rig.send(&["+15555550101"]).await;
    rig.report(&carrier, "gw", once_more(&format!("{id}-0"), &[])).await;
    rig.message_when(id, |m| m.recipients[0].round == 1).await;
    rig.until_idle().await;
    assert_eq!(carrier.transactions(), [format!("{id}-0"), format!("{id}-1")]);
}

#[tokio::test]
async fn an_answer_to_one_of_several_mails_is_about_the_numbers_of_that_mail() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    carrier.will(take_only(3));
    let id = rig.send(&["+15555550101", "+15555550102", "+15555550103", "+15555550104"]).await;
    rig.until_state(id, State::Sent).await;
    let second = once_more(&format!("{id}-0.b3-4"), &[]);
    rig.report(&carrier, "gw", CarrierReport { places: Some(2..4), ..second.clone() }).await;
    rig.message_when(id, |m| m.recipients[3].round == 1).await;
    // The first mail of the old round fails too, when the second is out again.
    let first = CarrierReport { places: Some(0..2), ..once_more(&format!("{id}-0.b1-2"), &[]) };
    rig.report(&carrier, "gw", first).await;
    let message = rig.message_when(id, |m| m.recipients.iter().all(|r| r.round == 1)).await;
    assert_eq!(message.rounds, 1);
    rig.until_idle().await;
    let seen: Vec<_> = carrier.seen.lock().iter().map(|o| o.recipients.len()).collect();
    assert_eq!(seen, [4, 2, 2]);
    let well = CarrierReport { again: false, state: State::Acknowledged, ..second };
    let well = CarrierReport {
        places: Some(2..4),
        about: Correlation { transaction: Some(format!("{id}-1.b3-4")), message: None },
        ..well
    };
    rig.report(&carrier, "gw", well).await;
    let message = rig.message_when(id, |m| m.recipients[3].state == State::Acknowledged).await;
    let states: Vec<_> = message.recipients.iter().map(|r| r.state).collect();
    assert_eq!(states, [State::Sent, State::Sent, State::Acknowledged, State::Acknowledged]);
}

#[tokio::test]
async fn numbers_taken_back_while_others_wait_go_out_with_them() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |g| g.retry.delays = vec![std::time::Duration::from_millis(300)]);
    let [quick, slow] = ["+15555550101", "+15555550102"];
    let outcome = |number: &str, delivery| Outcome { recipients: numbers(&[number]), delivery };
    let busy = Delivery::Defer { answer: answer("busy"), later: false, heard: true, pause: None };
    carrier.will([Turn::Answer(Verdict { outcomes: vec![outcome(quick, taken()), outcome(slow, busy)] })]);
    carrier.will(take_only(1));
    let id = rig.send(&[quick, slow]).await;
    rig.message_when(id, |m| m.recipients[0].state == State::Sent).await;
    rig.report(&carrier, "gw", once_more(&format!("{id}-0"), &[quick])).await;
    rig.message_when(id, |m| m.recipients.iter().all(|r| r.state == State::Sent && r.round == 1)).await;
    rig.until_idle().await;
    assert_eq!(carrier.takes(), 2, "one job serves both");
    assert!(rig.dead(QueueKind::Tx).await.is_empty());
}

#[tokio::test]
async fn numbers_taken_back_while_others_are_under_way_are_not_forgotten() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |g| g.retry.delays = vec![std::time::Duration::from_millis(50)]);
    let [quick, slow] = ["+15555550101", "+15555550102"];
    let outcome = |number: &str, delivery| Outcome { recipients: numbers(&[number]), delivery };
    let busy = Delivery::Defer { answer: answer("busy"), later: false, heard: true, pause: None };
    carrier.will([Turn::Answer(Verdict { outcomes: vec![outcome(quick, taken()), outcome(slow, busy)] })]);
    carrier.will(take_only(2));
    let id = rig.send(&[quick, slow]).await;
    rig.message_when(id, |m| m.recipients[0].state == State::Sent).await;
    *carrier.delay.lock() = std::time::Duration::from_millis(300);
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    // The second try of the slow number is with the carrier now.
    rig.report(&carrier, "gw", once_more(&format!("{id}-0"), &[quick])).await;
    let message = rig.message_when(id, |m| m.recipients.iter().all(|r| r.state == State::Sent)).await;
    rig.until_idle().await;
    let seen: Vec<Vec<_>> = carrier
        .seen
        .lock()
        .iter()
        .map(|o| o.recipients.iter().map(|r| r.address.to_string()).collect())
        .collect();
    assert_eq!(seen, [vec![quick, slow], vec![slow], vec![quick]], "{:#?}", message.events);
}

#[tokio::test]
async fn reports_that_wait_for_the_same_message_share_a_commit() {
    let rig = Rig::with_slow_store(std::time::Duration::from_millis(5));
    let carrier = rig.gateway("gw", |_| {});
    let all: Vec<String> = (0..200).map(|n| format!("+1555557{n:04}")).collect();
    let id = rig.send(&all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let before = rig.until_state(id, State::Acknowledged).await.version;
    let reports =
        all.iter().map(|n| rig.report(&carrier, "gw", report(State::Delivered, &reference(id), &[n])));
    futures_util::future::join_all(reports).await;
    let message = rig.until_state(id, State::Delivered).await;
    assert_eq!(message.events.iter().filter(|e| e.state == State::Delivered).count(), 200);
    let commits = message.version - before;
    assert!(commits < 100, "{commits} commits for 200 reports");
    rig.until_idle().await;
    assert!(rig.dead(QueueKind::Rx).await.is_empty());
}
