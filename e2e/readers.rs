//! Readers that are not ours judge what goes out: the schema over MM7, Python's `email` over MM4.

use std::path::{Path, PathBuf};

use mmsgw_mmsc_sim::Received;
use serde_json::{Value, json};

use crate::rig::letters::{SUBJECTS, all_fields, now, postcard, with};
use crate::rig::python::Mail;
use crate::rig::{LIMIT, Program, World, picture, program, scratch, wait_until};

/// Where the schemas are on the founders' machines; the standard's publisher has them, we may not.
fn schemas() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec/xsd");
    let found = place.join("mm7-REL-6-MM7-1-4.reconstructed.xsd");
    if !found.is_file() {
        println!("there are no MM7 schemas at {}: nothing was validated", place.display());
        return None;
    }
    Some(found)
}

/// Validates the documents all at once; gives back what the validator complains of.
async fn complaints(schema: &Path, documents: &[String]) -> String {
    let directory = scratch();
    let mut files = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let file = directory.path().join(format!("{index}.xml"));
        std::fs::write(&file, document).unwrap();
        files.push(file);
    }
    let validator = program(Program { name: "xmllint", package: "libxml2-utils" });
    let mut command = tokio::process::Command::new(validator);
    command.args(["--nonet", "--noout", "--schema"]).arg(schema).args(&files).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.expect("xmllint ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let faults: Vec<&str> = said.lines().filter(|line| !line.ends_with(" validates")).collect();
    assert_eq!(faults.is_empty(), output.status.success(), "{said}");
    faults.join("\n")
}

/// One schema serves for all releases: the later ones only add to the earlier ones.
fn as_latest(xml: &str) -> String {
    let (before, rest) = xml.split_once("23.140/schema/REL-").expect("an MM7 namespace");
    let namespace = rest.split(['"', '\'']).next().unwrap();
    let document = format!("{before}23.140/schema/REL-{rest}");
    document.replace(&format!("REL-{namespace}"), "REL-6-MM7-1-4")
}

/// Letters that use, among them, every field in every value.
fn letters(gateway: &str) -> Vec<Value> {
    let mut letters = Vec::new();
    for (index, subject) in SUBJECTS.into_iter().enumerate() {
        let class = ["personal", "advertisement", "informational", "auto"][index % 4];
        let content = [
            "text",
            "image-basic",
            "image-rich",
            "video-basic",
            "video-rich",
            "megapixel",
            "content-basic",
            "content-rich",
        ][index % 8];
        let charged = ["sender", "recipient", "both", "neither"][index % 4];
        let (priority, flag) = (["low", "normal", "high"][index % 3], index % 2 == 0);
        let send = json!({
            "destination": ["+15555550102", "12345", "someone@mail.example"], "cc": "+15555550104", "gateway": gateway,
            "bcc": ["+15555550105"], "priority": priority, "linked_id": format!("<{index}>&"),
        });
        let letter = with(postcard(subject, &picture(3_000, 5), send), all_fields(now()));
        letters.push(with(
            letter,
            json!({
                "message_class": class, "content_class": content, "charged_party": charged,
                "drm": flag, "content_adaptation": !flag, "can_redistribute": flag, "show_sender": !flag,
            }),
        ));
    }
    letters.push(json!({"origin": "54321", "subject": "bare", "send": {"destination": "+15555550102", "gateway": gateway},
        "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "x"}]}));
    letters.push(json!({"origin": "someone@mail.example", "subject": "empty", "parts": [],
        "send": {"bcc": "+15555550102", "gateway": gateway}}));
    letters.push(json!({"origin": "54321", "subject": "third", "charged_party": "third-party",
        "charged_party_id": "+15555550109 <&>", "send": {"cc": "+15555550102", "gateway": gateway},
        "parts": [{"name": "ü &<.txt".replace('<', ""), "content_type": "text/plain", "content": ""}]}));
    letters
}

async fn sent(over_mm7: &str, over_mm4: &str, gateway: &str) -> Vec<Received> {
    let world = World::start("", over_mm7, over_mm4).await;
    let letters = letters(gateway);
    for letter in &letters {
        let held =
            letter.get("earliest_delivery").map_or(json!({}), |_| json!({"earliest_delivery": now() + 2}));
        world.api.send(&with(letter.clone(), held)).await;
    }
    wait_until("all letters at the carrier", async || {
        let messages =
            || world.carrier.received().into_iter().filter(|r| !r.parts.is_empty() || r.subject.is_some());
        (messages().count() >= letters.len()).then(|| messages().collect())
    })
    .await
}

async fn every_request_is_valid(over_mm7: &str, namespace: &str) {
    let Some(schema) = schemas() else { return };
    let received = sent(over_mm7, "", "mm7").await;
    let mut documents: Vec<String> = Vec::new();
    for message in &received {
        assert!(message.problems.is_empty(), "{:?}", message.problems);
        let xml = message.xml.as_deref().unwrap();
        assert!(xml.contains(&format!("/schema/{namespace}\"")), "{xml}");
        documents.push(as_latest(xml));
    }
    let found = complaints(&schema, &documents).await;
    assert_eq!(found, "", "{}", documents.join("\n"));
    // A validator that looks at nothing would be content with this as well.
    let twisted = documents[0].replace("DeliveryReport>", "DeliveryRapport>");
    assert_ne!(twisted, documents[0]);
    assert!(complaints(&schema, &[twisted]).await.contains("DeliveryRapport"));
}

#[tokio::test(flavor = "multi_thread")]
async fn release_6_is_valid() {
    let features = "[gateway]\nvaspid = 'a<b>&'\nvasid = 'svc'\n[dialect]\nservice_code = 'gold & \"more\"'\n\
                    time_stamp = true\n[features]\napplic_id = 'app'\nreply_applic_id = 'back'\naux_applic_info = '<i>'\n";
    every_request_is_valid(features, "REL-6-MM7-1-4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_6_with_a_prefix_is_valid() {
    every_request_is_valid("[dialect]\nprefix_style = 'mm7'\ncontent_layout = 'mixed'\n", "REL-6-MM7-1-4")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_5_is_valid() {
    let old = "[gateway]\nversion = '5.3.0'\nvaspid = 'acct'\n";
    every_request_is_valid(old, "REL-5-MM7-1-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mail_pleases_a_strict_reader() {
    let dialect = "[features]\napplic_id = 'app'\nreply_applic_id = 'back'\naux_applic_info = 'ü'\n\
                   mmsip_address = 'ip.example'\nforward_route = 'f'\nreturn_route = 'r'\n\
                   [dialect]\ndomain_in_addresses = true\noriginator_rs_delivery_report = true\n";
    let received = sent("", dialect, "mm4").await;
    for message in &received {
        // A letter that goes only to copies has nobody to name in To.
        let problems: Vec<&String> = message.problems.iter().filter(|p| *p != "To is missing").collect();
        assert!(problems.is_empty(), "{problems:?}");
        let mail = Mail::read(&message.raw).await;
        assert_eq!(mail.complaints, [""; 0], "{}", String::from_utf8_lossy(&message.raw));
        assert_eq!(mail.header("subject").first().copied(), message.subject.as_deref());
        for once in
            ["from", "date", "message-id", "mime-version", "x-mms-message-type", "x-mms-transaction-id"]
        {
            assert_eq!(mail.header(once).len(), 1, "{once}");
        }
        let octets: Vec<&[u8]> = mail.parts.iter().map(|(_, octets)| &octets[..]).collect();
        let witnessed: Vec<&[u8]> = message.parts.iter().map(|part| &part.octets[..]).collect();
        assert!(octets == witnessed, "two readers, two opinions");
    }
}
