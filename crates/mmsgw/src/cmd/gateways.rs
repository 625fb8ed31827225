//! `mmsgw gateways`: groups, their settings in short; pause, drain and resume.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::{DrainOrder, GatewayOrder, GatewaysCommand, LookArgs};
use crate::client::ApiClient;
use crate::exit::Ended;
use crate::table::{list, number, plain, print, table, text};

pub(crate) async fn run(command: GatewaysCommand) -> anyhow::Result<()> {
    match command {
        GatewaysCommand::List(args) => show(args).await,
        GatewaysCommand::Pause(order) => steer(order, "pause").await,
        GatewaysCommand::Drain(order) => drain(order).await,
        GatewaysCommand::Resume(order) => steer(order, "resume").await,
        GatewaysCommand::Reload(order) => super::reload::run(order).await,
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

/// Pauses, and tells how much is in hand until it is nothing.
async fn drain(DrainOrder { timeout, order }: DrainOrder) -> anyhow::Result<()> {
    let client = ApiClient::ops(&order.look.ops)?;
    let until = Instant::now() + timeout.0;
    let path = format!("/admin/v1/gateways/{}/drain", order.group);
    let mut gateway = client.post(&path, &json!({"reason": order.reason})).await?;
    let mut told = None;
    loop {
        let in_hand = gateway.get("in_hand").and_then(Value::as_u64).unwrap_or_default();
        if in_hand == 0 {
            break;
        }
        if told != Some(in_hand) && !order.look.json {
            println!("{} is paused, {in_hand} in hand.", order.group);
            told = Some(in_hand);
        }
        if Instant::now() >= until {
            return Err(
                Ended::Open("the time is over before all was finished; the group stays paused").into()
            );
        }
        tokio::time::sleep(DRAIN_LOOK).await;
        gateway = client.get(&format!("/admin/v1/gateways/{}", order.group)).await?;
        if text(&gateway, "health") != "paused" {
            return Err(Ended::Failed("somebody had the group go on").into());
        }
    }
    if order.look.json {
        println!("{}", serde_json::to_string_pretty(&gateway)?);
    } else {
        println!("{} is drained: nothing is in hand, in any process. It goes on with `resume`.", order.group);
    }
    Ok(())
}

/// How often a drain is looked at.
const DRAIN_LOOK: Duration = Duration::from_millis(500);
