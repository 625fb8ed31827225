use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use mmsgw_domain::{Code, Event, Message, MessageId, ReportKind, Span, State, Template, Timestamp};

use super::*;
use crate::config::KeySettings;
use crate::test_server::{Server, answer, closed_port};

const NOW: i64 = 784_111_747;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(NOW)
    }
}

fn callout(change: impl FnOnce(&mut CallbackSettings)) -> Callout {
    let mut settings = CallbackSettings { timeout: Span::secs(30), ..CallbackSettings::default() };
    change(&mut settings);
    Callout::new(&settings, Arc::new(Stopped), Links::at("https://mms.example")).unwrap()
}

fn message() -> MessageId {
    "019a0000000070008000000000000000".parse().unwrap()
}

fn event() -> Event {
    Event {
        sequence: 3,
        state: State::Delivered,
        code: Code::OK,
        description: "Retrieved".into(),
        carrier_status: Some("Retrieved".into()),
        details: None,
        at: Timestamp::from_secs(NOW - 5),
        instance: None,
        destinations: vec!["+12065550102".parse().unwrap()],
    }
}

async fn post(callout: &Callout, url: &str) -> CallVerdict {
    let event = event();
    let subject = CallSubject::Event { message: message(), event: &event };
    callout.notify(&Call { url, delivery_id: "delivery-1", tries: 1, trace: None, subject }).await
}

/// The verdict on a server that answers so.
async fn answered(status: &'static str, headers: &'static str) -> CallVerdict {
    let server = Server::start(move |_| Some(answer(status, headers, "body"))).await;
    post(&callout(|_| ()), &server.url("/hook")).await
}

fn pause(verdict: &CallVerdict) -> Option<u64> {
    match verdict {
        CallVerdict::Later { pause, .. } => pause.map(|pause| pause.as_secs()),
        other => panic!("{other:?} is not later"),
    }
}

#[tokio::test]
async fn answers_have_their_verdicts() {
    for good in ["200 OK", "201 Made", "202 Taken", "204 None"] {
        assert_eq!(answered(good, "").await, CallVerdict::Done, "{good}");
    }
    assert!(matches!(answered("410 Gone", "").await, CallVerdict::Gone { .. }));
    for later in
        ["301 Moved", "304 Same", "400 Bad", "401 Who", "404 None", "500 Oops", "501 Not", "503 Busy"]
    {
        assert_eq!(pause(&answered(later, "").await), None, "{later}");
    }
    for busy in ["429 Slower", "502 Bad", "503 Busy", "504 Late"] {
        assert_eq!(pause(&answered(busy, "retry-after: 120\r\n").await), Some(120), "{busy}");
    }
    let date = "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    assert_eq!(pause(&answered("503 Busy", date).await), Some(30));
    assert_eq!(pause(&answered("404 None", "retry-after: 120\r\n").await), None);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let mut elsewhere = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let headers = format!("location: {}\r\n", elsewhere.url("/"));
    let server = Server::start(move |_| Some(answer("307 There", &headers, ""))).await;
    assert_eq!(pause(&post(&callout(|_| ()), &server.url("/")).await), None);
    assert!(elsewhere.asked.try_recv().is_err());
}

#[tokio::test]
async fn the_body_of_the_answer_changes_nothing_and_is_not_read_without_end() {
    let endless = Server::start(|_| {
        Some(format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffff\r\n{}",
            "x".repeat(100_000)
        ))
    })
    .await;
    let start = Instant::now();
    assert_eq!(post(&callout(|_| ()), &endless.url("/")).await, CallVerdict::Done);
    assert!(start.elapsed() < Duration::from_secs(15), "it waited for the end of the body");
    let broken = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf").await;
    let hasty = callout(|settings| settings.timeout = Span(Duration::from_millis(200)));
    assert_eq!(post(&hasty, &broken.url("/")).await, CallVerdict::Done);
}

