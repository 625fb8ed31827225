//! A client of the REST API, for the commands that talk to a running gateway.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use mmsgw_net::{HttpClient, HttpSettings, read_limited};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::cli::{ApiArgs, OpsArgs};

/// A connection to the API of a running gateway.
pub(crate) struct ApiClient {
    http: HttpClient,
    base: Url,
    key: Option<SecretString>,
}

/// Largest answer taken.
const MAX_ANSWER: usize = 64 << 20;

impl ApiClient {
    pub(crate) fn new(args: &ApiArgs) -> anyhow::Result<Self> {
        Self::at(args.api.clone(), args.key.clone())
    }

    /// A connection to the operations listener.
    pub(crate) fn ops(args: &OpsArgs) -> anyhow::Result<Self> {
        Self::at(args.ops.clone(), args.key.clone())
    }

    fn at(base: Url, key: Option<SecretString>) -> anyhow::Result<Self> {
        let http = HttpClient::new(&HttpSettings::default())?;
        Ok(Self { http, base, key })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(http::Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(http::Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.call(http::Method::DELETE, path, None).await.map(drop)
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(http::Method::PUT, path, Some(body)).await
    }

    /// What is at a URL of the API, whatever it is.
    pub(crate) async fn octets(&self, url: &str) -> anyhow::Result<Bytes> {
        let url = self.base.join(url)?;
        let response = self.http.request(http::Method::GET, url.clone())?.send().await?;
        ensure!(response.status().is_success(), "{url} answers {}", response.status());
        Ok(read_limited(response, MAX_ANSWER).await?)
    }

    async fn call(&self, method: http::Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let url = self.base.join(path)?;
        let mut request = self.http.request(method, url.clone())?;
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
fn refusal(problem: &Value) -> String {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let faults = problem.get("errors").and_then(Value::as_array).into_iter().flatten();
    let faults: Vec<String> =
        faults.map(|f| format!("{}: {}", text(f, "pointer"), text(f, "detail"))).collect();
    let detail = text(problem, "detail");
    if faults.is_empty() { detail } else { format!("{detail} ({})", faults.join("; ")) }
}
