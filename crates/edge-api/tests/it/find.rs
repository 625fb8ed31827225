//! Finding messages.

use std::time::Duration;

use http::Method;
use mmsgw_domain::{Direction, Message, MessageId};
use mmsgw_store::{Batch, Store, Write};
use serde_json::{Value, json};

use crate::access::Site;
use crate::world::World;

const OUTBOUND: &str = "/mmsgw/v1/mms/outbound";

async fn template(world: &World) -> String {
    let created = world.post("/mmsgw/v1/mms", &json!({"origin": "54321", "parts": []})).await.expect(201);
    format!("{OUTBOUND}/{}", created["id"].as_str().unwrap())
}

async fn send(world: &World, template: &str, send: Value) -> String {
    world.clock.advance(Duration::from_secs(1));
    world.post(template, &send).await.expect(202)["id"].as_str().unwrap().to_owned()
}

async fn found(world: &World, query: &str) -> Vec<String> {
    let page = world.get(query).await.expect(200);
    assert!(page["next_cursor"].is_null(), "{page}");
    ids(&page)
}

fn ids(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().unwrap();
    messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}

/// Makes something else of a message.
async fn change(world: &World, id: &str, change: impl FnOnce(&mut Message)) {
    let mut message = world.store.message(id.parse::<MessageId>().unwrap()).await.unwrap().unwrap();
    message.version += 1;
    change(&mut message);
    world.store.commit(Batch::new().with(Write::ChangedMessage(message))).await.unwrap();
}

#[tokio::test]
async fn messages_are_found_by_what_is_known_of_them() {
    let world = World::new();
    let path = template(&world).await;
    let first = send(&world, &path, json!({"destination": "15555550101"})).await;
    let second = send(&world, &path, json!({"cc": "+1 555 555 0102", "gateway": "other"})).await;
    let begun = "2023-11-14T22:13:20Z";
    let third = send(
        &world,
        &path,
        json!({"destination": ["15555550101", "15555550103"], "linked_id": "m-1", "origin": "55555"}),
    )
    .await;
    let inbound = send(&world, &path, json!({"destination": "15555550101"})).await;
    change(&world, &inbound, |message| message.direction = Direction::Inbound).await;
    world.send(Method::DELETE, &format!("{OUTBOUND}/{second}"), &json!({})).await.expect(200);

    assert_eq!(found(&world, OUTBOUND).await, [&*third, &second, &first]);
    assert_eq!(found(&world, "/mmsgw/v1/mms/inbound").await, [&*inbound]);
    let created =
        world.get(&format!("{OUTBOUND}/{second}")).await.expect(200)["created_ts"].as_i64().unwrap();
    let (since, until) = (format!("since={created}"), format!("until={created}"));
    for (query, expected) in [
        ("state=SCHEDULED", vec![&third, &first]),
        ("state=CANCELLED,SENT", vec![&second]),
        ("state=DELIVERED", vec![]),
        ("gateway=other", vec![&second]),
        ("gateway=nobody", vec![]),
        ("destination=%2B1%20555%20555%200101", vec![&third, &first]),
        ("destination=15555550102", vec![&second]),
        ("origin=55555", vec![&third]),
        ("linked_id=m-1", vec![&third]),
        ("batch=019a0000000070008000000000000020", vec![]),
        ("instance=gw:a:b:1", vec![]),
        (since.as_str(), vec![&third, &second]),
        (until.as_str(), vec![&first]),
        (&format!("{since}&gateway=gw&state=SCHEDULED"), vec![&third]),
        (&format!("since={begun}"), vec![&third, &second, &first]),
    ] {
        let found = found(&world, &format!("{OUTBOUND}?{query}")).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let page = world.get(&format!("{OUTBOUND}?linked_id=m-1")).await.expect(200);
    let message = &page["messages"][0];
    assert_eq!((&message["direction"], &message["state"]), (&json!(-1), &json!("SCHEDULED")));
    assert_eq!((&message["gateway"], &message["linked_id"]), (&json!("gw"), &json!("m-1")));
    assert_eq!(message["recipients"][1]["number"], "15555550103");
    assert!(message["template"].is_null() && message["events"].is_null(), "{message}");
}

#[tokio::test]
async fn pages_lead_to_each_message_once_while_others_come() {
    let world = World::new();
    let path = template(&world).await;
    let mut sent = Vec::new();
    for _ in 0..7 {
        sent.push(send(&world, &path, json!({"destination": "15555550101"})).await);
    }
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("{OUTBOUND}?limit=2{cursor}")).await.expect(200);
        pages.extend(ids(&page));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
        send(&world, &path, json!({"destination": "15555550101"})).await;
    }
    sent.reverse();
    assert_eq!(pages, sent);
}

