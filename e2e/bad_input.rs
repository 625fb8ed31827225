//! What applications get wrong: each mistake is told by status, code and place, and nothing is queued.

use serde_json::{Value, json};

use crate::rig::{World, scratch, text};

/// A letter that is fine.
fn fine() -> Value {
    json!({
        "origin": "54321", "subject": "fine",
        "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "hello"}],
        "send": {"destination": "+15555550102", "gateway": "mm7"},
    })
}

/// The letter with `value` at `pointer`, which may name something new.
fn but(pointer: &str, value: Value) -> Value {
    let mut letter = fine();
    let (above, key) = pointer.rsplit_once('/').unwrap();
    match letter.pointer_mut(above).unwrap() {
        Value::Object(members) => drop(members.insert(key.to_owned(), value)),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => panic!("{other}"),
    }
    letter
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_is_named_and_nothing_is_queued() {
    let root = scratch();
    std::fs::write(root.path().join("inside.jpg"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.path().join("link.jpg")).unwrap();
    let base = root.path().display();
    let world = World::start(&format!("[media]\nfile_roots = ['{base}']\n"), "", "").await;

    let part = |url: &str| json!({"name": "a.jpg", "content_type": "image/jpeg", "content_url": url});
    let many: Vec<String> = (0..10_000).map(|n| format!("+1555{n:07}")).collect();
    let cases = [
        ("/subject", json!("a\u{7}b"), "/subject", "bad_character"),
        ("/subject", json!("a\r\nBcc: x@y.example"), "/subject", "bad_character"),
        ("/subject", json!("x".repeat(513)), "/subject", "too_long"),
        ("/subject", json!(17), "/subject", "wrong_type"),
        ("/subjekt", json!("typo"), "/subjekt", "unknown_field"),
        ("/origin", json!("nobody"), "/origin", "bad_number"),
        ("/origin", Value::Null, "/origin", "required"),
        ("/message_class", json!("urgent"), "/message_class", "unknown_word"),
        ("/latest_delivery", json!(1_000_000), "/latest_delivery", "not_in_future"),
        ("/send/gateway", json!("nowhere"), "/send/gateway", "unknown_gateway"),
        ("/send/gateway", Value::Null, "/send/gateway", "no_gateway"),
        ("/send/priority", json!("urgent"), "/send/priority", "unknown_word"),
        ("/send/destination", json!(many), "/send/destination", "too_many"),
        ("/send/destination", json!(many.join(",")), "/send/destination", "too_many"),
        ("/send/destination", json!("+15555550102,12x45"), "/send/destination", "bad_number"),
        ("/send/destination", json!(["+15555550102", "12x45"]), "/send/destination/1", "bad_number"),
        ("/send/destination", json!(""), "/send/destination", "no_recipient"),
        ("/send/tries", json!(3), "/send/tries", "unknown_field"),
        ("/send/events_url", json!("ftp://app.example/"), "/send/events_url", "bad_url"),
        ("/parts/0/content_type", json!("application/x-sh"), "/parts/0/content_type", "unsupported_type"),
        ("/parts/0/encoding", json!("base64"), "/parts/0/content", "bad_encoding"),
        ("/parts/0/encoding", json!("rot13"), "/parts/0/encoding", "unknown_word"),
        ("/parts/0/content_url", json!("http://192.0.2.1/"), "/parts/0/content_url", "exclusive"),
        ("/parts/0/name", json!("../a"), "/parts/0/name", "bad_name"),
        ("/parts/0", json!("no such part"), "/parts/0", "bad_id"),
        (
            "/parts/0",
            part(&format!("file://{base}/../../etc/passwd")),
            "/parts/0/content_url",
            "not_acceptable",
        ),
        (
            "/parts/0",
            part(&format!("file://{base}/%2e%2e/%2e%2e/etc/passwd")),
            "/parts/0/content_url",
            "not_acceptable",
        ),
        ("/parts/0", part("file:///etc/passwd"), "/parts/0/content_url", "not_acceptable"),
        ("/parts/0", part("file://host.example/etc/passwd"), "/parts/0/content_url", "not_acceptable"),
        ("/parts/0", part("http://127.0.0.1:1/a.jpg"), "/parts/0/content_url", "not_acceptable"),
        ("/parts/0", part("http://[::ffff:10.0.0.1]/a.jpg"), "/parts/0/content_url", "not_acceptable"),
        (
            "/parts/0",
            part("http://169.254.169.254/latest/meta-data"),
            "/parts/0/content_url",
            "not_acceptable",
        ),
        ("/parts/0", part("http://2130706433/a.jpg"), "/parts/0/content_url", "not_acceptable"),
        (
            "/parts/0",
            part("http://user:secret@media.example/a.jpg"),
            "/parts/0/content_url",
            "not_acceptable",
        ),
        ("/parts/0", part("gopher://media.example/a.jpg"), "/parts/0/content_url", "bad_url"),
    ];
    assert_refused(&world, &cases).await;
    nothing_was_queued(&world).await;
}

/// Place, value there, pointer and code of the fault that the API has to tell.
type Case = (&'static str, Value, &'static str, &'static str);

async fn assert_refused(world: &World, cases: &[Case]) {
    let mut wrong = Vec::new();
    for (place, value, pointer, code) in cases.iter().cloned() {
        let shown: String = value.to_string().chars().take(80).collect();
        let reply = world.api.post("mms", &but(place, value)).await;
        let errors = reply.body["errors"].as_array().cloned().unwrap_or_default();
        let told: Vec<(&str, &str)> = errors.iter().map(|e| (text(e, "pointer"), text(e, "code"))).collect();
        let good = reply.status == 422
            && reply.content_type == "application/problem+json"
            && text(&reply.body, "code") == "invalid_request"
            && told == [(pointer, code)]
            && !text(&errors[0], "detail").is_empty();
        if !good {
            wrong.push(format!(
                "{place} = {shown}: wanted {pointer} {code}, got {} {}",
                reply.status, reply.body
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A good letter sent last arrives first and alone: the queue keeps the order.
async fn nothing_was_queued(world: &World) {
    let id = world.api.send(&fine()).await;
    world.api.reaches(&id, &["READ"]).await;
    let received = world.carrier.received();
    assert_eq!(received.len(), 1, "{:?}", received.iter().map(|r| r.subject.clone()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_request_are_refused_whole() {
    let world = World::start("", "", "").await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let huge = format!("{{\"subject\": \"{}\"}}", "x".repeat(50 << 20));
    let twice = fine().to_string().replacen('{', "{\"subject\": \"one\",", 1);
    let json = "application/json";
    for (name, kind, body, status, code) in [
        ("cut", json, br#"{"origin": "54321", "par"#.to_vec(), 400, "malformed_json"),
        ("empty", json, Vec::new(), 400, "malformed_json"),
        ("comment", json, b"{} // fine".to_vec(), 400, "malformed_json"),
        ("deep", json, deep.into_bytes(), 400, "malformed_json"),
        ("latin", json, b"{\"origin\": \"\xFC\"}".to_vec(), 400, "malformed_json"),
        ("list", json, b"[]".to_vec(), 422, "invalid_request"),
        ("twice", json, twice.into_bytes(), 422, "invalid_request"),
        ("huge", json, huge.into_bytes(), 413, "body_too_large"),
        ("form", "application/x-www-form-urlencoded", b"a=b".to_vec(), 415, "unsupported_media_type"),
    ] {
        let reply = world.api.post_octets("mms", kind, body).await;
        assert_eq!((reply.status, text(&reply.body, "code")), (status, code), "{name}: {}", reply.body);
        assert_eq!(reply.content_type, "application/problem+json", "{name}");
        assert!(!text(&reply.body, "detail").is_empty() && !text(&reply.body, "advice").is_empty(), "{name}");
    }
    nothing_was_queued(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_there() {
    let world = World::start("", "", "").await;
    let id = world.api.send(&fine()).await;
    for (path, code) in [
        ("mms/outbound/01a20750dcfa7a17871be6b558963a12", "not_found"),
        ("mms/outbound/%2e%2e%2fetc", "not_found"),
        ("mms/inbound/nonsense", "not_found"),
        ("mms_part/1", "not_found"),
        ("nowhere", "no_such_path"),
    ] {
        let reply = world.api.get(path).await;
        assert_eq!((reply.status, text(&reply.body, "code")), (404, code), "{path}: {}", reply.body);
    }
    assert_eq!(world.api.get(&format!("mms/inbound/{id}")).await.status, 404, "it is no inbound message");
    let method = world.api.delete("mms").await;
    assert_eq!((method.status, text(&method.body, "code")), (405, "method_not_allowed"));
    let sending = world.api.put(&format!("mms/{}", "01a20750dcfa7a17871be6b558963a12"), &json!({})).await;
    assert_eq!(sending.status, 404);
    let template = world.api.post("mms", &json!({"origin": "54321", "parts": []})).await;
    let refused = world.api.put(&format!("mms/{}", text(&template.body, "id")), &json!({"send": {}})).await;
    assert_eq!((refused.status, refused.fault().0), (422, "/send"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_out_of_the_directory_and_a_missing_file_end_as_failed() {
    let root = scratch();
    std::os::unix::fs::symlink("/etc/passwd", root.path().join("link.jpg")).unwrap();
    let base = root.path().display();
    let world = World::start(&format!("[media]\nfile_roots = ['{base}']\n"), "", "").await;
    for (name, code) in [("link.jpg", "415"), ("missing.jpg", "404")] {
        let part = json!({"name": "a.jpg", "content_type": "image/jpeg", "content_url": format!("file://{base}/{name}")});
        let reply = world.api.post("mms", &but("/parts/0", part)).await;
        if reply.status == 422 {
            assert_eq!(reply.fault(), ("/parts/0/content_url", "not_acceptable"), "{name}");
            continue;
        }
        let message = world.api.reaches(text(&reply.body, "id"), &["FAILED"]).await;
        let last = message["events"].as_array().unwrap().last().unwrap();
        assert_eq!(text(last, "code"), code, "{name}: {last}");
        assert!(!last.to_string().contains("root:"), "{last}");
    }
    assert!(world.carrier.received().is_empty());
}
