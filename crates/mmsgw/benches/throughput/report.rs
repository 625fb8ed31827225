//! The table.

use serde::Serialize;

/// A line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) workload: String,
    pub(crate) messages: usize,
    /// Messages a second, from the first request until the last was recorded.
    pub(crate) rate: f64,
    /// Accepts a second while the loader was at work.
    pub(crate) accept_rate: f64,
    pub(crate) accept_p50_ms: f64,
    pub(crate) accept_p99_ms: f64,
    /// Processor time for each message, in milliseconds.
    pub(crate) gateway_cpu_ms: f64,
    pub(crate) carrier_cpu_ms: f64,
    pub(crate) loader_cpu_ms: f64,
    /// Resident memory of the gateway at the end, in MiB.
    pub(crate) resident_mib: f64,
    /// What the rate is compared with, and that rate.
    pub(crate) against: Option<(String, f64)>,
}

impl Row {
    pub(crate) fn line(&self) -> String {
        let against = self.against.as_ref().map_or_else(String::new, |(name, rate)| {
            format!("{:.2} of {name} ({rate:.0}/s)", self.rate / rate.max(1e-9))
        });
        format!(
            "{:<24} {:>8} {:>8.0} {:>8.0} {:>8.2} {:>8.2} {:>8.3} {:>8.3} {:>8.3} {:>7.0}  {against}",
            self.workload,
            self.messages,
            self.rate,
            self.accept_rate,
            self.accept_p50_ms,
            self.accept_p99_ms,
            self.gateway_cpu_ms,
            self.carrier_cpu_ms,
            self.loader_cpu_ms,
            self.resident_mib,
        )
    }
}

/// The names of the columns. CPU is in milliseconds for each message.
pub(crate) fn head() -> String {
    format!(
        "{:<24} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7}  ratio",
        "workload",
        "messages",
        "rate/s",
        "accept/s",
        "p50 ms",
        "p99 ms",
        "gw cpu",
        "sink cpu",
        "load cpu",
        "RSS MiB"
    )
}

/// Of several runs, for each line the one with the median rate.
pub(crate) fn medians(runs: Vec<Vec<Row>>) -> Vec<Row> {
    let lines = runs.first().map_or(0, Vec::len);
    let line = |index: usize| {
        let mut rows: Vec<&Row> = runs.iter().filter_map(|run| run.get(index)).collect();
        rows.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        rows.get(rows.len() / 2).map(|row| Row::clone(row))
    };
    (0..lines).filter_map(line).collect()
}
