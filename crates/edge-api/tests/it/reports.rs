//! What applications say about messages that carriers handed in.

use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{Clock, InstanceId, Job, Message, Queue, QueueKind, ReportJob, ReportKind, Template};
use mmsgw_store::{Batch, BlobStore, LeaseRequest, Store, Write};
use serde_json::{Value, json};

use crate::access::Site;
use crate::world::World;

const ID: &str = "019a0000000070008000000000000010";
const PICTURE: &[u8] = b"\xff\xd8picture";

/// Stores a message that `group` received for two numbers, with a text and a picture.
async fn receive(world: &World, group: &str) {
    let digest = world.blobs.put(Bytes::from_static(PICTURE)).await.unwrap();
    let ends = world.clock.now().after(Duration::from_secs(3_600));
    let part = |last: u8, name: &str, kind: &str, content: Value| {
        let id = format!("019a00000000700080000000000000{last:02x}");
        json!({"id": id, "name": name, "content_type": kind, "content": content})
    };
    let template: Template = serde_json::from_value(json!({
        "id": "019a0000000070008000000000000001", "revision": "019a0000000070008000000000000002",
        "created": world.clock.now(), "expires": ends,
        "content": {"origin": "+15555550199", "subject": "hello", "parts": [
            part(3, "a.txt", "text/plain", json!({"text": "hi"})),
            part(4, "a.jpg", "image/jpeg", json!({"blob": {"digest": digest, "size": PICTURE.len()}})),
        ]},
    }))
    .unwrap();
    let recipient = |number: &str| json!({"address": number, "kind": "to", "state": "RECEIVED", "code": 200, "updated": 1000});
    let message: Message = serde_json::from_value(json!({
        "id": ID, "direction": "inbound", "group": group,
        "template": template.id, "revision": template.revision, "origin": "+15555550199",
        "recipients": [recipient("54321"), recipient("+15555550101")],
        "linked_id": null, "priority": null, "events_url": [],
        "ack_requested": true, "dr_requested": true, "rr_requested": null,
        "created": 1000, "processed": null, "deadline": ends, "expires": ends,
        "instances": [], "peer_ref": "M-1", "last_tran_id": "T-1", "ack_at_addr": "system-user@peer.example",
        "relay_server": null, "ua_caps": null, "reply_charging_id": null, "handling_app": null,
        "reply_to_app": null, "app_info": null, "rounds": 0, "events": [], "version": 1,
    }))
    .unwrap();
    let batch = Batch::new().with(Write::Template { template, replaces: None });
    world.store.commit(batch.with(Write::NewMessage(message))).await.unwrap();
}

