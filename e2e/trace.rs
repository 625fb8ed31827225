//! The wire trace: what was said with a carrier, shown to whom it helps.

use std::process::Stdio;

use tokio::process::Command;

use crate::rig::{World, run, text, wait_until};

/// Begins a trace, waits until the gateway knows, does something, and gives back what the trace told.
async fn traced(world: &World, arguments: &[&str], meanwhile: impl AsyncFnOnce()) -> String {
    let ops = world.gateway.awaited("health and metrics");
    let before = world.gateway.log().matches("administration: trace").count();
    let running = Command::new(env!("CARGO_BIN_EXE_mmsgw"))
        .args(["trace", "--ops", &ops, "--reason", "looking for a fault", "--for", "60s"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    wait_until("the trace to begin", async || {
        (world.gateway.log().matches("administration: trace").count() > before).then_some(())
    })
    .await;
    meanwhile().await;
    let output = tokio::time::timeout(crate::rig::LIMIT, running.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn has(trace: &str, lines: &[&str]) {
    for line in lines {
        assert!(trace.contains(line), "`{line}` is missing:\n{trace}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_message_that_failed_shows_the_fault_of_the_carrier() {
    let over = "[outbound]\nusername = 'us'\npassword = 'open sesame'\n";
    let world = World::start("", over, "").await;
    world.script("[mm7]\nanswer = { kind = 'fault', code = 4004, text = 'no such service here' }\n");
    let id = world.api.send_text("mm7", "unloved", &["+15555550102"]).await;
    world.api.reaches(&id, &["FAILED", "REJECTED"]).await;
    let ops = world.gateway.awaited("health and metrics");
    let dead = wait_until("the job among the dead", async || {
        let listed = run(&["dead", "list", "mm7/tx", "--json", "--ops", &ops]).await;
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        listed["jobs"].as_array().unwrap().first().map(|job| text(job, "id").to_owned())
    })
    .await;
    let trace = traced(&world, &[&id, "--exchanges", "1"], async || {
        let other = world.api.send_text("mm7", "another", &["+15555550102"]).await;
        world.api.reaches(&other, &["FAILED", "REJECTED"]).await;
        let again = run(&["dead", "retry", &dead, "--reason", "to see it fail", "--ops", &ops]).await;
        assert!(again.status.success(), "{again:?}");
    })
    .await;
    has(&trace, &["> POST http://", "> soapaction:", "SubmitReq", "unloved", "< HTTP/1.1 500", "Fault"]);
    has(
        &trace,
        &["<StatusCode>4004", "no such service here", "> authorization: ***", &format!("message {id}")],
    );
    assert!(!trace.contains("another"), "only what is about the message:\n{trace}");
    assert!(!trace.contains("b3BlbiBzZXNhbWU"), "the password is shown:\n{trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_gateway_shows_both_ways_of_mails() {
    let world = World::start("", "", "").await;
    let trace = traced(&world, &["--gateway", "mm4", "--exchanges", "4"], async || {
        let id = world.api.send_text("mm4", "watched", &["+15555550102"]).await;
        world.api.reaches(&id, &["READ"]).await;
    })
    .await;
    has(
        &trace,
        &["* connected to 127.0.0.1:", "> EHLO ", "< 220 ", "> MAIL FROM:<", "< 250", "> X-Mms-Message-Type"],
    );
    has(
        &trace,
        &["Subject: watched", "* a mail from 127.0.0.1:", "< X-Mms-Message-Type: MM4_delivery_report.REQ"],
    );
}
