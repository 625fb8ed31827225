//! `mmsgw status`: how a running gateway is. `mmsgw top` prints the same page where it has no terminal.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::look::{Look, Rates, dead, heartbeat, in_flight, in_queue, why_paused};
use crate::cli::StatusArgs;
use crate::client::ApiClient;
use crate::exit::Ended;
use crate::table::{number, plain, print, span, table, text};

pub(crate) async fn run(args: StatusArgs) -> anyhow::Result<()> {
    let client = ApiClient::ops(&args.look.ops)?;
    let first = Look::at(&client).await?;
    tokio::time::sleep(args.over.0).await;
    let second = Look::at(&client).await?;
    let rates = second.rates_since(&first);
    if args.look.json {
        println!("{}", serde_json::to_string_pretty(&object(&second, &rates))?);
    } else {
        print(&page(&second, &rates));
    }
    let bad = |gateway: &Value| ["unwell", "down"].contains(&text(gateway, "health"));
    if second.gateways.iter().any(bad) {
        Err(Ended::Unwell("not all gateways are well").into())
    } else {
        Ok(())
    }
}

/// A look as one JSON object: what the gateway said, with rates.
pub(super) fn object(look: &Look, rates: &HashMap<String, Rates>) -> Value {
    let mut gateways = look.gateways.clone();
    for gateway in &mut gateways {
        let rates = rates.get(text(gateway, "group")).copied().unwrap_or_default();
        gateway["accepted_per_second"] = json!(rates.accepted);
        gateway["sent_per_second"] = json!(rates.sent);
        gateway["failed_per_second"] = json!(rates.failed);
    }
    json!({"gateways": gateways, "instances": look.instances})
}

/// A look as two tables.
pub(super) fn page(look: &Look, rates: &HashMap<String, Rates>) -> Vec<String> {
    if look.gateways.is_empty() {
        return vec!["No gateway is configured.".to_owned()];
    }
    let groups = look.gateways.iter().map(|gateway| group_row(gateway, rates)).collect();
    let mut lines = table(
        [
            "GATEWAY",
            "HEALTH",
            "ACCEPTED/S",
            "SENT/S",
            "FAILED/S",
            "WAITING",
            "OLDEST",
            "IN FLIGHT",
            "DEAD",
            "CALLBACKS",
            "WHY",
        ],
        groups,
    );
    let instances: Vec<_> = look.instances.iter().map(|instance| instance_row(instance, look)).collect();
    lines.push(String::new());
    if instances.is_empty() {
        lines.push("No instance is running.".to_owned());
        return lines;
    }
    lines.extend(table(
        ["INSTANCE", "ROLE", "HEALTH", "HEARTBEAT", "IN FLIGHT", "SENT", "DEFERRED", "FAILED", "LAST ERROR"],
        instances,
    ));
    lines
}

fn group_row(gateway: &Value, rates: &HashMap<String, Rates>) -> [String; 11] {
    let of = |kind: &str, key: &str| in_queue(gateway, kind, key);
    let group = text(gateway, "group").to_owned();
    let rates = rates.get(&group).copied().unwrap_or_default();
    let callbacks = match (of("callback", "waiting") + of("callback", "leased"), of("callback", "dead")) {
        (waiting, 0) => waiting.to_string(),
        (waiting, dead) => format!("{waiting}, {dead} dead"),
    };
    [
        group,
        text(gateway, "health").to_owned(),
        format!("{:.1}", rates.accepted),
        format!("{:.1}", rates.sent),
        format!("{:.1}", rates.failed),
        of("tx", "waiting").to_string(),
        span(of("tx", "age_seconds")),
        in_flight(gateway).to_string(),
        dead(gateway).to_string(),
        callbacks,
        why_paused(gateway),
    ]
}

fn instance_row(instance: &Value, look: &Look) -> [String; 9] {
    [
        text(instance, "id").to_owned(),
        text(instance, "role").to_owned(),
        text(instance, "health").to_owned(),
        heartbeat(instance, look.now),
        number(instance, "in_flight"),
        number(instance, "sent"),
        number(instance, "deferred"),
        number(instance, "failed"),
        plain(text(instance, "last_error")),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::look::tests::look;
    use super::*;

    #[test]
    fn a_page_tells_what_waits_and_what_is_wrong() {
        let start = Instant::now();
        let (before, now) = (look(start, 0, 10), look(start, 2, 40));
        let rates = now.rates_since(&before);
        let page = page(&now, &rates);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words(&page[1]), "east paused 30.0 15.0 1.5 5 1m 1s 2 1 0 night (by ops)");
        assert_eq!(words(&page[5]), "a:b:c:1 serve well 3 missed, 7s ago 2 40 3 4 a b");
        let object = object(&now, &rates);
        assert_eq!(object["gateways"][0]["sent_per_second"], 15.0);
        assert_eq!(object["instances"].as_array().unwrap().len(), 2);
    }
}
