//! `mmsgw send`: sends files through a running gateway and follows the message.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::SendArgs;
use crate::client::ApiClient;
use crate::exit::Ended;

/// How often the message is looked at.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) async fn run(args: SendArgs) -> anyhow::Result<()> {
    let client = ApiClient::new(&args.api)?;
    let message = client.post("/mmsgw/v1/mms", &request(&args)?).await?;
    let id = message.get("id").and_then(Value::as_str).context("the gateway's answer has no id")?.to_owned();
    if args.no_wait {
        println!("{id}");
        return Ok(());
    }
    follow(&client, &id, args.timeout.0).await
}

fn request(args: &SendArgs) -> anyhow::Result<Value> {
    let mut parts = Vec::new();
    if let Some(text) = &args.text {
        parts.push(json!({"name": "text.txt", "content_type": "text/plain", "content": text}));
    }
    for file in &args.files {
        parts.push(part(file)?);
    }
    if parts.is_empty() {
        bail!("nothing to send: name a file or give --text");
    }
    let to: Vec<&str> = args.to.iter().map(mmsgw_domain::Address::as_str).collect();
    let mut send = json!({"destination": to});
    if let Some(gateway) = &args.gateway {
        send["gateway"] = json!(gateway);
    }
    let mut body = json!({"origin": args.from, "parts": parts, "send": send});
    if let Some(subject) = &args.subject {
        body["subject"] = json!(subject);
    }
    Ok(body)
}

fn part(file: &Path) -> anyhow::Result<Value> {
    let octets = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.file_name().and_then(|name| name.to_str()).context("a file name must be UTF-8")?;
    let content_type = mmsgw_contract::type_by_name(name)
        .with_context(|| format!("{}: cannot tell its type by its name", file.display()))?;
    if content_type.starts_with("text/") || content_type == "application/smil" {
        let text =
            String::from_utf8(octets).with_context(|| format!("{} is no UTF-8 text", file.display()))?;
        return Ok(json!({"name": name, "content_type": content_type, "content": text}));
    }
    let content = encodify::base64::STANDARD.encode(&octets);
    Ok(json!({"name": name, "content_type": content_type, "content": content, "encoding": "base64"}))
}

/// Shows what happens to the message until it has an end or the time is over.
async fn follow(client: &ApiClient, id: &str, limit: Duration) -> anyhow::Result<()> {
    let bar =
        ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}")?);
    bar.enable_steady_tick(Duration::from_millis(100));
    let (start, mut shown) = (Instant::now(), 0);
    println!("message {id}");
    loop {
        let message = client.get(&format!("/mmsgw/v1/mms/outbound/{id}")).await?;
        let events = message.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
        for event in &events[shown..] {
            bar.suspend(|| println!("  {}", line(event)));
        }
        shown = events.len();
        let state = message.get("state").and_then(Value::as_str).unwrap_or_default();
        bar.set_message(state.to_owned());
        if let Some(end) = end_of(&message, state) {
            bar.finish_and_clear();
            return end.map_err(Into::into);
        }
        if start.elapsed() > limit {
            bar.finish_and_clear();
            return Err(Ended::Open("the time is over; the message goes on without being watched").into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn line(event: &Value) -> String {
    let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
    format!("{:<13} {} {}", text("state"), text("code"), text("description"))
}

/// How it ended, if it did: without a delivery report asked for, the carrier's acknowledgement is the end.
fn end_of(message: &Value, state: &str) -> Option<Result<(), Ended>> {
    let asked = |key: &str| message.get(key).and_then(Value::as_bool).unwrap_or(false);
    let done = match state {
        "DELIVERED" | "READ" | "DELETED" => true,
        "ACKNOWLEDGED" | "FORWARDED" => !asked("dr_requested"),
        "SENT" => !asked("dr_requested") && !asked("ack_requested"),
        "FAILED" | "REJECTED" | "EXPIRED" | "CANCELLED" => {
            return Some(Err(Ended::Failed("the message did not arrive")));
        }
        _ => false,
    };
    done.then_some(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_nothing_more_is_asked_for() {
        let with_reports = json!({"dr_requested": true, "ack_requested": true});
        let without = json!({"dr_requested": null, "ack_requested": null});
        assert_eq!(end_of(&with_reports, "ACKNOWLEDGED"), None);
        assert_eq!(end_of(&with_reports, "DELIVERED"), Some(Ok(())));
        assert_eq!(end_of(&without, "SENT"), Some(Ok(())));
        assert!(matches!(end_of(&without, "FAILED"), Some(Err(_))));
    }
}
