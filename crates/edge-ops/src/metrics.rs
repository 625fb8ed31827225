//! The metrics as text.
//!
//! Counters come from the engine's groups and begin at zero with the process; gauges of the queues come from the
//! store, so they are the same in every process that shares it. Labels are names that the operator chose and names
//! of queues, never telephone numbers or ids.

use std::fmt;

use mmsgw_domain::{GroupName, Queue, QueueKind, Timestamp};
use mmsgw_engine::{Group, GroupCounts};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// What a queue holds at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Depth {
    pub(crate) queue: Queue,
    pub(crate) waiting: u64,
    pub(crate) leased: u64,
    pub(crate) dead: u64,
    /// Due time of the first waiting job.
    pub(crate) oldest: Option<Timestamp>,
}

/// What is told in one answer.
pub(crate) struct Metrics<'a> {
    /// The groups that this process knows.
    pub(crate) groups: &'a [(GroupName, GroupCounts)],
    /// What waits where; `None` when the store does not say.
    pub(crate) queues: Option<&'a [Depth]>,
    /// The present.
    pub(crate) now: Timestamp,
}

type Labels = Vec<(&'static str, String)>;

impl Metrics<'_> {
    /// The text, in the OpenMetrics form that Prometheus reads.
    pub(crate) fn write(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("mmsgw");
        for (name, help, count) in COUNTERS {
            let family = Family::<Labels, Counter>::default();
            for (group, counts) in self.groups {
                family.get_or_create(&of_group(group)).inc_by(count(counts));
            }
            registry.register(name, help, family);
        }
        let reachable = Gauge::<i64>::default();
        reachable.set(i64::from(self.queues.is_some()));
        registry.register("store_up", "Whether the store answers (1) or not (0)", reachable);
        if let Some(queues) = self.queues {
            self.write_queues(&mut registry, queues);
        }
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }

    fn write_queues(&self, registry: &mut Registry, queues: &[Depth]) {
        for (name, help, depth) in GAUGES {
            let family = Family::<Labels, Gauge>::default();
            self.empty_queues().for_each(|queue| drop(family.get_or_create(&of_queue(&queue))));
            for queue in queues {
                let count = i64::try_from(depth(queue)).unwrap_or(i64::MAX);
                family.get_or_create(&of_queue(&queue.queue)).set(count);
            }
            registry.register(name, help, family);
        }
        let family = Family::<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
        self.empty_queues().for_each(|queue| drop(family.get_or_create(&of_queue(&queue))));
        for queue in queues {
            let age = queue.oldest.map_or(0.0, |oldest| oldest.until(self.now).as_secs_f64());
            family.get_or_create(&of_queue(&queue.queue)).set(age);
        }
        let help = "How long the first waiting job has been due; zero where none is";
        registry.register_with_unit("queue_oldest_age", help, Unit::Seconds, family);
    }

    /// Every queue of the groups known, so that an empty one shows as zero and does not vanish.
    fn empty_queues(&self) -> impl Iterator<Item = Queue> {
        let groups = self.groups.iter().map(|(group, _)| group);
        groups.flat_map(|group| QueueKind::ALL.map(|kind| Queue { group: group.clone(), kind }))
    }
}

/// Name and counts of a group.
pub(crate) fn counts(group: &Group) -> (GroupName, GroupCounts) {
    (group.settings.name.clone(), group.counts())
}

fn of_group(group: &GroupName) -> Labels {
    vec![("gateway_group", group.to_string())]
}

fn of_queue(queue: &Queue) -> Labels {
    vec![("gateway_group", queue.group.to_string()), ("queue", queue.kind.name().to_owned())]
}

type CounterRow = (&'static str, &'static str, fn(&GroupCounts) -> u64);

