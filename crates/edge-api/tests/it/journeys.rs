//! What applications do.

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use http::{Method, Request};
use mmsgw_edge_api::{ApiSettings, INBOUND_PATH, serve};
use mmsgw_net::Drain;
use mmsgw_store::Store;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

use crate::world::{World, request};

fn template() -> Value {
    json!({
        "origin": "54321", "subject": "Hi", "show_sender": false,
        "parts": [
            {"name": "a.txt", "content_type": "text/plain", "content": "hello"},
            {"name": "b.png", "content_type": "image/png", "content": "AP8B", "encoding": "base64"},
            {"name": "c.smil", "content_type": "application/smil", "content": "<smil/>"},
        ],
    })
}

#[tokio::test]
async fn a_template_is_created_shown_changed_and_deleted() {
    let world = World::new();
    let created = world.post("/mmsgw/v1/mms", &template()).await;
    let view = created.expect(201);
    let path = created.header("location").to_owned();
    assert_eq!(path, format!("/mmsgw/v1/mms/{}", view["id"].as_str().unwrap()));
    assert_eq!(view["parts"][0]["name"], "c.smil", "SMIL comes first");
    assert_eq!(view["parts"][1]["content"], "hello");
    assert_eq!((&view["show_sender"], &view["drm"]), (&json!(false), &Value::Null));
    assert_eq!(world.get(&path).await.expect(200), view);

    let part = json!({"name": "d.txt", "content_type": "text/plain", "content": "more"});
    let change = json!({"subject": null, "drm": true, "parts": [part]});
    let changed = world.send(Method::PUT, &path, &change).await.expect(200);
    assert_eq!((&changed["subject"], &changed["drm"]), (&Value::Null, &json!(true)));
    assert_eq!(changed["parts"].as_array().unwrap().len(), 4);
    let replaced = world.send(Method::PUT, &path, &json!({"parts": [null, part]})).await.expect(200);
    assert_eq!(replaced["parts"].as_array().unwrap().len(), 1);

    let delete = || Request::delete(&path).body(Body::empty()).unwrap();
    assert_eq!(world.call(delete()).await.status, 204);
    world.get(&path).await.problem(404, "not_found");
    world.call(delete()).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_message_keeps_what_it_was_made_with() {
    let world = World::new();
    let id = world.post("/mmsgw/v1/mms", &template()).await.expect(201)["id"].as_str().unwrap().to_owned();
    let body = json!({"destination": "+15555550101,15555550102", "bcc": ["54322"], "priority": "high"});
    let sent = world.post(&format!("/mmsgw/v1/mms/outbound/{id}"), &body).await;
    let message = sent.expect(202);
    assert_eq!(message["direction"], -1);
    assert_eq!((&message["gateway"], &message["state"]), (&json!("gw"), &json!("SCHEDULED")));
    assert_eq!(message["destination"], "+15555550101,15555550102");
    assert_eq!((&message["cc"], &message["bcc"]), (&Value::Null, &json!("54322")));
    assert_eq!(message["recipients"].as_array().unwrap().len(), 3);
    assert_eq!(message["events"][0]["destinations"], "*");
    assert_eq!(message["events"][0]["code"], "200");
    assert_eq!(message["events_url"], "https://events.example/gw");
    assert_eq!((&message["dr_requested"], &message["rr_requested"]), (&json!(true), &Value::Null));

    let path = sent.header("location").to_owned();
    world.send(Method::PUT, &format!("/mmsgw/v1/mms/{id}"), &json!({"subject": "New"})).await.expect(200);
    let delete = Request::delete(format!("/mmsgw/v1/mms/{id}")).body(Body::empty()).unwrap();
    assert_eq!(world.call(delete).await.status, 204);
    let shown = world.get(&path).await.expect(200);
    assert_eq!(shown, message, "neither change nor deletion reaches it");
    assert_eq!(shown["template"]["subject"], "Hi");
    let inbound = path.replace("outbound", "inbound");
    world.get(&inbound).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_template_with_send_answers_the_message() {
    let world = World::new();
    let mut body = template();
    body["send"] = json!({"destination": ["15555550101"], "gateway": "other"});
    let sent = world.post("/mmsgw/v1/mms", &body).await;
    let message = sent.expect(202);
    assert_eq!(message["gateway"], "other");
    assert_eq!(message["template"]["subject"], "Hi");
    assert_eq!(world.get(sent.header("location")).await.expect(200), message);
    let template = format!("/mmsgw/v1/mms/{}", message["template"]["id"].as_str().unwrap());
    world.get(&template).await.expect(200);
}

#[tokio::test]
async fn a_part_on_its_own_goes_into_templates() {
    let world = World::new();
    let part = json!({"name": "b.png", "content_type": "image/png", "content": "AP8B", "encoding": "base64"});
    let created = world.post("/mmsgw/v1/mms_part", &part).await;
    let view = created.expect(201);
    assert_eq!((&view["content_name"], &view["size"]), (&json!("b.png"), &json!(3)));
    assert_eq!(world.get(created.header("location")).await.expect(200), view);
    let body = json!({"origin": "54321", "parts": [view["id"]]});
    let template = world.post("/mmsgw/v1/mms", &body).await.expect(201);
    assert_eq!(template["parts"][0]["digest"], view["digest"]);

    let media = world.get(view["content_url"].as_str().unwrap()).await;
    assert_eq!(media.status, 200);
    assert_eq!(media.body, vec![0, 255, 1]);
    assert_eq!(media.header("content-type"), "image/png");
    assert_eq!(media.header("x-content-type-options"), "nosniff");
    assert!(media.header("content-security-policy").contains("sandbox"));
    assert!(media.header("content-disposition").starts_with("attachment"));
    assert!(media.header("cache-control").contains("immutable"));
    let path = view["content_url"].as_str().unwrap();
    let again = Request::get(path).header("if-none-match", media.header("etag")).body(Body::empty());
    assert_eq!(world.call(again.unwrap()).await.status, 304);
    let typed = world.get(&format!("{path}?type=text/html")).await;
    assert_eq!(typed.header("content-type"), "text/html");
    let untyped = world.get(&format!("{path}?type=image/svg%2Bxml")).await;
    assert_eq!(untyped.header("content-type"), "image/png", "a type that is not taken is not given");
    world
        .get(&path.replace(view["digest"].as_str().unwrap(), &"0".repeat(64)))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn the_engines_refusals_name_the_field() {
    let world = World::new();
    let mut body = template();
    body["send"] = json!({"destination": "15555550101", "gateway": "nowhere"});
    let post = async |body: &Value| world.post("/mmsgw/v1/mms", body).await;
    assert_eq!(post(&body).await.problem(422, "invalid_request"), ["/send/gateway"]);
    body["send"] = json!({"destination": ""});
    assert_eq!(post(&body).await.problem(422, "invalid_request"), ["/send/destination"]);
    let private = json!({"name": "x", "content_type": "image/png", "content_url": "http://169.254.1.1/"});
    let body = json!({"origin": "54321", "parts": [private]});
    assert_eq!(post(&body).await.problem(422, "invalid_request"), ["/parts/0/content_url"]);
    let lone = world.post("/mmsgw/v1/mms_part", &private).await;
    assert_eq!(lone.problem(422, "invalid_request"), ["/content_url"]);
    let body = json!({
        "origin": "54321", "parts": [],
        "earliest_delivery": 2_000_000_000, "latest_delivery": 1_999_999_999,
    });
    assert_eq!(post(&body).await.problem(422, "invalid_request"), ["/earliest_delivery"]);
    let unknown = format!("/mmsgw/v1/mms/outbound/{}", "0".repeat(32));
    world.post(&unknown, &json!({"destination": "54321"})).await.problem(404, "not_found");
    world.get("/mmsgw/v1/mms/no-id").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_full_queue_asks_for_patience() {
    let world = World::with("", mmsgw_engine::EngineSettings { max_waiting: 0, ..Default::default() });
    let mut body = template();
    body["send"] = json!({"destination": "15555550101"});
    let answer = world.post("/mmsgw/v1/mms", &body).await;
    answer.problem(429, "overloaded");
    assert_eq!(answer.header("retry-after"), "5");
}

#[tokio::test]
async fn a_message_past_its_time_is_not_sent() {
    let world = World::new();
    let mut body = template();
    let now = mmsgw_domain::Clock::now(&*world.clock);
    body["latest_delivery"] = json!(now.as_secs() + 60);
    let id = world.post("/mmsgw/v1/mms", &body).await.expect(201)["id"].as_str().unwrap().to_owned();
    world.clock.advance(std::time::Duration::from_secs(61));
    let sent = world.post(&format!("/mmsgw/v1/mms/outbound/{id}"), &json!({"destination": "54322"})).await;
    assert_eq!(sent.problem(422, "invalid_request"), [""]);
    let group = world.engine.group(&"gw".parse().unwrap()).unwrap();
    assert_eq!(group.counts().accepted, 0);
}

#[tokio::test]
async fn the_carriers_door_fits_beside_the_api() {
    let world = World::new();
    let carriers = Router::new().route(INBOUND_PATH, post(async || "SOAP"));
    let merged = world.router.clone().merge(carriers);
    let path = "/mmsgw/v1/mms/inbound/gw";
    let call = async |request: Request<Body>| merged.clone().oneshot(request).await.unwrap().status();
    assert_eq!(call(Request::post(path).body(Body::empty()).unwrap()).await, 200);
    assert_eq!(call(Request::get(path).body(Body::empty()).unwrap()).await, 404);
    let ack = request(Method::POST, "/mmsgw/v1/mms/inbound/ack/1", &json!({"status": 200}));
    assert_eq!(call(ack).await, 404, "one segment more is the API's again");
    assert_eq!(call(Request::post("/mmsgw/v1/mms/inbound/ack").body(Body::empty()).unwrap()).await, 200);
    assert_eq!(call(Request::get("/elsewhere").body(Body::empty()).unwrap()).await, 404);
}

#[tokio::test]
async fn the_document_and_the_problems_are_served() {
    let world = World::new();
    assert_eq!(world.get("/mmsgw/v1/openapi.json").await.expect(200)["info"]["title"], "mmsgw");
    let kind = world.get("/mmsgw/v1/problems/overloaded").await.expect(200);
    assert_eq!(kind["status"], 429);
    world.get("/mmsgw/v1/problems/nope").await.problem(404, "not_found");
}

#[tokio::test]
async fn the_listener_serves_until_it_is_drained() {
    let world = World::new();
    let settings = ApiSettings { listen: "127.0.0.1:0".parse().unwrap(), ..ApiSettings::default() };
    let drain = Drain::new();
    let listening = serve(world.router.clone(), &settings, &drain).await.unwrap();
    let mut stream = TcpStream::connect(listening.address).await.unwrap();
    let request = b"GET /mmsgw/v1/openapi.json HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(drain.drain(std::time::Duration::from_secs(20)).await);
    assert!(TcpStream::connect(listening.address).await.is_err());
    let open = ApiSettings { listen: "0.0.0.0:0".parse().unwrap(), ..settings };
    assert!(serve(world.router.clone(), &open, &Drain::new()).await.is_err(), "no key, no open door");
}

#[tokio::test]
async fn a_missing_variable_is_named_and_a_broken_template_says_where() {
    let world = World::new();
    let mut body = template();
    body["subject"] = json!("Hi {{ name }}");
    body["defaults"] = json!({"city": "Rome"});
    body["parts"][0]["content"] = json!("In {{ city }} at {{ hour }}");
    let id = world.post("/mmsgw/v1/mms", &body).await.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/mmsgw/v1/mms/outbound/{id}");
    let mut send = json!({"destination": "+15555550101", "variables": {"name": "Ann"}});
    let refused = world.post(&path, &send).await;
    assert_eq!(refused.problem(422, "invalid_request"), ["/variables/hour"]);
    assert_eq!(refused.json()["errors"][0]["code"], "missing_variable");
    send["variables"]["hour"] = json!(8);
    let message = world.post(&path, &send).await.expect(202);
    assert_eq!(message["variables"], send["variables"]);
    assert_eq!(message["template"]["subject"], "Hi {{ name }}");
    body["parts"][0]["content"] = json!("In\n{{ city");
    let refused = world.post("/mmsgw/v1/mms", &body).await;
    assert_eq!(refused.problem(422, "invalid_request"), ["/parts/0"]);
    assert!(refused.json()["detail"].as_str().unwrap().contains("line 2"), "{}", refused.json());
}

#[tokio::test]
async fn a_dry_run_shows_everything_and_keeps_nothing() {
    let world = World::new();
    let mut body = template();
    body["subject"] = json!("Hi {{ name }}");
    body["parts"][0]["content"] = json!("Dear {{ name }}");
    let id = world.post("/mmsgw/v1/mms", &body).await.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/mmsgw/v1/mms/outbound/{id}?dry_run=true");
    let send = json!({"destination": "+15555550101,54322", "variables": {"name": "Zoë", "nmae": "x"}});
    let shown = world.post(&path, &send).await.expect(200);
    assert_eq!(
        (&shown["dry_run"], &shown["gateway"], &shown["recipients"]),
        (&json!(true), &json!("gw"), &json!(2))
    );
    assert_eq!((&shown["subject"], &shown["size"]), (&json!("Hi Zoë"), &json!(7 + 9 + 3)));
    assert_eq!(shown["parts"][1]["content"], "Dear Zoë");
    assert_eq!(shown["parts"][2]["size"], 3);
    assert_eq!(shown["warnings"], json!(["the template has no variable `nmae`"]));
    assert!(world.store.queues().await.unwrap().is_empty(), "nothing is queued");
    let missing = world.post(&path, &json!({"destination": "54322"})).await;
    assert_eq!(missing.problem(422, "invalid_request"), ["/variables/name"]);

    body["parts"] =
        json!([{"name": "a.png", "content_type": "image/png", "content_url": "https://gone.example/a.png"}]);
    let id = world.post("/mmsgw/v1/mms", &body).await.expect(201)["id"].as_str().unwrap().to_owned();
    let shown = world.post(&format!("/mmsgw/v1/mms/outbound/{id}?dry_run=true"), &send).await.expect(200);
    let warned = shown["warnings"][1].as_str().unwrap();
    assert!(warned.contains("a.png") && warned.contains("will fail"), "{warned}");
    let odd = world.post(&format!("/mmsgw/v1/mms/outbound/{id}?dryrun=true"), &send).await;
    assert_eq!(odd.status, 400, "a typo must not send");
}
