//! One look at a running gateway, and the rates between two.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::time::Instant;

use mmsgw_domain::Timestamp;
use serde_json::Value;

use crate::client::ApiClient;
use crate::table::{list, text};

/// What the gateway said at one time.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// For rates.
    pub(crate) at: Instant,
    /// For the age of what happened.
    pub(crate) now: Timestamp,
    /// The groups, with their queues.
    pub(crate) gateways: Vec<Value>,
    /// Every process and instance.
    pub(crate) instances: Vec<Value>,
}

/// What happens in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rates {
    /// Messages accepted by the process that was asked.
    pub(crate) accepted: f64,
    /// Messages that the carrier took, in all processes.
    pub(crate) sent: f64,
    /// Messages given up, in all processes.
    pub(crate) failed: f64,
}

impl Look {
    pub(crate) async fn at(client: &ApiClient) -> anyhow::Result<Self> {
        let gateways = client.get("/admin/v1/gateways").await?;
        let at = Instant::now();
        let instances = client.get("/admin/v1/instances").await?;
        Ok(Self {
            at,
            now: Timestamp::from_jiff(jiff::Timestamp::now()),
            gateways: list(&gateways, "gateways").to_vec(),
            instances: list(&instances, "instances").to_vec(),
        })
    }

    /// Messages that the carrier took from each instance in a second since `before`.
    pub(crate) fn sent_since(&self, before: &Self) -> HashMap<String, f64> {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(0.001);
        let sent = |look: &Self| -> HashMap<String, u64> {
            let of = |i: &Value| Some((text(i, "id").to_owned(), i.get("sent")?.as_u64()?));
            look.instances.iter().filter_map(of).collect()
        };
        let then = sent(before);
        let rate = |(id, now): (String, u64)| {
            let more = now.saturating_sub(then.get(&id).copied().unwrap_or(now));
            (id, count(more) / seconds)
        };
        sent(self).into_iter().map(rate).collect()
    }

    /// The rates of each group since `before`.
    pub(crate) fn rates_since(&self, before: &Self) -> HashMap<String, Rates> {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(0.001);
        let rates = |now: &Value| {
            let group = text(now, "group");
            let then = before.gateways.iter().find(|then| text(then, "group") == group);
            let rate = |more: u64| count(more) / seconds;
            let rates = Rates {
                accepted: rate(accepted(now).saturating_sub(then.map_or(u64::MAX, accepted))),
                sent: rate(more(now, then, "sent")),
                failed: rate(more(now, then, "failed")),
            };
            (group.to_owned(), rates)
        };
        self.gateways.iter().map(rates).collect()
    }
}

impl AddAssign for Rates {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.sent += other.sent;
        self.failed += other.failed;
    }
}

fn accepted(gateway: &Value) -> u64 {
    gateway["counts"]["accepted"].as_u64().unwrap_or(0)
}

/// By how much a count of a group's instances has grown; one that began meanwhile counts from its beginning.
fn more(now: &Value, then: Option<&Value>, key: &str) -> u64 {
    let then = then.map(|then| counts(then, key)).unwrap_or_default();
    let grown = |(id, now): (&str, u64)| now.saturating_sub(then.get(id).copied().unwrap_or(now));
    counts(now, key).into_iter().map(grown).sum()
}

/// A count by instance. Instances tell of themselves every few seconds; where the only one that speaks to the carrier is
/// in the process that was asked, that process knows better.
fn counts<'a>(gateway: &'a Value, key: &str) -> HashMap<&'a str, u64> {
    let told = |instance: &Value| instance.get(key).and_then(Value::as_u64).unwrap_or(0);
    let instances = list(gateway, "instances");
    let mut counts: HashMap<&str, u64> = instances.iter().map(|i| (text(i, "id"), told(i))).collect();
    let mut speakers = instances.iter().filter(|instance| !text(instance, "protocol").is_empty());
    if let (Some(only), None, Some(here)) =
        (speakers.next(), speakers.next(), gateway["counts"][key].as_u64())
    {
        counts.insert(text(only, "id"), told(only).max(here));
    }
    counts
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn count(number: u64) -> f64 {
    number as f64
}

/// The member of a group's queue of one kind; zero where it holds nothing.
pub(crate) fn in_queue(gateway: &Value, kind: &str, key: &str) -> u64 {
    let queue = list(gateway, "queues").iter().find(|queue| text(queue, "kind") == kind);
    queue.and_then(|queue| queue.get(key)).and_then(Value::as_u64).unwrap_or(0)
}

/// Jobs of a group that were given up, callbacks left out.
pub(crate) fn dead(gateway: &Value) -> u64 {
    ["tx", "ev", "rx"].into_iter().map(|kind| in_queue(gateway, kind, "dead")).sum()
}

