//! A message out over MM4: its whole life, its octets, and what the application hears.

use serde_json::json;

use crate::outbound_mm7::{assert_life, assert_octets};
use crate::rig::letters::{SUBJECTS, all_fields, now, postcard, with};
use crate::rig::{World, picture, text, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_postcard_with_every_field_lives_its_whole_life() {
    let world = World::start("", "", "").await;
    let (photo, subject) = (picture(30_000, 9), "Every <field> & \"more\" – ¡sí!");
    let send = json!({
        "destination": "+15555550102,5555550103", "cc": ["+15555550104"], "bcc": "+15555550105",
        "gateway": "mm4", "priority": "low",
        "events_url": [world.application.url("message"), world.application.url("second")],
    });
    let start = now();
    let id = world.api.send(&with(postcard(subject, &photo, send), all_fields(start))).await;

    let received = world.arrives(subject).await;
    assert!(now() >= start + 2, "it was to be held for two seconds");
    assert_octets(&received, &photo);
    let local: Vec<&str> = received.rcpt_to.iter().map(|r| r.split('/').next().unwrap()).collect();
    assert_eq!(local, ["+15555550102", "+5555550103", "+15555550104", "+15555550105"]);
    for address in &received.rcpt_to {
        assert!(address.ends_with("/TYPE=PLMN@mms.sim.example"), "{address}");
    }
    let shown = [&received.to[..], &received.cc[..]].concat();
    assert_eq!(shown.len(), 3);
    assert!(!String::from_utf8_lossy(&received.raw).contains("15555550105"), "a hidden copy is hidden");
    for (field, value) in [
        ("X-Mms-3GPP-MMS-Version", "6.10.0"),
        ("X-Mms-Message-Type", "MM4_forward.REQ"),
        ("X-Mms-Message-Class", "Advertisement"),
        ("X-Mms-Priority", "Low"),
        ("X-Mms-Delivery-Report", "Yes"),
        ("X-Mms-Read-Reply", "Yes"),
        ("X-Mms-Ack-Request", "Yes"),
        ("X-Mms-Sender-Visibility", "Hide"),
        ("X-Mms-Content-Class", "image-rich"),
        ("X-Mms-Drm-Content", "No"),
        ("X-Mms-Adaptation-Allowed", "Yes"),
        ("X-Mms-Originator-System", "system-user@mms.gw.example"),
    ] {
        assert_eq!(received.field(field), Some(value), "{field}: {:#?}", received.fields);
    }
    assert!(received.field("X-Mms-Expiry").is_some(), "{:#?}", received.fields);

    let message = assert_life(&world, &id, &["message", "second", "gateway"]).await;
    assert_eq!(text(&message, "last_tran_id"), received.transaction_id);
    wait_until("every number to be READ", async || {
        let message = world.api.message(&id).await;
        message["recipients"].as_array().unwrap().iter().all(|r| text(r, "state") == "READ").then_some(())
    })
    .await;
    assert_eq!(world.carrier.counts().reports_failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_subject_breaks_out() {
    let world = World::start("", "", "").await;
    for subject in SUBJECTS {
        let id = world.api.send_text("mm4", subject, &["+15555550102"]).await;
        let received = world.arrives(subject).await;
        assert_eq!(received.rcpt_to.len(), 1, "{:?}", received.rcpt_to);
        assert_eq!(received.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("bcc")).count(), 0);
        assert_eq!(received.parts[0].octets, "hello");
        world.api.reaches(&id, &["READ"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_numbers_go_out_as_several_mails_and_each_has_its_end() {
    let world = World::start("", "", "").await;
    let numbers: Vec<String> = (0..120).map(|n| format!("+1555556{n:04}")).collect();
    let list: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let id = world.api.send_text("mm4", "to many", &list).await;
    wait_until("every number to be READ", async || {
        let message = world.api.message(&id).await;
        let recipients = message["recipients"].as_array().unwrap();
        (recipients.len() == 120 && recipients.iter().all(|r| text(r, "state") == "READ")).then_some(())
    })
    .await;
    let mut reached: Vec<String> = world.received("to many").into_iter().flat_map(|r| r.rcpt_to).collect();
    assert_eq!(reached.len(), 120);
    reached.sort();
    reached.dedup();
    assert_eq!(reached.len(), 120, "nobody gets it twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_mails() {
    let world = World::start("", "", "[outbound]\nconnections = 2\n").await;
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push(world.api.send_text("mm4", &format!("mail {n}"), &["+15555550102"]).await);
    }
    for id in &ids {
        world.api.reaches(id, &["READ"]).await;
    }
    let counts = world.carrier.counts();
    assert!(counts.mm4_connections <= 4, "{counts:?}");
    assert_eq!(counts.duplicates, 0);
}
