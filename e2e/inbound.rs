//! Messages from phones: the carrier hands them in over MM4 and MM7, the application is told, and what the
//! application answers goes back to the carrier for each number.

use mmsgw_mmsc_sim::{Mo, MoAnswer, Received};
use serde_json::{Value, json};

use crate::rig::crash::free_ports;
use crate::rig::letters::TEXT;
use crate::rig::{World, picture, scratch, text, wait_until};

const BOTH: [&str; 2] = ["mm4", "mm7"];
const NUMBERS: [&str; 2] = ["+15555550161", "+15555550162"];
const ANSWERS: [&str; 3] = ["MM4_forward.RES", "MM4_delivery_report.REQ", "MM4_read_reply_report.REQ"];
/// Nothing goes back by itself.
const SILENT: &str = "auto_ack = false\nauto_dr = 'no'\nauto_rr = 'no'\n";

/// A world whose messages are posted to the application's door `received`.
async fn world(main: &str, inbound: &str, features: &str) -> World {
    let over = format!("[inbound]\n{inbound}\n[features]\n{features}");
    // Media are named by the API's address, which therefore has to be known beforehand.
    let [api] = free_ports();
    let main = format!("api.listen = '{api}'\n{main}");
    World::start(&main, &over, &over).await
}

fn mo(subject: &str, numbers: &[&str]) -> Mo {
    Mo {
        from: "+15555550150".into(),
        to: numbers.iter().map(|&n| n.to_owned()).collect(),
        subject: subject.into(),
        text: TEXT.into(),
        picture: Some(picture(30_000, 5).to_vec()),
        ..Mo::default()
    }
}

/// A message that asks for everything that one can ask for.
fn demanding(subject: &str) -> Mo {
    Mo { ack: true, dr: true, rr: true, ..mo(subject, &NUMBERS) }
}

async fn hand_in(world: &World, protocol: &str, mo: &Mo) -> MoAnswer {
    let sent = match protocol {
        "mm4" => world.carrier.send_mo_mm4(mo).await,
        _ => world.carrier.send_mo_mm7(mo).await,
    };
    assert!(sent.answer.is_ok(), "{protocol}: {sent:?}");
    sent
}

async fn quiet(world: &World) {
    let url = format!("http://{}/metrics", world.gateway.awaited("health and metrics"));
    wait_until("all work to be done", async || {
        let metrics = reqwest::get(&url).await.unwrap().text().await.unwrap();
        let busy = |line: &&str| {
            ["mmsgw_queue_waiting_jobs{", "mmsgw_queue_leased_jobs{"]
                .iter()
                .any(|name| line.starts_with(name))
        };
        let jobs: Vec<&str> = metrics.lines().filter(busy).collect();
        assert!(!jobs.is_empty(), "{metrics}");
        jobs.iter().all(|line| line.ends_with(" 0")).then_some(())
    })
    .await;
}

/// What came back to the carrier, of one kind.
fn back(world: &World, kind: &str) -> Vec<Received> {
    world.carrier.received().into_iter().filter(|r| r.kind == kind).collect()
}

fn counts(world: &World) -> [usize; 3] {
    ANSWERS.map(|kind| back(world, kind).len())
}

/// Waits for so many mails of each kind; then nothing more may come.
async fn comes_back(world: &World, wanted: [usize; 3]) {
    let what = format!("{wanted:?} of {ANSWERS:?}");
    wait_until(&what, async || {
        let now = counts(world);
        now.iter().zip(wanted).all(|(now, wanted)| *now >= wanted).then_some(())
    })
    .await;
    quiet(world).await;
    assert_eq!(counts(world), wanted, "{ANSWERS:?}");
    for answer in ANSWERS.iter().flat_map(|kind| back(world, kind)) {
        assert!(answer.problems.is_empty(), "{:?}", answer.problems);
        assert_eq!(answer.rcpt_to, ["system-user@mms.sim.example"]);
    }
}

fn field<'a>(mail: &'a Received, name: &str) -> &'a str {
    mail.field(name).unwrap_or_default()
}

/// The one mail of `kind` that is about `number`.
fn about(world: &World, kind: &str, number: &str) -> Received {
    let digits = number.trim_start_matches('+');
    let mut found = back(world, kind);
    found.retain(|r| field(r, "From").contains(digits));
    assert_eq!(found.len(), 1, "{kind} about {number}: {found:?}");
    found.remove(0)
}

