//! A peer that acts as a service provider submits messages to us over MM7, and is told number by number what became
//! of them.

use mmsgw_mmsc_sim::{Mo, Received, SimConfig, Simulator};
use serde_json::json;

use crate::rig::crash::free_ports;
use crate::rig::letters::TEXT;
use crate::rig::{World, picture, text, wait_until};

const NUMBERS: [&str; 2] = ["+15555550161", "+15555550162"];

fn mo(subject: &str) -> Mo {
    Mo {
        from: "54321".into(),
        to: NUMBERS.map(str::to_owned).into(),
        subject: subject.into(),
        text: TEXT.into(),
        picture: Some(picture(30_000, 5).to_vec()),
        dr: true,
        rr: true,
        ..Mo::default()
    }
}

/// Both ends know each other's address from the start.
async fn world(features: &str) -> World {
    let [mm7_listen] = free_ports();
    let carrier = Simulator::start(SimConfig { mm7_listen, ..SimConfig::default() }).await.unwrap();
    let over = format!(
        "[inbound]\naccept_submit = true\nreport_url = 'http://{mm7_listen}/reports'\n[features]\n{features}"
    );
    World::around(carrier, "", &over, "", &[])
}

/// The reports of a kind that the peer has taken, each by its recipient and MMStatus.
fn reports(world: &World, kind: &str) -> Vec<(String, String)> {
    let is_report = |r: &Received| r.kind == kind && r.accepted;
    let mut found: Vec<_> = world.carrier.received().into_iter().filter(is_report).collect();
    found.sort_by_key(|r| r.field("Number").map(str::to_owned));
    let told = |r: &Received| {
        assert_eq!(r.problems, Vec::<String>::new(), "{}", r.xml.as_deref().unwrap_or_default());
        let xml = r.xml.clone().unwrap_or_default();
        let recipient = xml.split("<Recipient>").nth(1).unwrap().split("</Recipient>").next().unwrap();
        let number = recipient.split(['<', '>']).find(|part| part.starts_with('+')).unwrap().to_owned();
        (number, r.field("MMStatus").unwrap().to_owned())
    };
    let mut told: Vec<_> = found.iter().map(told).collect();
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_submits_reaches_the_application_and_is_reported_on() {
    let world = world("auto_dr = 'no'\nauto_rr = 'no'\n").await;
    let sent = world.carrier.submit_mm7(&mo("submitted")).await;
    assert!(sent.answer.is_ok() && !sent.message_id.is_empty(), "{sent:?}");
    assert_eq!(sent.answer.status, Some(1000));
    let message = world.application.gets("submitted", "received").await.body;
    assert_eq!(text(&message, "origin"), "54321");
    assert_eq!(text(&message, "destination"), NUMBERS.join(","));
    assert_eq!((&message["dr_requested"], &message["rr_requested"]), (&true.into(), &true.into()));
    assert_eq!(text(&message, "peer_ref"), sent.message_id, "{message:#}");
    assert_eq!(text(&message, "last_tran_id"), sent.transaction_id);
    let parts = message["template"]["parts"].as_array().unwrap();
    assert!(parts.iter().any(|part| part["content_type"] == "image/jpeg"), "{parts:?}");
    let id = text(&message, "id");
    for (door, body) in [
        ("dr", json!({"status": "200", "applies_to": NUMBERS[0]})),
        ("dr", json!({"status": "406", "description": "not here", "applies_to": NUMBERS[1]})),
        ("rr", json!({"status": "200", "applies_to": NUMBERS[0]})),
    ] {
        let reply = world.api.post(&format!("mms/inbound/{door}/{id}"), &body).await;
        assert_eq!(reply.status, 204, "{door}: {}", reply.body);
    }
    wait_until("all reports at the peer", async || {
        (reports(&world, "DeliveryReportReq").len() == 2 && reports(&world, "ReadReplyReq").len() == 1)
            .then_some(())
    })
    .await;
    let of = |number: usize, status: &str| (NUMBERS[number].to_owned(), status.to_owned());
    assert_eq!(reports(&world, "DeliveryReportReq"), [of(0, "Retrieved"), of(1, "Rejected")]);
    assert_eq!(reports(&world, "ReadReplyReq"), [of(0, "Read")]);
    let about = world.carrier.received();
    let about = about.iter().filter(|r| r.kind == "DeliveryReportReq" || r.kind == "ReadReplyReq");
    assert!(about.clone().all(|r| r.message_id == sent.message_id), "each names the message");

    // Submitted again, as after a lost answer: the same id, and the application is not told twice.
    let same = Mo { transaction_id: Some(sent.transaction_id.clone()), ..mo("submitted") };
    let again = world.carrier.submit_mm7(&same).await;
    assert_eq!(again.message_id, sent.message_id, "{again:?}");
    world.carrier.submit_mm7(&mo("another")).await;
    world.application.gets("another", "received").await;
    let told = world.application.at("received");
    assert_eq!(told.iter().filter(|c| c.body["template"]["subject"] == "submitted").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_to_a_provider_are_released_by_the_application() {
    let world = world("auto_dr = 'on_callback'\nauto_rr = 'on_callback'\n").await;
    world.application.answer(503);
    let sent = world.carrier.submit_mm7(&mo("released")).await;
    assert!(sent.answer.is_ok(), "{sent:?}");
    world.application.gets("released", "received").await;
    assert_eq!(reports(&world, "DeliveryReportReq"), [], "no report before the application has it");
    world.application.answer_with(&json!({"rr": {"status": "Deleted", "applies_to": NUMBERS[1]}}));
    wait_until("the reports", async || {
        (reports(&world, "DeliveryReportReq").len() == 2 && reports(&world, "ReadReplyReq").len() == 1)
            .then_some(())
    })
    .await;
    assert!(reports(&world, "DeliveryReportReq").iter().all(|(_, status)| status == "Retrieved"));
    assert_eq!(reports(&world, "ReadReplyReq"), [(NUMBERS[1].to_owned(), "Deleted".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_submits_where_that_is_not_offered() {
    let world = World::start("", "", "").await;
    let sent = world.carrier.submit_mm7(&mo("uninvited")).await;
    assert_eq!(sent.answer.status, Some(4003), "{sent:?}");
    assert_eq!(world.application.at("received").len(), 0);
}
