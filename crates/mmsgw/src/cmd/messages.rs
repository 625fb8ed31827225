//! `mmsgw messages`: one message and what happened to it; messages by what is known of them.

mod find;

use serde_json::Value;

use crate::cli::{FindArgs, MessageArgs, MessagesCommand};
use crate::client::ApiClient;
use crate::table::{list, plain, print, table, text, time};

pub(crate) async fn run(command: MessagesCommand) -> anyhow::Result<()> {
    match command {
        MessagesCommand::Show(args) => show(args).await,
        MessagesCommand::Trace(args) => super::trace::run(args).await,
        MessagesCommand::Find(args) => find(args).await,
    }
}

async fn show(args: MessageArgs) -> anyhow::Result<()> {
    let id = super::in_path(&args.id);
    let message = ApiClient::ops(&args.look.ops)?.get(&format!("/admin/v1/messages/{id}")).await?;
    if args.look.json {
        println!("{}", serde_json::to_string_pretty(&message)?);
        return Ok(());
    }
    print(&described(&message));
    Ok(())
}

async fn find(args: FindArgs) -> anyhow::Result<()> {
    let Some(peer_ref) = &args.peer_ref else { return find::run(&args.like, &args.look).await };
    let id = super::in_path(peer_ref);
    let answer = ApiClient::ops(&args.look.ops)?.get(&format!("/admin/v1/messages?peer_ref={id}")).await?;
    if args.look.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(());
    }
    let found = list(&answer, "messages");
    if found.is_empty() {
        println!("No message has this id.");
    }
    for (index, message) in found.iter().enumerate() {
        if index > 0 {
            println!();
        }
        print(&described(message));
    }
    Ok(())
}

/// A message for people.
fn described(message: &Value) -> Vec<String> {
    let direction = if message["direction"] == 1 { "inbound" } else { "outbound" };
    let template = message.get("template").unwrap_or(&Value::Null);
    let mut facts = vec![
        ("Message", text(message, "id").to_owned()),
        ("Direction", direction.to_owned()),
        ("Gateway", text(message, "gateway").to_owned()),
        ("Instances", text(message, "gateway_id").to_owned()),
        ("State", text(message, "state").to_owned()),
        ("From", text(message, "origin").to_owned()),
        ("Subject", plain(text(template, "subject"))),
        ("Carrier's id", plain(text(message, "peer_ref"))),
        ("Transaction", plain(text(message, "last_tran_id"))),
        ("Accepted", time(message, "created_ts")),
        ("Handed over", time(message, "processed_ts")),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    let mut lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:<13} {value}")).collect();
    lines.push(String::new());
    let part = |part: &Value| [plain(text(part, "name")), text(part, "content_type").to_owned()];
    lines.extend(table(["PART", "TYPE"], list(template, "parts").iter().map(part).collect()));
    lines.push(String::new());
    let number = |r: &Value| ["number", "kind", "state", "code"].map(|key| text(r, key).to_owned());
    lines.extend(table(
        ["NUMBER", "KIND", "STATE", "CODE"],
        list(message, "recipients").iter().map(number).collect(),
    ));
    lines.push(String::new());
    let event = |event: &Value| {
        let said = match text(event, "carrier_status") {
            "" => text(event, "description").to_owned(),
            status => format!("{} [{status}]", text(event, "description")),
        };
        [
            time(event, "timestamp"),
            text(event, "state").to_owned(),
            text(event, "code").to_owned(),
            text(event, "destinations").to_owned(),
            plain(&said),
        ]
    };
    lines.extend(table(
        ["WHEN", "STATE", "CODE", "FOR", "WHAT"],
        list(message, "events").iter().map(event).collect(),
    ));
    lines
}
