//! `mmsgw queues`: what waits where, and the jobs that do.

use serde_json::{Value, json};

use super::bulk::Bulk;
use super::in_path;
use crate::cli::{LookArgs, QueueJobsArgs, QueueMove, QueueOrder, QueuesArgs, QueuesCommand};
use crate::client::ApiClient;
use crate::table::{list, number, plain, print, span, table, text, time};

pub(crate) async fn run(args: QueuesArgs) -> anyhow::Result<()> {
    match args.command {
        None => queues(args.look).await,
        Some(QueuesCommand::List(look)) => queues(look).await,
        Some(QueuesCommand::Jobs(args)) => jobs(args).await,
        Some(QueuesCommand::Retry(order)) => change(order, "retry").await,
        Some(QueuesCommand::Move(order)) => go_over(order).await,
        Some(QueuesCommand::Purge(order)) => change(order, "purge").await,
    }
}

async fn queues(args: LookArgs) -> anyhow::Result<()> {
    let answer = ApiClient::ops(&args.ops)?.get("/admin/v1/queues").await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(());
    }
    let queues = list(&answer, "queues");
    if queues.is_empty() {
        println!("Nothing waits.");
        return Ok(());
    }
    let head = ["QUEUE", "WAITING", "OLDEST", "IN FLIGHT", "DEAD", "HELD UNTIL", "PAUSED"];
    print(&table(head, queues.iter().map(row).collect()));
    Ok(())
}

fn row(queue: &Value) -> [String; 7] {
    let pause = queue.get("paused").unwrap_or(&Value::Null);
    let paused = match text(pause, "reason") {
        "" => String::new(),
        reason => format!("{reason} (by {} since {})", text(pause, "by"), time(pause, "since_ts")),
    };
    [
        text(queue, "queue").to_owned(),
        number(queue, "waiting"),
        queue.get("age_seconds").and_then(Value::as_u64).map(span).unwrap_or_default(),
        number(queue, "leased"),
        number(queue, "dead"),
        time(queue, "held_until_ts"),
        plain(&paused),
    ]
}

async fn jobs(args: QueueJobsArgs) -> anyhow::Result<()> {
    let client = ApiClient::ops(&args.look.ops)?;
    let (mut found, mut next): (Vec<Value>, _) = (Vec::new(), args.after);
    loop {
        let left = args.max.saturating_sub(found.len()).clamp(1, PAGE);
        let after = next.map(|place| format!("&after={}", in_path(&place))).unwrap_or_default();
        let answer = client.get(&format!("/admin/v1/queues/{}/jobs?limit={left}{after}", args.queue)).await?;
        found.extend_from_slice(list(&answer, "jobs"));
        next = answer.get("next").and_then(Value::as_str).map(str::to_owned);
        if next.is_none() || found.len() >= args.max {
            break;
        }
    }
    if args.look.json {
        println!("{}", serde_json::to_string_pretty(&json!({"jobs": found, "next": next}))?);
        return Ok(());
    }
    if found.is_empty() {
        println!("Nothing waits.");
    } else {
        let head = ["ID", "WHAT", "LANE", "DUE", "TRIES", "MESSAGE", "FROM OR TO", "IN WORK AT"];
        print(&table(head, found.iter().map(job_row).collect()));
    }
    if let Some(place) = next {
        println!("There are more: mmsgw queues jobs {} --after {place}", args.queue);
    }
    Ok(())
}

fn job_row(job: &Value) -> [String; 8] {
    let party = ["peer", "address"].into_iter().map(|key| text(job, key)).find(|text| !text.is_empty());
    [
        text(job, "id").to_owned(),
        text(job, "job").to_owned(),
        text(job, "lane").to_owned(),
        time(job, "due_ts"),
        number(job, "tries"),
        text(job, "message").to_owned(),
        plain(party.unwrap_or_default()),
        text(job, "holder").to_owned(),
    ]
}

async fn change(order: QueueOrder, verb: &str) -> anyhow::Result<()> {
    let queue = format!("/admin/v1/queues/{}", order.queue);
    if order.ids.is_empty() {
        let bulk = Bulk { path: &queue, verb, noun: "jobs" };
        let mut which = json!({});
        let filters = [("message", order.message), ("matching", order.matching)];
        for (key, text) in filters.into_iter().filter_map(|(key, text)| Some((key, text?))) {
            which[key] = json!(text);
        }
        return bulk.many(which, &order.because).await;
    }
    let bulk = Bulk { path: &format!("{queue}/jobs"), verb, noun: "jobs" };
    bulk.each(&order.ids, &order.because).await
}

async fn go_over(order: QueueMove) -> anyhow::Result<()> {
    let queue = format!("/admin/v1/queues/{}", order.queue);
    let bulk = Bulk { path: &queue, verb: "move", noun: "jobs" };
    let mut which = json!({"to": order.to.to_string()});
    if let Some(message) = order.message {
        which["message"] = json!(message);
    }
    bulk.many(which, &order.because).await
}

/// Jobs asked for at once.
const PAGE: usize = 500;
