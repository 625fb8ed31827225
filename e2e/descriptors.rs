//! The process has as many files open as it may: newcomers are told to come again or wait, nobody's listener ends, and
//! all goes on once there is room.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::vitals::Vitals;
use crate::rig::{Program, World, program, wait_until};

/// More than there will be descriptors for.
const CROWD: usize = 150;

fn limit_descriptors(pid: u32, count: usize) {
    let prlimit = program(Program { name: "prlimit", package: "util-linux" });
    let limit = format!("--nofile={count}:{count}");
    let status = std::process::Command::new(prlimit).args(["--pid", &pid.to_string(), &limit]).status();
    assert!(status.unwrap().success());
}

/// What a newcomer is told within a moment; empty where it waits.
async fn told(address: &str, says: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address).await else { return String::new() };
    let _ = stream.write_all(says.as_bytes()).await;
    let mut octets = [0; 512];
    match tokio::time::timeout(Duration::from_secs(2), stream.read(&mut octets)).await {
        Ok(Ok(count)) => String::from_utf8_lossy(&octets[..count]).into_owned(),
        _ => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_newcomers_are_put_off_and_listeners_live() {
    let world = World::start("", "", "").await;
    let id = world.api.send_text("mm7", "before", &["+15555550102"]).await;
    world.api.reaches(&id, &["READ"]).await;
    let pid = world.gateway.pid();
    let usual = Vitals::of(pid).descriptors;
    limit_descriptors(pid, usual + 24);
    let (api, smtp) = (world.gateway.awaited("API"), world.gateway.awaited("SMTP for carriers"));
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(TcpStream::connect(&api).await.unwrap());
    }
    // The log has colours and fields; the words are ours.
    wait_until("the gateway to say so", async || world.gateway.log().contains("accept failed").then_some(()))
        .await;
    wait_until("somebody to be told 421", async || told(&smtp, "").await.starts_with("421 ").then_some(()))
        .await;
    drop(crowd);
    wait_until("descriptors to be given back", async || {
        (Vitals::of(pid).descriptors < usual + 16).then_some(())
    })
    .await;
    for gateway in ["mm7", "mm4"] {
        let id = world.api.send_text(gateway, "after", &["+15555550102"]).await;
        world.api.reaches(&id, &["READ"]).await;
        world.application.hears(&id, "gateway", "READ").await;
    }
    assert!(told(&smtp, "").await.starts_with("220 "));
    assert!(
        told(&api, "GET /mmsgw/v1/openapi.json HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_told_to_come_again() {
    let few = "max_connections = 4\nmax_connections_per_peer = 4\n";
    let world = World::start(&format!("[api]\n{few}[mm4rx]\n{few}[mm7rx]\n{few}"), "", "").await;
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    for (what, says, refusal) in [
        ("API", get, "HTTP/1.1 503 "),
        ("SMTP for carriers", "", "421 "),
        ("HTTP for carriers", get, "HTTP/1.1 503 "),
    ] {
        let address = world.gateway.awaited(what);
        let mut idle = Vec::new();
        for _ in 0..4 {
            idle.push(TcpStream::connect(&address).await.unwrap());
        }
        let answer = wait_until("a refusal", async || {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let _ = stream.write_all(says.as_bytes()).await;
            let mut answer = String::new();
            let read =
                tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await;
            (read.is_ok() && answer.starts_with(refusal)).then_some(answer)
        })
        .await;
        assert!(!refusal.starts_with("HTTP") || answer.contains("\r\nretry-after: 5\r\n"), "{answer}");
        drop(idle);
        wait_until("the door to be open again", async || {
            let answer = told(&address, says).await;
            (!answer.is_empty() && !answer.starts_with(refusal)).then_some(())
        })
        .await;
    }
}
