//! Single requests to the bucket, and what their errors mean for the caller.
//!
//! Knows keys, sizes and ages; what is done in which order is said elsewhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{Clock, Digest, Timestamp};
use mmsgw_net::tls::{Alpn, ClientTls};
use mmsgw_store::StoreError;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
};
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;

use crate::config::S3Settings;

/// A bucket, and the part of it that is ours.
pub(crate) struct Bucket {
    store: AmazonS3,
    /// The same without tries after the first.
    once: AmazonS3,
    prefix: String,
    clock: Arc<dyn Clock>,
}

/// What `HEAD` tells of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Octets.
    pub(crate) size: u64,
    /// When it was put, by the store's clock, cut to a whole second.
    modified: Timestamp,
}

impl Bucket {
    pub(crate) fn new(settings: &S3Settings, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let (id, secret) = settings.credentials(|name| std::env::var(name).ok())?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_virtual_hosted_style_request(!settings.path_style)
            .with_access_key_id(id)
            .with_secret_access_key(secret.expose_secret())
            // Not every store knows how to delete many objects at once.
            .with_disable_bulk_delete(true)
            .with_retry(retry(settings))
            .with_http_connector(Connector(client(settings)?));
        if let Some(endpoint) = settings.bucket_endpoint() {
            builder = builder.with_endpoint(endpoint);
        }
        let once = builder.clone().with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
        let (store, once) =
            (builder.build().map_err(|e| unusable(&e))?, once.build().map_err(|e| unusable(&e))?);
        Ok(Self { store, once, prefix: settings.prefix.clone(), clock })
    }

    /// The key of a medium.
    pub(crate) fn key(&self, digest: &Digest) -> Path {
        self.path(&digest.to_string())
    }

    /// A key of ours.
    pub(crate) fn path(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }

    /// Puts an object, whether or not it is there.
    pub(crate) async fn put(&self, key: &Path, octets: Bytes) -> Result<(), StoreError> {
        self.store.put(key, PutPayload::from_bytes(octets)).await.map(|_| ()).map_err(|e| unavailable(&e))
    }

    /// The octets of an object; `None` where it is not there.
    pub(crate) async fn get(&self, key: &Path) -> Result<Option<Bytes>, StoreError> {
        let found = match self.store.get(key).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return self.is_there().await.map(|()| None),
            Err(other) => return Err(unavailable(&other)),
        };
        if found.meta.size > LARGEST {
            return Err(StoreError::Corrupt(format!("{key}: {} octets are no medium", found.meta.size)));
        }
        found.bytes().await.map(Some).map_err(|e| unavailable(&e))
    }

    /// Size and time of an object; `None` where it is not there.
    pub(crate) async fn look(&self, key: &Path) -> Result<Option<Seen>, StoreError> {
        match self.store.head(key).await {
            Ok(meta) => {
                let modified = Timestamp::from_millis(meta.last_modified.timestamp_millis());
                Ok(Some(Seen { size: meta.size, modified }))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(other) => Err(unavailable(&other)),
        }
    }

    /// Deletes an object, which need not be there, with one try: a second one might meet what was put after the
    /// first.
    pub(crate) async fn delete(&self, key: &Path) -> Result<(), StoreError> {
        self.once.delete(key).await.map_err(|e| unavailable(&e))
    }

    /// Whether an object was put less than `span` ago, whatever the second it was cut to.
    pub(crate) fn is_younger(&self, seen: &Seen, span: Duration) -> bool {
        self.clock.now() < seen.modified.after(span)
    }

    /// Whether an object was put more than `span` ago, whatever the second it was cut to. Every object was put more
    /// than nothing ago.
    pub(crate) fn is_older(&self, seen: &Seen, span: Duration) -> bool {
        span.is_zero() || self.clock.now() >= seen.modified.after(span + CUT)
    }

    /// Puts, reads, lists and deletes, to tell at the start what would be told at the first medium. The probe stays,
    /// since other processes may be starting too.
    pub(crate) async fn try_out(&self) -> Result<(), StoreError> {
        let probe = self.path(PROBE);
        self.store.put(&probe, PutPayload::new()).await.map_err(|e| unusable(&e))?;
        self.store.get(&probe).await.map_err(|e| unusable(&e))?;
        self.store.list_with_delimiter(Some(&probe)).await.map_err(|e| unusable(&e))?;
        // There is no such object, and deleting it takes the same permission.
        self.store.delete(&self.path(ABSENT)).await.map_err(|e| unusable(&e))
    }

    /// A missing object is answered like a missing bucket, and the difference is that between failing messages and
    /// waiting for the bucket's return. Listing what begins like no object of ours tells them apart.
    async fn is_there(&self) -> Result<(), StoreError> {
        let listed = self.store.list_with_delimiter(Some(&self.path(PROBE))).await;
        listed.map(|_| ()).map_err(|e| unavailable(&e))
    }
}

