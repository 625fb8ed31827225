//! Operators at work: what they see of a running gateway and how they steer it, by command line.

use std::process::Output;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::rig::{World, run, text, wait_until};

/// Runs a command against the operations listener of a world's gateway.
async fn order(world: &World, arguments: &[&str]) -> Output {
    let ops = world.gateway.awaited("health and metrics");
    run(&[arguments, &["--ops", &ops]].concat()).await
}

/// What it printed; it has to end with `code`.
async fn said(world: &World, arguments: &[&str], code: i32) -> String {
    let output = order(world, arguments).await;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}:\n{out}\n{err}");
    out.into_owned()
}

async fn json(world: &World, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(world, &[arguments, &["--json"]].concat(), 0).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_gateway_keeps_what_comes_and_hands_it_over_when_it_goes_on() {
    let world = World::start("", "", "").await;
    let status = said(&world, &["status", "--over", "100ms"], 0).await;
    let row = |text: &str, first: &str| {
        let line = text.lines().find(|line| line.starts_with(first));
        line.unwrap_or_else(|| panic!("no {first}:\n{text}")).to_owned()
    };
    assert!(row(&status, "mm7 ").contains(" well "), "{status}");
    assert!(status.contains("INSTANCE") && status.contains("mm4:e2e:"), "{status}");
    let without = order(&world, &["gateways", "pause", "mm7"]).await;
    assert_eq!(without.status.code(), Some(2), "a reason has to be given");
    let paused = said(&world, &["gateways", "pause", "mm7", "--reason", "the carrier's night"], 0).await;
    assert_eq!(paused, "mm7 is paused.\n");
    let id = world.api.send_text("mm7", "patience", &["+15555550102"]).await;
    let other = world.api.send_text("mm4", "no patience", &["+15555550102"]).await;
    world.api.reaches(&other, &["READ"]).await;
    let queues = json(&world, &["queues"]).await;
    let tx = queues["queues"].as_array().unwrap().iter().find(|q| q["queue"] == "mm7/tx").unwrap().clone();
    assert_eq!((&tx["waiting"], &tx["paused"]["reason"]), (&1.into(), &"the carrier's night".into()));
    assert!(said(&world, &["queues"], 0).await.contains("the carrier's night (by - since "));
    assert!(
        row(&said(&world, &["status", "--over", "1ms"], 0).await, "mm7 ").contains("the carrier's night")
    );
    assert_eq!(world.received("patience").len(), 0);
    said(&world, &["gateways", "resume", "mm7", "--reason", "morning"], 0).await;
    world.api.reaches(&id, &["READ"]).await;
    for line in ["administration: pause mm7", "administration: resume mm7", "reason=\"morning\""] {
        wait_until(line, async || world.gateway.log().contains(line).then_some(())).await;
    }
    let looks = said(&world, &["top", "--looks", "2", "--every", "100ms"], 0).await;
    assert_eq!(looks.matches("GATEWAY").count(), 2, "{looks}");
    let lines = said(&world, &["top", "--looks", "2", "--every", "100ms", "--json"], 0).await;
    let looks: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(looks.len() == 2 && looks[1]["gateways"][1]["accepted_per_second"].is_number(), "{lines}");
    let listed = json(&world, &["gateways", "list"]).await;
    assert_eq!(listed["gateways"][1]["counts"]["sent"], 1, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_failed_is_sent_again_on_order() {
    let world = World::start("", "", "").await;
    world.script("[mm7]\nanswer = { kind = 'status', code = 4004, text = 'no such service' }\n");
    let mut ids = Vec::new();
    for subject in ["first", "second"] {
        ids.push(world.api.send_text("mm7", subject, &["+15555550102"]).await);
    }
    for id in &ids {
        world.api.reaches(id, &["FAILED", "REJECTED"]).await;
    }
    let shown = said(&world, &["messages", "show", &ids[0]], 0).await;
    assert!(shown.contains("FAILED") && shown.contains("+15555550102"), "{shown}");
    let dead = wait_until("both among the dead", async || {
        let dead = json(&world, &["dead", "list", "mm7/tx"]).await;
        let jobs = dead["jobs"].as_array().unwrap().clone();
        (jobs.len() == 2).then_some(jobs)
    })
    .await;
    world.script("");
    let first = dead.iter().find(|job| job["message"] == ids[0].as_str()).unwrap();
    said(&world, &["dead", "retry", text(first, "id"), "--reason", "the carrier knows us now"], 0).await;
    let message = world.api.reaches(&ids[0], &["READ"]).await;
    let events = message["events"].as_array().unwrap();
    assert!(events.iter().any(|e| text(e, "description").contains("the carrier knows us now")), "{message}");
    world.application.hears(&ids[0], "gateway", "READ").await;
    said(&world, &["dead", "retry", text(first, "id"), "--reason", "again"], 1).await;

    let all = ["dead", "purge", "--queue", "mm7/tx", "--since", "1h", "--reason", "too late"];
    assert!(said(&world, &all, 0).await.starts_with("1 jobs meant"));
    assert_eq!(json(&world, &["dead", "list"]).await["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(said(&world, &[&all[..], &["--yes"]].concat(), 0).await, "1 of 1 jobs done.\n");
    assert_eq!(json(&world, &["dead", "list"]).await["jobs"].as_array().unwrap().len(), 0);
    let peer_ref = text(&message, "peer_ref");
    let found = json(&world, &["messages", "find", peer_ref]).await;
    assert_eq!(found["messages"][0]["id"], ids[0].as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_that_nobody_took_are_posted_once_more() {
    let world = World::start("", "", "").await;
    world.application.answer(410);
    let id = world.api.send_text("mm4", "deaf", &["+15555550102"]).await;
    world.api.reaches(&id, &["READ"]).await;
    let dead = wait_until("callbacks to be given up", async || {
        let found = json(&world, &["callbacks", "list", "mm4"]).await;
        let all = found["callbacks"].as_array().unwrap().clone();
        (all.len() >= 5).then_some(all)
    })
    .await;
    assert!(said(&world, &["callbacks", "list"], 0).await.contains("/app/gateway"));
    world.application.answer(204);
    let before = world.application.callbacks(&id, "gateway").len();
    said(&world, &["callbacks", "replay", text(&dead[0], "id"), "--reason", "it hears again"], 0).await;
    let many =
        ["callbacks", "replay", "--group", "mm4", "--since", "1h", "--reason", "it hears again", "--yes"];
    said(&world, &many, 0).await;
    wait_until("all callbacks once more", async || {
        (world.application.callbacks(&id, "gateway").len() >= before + dead.len()).then_some(())
    })
    .await;
    assert_eq!(said(&world, &["callbacks", "list"], 0).await, "No callback was given up.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_more_while_it_is_told_to() {
    let world = World::start("", "", "").await;
    assert_eq!(said(&world, &["log"], 0).await, "info\n");
    said(&world, &["log", "loud=loud", "--reason", "curious"], 1).await;
    said(&world, &["log", "warn", "--reason", "curious"], 0).await;
    let id = world.api.send_text("mm4", "quiet", &["+15555550102"]).await;
    world.api.reaches(&id, &["READ"]).await;
    assert!(!world.gateway.log().contains(&id), "nothing of it is logged at this level");
    said(&world, &["log", "info", "--reason", "enough"], 0).await;
    let id = world.api.send_text("mm4", "loud", &["+15555550102"]).await;
    world.api.reaches(&id, &["READ"]).await;
    wait_until("the message in the log", async || world.gateway.log().contains(&id).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_hears_what_happens_as_it_becomes_durable() {
    let world = World::start("", "", "").await;
    let ops = world.gateway.awaited("health and metrics");
    let mut listening = tokio::process::Command::new(env!("CARGO_BIN_EXE_mmsgw"))
        .args(["tail", "--gateway", "mm4", "--events", "5", "--json", "--ops", &ops])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(listening.stderr.take().unwrap()).lines();
    assert_eq!(said.next_line().await.unwrap().as_deref(), Some("mmsgw: listening"));
    let other = world.api.send_text("mm7", "elsewhere", &["+15555550102"]).await;
    world.api.reaches(&other, &["READ"]).await;
    let id = world.api.send_text("mm4", "live", &["+15555550102"]).await;
    let heard = tokio::time::timeout(crate::rig::LIMIT, listening.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(heard.status.code(), Some(0));
    let lines: Vec<Value> = String::from_utf8_lossy(&heard.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.iter().all(|line| line["message"] == id.as_str() && line["group"] == "mm4"), "{lines:?}");
    let states: Vec<&str> = lines.iter().map(|line| text(line, "state")).collect();
    assert_eq!(states[..2], ["SCHEDULED", "SENT"], "{states:?}");
    assert!(states.contains(&"DELIVERED") && states.contains(&"READ"), "{states:?}");
}

#[tokio::test]
async fn completions_and_the_manual_know_every_command() {
    let manual = String::from_utf8(run(&["man"]).await.stdout).unwrap();
    let bash = String::from_utf8(run(&["completions", "bash"]).await.stdout).unwrap();
    for command in ["status", "gateways", "dead", "callbacks", "demo"] {
        assert!(manual.contains(&format!("mmsgw\\-{command}")), "{command} has no page");
        assert!(
            bash.contains(&format!("mmsgw__{command}"))
                || bash.contains(&format!("mmsgw__subcmd__{command}"))
        );
    }
}
