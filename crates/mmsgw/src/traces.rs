//! Traces, on their way to a collector.
//!
//! Spans wait in a queue with an end, are sent in batches, and are dropped where the collector is away or too slow.
//! No message ever waits for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use mmsgw_domain::Span as Time;
use mmsgw_engine::{Engine, Span, SpanCounts, SpanSink};
use mmsgw_net::tls::ClientTlsSettings;
use mmsgw_net::{HttpClient, HttpSettings};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

mod otlp;

/// The settings file that says the same as no settings at all.
pub(crate) const CONFIG_DEFAULT: &str = include_str!("traces.default.toml");

/// Section `[traces]`; [`CONFIG_DEFAULT`] says what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TracesSection {
    pub(crate) endpoint: Option<Url>,
    pub(crate) sample: f64,
    pub(crate) service_name: String,
    pub(crate) queue: usize,
    pub(crate) timeout: Time,
    pub(crate) headers: BTreeMap<String, SecretString>,
    pub(crate) tls: ClientTlsSettings,
}

impl Default for TracesSection {
    fn default() -> Self {
        Self {
            endpoint: None,
            sample: 1.0,
            service_name: "mmsgw".to_owned(),
            queue: 16_384,
            timeout: Time::secs(10),
            headers: BTreeMap::new(),
            tls: ClientTlsSettings::default(),
        }
    }
}

/// Has the engine tell of its messages, and sends that to the collector until `stop`, and then what is left.
///
/// # Errors
/// Headers or TLS files that cannot be used.
pub(crate) fn start(
    settings: &TracesSection,
    engine: &Engine,
    instance: String,
    stop: CancellationToken,
) -> anyhow::Result<Option<impl Future<Output = ()> + Send + 'static>> {
    let Some(endpoint) = settings.endpoint.clone() else { return Ok(None) };
    let http = HttpSettings {
        total_timeout: settings.timeout.0,
        tls: settings.tls.clone(),
        pool_max_idle: 1,
        ..HttpSettings::default()
    };
    let (queue, spans) = mpsc::channel(settings.queue.max(1));
    let counts = Arc::<Counts>::default();
    let post = Post {
        client: HttpClient::new(&http).context("traces.tls")?,
        endpoint,
        headers: headers(&settings.headers)?,
        resource: vec![
            ("service.name", settings.service_name.clone()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id", instance),
        ],
        counts: Arc::clone(&counts),
        stop,
        is_away: false,
    };
    engine.trace_into(Queue { queue, counts }, settings.sample);
    Ok(Some(post.work(spans)))
}

fn headers(given: &BTreeMap<String, SecretString>) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    for (name, value) in given {
        let fault = || format!("traces.headers: `{name}` is no header");
        let mut value = HeaderValue::from_str(value.expose_secret()).with_context(fault)?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name).with_context(fault)?, value);
    }
    Ok(headers)
}

#[derive(Default)]
struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

/// The engine's end.
struct Queue {
    queue: mpsc::Sender<Span>,
    counts: Arc<Counts>,
}

impl SpanSink for Queue {
    fn take(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> SpanCounts {
        SpanCounts {
            exported: self.counts.exported.load(Ordering::Relaxed),
            dropped: self.counts.dropped.load(Ordering::Relaxed),
        }
    }
}

/// The collector's end.
struct Post {
    client: HttpClient,
    endpoint: Url,
    headers: HeaderMap,
    resource: Vec<(&'static str, String)>,
    counts: Arc<Counts>,
    stop: CancellationToken,
    is_away: bool,
}

impl Post {
    async fn work(mut self, mut spans: mpsc::Receiver<Span>) {
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            let waited = tokio::select! {
                biased;
                count = spans.recv_many(&mut batch, BATCH) => count,
                () = self.stop.cancelled() => 0,
            };
            if waited == 0 {
                return;
            }
            let more = tokio::time::Instant::now() + LINGER;
            while batch.len() < BATCH && !self.stop.is_cancelled() {
                let room = BATCH - batch.len();
                let gathered = tokio::time::timeout_at(more, spans.recv_many(&mut batch, room));
                let gathered = tokio::select! {
                    gathered = gathered => gathered,
                    () = self.stop.cancelled() => break,
                };
                if matches!(gathered, Ok(0) | Err(_)) {
                    break;
                }
            }
            self.deliver(batch).await;
        }
    }

    /// Sends one batch, a few times where the collector may take it later.
    async fn deliver(&mut self, batch: Vec<Span>) {
        let count = batch.len() as u64;
        let body = bytes::Bytes::from(otlp::request(&self.resource, batch));
        for pause in PAUSES {
            match self.post(body.clone()).await {
                Ok(()) => {
                    self.counts.exported.fetch_add(count, Ordering::Relaxed);
                    if std::mem::take(&mut self.is_away) {
                        tracing::info!("the collector takes traces again");
                    }
                    return;
                }
                Err(Fault { why, is_final }) => {
                    if !std::mem::replace(&mut self.is_away, true) {
                        tracing::warn!(endpoint = %self.endpoint, "traces are not taken: {why}");
                    }
                    if is_final {
                        break;
                    }
                }
            }
            if tokio::time::timeout(pause, self.stop.cancelled()).await.is_ok() {
                break;
            }
        }
        self.counts.dropped.fetch_add(count, Ordering::Relaxed);
    }

    async fn post(&self, body: bytes::Bytes) -> Result<(), Fault> {
        let begun = self.client.request(Method::POST, self.endpoint.clone());
        let begun = begun.map_err(|refusal| Fault { why: refusal.to_string(), is_final: true })?;
        let answer = begun.headers(self.headers.clone()).body(body).send().await;
        let status = answer.map_err(|error| Fault { why: format!("{error:#}"), is_final: false })?.status();
        if status.is_success() {
            return Ok(());
        }
        let later = [429, 502, 503, 504].contains(&status.as_u16());
        Err(Fault { why: format!("HTTP {status}"), is_final: !later })
    }
}

/// Why a batch was not taken.
struct Fault {
    why: String,
    /// No other try would help.
    is_final: bool,
}

/// Most spans in a request.
const BATCH: usize = 512;
/// How long a span waits for others of its batch.
const LINGER: Duration = Duration::from_secs(1);
/// After each try of a batch; there are as many.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::ZERO];