/// The client of all requests: the house's TLS, no redirects, no proxy, a bound on each exchange.
fn client(settings: &S3Settings) -> Result<reqwest::Client, StoreError> {
    let tls = ClientTls::load(&settings.tls, Alpn::Http1);
    let tls = tls.map_err(|e| StoreError::Unusable(format!("media store: tls: {e}")))?;
    let plain = settings.endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.config().clone())
        .https_only(!plain)
        .http1_only()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("mmsgw/", env!("CARGO_PKG_VERSION")))
        .tcp_nodelay(true)
        .connect_timeout(settings.connect_timeout.0)
        .timeout(settings.timeout.0)
        .pool_max_idle_per_host(settings.in_flight)
        .pool_idle_timeout(POOL_IDLE)
        .build();
    client.map_err(|e| StoreError::Unusable(format!("media store: {e}")))
}

fn retry(settings: &S3Settings) -> RetryConfig {
    let (init_backoff, max_backoff) = (Duration::from_millis(100), Duration::from_secs(2));
    let backoff = BackoffConfig { init_backoff, max_backoff, base: 2.0 };
    RetryConfig { backoff, max_retries: settings.retries, retry_timeout: settings.total_timeout.0 }
}

/// Gives object_store the one client.
#[derive(Debug)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// While running, whatever is wrong may be put right by somebody, and media wait for that.
fn unavailable(error: &Error) -> StoreError {
    StoreError::Unavailable(text(error))
}

/// At the start, what only a person can put right is told as such.
fn unusable(error: &Error) -> StoreError {
    match error {
        Error::NotFound { .. } => StoreError::Unusable(format!("{}: is the bucket there?", text(error))),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => StoreError::Unusable(format!(
            "{}: is it the right key, and may it put, get, delete and list?",
            text(error)
        )),
        Error::Generic { .. } => unavailable(error),
        _ => StoreError::Unusable(text(error)),
    }
}

/// An error in a line of bounded length; stores answer whole documents.
fn text(error: &Error) -> String {
    let mut line = String::from("media store: ");
    for word in error.to_string().split_whitespace() {
        if line.len() + word.len() > LONGEST_TEXT {
            line.push('…');
            break;
        }
        line.push_str(word);
        line.push(' ');
    }
    line.truncate(line.trim_end().len());
    line
}

/// Name of an empty object that is put at the start.
const PROBE: &str = "probe";

/// Name of an object that never is.
const ABSENT: &str = "probe-absent";

/// More than any medium has. An object that says so is none of ours and is not taken into memory.
const LARGEST: u64 = 1 << 30;

/// What a time loses when it is cut to a whole second, at most.
const CUT: Duration = Duration::from_secs(1);

/// Shorter than stores keep idle connections.
const POOL_IDLE: Duration = Duration::from_secs(15);

const LONGEST_TEXT: usize = 500;
