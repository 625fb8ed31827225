//! `mmsgw status` and `mmsgw top`: how a running gateway is.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::{StatusArgs, TopArgs};
use crate::client::ApiClient;
use crate::exit::Ended;
use crate::table::{list, number, plain, print, span, table, text};

pub(crate) async fn run(args: StatusArgs) -> anyhow::Result<()> {
    let client = ApiClient::ops(&args.look.ops)?;
    let first = Look::at(&client).await?;
    tokio::time::sleep(args.over.0).await;
    let second = Look::at(&client).await?;
    let rates = second.rates_since(&first);
    if args.look.json {
        let mut gateways = second.gateways.clone();
        for gateway in &mut gateways {
            let rate = rates.get(text(gateway, "group")).copied().unwrap_or_default();
            gateway["sent_per_second"] = json!(rate);
        }
        println!("{}", serde_json::to_string_pretty(&json!({"gateways": gateways}))?);
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

pub(crate) async fn top(args: TopArgs) -> anyhow::Result<()> {
    let client = ApiClient::ops(&args.ops)?;
    let mut before: Option<Look> = None;
    let mut looks = 0_u64;
    loop {
        let look = Look::at(&client).await?;
        let rates = before.as_ref().map(|before| look.rates_since(before)).unwrap_or_default();
        draw(&page(&look, &rates))?;
        before = Some(look);
        looks += 1;
        if args.looks.is_some_and(|most| looks >= most) {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(args.every.0.max(SHORTEST)) => {}
            signal = super::stop_signal() => return signal.map(drop),
        }
    }
}

/// What the gateway said at one time.
struct Look {
    at: Instant,
    gateways: Vec<Value>,
}

impl Look {
    async fn at(client: &ApiClient) -> anyhow::Result<Self> {
        let answer = client.get("/admin/v1/gateways").await?;
        Ok(Self { at: Instant::now(), gateways: list(&answer, "gateways").to_vec() })
    }

    /// Messages sent by each group in each second since `before`, in all processes.
    fn rates_since(&self, before: &Self) -> HashMap<String, f64> {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(0.001);
        let sent = |gateway: &Value| -> HashMap<String, u64> {
            let of =
                |i: &Value| (text(i, "id").to_owned(), i.get("sent").and_then(Value::as_u64).unwrap_or(0));
            list(gateway, "instances").iter().map(of).collect()
        };
        let rate = |now: &Value| {
            let group = text(now, "group");
            let then = before.gateways.iter().find(|then| text(then, "group") == group);
            let then = then.map(sent).unwrap_or_default();
            let more = |(id, now): (String, u64)| now.saturating_sub(then.get(&id).copied().unwrap_or(now));
            let total: u64 = sent(now).into_iter().map(more).sum();
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let rate = total as f64 / seconds;
            (group.to_owned(), rate)
        };
        self.gateways.iter().map(rate).collect()
    }
}

fn page(look: &Look, rates: &HashMap<String, f64>) -> Vec<String> {
    if look.gateways.is_empty() {
        return vec!["No gateway is configured.".to_owned()];
    }
    let groups = look.gateways.iter().map(|gateway| group_row(gateway, rates)).collect();
    let mut lines = table(
        ["GATEWAY", "HEALTH", "SENT/S", "WAITING", "OLDEST", "IN FLIGHT", "DEAD", "CALLBACKS", "WHY"],
        groups,
    );
    let instances: Vec<_> =
        look.gateways.iter().flat_map(|gateway| list(gateway, "instances")).map(instance_row).collect();
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

fn group_row(gateway: &Value, rates: &HashMap<String, f64>) -> [String; 9] {
    let queue = |kind: &str| list(gateway, "queues").iter().find(|queue| text(queue, "kind") == kind);
    let of =
        |kind: &str, key: &str| queue(kind).and_then(|q| q.get(key)).and_then(Value::as_u64).unwrap_or(0);
    let dead: u64 = ["tx", "ev", "rx"].into_iter().map(|kind| of(kind, "dead")).sum();
    let in_flight: u64 = list(gateway, "instances").iter().filter_map(|i| i["in_flight"].as_u64()).sum();
    let pause = gateway.get("paused").unwrap_or(&Value::Null);
    let why = match text(pause, "reason") {
        "" => String::new(),
        reason => format!("{reason} (by {})", text(pause, "by")),
    };
    let group = text(gateway, "group").to_owned();
    let rate = rates.get(&group).copied().unwrap_or_default();
    let callbacks = match (of("callback", "waiting") + of("callback", "leased"), of("callback", "dead")) {
        (waiting, 0) => waiting.to_string(),
        (waiting, dead) => format!("{waiting}, {dead} dead"),
    };
    [
        group,
        text(gateway, "health").to_owned(),
        format!("{rate:.1}"),
        of("tx", "waiting").to_string(),
        span(of("tx", "age_seconds")),
        in_flight.to_string(),
        dead.to_string(),
        callbacks,
        plain(&why),
    ]
}

fn instance_row(instance: &Value) -> [String; 9] {
    let heartbeat = instance.get("heartbeat").unwrap_or(&Value::Null);
    let beat = match (heartbeat["ok"].as_bool(), heartbeat["missed"].as_u64()) {
        (Some(true), _) => format!("{} ms", number(heartbeat, "took_ms")),
        (Some(false), Some(missed)) => format!("{missed} missed"),
        _ => "-".to_owned(),
    };
    [
        text(instance, "id").to_owned(),
        text(instance, "role").to_owned(),
        text(instance, "health").to_owned(),
        beat,
        number(instance, "in_flight"),
        number(instance, "sent"),
        number(instance, "deferred"),
        number(instance, "failed"),
        plain(text(instance, "last_error")),
    ]
}

/// The page in the place of the one before, on a terminal; one after the other elsewhere.
fn draw(lines: &[String]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        write!(out, "{HOME}")?;
        lines.iter().try_for_each(|line| writeln!(out, "{line}{TO_LINE_END}"))?;
        write!(out, "{TO_PAGE_END}")?;
    } else {
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    out.flush()
}

/// Cursor to the upper left (ECMA-48 CUP), clear to the end of the line (EL) and of the page (ED).
const HOME: &str = "\u{1b}[H";
const TO_LINE_END: &str = "\u{1b}[K";
const TO_PAGE_END: &str = "\u{1b}[J";
/// A gateway is not looked at more often than that.
const SHORTEST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: Instant, sent: u64) -> Look {
        let instance = json!({"id": "a:b:c:1", "health": "well", "sent": sent, "in_flight": 2,
            "heartbeat": {"ok": false, "missed": 3}, "last_error": "a\u{1b}b"});
        let queue = json!({"kind": "tx", "waiting": 5, "age_seconds": 61, "dead": 1});
        let gateway = json!({"group": "east", "health": "paused", "paused": {"reason": "night", "by": "ops"},
            "queues": [queue], "instances": [instance]});
        Look { at, gateways: vec![gateway] }
    }

    #[test]
    fn a_page_tells_what_waits_and_what_is_wrong() {
        let start = Instant::now();
        let (before, now) = (look(start, 10), look(start + Duration::from_secs(2), 40));
        let rates = now.rates_since(&before);
        assert!((rates["east"] - 15.0).abs() < 0.01);
        let page = page(&now, &rates);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words(&page[1]), "east paused 15.0 5 1m 1s 2 1 0 night (by ops)");
        assert_eq!(words(&page[4]), "a:b:c:1 well 3 missed 2 40 a b");
    }

    #[test]
    fn an_instance_that_began_meanwhile_counts_from_its_beginning() {
        let start = Instant::now();
        let (mut before, now) = (look(start, 10), look(start + Duration::from_secs(1), 40));
        before.gateways[0]["instances"] = json!([]);
        assert!(now.rates_since(&before)["east"].abs() < 0.01);
    }
}