#[tokio::test]
async fn silence_and_closed_ports_are_for_later_and_say_nothing_of_the_url() {
    let silent = Server::start(|_| None).await;
    let hasty = callout(|settings| settings.timeout = Span(Duration::from_millis(100)));
    let (_held, free) = closed_port();
    for url in [silent.url("/?token=hidden"), format!("http://{free}/?token=hidden")] {
        let CallVerdict::Later { reason, pause: None } = post(&hasty, &url).await else { panic!("{url}") };
        assert!(!reason.contains("hidden") && !reason.is_empty(), "{reason}");
    }
}

#[tokio::test]
async fn urls_that_are_not_called() {
    let callout = callout(|_| ());
    let long = format!("http://127.0.0.1/{}", "a".repeat(2048));
    for url in [
        "",
        "hook",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
        "http://[::ffff:169.254.169.254]/",
        &long,
    ] {
        assert!(matches!(post(&callout, url).await, CallVerdict::Never { .. }), "{url}");
    }
}

#[tokio::test]
async fn names_are_judged_where_they_lead() {
    let mut server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://localhost:{}/", server.address.port());
    let strict = callout(|settings| settings.allow_networks.clear());
    assert!(matches!(post(&strict, &url).await, CallVerdict::Never { .. }));
    assert!(server.asked.try_recv().is_err(), "the server was reached");
    assert_eq!(post(&callout(|_| ()), &url).await, CallVerdict::Done);
}

#[tokio::test]
async fn the_request_is_json_and_signed() {
    let key: Vec<u8> = (1..33).collect();
    let secret = format!("whsec_{}", encodify::base64::STANDARD.encode(&key));
    let signed = callout(|settings| {
        settings.keys = vec![KeySettings { secret: Some(secret.as_str().into()), secret_file: None }];
    });
    let mut server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(post(&signed, &server.url("/hook?x=1")).await, CallVerdict::Done);
    let asked = server.asked.recv().await.unwrap();
    assert!(asked.head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{}", asked.head);
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("webhook-id"), Some("delivery-1"));
    assert_eq!(asked.header("webhook-timestamp"), Some("784111747"));
    // HMAC-SHA256 over `id.timestamp.body`, from the hash alone (RFC 2104).
    let pad = |with: u8| (0..64).map(|i| key.get(i).copied().unwrap_or(0) ^ with).collect::<Vec<u8>>();
    let text = [b"delivery-1.784111747.".to_vec(), asked.body.clone()].concat();
    let inner = digest(&SHA256, &[pad(0x36), text].concat());
    let outer = digest(&SHA256, &[pad(0x5c), inner.as_ref().to_vec()].concat());
    let expected = format!("v1,{}", encodify::base64::STANDARD.encode(outer));
    assert_eq!(asked.header("webhook-signature"), Some(expected.as_str()));

    let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(body["message"], message().to_string());
    assert_eq!(body["code"], "200");
    assert_eq!(body["state"], "DELIVERED");
    assert_eq!(body["timestamp"], NOW - 5);
    assert_eq!(body["sequence"], 3);
    assert_eq!(body["destinations"], "+12065550102");
}

/// A message to two numbers, with a picture.
fn inbound() -> (Message, Template) {
    let recipient = |number: &str| serde_json::json!({"address": number, "kind": "to", "state": "RECEIVED", "code": 200, "updated": 1000});
    let message: Message = serde_json::from_value(serde_json::json!({
        "id": message(), "direction": "inbound", "group": "gw",
        "template": "019a0000000070008000000000000001", "revision": "019a0000000070008000000000000002",
        "origin": "+12065550102",
        "recipients": [recipient("54321"), recipient("+12065550103")],
        "linked_id": null, "priority": null, "events_url": [],
        "ack_requested": null, "dr_requested": true, "rr_requested": null,
        "created": 1000, "processed": null, "deadline": 9000, "expires": null,
        "instances": [], "peer_ref": "carrier-7", "last_tran_id": null, "ack_at_addr": null,
        "relay_server": null, "ua_caps": null, "reply_charging_id": null, "handling_app": null,
        "reply_to_app": null, "app_info": null, "rounds": 0, "events": [], "version": 1
    }))
    .unwrap();
    let template: Template = serde_json::from_value(serde_json::json!({
        "id": message.template, "revision": message.revision, "created": 1000, "expires": 9000,
        "content": { "origin": "+12065550102", "subject": "hello", "parts": [{
            "id": "019a0000000070008000000000000003", "name": "a.jpg", "content_type": "image/jpeg",
            "content": { "blob": { "digest": "07".repeat(32), "size": 5 } }
        }] }
    }))
    .unwrap();
    (message, template)
}

