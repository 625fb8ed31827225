//! `mmsgw trace`: what a running gateway says with a carrier, as it says it.

use std::collections::BTreeSet;
use std::time::Duration;

use mmsgw_domain::Timestamp;
use serde_json::{Value, json};

use crate::cli::TraceArgs;
use crate::client::ApiClient;
use crate::table::{list, readable, text};

pub(crate) async fn run(args: TraceArgs) -> anyhow::Result<()> {
    let client = ApiClient::ops(&args.look.ops)?;
    let mut order = json!({"seconds": args.span.0.as_secs().max(1), "reason": args.reason});
    match (&args.message, &args.gateway) {
        (Some(message), _) => order["message"] = json!(message),
        (None, group) => order["group"] = json!(group),
    }
    let watch = client.post("/admin/v1/trace", &order).await?;
    let path = format!("/admin/v1/trace/{}", watch["id"]);
    tokio::select! {
        shown = show(&client, &path, &args) => shown?,
        signal = super::stop_signal() => drop(signal?),
    }
    client.delete(&path).await.map(drop)
}

async fn show(client: &ApiClient, path: &str, args: &TraceArgs) -> anyhow::Result<()> {
    let (mut after, mut seen, mut last) = (0, BTreeSet::new(), None);
    loop {
        let answer = client.get(&format!("{path}?after={after}")).await?;
        let entries = list(&answer, "entries");
        for entry in entries {
            after = entry["sequence"].as_u64().unwrap_or(after);
            seen.insert(entry["exchange"].as_u64());
            if args.look.json {
                println!("{entry}");
            } else {
                print(entry, &mut last);
            }
        }
        let enough = args.exchanges.is_some_and(|most| seen.len() as u64 >= most);
        if entries.is_empty() && (enough || answer["trace"]["active"] == false) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// An entry, under a line that says whose exchange it belongs to where that changes.
fn print(entry: &Value, last: &mut Option<u64>) {
    let exchange = entry["exchange"].as_u64();
    if *last != exchange {
        let at = Timestamp::from_millis(entry["at_ms"].as_i64().unwrap_or(0));
        let message = match text(entry, "message") {
            "" => String::new(),
            id => format!(", message {id}"),
        };
        println!("-- {at} {}, exchange {}{message}", text(entry, "group"), exchange.unwrap_or(0));
        *last = exchange;
    }
    let mark = match text(entry, "by") {
        "us" => ">",
        "carrier" => "<",
        _ => "*",
    };
    for line in readable(text(entry, "text")).lines() {
        println!("{mark} {line}");
    }
}

/// How often there may be more; longer than a carrier that answers at once takes.
const LOOK: Duration = Duration::from_millis(300);