/// Jobs in the hands of a group's instances.
pub(crate) fn in_flight(gateway: &Value) -> u64 {
    list(gateway, "instances").iter().filter_map(|instance| instance["in_flight"].as_u64()).sum()
}

/// How long ago a time in seconds was.
pub(crate) fn ago(now: Timestamp, then: i64) -> String {
    format!("{} ago", crate::table::span(Timestamp::from_secs(then).until(now).as_secs()))
}

/// The last heartbeat of an instance: how it went and when.
pub(crate) fn heartbeat(instance: &Value, now: Timestamp) -> String {
    let beat = instance.get("heartbeat").unwrap_or(&Value::Null);
    let Some(at) = beat["at_ts"].as_i64() else { return "-".to_owned() };
    let how = match (beat["ok"].as_bool(), beat["took_ms"].as_u64()) {
        (Some(true), Some(took)) => format!("{took} ms"),
        (Some(true), None) => "ok".to_owned(),
        _ => format!("{} missed", beat["missed"].as_u64().unwrap_or(0)),
    };
    format!("{how}, {}", ago(now, at))
}

/// Why a group is stopped, where a person did that.
pub(crate) fn why_paused(gateway: &Value) -> String {
    let pause = gateway.get("paused").unwrap_or(&Value::Null);
    match text(pause, "reason") {
        "" => String::new(),
        reason => crate::table::plain(&format!("{reason} (by {})", text(pause, "by"))),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    /// A gateway with a paused group of one instance and a process without a carrier, so many seconds after `start`.
    pub(crate) fn look(start: Instant, seconds: u64, sent: u64) -> Look {
        let instance = json!({"id": "a:b:c:1", "role": "serve", "group": "east", "protocol": "MM4", "health": "well",
            "sent": sent, "failed": sent / 10, "deferred": 3, "in_flight": 2, "started_ts": 1_000,
            "heartbeat": {"ok": false, "missed": 3, "at_ts": 1_000}, "last_error": "a\u{1b}b"});
        let api = json!({"id": "-:-:h:2", "role": "api", "health": "gone", "sent": 0, "in_flight": 0});
        let queue = json!({"kind": "tx", "queue": "east/tx", "group": "east", "waiting": 5, "leased": 2,
            "age_seconds": 61, "dead": 1, "paused": {"reason": "night", "by": "ops"}});
        let gateway = json!({"group": "east", "health": "paused", "paused": {"reason": "night", "by": "ops"},
            "counts": {"accepted": sent * 2}, "queues": [queue], "instances": [&instance]});
        let other = json!({"group": "west", "health": "well", "counts": {"accepted": 0}, "queues": [],
            "instances": []});
        Look {
            at: start + Duration::from_secs(seconds),
            now: Timestamp::from_secs(1_007),
            gateways: vec![gateway, other],
            instances: vec![instance, api],
        }
    }

    #[test]
    fn rates_are_the_difference_of_two_looks() {
        let start = Instant::now();
        let (before, now) = (look(start, 0, 10), look(start, 2, 40));
        let rates = now.rates_since(&before)["east"];
        assert_eq!(rates, Rates { accepted: 30.0, sent: 15.0, failed: 1.5 });
        assert!((now.sent_since(&before)["a:b:c:1"] - 15.0).abs() < 0.01);
    }

    #[test]
    fn an_instance_that_began_meanwhile_counts_from_its_beginning() {
        let start = Instant::now();
        let (mut before, now) = (look(start, 0, 10), look(start, 1, 40));
        before.gateways[0]["instances"] = json!([]);
        assert!(now.rates_since(&before)["east"].sent.abs() < 0.01);
        before.gateways.clear();
        assert!(now.rates_since(&before)["east"].accepted.abs() < 0.01);
    }

    #[test]
    fn the_process_that_was_asked_knows_its_only_instance_better() {
        let start = Instant::now();
        let (before, mut now) = (look(start, 0, 10), look(start, 1, 10));
        now.gateways[0]["counts"]["sent"] = json!(35);
        assert!((now.rates_since(&before)["east"].sent - 25.0).abs() < 0.01);
    }

    #[test]
    fn a_heartbeat_says_how_and_when() {
        let now = Timestamp::from_secs(1_060);
        let beat = |beat: Value| heartbeat(&json!({"heartbeat": beat}), now);
        assert_eq!(beat(json!({"ok": true, "took_ms": 4, "at_ts": 1_000})), "4 ms, 1m 0s ago");
        assert_eq!(beat(json!({"ok": false, "missed": 2, "at_ts": 1_059})), "2 missed, 1s ago");
        assert_eq!(heartbeat(&json!({}), now), "-");
    }
}
