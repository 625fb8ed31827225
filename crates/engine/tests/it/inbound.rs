//! Messages in: kept once, told, acknowledged and reported on as the group and the application say.

use bytes::Bytes;
use mmsgw_domain::{
    AnswerTo, CarrierIds, Code, Direction, GroupSettings, IntakeKind, MessageId, PartContent, QueueKind,
    RecipientKind, Release, ReportKind, ReportOrder, State,
};
use mmsgw_engine::{
    Agreement, Field, InboundContent, InboundMessage, InboundPart, Incoming, Refusal, Unreadable,
};

use crate::rig::{Carrier, Rig, eventually, not_now, numbers, text_template};

fn inbound(fingerprint: &str) -> InboundMessage {
    let octets = InboundContent::Octets(Bytes::from_static(b"\xff\xd8picture"));
    let part = |name: &str, content_type: &str, content| InboundPart {
        name: name.into(),
        content_type: content_type.into(),
        content,
    };
    InboundMessage {
        origin: numbers(&["+15555550199"]).remove(0),
        recipients: numbers(&["54321", "+15555550101"]).into_iter().map(|n| (RecipientKind::To, n)).collect(),
        content: text_template().content,
        parts: vec![
            part("a.txt", "text/plain", InboundContent::Text("hello".into())),
            part("a.jpg", "image/jpeg", octets.clone()),
            part("a.jpg", "image/jpeg", octets),
        ],
        fingerprint: fingerprint.into(),
        ack_requested: Some(true),
        dr_requested: Some(true),
        rr_requested: Some(false),
        peer_ref: Some("M-1".into()),
        carrier_ids: Some(CarrierIds { transaction: "\"T-1\"".into(), message: Some("\"M-1\"".into()) }),
        ack_at_addr: Some("system-user@mms.peer.example".into()),
        linked_id: None,
        priority: None,
        relay_server: None,
        ua_caps: None,
        reply_charging_id: None,
        handling_app: None,
        reply_to_app: None,
        app_info: None,
        service_code: Some("gold".into()),
        forward_counter: Some(2),
        previously_sent: vec![mmsgw_domain::PreviouslySent { position: 1, address: None, at: None }],
    }
}

fn receiving(change: impl FnOnce(&mut GroupSettings)) -> impl FnOnce(&mut GroupSettings) {
    |group| {
        group.mms_received_url = Some("http://app.example/mms".into());
        change(group);
    }
}

async fn hand_in(rig: &Rig, carrier: &Carrier, message: InboundMessage) {
    let number = carrier.will_read(Ok(Incoming::Message(Box::new(message))));
    rig.hand_in("gw", number).await;
}

async fn received(rig: &Rig) -> MessageId {
    eventually("the application is told", async || rig.app.received.lock().first().map(|(m, _)| m.id)).await
}

fn told(carrier: &Carrier) -> Vec<(ReportKind, Code, Vec<String>)> {
    let mut told: Vec<_> = carrier
        .told
        .lock()
        .iter()
        .map(|r| (r.order.kind, r.order.code, r.order.recipients.iter().map(ToString::to_string).collect()))
        .collect();
    told.sort_by_key(|(kind, _, numbers): &(_, _, Vec<String>)| (format!("{kind:?}"), numbers.clone()));
    told
}

#[tokio::test]
async fn a_message_is_kept_told_acknowledged_and_reported_on() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", receiving(|_| {}));
    hand_in(&rig, &carrier, inbound("M-1")).await;
    let id = received(&rig).await;
    rig.until_idle().await;
    let (message, template) = rig.app.received.lock()[0].clone();
    assert_eq!(message.direction, Direction::Inbound);
    assert_eq!(message.last_tran_id.as_deref(), Some("T-1"));
    let names: Vec<&str> = template.content.parts.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["a.txt", "a.jpg", "2-a.jpg"]);
    assert_eq!(template.content.parts[0].content, PartContent::Text("hello".into()));
    let PartContent::Blob(blob) = &template.content.parts[1].content else { panic!("no blob") };
    assert_eq!(rig.engine.media(&blob.digest).await.unwrap().unwrap().as_ref(), b"\xff\xd8picture");
    let dr = |number: &str| (ReportKind::Delivery, Code::OK, vec![number.to_owned()]);
    assert_eq!(
        told(&carrier),
        [(ReportKind::Acknowledgement, Code::OK, vec![]), dr("+15555550101"), dr("54321")]
    );
    let message = rig.message(id).await;
    assert_eq!(message.state(), Some(State::Delivered));
    assert_eq!(message.events[0].state, State::Received);
}

#[tokio::test]
async fn a_message_that_comes_again_is_told_once_and_acknowledged_again() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", receiving(|_| {}));
    hand_in(&rig, &carrier, inbound("M-1")).await;
    received(&rig).await;
    rig.until_idle().await;
    for _ in 0..5 {
        hand_in(&rig, &carrier, inbound("M-1")).await;
    }
    rig.until_idle().await;
    assert_eq!(rig.app.received.lock().len(), 1);
    let acknowledged =
        told(&carrier).iter().filter(|(kind, ..)| *kind == ReportKind::Acknowledgement).count();
    assert!(acknowledged > 1, "the carrier may have missed the first acknowledgement");
    hand_in(&rig, &carrier, inbound("M-2")).await;
    eventually("the second message is told", async || (rig.app.received.lock().len() == 2).then_some(()))
        .await;
}

#[tokio::test]
async fn many_at_once_of_the_same_are_one() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", receiving(|g| g.window = 32));
    for _ in 0..64 {
        hand_in(&rig, &carrier, inbound("M-1")).await;
    }
    rig.until_idle().await;
    assert_eq!(rig.app.received.lock().len(), 1);
}

