//! Keys in the store: made, used, revoked, in one process and in several; and a drain that all processes follow.

use std::process::Output;
use std::time::{Duration, Instant};

use mmsgw_mmsc_sim::{Delay, SimConfig};
use serde_json::{Value, json};

use crate::rig::crash::free_ports;
use crate::rig::fleet::Fleet;
use crate::rig::redis::Redis;
use crate::rig::{Files, Gateway, mm7, run, text, wait_until};

/// Runs a command against an operations listener, with a key where there is one.
async fn order(ops: &str, key: Option<&str>, arguments: &[&str]) -> Output {
    let key: Vec<&str> = key.map(|key| vec!["--key", key]).unwrap_or_default();
    run(&[arguments, &["--ops", ops], &key].concat()).await
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(output: &Output, why: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains(why), "{why}: {told}");
}

async fn add(ops: &str, key: Option<&str>, name: &str, scope: &str) -> String {
    let made = order(ops, key, &["keys", "add", name, "--scope", scope, "--reason", "test", "--json"]).await;
    text(&serde_json::from_str(&out(&made)).unwrap(), "secret").to_owned()
}

/// Posts a message; the status of the answer.
async fn post(api: &str, key: Option<&str>) -> u16 {
    let body = json!({"origin": "54321", "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "x"}],
        "send": {"destination": "+15555550102", "gateway": "mm7"}});
    let request =
        reqwest::Client::builder().no_proxy().build().unwrap().post(format!("http://{api}/mmsgw/v1/mms"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let request = match key {
        Some(key) => request.header("authorization", format!("Bearer {key}")),
        None => request,
    };
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_used_revoked_and_refused() {
    let files = Files::write("", &[("mm7", mm7("mm7", "http://127.0.0.1:9/", ""))]);
    let mut gateway = Gateway::start(files);
    let (ops, api) = (gateway.awaited("health and metrics"), gateway.awaited("API"));
    assert_eq!(post(&api, None).await, 202, "without any key nobody needs one");
    refused(
        &order(&ops, None, &["keys", "add", "app", "--reason", "test"]).await,
        "it has to have the scope admin",
    );
    let root = add(&ops, None, "root", "admin").await;
    assert_eq!(post(&api, None).await, 401, "from the first key on everybody needs one");
    let app = add(&ops, Some(&root), "app", "send").await;
    assert_eq!(post(&api, Some(&app)).await, 202);
    refused(&order(&ops, Some(&app), &["keys", "list"]).await, "lacks the scope admin");
    let list = out(&order(&ops, Some(&root), &["keys", "list"]).await);
    assert!(list.contains("app") && list.contains("store") && !list.contains("mmsgw_"), "{list}");

    // They outlive the process.
    assert!(gateway.stop());
    gateway.start_again();
    let (ops, api) = (gateway.awaited("health and metrics"), gateway.awaited("API"));
    assert_eq!((post(&api, Some(&app)).await, post(&api, None).await), (202, 401));
    let revoke = ["keys", "revoke", "app", "--reason", "it was seen in a log & elsewhere"];
    out(&order(&ops, Some(&root), &revoke).await);
    assert_eq!(post(&api, Some(&app)).await, 401);
    refused(&order(&ops, Some(&root), &revoke).await, "there is no such key");
    for line in ["administration: revoke key app", "reason=\"it was seen in a log & elsewhere\""] {
        wait_until(line, async || gateway.log().contains(line).then_some(())).await;
    }
    assert!(!gateway.log().contains(&root), "secrets stay out of the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_keys_open_no_listener_to_others() {
    let mut gateway = Gateway::start(Files::write("", &[]));
    let ops = gateway.awaited("health and metrics");
    let root = add(&ops, None, "root", "admin").await;
    // Whoever holds the store could take the last key away: only one in the file opens the listener to others.
    let main = "[api]\nlisten = '0.0.0.0:0'\n[ops]\nlisten = '127.0.0.1:0'\n";
    std::fs::write(gateway.files().main(), main).unwrap();
    refused(
        &order(&ops, Some(&root), &["reload", "--reason", "test"]).await,
        "which others can reach, but there is no [[api.key]]",
    );
    assert!(gateway.stop());
    let refused_start = run(&["serve", "-c", &gateway.files().main().display().to_string()]).await;
    refused(&refused_start, "which others can reach, but there is no [[api.key]]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_processes_on_a_store_know_a_key_and_its_end_within_five_seconds() {
    let mut redis = Redis::durable();
    let fleet = Fleet::new(&redis.storage(), SimConfig::default(), "").await;
    let [one, other] = free_ports().map(|port| port.to_string());
    let _apis = [fleet.start("api", 0, &["--ops", &one]), fleet.start("api", 1, &["--ops", &other])];
    fleet.await_api(0).await;
    fleet.await_api(1).await;
    let api = fleet.apis[1].to_string();
    let becomes = async |key: Option<&str>, status: u16| {
        let start = Instant::now();
        wait_until("the other process to know", async || (post(&api, key).await == status).then_some(()))
            .await;
        start.elapsed()
    };
    assert_eq!(post(&api, None).await, 202);
    let root = add(&one, None, "root", "admin").await;
    // Two seconds between looks; the rest is for a machine that is busy with other things.
    let most = Duration::from_secs(20);
    assert!(becomes(None, 401).await < most);
    let app = add(&one, Some(&root), "app", "send").await;
    assert!(becomes(Some(&app), 202).await < most);
    // A store that does not answer takes no key away.
    redis.kill();
    wait_until("a look in vain", async || (fleet.logged("those that are known stay good") > 0).then_some(()))
        .await;
    assert_eq!((post(&api, Some(&app)).await, post(&api, Some("mmsgw_x")).await), (503, 401));
    redis.start_again();
    becomes(Some(&app), 202).await;
    out(&order(&other, Some(&root), &["keys", "revoke", "app", "--reason", "test"]).await);
    assert_eq!(post(&api, Some(&app)).await, 401, "at once where it was ordered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_all_processes() {
    let redis = Redis::durable();
    let mut config = SimConfig::default();
    config.script.mm7.delay = Delay::range(1_000, 1_000);
    let fleet = Fleet::new(&redis.storage(), config, "window = 4").await;
    let [ops] = free_ports().map(|port| port.to_string());
    let file = fleet.gateway_file("mm7").display().to_string();
    let _gateways = [
        fleet.start("gateway", 0, &["--no-mm7rx", file.as_str(), "--ops", &ops]),
        fleet.start("gateway", 1, &["--no-mm7rx", file.as_str()]),
    ];
    let _api = [fleet.start("api", 0, &[]), fleet.start("api", 1, &[])];
    fleet.await_api(0).await;
    fleet.await_api(1).await;
    for number in 0..40 {
        fleet.post(number, "mm7", None).await.unwrap();
    }
    let gateways = async || {
        let shown = order(&ops, None, &["gateways", "list", "--json"]).await;
        serde_json::from_slice::<Value>(&shown.stdout).unwrap_or_default()["gateways"][0].clone()
    };
    wait_until("both processes at work", async || {
        (gateways().await["in_hand"].as_u64().unwrap_or_default() > 4).then_some(())
    })
    .await;
    out(&order(&ops, None, &["gateways", "drain", "mm7", "--reason", "test"]).await);
    let drained = gateways().await;
    assert_eq!((&drained["in_hand"], &drained["health"]), (&0.into(), &"paused".into()));
    let settled = fleet.copies().len();
    assert!(settled < 40, "the rest waits: {settled}");
    out(&order(&ops, None, &["gateways", "resume", "mm7", "--reason", "test"]).await);
    wait_until("all at the carrier", async || (fleet.copies().len() == 40).then_some(())).await;
    assert!(fleet.copies().values().all(|copies| copies.len() == 1), "each went out once");
}