async fn post_inbound(callout: &Callout, url: &str) -> CallVerdict {
    let (message, template) = inbound();
    let subject = CallSubject::InboundMessage { message: &message, template: &template };
    callout.notify(&Call { url, delivery_id: "delivery-2", tries: 1, trace: None, subject }).await
}

#[tokio::test]
async fn an_inbound_message_is_posted_whole() {
    let mut server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = server.url("/received");
    assert_eq!(post_inbound(&callout(|_| ()), &url).await, CallVerdict::Done);
    let asked = server.asked.recv().await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!((&body["id"], &body["direction"]), (&message().to_string().into(), &1.into()));
    assert_eq!((&body["peer_ref"], &body["provider_ref"]), (&"carrier-7".into(), &"carrier-7".into()));
    assert_eq!(body["destination"], "54321,+12065550103");
    let part = &body["template"]["parts"][0];
    let link = format!("https://mms.example/mmsgw/v1/media/{}/a.jpg", "07".repeat(32));
    assert_eq!(part["content_url"], link, "{body}");
    assert_eq!(part.get("content"), Some(&serde_json::Value::Null), "there, though empty");

    let settings = CallbackSettings::default();
    let links = Links::at("https://mms.example").with_group("gw".parse().unwrap(), "file:///srv/media");
    let shared = Callout::new(&settings, Arc::new(Stopped), links).unwrap();
    assert_eq!(post_inbound(&shared, &url).await, CallVerdict::Done);
    let asked = server.asked.recv().await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    let file = format!("file:///srv/media/07/07/{}", "07".repeat(32));
    assert_eq!(body["template"]["parts"][0]["content_url"], file);
}

/// The verdict on an application that takes a message and answers with that body.
async fn took(body: &str) -> CallVerdict {
    let text = answer("200 OK", "", body);
    let server = Server::start(move |_| Some(text.clone())).await;
    post_inbound(&callout(|_| ()), &server.url("/")).await
}

#[tokio::test]
async fn an_answer_orders_the_reports_that_go_back() {
    let body = r#"{"type": "mo", "ack": {"status": "Ok"},
        "dr": {"status": "406", "description": "no room", "applies_to": ["12065550103"]}}"#;
    let CallVerdict::Answered { orders } = took(body).await else { panic!("no orders") };
    let [ack, dr] = orders.try_into().unwrap();
    assert_eq!((ack.kind, ack.code, ack.recipients.len()), (ReportKind::Acknowledgement, Code::OK, 0));
    assert_eq!((dr.kind, dr.code, dr.recipients.len()), (ReportKind::Delivery, Code::REFUSED, 1));
    assert_eq!(dr.description.as_deref(), Some("no room"));
}