fn part<'a>(message: &'a Value, content_type: &str) -> &'a Value {
    let parts = message["template"]["parts"].as_array().unwrap();
    let of_type = |part: &&Value| text(part, "content_type").starts_with(content_type);
    parts.iter().find(of_type).unwrap_or_else(|| panic!("no {content_type}: {message:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_gets_the_whole_message() {
    let world = world("", "", SILENT).await;
    for protocol in BOTH {
        let subject = format!("Grüße <&> over {protocol}");
        let sent = hand_in(&world, protocol, &mo(&subject, &NUMBERS)).await;
        let callback = world.application.gets(&subject, "received").await;
        let message = callback.body;
        let id = text(&message, "id");
        assert!(callback.webhook_id.contains(id), "{}", callback.webhook_id);
        assert_eq!(message["direction"], 1);
        assert_eq!(text(&message, "state"), "RECEIVED");
        assert_eq!(text(&message, "gateway"), protocol);
        assert_eq!(text(&message, "origin"), "+15555550150");
        assert_eq!(text(&message, "destination"), NUMBERS.join(","));
        assert_eq!(text(&message, "last_tran_id"), sent.transaction_id);
        assert_eq!(text(&message["template"], "origin"), "+15555550150");
        if protocol == "mm4" {
            assert_eq!(text(&message, "peer_ref"), sent.message_id);
            assert_eq!(text(&message, "ack_at_addr"), "system-user@mms.sim.example");
            assert_eq!(message["dr_requested"], false);
        } else {
            assert_eq!(text(&message, "linked_id"), sent.message_id);
        }
        assert!(text(part(&message, "application/smil"), "content").starts_with("<smil>"));
        assert_eq!(text(part(&message, "text/plain"), "content"), TEXT);
        let url = text(part(&message, "image/jpeg"), "content_url");
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"image/jpeg".parse().unwrap())
        );
        assert!(answer.bytes().await.unwrap() == picture(30_000, 5), "{protocol}: other octets");
        let shown = world.api.get(&format!("mms/inbound/{id}")).await;
        assert_eq!((shown.status, &shown.body["template"]), (200, &message["template"]));
        assert_eq!(world.api.get(&format!("mms/outbound/{id}")).await.status, 404);
    }
    quiet(&world).await;
    assert_eq!(counts(&world), [0; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn media_are_named_as_files_where_the_group_says_so() {
    let media = scratch();
    let main = format!("media_storage.directory = '{}'\n", media.path().display());
    let world =
        world(&main, &format!("media_url_prefix = 'file://{}'", media.path().display()), SILENT).await;
    for protocol in BOTH {
        hand_in(&world, protocol, &mo(protocol, &NUMBERS[..1])).await;
        let message = world.application.gets(protocol, "received").await.body;
        let url = text(part(&message, "image/jpeg"), "content_url");
        let path = url.strip_prefix("file://").unwrap_or_else(|| panic!("{url}"));
        assert!(std::fs::read(path).unwrap() == picture(30_000, 5), "{protocol}: other octets");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_answers_for_each_number() {
    let world = world("", "", SILENT).await;
    let sent = hand_in(&world, "mm4", &demanding("answer me")).await;
    let message = world.application.gets("answer me", "received").await.body;
    for asked in ["ack_requested", "dr_requested", "rr_requested"] {
        assert_eq!(message[asked], true, "{asked}");
    }
    quiet(&world).await;
    assert_eq!(counts(&world), [0; 3], "nothing goes back by itself");
    let id = text(&message, "id");
    for (door, body) in [
        ("ack", json!({"status": "200", "description": "Ok"})),
        ("dr", json!({"status": "200", "applies_to": [NUMBERS[0]]})),
        ("dr", json!({"status": "406", "description": "does not want it", "applies_to": NUMBERS[1]})),
        ("rr", json!({"status": "200", "applies_to": NUMBERS[0]})),
    ] {
        let reply = world.api.post(&format!("mms/inbound/{door}/{id}"), &body).await;
        assert_eq!(reply.status, 204, "{door}: {}", reply.body);
    }
    comes_back(&world, [1, 2, 1]).await;
    let ack = back(&world, ANSWERS[0]).remove(0);
    assert_eq!(ack.transaction_id, sent.transaction_id);
    assert_eq!(ack.message_id, sent.message_id);
    assert_eq!(
        field(&ack, "X-Mms-Transaction-ID"),
        format!("\"{}\"", sent.transaction_id),
        "as it came, quotes and all"
    );
    assert_eq!(field(&ack, "X-Mms-Request-Status-Code"), "Ok");
    for (number, status, extension, why) in [
        (NUMBERS[0], "Retrieved", "", ""),
        (NUMBERS[1], "Rejected", "Rejection-by-MMS-Recipient", "does not want it"),
    ] {
        let report = about(&world, ANSWERS[1], number);
        assert_eq!(report.message_id, sent.message_id);
        assert_ne!(report.transaction_id, sent.transaction_id);
        assert_eq!(field(&report, "X-Mms-MM-Status-Code"), status);
        assert!(field(&report, "X-Mms-MM-Status-Extension").eq_ignore_ascii_case(extension), "{report:?}");
        assert_eq!(field(&report, "X-Mms-Status-Text"), why);
        assert!(field(&report, "To").contains("15555550150"));
    }
    let read = about(&world, ANSWERS[2], NUMBERS[0]);
    assert_eq!(read.message_id, sent.message_id);
    assert_eq!(field(&read, "X-Mms-Read-Status"), "Read");
    assert_recorded(&world, id).await;
}

/// Each number has its own end.
async fn assert_recorded(world: &World, id: &str) {
    let message = world.api.get(&format!("mms/inbound/{id}")).await.body;
    let state = |number: &str| {
        let recipients = message["recipients"].as_array().unwrap();
        let found = recipients.iter().find(|r| text(r, "number") == number).unwrap();
        (text(found, "state").to_owned(), text(found, "code").to_owned())
    };
    assert_eq!(state(NUMBERS[0]), ("READ".into(), "200".into()), "{message:#}");
    assert_eq!(state(NUMBERS[1]), ("REJECTED".into(), "406".into()), "{message:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_fit_is_refused() {
    let world = world("", "", SILENT).await;
    hand_in(&world, "mm4", &demanding("refuse me")).await;
    let message = world.application.gets("refuse me", "received").await.body;
    let id = text(&message, "id");
    for (path, body, status, pointer) in [
        ("dr", json!({"status": "200", "applies_to": "+15555550199"}), 422, "/applies_to"),
        ("dr", json!({"status": "200", "gateway": "mm7"}), 422, "/gateway"),
        ("ack", json!({"status": "200", "peer_ref": "another"}), 422, "/peer_ref"),
        ("rr", json!({}), 422, "/status"),
    ] {
        let reply = world.api.post(&format!("mms/inbound/{path}/{id}"), &body).await;
        assert_eq!((reply.status, reply.fault().0), (status, pointer), "{}", reply.body);
    }
    let nobody =
        world.api.post("mms/inbound/dr/019a0000000070008000000000000020", &json!({"status": "200"})).await;
    assert_eq!(nobody.status, 404);
    quiet(&world).await;
    assert_eq!(counts(&world), [0; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn immediate_answers_do_not_wait_for_the_application() {
    let world = world("", "", "auto_ack = true\nauto_dr = 'immediate'\nauto_rr = 'immediate'\n").await;
    world.application.answer(500);
    hand_in(&world, "mm4", &demanding("at once")).await;
    wait_until("all answers", async || (counts(&world) == [1, 2, 2]).then_some(())).await;
    world.application.answer(204);
    comes_back(&world, [1, 2, 2]).await;
    for number in NUMBERS {
        assert_eq!(field(&about(&world, ANSWERS[1], number), "X-Mms-MM-Status-Code"), "Retrieved");
        assert_eq!(field(&about(&world, ANSWERS[2], number), "X-Mms-Read-Status"), "Read");
    }
    hand_in(&world, "mm4", &mo("asks for nothing", &NUMBERS)).await;
    world.application.gets("asks for nothing", "received").await;
    comes_back(&world, [1, 2, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_applications_answer_releases_reports_and_may_change_them() {
    let world = world("", "", "auto_ack = true\nauto_dr = 'on_callback'\nauto_rr = 'on_callback'\n").await;
    world.application.answer(503);
    hand_in(&world, "mm4", &demanding("released")).await;
    world.application.gets("released", "received").await;
    wait_until("the acknowledgement", async || (counts(&world)[0] == 1).then_some(())).await;
    assert_eq!(counts(&world), [1, 0, 0], "no report before the application has the message");
    world.application.answer(204);
    comes_back(&world, [1, 2, 2]).await;
    let ids: Vec<String> = world.application.at("received").into_iter().map(|c| c.webhook_id).collect();
    assert!(ids.len() > 1 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");

    world.carrier.clear();
    world.application.answer_with(&json!({
        "dr": {"status": "406", "description": "not here", "applies_to": [NUMBERS[1]]},
        "rr": {"status": "Deleted", "applies_to": NUMBERS[0]},
    }));
    let sent = hand_in(&world, "mm4", &demanding("changed")).await;
    comes_back(&world, [1, 1, 1]).await;
    let report = about(&world, ANSWERS[1], NUMBERS[1]);
    assert_eq!(report.message_id, sent.message_id);
    assert_eq!(field(&report, "X-Mms-MM-Status-Code"), "Rejected");
    assert_eq!(field(&report, "X-Mms-Status-Text"), "not here");
    let read = about(&world, ANSWERS[2], NUMBERS[0]);
    assert_eq!(field(&read, "X-Mms-Read-Status"), "Deleted without being read");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_again_is_told_once() {
    let world = world("", "", "auto_ack = true\n").await;
    for protocol in BOTH {
        let once = Mo {
            transaction_id: Some(format!("tx-{protocol}")),
            message_id: Some(format!("id-{protocol}")),
            ack: true,
            ..mo(protocol, &NUMBERS)
        };
        for _ in 0..3 {
            hand_in(&world, protocol, &once).await;
            quiet(&world).await;
        }
        // At the same time, too.
        let again = (0..4).map(|_| hand_in(&world, protocol, &once));
        futures_util::future::join_all(again).await;
        quiet(&world).await;
        let told = world.application.at("received");
        let told = told.iter().filter(|c| c.body["template"]["subject"] == protocol);
        assert_eq!(told.count(), 1, "{protocol}");
    }
    // The carrier may have missed our acknowledgement, so each copy is acknowledged, alike.
    let acks = back(&world, ANSWERS[0]);
    assert!(!acks.is_empty());
    assert!(
        acks.iter()
            .all(|ack| ack.transaction_id == "tx-mm4" && field(ack, "X-Mms-Request-Status-Code") == "Ok")
    );
}
