//! `mmsgw batch`: sends one template to very many, from a file, and looks after such batches.

mod file;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http::StatusCode;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use self::file::LineFile;
use crate::cli::{BatchArgs, BatchCommand, BatchListArgs, BatchSendArgs};
use crate::client::{ApiClient, Streamed, refusal};
use crate::table;

pub(crate) async fn run(command: BatchCommand) -> anyhow::Result<()> {
    match command {
        BatchCommand::Send(args) => send(args).await,
        BatchCommand::List(args) => list(args).await,
        BatchCommand::Show(args) => show(&args).await,
        BatchCommand::Cancel(args) => {
            let client = ApiClient::new(&args.api)?;
            tell(&client.delete(&format!("/mmsgw/v1/batches/{}", args.id)).await?);
            Ok(())
        }
    }
}

async fn list(args: BatchListArgs) -> anyhow::Result<()> {
    let client = ApiClient::new(&args.api)?;
    let gateway = args.gateway.map(|group| format!("&gateway={group}")).unwrap_or_default();
    let since = args.since.map(|since| format!("&since={}", since.as_secs())).unwrap_or_default();
    let (mut found, mut cursor): (Vec<Value>, Option<String>) = (Vec::new(), None);
    loop {
        let left = args.max.saturating_sub(found.len()).clamp(1, PAGE);
        let after = cursor.map(|id| format!("&cursor={id}")).unwrap_or_default();
        let answer = client.get(&format!("/mmsgw/v1/batches?limit={left}{gateway}{since}{after}")).await?;
        found.extend_from_slice(table::list(&answer, "batches"));
        cursor = answer.get("next").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() || found.len() >= args.max {
            break;
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&json!({"batches": found, "next": cursor}))?);
    } else if found.is_empty() {
        println!("There is no batch.");
    } else {
        let head = ["ID", "BEGAN", "GATEWAY", "STATE", "LINES", "ACCEPTED", "REFUSED", "MESSAGES"];
        table::print(&table::table(head, found.iter().map(row).collect()));
    }
    Ok(())
}

fn row(batch: &Value) -> [String; 8] {
    let counts = batch.get("counts").and_then(Value::as_object).into_iter().flatten();
    let counts: Vec<String> = counts.map(|(state, count)| format!("{count} {state}")).collect();
    [
        table::text(batch, "id").to_owned(),
        table::time(batch, "created_ts"),
        table::text(batch, "gateway").to_owned(),
        table::text(batch, "state").to_owned(),
        table::number(batch, "received"),
        table::number(batch, "accepted"),
        table::number(batch, "refused"),
        counts.join(", "),
    ]
}

async fn send(args: BatchSendArgs) -> anyhow::Result<()> {
    let file = LineFile::open(&args.file, args.format.as_deref())?;
    let client = ApiClient::new(&args.api)?;
    let gateway = args.gateway.as_ref().map(|group| format!("?gateway={group}")).unwrap_or_default();
    let path = format!("/mmsgw/v1/mms/outbound/{}/batch{gateway}", args.template);
    let key = args.again_as.unwrap_or_else(|| file.key(&path));
    let bar = ProgressBar::new(file.lines())
        .with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} lines, {per_sec}, {eta} left {msg}")?);
    let sent = feed(&client, Arc::new(file), (&path, &key), args.tries, &bar).await;
    bar.finish_and_clear();
    let Streamed { answer, replayed, .. } = sent?;
    if replayed {
        println!("this file was sent before; give another key with --again-as to send it again");
    }
    tell(&answer);
    Ok(())
}

/// Sends the file until all of it is taken, over as many connections as that needs.
async fn feed(
    client: &ApiClient,
    file: Arc<LineFile>,
    (path, key): (&str, &str),
    tries: u32,
    bar: &ProgressBar,
) -> anyhow::Result<Streamed> {
    let (mut failed, mut furthest) = (0, 0);
    loop {
        bar.set_position(0);
        let sent = client.stream(path, key, file.pieces(bar.clone())).await;
        let (why, pause) = match sent {
            Ok(sent) if sent.status == StatusCode::ACCEPTED => return Ok(sent),
            Ok(sent) if is_passing(&sent) => (refusal(&sent.answer), sent.pause),
            Ok(sent) => bail!("the gateway refused it ({}): {}", sent.status, refusal(&sent.answer)),
            Err(error) => (format!("{error:#}"), None),
        };
        failed = if bar.position() > furthest { 1 } else { failed + 1 };
        furthest = furthest.max(bar.position());
        if failed >= tries {
            bail!("given up after {failed} tries: {why}; the same command goes on where it stopped");
        }
        bar.set_message(format!("({why})"));
        let usual = Duration::from_millis(500) * (1 << failed.min(6));
        tokio::time::sleep(pause.map_or(usual, Duration::from_secs)).await;
        bar.set_message("");
    }
}

/// Whether it is worth another try: trouble of the moment, or a body that broke off on its way.
fn is_passing(sent: &Streamed) -> bool {
    let code = sent.answer.get("code").and_then(Value::as_str).unwrap_or_default();
    sent.status.is_server_error()
        || sent.status == StatusCode::TOO_MANY_REQUESTS
        || matches!(code, "request_in_progress" | "bad_request" | "request_timeout")
}

async fn show(args: &BatchArgs) -> anyhow::Result<()> {
    let client = ApiClient::new(&args.api)?;
    let path = format!("/mmsgw/v1/batches/{}", args.id);
    tell(&client.get(&path).await?);
    let refused = client.get(&format!("{path}/refused?limit={SHOWN}")).await?;
    let lines = refused.get("lines").and_then(Value::as_array).context("the answer has no lines")?;
    for line in lines {
        let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
        println!("  line {}: {} {}", line["line"], text("pointer"), text("detail"));
    }
    Ok(())
}

/// Batches asked for at once.
const PAGE: usize = 500;
/// Refused lines shown.
const SHOWN: usize = 20;

fn tell(batch: &Value) {
    let text = |key: &str| batch.get(key).and_then(Value::as_str).unwrap_or_default();
    println!("batch {} ({})", text("id"), text("state"));
    println!("  {} lines: {} accepted, {} refused", batch["received"], batch["accepted"], batch["refused"]);
    for (state, count) in batch.get("counts").and_then(Value::as_object).into_iter().flatten() {
        println!("  {state:<13} {count}");
    }
}
