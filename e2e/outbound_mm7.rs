//! A message out over MM7: its whole life, its octets, and what the application hears.

use mmsgw_mmsc_sim::Received;
use serde_json::{Value, json};

use crate::rig::letters::{SMIL, SUBJECTS, TEXT, all_fields, now, postcard, with};
use crate::rig::{MediaServer, World, codes, picture, scratch, text, wait_until};

const LIFE: [&str; 5] = ["SCHEDULED", "SENT", "ACKNOWLEDGED", "DELIVERED", "READ"];

pub(crate) fn assert_octets(received: &Received, picture: &[u8]) {
    let kinds: Vec<&str> =
        received.parts.iter().map(|part| part.content_type.split(';').next().unwrap().trim()).collect();
    assert_eq!(kinds, ["application/smil", "image/jpeg", "text/plain"]);
    assert_eq!(received.parts[0].octets, SMIL.as_bytes());
    assert!(received.parts[1].octets == picture, "the picture has other octets");
    assert_eq!(String::from_utf8_lossy(&received.parts[2].octets), TEXT);
}

/// Follows a message to READ and looks at what message and callbacks say on the way.
pub(crate) async fn assert_life(world: &World, id: &str, doors: &[&str]) -> Value {
    // Reports come in any order, so the last state is not the last event.
    let message = wait_until(&format!("the whole life of {id}"), async || {
        let message = world.api.message(id).await;
        let told = codes(&message);
        LIFE.iter().all(|state| told.contains(&((*state).to_owned(), "200".to_owned()))).then_some(message)
    })
    .await;
    for door in doors {
        for state in LIFE {
            let callback = world.application.hears(id, door, state).await;
            assert_eq!(text(&callback.body, "code"), "200");
            assert!(!text(&callback.body, "description").is_empty() && callback.body["timestamp"].is_i64());
            assert_eq!(callback.body["events"], Value::Null, "an event, not a message");
        }
    }
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postcard_with_every_field_lives_its_whole_life() {
    let world = World::start("", "[gateway]\nvaspid = 'acct'\nvasid = 'svc'\n", "").await;
    let (photo, subject) = (picture(30_000, 7), "Every <field> & \"more\" – ¡sí!");
    let send = json!({
        "destination": ["+15555550102", "(555) 555-0103"], "cc": "+15555550104, 12345", "bcc": ["someone@mail.example"],
        "gateway": "mm7", "priority": "high", "linked_id": "earlier-1", "events_url": world.application.url("message"),
    });
    let start = now();
    let id = world.api.send(&with(postcard(subject, &photo, send), all_fields(start))).await;

    let received = world.arrives(subject).await;
    assert!(now() >= start + 2, "it was to be held for two seconds");
    assert_octets(&received, &photo);
    assert_eq!(
        received.to,
        ["+15555550102", "5555550103"].map(|n| format!("+{}", n.trim_start_matches('+')))
    );
    assert_eq!((received.cc.len(), received.cc[0].as_str()), (2, "+15555550104"));
    assert!(received.cc[1].ends_with("12345"), "{:?}", received.cc);
    assert_eq!(received.bcc, ["someone@mail.example"]);
    for (field, value) in [
        ("VASPID", "acct"),
        ("VASID", "svc"),
        ("MessageClass", "Advertisement"),
        ("Priority", "High"),
        ("LinkedID", "earlier-1"),
        ("ChargedParty", "Both"),
        ("DistributionIndicator", "false"),
        ("DeliveryReport", "true"),
        ("ReadReply", "true"),
        ("ContentClass", "image-rich"),
        ("DRMContent", "false"),
        ("Content@allowAdaptations", "true"),
    ] {
        assert_eq!(received.field(field), Some(value), "{field}\n{}", received.xml.as_deref().unwrap());
    }
    for field in ["EarliestDeliveryTime", "ExpiryDate"] {
        assert!(received.field(field).is_some(), "{field}\n{}", received.xml.as_deref().unwrap());
    }

    let message = assert_life(&world, &id, &["message", "gateway"]).await;
    assert_eq!(text(&message, "peer_ref"), received.message_id);
    assert_eq!(text(&message, "last_tran_id"), received.transaction_id);
    assert_eq!((text(&message, "cc"), text(&message, "bcc")), ("+15555550104,12345", "someone@mail.example"));
    let recipients = message["recipients"].as_array().unwrap();
    assert_eq!(recipients.len(), 5);
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
        let id = world.api.send_text("mm7", subject, &["+15555550102"]).await;
        let received = world.arrives(subject).await;
        assert_eq!(received.recipients().len(), 1, "{:?}", received.xml);
        world.api.reaches(&id, &["READ"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn media_come_from_a_part_a_file_and_a_server_and_are_fetched_once() {
    let (root, photo, film, song) = (scratch(), picture(40_000, 1), picture(50_000, 2), picture(9_000, 3));
    std::fs::write(root.path().join("film 1.mp4"), &film).unwrap();
    let server = MediaServer::start("audio/mpeg", song.clone());
    let main =
        format!("[media]\nallow_networks = ['127.0.0.0/8']\nfile_roots = ['{}']\n", root.path().display());
    let world = World::start(&main, "", "").await;

    let uploaded = json!({"name": "p.jpg", "content_type": "image/jpeg", "encoding": "base64",
                          "content": encodify::base64::STANDARD.encode(&photo)});
    let part = world.api.post("mms_part", &uploaded).await;
    assert_eq!(part.status, 201, "{}", part.body);
    let template = json!({"origin": "54321", "subject": "from three places", "parts": [
        text(&part.body, "id"),
        {"name": "film.mp4", "content_type": "video/mp4",
         "content_url": format!("file://{}/film%201.mp4", root.path().display())},
        {"name": "song.mp3", "content_type": "audio/mpeg", "content_url": server.url},
    ]});
    let template = world.api.post("mms", &template).await;
    assert_eq!(template.status, 201, "{}", template.body);
    assert_eq!(template.location.as_deref().and_then(|l| l.rsplit('/').next()), template.body["id"].as_str());
    let path = format!("mms/outbound/{}", text(&template.body, "id"));
    for gateway in ["mm7", "mm4", "mm7"] {
        let sent = world.api.post(&path, &json!({"destination": "+15555550102", "gateway": gateway})).await;
        assert_eq!(sent.status, 202, "{}", sent.body);
        world.api.reaches(text(&sent.body, "id"), &["READ"]).await;
    }
    let all = world.received("from three places");
    assert_eq!(all.len(), 3);
    for received in all {
        assert!(received.problems.is_empty(), "{:?}", received.problems);
        let octets: Vec<&[u8]> = received.parts.iter().map(|part| &part.octets[..]).collect();
        assert!(octets == [&photo[..], &film[..], &song[..]], "{:?}", received.protocol);
    }
    assert_eq!(server.fetches(), 1, "media are fetched once for a template");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_template_changes_no_message_already_made() {
    let world = World::start("", "[gateway]\nretry_delays = ['2s']\n", "").await;
    world.script("[mm7]\nanswer = { kind = 'garbage' }\nfail_first = 1\n");
    let template = json!({"origin": "54321", "subject": "before",
                          "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "one"}]});
    let created = world.api.post("mms", &template).await;
    let (id, send) = (text(&created.body, "id"), json!({"destination": "+15555550102", "gateway": "mm7"}));
    let first = world.api.post(&format!("mms/outbound/{id}"), &send).await;
    let change = json!({"subject": "after", "parts": [
        null, {"name": "b.txt", "content_type": "text/plain", "content": "two"}]});
    let changed = world.api.put(&format!("mms/{id}"), &change).await;
    assert_eq!((changed.status, text(&changed.body, "subject")), (200, "after"), "{}", changed.body);
    let second = world.api.post(&format!("mms/outbound/{id}"), &send).await;
    assert_eq!(world.api.delete(&format!("mms/{id}")).await.status, 204);
    assert_eq!(world.api.get(&format!("mms/{id}")).await.status, 404);
    for (message, subject, content) in [(&first, "before", "one"), (&second, "after", "two")] {
        let message = world.api.reaches(text(&message.body, "id"), &["READ"]).await;
        assert_eq!(text(&message["template"], "subject"), subject);
        let received = world.received(subject);
        assert_eq!(received.len(), 2, "one try without an answer, one with");
        assert_eq!(received[0].parts[0].octets, content.as_bytes());
    }
}
