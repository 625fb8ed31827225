//! `mmsgw keys`: API keys in the store of a running gateway.

use mmsgw_domain::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};

use crate::cli::{AddKey, KeysCommand, LookArgs, RevokeKey};
use crate::client::ApiClient;
use crate::cmd::in_path;
use crate::table::{list, plain, print, table, text};

pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::Add(order) => add(order).await,
        KeysCommand::List(args) => show(args).await,
        KeysCommand::Revoke(order) => revoke(order).await,
    }
}

async fn add(order: AddKey) -> anyhow::Result<()> {
    let expires = order.expires_in.map(|span| SystemClock.now().after(span.0).as_secs());
    let all_or = |list: Vec<String>| if list.is_empty() { Value::Null } else { json!(list) };
    let body = json!({
        "name": order.name,
        "scopes": order.scopes,
        "gateways": all_or(order.gateways.iter().map(ToString::to_string).collect()),
        "origins": all_or(order.origins.iter().map(ToString::to_string).collect()),
        "expires_ts": expires,
        "reason": order.reason,
    });
    let made = ApiClient::ops(&order.look.ops)?.post("/admin/v1/keys", &body).await?;
    if order.look.json {
        println!("{}", serde_json::to_string_pretty(&made)?);
    } else {
        println!("For the application, shown only now:\n\n  {}\n", plain(text(&made, "secret")));
        println!("The key {} is good now, and within 5 seconds in all processes on this store.", order.name);
    }
    Ok(())
}

async fn show(args: LookArgs) -> anyhow::Result<()> {
    let answer = ApiClient::ops(&args.ops)?.get("/admin/v1/keys").await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(());
    }
    let head = ["KEY", "KEPT IN", "SCOPES", "GATEWAYS", "ORIGINS", "CREATED", "EXPIRES", "LAST USED HERE"];
    print(&table(head, list(&answer, "keys").iter().map(row).collect()));
    Ok(())
}

fn row(key: &Value) -> [String; 8] {
    let words = |name: &str| {
        let words: Vec<&str> = list(key, name).iter().filter_map(Value::as_str).collect();
        plain(&words.join(" "))
    };
    let or_all = |name: &str| if key.get(name).is_none() { "all".to_owned() } else { words(name) };
    let time = |name: &str| {
        let secs = key.get(name).and_then(Value::as_i64);
        secs.map(|secs| Timestamp::from_secs(secs).to_jiff().to_string()).unwrap_or_default()
    };
    [
        plain(text(key, "name")),
        text(key, "kept_in").to_owned(),
        words("scopes"),
        or_all("gateways"),
        or_all("origins"),
        time("created_ts"),
        time("expires_ts"),
        time("last_used_ts"),
    ]
}

async fn revoke(order: RevokeKey) -> anyhow::Result<()> {
    let (name, reason) = (in_path(&order.name), in_path(&order.reason));
    ApiClient::ops(&order.ops)?.delete(&format!("/admin/v1/keys/{name}?reason={reason}")).await?;
    println!("The key {} is not good any more, and within 5 seconds nowhere.", order.name);
    Ok(())
}
