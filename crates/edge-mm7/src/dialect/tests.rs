//! What goes out in each built-in dialect, to the letter; `UPDATE_EXPECT=1 cargo test dialect` writes the files anew.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mmsgw_domain::InstanceId;
use mmsgw_engine::Outbound;
use mmsgw_engine::config::{OwnDialects, dialect_file};

use super::*;
use crate::send::Mm7Gateway;
use crate::testing::{self, outbound_with_everything};

/// A message with everything, small, and the same each time.
fn message() -> Outbound {
    let mut outbound = outbound_with_everything();
    let smil: &[u8] = b"<smil><body><par><img src=\"a.gif\"/><text src=\"t.txt\"/></par></body></smil>";
    let parts: [(&str, &str, &[u8]); 3] = [
        ("s.smil", "application/smil", smil),
        ("a.gif", "image/gif", b"GIF89a, or nearly"),
        ("t.txt", "text/plain", b"hello"),
    ];
    let mut content = testing::content(&parts);
    let values = outbound.content.template.content.clone();
    let parts = std::mem::take(&mut content.template.content.parts);
    content.template.content = mmsgw_domain::TemplateContent { parts, ..values };
    content.template.revision = "019a0000000070008000000000000011".parse().unwrap();
    outbound.content = Arc::new(content);
    let message = Arc::make_mut(&mut outbound.message);
    message.id = "019a0000000070008000000000000020".parse().unwrap();
    outbound.transaction_id = message.transaction_id();
    outbound
}

fn gateway(dialect: &str) -> Mm7Gateway {
    let text = format!(
        "[gateway]\nprotocol = 'MM7'\nname = 'east'\ngroup = 'carrier'\nvaspid = 'acct'\nvasid = 'svc'\n\
         dialect = '{dialect}'\n[outbound]\nremote_host = 'http://mmsc.example/mm7'\n\
         username = 'user'\npassword = 'pass'\n"
    );
    let settings: crate::Mm7Settings = toml::from_str(&text).unwrap();
    let instance = InstanceId::new(&settings.gateway.group, "east", "host", 1);
    Mm7Gateway::new(&settings, instance).unwrap()
}

/// All requests of the message, one behind the other.
async fn rendered(dialect: &str) -> String {
    let previews = gateway(dialect).preview(&message()).await.unwrap();
    let text = |preview: &crate::Preview| preview.head.clone() + std::str::from_utf8(&preview.body).unwrap();
    let texts: Vec<String> = previews.iter().map(text).collect();
    texts.join("\r\n\r\n")
}

/// Line ends count too, so that an ordinary snapshot would not do.
fn is_in(file: &Path, text: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(file, text).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(kept, text, "{} is another; UPDATE_EXPECT=1 writes it anew", file.display());
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/dialects/mm7")
}

#[tokio::test]
async fn what_goes_out_in_each_dialect() {
    for (name, _) in DialectSwitches::BUILT_IN {
        is_in(&corpus().join(format!("{name}.http")), &rendered(name).await);
    }
    let files = std::fs::read_dir(corpus()).unwrap().count();
    assert_eq!(files, DialectSwitches::BUILT_IN.len(), "a file of a dialect that is no more");
}

/// Needs `xmllint` and a schema beside the checkout; without them the files above must do.
#[tokio::test]
async fn dialects_with_a_schema_are_valid_by_it() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/spec/xsd/mm7-REL-6-MM7-1-4.reconstructed.xsd");
    if !schema.exists() || Command::new("xmllint").arg("--version").output().is_err() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for (name, _) in DialectSwitches::BUILT_IN {
        let text = rendered(name).await;
        // There is a schema of one namespace only.
        if !text.contains("REL-6-MM7-1-4\"") {
            continue;
        }
        for (index, _) in text.match_indices("<SubmitReq ") {
            let end = text[index..].find("</SubmitReq>").unwrap() + "</SubmitReq>".len();
            let file = dir.path().join("request.xml");
            std::fs::write(&file, &text[index..index + end]).unwrap();
            let mut lint = Command::new("xmllint");
            let lint =
                lint.args(["--noout", "--nonet", "--schema"]).arg(&schema).arg(&file).output().unwrap();
            assert!(lint.status.success(), "{name}: {}", String::from_utf8_lossy(&lint.stderr));
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked}");
}

#[test]
fn each_dialect_says_whose_it_is_and_has_no_fault() {
    for (name, _) in DialectSwitches::BUILT_IN {
        let file = dialect_file::<DialectSwitches>(name, &OwnDialects::default()).unwrap();
        assert!(!file.description.is_empty(), "{name}");
        assert_eq!(file.dialect.settle().faults(), [], "{name}");
    }
    assert_eq!(Dialect::default().namespace().schema(), "REL-6-MM7-1-4");
}

#[test]
fn every_switch_is_told_of() {
    let docs = include_str!("../../../../docs/dialects.md");
    for name in DialectSwitches::NAMES {
        assert!(docs.contains(&format!("`{name}`")), "{name} is not in docs/dialects.md");
    }
}