#[tokio::test]
async fn answers_that_order_nothing_take_the_message_all_the_same() {
    for body in [
        "",
        r#"{"type": "mo"}"#,
        "<html><body>thanks</body></html>",
        "[1]",
        r#"{"dr": {"status": "Perhaps"}}"#,
        r#"{"dr": "406"}"#,
        r#"{"dr": {"status": 406, "applies_to": "+19995550100"}}"#,
    ] {
        assert_eq!(took(body).await, CallVerdict::Done, "{body}");
    }
    let long = format!("{{\"dr\": {{\"status\": 406}}, \"x\": \"{}\"}}", "x".repeat(70_000));
    assert_eq!(took(&long).await, CallVerdict::Done, "longer than answers are read");
    let partly = took(r#"{"dr": {"status": "Perhaps"}, "rr": {"status": "Read"}}"#).await;
    assert!(matches!(partly, CallVerdict::Answered { orders } if orders.len() == 1));
}

#[tokio::test]
async fn only_who_took_a_message_orders_reports() {
    const BODY: &str = r#"{"dr": {"status": "406"}}"#;
    let refusing = Server::start(|_| Some(answer("500 Oops", "", BODY))).await;
    assert_eq!(pause(&post_inbound(&callout(|_| ()), &refusing.url("/")).await), None);
    let taking = Server::start(|_| Some(answer("200 OK", "", BODY))).await;
    let callout = callout(|_| ());
    assert_eq!(post(&callout, &taking.url("/")).await, CallVerdict::Done, "an event asks for no report");
    assert!(matches!(post_inbound(&callout, &taking.url("/")).await, CallVerdict::Answered { .. }));
}

#[tokio::test]
async fn without_a_key_nothing_is_signed_but_the_id_is_there() {
    let mut server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    post(&callout(|_| ()), &server.url("/")).await;
    let asked = server.asked.recv().await.unwrap();
    assert_eq!(asked.header("webhook-id"), Some("delivery-1"));
    assert_eq!(asked.header("webhook-signature"), None);
}

#[tokio::test]
async fn an_endpoint_that_failed_five_times_is_left_alone_until_its_time_is_over() {
    let (held, free) = closed_port();
    let callout = callout(|settings| settings.closed_min = Span(Duration::from_millis(300)));
    let url = format!("http://{free}/");
    for _ in 0..5 {
        assert!(matches!(post(&callout, &url).await, CallVerdict::Later { pause: None, .. }));
    }
    assert!(matches!(post(&callout, &url).await, CallVerdict::Busy { .. }));
    // It comes to life, and the probe finds out.
    let server = Server::on(held.listen(16).unwrap(), |_| Some(answer("200 OK", "", ""))).await;
    let verdict = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match post(&callout, &server.url("/")).await {
                CallVerdict::Busy { pause, .. } => tokio::time::sleep(pause).await,
                other => return other,
            }
        }
    });
    assert_eq!(verdict.await.expect("the circuit opens again"), CallVerdict::Done);
    assert_eq!(post(&callout, &url).await, CallVerdict::Done);
}

#[tokio::test]
async fn answers_that_concern_one_url_close_nothing() {
    let server =
        Server::start(|path| Some(answer(if path == "/good" { "200 OK" } else { "500 Oops" }, "", ""))).await;
    let callout = callout(|_| ());
    for _ in 0..20 {
        assert_eq!(pause(&post(&callout, &server.url("/bad")).await), None);
    }
    assert_eq!(post(&callout, &server.url("/good")).await, CallVerdict::Done);
}

/// Two hundred calls to a server that never answers, among five hundred to one that does: as in the engine, they
/// share one window, and the silent server may not fill it.
#[tokio::test]
async fn a_silent_endpoint_does_not_hold_up_another() {
    let silent = Server::start(|_| None).await;
    let lively = Server::start(|_| Some(answer("200 OK", "", ""))).await;
    let callout = Arc::new(callout(|settings| settings.max_wait = Span(Duration::from_millis(200))));
    let window = Arc::new(tokio::sync::Semaphore::new(64));
    let done = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for index in 0..700 {
        let url = if index % 7 < 2 { silent.url("/") } else { lively.url("/") };
        let to_lively = index % 7 >= 2;
        let permit = Arc::clone(&window).acquire_owned().await.unwrap();
        let (callout, done) = (Arc::clone(&callout), Arc::clone(&done));
        calls.spawn(async move {
            let verdict = post(&callout, &url).await;
            assert_eq!(verdict == CallVerdict::Done, to_lively, "{verdict:?}");
            done.fetch_add(usize::from(to_lively), Ordering::Relaxed);
            drop(permit);
        });
    }
    while done.load(Ordering::Relaxed) < 500 {
        calls.join_next().await.expect("calls in flight").unwrap();
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}: as long as the silent one's time-out");
    calls.abort_all();
}
