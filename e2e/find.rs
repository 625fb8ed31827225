//! Somebody looks for messages: a few hundred of two carriers, in all states, by each thing that is known of them, on
//! both kinds of storage.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use mmsgw_domain::{Clock, MessageId, SystemClock};
use mmsgw_mmsc_sim::Mo;
use serde_json::{Value, json};

use crate::rig::redis::Redis;
use crate::rig::{World, run, text, wait_until};

const MESSAGES: usize = 240;
/// What a filter means.
type Fits = Box<dyn Fn(&Value) -> bool>;

/// Nobody the carrier knows.
const NOBODY: &str = "+15555550199";

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_on_one_host() {
    finds_messages("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_on_redis() {
    let redis = Redis::start(&[]);
    finds_messages(&redis.storage()).await;
}

async fn finds_messages(main: &str) {
    let world = World::start(main, "", "").await;
    world.script(&format!(
        "[[rules]]\nrecipient = '{NOBODY}'\n[rules.mm4]\nanswer = {{ kind = 'reply', at = 'rcpt', code = 550 }}\n\
         [rules.mm7]\nanswer = {{ kind = 'status', code = 2002, text = 'nobody' }}\n"
    ));
    let mut messages = send_all(&world).await;
    let batch = send_batch(&world).await;
    for mo in 0..3 {
        let mo = Mo {
            from: "+15555550150".into(),
            to: vec!["54321".into()],
            subject: format!("mo {mo}"),
            ..Mo::default()
        };
        assert!(world.carrier.send_mo_mm7(&mo).await.answer.is_ok());
    }
    let inbound = wait_until("the messages from phones", async || {
        let found = all(&world, "inbound?").await;
        (found.len() == 3).then_some(found)
    })
    .await;
    assert!(inbound.iter().all(|message| message["direction"] == 1 && message["state"] == "RECEIVED"));

    let of_batch = all(&world, &format!("outbound?batch={batch}")).await;
    assert_eq!(of_batch.len(), 20);
    for message in &of_batch {
        messages.push(comes_to(&world, text(message, "id"), &["READ"]).await);
    }
    // By id, and so by time.
    messages.sort_by(|one, other| text(other, "id").cmp(text(one, "id")));
    each_filter(&world, &messages).await;
    while_others_come(&world, &messages).await;
    by_command(&world, &messages).await;
}

/// Messages in all states, once each has come to its end.
async fn send_all(world: &World) -> Vec<Value> {
    let later = SystemClock.now().as_secs() + 86_400;
    let part = json!([{"name": "a.txt", "content_type": "text/plain", "content": "hello"}]);
    let mut templates = Vec::new();
    for times in [json!({}), json!({"earliest_delivery": later})] {
        let mut template = json!({"origin": "54321", "subject": "find", "parts": part});
        template.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        templates.push(text(&world.api.post("mms", &template).await.body, "id").to_owned());
    }
    let numbers: Vec<usize> = (0..MESSAGES).collect();
    let mut sent = Vec::new();
    for some in numbers.chunks(20) {
        sent.extend(join_all(some.iter().map(|number| send(world, &templates, *number))).await);
    }
    join_all(sent.iter().map(|(id, states)| comes_to(world, id, states))).await
}

/// The message once all its numbers are in one of `states`.
async fn comes_to(world: &World, id: &str, states: &[&str]) -> Value {
    wait_until(&format!("{id} to be {states:?}"), async || {
        let message = world.api.message(id).await;
        let there = |one: &Value| states.contains(&text(one, "state"));
        message["recipients"].as_array().unwrap().iter().all(there).then_some(message)
    })
    .await
}

/// Sends one, and says where it will come to.
async fn send(world: &World, templates: &[String], number: usize) -> (String, &'static [&'static str]) {
    let mut body = json!({
        "gateway": if number.is_multiple_of(2) { "mm7" } else { "mm4" },
        "destination": [format!("+15555551{number:03}")],
        "origin": if number.is_multiple_of(6) { "54322" } else { "54321" },
    });
    let (template, states): (_, &[&str]) = match number % 12 {
        5 | 10 => (&templates[1], &["SCHEDULED"]),
        3 | 8 => (&templates[0], &["REJECTED", "FAILED"]),
        _ => (&templates[0], &["READ"]),
    };
    match number % 12 {
        3 | 8 => body["destination"] = json!([NOBODY]),
        7 => body["cc"] = json!(["+15555550150"]),
        1 => body["linked_id"] = json!("the-first"),
        _ => {}
    }
    let reply = world.api.post(&format!("mms/outbound/{template}"), &body).await;
    assert_eq!(reply.status, 202, "{}", reply.body);
    (text(&reply.body, "id").to_owned(), states)
}

async fn send_batch(world: &World) -> String {
    let part = json!([{"name": "a.txt", "content_type": "text/plain", "content": "hello"}]);
    let template = world.api.post("mms", &json!({"origin": "54321", "parts": part})).await;
    let lines: String = (0..20).map(|n| format!("{{\"destination\": \"+155555520{n:02}\"}}\n")).collect();
    let path = format!("mms/outbound/{}/batch?gateway=mm7", text(&template.body, "id"));
    let batch = world.api.post_octets(&path, "application/x-ndjson", lines.into_bytes()).await;
    assert_eq!(batch.status, 202, "{}", batch.body);
    text(&batch.body, "id").to_owned()
}

