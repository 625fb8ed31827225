//! A client of the REST API, for the commands that talk to a running gateway.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures_util::Stream;
use mmsgw_net::tls::ClientTlsSettings;
use mmsgw_net::{HttpClient, HttpSettings, read_limited, streamed};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::cli::{ApiArgs, OpsArgs};

/// A connection to the API of a running gateway.
pub(crate) struct ApiClient {
    http: HttpClient,
    /// For requests that may last as long as they go on.
    patient: HttpClient,
    base: Url,
    key: Option<SecretString>,
}

/// What was answered to a stream.
pub(crate) struct Streamed {
    pub(crate) status: http::StatusCode,
    pub(crate) answer: Value,
    /// Seconds to wait before the next try.
    pub(crate) pause: Option<u64>,
    /// Whether all of it had been done before.
    pub(crate) replayed: bool,
}

/// Longest time that one connection may carry a stream.
const LONGEST_STREAM: Duration = Duration::from_secs(86_400);
/// Largest answer taken.
const MAX_ANSWER: usize = 64 << 20;

impl ApiClient {
    pub(crate) fn new(args: &ApiArgs) -> anyhow::Result<Self> {
        Self::at(args.api.clone(), args.key.clone(), args.ca.clone())
    }

    /// A connection to the operations listener.
    pub(crate) fn ops(args: &OpsArgs) -> anyhow::Result<Self> {
        Self::at(args.ops.clone(), args.key.clone(), args.ca.clone())
    }

    fn at(base: Url, key: Option<SecretString>, ca_file: Option<PathBuf>) -> anyhow::Result<Self> {
        let tls = ClientTlsSettings { ca_file, ..ClientTlsSettings::default() };
        let settings = HttpSettings { tls, ..HttpSettings::default() };
        let http = HttpClient::new(&settings)?;
        let patient = HttpSettings { total_timeout: LONGEST_STREAM, ..settings };
        let patient = HttpClient::new(&patient)?;
        Ok(Self { http, patient, base, key })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(&self.http, http::Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(&self.http, http::Method::POST, path, Some(body)).await
    }

    /// The same, where the answer may be long in coming.
    pub(crate) async fn post_patiently(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(&self.patient, http::Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(&self.http, http::Method::PUT, path, Some(body)).await
    }

    /// Hears an answer that goes on for long, piece by piece, until it ends or `heard` breaks off. `opened` is told when
    /// it begins.
    pub(crate) async fn listen(
        &self,
        path: &str,
        opened: impl FnOnce(),
        mut heard: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> anyhow::Result<ControlFlow<()>> {
        let url = self.base.join(path)?;
        let mut request = self.http.request(http::Method::GET, url.clone())?.timeout(LONGEST_STREAM);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        let mut response =
            request.send().await.with_context(|| format!("cannot reach the gateway at {url}"))?;
        let status = response.status();
        if !status.is_success() {
            let octets = read_limited(response, MAX_ANSWER).await?;
            let answer: Value = serde_json::from_slice(&octets).unwrap_or(Value::Null);
            bail!("the gateway refused it ({status}): {}", refusal(&answer));
        }
        opened();
        while let Some(piece) = response.chunk().await.context("the gateway went away")? {
            if heard(&piece).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What is at a URL of the API, whatever it is.
    pub(crate) async fn octets(&self, url: &str) -> anyhow::Result<Bytes> {
        let url = self.base.join(url)?;
        let response = self.http.request(http::Method::GET, url.clone())?.send().await?;
        ensure!(response.status().is_success(), "{url} answers {}", response.status());
        Ok(read_limited(response, MAX_ANSWER).await?)
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.call(&self.http, http::Method::DELETE, path, None).await
    }

    /// Posts a body that comes as a stream, under an idempotency key. No error where the gateway says no: its answer is
    /// given back with its status.
    pub(crate) async fn stream<S>(&self, path: &str, key: &str, pieces: S) -> anyhow::Result<Streamed>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let url = self.base.join(path)?;
        let mut request = self.patient.request(http::Method::POST, url.clone())?;
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        let request = request.header("content-type", "application/x-ndjson").header("idempotency-key", key);
        let sending = request.body(streamed(pieces)).send();
        let response = sending.await.with_context(|| format!("the connection to {url} broke"))?;
        let status = response.status();
        let pause = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let replayed = response.headers().contains_key("idempotent-replayed");
        let octets = read_limited(response, MAX_ANSWER).await?;
        let answer = serde_json::from_slice(&octets).unwrap_or(Value::Null);
        Ok(Streamed { status, answer, pause, replayed })
    }

    async fn call(
        &self,
        client: &HttpClient,
        method: http::Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let url = self.base.join(path)?;
        let mut request = client.request(method, url.clone())?;
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(serde_json::to_vec(body)?);
        }
        let response = request.send().await.with_context(|| format!("cannot reach the gateway at {url}"))?;
        let status = response.status();
        let octets = read_limited(response, MAX_ANSWER).await?;
        let answer: Value = serde_json::from_slice(&octets).unwrap_or(Value::Null);
        if !status.is_success() {
            bail!("the gateway refused it ({status}): {}", refusal(&answer));
        }
        Ok(answer)
    }
}

/// What a problem document says, in a line.
pub(crate) fn refusal(problem: &Value) -> String {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let faults = problem.get("errors").and_then(Value::as_array).into_iter().flatten();
    let faults: Vec<String> =
        faults.map(|f| format!("{}: {}", text(f, "pointer"), text(f, "detail"))).collect();
    let detail = text(problem, "detail");
    if faults.is_empty() { detail } else { format!("{detail} ({})", faults.join("; ")) }
}
