//! What applications see of gateways, events and batches; what operators see of applications' endpoints.

use mmsgw_contract::ApiKey;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::rig::{World, run, text, wait_until};

fn key(name: &str, key: &ApiKey, more: &str) -> String {
    format!("[[api.key]]\nname = '{name}'\nhash = '{}'\n{more}\n", key.hash)
}

/// Asks the API or the operations listener with a key.
async fn ask(url: String, key: &ApiKey) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(url).bearer_auth(key.secret.expose_secret()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

async fn post(url: String, key: &ApiKey, body: &Value) -> Value {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.post(url).bearer_auth(key.secret.expose_secret()).json(body).send().await.unwrap();
    let status = answer.status();
    let answer = answer.json().await.unwrap_or(Value::Null);
    assert!(status.is_success(), "{answer}");
    answer
}

/// A message to `number` from `origin`, by group.
async fn send(world: &World, all: &ApiKey, group: &str, origin: &str) -> String {
    let body = json!({
        "origin": origin, "subject": "hello",
        "parts": [{"name": "t.txt", "content_type": "text/plain", "content": "hello"}],
        "send": {"destination": "+15555550102", "gateway": group},
    });
    text(&post(world.api.url("mms"), all, &body).await, "id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_sees_its_gateways_and_hears_of_its_own_messages() {
    let [all, east, sender] = std::array::from_fn(|_| ApiKey::generate());
    let keys = [
        key("all", &all, "scopes = ['admin']"),
        key("east", &east, "scopes = ['read']\ngateways = ['mm7']\norigins = ['54321']"),
        key("sender", &sender, "scopes = ['send']"),
    ]
    .concat();
    let world = World::start(&keys, "", "").await;
    let at = |path: &str| world.api.url(path);
    let (status, gateways) = ask(at("gateways"), &east).await;
    assert_eq!(status, 200, "{gateways}");
    let listed = gateways["gateways"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["group"]), (1, &"mm7".into()), "{gateways}");
    wait_until("the instance to be there", async || {
        let (_, gateway) = ask(at("gateways/mm7"), &east).await;
        (gateway["health"] == "well").then_some(())
    })
    .await;
    let (_, instances) = ask(at("gateways/mm7/instances"), &east).await;
    let mut instances = instances["instances"].as_array().unwrap().iter();
    let carrier =
        instances.find(|instance| instance["protocol"] == "MM7").expect("an instance with a carrier");
    assert_eq!((&carrier["health"], &carrier["group"]), (&"well".into(), &"mm7".into()));
    assert_eq!(ask(at("gateways/mm4"), &east).await.0, 404);
    assert_eq!(ask(at("gateways/mm4/instances"), &east).await.0, 404);
    assert_eq!(ask(at("gateways"), &sender).await.0, 403);
    assert_eq!(ask(at("events/stream"), &sender).await.0, 403);
    assert_eq!(ask(at("gateways"), &all).await.1["gateways"].as_array().unwrap().len(), 2);

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let stream = http.get(at("events/stream?gateway=mm7")).bearer_auth(east.secret.expose_secret());
    let mut stream = stream.header("last-event-id", "17").send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut heard = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(heard.starts_with(": ") && heard.contains("Last-Event-ID is not honoured"), "{heard}");
    let strange = send(&world, &all, "mm7", "99999").await;
    let other = send(&world, &all, "mm4", "54321").await;
    let own = send(&world, &all, "mm7", "54321").await;
    let end = |heard: &str| heard.contains("\"READ\"") && heard.ends_with("\n\n");
    let listening = async {
        while !end(&heard) {
            let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
            heard.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    tokio::time::timeout(crate::rig::LIMIT, listening).await.expect("the events in time");
    for stranger in [&strange, &other] {
        assert!(!heard.contains(stranger.as_str()), "{heard}");
    }
    let data = heard.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let (_, message) = ask(at(&format!("mms/outbound/{own}")), &all).await;
    let told = message["events"].as_array().unwrap();
    for event in &events {
        assert_eq!(event["message"], own.as_str());
        let same = told.iter().find(|told| told["sequence"] == event["sequence"]).unwrap();
        assert_eq!(event["state"], same["state"], "as in callbacks and messages");
    }
    drop(stream);
    // A process that ends does not wait for those who listen.
    let open = http.get(at("events/stream")).bearer_auth(east.secret.expose_secret()).send().await.unwrap();
    let began = std::time::Instant::now();
    drop(world);
    assert!(began.elapsed() < std::time::Duration::from_secs(25), "{:?}", began.elapsed());
    drop(open);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_listed_the_newest_first_each_to_whom_it_belongs() {
    let [all, other] = std::array::from_fn(|_| ApiKey::generate());
    let keys = [
        key("all", &all, "scopes = ['admin']"),
        key("other", &other, "scopes = ['read', 'send']\norigins = ['99999']"),
    ]
    .concat();
    let world = World::start(&keys, "", "").await;
    let at = |path: &str| world.api.url(path);
    let mut ids = Vec::new();
    for (origin, group) in [("54321", "mm7"), ("99999", "mm4"), ("54321", "mm7")] {
        let template = json!({
            "origin": origin, "subject": "many",
            "parts": [{"name": "t.txt", "content_type": "text/plain", "content": "hello"}],
        });
        let template = post(at("mms"), &all, &template).await;
        let path = format!("mms/outbound/{}/batch?gateway={group}", text(&template, "id"));
        let lines = json!([{"destination": "+15555550102"}, {"destination": "+15555550103"}]);
        ids.push(text(&post(at(&path), &all, &lines).await, "id").to_owned());
    }
    let listed = async |path: &str, key: &ApiKey| -> Vec<String> {
        let (status, answer) = ask(at(path), key).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer["batches"].as_array().unwrap().iter().map(|batch| text(batch, "id").to_owned()).collect()
    };
    let newest: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(listed("batches", &all).await, newest);
    assert_eq!(listed("batches?gateway=mm4", &all).await, newest[1..2]);
    assert_eq!(listed("batches", &other).await, newest[1..2], "those of its origins");
    assert_eq!(listed("batches?limit=2", &all).await, newest[..2]);
    assert_eq!(listed(&format!("batches?limit=2&cursor={}", newest[1]), &all).await, newest[2..]);
    assert_eq!(listed("batches?since=4102444800", &all).await, Vec::<String>::new());
    assert_eq!(ask(at("batches?cursor=x"), &all).await.0, 422);
    let ops = format!("http://{}", world.gateway.awaited("health and metrics"));
    let (_, seen) = ask(format!("{ops}/admin/v1/batches?limit=1"), &all).await;
    assert_eq!(
        (&seen["batches"][0]["id"], &seen["next"]),
        (&newest[0].as_str().into(), &newest[0].as_str().into())
    );
    let secret = all.secret.expose_secret();
    let table = run(&[
        "batch",
        "list",
        "--api",
        &format!("http://{}", world.gateway.awaited("API")),
        "--key",
        secret,
        "--gateway",
        "mm7",
    ])
    .await;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.lines().count() == 3 && table.contains(&newest[0]), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_told_of_and_left_alone_until_it_is_enabled() {
    let world = World::start("", "", "").await;
    let ops = world.gateway.awaited("health and metrics");
    let said = async |arguments: &[&str]| {
        let output = run(&[arguments, &["--ops", &ops]].concat()).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(said(&["callbacks", "endpoints"]).await, "All endpoints take their callbacks.\n");
    world.application.answer(500);
    let id = world.api.send_text("mm4", "trouble", &["+15555550102"]).await;
    world.api.reaches(&id, &["READ"]).await;
    let endpoint = async |state: &str| {
        wait_until(&format!("an endpoint to be {state}"), async || {
            let listed: Value =
                serde_json::from_str(&said(&["callbacks", "endpoints", "--json"]).await).unwrap();
            let found = listed["endpoints"].get(0).cloned()?;
            (found["state"] == state).then_some(found)
        })
        .await
    };
    let failing = endpoint("failing").await;
    assert_eq!(text(&failing, "group"), "mm4");
    assert!(text(&failing, "url").ends_with("/app/gateway"), "{failing}");
    assert!(text(&failing, "last_answer").contains("500"), "{failing}");
    world.application.answer(410);
    let gone = world.api.send_text("mm4", "gone", &["+15555550102"]).await;
    world.api.reaches(&gone, &["READ"]).await;
    let disabled = endpoint("disabled").await;
    assert!(text(&disabled, "last_answer").contains("410"), "{disabled}");
    let posted = world.application.callbacks(&gone, "gateway").len();
    let silent = world.api.send_text("mm4", "silence", &["+15555550102"]).await;
    world.api.reaches(&silent, &["READ"]).await;
    let given_up = wait_until("its callbacks to be given up", async || {
        let listed: Value =
            serde_json::from_str(&said(&["callbacks", "list", "mm4", "--json"]).await).unwrap();
        let all = listed["callbacks"].as_array().unwrap().clone();
        let own: Vec<Value> = all.into_iter().filter(|job| text(job, "message") == silent).collect();
        (!own.is_empty()).then_some(own)
    })
    .await;
    assert!(text(&given_up[0], "reason").contains("disabled"), "{given_up:?}");
    assert_eq!(world.application.callbacks(&silent, "gateway").len(), 0, "nothing is posted to it");
    assert!(posted >= 1);
    world.application.answer(204);
    let told =
        said(&["callbacks", "enable", "mm4", text(&disabled, "id"), "--reason", "it moved back"]).await;
    assert_eq!(told, "The endpoint is called again.\n");
    let again = world.api.send_text("mm4", "again", &["+15555550102"]).await;
    world.application.hears(&again, "gateway", "READ").await;
    let replay = ["callbacks", "replay", "--group", "mm4", "--reason", "it hears", "--since", "2h"];
    assert!(said(&[&replay[..], &["--until", "1h"]].concat()).await.starts_with("0 callbacks meant"));
    said(&[&replay[..], &["--yes"]].concat()).await;
    world.application.hears(&silent, "gateway", "READ").await;
    assert!(said(&["callbacks", "endpoints"]).await.starts_with("All endpoints"));
    wait_until("the line in the log", async || {
        world.gateway.log().contains("administration: enable endpoint").then_some(())
    })
    .await;
}
