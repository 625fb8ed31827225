//! The metrics as text.
//!
//! Counters come from the engine's groups and begin at zero with the process; gauges of the queues come from the
//! store, so they are the same in every process that shares it. Labels are names that the operator chose and names
//! of queues, never telephone numbers or ids.

use std::fmt;

use mmsgw_domain::{GroupName, Queue, QueueKind, Timestamp};
use mmsgw_engine::{
    Connections, Distribution, Group, GroupCounts, GroupMeasured, QueueStatus, SpanCounts, StoreMeasured,
};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::process::Process;

mod connections;
mod histogram;
mod plain;

pub use connections::NamedListener;
use histogram::Histograms;
pub(crate) use plain::plain;

/// What is told in one answer.
pub(crate) struct Metrics<'a> {
    /// The groups that this process knows.
    pub(crate) groups: &'a [Told],
    /// What waits where; `None` when the store does not say.
    pub(crate) queues: Option<&'a [QueueStatus]>,
    /// How the store does.
    pub(crate) store: &'a StoreMeasured,
    /// The process itself.
    pub(crate) process: &'a Process,
    /// What became of spans of traces.
    pub(crate) spans: SpanCounts,
    /// How late its timers go off.
    pub(crate) lag: Distribution,
    /// The listeners of this process.
    pub(crate) listeners: &'a [NamedListener],
    /// The present.
    pub(crate) now: Timestamp,
}

/// What is told of a group.
pub(crate) struct Told {
    name: GroupName,
    counts: GroupCounts,
    measured: GroupMeasured,
    connections: Connections,
}

impl Told {
    pub(crate) fn of(group: &Group) -> Self {
        let (counts, measured, connections) = (group.counts(), group.measured(), group.connections());
        Self { name: group.settings.name.clone(), counts, measured, connections }
    }
}

