//! The machine's clock jumps while the gateway works: forwards, and back again. Messages go on, and none twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use mmsgw_mmsc_sim::Delay;
use serde_json::json;

use crate::rig::later::living_by;
use crate::rig::mischief::good_carrier;
use crate::rig::site::{GROUPS, Site};
use crate::rig::{text, wait_until};

async fn jump(site: &Site, file: &Path, shift: &str) {
    // In one step, so that the process never reads half of it.
    let next = file.with_extension("next");
    std::fs::write(&next, shift).unwrap();
    std::fs::rename(&next, file).unwrap();
    // The process looks at the file once a second at most.
    let _ = site;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
}

async fn send(site: &Site, group: &str, number: usize) -> String {
    let body = json!({"origin": "54321", "subject": format!("clock {number}"),
        "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "hello"}],
        "send": {"destination": format!("+1555{number:07}"), "gateway": group}});
    let request = site.http.post(site.url("mms")).header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    text(&answer.json::<serde_json::Value>().await.unwrap(), "id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_neither_stops_nor_repeats_anything() {
    let mut script = good_carrier();
    // So that the clock jumps while messages are with the carrier.
    (script.mm7.delay, script.mm4.delay) = (Delay::fixed(4_000), Delay::fixed(4_000));
    let site = Site::start(script, None).await;
    let file = site.path().join("clock");
    std::fs::write(&file, "+0s").unwrap();
    for group in GROUPS {
        let gateway = site.path().join(format!("gateways/{group}.toml"));
        let text = std::fs::read_to_string(&gateway).unwrap();
        std::fs::write(&gateway, text.replace("timeout = '2s'", "timeout = '30s'")).unwrap();
    }
    site.restart(&living_by(&file)).await;
    let (mut number, mut ids) = (0, Vec::new());
    for shift in ["+0s", "+1h", "-2h", "+30d", "+29d"] {
        for group in GROUPS {
            number += 1;
            ids.push(send(&site, group, number).await);
        }
        wait_until("the carrier to have them in hand", async || {
            (site.carrier.received().len() + 2 >= number).then_some(())
        })
        .await;
        jump(&site, &file, shift).await;
        for group in GROUPS {
            number += 1;
            ids.push(send(&site, group, number).await);
        }
        for id in &ids {
            wait_until(&format!("{id} to be read, after {shift}"), async || {
                let url = site.url(&format!("mms/outbound/{id}"));
                let answer = site.http.get(url).send().await.ok()?;
                // A message is forgotten when its time is over, which a jump of days may well bring about.
                let over = answer.status() == 404 && shift.ends_with('d');
                let message: serde_json::Value = answer.json().await.ok()?;
                (over || text(&message, "state") == "READ").then_some(())
            })
            .await;
        }
        ids.clear();
    }
    let mut copies = BTreeMap::<String, usize>::new();
    for received in site.carrier.received() {
        if matches!(received.kind.as_str(), "SubmitReq" | "MM4_forward.REQ") {
            *copies.entry(received.subject.unwrap_or_default()).or_default() += 1;
        }
    }
    assert_eq!(copies.len(), number);
    assert!(copies.values().all(|count| *count == 1), "the same was sent again: {copies:?}");
}
