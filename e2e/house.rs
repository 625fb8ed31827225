//! The house keeps to its own plan: the ladder of crates, and what ARCHITECTURE.md says of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rung of each crate, and the crates beside it that it may use all the same.
const LADDER: [(&str, u8, &[&str]); 20] = [
    ("mime", 0, &[]),
    ("smtp", 0, &[]),
    ("mm4", 0, &["mime"]),
    ("mm7", 0, &["mime"]),
    ("net", 0, &[]),
    ("adapt", 0, &["mime"]),
    ("domain", 1, &[]),
    ("store", 2, &[]),
    ("contract", 2, &[]),
    ("store-embedded", 2, &["store"]),
    ("store-s3", 2, &["store"]),
    ("store-redis", 2, &["store"]),
    ("engine", 3, &[]),
    ("edge-api", 4, &[]),
    ("edge-ops", 4, &[]),
    ("edge-callout", 4, &[]),
    ("edge-mm4", 4, &[]),
    ("edge-mm7", 4, &[]),
    ("mmsc-sim", 4, &[]),
    ("mmsgw", 5, &[]),
];

/// Outside crates that only these rooms may use.
const FENCES: [(&str, &[&str]); 7] = [
    ("image", &["adapt"]),
    ("rusqlite", &["store-embedded"]),
    ("object_store", &["store-s3"]),
    ("redis", &["store-redis"]),
    (
        "tokio",
        &[
            "net",
            "store",
            "store-embedded",
            "store-s3",
            "store-redis",
            "engine",
            "edge-api",
            "edge-ops",
            "edge-callout",
            "edge-mm4",
            "edge-mm7",
            "mmsc-sim",
            "mmsgw",
        ],
    ),
    ("axum", &["edge-api", "edge-ops", "edge-mm7", "mmsc-sim", "mmsgw"]),
    ("reqwest", &["net", "store-s3", "edge-callout", "edge-mm7", "mmsc-sim"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The dependencies of each crate, development aside, from its manifest.
fn manifests() -> BTreeMap<String, Vec<String>> {
    let crates = fs::read_dir(root().join("crates")).unwrap();
    crates
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(path.join("Cargo.toml")).unwrap();
            let manifest: toml::Table = toml::from_str(&text).unwrap();
            let used = manifest.get("dependencies").and_then(toml::Value::as_table);
            let used = used.map(|table| table.keys().cloned().collect()).unwrap_or_default();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), used)
        })
        .collect()
}

fn rung(name: &str) -> (u8, &'static [&'static str]) {
    let found = LADDER.iter().find(|(crate_name, ..)| *crate_name == name);
    found.map(|(_, rung, beside)| (*rung, *beside)).unwrap_or_else(|| panic!("`{name}` has no rung"))
}

#[test]
fn no_crate_reaches_up_or_sideways() {
    let manifests = manifests();
    assert_eq!(manifests.len(), LADDER.len(), "every crate stands on the ladder");
    for (name, used) in &manifests {
        let (own, beside) = rung(name);
        for other in used.iter().filter_map(|dep| dep.strip_prefix("mmsgw-")) {
            let below = rung(other).0 < own || beside.contains(&other);
            assert!(below, "`{name}` must not use `{other}`");
            let backend = other.starts_with("store-");
            assert!(!backend || name == "mmsgw", "only the binary knows the backend `{other}`, not `{name}`");
            let codec = ["mime", "smtp", "mm4", "mm7"].contains(&other);
            assert!(!codec || own == 0 || own == 4, "`{name}` must not speak `{other}`");
            assert!(name != "mmsc-sim", "the simulator is a witness and uses nothing of ours, not `{other}`");
        }
    }
}

#[test]
fn outside_crates_stay_in_their_rooms() {
    for (name, used) in manifests() {
        for (fenced, rooms) in FENCES {
            let inside = rooms.contains(&name.as_str());
            assert!(inside || !used.iter().any(|dep| dep == fenced), "`{fenced}` is used in `{name}`");
        }
    }
}

#[test]
fn architecture_names_every_crate_every_state_and_every_dependency() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, reasons) = text.split_once("## Dependencies and why").unwrap();
    assert!(text.lines().count() <= 200, "ARCHITECTURE.md is to be read in one sitting");
    let word = |text: &str, word: &str| {
        text.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).any(|w| w == word)
    };
    for (name, used) in manifests() {
        assert!(word(&text, &name), "ARCHITECTURE.md does not name the crate `{name}`");
        for dependency in used.iter().filter(|dep| !dep.starts_with("mmsgw-")) {
            assert!(word(reasons, dependency), "ARCHITECTURE.md gives no reason for `{dependency}`");
        }
    }
    for state in mmsgw_domain::State::ALL {
        assert!(word(&text, state.name()), "ARCHITECTURE.md does not name {state}");
    }
}

/// Lines of a source that are there outside of tests.
fn productive(source: &str) -> impl Iterator<Item = &str> {
    source.lines().take_while(|line| line.trim() != "#[cfg(test)]")
}

/// Rust files below a directory, those aside that hold tests only.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("test") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_gateway_starts_no_programs() {
    let mut found = Vec::new();
    for (name, ..) in LADDER {
        sources(&root().join("crates").join(name).join("src"), &mut found);
    }
    assert!(found.len() > 200, "only {} files were read", found.len());
    for path in found {
        let source = fs::read_to_string(&path).unwrap();
        let starts = productive(&source)
            .find(|line| line.contains("process::Command") || line.contains("::Command::new"));
        assert_eq!(starts, None, "{} starts a program; what messages say must not get there", path.display());
    }
}
