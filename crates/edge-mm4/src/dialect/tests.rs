//! What goes out in each built-in dialect, to the letter; `UPDATE_EXPECT=1 cargo test dialect` writes the files anew.

use std::path::{Path, PathBuf};

use mmsgw_domain::{ContentClass, InstanceId, MessageClass, Priority, RecipientKind};
use mmsgw_engine::Outbound;
use mmsgw_engine::config::{OwnDialects, dialect_file};

use super::*;
use crate::Mm4Gateway;
use crate::tests::{self, part};

/// A message with everything, small, and the same each time.
fn message() -> Outbound {
    let mut content = tests::content(vec![
        part("s.smil", "application/smil", "<smil><body><par><img src=\"a.gif\"/></par></body></smil>"),
        part("a.gif", "image/gif", &b"GIF89a, or nearly"[..]),
        part("t.txt", "text/plain", "h\u{e9}llo\r\n.\r\n"),
    ]);
    content.template.revision = "019a0000000070008000000000000011".parse().unwrap();
    let values = &mut content.template.content;
    values.show_sender = Some(true);
    values.expire_after = Some(std::time::Duration::from_secs(3_600));
    values.message_class = Some(MessageClass::Advertisement);
    values.content_class = Some(ContentClass::ImageRich);
    values.drm = Some(true);
    values.content_adaptation = Some(false);
    values.subject = Some("Gr\u{fc}\u{df}e".into());
    let mut message = tests::message(&["+15555550101", "+15555550102", "+15555550103"]);
    message.id = "019a0000000070008000000000000020".parse().unwrap();
    message.recipients[1].kind = RecipientKind::Cc;
    message.recipients[2].kind = RecipientKind::Bcc;
    message.priority = Some(Priority::High);
    (message.dr_requested, message.rr_requested) = (Some(true), Some(false));
    message.handling_app = Some("app".into());
    message.reply_to_app = Some("reply".into());
    message.app_info = Some("aux".into());
    tests::outbound(message, content)
}

/// The gateway, and whether it asks for acknowledgements.
fn gateway(dialect: &str) -> (Mm4Gateway, Option<bool>) {
    let text = format!(
        "[gateway]\nprotocol = 'MM4'\nname = 'east'\ngroup = 'carrier'\ndialect = '{dialect}'\n\
         [outbound]\nremote_host = 'mms.peer.example'\nlocal_domain = 'mms.own.example'\n"
    );
    let settings: crate::Mm4Settings = toml::from_str(&text).unwrap();
    let instance = InstanceId::new(&settings.gateway.group, "east", "host", 1);
    (Mm4Gateway::new(&settings, instance).unwrap(), settings.features.request_submit_ack)
}

/// All mails of the message with their envelopes, one behind the other.
async fn rendered(dialect: &str) -> String {
    let ((gateway, ack_requested), mut outbound) = (gateway(dialect), message());
    // As the engine does when it accepts a message.
    std::sync::Arc::make_mut(&mut outbound.message).ack_requested = ack_requested;
    let previews = gateway.preview(&outbound).await.unwrap();
    let text = |preview: &crate::Preview| {
        let rcpt_to: String = preview.rcpt_to.iter().map(|to| format!("RCPT TO:<{to}>\r\n")).collect();
        let mail = std::str::from_utf8(&preview.mail).unwrap();
        format!("MAIL FROM:<{}>\r\n{rcpt_to}DATA\r\n{mail}", preview.mail_from)
    };
    previews.iter().map(text).collect::<Vec<_>>().join("\r\n\r\n")
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
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/dialects/mm4")
}

#[tokio::test]
async fn what_goes_out_in_each_dialect() {
    for (name, _) in DialectSwitches::BUILT_IN {
        is_in(&corpus().join(format!("{name}.eml")), &rendered(name).await);
    }
    let files = std::fs::read_dir(corpus()).unwrap().count();
    assert_eq!(files, DialectSwitches::BUILT_IN.len(), "a file of a dialect that is no more");
    for (alias, meant) in DialectSwitches::ALIASES {
        assert_eq!(rendered(alias).await, rendered(meant).await);
    }
}

#[test]
fn each_dialect_says_whose_it_is_and_can_be_had() {
    for (name, _) in DialectSwitches::BUILT_IN {
        let file = dialect_file::<DialectSwitches>(name, &OwnDialects::default()).unwrap();
        assert!(!file.description.is_empty(), "{name}");
    }
}

#[test]
fn every_switch_is_told_of() {
    let docs = include_str!("../../../../docs/dialects.md");
    for name in DialectSwitches::NAMES {
        assert!(docs.contains(&format!("`{name}`")), "{name} is not in docs/dialects.md");
    }
}
