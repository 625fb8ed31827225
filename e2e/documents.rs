//! Documents tell the truth: links lead somewhere, the book is whole, the reference is what the binary says, code that is
//! shown is code that is tested, and the files of contrib/ are configurations that the gateway takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::rig::{World, run, scratch};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below `directory` whose names end with `.md`, but for what is built.
fn markdown(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            markdown(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The text without code, which may hold anything.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            // Between backquotes it is code as well.
            kept.extend(line.split('`').step_by(2));
            kept.push('\n');
        }
    }
    kept
}

/// Where the links of a text lead.
fn links(text: &str) -> Vec<String> {
    let text = prose(text);
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a page's headings, by the rule of GitHub and mdBook.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        if let Some(heading) = line.strip_prefix('#').filter(|_| !is_code) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            found.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    found
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut pages = Vec::new();
    markdown(&root(), &mut pages);
    let mut followed = 0;
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: `{link}` leads nowhere", page.display());
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&target).unwrap());
                assert!(there.contains(anchor), "{}: no heading `{anchor}`, but {there:?}", page.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 50, "only {followed} links were seen");
}

#[test]
fn every_page_of_the_book_is_in_its_summary_once() {
    let docs = root().join("docs");
    let mut pages = Vec::new();
    markdown(&docs, &mut pages);
    let name = |page: &PathBuf| page.strip_prefix(&docs).unwrap().to_str().unwrap().to_owned();
    let pages: BTreeSet<String> = pages.iter().map(name).filter(|page| page != "SUMMARY.md").collect();
    let listed = links(&read("docs/SUMMARY.md"));
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), once.len(), "a page is listed twice");
    assert_eq!(once, pages);
    assert!(read("docs/book.toml").contains("src = \".\""));
}

#[tokio::test]
async fn the_reference_in_the_book_is_what_the_binary_prints() {
    for file in ["main", "mm4", "mm7"] {
        let printed = String::from_utf8(run(&["reference", file]).await.stdout).unwrap();
        let page = read(&format!("docs/reference/{file}.md"));
        let (_, shown) = page.split_once("```toml\n").unwrap();
        let shown = shown.strip_suffix("```\n").unwrap();
        assert!(shown == printed, "docs/reference/{file}.md is old; scripts/reference writes it anew");
    }
}

#[test]
fn the_verification_in_the_book_is_the_one_that_is_tested() {
    let program = read("examples/python/webhook.py");
    let code = &program[program.find("import base64").unwrap()..];
    assert!(
        read("docs/callbacks.md").contains(&format!("```python\n{code}```\n")),
        "docs/callbacks.md is old"
    );
}

/// Copies a directory with configuration to where paths of the container can be replaced.
fn copy(from: &Path, to: &Path, replace: &[(&str, &str)]) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target, replace);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        fs::write(target, replace.iter().fold(text, |text, (old, new)| text.replace(old, new))).unwrap();
    }
}

#[tokio::test]
async fn the_configurations_of_contrib_are_fine() {
    let directory = scratch();
    let compose = directory.path().join("compose");
    copy(&root().join("contrib/compose"), &compose, &[]);
    let kubernetes = directory.path().join("kubernetes");
    let gateways = kubernetes.join("gateways");
    // The key is the operator's, and nothing starts before it is there.
    let key = [
        ("#[[api.key]]", "[[api.key]]"),
        ("#name = ", "name = "),
        ("#scopes = ", "scopes = "),
        ("#hash = \"…\"", "hash = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\""),
        ("/etc/mmsgw/gateways", gateways.to_str().unwrap()),
    ];
    copy(&root().join("contrib/kubernetes/config"), &kubernetes, &key);
    for place in [&compose, &kubernetes] {
        let output = run(&["check", place.join("mmsgw.toml").to_str().unwrap()]).await;
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{}: {said}", place.display());
        for gateway in ["gateway east of group east: MM7", "gateway west of group west: MM4"] {
            assert!(said.contains(gateway), "{said}");
        }
    }
    copy(&root().join("contrib/kubernetes/config"), &kubernetes, &[]);
    let output = run(&["check", kubernetes.join("mmsgw.toml").to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1), "an API for everybody, without a key");
}

/// The names of samples that a metrics page can have, by the types that it states, and those of histograms as a whole.
fn samples(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in page.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let ends: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["", "_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => &[""],
        };
        found.extend(ends.iter().map(|end| format!("{name}{end}")));
    }
    found
}

/// Every word that begins as our metrics do.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("mmsgw_")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_alerts_and_pages_name_metrics_that_there_are() {
    let world = World::start("", "", "").await;
    let url = format!("http://{}/metrics", world.gateway.awaited("health and metrics"));
    let there = samples(&reqwest::get(&url).await.unwrap().text().await.unwrap());
    assert!(there.contains("mmsgw_messages_sent_total") && there.contains("mmsgw_store_up"), "{there:?}");
    let (alerts, dashboard) = ("contrib/prometheus/alerts.yaml", "contrib/grafana/mmsgw.json");
    for file in [alerts, dashboard, "docs/operations.md", "docs/troubleshooting.md"] {
        let missing: Vec<String> = named(&read(file)).difference(&there).cloned().collect();
        assert!(missing.is_empty(), "{file} names {missing:?}, but there are {there:?}");
    }
    assert!(named(&read(alerts)).len() > 5);
    let dashboard: serde_json::Value = serde_json::from_str(&read(dashboard)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10 && panels.iter().all(|panel| panel["targets"][0]["expr"].is_string()));
}

/// The tests that a page names as `path/of/file.rs::name`, and where their names are not those of tests.
fn named_tests(page: &str) -> (usize, Vec<String>) {
    let text = read(page);
    let named: BTreeSet<(&str, &str)> =
        text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::")).collect();
    let is_test = |file: &str, name: &str| {
        let source = fs::read_to_string(root().join(format!("{file}.rs"))).unwrap_or_default();
        let lines: Vec<&str> = source.lines().map(str::trim).collect();
        let begins = |line: &str| {
            let line = line.strip_prefix("async ").unwrap_or(line);
            line.strip_prefix("fn ")
                .and_then(|rest| rest.strip_prefix(name))
                .is_some_and(|r| r.starts_with('('))
        };
        let marked = |at: usize| lines[at.saturating_sub(3)..at].iter().any(|line| line.contains("test"));
        // Within the macro of property tests the attribute is the same.
        lines.iter().enumerate().any(|(at, line)| begins(line) && marked(at))
    };
    let missing = named.iter().filter(|(file, name)| !is_test(file, name));
    (named.len(), missing.map(|(file, name)| format!("{file}.rs::{name}")).collect())
}

#[test]
fn tests_that_pages_name_are_there() {
    for (page, least) in [("docs/peers-failures.md", 40), ("docs/security.md", 80)] {
        let (count, missing) = named_tests(page);
        assert!(missing.is_empty(), "{page} names tests that there are not: {missing:#?}");
        assert!(count >= least, "{page} names {count} tests");
    }
    let table = read("docs/peers-failures.md");
    let failures = table.lines().filter(|line| line.starts_with("| ") && line.contains(".rs::"));
    assert_eq!(failures.count(), 23, "each failure has its tests");
}