/// Every way to look finds what a look at each single message says.
async fn each_filter(world: &World, messages: &[Value]) {
    let accepted = |message: &Value| text(message, "id").parse::<MessageId>().unwrap().created();
    let middle = accepted(&messages[messages.len() / 2]);
    let instance = messages.iter().find_map(|m| m["gateway_id"].as_str()).unwrap();
    let is = |key: &'static str, value: &str| -> Fits {
        let value = value.to_owned();
        Box::new(move |message| message[key] == value.as_str())
    };
    let goes_to = |number: &'static str| -> Fits {
        Box::new(move |message| {
            message["recipients"].as_array().unwrap().iter().any(|one| one["number"] == number)
        })
    };
    let batch = messages.iter().find_map(|m| m["batch"].as_str()).unwrap();
    let filters: Vec<(String, Fits)> = vec![
        (String::new(), Box::new(|_| true)),
        ("state=READ".into(), is("state", "READ")),
        ("state=SCHEDULED".into(), is("state", "SCHEDULED")),
        ("state=FAILED,REJECTED".into(), Box::new(|m| m["state"] == "FAILED" || m["state"] == "REJECTED")),
        ("gateway=mm7".into(), is("gateway", "mm7")),
        ("gateway=mm4&state=READ".into(), Box::new(|m| m["gateway"] == "mm4" && m["state"] == "READ")),
        (format!("destination=%2B{}", &NOBODY[1..]), goes_to(NOBODY)),
        ("destination=1%20555%20555-0150".into(), goes_to("+15555550150")),
        ("origin=54322".into(), is("origin", "54322")),
        ("linked_id=the-first".into(), is("linked_id", "the-first")),
        (format!("batch={batch}"), is("batch", batch)),
        (format!("instance={instance}"), is("gateway_id", instance)),
        (format!("since={middle}"), Box::new(move |m| accepted(m) >= middle)),
        (format!("until={middle}"), Box::new(move |m| accepted(m) < middle)),
        (format!("until={}", middle.as_secs() - 3_600), Box::new(|_| false)),
        ("destination=%2B15555559999".into(), Box::new(|_| false)),
    ];
    for (query, fits) in filters {
        let expected: Vec<&str> = messages.iter().filter(|m| fits(m)).map(|m| text(m, "id")).collect();
        let found = all(world, &format!("outbound?{query}")).await;
        let ids: Vec<&str> = found.iter().map(|message| text(message, "id")).collect();
        assert_eq!(ids, expected, "{query}");
        assert!(query.is_empty() || expected.len() < messages.len(), "{query} says something");
        for message in &found {
            let whole = messages.iter().find(|whole| whole["id"] == message["id"]).unwrap();
            for key in ["state", "origin", "recipients", "linked_id", "created_ts", "gateway"] {
                assert_eq!(message[key], whole[key], "{key}");
            }
        }
    }
    let wrong = world.api.get("mms/outbound?color=red").await;
    assert_eq!((wrong.status, wrong.fault()), (422, ("/color", "unknown_field")));
}

/// Paging meets each message once, whatever comes meanwhile.
async fn while_others_come(world: &World, messages: &[Value]) {
    let (mut met, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.api.get(&format!("mms/outbound?limit=10{cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        met.extend(page.body["messages"].as_array().unwrap().iter().map(|m| text(m, "id").to_owned()));
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
        world.api.send_text("mm4", "meanwhile", &["+15555550102"]).await;
    }
    assert_eq!(met.iter().collect::<BTreeSet<_>>().len(), met.len(), "none twice");
    assert_eq!(met, messages.iter().map(|message| text(message, "id")).collect::<Vec<_>>());
}

/// An operator finds the same.
async fn by_command(world: &World, messages: &[Value]) {
    let ops = world.gateway.awaited("health and metrics");
    let said = async |arguments: &[&str]| {
        let output = run(&[&["messages", "find", "--ops", &ops], arguments].concat()).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let found: Value = serde_json::from_str(
        &said(&["--state", "failed,rejected", "--gateway", "mm7", "--limit", "1000", "--json"]).await,
    )
    .unwrap();
    let failed = |m: &&Value| m["gateway"] == "mm7" && (m["state"] == "FAILED" || m["state"] == "REJECTED");
    let expected: Vec<_> = messages.iter().filter(failed).map(|message| &message["id"]).collect();
    let ids: Vec<_> = found["messages"].as_array().unwrap().iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, expected);
    assert!(found["next_cursor"].is_null());
    // More than a page.
    let all: Value =
        serde_json::from_str(&said(&["--until", "0s", "--limit", "230", "--json"]).await).unwrap();
    assert_eq!(all["messages"].as_array().unwrap().len(), 230);
    assert!(all["next_cursor"].is_string());
    let table = said(&["--to", NOBODY, "--since", "1h", "--limit", "5"]).await;
    assert_eq!(table.lines().count(), 7, "{table}");
    assert!(table.contains("ACCEPTED") && table.contains("There may be more"), "{table}");
    assert_eq!(said(&["--direction", "inbound", "--state", "SENT"]).await, "There is no such message.\n");
    let known = messages.iter().find_map(|message| message["peer_ref"].as_str()).unwrap();
    assert!(said(&[known]).await.contains(known));
}

/// All pages that a query of the API leads to.
async fn all(world: &World, query: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.api.get(&format!("mms/{query}&limit=37{cursor}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.body);
        found.extend(page.body["messages"].as_array().unwrap().iter().cloned());
        let Some(next) = page.body["next_cursor"].as_str() else { return found };
        cursor = format!("&cursor={next}");
    }
}
