//! `mmsgw callbacks`: callbacks that no application took.

use serde_json::{Value, json};

use super::bulk::Bulk;
use super::dead::{pages, print_table, with_dead};
use crate::cli::{CallbackListArgs, CallbackOrder, CallbacksCommand};
use crate::client::ApiClient;

pub(crate) async fn run(command: CallbacksCommand) -> anyhow::Result<()> {
    match command {
        CallbacksCommand::List(args) => show(args).await,
        CallbacksCommand::Replay(order) => replay(order).await,
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
        Some(group) => bulk.many(("group", group.to_string()), &order.which).await,
        None => bulk.each(&order.ids, &order.which).await,
    }
}
