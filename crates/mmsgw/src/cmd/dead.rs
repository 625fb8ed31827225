//! `mmsgw dead`: jobs that were given up, among them what a carrier sent and nobody could read.

use std::io::Write;

use anyhow::Context;
use encodify::base64::STANDARD;
use serde_json::{Value, json};

use super::bulk::{Bulk, order_for};
use crate::cli::{DeadCommand, DeadListArgs, DeadOrder, DeadShowArgs};
use crate::client::ApiClient;
use crate::table::{self, number, plain, readable, text, time};

pub(crate) async fn run(command: DeadCommand) -> anyhow::Result<()> {
    match command {
        DeadCommand::List(args) => list(args).await,
        DeadCommand::Show(args) => show(args).await,
        DeadCommand::Retry(order) => change(order, "retry").await,
        DeadCommand::Purge(order) => change(order, "purge").await,
    }
}

async fn change(order: DeadOrder, verb: &str) -> anyhow::Result<()> {
    let bulk = Bulk { path: "/admin/v1/dead", verb, noun: "jobs" };
    match order.queue {
        Some(queue) => {
            let meant = order_for(("queue", queue.to_string()), &order.which);
            bulk.many(meant, &order.which.because).await
        }
        None => bulk.each(&order.ids, &order.which.because).await,
    }
}

async fn list(args: DeadListArgs) -> anyhow::Result<()> {
    let client = ApiClient::ops(&args.look.ops)?;
    let queues = match &args.queue {
        Some(queue) => vec![queue.to_string()],
        None => with_dead(&client).await?,
    };
    let (mut jobs, mut next) = (Vec::new(), None);
    for queue in queues {
        let after = args.after.as_ref().map(|id| format!("&after={id}")).unwrap_or_default();
        let left = args.max.saturating_sub(jobs.len());
        if left == 0 {
            next = Some((queue, None));
            break;
        }
        let found = pages(&client, &queue, after, left).await?;
        jobs.extend(found.0);
        if let Some(id) = found.1 {
            next = Some((queue, Some(id)));
            break;
        }
    }
    if args.look.json {
        let next = next.map(|(queue, after)| json!({"queue": queue, "after": after}));
        println!("{}", serde_json::to_string_pretty(&json!({"jobs": jobs, "next": next}))?);
        return Ok(());
    }
    if jobs.is_empty() {
        println!("No job was given up.");
    } else {
        print_table(&jobs);
    }
    if let Some((queue, after)) = next {
        let after = after.map(|id| format!(" --after {id}")).unwrap_or_default();
        println!("There are more: mmsgw dead list {queue}{after}");
    }
    Ok(())
}

pub(super) async fn with_dead(client: &ApiClient) -> anyhow::Result<Vec<String>> {
    let answer = client.get("/admin/v1/queues").await?;
    let queues = answer.get("queues").and_then(Value::as_array).into_iter().flatten();
    let with_dead = queues.filter(|queue| queue.get("dead").and_then(Value::as_u64).unwrap_or(0) > 0);
    Ok(with_dead.map(|queue| text(queue, "queue").to_owned()).collect())
}

/// Up to `max` dead jobs of a queue, and after which one there are more.
pub(super) async fn pages(
    client: &ApiClient,
    queue: &str,
    mut after: String,
    max: usize,
) -> anyhow::Result<(Vec<Value>, Option<String>)> {
    let mut jobs: Vec<Value> = Vec::new();
    loop {
        let page = max.saturating_sub(jobs.len()).min(PAGE);
        let mut answer = client.get(&format!("/admin/v1/dead?queue={queue}&max={page}{after}")).await?;
        if let Some(Value::Array(found)) = answer.get_mut("jobs").map(Value::take) {
            jobs.extend(found);
        }
        match answer.get("next").and_then(Value::as_str) {
            Some(next) if jobs.len() >= max => return Ok((jobs, Some(next.to_owned()))),
            Some(next) => after = format!("&after={next}"),
            None => return Ok((jobs, None)),
        }
    }
}

async fn show(args: DeadShowArgs) -> anyhow::Result<()> {
    let client = ApiClient::ops(&args.look.ops)?;
    let job = client.get(&format!("/admin/v1/dead/{}", args.id)).await?;
    if args.look.json {
        println!("{}", serde_json::to_string_pretty(&job)?);
        return Ok(());
    }
    let octets = job.pointer("/intake/octets").and_then(Value::as_str);
    let octets = octets.map(|text| STANDARD.decode(text.as_bytes())).transpose();
    let octets = octets.map_err(|_| anyhow::anyhow!("the gateway's answer holds no base64"))?;
    if args.octets {
        let octets = octets.context("this job has no octets of a carrier's")?;
        std::io::stdout().write_all(&octets)?;
        return Ok(());
    }
    for (name, value) in facts(&job) {
        println!("{name:<13} {value}");
    }
    match octets.map(String::from_utf8) {
        None => {}
        Some(Ok(octets)) => println!("\n{}", readable(octets.trim_end())),
        Some(Err(_)) => println!("\nWhat came is no text; --octets gives it as it is."),
    }
    Ok(())
}

/// What is known of a job, line by line.
fn facts(job: &Value) -> Vec<(&'static str, String)> {
    let intake = job.get("intake").unwrap_or(&Value::Null);
    let list = intake.get("rcpt_to").and_then(Value::as_array).into_iter().flatten();
    let rcpt_to: Vec<&str> = list.filter_map(Value::as_str).collect();
    let size = job.get("size").and_then(Value::as_u64).map(|size| format!("{size} octets"));
    let mut facts = vec![
        ("Job", text(job, "id").to_owned()),
        ("Queue", text(job, "queue").to_owned()),
        ("What", text(job, "job").to_owned()),
        ("Reason", plain(text(job, "reason"))),
        ("Queued", time(job, "created_ts")),
        ("Given up", time(job, "died_ts")),
        ("Tries", job.get("tries").map(Value::to_string).unwrap_or_default()),
        ("Message", text(job, "message").to_owned()),
        ("Address", plain(text(job, "address"))),
        ("Peer", plain(text(job, "peer"))),
        ("Size", size.unwrap_or_default()),
        ("MAIL FROM", plain(text(intake, "mail_from"))),
        ("RCPT TO", plain(&rcpt_to.join(", "))),
        ("Content-Type", plain(text(intake, "content_type"))),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

pub(super) fn print_table(jobs: &[Value]) {
    let row = |job: &Value| {
        let party =
            ["peer", "address", "message"].into_iter().map(|key| text(job, key)).find(|t| !t.is_empty());
        [
            text(job, "queue").to_owned(),
            text(job, "id").to_owned(),
            time(job, "died_ts"),
            number(job, "tries"),
            number(job, "size"),
            plain(party.unwrap_or_default()),
            plain(text(job, "reason")),
        ]
    };
    let head = ["QUEUE", "ID", "GIVEN UP", "TRIES", "OCTETS", "FROM OR TO", "REASON"];
    table::print(&table::table(head, jobs.iter().map(row).collect()));
}

/// Jobs asked for at once.
const PAGE: usize = 500;
