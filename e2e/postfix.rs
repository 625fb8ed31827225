//! Mails pass through a real Postfix and arrive as they were: octets, headers, recipients.

use std::collections::BTreeMap;

use mmsgw_mm4::Pdu;
use mmsgw_mmsc_sim::{Received, SimConfig, Simulator};
use serde_json::{Value, json};

use crate::outbound_mm7::assert_octets;
use crate::rig::letters::{SMIL, SUBJECTS, TEXT, postcard, with};
use crate::rig::python::Mail;
use crate::rig::{CURIOUS, Postfix, World, mm4, picture, text, wait_until};

/// A world whose group `relayed` has Postfix in the way; group `mm4` has not.
async fn world(dialect: &str) -> (World, Postfix) {
    let carrier = Simulator::start(SimConfig::default()).await.unwrap();
    let postfix = Postfix::relaying_to(carrier.mm4_addr);
    let over = format!("{CURIOUS}[outbound]\nlocal_domain = 'relayed.gw.example'\n{dialect}");
    let relayed = ("relayed", mm4("relayed", &postfix.address.to_string(), &over));
    let world = World::around(carrier, "", "", dialect, &[relayed]);
    (world, postfix)
}

async fn arrives(world: &World, postfix: &Postfix, subject: &str) -> Received {
    let relayed = |r: &Received| r.headers.iter().any(|(_, value)| value.contains("relay.example"));
    let found = wait_until(&format!("`{subject}` through Postfix"), async || {
        world.received(subject).into_iter().find(relayed)
    })
    .await;
    assert!(found.problems.is_empty(), "{:?}\n{}", found.problems, postfix.log());
    found
}

/// Reads a mail with Python's reader and with ours; both have to find what was sent.
async fn assert_readers_agree(mail: &Received, subject: &str, parts: &[&[u8]]) {
    let python = Mail::read(&mail.raw).await;
    assert_eq!(python.complaints, [""; 0], "{}", String::from_utf8_lossy(&mail.raw));
    assert_eq!(python.header("subject"), [subject]);
    let octets: Vec<&[u8]> = python.parts.iter().map(|(_, octets)| &octets[..]).collect();
    assert!(octets == parts, "Python's reader finds other octets");

    let ours = mmsgw_mm4::read(mail.raw.clone(), &mmsgw_mime::Limits::DEFAULT).unwrap();
    let Pdu::ForwardReq(request) = ours.pdu else { panic!("{:?}", ours.pdu) };
    assert_eq!(request.subject.as_deref(), Some(subject));
    let content = ours.content.unwrap();
    let octets: Vec<&[u8]> = content.leaves().iter().map(|leaf| &leaf.body().unwrap()[..]).collect();
    assert!(octets == parts, "our reader finds other octets");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postcard_passes_and_lives_its_whole_life() {
    let (world, postfix) = world("[dialect]\noriginator_rs_delivery_report = true\n").await;
    let (photo, subject) = (picture(60_000, 11), SUBJECTS[9]);
    let mut ids = Vec::new();
    for gateway in ["mm4", "relayed"] {
        let send = json!({"destination": ["+15555550102", "+15555550103"], "cc": "+15555550104", "gateway": gateway,
                          "priority": "high"});
        let more = json!({"message_class": "informational", "expire_after": 3600, "show_sender": true});
        ids.push(world.api.send(&with(postcard(subject, &photo, send), more)).await);
    }
    for id in &ids {
        world.api.reaches(id, &["READ"]).await;
    }
    let relayed = arrives(&world, &postfix, subject).await;
    let direct = world.received(subject).into_iter().find(|r| r.seq != relayed.seq).unwrap();
    assert_octets(&relayed, &photo);
    assert_eq!(stated(&relayed), stated(&direct), "Postfix changed what the mail says");
    assert_eq!(relayed.field("X-Mms-Originator-R/S-Delivery-Report"), Some("Yes"));
    assert_readers_agree(&relayed, subject, &[SMIL.as_bytes(), &photo, TEXT.as_bytes()]).await;
}

/// The headers that do not differ from one message to the next.
fn stated(mail: &Received) -> BTreeMap<String, String> {
    let own = [
        "received",
        "date",
        "message-id",
        "content-type",
        "x-mms-transaction-id",
        "x-mms-message-id",
        "x-mms-expiry",
    ];
    let mut fields = mail.fields.clone();
    fields.retain(|name, _| !own.contains(&name.as_str()));
    fields
        .into_iter()
        .map(|(name, value)| (name, value.replace("relayed.gw.example", "mms.gw.example")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subject_and_every_lone_part_passes() {
    let (world, postfix) = world("[dialect]\ndomain_in_addresses = true\n").await;
    for (index, subject) in SUBJECTS.into_iter().enumerate() {
        let subject = format!("{index} {subject}");
        let body =
            ["hello", ".", "From me\n", "\r\n.\r\n", "grüß dich", "a\tb \r\n", "x\ry", TEXT, "=", "--\r\n--"]
                [index];
        let letter = json!({"origin": "54321", "subject": subject,
            "parts": [{"name": "a.txt", "content_type": "text/plain", "content": body}],
            "send": {"destination": "+15555550102", "gateway": "relayed"}});
        world.api.send(&letter).await;
        let mail = arrives(&world, &postfix, &subject).await;
        assert_eq!(String::from_utf8_lossy(&mail.parts[0].octets), body, "{subject}");
        assert_readers_agree(&mail, &subject, &[body.as_bytes()]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_recipients_pass() {
    let (world, postfix) = world("").await;
    let numbers: Vec<String> = (0..250).map(|n| format!("+1555557{n:04}")).collect();
    let photo = picture(5_000, 4);
    let send = json!({"destination": numbers, "gateway": "relayed"});
    let id = world.api.send(&postcard("to many", &photo, send)).await;
    let all = |mails: &[Received]| -> Vec<String> {
        let mut reached: Vec<String> = mails.iter().flat_map(|r| r.rcpt_to.clone()).collect();
        reached.sort();
        reached
    };
    let mails = wait_until("all numbers to be reached", async || {
        Some(world.received("to many")).filter(|mails| all(mails).len() >= 250)
    })
    .await;
    let mut wanted: Vec<String> = numbers.iter().map(|n| format!("{n}/TYPE=PLMN@mms.sim.example")).collect();
    wanted.sort();
    assert_eq!(all(&mails), wanted);
    for mail in &mails {
        assert!(mail.problems.is_empty(), "{:?}\n{}", mail.problems, postfix.log());
        assert_octets(mail, &photo);
    }
    let message = world.api.reaches(&id, &["SENT", "ACKNOWLEDGED", "DELIVERED", "READ"]).await;
    assert!(message["recipients"].as_array().unwrap().iter().all(|r: &Value| text(r, "state") != "FAILED"));
}
