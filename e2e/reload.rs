//! The configuration changes while the gateway runs: traffic of others is not touched, faults change nothing,
//! certificates are others for the next connection.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mmsgw_mmsc_sim::{Delay, SimConfig};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

use crate::rig::crash::free_ports;
use crate::rig::fleet::Fleet;
use crate::rig::redis::Redis;
use crate::rig::{
    Api, BINARY, CURIOUS, Files, Gateway, World, mm7, run, run_python, scratch, text, wait_until,
};

/// Has the gateway reload; what it did.
async fn reload(gateway: &Gateway) -> Value {
    let ops = gateway.awaited("health and metrics");
    let output = run(&["gateways", "reload", "--reason", "test", "--json", "--ops", &ops]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{}", gateway.log());
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn succeeds(gateway: &Gateway, arguments: &[&str]) -> String {
    let ops = gateway.awaited("health and metrics");
    let output = run(&[arguments, &["--ops", &ops]].concat()).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

/// Sends through a group, message after message, until it is told to end; their ids.
fn keep_sending(api: Api, group: &'static str, end: Arc<AtomicBool>) -> tokio::task::JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut ids = Vec::new();
        while !end.load(Ordering::Relaxed) {
            let subject = format!("{group} {}", ids.len());
            ids.push(api.send_text(group, &subject, &["+15555550102"]).await);
        }
        ids
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_comes_changes_and_goes_while_another_works_on() {
    let world = World::start("", "", "[outbound]\nconnections = 1\n").await;
    world.script("[mm7]\ndelay = { min_ms = 20, max_ms = 60 }\n");
    let gateways = world.gateway.files().path().join("gateways");
    let mm7_file = gateways.join("mm7.toml");
    let end = Arc::<AtomicBool>::default();
    let steady = keep_sending(world.api.clone(), "mm4", Arc::clone(&end));
    let shaken = keep_sending(world.api.clone(), "mm7", Arc::clone(&end));
    let arrived = |kind: &str| world.carrier.received().iter().filter(|r| r.kind == kind).count();
    let moves = async |kind: &str| {
        let before = arrived(kind);
        wait_until("traffic", async || (arrived(kind) > before + 5).then_some(())).await;
    };
    moves("MM4_forward.REQ").await;
    moves("SubmitReq").await;
    let connections = world.carrier.counts().mm4_connections;

    // Changed, again and again, with messages in hand.
    let original = std::fs::read_to_string(&mm7_file).unwrap();
    for window in [2, 7, 3] {
        let changed = original.replacen("[gateway]\n", &format!("[gateway]\nwindow = {window}\n"), 1);
        std::fs::write(&mm7_file, changed).unwrap();
        let done = reload(&world.gateway).await;
        assert_eq!(done["changed"][0]["group"], "mm7", "{done}");
        assert_eq!(words(&done["changed"][0]["keys"]), ["gateway.window"]);
        assert!(words(&done["warnings"]).is_empty() && words(&done["added"]).is_empty(), "{done}");
        moves("SubmitReq").await;
    }
    assert!(reload(&world.gateway).await["changed"].as_array().unwrap().is_empty(), "nothing is different");

    // One comes, and is served in both directions.
    let remote = format!("http://{}/mm7", world.carrier.mm7_addr);
    let c_file = gateways.join("c.toml");
    std::fs::write(&c_file, mm7("c", &remote, &format!("gateway.name = 'c'\n{CURIOUS}"))).unwrap();
    let unknown = world.api.get("mms/outbound/none").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(words(&reload(&world.gateway).await["added"]), ["c"]);
    let first = world.api.send_text("c", "to c", &["+15555550102"]).await;
    world.api.reaches(&first, &["ACKNOWLEDGED", "DELIVERED", "READ"]).await;

    // It goes, with messages in its queue, and comes back to them.
    succeeds(&world.gateway, &["gateways", "pause", "c", "--reason", "test"]).await;
    let mut kept = Vec::new();
    for n in 0..3 {
        kept.push(world.api.send_text("c", &format!("kept {n}"), &["+15555550102"]).await);
    }
    let moved = c_file.with_extension("away");
    std::fs::rename(&c_file, &moved).unwrap();
    let done = reload(&world.gateway).await;
    assert_eq!(words(&done["removed"]), ["c"]);
    let warning = "gateway c: 3 jobs stay in its queues until a gateway file has the group again";
    assert_eq!(words(&done["warnings"]), [warning]);
    let refused = serde_json::json!({"origin": "54321", "parts": [{"name": "a.txt", "content_type": "text/plain",
        "content": "x"}], "send": {"destination": "+15555550102", "gateway": "c"}});
    assert_eq!(world.api.post("mms", &refused).await.fault(), ("/send/gateway", "unknown_gateway"));
    std::fs::rename(&moved, &c_file).unwrap();
    reload(&world.gateway).await;
    succeeds(&world.gateway, &["gateways", "resume", "c", "--reason", "test"]).await;
    for id in &kept {
        world.api.reaches(id, &["ACKNOWLEDGED", "DELIVERED", "READ"]).await;
    }

    moves("MM4_forward.REQ").await;
    end.store(true, Ordering::Relaxed);
    let (steady, shaken) = (steady.await.unwrap(), shaken.await.unwrap());
    for id in steady.iter().chain(&shaken) {
        world.api.reaches(id, &["DELIVERED", "READ"]).await;
    }
    assert_eq!(world.carrier.counts().mm4_connections, connections, "the other's connection lives on");
    assert_eq!(world.carrier.counts().duplicates, 0);
    for (group, ids) in [("mm4", &steady), ("mm7", &shaken)] {
        for n in 0..ids.len() {
            assert_eq!(world.received(&format!("{group} {n}")).len(), 1, "{group} {n}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_faults_changes_nothing_and_every_fault_is_told() {
    let world = World::start("", "", "").await;
    let files = world.gateway.files();
    let main = std::fs::read_to_string(files.main()).unwrap();
    std::fs::write(files.path().join("gateways/mm4.toml"), "[gateway]\nprotocol = 'MM5'\n").unwrap();
    std::fs::write(files.path().join("gateways/new.toml"), "[gateway\n").unwrap();
    std::fs::write(files.main(), main.replacen("[api]\n", "[api]\nmax_body = 'much'\n", 1)).unwrap();
    let ops = world.gateway.awaited("health and metrics");
    let refused = run(&["reload", "--reason", "test", "--ops", &ops]).await;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    for fault in ["mmsgw.toml: ", "max_body", "mm4.toml: ", "MM5", "new.toml: ", "line 1"] {
        assert!(told.contains(fault), "{fault}: {told}");
    }
    // By signal the log tells it.
    world.gateway.hang_up();
    let stays = "the configuration in use stays";
    wait_until("two refusals", async || (world.gateway.log().matches(stays).count() == 2).then_some(()))
        .await;
    // What fits by itself but not together is a fault too, and files that are named have to be there.
    std::fs::remove_file(files.path().join("gateways/new.toml")).unwrap();
    let original = mm7("mm4", &format!("http://{}/mm7", world.carrier.mm7_addr), "gateway.name = 'x'\n");
    std::fs::write(files.path().join("gateways/mm4.toml"), &original).unwrap();
    std::fs::write(files.path().join("gateways/zz.toml"), &original).unwrap();
    std::fs::write(files.main(), &main).unwrap();
    let refused = run(&["reload", "--reason", "test", "--ops", &ops]).await;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("the group `mm4` has two gateway files"), "{told}");
    let id = world.api.send_text("mm4", "as before", &["+15555550102"]).await;
    world.api.reaches(&id, &["DELIVERED", "READ"]).await;
    assert!(world.carrier.received().iter().any(|r| r.kind == "MM4_forward.REQ"), "still over MM4");
}

/// Certificate and key for `localhost`, the certificate being its own authority.
fn certificate(directory: &Path, also: &str) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.join("server.pem"), certificate.pem()).unwrap();
    std::fs::write(directory.join(also), certificate.pem()).unwrap();
    std::fs::write(directory.join("server.key"), key.serialize_pem()).unwrap();
}

/// Keeps a connection to each port under the first authority, has the gateway reload in between, and then tells who
/// trusts new connections.
const VISITOR: &str = r#"
import http.client, os, ssl, subprocess, sys
old, new, api, ops, binary, renewed, key = sys.argv[1:]
context = lambda authority: ssl.create_default_context(cafile=authority)
paths = {api: "/mmsgw/v1/openapi.json", ops: "/livez"}
def ask(connection, port):
    connection.request("GET", paths[port])
    answer = connection.getresponse()
    answer.read()
    return answer.status
kept = {port: http.client.HTTPSConnection("localhost", int(port), context=context(old)) for port in (api, ops)}
print(*(ask(kept[port], port) for port in (api, ops)))
for name in ("server.pem", "server.key"):
    os.replace(os.path.join(renewed, name), os.path.join(os.path.dirname(old), name))
order = [binary, "reload", "--reason", "certificate", "--ops", f"https://localhost:{ops}", "--ca", old, "--key", key]
print(subprocess.run(order, capture_output=True, text=True))
print(*(ask(kept[port], port) for port in (api, ops)))
for authority in (old, new):
    for port in (api, ops):
        try:
            fresh = http.client.HTTPSConnection("localhost", int(port), context=context(authority))
            print(ask(fresh, port))
        except ssl.SSLCertVerificationError:
            print("not trusted")
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_another_for_new_connections_and_open_ones_live_on() {
    let (current, renewed) = (scratch(), scratch());
    certificate(current.path(), "old.pem");
    certificate(renewed.path(), "new.pem");
    let key = admin_key();
    let tls = |listener: &str| {
        let file = |name: &str| current.path().join(name).display().to_string();
        format!(
            "[{listener}.tls]\ncert_file = '{}'\nkey_file = '{}'\n",
            file("server.pem"),
            file("server.key")
        )
    };
    let main = format!("{}{}{}", key.1, tls("api"), tls("ops"));
    let gateway = Gateway::start(Files::write(&main, &[]));
    let port = |what: &str| gateway.awaited(what).rsplit(':').next().unwrap().to_owned();
    let (old, new) = (current.path().join("old.pem"), renewed.path().join("new.pem"));
    let arguments = [
        old.display().to_string(),
        new.display().to_string(),
        port("API"),
        port("health and metrics"),
        BINARY.to_owned(),
        renewed.path().display().to_string(),
        key.0,
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = run_python(VISITOR, &arguments, b"").await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "200 200", "{said}");
    assert!(
        lines[1].contains("holds now: api.tls.cert_file") && lines[1].contains("ops.tls.key_file"),
        "{said}"
    );
    assert_eq!(lines[2..], ["200 200", "not trusted", "not trusted", "200", "200"], "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_log_hold_at_once_and_addresses_from_the_next_start_on() {
    let (secret, settings) = admin_key();
    let gateway = Gateway::start(Files::write("", &[]));
    let main = std::fs::read_to_string(gateway.files().main()).unwrap();
    std::fs::write(gateway.files().main(), format!("{settings}[log]\nlevel = 'debug'\n{main}")).unwrap();
    let done = reload(&gateway).await;
    assert_eq!(words(&done["settings"]), ["api.key", "log.level"]);
    let ops = gateway.awaited("health and metrics");
    let refused = run(&["log", "--ops", &ops]).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("401"), "a key is asked for");
    let shown = run(&["log", "--ops", &ops, "--key", &secret]).await;
    assert!(String::from_utf8_lossy(&shown.stdout).contains("debug"));
    assert_eq!(gateway.api().get("mms/019a0000000070008000000000000020").await.status, 401);

    let moved = main.replace("127.0.0.1:0", "127.0.0.1:1");
    std::fs::write(gateway.files().main(), format!("{settings}[log]\nlevel = 'debug'\n{moved}")).unwrap();
    let order = ["reload", "--reason", "test", "--ops", ops.as_str(), "--key", secret.as_str()];
    for _ in 0..2 {
        let done = run(&order).await;
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        for key in ["api.listen", "mm4rx.listen", "mm7rx.listen", "ops.listen"] {
            assert!(told.contains(&format!("holds from the next start on: {key}")), "{told}");
        }
    }
    assert_eq!(gateway.api().get("openapi.json").await.status, 200, "still where it was");
}

/// A key for administration, and the lines for it in the main file.
fn admin_key() -> (String, String) {
    let made = std::process::Command::new(BINARY).args(["key", "root", "--scope", "admin"]).output().unwrap();
    let said = String::from_utf8(made.stdout).unwrap();
    let secret =
        said.lines().find_map(|line| line.trim().starts_with("mmsgw_").then(|| line.trim().to_owned()));
    let lines = said[said.find("[[api.key]]").unwrap()..].to_owned();
    (secret.unwrap(), lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_follows_what_is_in_hand_to_its_end() {
    let world = World::start("", "[gateway]\nwindow = 4\n", "").await;
    world.script("[mm7]\ndelay = { min_ms = 1500, max_ms = 1500 }\n");
    let mut ids = Vec::new();
    for n in 0..12 {
        ids.push(world.api.send_text("mm7", &format!("drained {n}"), &["+15555550102"]).await);
    }
    let submitted = || world.carrier.received().iter().filter(|r| r.kind == "SubmitReq").count();
    wait_until("messages in hand", async || (submitted() > 0).then_some(())).await;
    let said = succeeds(&world.gateway, &["gateways", "drain", "mm7", "--reason", "the carrier moves"]).await;
    assert!(said.contains("in hand.\n") && said.ends_with("It goes on with `resume`.\n"), "{said}");
    let at_the_end = submitted();
    assert!(at_the_end < 12, "what was not in hand stays");
    for id in &ids {
        let message = world.api.message(id).await;
        assert_ne!(text(&message, "state"), "SENT", "nothing is left unsaid: {message}");
    }
    let late = world.api.send_text("mm7", "late", &["+15555550102"]).await;
    let other = world.api.send_text("mm4", "other", &["+15555550102"]).await;
    world.api.reaches(&other, &["DELIVERED", "READ"]).await;
    assert_eq!(submitted(), at_the_end, "nothing is handed over meanwhile");
    succeeds(&world.gateway, &["gateways", "resume", "mm7", "--reason", "it is there"]).await;
    for id in ids.iter().chain([&late]) {
        world.api.reaches(id, &["DELIVERED", "READ"]).await;
    }
    assert_eq!(world.carrier.counts().duplicates, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_finished_in_time_goes_on_and_nothing_is_sent_twice() {
    let redis = Redis::durable();
    let mut config = SimConfig::default();
    config.script.mm7.delay = Delay::range(4_000, 4_000);
    let fleet = Fleet::new(&redis.storage(), config, "window = 4").await;
    let [ops] = free_ports().map(|port| port.to_string());
    let file = fleet.gateway_file("mm7");
    let named = file.display().to_string();
    let arguments = ["--no-mm7rx", named.as_str(), "--ops", &ops, "--drain", "1s"];
    let _gateway = fleet.start("gateway", 0, &arguments);
    let _api = [fleet.start("api", 0, &[]), fleet.start("api", 1, &[])];
    fleet.await_api(0).await;
    fleet.await_api(1).await;
    for number in 0..12 {
        fleet.post(number, "mm7", None).await.unwrap();
    }
    let original = std::fs::read_to_string(&file).unwrap();
    for window in [3, 2] {
        let before = fleet.copies().len();
        wait_until("a message in hand", async || (fleet.copies().len() > before).then_some(())).await;
        std::fs::write(&file, original.replace("window = 4", &format!("window = {window}"))).unwrap();
        let done = run(&["reload", "--reason", "test", "--ops", &ops]).await;
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(told.contains("changed: gateway mm7 (gateway.window)"), "{told}\n{}", fleet.logs());
        assert!(told.contains("gateway mm7: what it had in hand is not finished after 1 s"), "{told}");
    }
    wait_until("all at the carrier", async || (fleet.copies().len() == 12).then_some(())).await;
    assert!(fleet.copies().values().all(|copies| copies.len() == 1), "each went out once");
    assert_eq!(fleet.logged("an instance has died"), 0, "{}", fleet.logs());
}
