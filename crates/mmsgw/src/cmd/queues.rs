//! `mmsgw queues`: what waits where.

use serde_json::Value;

use crate::cli::LookArgs;
use crate::client::ApiClient;
use crate::table::{list, number, plain, print, span, table, text, time};

pub(crate) async fn run(args: LookArgs) -> anyhow::Result<()> {
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