/// The reports that wait for the carrier of `group`.
async fn waiting(world: &World, group: &str) -> Vec<ReportJob> {
    let group = group.parse().unwrap();
    let owner = InstanceId::new(&group, "test", "host", 1);
    let queue = Queue { group, kind: QueueKind::Ev };
    let request = LeaseRequest { queue, max: 100, owner, hold: Duration::from_secs(60) };
    let jobs = world.store.lease(request).await.unwrap().jobs;
    jobs.into_iter()
        .map(|leased| match leased.job {
            Job::ReportV1(report) => report,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn path(kind: &str) -> String {
    format!("/mmsgw/v1/mms/inbound/{kind}/{ID}")
}

#[tokio::test]
async fn reports_are_queued_for_the_carrier() {
    let world = World::new();
    receive(&world, "gw").await;
    let taken = async |kind: &str, body: Value| {
        let answer = world.post(&path(kind), &body).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "{:?}", answer.body);
        waiting(&world, "gw").await
    };
    let ack = taken("ack", json!({"status": "Error-service-denied", "description": "not here"})).await;
    assert_eq!(ack.len(), 1);
    assert_eq!((ack[0].order.kind, ack[0].order.code.number()), (ReportKind::Acknowledgement, 406));
    assert_eq!(ack[0].order.word.as_deref(), Some("Error-service-denied"));
    assert_eq!(ack[0].order.description.as_deref(), Some("not here"));

    let dr = taken("dr", json!({"status": "406", "applies_to": ["15555550101"]})).await;
    let [dr] = dr.try_into().unwrap();
    assert_eq!((dr.message.to_string().as_str(), dr.order.kind), (ID, ReportKind::Delivery));
    assert_eq!(dr.order.recipients, ["+15555550101".parse().unwrap()]);
    let rr = taken("rr", json!({"status": 200})).await;
    assert_eq!(rr.len(), 2, "one for each number");
    assert!(rr.iter().all(|job| job.order.kind == ReportKind::Read));
}

#[tokio::test]
async fn an_old_application_answers_with_what_it_was_told() {
    let world = World::new();
    receive(&world, "gw").await;
    let told = world.get(&format!("/mmsgw/v1/mms/inbound/{ID}")).await.expect(200);
    assert_eq!(told["direction"], 1);
    let numbers: Vec<&str> = told["destination"].as_str().unwrap().split(',').collect();
    let body = json!({
        "gateway": told["gateway"], "message": told["id"], "provider_ref": told["provider_ref"],
        "status": "200", "description": "all fine", "event_for": "dr", "applies_to": numbers,
    });
    for kind in ["ack", "dr", "rr"] {
        assert_eq!(world.post(&path(kind), &body).await.status, 204, "{kind}");
    }
    assert_eq!(waiting(&world, "gw").await.len(), 1 + 2 + 2);
}

#[tokio::test]
async fn what_disagrees_is_refused_at_its_field() {
    let world = World::new();
    receive(&world, "gw").await;
    for (field, bad) in [
        ("gateway", json!("other")),
        ("message", json!("019a0000000070008000000000000011")),
        ("peer_ref", json!("M-2")),
        ("applies_to", json!("+15555550102")),
        ("status", json!("Perhaps")),
        ("description", json!("a\nb")),
        ("statsu", json!("200")),
    ] {
        let mut body = json!({"status": 200});
        body[field] = bad;
        let answer = world.post(&path("dr"), &body).await;
        assert_eq!(answer.problem(422, "invalid_request"), [format!("/{field}")]);
    }
    assert_eq!(waiting(&world, "gw").await, []);
}

#[tokio::test]
async fn only_inbound_messages_are_reported_on() {
    let world = World::new();
    let body = json!({"status": 200});
    world.post(&path("dr"), &body).await.problem(404, "not_found");
    world.post("/mmsgw/v1/mms/inbound/dr/no-id", &body).await.problem(404, "not_found");
    let template = json!({"origin": "54321", "parts": [], "send": {"destination": "54322"}});
    let ours = world.post("/mmsgw/v1/mms", &template).await.expect(202);
    let ours = format!("/mmsgw/v1/mms/inbound/dr/{}", ours["id"].as_str().unwrap());
    world.post(&ours, &body).await.problem(404, "not_found");
    world.get(&path("dr")).await.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn keys_report_on_what_is_theirs() {
    let read = "scopes = [\"read\"]";
    let other_group = "scopes = [\"send\"]\ngateways = [\"other\"]";
    let other_number = "scopes = [\"send\"]\norigins = [\"54322\"]";
    let ours = "scopes = [\"send\"]\ngateways = [\"gw\"]\norigins = [\"54321\"]";
    let site = Site::new(&[read, other_group, other_number, ours]);
    receive(&site.world, "gw").await;
    let body = json!({"status": 200});
    site.world.post(&path("dr"), &body).await.problem(401, "unauthorized");
    site.post(0, &path("dr"), &body).await.problem(403, "forbidden");
    site.post(1, &path("dr"), &body).await.problem(404, "not_found");
    site.post(2, &path("dr"), &body).await.problem(404, "not_found");
    assert_eq!(waiting(&site.world, "gw").await, []);
    assert_eq!(site.post(3, &path("dr"), &body).await.status, 204);
    assert_eq!(waiting(&site.world, "gw").await.len(), 2);
}

#[tokio::test]
async fn a_gateway_says_where_its_media_lie() {
    let world = World::new();
    receive(&world, "gw").await;
    let message = format!("/mmsgw/v1/mms/inbound/{ID}");
    let shown = world.get(&message).await.expect(200);
    let parts = &shown["template"]["parts"];
    assert_eq!((&parts[0]["content"], &parts[0]["content_url"]), (&json!("hi"), &Value::Null));
    assert_eq!((&parts[1]["content"], &parts[1]["content_name"]), (&Value::Null, &json!("a.jpg")));
    let media = world.get(parts[1]["content_url"].as_str().unwrap()).await;
    assert_eq!((media.status.as_u16(), media.body.as_ref()), (200, PICTURE));

    let world = World::new();
    receive(&world, "other").await;
    let shown = world.get(&message).await.expect(200);
    let url = shown["template"]["parts"][1]["content_url"].as_str().unwrap();
    let file = url.strip_prefix("file://").unwrap();
    assert_eq!(std::fs::read(file).unwrap(), PICTURE, "{file}");
}
