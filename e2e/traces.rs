//! Traces: a message is one trace, from the application's request to the last callback.

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::json;

use crate::rig::{Collector, Seen, World, text, wait_until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// Sends a text to one number within a trace; gives back the message's id.
async fn send(world: &World, group: &str, traceparent: Option<&str>) -> String {
    let body = json!({
        "origin": "54321", "subject": "traced",
        "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "hello"}],
        "send": {"destination": ["+15555550102"], "gateway": group},
    });
    let mut request = reqwest::Client::new().post(world.api.url("mms")).json(&body);
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 202);
    text(&answer.json().await.unwrap(), "id").to_owned()
}

fn one<'a>(spans: &'a [Seen], name: &str) -> &'a Seen {
    let found: Vec<&Seen> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

/// Waits until all callbacks were posted and are in the trace.
async fn whole(world: &World, collector: &Collector, trace: &str, id: &str) -> Vec<Seen> {
    wait_until("a span for each callback", async || {
        let spans = collector.gets(trace, &["accept", "queue", "send", "SENT", "READ", "callback"]).await;
        let posted = world.application.callbacks(id, "gateway");
        let callbacks = spans.iter().filter(|span| span.name == "callback").count();
        (posted.iter().any(|c| c.body["state"] == "READ") && callbacks >= posted.len()).then_some(spans)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_one_trace_from_the_request_to_the_callbacks() {
    let collector = Collector::start();
    let world = World::start(&collector.section(), "", "").await;
    for (group, last) in [("mm7", "1"), ("mm4", "2")] {
        let trace = format!("{}{last}", &TRACE[..31]);
        let id = send(&world, group, Some(&format!("00-{trace}-{SPAN}-01"))).await;
        world.application.hears(&id, "gateway", "READ").await;
        let spans = whole(&world, &collector, &trace, &id).await;
        let root = one(&spans, "accept");
        assert_eq!((root.parent.as_str(), root.kind), (SPAN, 2));
        for name in ["queue", "send", "SENT", "ACKNOWLEDGED", "DELIVERED", "READ"] {
            assert_eq!(one(&spans, name).parent, root.id, "{name} in {spans:#?}");
        }
        let sent = one(&spans, "send");
        assert_eq!((sent.attributes["mmsgw.outcome"].as_str(), sent.kind), ("sent", 3));
        assert!(root.began <= sent.began && sent.began <= sent.ended, "{root:?} {sent:?}");
        assert_eq!(spans.iter().map(|span| &span.id).collect::<BTreeSet<_>>().len(), spans.len());
        for posted in world.application.callbacks(&id, "gateway") {
            let (state, own) = (text(&posted.body, "state"), &posted.traceparent);
            let span = spans.iter().find(|span| *own == format!("00-{trace}-{}-01", span.id));
            let span = span.unwrap_or_else(|| panic!("{own} in {spans:#?}"));
            assert_eq!((span.name.as_str(), span.kind), ("callback", 3));
            assert_eq!(span.attributes["mmsgw.webhook_id"], posted.webhook_id);
            let told = if state == "SCHEDULED" { "accept" } else { state };
            assert_eq!(span.parent, one(&spans, told).id, "{state}");
        }
        for span in &spans {
            assert_eq!((span.service.as_str(), &span.attributes["mmsgw.message.id"]), ("mmsgw", &id));
            assert!(span.fault.is_empty() && !format!("{span:?}").contains("5555550102"), "{span:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_trace_has_one_by_its_id_and_an_unwanted_one_is_not_told() {
    let collector = Collector::start();
    let world = World::start(&collector.section(), "", "").await;
    let unwanted = send(&world, "mm7", Some(&format!("00-{TRACE}-{SPAN}-00"))).await;
    let told = world.application.hears(&unwanted, "gateway", "READ").await;
    assert!(told.traceparent.starts_with(&format!("00-{TRACE}-")) && told.traceparent.ends_with("-00"));
    world.script("[mm7]\nanswer = { kind = 'status', code = 4004 }\n");
    let id = send(&world, "mm7", None).await;
    let own: String = id.chars().filter(char::is_ascii_hexdigit).collect();
    let state = wait_until("the end", async || {
        let told = world.told(&id, "gateway");
        told.into_iter().find(|state| state == "FAILED" || state == "REJECTED")
    })
    .await;
    let spans = collector.gets(&own, &["accept", "send", &state]).await;
    assert_eq!(one(&spans, "accept").parent, "");
    assert_eq!(one(&spans, "send").attributes["mmsgw.outcome"], "failed");
    assert!(!one(&spans, "send").fault.is_empty() && !one(&spans, &state).fault.is_empty(), "{spans:#?}");
    assert!(collector.of(TRACE).is_empty(), "{:?}", collector.of(TRACE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let section = format!("[traces]\nendpoint = 'http://{nobody}/v1/traces'\nqueue = 1\n");
    let world = World::start(&section, "", "").await;
    for _ in 0..5 {
        let id = send(&world, "mm7", None).await;
        world.application.hears(&id, "gateway", "READ").await;
    }
    let metrics = format!("http://{}/metrics", world.gateway.awaited("health and metrics"));
    wait_until("spans to be dropped", async || {
        let page = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        let dropped =
            page.lines().find_map(|line| line.strip_prefix("mmsgw_trace_spans_total{outcome=\"dropped\"} "));
        dropped.is_some_and(|count| count.parse::<u64>().unwrap() > 10).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_the_callback_names_the_trace_that_the_application_gave() {
    let world = World::start("", "", "").await;
    let given = format!("00-{TRACE}-{SPAN}-01");
    let id = send(&world, "mm4", Some(&given)).await;
    assert_eq!(world.application.hears(&id, "gateway", "SENT").await.traceparent, given);
    let id = send(&world, "mm4", Some("00-nonsense")).await;
    assert_eq!(world.application.hears(&id, "gateway", "SENT").await.traceparent, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_batch_has_a_trace_of_its_own() {
    let collector = Collector::start();
    let world = World::start(&collector.section(), "", "").await;
    let content = json!([{"name": "a.txt", "content_type": "text/plain", "content": "hello"}]);
    let template = world.api.post("mms", &json!({"origin": "54321", "parts": content})).await;
    let path = format!("mms/outbound/{}/batch?gateway=mm7", text(&template.body, "id"));
    let lines = "{\"destination\": [\"+15555550102\"]}\n".repeat(3);
    let request = reqwest::Client::new().post(world.api.url(&path)).body(lines);
    let request = request.header("traceparent", format!("00-{TRACE}-{SPAN}-01"));
    let answer = request.header("content-type", "application/x-ndjson").send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let heard = wait_until("all to be read", async || {
        let mut heard = world.application.at("gateway");
        heard.retain(|callback| callback.body["state"] == "READ");
        (heard.len() >= 3).then_some(heard)
    })
    .await;
    for callback in heard {
        let trace: String = text(&callback.body, "message").chars().filter(char::is_ascii_hexdigit).collect();
        let spans = collector.gets(&trace, &["accept", "send", "READ"]).await;
        assert_eq!(one(&spans, "accept").parent, "");
        assert_eq!(one(&spans, "READ").parent, one(&spans, "accept").id);
    }
    assert!(collector.of(TRACE).is_empty());
}
