//! Distributions that others collected, as histograms.

use std::fmt;

use mmsgw_engine::Distribution;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::Labels;

/// One family of histograms.
#[derive(Debug)]
pub(super) struct Histograms {
    /// Name without its unit.
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) unit: Option<Unit>,
    pub(super) rows: Vec<(Labels, Distribution)>,
}

impl Collector for Histograms {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family =
            encoder.encode_descriptor(self.name, self.help, self.unit.as_ref(), MetricType::Histogram)?;
        for (labels, distribution) in &self.rows {
            let Distribution { bounds, counts, sum } = distribution;
            let bounds = bounds.iter().copied().chain(std::iter::once(f64::INFINITY));
            let buckets: Vec<(f64, u64)> = bounds.zip(counts.iter().copied()).collect();
            let mut metric = family.encode_family(labels)?;
            metric.encode_histogram::<NoLabelSet>(*sum, counts.iter().sum(), &buckets, None)?;
        }
        Ok(())
    }
}
