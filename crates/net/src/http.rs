//! An HTTP client for one kind of peer: its own authorities, its own pool, its own idea of where it may go.
//!
//! Redirects are never followed and proxies of the environment never used; an answer is read up to a limit. One
//! client is made per peer (carriers) or per purpose (callbacks of apps), never one for all. Which status means what
//! is the edge's affair.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::Method;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response};
use tower::{Layer, Service};
use url::Url;

use crate::count::DialCounts;
use crate::guard::{AddressGuard, GuardError};
use crate::tls::{Alpn, ClientTls, ClientTlsSettings, TlsError};

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Time for look-up, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Time for a whole exchange, from the look-up to the last octet of the answer.
    pub total_timeout: Duration,
    /// Most idle connections kept open to one host.
    pub pool_max_idle: usize,
    /// How long an idle connection is kept.
    pub pool_idle_timeout: Duration,
    /// Authorities, client certificate and server name.
    pub tls: ClientTlsSettings,
    /// Where the client may go; nothing for peers that the operator configured himself.
    pub guard: Option<AddressGuard>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(30),
            pool_max_idle: 32,
            pool_idle_timeout: Duration::from_secs(60),
            tls: ClientTlsSettings::default(),
            guard: None,
        }
    }
}

/// A client. Clones share the pool.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    guard: Option<AddressGuard>,
    dials: Arc<DialCounts>,
}

impl HttpClient {
    /// Makes a client: HTTP/1.1 with connections kept open, `TCP_NODELAY`, no redirects, no proxy.
    ///
    /// # Errors
    /// [`ClientError`] when the TLS files cannot be used.
    pub fn new(settings: &HttpSettings) -> Result<Self, ClientError> {
        let tls = ClientTls::load(&settings.tls, Alpn::Http1)?;
        let dials = Arc::<DialCounts>::default();
        let mut builder = reqwest::Client::builder()
            .connector_layer(Counting(Arc::clone(&dials)))
            .tls_backend_preconfigured(tls.config().clone())
            .http1_only()
            // Some old servers look for header names as RFC 2616 spelled them.
            .http1_title_case_headers()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .tcp_nodelay(true)
            .tcp_keepalive(KEEPALIVE)
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.total_timeout)
            .pool_max_idle_per_host(settings.pool_max_idle)
            .pool_idle_timeout(settings.pool_idle_timeout);
        if let Some(guard) = &settings.guard {
            builder = builder.dns_resolver(guard.clone());
        }
        Ok(Self { client: builder.build()?, guard: settings.guard.clone(), dials })
    }

    /// The connections that it and its clones opened.
    #[must_use]
    pub fn dials(&self) -> &DialCounts {
        &self.dials
    }

    /// Begins a request. The guard judges the URL here, and the addresses of its name when it is sent: look for that
    /// refusal with [`GuardError::in_chain`].
    ///
    /// # Errors
    /// [`GuardError`] when the URL must not be asked for.
    pub fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, GuardError> {
        if let Some(guard) = &self.guard {
            guard.check_url(&url)?;
        }
        Ok(self.client.request(method, url))
    }
}

/// Counts how attempts to connect end.
#[derive(Clone)]
struct Counting(Arc<DialCounts>);

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, dials: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
struct Counted<S> {
    inner: S,
    dials: Arc<DialCounts>,
}

impl<S, R> Service<R> for Counted<S>
where
    S: Service<R, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (dial, dials) = (self.inner.call(request), Arc::clone(&self.dials));
        Box::pin(dial.inspect(move |end| dials.count(end.is_ok())))
    }
}

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The TLS settings are at fault.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP library refused the rest.
    #[error("HTTP client: {0}")]
    Build(#[from] reqwest::Error),
}

/// The body of a request that is read from `pieces` while it is sent.
pub fn streamed<S>(pieces: S) -> reqwest::Body
where
    S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
{
    reqwest::Body::wrap_stream(pieces)
}

/// Reads an answer's body of at most `max` octets. A `Content-Length` beyond it is refused before reading; a body
/// that turns out longer is given up at the first octet too many.
///
/// # Errors
/// [`BodyError`]; the connection is not used again.
pub async fn read_limited(mut response: Response, max: usize) -> Result<Bytes, BodyError> {
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Err(BodyError::TooLarge { max });
    }
    let Some(first) = response.chunk().await? else { return Ok(Bytes::new()) };
    if first.len() > max {
        return Err(BodyError::TooLarge { max });
    }
    let Some(second) = response.chunk().await? else { return Ok(first) };
    let mut body = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        if chunk.len() > max - body.len() {
            return Err(BodyError::TooLarge { max });
        }
        body.extend_from_slice(&chunk);
        next = response.chunk().await?;
    }
    Ok(body.freeze())
}

/// Why an answer's body could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is longer than allowed.
    #[error("the answer is longer than {max} octets")]
    TooLarge {
        /// The limit, in octets.
        max: usize,
    },
    /// It broke off, or took longer than the client's total time-out (`is_timeout` of the source tells).
    #[error("reading the answer: {0}")]
    Read(#[from] reqwest::Error),
}

