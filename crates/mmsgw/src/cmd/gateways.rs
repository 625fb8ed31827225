//! `mmsgw gateways`: groups, their settings in short; pause and resume.

use serde_json::{Value, json};

use crate::cli::{GatewayOrder, GatewaysCommand, LookArgs};
use crate::client::ApiClient;
use crate::table::{list, number, plain, print, table, text};

pub(crate) async fn run(command: GatewaysCommand) -> anyhow::Result<()> {
    match command {
        GatewaysCommand::List(args) => show(args).await,
        GatewaysCommand::Pause(order) => steer(order, "pause").await,
        GatewaysCommand::Resume(order) => steer(order, "resume").await,
    }
}

async fn show(args: LookArgs) -> anyhow::Result<()> {
    let answer = ApiClient::ops(&args.ops)?.get("/admin/v1/gateways").await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(());
    }
    let gateways = list(&answer, "gateways");
    let head = ["GATEWAY", "HEALTH", "PROTOCOL", "INSTANCES", "WINDOW", "TPS", "TRIES", "EVENTS TO"];
    print(&table(head, gateways.iter().map(row).collect()));
    Ok(())
}

fn row(gateway: &Value) -> [String; 8] {
    let settings = gateway.get("settings").unwrap_or(&Value::Null);
    let carriers: Vec<&Value> =
        list(gateway, "instances").iter().filter(|instance| !text(instance, "protocol").is_empty()).collect();
    let protocol = carriers.first().map(|instance| text(instance, "protocol")).unwrap_or_default();
    let urls: Vec<&str> = list(settings, "events_url").iter().filter_map(Value::as_str).collect();
    [
        text(gateway, "group").to_owned(),
        text(gateway, "health").to_owned(),
        protocol.to_owned(),
        carriers.len().to_string(),
        number(settings, "window"),
        number(settings, "tps_limit"),
        number(settings, "max_tries"),
        plain(&urls.join(" ")),
    ]
}

async fn steer(order: GatewayOrder, what: &str) -> anyhow::Result<()> {
    let path = format!("/admin/v1/gateways/{}/{what}", order.group);
    let answer = ApiClient::ops(&order.look.ops)?.post(&path, &json!({"reason": order.reason})).await?;
    if order.look.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        println!("{} is {}.", order.group, text(&answer, "health"));
    }
    Ok(())
}
