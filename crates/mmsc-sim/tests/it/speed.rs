//! The carrier as the sink of benchmarks.

use std::time::Instant;

use mmsgw_mmsc_sim::{Recording, RecordingConfig, SimConfig, Simulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::mm7;

const CONNECTIONS: u64 = 4;
const SIZE: usize = 44 << 10;

async fn counting() -> Simulator {
    let recording = RecordingConfig { mode: Recording::Counters, ..RecordingConfig::default() };
    Simulator::start(SimConfig { recording, ..SimConfig::default() }).await.unwrap()
}

fn each() -> u64 {
    std::env::var("SIM_SPEED").ok().and_then(|text| text.parse().ok()).unwrap_or(50)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mm7_counts_at_speed() {
    let simulator = counting().await;
    let (addr, each, began) = (simulator.mm7_addr, each(), Instant::now());
    let tasks = (0..CONNECTIONS).map(|connection| {
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            // Head and body are two writes: without this the second waits for an acknowledgement.
            stream.set_nodelay(true).unwrap();
            let media = "x".repeat(SIZE);
            let mut answer = [0; 4096];
            for number in 0..each {
                let xml = mm7::submit(&format!("{connection}-{number}"), "x", &["+1"]);
                let body = format!("--b\r\nContent-Type: text/xml\r\n\r\n{xml}\r\n--b\r\n\r\n{media}\r\n--b--\r\n");
                let head = format!(
                    "POST / HTTP/1.1\r\nContent-Type: multipart/related; boundary=b\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(body.as_bytes()).await.unwrap();
                let read = stream.read(&mut answer).await.unwrap();
                assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let counts = simulator.counts();
    println!("mm7: {:.0} a second", counts.received as f64 / began.elapsed().as_secs_f64());
    assert_eq!((counts.accepted, counts.recorded, counts.dropped), (CONNECTIONS * each, 0, 0));
    assert!(simulator.received().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mm4_counts_at_speed() {
    let simulator = counting().await;
    let (addr, each, began) = (simulator.mm4_addr, each(), Instant::now());
    let tasks = (0..CONNECTIONS).map(|connection| {
        tokio::spawn(async move {
            let stream = TcpStream::connect(addr).await.unwrap();
            let (mut reader, mut writer) = stream.into_split();
            let writing = tokio::spawn(async move {
                let line = "x".repeat(76) + "\r\n";
                let media = line.repeat(SIZE * 4 / 3 / 76);
                writer.write_all(b"EHLO a\r\n").await.unwrap();
                for number in 0..each {
                    let mail = format!(
                        "MAIL FROM:<a@b.example>\r\nRCPT TO:<+1/TYPE=PLMN@b.example>\r\nDATA\r\n\
                         X-Mms-Message-Type: MM4_forward.REQ\r\nX-Mms-Transaction-ID: {connection}-{number}\r\n\r\n"
                    );
                    writer.write_all(mail.as_bytes()).await.unwrap();
                    writer.write_all(media.as_bytes()).await.unwrap();
                    writer.write_all(b".\r\n").await.unwrap();
                }
                writer.write_all(b"QUIT\r\n").await.unwrap();
                writer
            });
            let mut replies = String::new();
            reader.read_to_string(&mut replies).await.unwrap();
            writing.await.unwrap();
            assert_eq!(replies.matches("250 2.0.0 taken").count() as u64, each);
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let counts = simulator.counts();
    println!("mm4: {:.0} a second", counts.received as f64 / began.elapsed().as_secs_f64());
    assert_eq!((counts.accepted, counts.kinds["MM4_forward.REQ"]), (CONNECTIONS * each, CONNECTIONS * each));
}