#[tokio::test]
async fn a_page_over_very_many_messages_may_be_empty_and_goes_on() {
    let world = World::new();
    let path = template(&world).await;
    let wanted = send(&world, &path, json!({"destination": "15555550109"})).await;
    let like = world.store.message(wanted.parse().unwrap()).await.unwrap().unwrap();
    let others = (0..30_000).map(|_| {
        let mut other = like.clone();
        (other.id, other.version) = (MessageId::generate(like.created.after(Duration::from_secs(5))), 1);
        other.recipients[0].address = "15555550101".parse().unwrap();
        Write::NewMessage(other)
    });
    world.store.commit(others.collect()).await.unwrap();
    let (mut empty, mut all, mut cursor) = (0, Vec::new(), String::new());
    loop {
        let page = world.get(&format!("{OUTBOUND}?destination=15555550109{cursor}")).await.expect(200);
        empty += usize::from(ids(&page).is_empty());
        all.extend(ids(&page));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert!(empty >= 1);
    assert_eq!(all, [wanted]);
}

#[tokio::test]
async fn what_a_query_says_wrongly_is_refused_by_name() {
    let world = World::new();
    for (query, pointer) in [
        ("state=LOST", "/state"),
        ("gateway=", "/gateway"),
        ("destination=12", "/destination"),
        ("since=yesterday", "/since"),
        ("cursor=abc", "/cursor"),
        ("limit=1000", "/limit"),
        ("direction=inbound", "/direction"),
        ("peer_ref=x", "/peer_ref"),
        ("color=red", "/color"),
    ] {
        let answer = world.get(&format!("{OUTBOUND}?{query}")).await;
        assert_eq!(answer.problem(422, "invalid_request"), [pointer], "{query}");
    }
    let both = world.get(&format!("{OUTBOUND}?color=red&limit=0")).await;
    assert_eq!(both.problem(422, "invalid_request"), ["/limit", "/color"]);
}

#[tokio::test]
async fn a_key_finds_what_it_may_see() {
    let narrow = "scopes = [\"send\", \"read\"]\ngateways = [\"other\"]\norigins = [\"54321\"]";
    let site = Site::new(&[narrow, "scopes = [\"send\", \"read\"]", "scopes = [\"send\"]"]);
    let created = site.post(1, "/mmsgw/v1/mms", &json!({"origin": "54321", "parts": []})).await.expect(201);
    let path = format!("{OUTBOUND}/{}", created["id"].as_str().unwrap());
    let mut sent = Vec::new();
    for (gateway, origin) in [("other", "54321"), ("gw", "54321"), ("other", "55555")] {
        let body = json!({"destination": "15555550101", "gateway": gateway, "origin": origin});
        sent.push(site.post(1, &path, &body).await.expect(202)["id"].as_str().unwrap().to_owned());
    }
    for query in ["", "?gateway=other", "?destination=15555550101"] {
        let page = site.get(0, &format!("{OUTBOUND}{query}")).await.expect(200);
        assert_eq!(ids(&page), sent[..1], "{query}");
    }
    assert_eq!(ids(&site.get(0, &format!("{OUTBOUND}?gateway=gw")).await.expect(200)).len(), 0);
    assert_eq!(ids(&site.get(1, OUTBOUND).await.expect(200)).len(), 3);
    site.get(2, OUTBOUND).await.problem(403, "forbidden");
    site.world.get(OUTBOUND).await.problem(401, "unauthorized");
    for id in &sent {
        change(&site.world, id, |message| message.direction = Direction::Inbound).await;
    }
    assert_eq!(ids(&site.get(0, "/mmsgw/v1/mms/inbound").await.expect(200)).len(), 0, "sent to others");
}
