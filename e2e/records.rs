//! Message records: every message accounted for in a file, numbers masked where that is wanted.

use std::path::Path;

use serde_json::Value;

use crate::rig::{World, text, wait_until};

fn records(directory: &Path) -> Vec<Value> {
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("records.ndjson"));
    // The one that is written to has no time behind its name, and comes last.
    files.sort_by_key(|path| (path.extension().unwrap() == "ndjson", path.clone()));
    let texts = files.iter().map(|path| std::fs::read_to_string(path).unwrap());
    texts
        .flat_map(|text| text.lines().map(|l| serde_json::from_str(l).unwrap()).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_leaves_a_record_of_its_end() {
    let mut world = World::start("[records]\nfile = 'records.ndjson'\nmax_size = '1KiB'\n", "", "").await;
    let directory = world.gateway.files().path().to_owned();
    let numbers = ["+15555550102", "+15555550103"];
    let mut ids = Vec::new();
    for gateway in ["mm7", "mm4"] {
        let id = world.api.send_text(gateway, "accounted", &numbers).await;
        world.api.reaches(&id, &["READ"]).await;
        ids.push(id);
    }
    world.script("[mm7]\nanswer = { kind = 'status', code = 4004 }\n");
    let refused = world.api.send_text("mm7", "refused", &numbers[..1]).await;
    world.api.reaches(&refused, &["FAILED", "REJECTED"]).await;
    let of = |id: &str| -> Vec<Value> {
        records(&directory).into_iter().filter(|record| record["message"] == id).collect()
    };
    for id in &ids {
        let delivered = wait_until("records of a delivery", async || {
            let found = of(id);
            (found.len() >= 2).then_some(found)
        })
        .await;
        // One that was read before its delivery was reported has come to its end with that.
        assert!(delivered.iter().all(|r| ["DELIVERED", "READ"].contains(&text(r, "state"))), "{delivered:?}");
        let mut to: Vec<&str> = delivered.iter().map(|record| text(record, "number")).collect();
        to.sort_unstable();
        assert_eq!(to, numbers);
        assert!(delivered[0]["sent_ms"].as_i64() >= delivered[0]["accepted_ms"].as_i64(), "{}", delivered[0]);
        assert_eq!((text(&delivered[0], "origin"), text(&delivered[0], "direction")), ("54321", "outbound"));
    }
    let failed = wait_until("the record of a failure", async || of(&refused).into_iter().next()).await;
    assert!(["FAILED", "REJECTED"].contains(&text(&failed, "state")), "{failed}");
    assert!(world.gateway.stop());
    let aside = std::fs::read_dir(&directory).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("records.ndjson.2")
    });
    assert!(aside.count() >= 1, "a full file is put aside");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_masked_where_that_is_wanted() {
    let main = "[records]\nfile = 'records.ndjson'\nlines = 'changes'\nmask_numbers = true\n\
                [log]\nlevel = 'debug'\nmask_numbers = true\n";
    let world = World::start(main, "", "").await;
    let id = world.api.send_text("mm4", "discreet", &["+15555550102", "+15555550103"]).await;
    world.api.reaches(&id, &["READ"]).await;
    let found = wait_until("records of all changes", async || {
        let found = records(world.gateway.files().path());
        found.iter().any(|record| record["state"] == "READ").then_some(found)
    })
    .await;
    let states: Vec<&str> = found.iter().map(|record| text(record, "state")).collect();
    assert_eq!(states[..2], ["SCHEDULED", "SENT"], "{states:?}");
    assert!(found.iter().all(|record| !record.to_string().contains("555555")), "{found:?}");
    wait_until("the end in the log", async || world.gateway.log().contains("READ").then_some(())).await;
    assert!(!world.gateway.log().contains("15555550"), "a number is in the log");
}