#[tokio::test]
async fn what_goes_back_and_when_is_the_groups_choice() {
    let rig = Rig::new();
    let silent = rig.gateway(
        "gw",
        receiving(|g| {
            g.features.auto_ack = false;
            g.features.auto_dr = Release::No;
        }),
    );
    hand_in(&rig, &silent, inbound("M-1")).await;
    received(&rig).await;
    rig.until_idle().await;
    assert_eq!(told(&silent), []);
    let rig = Rig::new();
    let eager = rig.gateway("gw", |g| g.features.auto_dr = Release::Immediate);
    hand_in(&rig, &eager, inbound("M-1")).await;
    eventually("it is reported without an application", async || (told(&eager).len() == 3).then_some(()))
        .await;
    let rig = Rig::new();
    let unasked = rig.gateway("gw", receiving(|_| {}));
    let message = InboundMessage { ack_requested: Some(false), dr_requested: None, ..inbound("M-1") };
    hand_in(&rig, &unasked, message).await;
    received(&rig).await;
    rig.until_idle().await;
    assert_eq!(told(&unasked), [], "nobody asked");
}

#[tokio::test]
async fn the_applications_answer_takes_the_place_of_the_automatic_report() {
    let rig = Rig::new();
    let refuse = ReportOrder { code: Code::REFUSED, ..ReportOrder::well(ReportKind::Delivery) };
    rig.app.orders.lock().push(refuse);
    let carrier = rig.gateway("gw", receiving(|_| {}));
    hand_in(&rig, &carrier, inbound("M-1")).await;
    let id = received(&rig).await;
    rig.until_idle().await;
    let codes: Vec<Code> = told(&carrier).iter().map(|(_, code, _)| *code).collect();
    assert_eq!(codes, [Code::OK, Code::REFUSED, Code::REFUSED]);
    assert_eq!(rig.message(id).await.state(), Some(State::Rejected));
}

#[tokio::test]
async fn an_application_orders_reports_for_each_number() {
    let rig = Rig::new();
    let carrier = rig.gateway(
        "gw",
        receiving(|g| {
            g.features.auto_ack = false;
            g.features.auto_dr = Release::No;
        }),
    );
    hand_in(&rig, &carrier, inbound("M-1")).await;
    let id = received(&rig).await;
    let order = |code, to: &[&str]| ReportOrder {
        code,
        recipients: numbers(to),
        ..ReportOrder::well(ReportKind::Delivery)
    };
    let nothing = Agreement::default();
    rig.engine.order_report(id, order(Code::OK, &["54321"]), &nothing).await.unwrap();
    rig.engine.order_report(id, order(Code::EXPIRED, &["15555550101"]), &nothing).await.unwrap();
    rig.until_idle().await;
    let message = rig.message(id).await;
    assert_eq!(
        [message.recipients[0].state, message.recipients[1].state],
        [State::Delivered, State::Expired]
    );
    let stranger = rig.engine.order_report(id, order(Code::OK, &["99999"]), &nothing).await;
    assert!(matches!(stranger, Err(Refusal::Invalid { field: Field::AppliesTo, .. })));
    let wrong = Agreement { peer_ref: Some("M-2".into()), ..Agreement::default() };
    let disagrees = rig.engine.order_report(id, order(Code::OK, &[]), &wrong).await;
    assert!(matches!(disagrees, Err(Refusal::Invalid { field: Field::PeerRef, .. })));
    let outbound = rig.send(&["+15555550101"]).await;
    let not_inbound = rig.engine.order_report(outbound, order(Code::OK, &[]), &nothing).await;
    assert!(matches!(not_inbound, Err(Refusal::Unknown(_))));
}

#[tokio::test]
async fn a_report_that_is_not_taken_is_repeated_under_one_transaction_id_and_given_up() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", receiving(|g| g.features.auto_dr = Release::No));
    carrier.will([not_now(false, false), not_now(true, true)]);
    hand_in(&rig, &carrier, inbound("M-1")).await;
    received(&rig).await;
    rig.until_idle().await;
    let ids: Vec<String> = carrier.told.lock().iter().map(|r| r.transaction_id.clone()).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]));
    carrier.will((0..4).map(|_| not_now(true, true)));
    hand_in(&rig, &carrier, inbound("M-2")).await;
    rig.until_idle().await;
    assert_eq!(rig.dead(QueueKind::Ev).await.len(), 1);
}

#[tokio::test]
async fn a_request_that_wants_an_answer_gets_one() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let to = AnswerTo {
        kind: ReportKind::Acknowledgement,
        address: "system-user@mms.peer.example".into(),
        transaction: "\"T-9\"".into(),
        message: None,
    };
    let answer = mmsgw_domain::AnswerJob { to, code: Code::MALFORMED, description: Some("no sender".into()) };
    let unreadable = Unreadable { reason: "no sender".into(), answer: Some(Box::new(answer.clone())) };
    let number = carrier.will_read(Err(unreadable));
    rig.hand_in("gw", number).await;
    rig.until_idle().await;
    assert_eq!(*carrier.answers.lock(), [answer]);
    assert_eq!(rig.dead(QueueKind::Rx).await.len(), 1, "what could not be read is kept");
}

#[tokio::test]
async fn more_than_may_wait_to_be_read_is_to_come_again() {
    let rig = Rig::with(|settings| settings.max_received = 2);
    rig.gateway("gw", |_| {});
    rig.stop();
    rig.hand_in("gw", 1).await;
    rig.hand_in("gw", 2).await;
    let kind = IntakeKind::Http { content_type: "text/xml".into() };
    let refused = rig.engine.intake(&"gw".parse().unwrap(), kind, String::new(), "3".into()).await;
    assert!(matches!(refused, Err(Refusal::Overloaded { .. })), "{refused:?}");
}
