//! The wire trace: what was said with a carrier, shown to whom it helps.

use std::process::Stdio;

use mmsgw_mmsc_sim::Mo;
use tokio::process::Command;

use crate::rig::{World, picture, run, text, wait_until};

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
        &["Subject: watched", "* connection from 127.0.0.1:", "< MAIL FROM:<", "< RCPT TO:<", "> 354"],
    );
    has(&trace, &["< X-Mms-Message-Type: MM4_delivery_report.REQ", "> 250 2.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_shows_how_a_message_is_taken_back() {
    let quiet = "[features]\nrequest_delivery_report = false\nrequest_read_receipt = false\n";
    let world = World::start("", quiet, "").await;
    let id = world.api.send_text("mm7", "taken back", &["+15555550102"]).await;
    world.api.reaches(&id, &["ACKNOWLEDGED"]).await;
    let trace = traced(&world, &[&id, "--exchanges", "1"], async || {
        assert_eq!(world.api.delete(&format!("mms/outbound/{id}")).await.status, 202);
        world.api.reaches(&id, &["CANCELLED"]).await;
    })
    .await;
    has(
        &trace,
        &["> POST http://", "CancelReq", "< HTTP/1.1 200", "<StatusCode>1000", &format!("message {id}")],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_shows_what_an_mmsc_posts_without_its_pictures() {
    let world = World::start("", "", "").await;
    let trace = traced(&world, &["--gateway", "mm7", "--exchanges", "1"], async || {
        let mo = Mo {
            from: "+15555550150".into(),
            to: vec!["54321".into()],
            subject: "from a phone".into(),
            picture: Some(picture(30_000, 5).to_vec()),
            ..Mo::default()
        };
        let sent = world.carrier.send_mo_mm7(&mo).await;
        assert!(sent.answer.is_ok(), "{sent:?}");
    })
    .await;
    has(
        &trace,
        &["< POST /mmsgw/v1/mms/inbound/mm7 from 127.0.0.1", "< content-type: multipart/", "DeliverReq"],
    );
    has(&trace, &["from a phone", "more octets", "> 200 OK", "DeliverRsp", "<StatusCode>1000"]);
    assert!(trace.len() < 12_000, "a picture is shown: {} octets", trace.len());
}
