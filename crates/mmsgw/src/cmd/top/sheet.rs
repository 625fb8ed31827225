//! The tables of the screen: rows with cells that know how to be sorted.

use std::cmp::Ordering;
use std::collections::HashMap;

use mmsgw_domain::Timestamp;
use serde_json::Value;

use super::super::look::{Look, Rates, count, dead, heartbeat, in_flight, in_queue, why_paused};
use super::app::Sorting;
use crate::table::{list, plain, span, text};

/// Rows under a head.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
}

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    /// The group that it is about.
    pub(super) group: Option<String>,
    pub(super) tone: Tone,
}

/// One cell.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Numbers stand to the right, and the largest comes first.
    pub(super) number: Option<f64>,
}

/// How much a row matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Plain,
    /// Somebody wanted it so, or it passes.
    Attention,
    Bad,
}

impl Sheet {
    pub(super) fn groups(look: &Look, rates: &HashMap<String, Rates>) -> Self {
        let head = vec![
            "GATEWAY",
            "HEALTH",
            "ACC/S",
            "SENT/S",
            "FAIL/S",
            "WAITING",
            "OLDEST",
            "IN FLIGHT",
            "DEAD",
            "CALLBACKS",
            "WHY",
        ];
        let row = |gateway: &Value| {
            let group = text(gateway, "group").to_owned();
            let rates = rates.get(&group).copied().unwrap_or_default();
            let callbacks =
                in_queue(gateway, "callback", "waiting") + in_queue(gateway, "callback", "leased");
            let cells = vec![
                Cell::text(&group),
                Cell::text(text(gateway, "health")),
                Cell::rate(rates.accepted),
                Cell::rate(rates.sent),
                Cell::rate(rates.failed),
                Cell::count(in_queue(gateway, "tx", "waiting")),
                Cell::span(in_queue(gateway, "tx", "age_seconds")),
                Cell::count(in_flight(gateway)),
                Cell::count(dead(gateway)),
                Cell::count(callbacks),
                Cell::text(&why_paused(gateway)),
            ];
            Row { cells, group: Some(group), tone: Tone::of(text(gateway, "health")) }
        };
        Self { head, rows: look.gateways.iter().map(row).collect() }
    }

    pub(super) fn instances(look: &Look, sent: &HashMap<String, f64>) -> Self {
        let head = vec![
            "INSTANCE",
            "ROLE",
            "HEALTH",
            "HEARTBEAT",
            "IN FLIGHT",
            "SENT/S",
            "SENT",
            "DEFERRED",
            "FAILED",
            "LAST ERROR",
        ];
        let row = |instance: &Value| {
            let member = |key: &str| instance.get(key).and_then(Value::as_u64).unwrap_or(0);
            let why = match text(instance, "health_reason") {
                "" => text(instance, "last_error"),
                reason => reason,
            };
            let cells = vec![
                Cell::text(text(instance, "id")),
                Cell::text(text(instance, "role")),
                Cell::text(text(instance, "health")),
                Cell::text(&heartbeat(instance, look.now)),
                Cell::count(member("in_flight")),
                Cell::rate(sent.get(text(instance, "id")).copied().unwrap_or_default()),
                Cell::count(member("sent")),
                Cell::count(member("deferred")),
                Cell::count(member("failed")),
                Cell::text(why),
            ];
            let group = Some(text(instance, "group")).filter(|group| !group.is_empty()).map(str::to_owned);
            Row { cells, group, tone: Tone::of(text(instance, "health")) }
        };
        Self { head, rows: look.instances.iter().map(row).collect() }
    }

    pub(super) fn queues(look: &Look) -> Self {
        let head = vec!["QUEUE", "WAITING", "OLDEST", "IN FLIGHT", "DEAD", "STOPPED"];
        let row = |queue: &Value| {
            let member = |key: &str| queue.get(key).and_then(Value::as_u64).unwrap_or(0);
            let stopped = match (why_paused(queue), queue["held_until_ts"].as_i64()) {
                (why, _) if !why.is_empty() => why,
                (_, Some(until)) => {
                    let seconds = look.now.until(Timestamp::from_secs(until)).as_secs();
                    format!("the carrier wants patience for {}", span(seconds))
                }
                _ => String::new(),
            };
            let tone = match (member("dead"), stopped.is_empty()) {
                (_, false) => Tone::Attention,
                (0, true) => Tone::Plain,
                (_, true) => Tone::Bad,
            };
            let cells = vec![
                Cell::text(text(queue, "queue")),
                Cell::count(member("waiting")),
                Cell::span(member("age_seconds")),
                Cell::count(member("leased")),
                Cell::count(member("dead")),
                Cell::text(&stopped),
            ];
            Row { cells, group: Some(text(queue, "group").to_owned()), tone }
        };
        let queues = look.gateways.iter().flat_map(|gateway| list(gateway, "queues"));
        Self { head, rows: queues.map(row).collect() }
    }

    pub(super) fn events<'a>(events: impl Iterator<Item = &'a Value>) -> Self {
        let row = |event: &Value| {
            let at = Timestamp::from_millis(event["at_ms"].as_i64().unwrap_or(0)).to_jiff();
            let state = text(event, "state");
            let description = match text(event, "carrier_status") {
                "" => text(event, "description").to_owned(),
                status => format!("{} [{status}]", text(event, "description")),
            };
            let cells = vec![
                Cell::text(&at.strftime("%H:%M:%S%.3f").to_string()),
                Cell::text(text(event, "group")),
                Cell::text(state),
                Cell::text(text(event, "code")),
                Cell::text(text(event, "message")),
                Cell::text(&description),
            ];
            let tone = match state {
                "FAILED" | "REJECTED" => Tone::Bad,
                "DELIVERED" | "READ" => Tone::Good,
                "EXPIRED" | "CANCELLED" | "DEFERRED" => Tone::Attention,
                _ => Tone::Plain,
            };
            Row { cells, group: Some(text(event, "group").to_owned()), tone }
        };
        let head = vec!["TIME (UTC)", "GATEWAY", "STATE", "CODE", "MESSAGE", "DESCRIPTION"];
        Self { head, rows: events.map(row).collect() }
    }

    /// Sorts by a column; rows that are equal there keep their order.
    pub(super) fn sort(&mut self, by: Sorting) {
        self.rows.sort_by(|a, b| {
            let order = match (a.cells.get(by.column), b.cells.get(by.column)) {
                (Some(a), Some(b)) => a.order(b),
                _ => Ordering::Equal,
            };
            if by.is_reversed { order.reverse() } else { order }
        });
    }
}

impl Cell {
    fn text(text: &str) -> Self {
        Self { text: plain(text), number: None }
    }

    fn count(number: u64) -> Self {
        Self { text: number.to_string(), number: Some(count(number)) }
    }

    fn rate(rate: f64) -> Self {
        Self { text: format!("{rate:.1}"), number: Some(rate) }
    }

    fn span(seconds: u64) -> Self {
        let text = if seconds == 0 { "-".to_owned() } else { span(seconds) };
        Self { text, number: Some(count(seconds)) }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self.number, other.number) {
            (Some(a), Some(b)) => b.total_cmp(&a),
            _ => self.text.cmp(&other.text),
        }
    }
}

impl Tone {
    fn of(health: &str) -> Self {
        match health {
            "well" => Self::Good,
            "paused" | "draining" => Self::Attention,
            _ => Self::Bad,
        }
    }
}
