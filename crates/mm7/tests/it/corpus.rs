//! Every `corpus/mm7/*.http` (a Content-Type line, an empty line, the body) against the reading kept
//! beside it. `UPDATE_EXPECT=1` rewrites the readings.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use expect_test::expect_file;
use mmsgw_mime::Entity;
use mmsgw_mm7::{Limits, read_request, read_response};

#[test]
fn every_file_reads_as_written_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/mm7");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "http")).collect();
    files.sort();
    assert!(files.len() >= 40, "the corpus is gone");
    for file in files {
        let reading = reading(&file);
        expect_file![file.with_extension("reading").canonicalize().unwrap_or(file.with_extension("reading"))]
            .assert_eq(&reading);
    }
}

fn reading(file: &Path) -> String {
    let octets = std::fs::read(file).unwrap();
    let end = octets.iter().position(|b| *b == b'\n').unwrap();
    let line = std::str::from_utf8(&octets[..end]).unwrap();
    let content_type = line.strip_prefix("Content-Type: ");
    let body = Bytes::copy_from_slice(&octets[end + if content_type.is_some() { 2 } else { 1 }..]);
    let name = file.file_name().unwrap().to_str().unwrap();
    let limits = Limits::default();
    if name.starts_with("response") || name.starts_with("fault") {
        return match read_response(content_type, body, &limits) {
            Ok(response) => format!("known status {}\n{}", response.status().known(), brief(&response)),
            Err(error) => format!("{error}\n{}", brief(&error.context)),
        };
    }
    match read_request(content_type, body, &limits) {
        Ok(request) => {
            format!("{}{}", brief(&request.message), request.content.map(|c| tree(&c)).unwrap_or_default())
        }
        Err(error) => format!("{error}\nanswer {:?}\n{}", error.fault_kind(), brief(&error.context)),
    }
}

/// The pretty debug form without what is not there.
pub(crate) fn brief(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:#?}");
    let said = text.lines().filter(|line| !line.ends_with(": None,") && !line.ends_with(": [],"));
    said.map(|line| format!("{line}\n")).collect()
}

/// Media types, ids and sizes.
fn tree(entity: &Entity) -> String {
    let own = format!(
        "content {} {:?} {:?}\n",
        entity.media_type.essence(),
        entity.content_id().unwrap_or_default(),
        entity.body().map(Bytes::len)
    );
    entity.parts().iter().map(tree).fold(own, |all, part| all + "  " + &part)
}
