//! Load on the REST API: a closed loop (the next request when the answer is there) for rates, an open one (requests
//! at fixed times, whatever the answers do) for latencies.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures_util::future::try_join_all;

use crate::http::Connection;

/// What a load did.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) took: Duration,
    /// Sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    pub(crate) fn new(took: Duration, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self { took, latencies }
    }

    pub(crate) fn rate(&self) -> f64 {
        rate(self.latencies.len(), self.took)
    }

    /// The latency that `share` of the requests kept to.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
        #[expect(clippy::cast_precision_loss, reason = "a length is far from 2^52")]
        let at = (last as f64 * share).round() as usize;
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count is far from 2^52")]
pub(crate) fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}

/// Sends `count` requests made by `request` over `connections`, each as soon as its connection is free.
pub(crate) async fn closed(
    address: SocketAddr,
    connections: usize,
    count: usize,
    request: impl Fn(usize) -> Vec<u8>,
) -> anyhow::Result<Load> {
    run(address, connections, count, &request, None).await
}

/// Sends `count` requests at `rate` a second. Latency is counted from the time at which a request was to be sent, so
/// that one which had to wait for a free connection is not made to look quick. Timers have a grain of a millisecond.
pub(crate) async fn open(
    address: SocketAddr,
    connections: usize,
    count: usize,
    rate: f64,
    request: impl Fn(usize) -> Vec<u8>,
) -> anyhow::Result<Load> {
    run(address, connections, count, &request, Some(Duration::from_secs_f64(1.0 / rate.max(1.0)))).await
}

async fn run(
    address: SocketAddr,
    connections: usize,
    count: usize,
    request: &impl Fn(usize) -> Vec<u8>,
    distance: Option<Duration>,
) -> anyhow::Result<Load> {
    let opened = try_join_all((0..connections).map(|_| Connection::open(address))).await?;
    let (next, begun) = (Cell::new(0_usize), Instant::now());
    let each = opened.into_iter().map(async |mut connection| {
        let mut latencies = Vec::with_capacity(count / connections + 1);
        while let Some(index) = turn(&next, count) {
            let octets = request(index);
            let mut from = Instant::now();
            if let Some(distance) = distance {
                let at = begun + distance.mul_f64(f64::from(u32::try_from(index)?));
                tokio::time::sleep_until(at.into()).await;
                from = at;
            }
            let (status, body) = connection.exchange(&octets).await?;
            if !matches!(status, 200..300) {
                bail!("status {status}: {}", String::from_utf8_lossy(&body));
            }
            latencies.push(from.elapsed());
        }
        Ok(latencies)
    });
    let latencies = try_join_all(each).await?;
    Ok(Load::new(begun.elapsed(), latencies.concat()))
}

/// The next index below `count`.
pub(crate) fn turn(next: &Cell<usize>, count: usize) -> Option<usize> {
    let index = next.get();
    next.set(index + 1);
    (index < count).then_some(index)
}
