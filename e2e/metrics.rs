//! Metrics, read by Prometheus' own reader for Python, which is strict, and judged by its promtool.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::rig::{World, wait_until};

/// Reads both text forms; prints families with their type and unit, and samples with their labels.
const READER: &str = r#"
import json, sys
from urllib.request import Request, urlopen
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
from prometheus_client.parser import text_string_to_metric_families as plain

def fetch(accept):
    with urlopen(Request(sys.argv[1], headers={"accept": accept})) as answer:
        return answer.headers["content-type"], answer.read().decode()

def shown(families):
    return [{"name": f.name, "type": f.type, "unit": f.unit, "help": f.documentation,
             "samples": [[s.name, s.labels, s.value] for s in f.samples]} for f in families]

open_type, open_text = fetch("application/openmetrics-text; version=1.0.0")
plain_type, plain_text = fetch("text/plain")
print(json.dumps({"types": [open_type, plain_type], "open": shown(strict(open_text)), "plain": shown(plain(plain_text))}))
"#;

/// Debian's Python, for which Debian packages the reader.
async fn read(world: &World) -> Value {
    let url = format!("http://{}/metrics", world.gateway.awaited("health and metrics"));
    let output = tokio::process::Command::new("/usr/bin/python3")
        .args(["-I", "-c", READER, &url])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "is python3-prometheus-client installed?\n{complaints}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What promtool says of the plain form, names and units included; empty where it finds no fault.
async fn judged(world: &World) -> String {
    let url = format!("http://{}/metrics", world.gateway.awaited("health and metrics"));
    let request = reqwest::Client::new().get(&url).header("accept", "text/plain");
    let text = request.send().await.unwrap().text().await.unwrap();
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/prometheus/promtool");
    let mut command = tokio::process::Command::new(&tool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}; scripts/test", tool.display()));
    running.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = running.wait_with_output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

fn value(families: &Value, sample: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let samples =
        families.as_array().unwrap().iter().flat_map(|family| family["samples"].as_array().unwrap());
    let fits = |s: &&Value| s[0] == sample && labels.iter().all(|(key, value)| s[1][*key] == **value);
    samples.into_iter().find(fits).and_then(|s| s[2].as_f64())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_reader_takes_the_metrics_and_finds_what_happened_in_them() {
    let world = World::start("", "", "").await;
    for gateway in ["mm7", "mm4"] {
        let id = world.api.send_text(gateway, "counted", &["+15555550102"]).await;
        world.api.reaches(&id, &["READ"]).await;
        world.application.hears(&id, "gateway", "READ").await;
    }
    world.script("[mm7]\nanswer = { kind = 'status', code = 4004 }\n");
    let id = world.api.send_text("mm7", "refused", &["+15555550102"]).await;
    world.api.reaches(&id, &["FAILED", "REJECTED"]).await;
    let told = wait_until("callbacks and beats of the runtime to be counted", async || {
        let told = read(&world).await;
        let taken = [("gateway_group", "mm4"), ("outcome", "taken")];
        let enough = value(&told["open"], "mmsgw_callback_outcomes_total", &taken).is_some_and(|n| n >= 5.0);
        let beats = ["open", "plain"].map(|form| value(&told[form], "mmsgw_runtime_lag_seconds_count", &[]));
        let beaten = beats.iter().all(|beats| beats.is_some_and(|n| n > 0.0));
        (enough && beaten).then_some(told)
    })
    .await;
    assert_eq!(judged(&world).await, "");
    assert!(
        told["types"][0].as_str().unwrap().starts_with("application/openmetrics-text"),
        "{}",
        told["types"]
    );
    assert!(told["types"][1].as_str().unwrap().starts_with("text/plain; version=0.0.4"), "{}", told["types"]);
    for form in ["open", "plain"] {
        let of = |name: &str, labels: &[(&str, &str)]| {
            value(&told[form], name, labels).unwrap_or_else(|| panic!("no {name} {labels:?} in {form}"))
        };
        for group in ["mm4", "mm7"] {
            let group = ("gateway_group", group);
            for stage in ["sent", "acknowledged", "delivered"] {
                let stage = ("stage", stage);
                assert!((of("mmsgw_message_stage_seconds_count", &[group, stage]) - 1.0).abs() < 0.1);
            }
            assert!((of("mmsgw_message_events_total", &[group, ("state", "read")]) - 1.0).abs() < 0.1);
            assert!(of("mmsgw_carrier_exchange_seconds_sum", &[group]) > 0.0);
            let sent = of("mmsgw_verdicts_total", &[group, ("outcome", "sent"), ("code", "200")]);
            assert!((sent - 1.0).abs() < 0.1, "{sent}");
            assert!(of("mmsgw_carrier_connections_opened_total", &[group]) > 0.0);
            assert!(of("mmsgw_carrier_connections_failed_total", &[group]).abs() < 0.1);
            assert!(of("mmsgw_carrier_connections", &[group, ("state", "busy")]).abs() < 0.1);
        }
        assert!(of("mmsgw_store_commit_seconds_count", &[]) > 10.0);
        let commits = of("mmsgw_store_round_commits_sum", &[]);
        assert!(commits > 10.0 && commits >= of("mmsgw_store_round_seconds_count", &[]), "{commits}");
        assert!(of("mmsgw_carrier_connections", &[("gateway_group", "mm4"), ("state", "idle")]) > 0.0);
        for listener in ["api", "ops", "mm4rx", "mm7rx"] {
            let listener = ("listener", listener);
            assert!(of("mmsgw_listener_connections_accepted_total", &[listener]) > 0.0, "{listener:?}");
            assert!(of("mmsgw_listener_connections", &[listener]) >= 0.0);
            assert!(of("mmsgw_listener_full_total", &[listener]).abs() < 0.1);
        }
        assert!(of("process_resident_memory_bytes", &[]) > 1e6 && of("process_open_fds", &[]) > 5.0);
        assert!((of("mmsgw_build_info", &[]) - 1.0).abs() < 0.1);
        for family in told[form].as_array().unwrap() {
            assert!(!family["help"].as_str().unwrap().is_empty(), "{family}");
            let labels = family["samples"].to_string();
            assert!(!labels.contains("5555550102") && !labels.contains(&id), "a number or an id: {family}");
        }
    }
}