const KEEPALIVE: Duration = Duration::from_secs(60);

/// How the client calls itself (RFC 9110 clause 10.1.5).
pub const USER_AGENT: &str = concat!("mmsgw/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;
    use crate::guard::AddressClass;
    use crate::test_pki::Authority;

    /// Answers every connection with the same octets; tells each request's head.
    async fn peer(answer: &'static [u8]) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, heads) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    tell.send(String::from_utf8(head).unwrap()).unwrap();
                    stream.write_all(answer).await.unwrap();
                    let _closed = stream.read(&mut [0]).await;
                });
            }
        });
        (address, heads)
    }

    /// Needs no platform authorities.
    fn settings(authority: &Authority) -> HttpSettings {
        HttpSettings { tls: authority.client(None), ..HttpSettings::default() }
    }

    fn client(change: impl FnOnce(&mut HttpSettings)) -> HttpClient {
        let authority = Authority::new();
        let mut settings = settings(&authority);
        change(&mut settings);
        HttpClient::new(&settings).unwrap()
    }

    async fn fetch(client: &HttpClient, address: SocketAddr) -> Result<Response, reqwest::Error> {
        client.request(Method::GET, format!("http://{address}/").parse().unwrap()).unwrap().send().await
    }

    async fn read(answer: &'static [u8], max: usize) -> Result<Bytes, BodyError> {
        let (address, _heads) = peer(answer).await;
        read_limited(fetch(&client(|_| ()), address).await.unwrap(), max).await
    }

    #[tokio::test]
    async fn redirects_are_shown_not_followed() {
        let (address, mut heads) =
            peer(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await;
        let client = client(|_| ());
        let answer = fetch(&client, address).await.unwrap();
        assert_eq!(answer.status(), 302);
        assert_eq!((client.dials().opened(), client.dials().failed()), (1, 0));
        let head = heads.recv().await.unwrap();
        assert!(head.contains(concat!("User-Agent: mmsgw/", env!("CARGO_PKG_VERSION"))), "{head}");
        assert!(heads.try_recv().is_err(), "the redirect was followed");
    }

    #[tokio::test]
    async fn bodies_are_read_up_to_the_limit() {
        const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        const CHUNKED: &[u8] =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        for answer in [PLAIN, CHUNKED] {
            assert_eq!(read(answer, 5).await.unwrap(), "hello");
            assert!(matches!(read(answer, 4).await, Err(BodyError::TooLarge { max: 4 })));
        }
        assert_eq!(read(b"HTTP/1.1 204 No Content\r\n\r\n", 0).await.unwrap(), "");
    }

    #[tokio::test]
    async fn bodies_that_lie_about_their_length() {
        // Announced far beyond the limit: refused although not one octet of it comes.
        let boast = read(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", 1000).await;
        assert!(matches!(boast, Err(BodyError::TooLarge { max: 1000 })));
        // One endless chunk: given up at the limit, not at the chunk's end, which never comes.
        let endless =
            read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffff\r\n0123456789", 9).await;
        assert!(matches!(endless, Err(BodyError::TooLarge { max: 9 })));
    }

    #[tokio::test]
    async fn an_answer_that_never_ends_costs_no_more_than_the_total_timeout() {
        let (address, _heads) = peer(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel").await;
        let client = client(|settings| settings.total_timeout = Duration::from_millis(200));
        let Err(BodyError::Read(error)) = read_limited(fetch(&client, address).await.unwrap(), 10).await
        else {
            panic!("the body cannot have come");
        };
        assert!(error.is_timeout(), "{error}");
    }

    #[tokio::test]
    async fn the_guard_sees_addresses_and_names() {
        let (address, mut heads) = peer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let by_name: Url = format!("http://localhost:{}/", address.port()).parse().unwrap();
        let by_address: Url = format!("http://{address}/").parse().unwrap();
        let guarded = client(|settings| settings.guard = Some(AddressGuard::default()));
        let refusal = guarded.request(Method::POST, by_address.clone()).err().unwrap();
        assert!(matches!(refusal, GuardError::Address { class: AddressClass::Loopback, .. }));
        let error = guarded.request(Method::POST, by_name.clone()).unwrap().send().await.unwrap_err();
        let refusal = GuardError::in_chain(&error).expect("the refusal is not found in the chain");
        assert!(matches!(refusal, GuardError::Name { class: AddressClass::Loopback, .. }));
        assert!(heads.try_recv().is_err(), "the peer was reached");

        let allow = vec!["127.0.0.0/8".parse().unwrap()];
        let open = client(|settings| settings.guard = Some(AddressGuard::new(allow)));
        for url in [by_name, by_address] {
            assert_eq!(open.request(Method::GET, url).unwrap().send().await.unwrap().status(), 200);
        }
    }

    #[tokio::test]
    async fn other_failures_are_no_refusals() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let client = client(|_| ());
        let error = fetch(&client, address).await.unwrap_err();
        assert!(error.is_connect());
        assert_eq!((client.dials().opened(), client.dials().failed()), (0, 1));
        assert_eq!(GuardError::in_chain(&error), None);
    }
}
