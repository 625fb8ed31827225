//! Batches: many messages through one request, and what a long queue does to the rate.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::http::{self, Connection};
use crate::load::Load;
use crate::report::Row;
use crate::workload::{Bench, GROUP, Protocol, WINDOW, make_template, number};
use crate::world::{Carrier, Gateway, Site};

/// Messages whose way out is measured, however many wait.
const MEASURED: usize = 20_000;

impl Bench {
    /// A batch until it is accepted, nothing of it sent; then the way of its first messages to the carrier.
    pub(crate) async fn batch(&self, site: &Site<'_>, lines: usize) -> anyhow::Result<Vec<Row>> {
        let carrier = Carrier::start(site, Duration::ZERO, false)?;
        let gateway = Gateway::start(site, &[Protocol::Mm7.gateway(GROUP, &carrier, WINDOW)]).await?;
        gateway.steer(GROUP, "pause").await?;
        let request = batch(&make_template(&gateway).await?, lines);
        let (meter, begun) = (self.meter(&gateway, &carrier)?, Instant::now());
        let (status, answer) = Connection::open(gateway.api).await?.exchange(&request).await?;
        let load = Load::new(begun.elapsed(), vec![begun.elapsed()]);
        let answer: Value = serde_json::from_slice(&answer).context("no JSON in the answer")?;
        if status != 202 || answer["accepted"].as_u64() != Some(lines as u64) {
            bail!("status {status}: {answer}");
        }
        let mut accepted = meter.row(&load, load.took, lines)?;
        accepted.workload = " accepted".into();
        let measured = lines.min(MEASURED);
        let (meter, begun) = (self.meter(&gateway, &carrier)?, Instant::now());
        gateway.steer(GROUP, "resume").await?;
        gateway.until(GROUP, self.limit, |metrics| metrics.sent() >= measured as u64).await?;
        let mut sent = meter.row(&Load::default(), begun.elapsed(), measured)?;
        sent.workload = format!(" first {measured} of {lines} sent");
        Ok(vec![accepted, sent])
    }

    /// The same with few and with many messages that wait.
    pub(crate) async fn backlog(&self, site: &Site<'_>, messages: usize) -> anyhow::Result<Vec<Row>> {
        let few = tempfile::tempdir_in(site.directory)?;
        let few = self.batch(&Site { directory: few.path(), ..*site }, MEASURED).await?;
        let mut many = self.batch(site, messages).await?;
        if let (Some(few), Some(many)) = (few.last(), many.last_mut()) {
            many.against = Some((format!("{MEASURED} waiting"), few.rate));
        }
        Ok(few.into_iter().chain(many).collect())
    }
}

fn batch(path: &str, lines: usize) -> Vec<u8> {
    let mut body = String::new();
    for index in 0..lines {
        // Writing to a string cannot fail.
        let _ = writeln!(body, "{{\"destination\":\"{}\"}}", number(index));
    }
    http::post(&format!("{path}/batch?gateway={GROUP}"), "application/x-ndjson", body.as_bytes())
}