type Labels = Vec<(&'static str, String)>;
type Real = Gauge<f64, std::sync::atomic::AtomicU64>;

impl Metrics<'_> {
    /// The text, in the OpenMetrics form that Prometheus reads.
    pub(crate) fn write(&self) -> Result<String, fmt::Error> {
        let mut whole = Registry::default();
        self.write_process(&mut whole);
        let registry = whole.sub_registry_with_prefix("mmsgw");
        for (name, help, count) in COUNTERS {
            let family = Family::<Labels, Counter>::default();
            for told in self.groups {
                family.get_or_create(&of_group(&told.name)).inc_by(count(&told.counts));
            }
            registry.register(name, help, family);
        }
        self.write_measures(registry);
        self.write_store(registry);
        let spans = Labelled::default();
        for (outcome, count) in [("exported", self.spans.exported), ("dropped", self.spans.dropped)] {
            spans.get_or_create(&vec![("outcome", outcome.to_owned())]).inc_by(count);
        }
        registry.register("trace_spans", "Spans of traces, by what became of them", spans);
        let help = "How late timers went off: what waited for the runtime, all work included";
        registry.register_collector(seconds("runtime_lag", help, vec![(Vec::new(), self.lag.clone())]));
        connections::write_listeners(registry, self.listeners);
        connections::write_carriers(registry, self.groups);
        if let Some(queues) = self.queues {
            self.write_queues(registry, queues);
        }
        let mut text = String::new();
        encode(&mut text, &whole)?;
        Ok(text)
    }

    fn write_measures(&self, registry: &mut Registry) {
        let (events, verdicts, callbacks) = <(Labelled, Labelled, Labelled)>::default();
        let lines = Labelled::default();
        let (mut stages, mut exchanges) = (Vec::new(), Vec::new());
        for Told { name, measured, .. } in self.groups {
            let with = |more: &[(&'static str, &str)]| -> Labels {
                let more = more.iter().map(|(key, value)| (*key, (*value).to_owned()));
                of_group(name).into_iter().chain(more).collect()
            };
            for (state, count) in &measured.events {
                events.get_or_create(&with(&[("state", &state.name().to_lowercase())])).inc_by(*count);
            }
            for (outcome, code, count) in &measured.verdicts {
                let labels = with(&[("outcome", outcome), ("code", &code.to_string())]);
                verdicts.get_or_create(&labels).inc_by(*count);
            }
            for (outcome, count) in &measured.callbacks {
                callbacks.get_or_create(&with(&[("outcome", outcome.name())])).inc_by(*count);
            }
            for (outcome, count) in
                [("accepted", measured.lines_accepted), ("refused", measured.lines_refused)]
            {
                lines.get_or_create(&with(&[("outcome", outcome)])).inc_by(count);
            }
            let reached = measured.stages.iter();
            stages.extend(reached.map(|(stage, times)| (with(&[("stage", stage.name())]), times.clone())));
            exchanges.push((with(&[]), measured.exchange.clone()));
        }
        registry.register("message_events", "What happened to messages, by the state reported", events);
        registry.register("verdicts", "What became of hand-overs, by canonical code", verdicts);
        registry.register("callback_outcomes", "What became of callbacks, each try", callbacks);
        registry.register("batch_lines", "Lines of batches, by what became of them", lines);
        let help = "From acceptance to the hand-over, the carrier's acknowledgement, and delivery";
        registry.register_collector(seconds("message_stage", help, stages));
        let help = "How long the carrier took for a hand-over";
        registry.register_collector(seconds("carrier_exchange", help, exchanges));
    }

    fn write_store(&self, registry: &mut Registry) {
        let reachable = Gauge::<i64>::default();
        reachable.set(i64::from(self.queues.is_some()));
        registry.register("store_up", "Whether the store answers (1) or not (0)", reachable);
        let failed = Counter::<u64>::default();
        failed.inc_by(self.store.failed);
        registry.register(
            "store_commits_failed",
            "Commits that were refused or failed, conflicts included",
            failed,
        );
        let help = "How long commits took, whatever came of them";
        registry.register_collector(seconds(
            "store_commit",
            help,
            vec![(Vec::new(), self.store.commit.clone())],
        ));
        let rows = vec![(Vec::new(), self.store.writes.clone())];
        let help = "Changes in a commit";
        registry.register_collector(Box::new(Histograms {
            name: "store_commit_changes",
            help,
            unit: None,
            rows,
        }));
        let Some(rounds) = &self.store.rounds else { return };
        let rows = vec![(Vec::new(), rounds.batches.clone())];
        let help = "Commits that were made durable together";
        registry.register_collector(Box::new(Histograms {
            name: "store_round_commits",
            help,
            unit: None,
            rows,
        }));
        let help = "How long it took to make a round of commits durable";
        registry.register_collector(seconds("store_round", help, vec![(Vec::new(), rounds.time.clone())]));
    }

    /// The names are those of every Prometheus client, without our prefix.
    fn write_process(&self, registry: &mut Registry) {
        let build: Labels = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        registry.register("mmsgw_build", "The release that runs", Info::new(build));
        let Process { cpu_seconds, resident_octets, virtual_octets, open_fds, max_fds, threads } =
            self.process;
        if let Some(seconds) = cpu_seconds {
            let cpu = Counter::<f64, std::sync::atomic::AtomicU64>::default();
            cpu.inc_by(*seconds);
            let help = "Total user and system CPU time spent";
            registry.register_with_unit("process_cpu", help, Unit::Seconds, cpu);
        }
        let octets = [
            ("process_resident_memory", "Resident memory size", resident_octets),
            ("process_virtual_memory", "Virtual memory size", virtual_octets),
        ];
        for (name, help, octets) in octets {
            if let Some(octets) = octets {
                registry.register_with_unit(name, help, Unit::Bytes, gauge(*octets));
            }
        }
        let numbers = [
            ("process_open_fds", "Number of open file descriptors", open_fds),
            ("process_max_fds", "Maximum number of open file descriptors", max_fds),
            ("process_threads", "Number of threads", threads),
        ];
        for (name, help, number) in numbers {
            if let Some(number) = number {
                registry.register(name, help, gauge(*number));
            }
        }
    }

    fn write_queues(&self, registry: &mut Registry, queues: &[QueueStatus]) {
        for (name, help, depth) in GAUGES {
            let family = Family::<Labels, Gauge>::default();
            self.empty_queues().for_each(|queue| drop(family.get_or_create(&of_queue(&queue))));
            for queue in queues {
                let count = i64::try_from(depth(queue)).unwrap_or(i64::MAX);
                family.get_or_create(&of_queue(&queue.queue)).set(count);
            }
            registry.register(name, help, family);
        }
        let family = Family::<Labels, Real>::default();
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
        let groups = self.groups.iter().map(|told| &told.name);
        groups.flat_map(|group| QueueKind::ALL.map(|kind| Queue { group: group.clone(), kind }))
    }
}

type Labelled = Family<Labels, Counter>;

fn seconds(name: &'static str, help: &'static str, rows: Vec<(Labels, Distribution)>) -> Box<Histograms> {
    Box::new(Histograms { name, help, unit: Some(Unit::Seconds), rows })
}

fn gauge(number: u64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
    gauge
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

type GaugeRow = (&'static str, &'static str, fn(&QueueStatus) -> u64);

const GAUGES: [GaugeRow; 4] = [
    ("queue_waiting_jobs", "Jobs that wait, due or not", |depth| depth.waiting),
    ("queue_leased_jobs", "Jobs in a worker's hands", |depth| depth.leased),
    ("queue_dead_jobs", "Jobs that were given up", |depth| depth.dead),
    ("queue_paused", "Whether a person stopped it (1) or not (0)", |depth| u64::from(depth.paused.is_some())),
];

#[cfg(test)]
mod tests {
    use mmsgw_domain::{Code, State};
    use std::sync::Arc;

    use mmsgw_engine::{CallbackOutcome, RoundsMeasured, Stage};

    use super::*;

    fn group(name: &str) -> GroupName {
        name.parse().unwrap()
    }

    fn distribution() -> Distribution {
        Distribution { bounds: &[0.1, 1.0], counts: vec![2, 1, 1], sum: 12.5 }
    }

    fn told(name: &str, counts: GroupCounts) -> Told {
        let measured = GroupMeasured {
            events: vec![(State::Sent, 2)],
            verdicts: vec![("failed", Code::REFUSED, 3)],
            callbacks: vec![(CallbackOutcome::Taken, 4)],
            stages: vec![(Stage::Delivered, distribution())],
            exchange: distribution(),
            lines_accepted: 6,
            lines_refused: 7,
        };
        let connections = Connections { busy: 1, idle: Some(2), opened: 9, failed: 3 };
        Told { name: group(name), counts, measured, connections }
    }

    fn write(groups: &[Told], queues: Option<&[QueueStatus]>, now: Timestamp) -> String {
        let rounds = RoundsMeasured { batches: distribution(), time: distribution() };
        let store =
            StoreMeasured { failed: 1, commit: distribution(), writes: distribution(), rounds: Some(rounds) };
        let process = Process { cpu_seconds: Some(1.5), open_fds: Some(3), ..Process::default() };
        let listeners = [("api".to_owned(), Arc::default())];
        let (process, lag, listeners) = (&process, distribution(), &listeners);
        let spans = SpanCounts { exported: 5, dropped: 8 };
        Metrics { groups, queues, store: &store, process, spans, lag, listeners, now }.write().unwrap()
    }

    #[test]
    fn what_was_measured_is_told_by_name() {
        let text = write(&[told("east", GroupCounts::default())], None, Timestamp::from_secs(0));
        for (sample, expected) in [
            ("mmsgw_message_events_total{gateway_group=\"east\",state=\"sent\"}", "2"),
            ("mmsgw_verdicts_total{gateway_group=\"east\",outcome=\"failed\",code=\"406\"}", "3"),
            ("mmsgw_callback_outcomes_total{gateway_group=\"east\",outcome=\"taken\"}", "4"),
            (
                "mmsgw_message_stage_seconds_bucket{le=\"1.0\",gateway_group=\"east\",stage=\"delivered\"}",
                "3",
            ),
            (
                "mmsgw_message_stage_seconds_bucket{le=\"+Inf\",gateway_group=\"east\",stage=\"delivered\"}",
                "4",
            ),
            ("mmsgw_carrier_exchange_seconds_sum{gateway_group=\"east\"}", "12.5"),
            ("mmsgw_store_commit_seconds_count{}", "4"),
            ("mmsgw_store_commits_failed_total", "1"),
            ("mmsgw_store_round_commits_sum{}", "12.5"),
            ("mmsgw_store_round_seconds_count{}", "4"),
            ("mmsgw_runtime_lag_seconds_count{}", "4"),
            ("mmsgw_batch_lines_total{gateway_group=\"east\",outcome=\"refused\"}", "7"),
            ("mmsgw_carrier_connections{gateway_group=\"east\",state=\"idle\"}", "2"),
            ("mmsgw_carrier_connections_opened_total{gateway_group=\"east\"}", "9"),
            ("mmsgw_carrier_connections_failed_total{gateway_group=\"east\"}", "3"),
            ("mmsgw_listener_connections{listener=\"api\"}", "0"),
            ("mmsgw_listener_full_total{listener=\"api\"}", "0"),
            ("mmsgw_trace_spans_total{outcome=\"dropped\"}", "8"),
            ("process_cpu_seconds_total", "1.5"),
            ("process_open_fds", "3"),
        ] {
            assert_eq!(value(&text, sample), Some(expected), "{sample}\n{text}");
        }
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
        let groups = [told("east", counts), told("west", GroupCounts::default())];
        let now = Timestamp::from_secs(1000);
        let depth = |name: &str, oldest| QueueStatus {
            queue: Queue { group: group(name), kind: QueueKind::Tx },
            waiting: 10,
            leased: 11,
            dead: 12,
            oldest: Some(Timestamp::from_secs(oldest)),
            paused: None,
            held_until: None,
        };
        let queues = [depth("east", 990), depth("gone", 2000)];
        let text = write(&groups, Some(&queues), now);
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
        let groups = [told("east", GroupCounts { sent: 9, ..GroupCounts::default() })];
        let now = Timestamp::from_secs(0);
        let text = write(&groups, None, now);
        assert_eq!(value(&text, "mmsgw_messages_sent_total{gateway_group=\"east\"}"), Some("9"));
        assert_eq!(value(&text, "mmsgw_store_up"), Some("0"));
        assert!(!text.contains("mmsgw_queue_"), "what is not known is not told as zero");
    }
}