/// Names get the prefix `mmsgw_` and, being counters, the suffix `_total`.
const COUNTERS: [CounterRow; 7] = [
    ("messages_accepted", "Messages accepted from applications", |counts| counts.accepted),
    ("messages_sent", "Hand-overs that the carrier took", |counts| counts.sent),
    ("messages_deferred", "Hand-overs put off", |counts| counts.deferred),
    ("messages_failed", "Hand-overs given up", |counts| counts.failed),
    ("intakes_received", "Reports and messages taken from the carrier", |counts| counts.received),
    ("callbacks", "Callbacks that the application took", |counts| counts.callbacks),
    ("callbacks_failed", "Callbacks put off or given up", |counts| counts.callbacks_failed),
];

type GaugeRow = (&'static str, &'static str, fn(&Depth) -> u64);

const GAUGES: [GaugeRow; 3] = [
    ("queue_waiting_jobs", "Jobs that wait, due or not", |depth| depth.waiting),
    ("queue_leased_jobs", "Jobs in a worker's hands", |depth| depth.leased),
    ("queue_dead_jobs", "Jobs that were given up", |depth| depth.dead),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> GroupName {
        name.parse().unwrap()
    }

    fn value<'a>(text: &'a str, sample: &str) -> Option<&'a str> {
        text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))
    }

    #[test]
    fn counts_and_depths_are_told_by_name() {
        let counts = GroupCounts {
            accepted: 1,
            sent: 2,
            deferred: 3,
            failed: 4,
            received: 5,
            callbacks: 6,
            callbacks_failed: 7,
        };
        let groups = [(group("east"), counts), (group("west"), GroupCounts::default())];
        let now = Timestamp::from_secs(1000);
        let depth = |name: &str, oldest| Depth {
            queue: Queue { group: group(name), kind: QueueKind::Tx },
            waiting: 10,
            leased: 11,
            dead: 12,
            oldest: Some(Timestamp::from_secs(oldest)),
        };
        let queues = [depth("east", 990), depth("gone", 2000)];
        let text = Metrics { groups: &groups, queues: Some(&queues), now }.write().unwrap();
        let counters = [
            "messages_accepted",
            "messages_sent",
            "messages_deferred",
            "messages_failed",
            "intakes_received",
            "callbacks",
            "callbacks_failed",
        ];
        for (name, expected) in counters.into_iter().zip(1..) {
            let sample = format!("mmsgw_{name}_total{{gateway_group=\"east\"}}");
            assert_eq!(value(&text, &sample), Some(expected.to_string().as_str()), "{text}");
            assert_eq!(value(&text, &sample.replace("east", "west")), Some("0"));
        }
        let east = "{gateway_group=\"east\",queue=\"tx\"}";
        for (name, expected) in [("waiting", "10"), ("leased", "11"), ("dead", "12")] {
            assert_eq!(value(&text, &format!("mmsgw_queue_{name}_jobs{east}")), Some(expected), "{text}");
        }
        let age = "mmsgw_queue_oldest_age_seconds";
        assert_eq!(value(&text, &format!("{age}{east}")), Some("10.0"), "{text}");
        // Not due yet; and a queue that holds nothing.
        assert_eq!(value(&text, &format!("{age}{}", east.replace("east", "gone"))), Some("0.0"));
        for kind in ["tx", "ev", "rx", "callback"] {
            let west = format!("mmsgw_queue_waiting_jobs{{gateway_group=\"west\",queue=\"{kind}\"}}");
            assert_eq!(value(&text, &west), Some("0"));
        }
        assert_eq!(value(&text, "mmsgw_store_up"), Some("1"));
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_store_that_does_not_answer_leaves_the_counters() {
        let groups = [(group("east"), GroupCounts { sent: 9, ..GroupCounts::default() })];
        let now = Timestamp::from_secs(0);
        let text = Metrics { groups: &groups, queues: None, now }.write().unwrap();
        assert_eq!(value(&text, "mmsgw_messages_sent_total{gateway_group=\"east\"}"), Some("9"));
        assert_eq!(value(&text, "mmsgw_store_up"), Some("0"));
        assert!(!text.contains("mmsgw_queue_"), "what is not known is not told as zero");
    }
}
