//! `mmsgw callbacks`: callbacks that no application took.

use serde_json::{Value, json};

use super::bulk::{Bulk, order_for};
use super::dead::{pages, print_table, with_dead};
use super::in_path;
use crate::cli::{CallbackListArgs, CallbackOrder, CallbacksCommand, EndpointOrder, LookArgs};
use crate::client::ApiClient;
use crate::table::{list, plain, print, table, text, time};

pub(crate) async fn run(command: CallbacksCommand) -> anyhow::Result<()> {
    match command {
        CallbacksCommand::List(args) => show(args).await,
        CallbacksCommand::Replay(order) => replay(order).await,
        CallbacksCommand::Endpoints(args) => endpoints(args).await,
        CallbacksCommand::Enable(order) => enable(order).await,
    }
}

async fn show(args: CallbackListArgs) -> anyhow::Result<()> {
    let client = ApiClient::ops(&args.look.ops)?;
    let queues: Vec<String> = match &args.group {
        Some(group) => vec![format!("{group}/callback")],
        None => with_dead(&client).await?.into_iter().filter(|queue| queue.ends_with("/callback")).collect(),
    };
    let mut found: Vec<Value> = Vec::new();
    for queue in queues {
        let left = args.max.saturating_sub(found.len());
        if left == 0 {
            break;
        }
        found.extend(pages(&client, &queue, String::new(), left).await?.0);
    }
    if args.look.json {
        println!("{}", serde_json::to_string_pretty(&json!({"callbacks": found}))?);
    } else if found.is_empty() {
        println!("No callback was given up.");
    } else {
        print_table(&found);
    }
    Ok(())
}

async fn replay(order: CallbackOrder) -> anyhow::Result<()> {
    let bulk = Bulk { path: "/admin/v1/callbacks", verb: "replay", noun: "callbacks" };
    match order.group {
        Some(group) => {
            let meant = order_for(("group", group.to_string()), &order.which);
            bulk.many(meant, &order.which.because).await
        }
        None => bulk.each(&order.ids, &order.which.because).await,
    }
}

async fn endpoints(args: LookArgs) -> anyhow::Result<()> {
    let answer = ApiClient::ops(&args.ops)?.get("/admin/v1/callbacks/endpoints").await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(());
    }
    let endpoints = list(&answer, "endpoints");
    if endpoints.is_empty() {
        println!("All endpoints take their callbacks.");
        return Ok(());
    }
    let row = |endpoint: &Value| {
        [
            text(endpoint, "group").to_owned(),
            text(endpoint, "id").to_owned(),
            text(endpoint, "state").to_owned(),
            time(endpoint, "failing_since_ts"),
            time(endpoint, "paused_until_ts"),
            plain(text(endpoint, "url")),
            plain(text(endpoint, "last_answer")),
        ]
    };
    let head = ["GROUP", "ID", "STATE", "FAILING SINCE", "PAUSED UNTIL", "URL", "LAST ANSWER"];
    print(&table(head, endpoints.iter().map(row).collect()));
    Ok(())
}

async fn enable(order: EndpointOrder) -> anyhow::Result<()> {
    let path = format!("/admin/v1/callbacks/endpoints/{}/{}/enable", order.group, in_path(&order.id));
    ApiClient::ops(&order.ops)?.post(&path, &json!({"reason": order.reason})).await?;
    println!("The endpoint is called again.");
    Ok(())
}
