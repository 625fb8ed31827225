//! Failures of another gateway that would be ours if nobody looked: docs/peers-failures.md lists them all, and where each
//! is tested. Here are those for which there was no test elsewhere.

use std::collections::BTreeSet;
use std::path::Path;

use mmsgw_mmsc_sim::{SimConfig, Simulator};
use serde_json::json;
use tokio::net::TcpStream;

use crate::rig::{Files, Gateway, LIMIT, World, mm7, scratch, text, wait_until};

/// Files and sockets that the gateway may have open where they are few: not twice of what it has when idle.
const FEW_FILES: u32 = 60;
/// Messages offered by each of [`CLIENTS`] at once.
const OFFERED: usize = 40;
const CLIENTS: usize = 10;

/// Sends texts one after another; gives back the subjects that were answered with 202.
async fn offer(api: String, client: usize) -> Vec<String> {
    let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
    let mut taken = Vec::new();
    for number in 0..OFFERED {
        let subject = format!("few-{client}-{number}");
        let letter = json!({
            "origin": "54321", "subject": subject,
            "parts": [{"name": "a.txt", "content_type": "text/plain", "content": subject}],
            "send": {"destination": "+15555550102", "gateway": "mm7"},
        });
        // A refusal is honest; silence after a yes is not.
        if http.post(&api).json(&letter).send().await.is_ok_and(|answer| answer.status() == 202) {
            taken.push(subject);
        }
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn with_hardly_a_file_to_open_nothing_that_was_taken_is_lost() {
    let carrier = Simulator::start(SimConfig::default()).await.unwrap();
    carrier.set_script(toml::from_str("[mm7]\ndelay = { min_ms = 20 }\n").unwrap());
    let patient = "[gateway]\nmax_tries = 1000\n";
    let remote = format!("http://{}/mm7", carrier.mm7_addr);
    let gateway =
        Gateway::start_with_few_files(Files::write("", &[("mm7", mm7("mm7", &remote, patient))]), FEW_FILES);
    let address = gateway.awaited("API");
    // These take what is left of the files until their time for a request is over.
    let mut idle = Vec::new();
    for _ in 0..2 * FEW_FILES {
        idle.push(TcpStream::connect(&address).await.unwrap());
    }
    let url = gateway.api().url("mms");
    let clients: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(offer(url.clone(), client))).collect();
    let mut taken = BTreeSet::new();
    for client in clients {
        taken.extend(client.await.unwrap());
    }
    assert!(taken.len() > 100, "only {} were taken", taken.len());
    assert!(gateway.log().contains("accept failed"), "there were files enough:\n{}", gateway.log());
    wait_until("all that was taken to be at the carrier", async || {
        let there: BTreeSet<String> = carrier.received().into_iter().filter_map(|r| r.subject).collect();
        taken.is_subset(&there).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_where_it_was_not_told_to() {
    let world = World::start("", "", "").await;
    for door in ["API", "health and metrics", "SMTP for carriers", "HTTP for carriers"] {
        let address = world.gateway.awaited(door);
        let port = address.rsplit_once(':').unwrap().1;
        TcpStream::connect(&address).await.unwrap_or_else(|error| panic!("{door} at {address}: {error}"));
        // Another address of the same host.
        let beside = TcpStream::connect(format!("127.0.0.2:{port}")).await;
        assert!(beside.is_err(), "{door} listens beside {address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_by_mail_address_harms_neither_the_process_nor_its_successor() {
    let mut world = World::start("", "", "").await;
    for group in ["mm7", "mm4"] {
        let id =
            world.api.send_text(group, &format!("to a mailbox, {group}"), &["someone@else.example"]).await;
        world.api.reaches(&id, &["DELIVERED", "READ", "FAILED", "REJECTED"]).await;
    }
    world.gateway.kill();
    world.gateway.start_again();
    let api = world.gateway.api();
    for group in ["mm7", "mm4"] {
        let subject = format!("to a number, {group}");
        api.send_text(group, &subject, &["+15555550102"]).await;
        world.arrives(&subject).await;
    }
}

/// Octets that a shell would act on.
fn tempting(file: &Path) -> [String; 5] {
    let file = file.display();
    [
        format!("a; touch {file};"),
        format!("$(touch {file})"),
        format!("`touch {file}`"),
        format!("'; touch {file} #"),
        format!("| touch {file} && \"%s %m\""),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_message_says_is_run() {
    let world = World::start("", "", "").await;
    let directory = scratch();
    let file = directory.path().join("ran");
    for group in ["mm7", "mm4"] {
        for tempting in tempting(&file) {
            let subject = format!("{group} {tempting}");
            let letter = json!({
                "origin": "54321", "subject": subject,
                "parts": [{"name": tempting.replace(['/', '"'], "_"), "content_type": "text/plain", "content": tempting}],
                "send": {"destination": "+15555550102", "gateway": group, "linked_id": tempting},
            });
            let id = world.api.send(&letter).await;
            world.arrives(&subject).await;
            world.api.reaches(&id, &["READ"]).await;
        }
    }
    assert!(!file.exists(), "a shell has read it");
}

/// A message is remembered until it would have expired, whatever became of it.
const BRIEF: &str = "[gateway]\nmax_age = '3s'\n";

fn files_below(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_leave_nothing_behind_once_their_message_is_forgotten() {
    let world = World::start("[general]\nmms_ttl = '1s'\nmms_template_ttl = '1s'\n", BRIEF, BRIEF).await;
    let data = world.gateway.files().path().join("mmsgw-data");
    let mut last = Vec::new();
    let mut counts = Vec::new();
    for round in [1, 60] {
        for number in 0..round {
            for group in ["mm7", "mm4"] {
                last.push(world.api.send_text(group, &format!("{round}-{number}"), &["+15555550102"]).await);
            }
        }
        wait_until("all to be forgotten", async || {
            for id in &last {
                let reply = world.api.get(&format!("mms/outbound/{id}")).await;
                if reply.status != 404 {
                    return None;
                }
                assert_eq!(text(&reply.body, "code"), "not_found");
            }
            Some(())
        })
        .await;
        counts.push(files_below(&data));
    }
    assert_eq!(counts[0], counts[1], "files after one message each way, and after sixty");
    let told = world.application.at("gateway");
    assert!(told.iter().filter(|c| c.body["state"] == "READ").count() >= 122, "reports came before the end");
}
