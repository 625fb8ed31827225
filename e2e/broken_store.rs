//! The store's file is no good when the gateway starts: it says so, ends, and leaves the file as it is.

use crate::rig::{Files, mm7, run};

async fn ends_with(octets: &[u8], expected: &str) {
    let files = Files::write("", &[("mm7", mm7("mm7", "http://127.0.0.1:9/", ""))]);
    let data = files.path().join("mmsgw-data");
    std::fs::create_dir(&data).unwrap();
    let file = data.join("mmsgw.db");
    std::fs::write(&file, octets).unwrap();
    let output = run(&["serve", "-c", files.main().to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains(expected) && said.contains("mmsgw.db"), "{said}");
    assert!(std::fs::read(&file).unwrap() == octets, "the file was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_none_is_left_alone() {
    ends_with("this is no database\n".repeat(1_000).as_bytes(), "mmsgw.db").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_cut_short_is_left_alone() {
    let files = Files::write("", &[("mm7", mm7("mm7", "http://127.0.0.1:9/", ""))]);
    let mut gateway = crate::rig::Gateway::start(files);
    assert!(gateway.stop());
    let whole = std::fs::read(gateway.files().path().join("mmsgw-data/mmsgw.db")).unwrap();
    assert!(whole.len() > 20_000, "{} octets", whole.len());
    ends_with(&whole[..whole.len() / 2], "mmsgw.db").await;
    let mut torn = whole;
    torn[100..4_000].fill(0xA5);
    ends_with(&torn, "mmsgw.db").await;
}
