//! HTTP/1.1 and HTTP/2 on a TCP listener, with a limit on everything a peer can make us wait for or keep.
//!
//! In a connection's order: a permit, the TLS handshake, the head of each request, the pauses while one is answered,
//! the idle time between two. TLS's application protocol chooses between HTTP/1.1 and HTTP/2; without TLS it is
//! HTTP/1.1. Size and time limits of one request (body, answer) belong to the service's layers, not here.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use ::http::{Request, Response};
use aws_lc_rs::digest;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use crate::connect::MaybeTls;
use crate::drain::Drain;
use crate::listen::{Crowd, Listener, Permit, accept_tcp};
use crate::neighbours::Neighbours;
use crate::pulse::{Alarm, Phase, PhaseLimits, Pulse, Pulsed};
use crate::tls::ServerTls;

/// What a listener grants to its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Most connections at a time; more of them wait a moment and are then answered 503.
    pub max_connections: usize,
    /// Most connections of one peer at a time, more of them are closed at once; 0 for half of `max_connections`.
    pub max_connections_per_peer: usize,
    /// Time for the TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// Time for a request's head, counted from the beginning of the connection and, for later requests of
    /// HTTP/1.1, from the first octet.
    pub header_read_timeout: Duration,
    /// Largest head of a request in octets, request line included; more is answered with 431.
    pub max_header_bytes: u32,
    /// Time a connection is kept without any request.
    pub idle_timeout: Duration,
    /// Time a request may be in hand without a single octet moving in either direction; longer than the slowest
    /// answer of the service.
    pub stall_timeout: Duration,
    /// Most requests in hand on one HTTP/2 connection.
    pub max_streams: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_connections_per_peer: 0,
            tls_handshake_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(10),
            max_header_bytes: 32 * 1024,
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(120),
            max_streams: 128,
        }
    }
}

/// The other end of a connection; every request carries it as an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address, as the socket sees it.
    pub address: SocketAddr,
    /// The client certificate it showed (and that was verified), in DER.
    pub certificate: Option<Bytes>,
}

impl Peer {
    /// SHA-256 of the certificate, the fingerprint that operators know it by.
    #[must_use]
    pub fn certificate_sha256(&self) -> Option<[u8; 32]> {
        let digest = digest::digest(&digest::SHA256, self.certificate.as_ref()?);
        digest.as_ref().try_into().ok()
    }
}

/// Serves HTTP until the drain begins; connections are tasks of the drain and finish the requests they have in hand.
///
/// The service is cloned for each request and may be an `axum::Router`.
pub async fn serve_http<S, B>(
    listener: impl Into<Listener>,
    tls: Option<Arc<ServerTls>>,
    limits: HttpLimits,
    drain: Drain,
    service: S,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>> + Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>> + Send> + Send + 'static,
{
    // Who expects TLS would not understand.
    let refusal = if tls.is_some() { &[] } else { TOO_MANY_CONNECTIONS };
    let crowd = Crowd { most: limits.max_connections, refusal };
    let neighbours = Neighbours::new(limits.max_connections_per_peer, limits.max_connections);
    let host = Arc::new(Host { tls, limits, neighbours, drain: drain.clone(), service });
    accept_tcp(listener, crowd, drain, move |tcp, address, permit| {
        Arc::clone(&host).connection(tcp, address, permit)
    })
    .await;
}

/// What connections beyond the limit are told.
const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n\
    content-type: text/plain\r\ncontent-length: 22\r\nconnection: close\r\n\r\ntoo many connections\r\n";

/// What all connections of a listener share.
struct Host<S> {
    tls: Option<Arc<ServerTls>>,
    limits: HttpLimits,
    neighbours: Neighbours,
    drain: Drain,
    service: S,
}

impl<S, B> Host<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>> + Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>> + Send> + Send + 'static,
{
    async fn connection(self: Arc<Self>, tcp: TcpStream, address: SocketAddr, permit: Permit) {
        let Some(_place) = self.neighbours.admit(address.ip()) else { return permit.refuse() };
        let stream = match &self.tls {
            None => MaybeTls::Plain(tcp),
            Some(tls) => match tls.accept(tcp, self.limits.tls_handshake_timeout).await {
                Ok(stream) => stream,
                Err(error) => {
                    permit.refuse();
                    return tracing::debug!(peer = %address, %error, "no TLS");
                }
            },
        };
        let peer = Peer { address, certificate: stream.peer_certificate() };
        let outcome = if stream.alpn() == Some(b"h2") {
            self.http2(stream, peer).await
        } else {
            self.http1(stream, peer).await
        };
        if let Err(error) = outcome {
            tracing::debug!(peer = %address, %error, "connection ended");
        }
    }

    async fn http1(&self, stream: MaybeTls, peer: Peer) -> Result<(), ConnectionEnd> {
        let pulse = self.pulse(true);
        let io = TokioIo::new(Pulsed { stream, pulse: Arc::clone(&pulse) });
        let answer = self.answer(&pulse, peer);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None) // the pulse keeps this time
            .max_header_size(self.limits.max_header_bytes as usize)
            .serve_connection(io, service_fn(answer));
        drive(connection, &pulse, &self.drain).await
    }

    async fn http2(&self, stream: MaybeTls, peer: Peer) -> Result<(), ConnectionEnd> {
        let pulse = self.pulse(false);
        let io = TokioIo::new(Pulsed { stream, pulse: Arc::clone(&pulse) });
        let answer = self.answer(&pulse, peer);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(self.limits.max_header_bytes)
            .max_concurrent_streams(self.limits.max_streams)
            .serve_connection(io, service_fn(answer));
        drive(connection, &pulse, &self.drain).await
    }

    fn pulse(&self, octets_begin_requests: bool) -> Arc<Pulse> {
        let HttpLimits { header_read_timeout: head, idle_timeout: idle, stall_timeout: stall, .. } =
            self.limits;
        Pulse::new(PhaseLimits { head, idle, stall }, octets_begin_requests)
    }

    /// Hands a request to the service, marking it in hand until the last of its answer is taken.
    fn answer(
        &self,
        pulse: &Arc<Pulse>,
        peer: Peer,
    ) -> impl Fn(Request<Incoming>) -> AnswerFuture<Response<CountedBody<B>>, S::Error> + use<S, B> {
        let (service, pulse) = (self.service.clone(), Arc::clone(pulse));
        move |mut request| {
            let in_hand = pulse.begin();
            let service = service.clone();
            request.extensions_mut().insert(peer.clone());
            Box::pin(async move {
                let response = service.oneshot(request).await?;
                // An error passes unchanged; the closure is there to live as long as the body does.
                let count: CountFn<B> = Box::new(move |error| {
                    let _held = &in_hand;
                    error
                });
                Ok(response.map(|body| body.map_err(count)))
            })
        }
    }
}

type AnswerFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;
type CountFn<B> = Box<dyn FnMut(<B as Body>::Error) -> <B as Body>::Error + Send>;
type CountedBody<B> = http_body_util::combinators::MapErr<B, CountFn<B>>;

/// Why a connection ended other than by agreement.
#[derive(Debug, thiserror::Error)]
enum ConnectionEnd {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("nothing more heard in time (phase {0:?})")]
    Lapsed(Phase),
}

/// Runs a connection to its end, closing it when the drain begins or a phase lasts too long.
async fn drive<C>(connection: C, pulse: &Pulse, drain: &Drain) -> Result<(), ConnectionEnd>
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    let mut draining = pin!(drain.draining());
    let mut alarm = Alarm::new(pulse);
    let mut closing = false;
    std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended.map_err(ConnectionEnd::Http));
            }
            if closing || draining.as_mut().poll(cx).is_pending() {
                let phase = ready!(alarm.poll_lapse(cx, pulse));
                if closing || phase != Phase::Idle {
                    return Poll::Ready(Err(ConnectionEnd::Lapsed(phase)));
                }
            }
            closing = true;
            pulse.closing();
            connection.as_mut().graceful_shutdown();
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;
    use tokio::time::timeout;
    use tower::service_fn as tower_fn;

    use super::*;
    use crate::listen::bind;
    use crate::test_pki::Authority;
    use crate::tls::{Alpn, ClientTls};

    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(20);
    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    /// Every limit far away, so that a test that shortens one knows what closed the connection.
    fn far() -> HttpLimits {
        HttpLimits {
            header_read_timeout: LONG * 2,
            idle_timeout: LONG * 2,
            stall_timeout: LONG * 2,
            tls_handshake_timeout: LONG * 2,
            ..HttpLimits::default()
        }
    }

    struct Site {
        address: SocketAddr,
        drain: Drain,
        /// Released once for each request to `/wait`.
        gate: Arc<Notify>,
        /// Told when a request to `/wait` has arrived.
        arrived: Arc<Notify>,
    }

    /// Answers with the peer's port and certificate fingerprint; `/wait` waits for the gate.
    fn site(limits: HttpLimits, tls: Option<Arc<ServerTls>>) -> Site {
        let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (drain, gate, arrived) = (Drain::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inner_gate, inner_arrived) = (Arc::clone(&gate), Arc::clone(&arrived));
        let service = tower_fn(move |request: Request<Incoming>| {
            let (gate, arrived) = (Arc::clone(&inner_gate), Arc::clone(&inner_arrived));
            async move {
                if request.uri().path() == "/wait" {
                    arrived.notify_one();
                    gate.notified().await;
                }
                let peer = request.extensions().get::<Peer>().unwrap();
                let text = format!("{} {:?}", peer.address.port(), peer.certificate_sha256());
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
            }
        });
        drain.spawn(serve_http(listener, tls, limits, drain.clone(), service));
        Site { address, drain, gate, arrived }
    }

    async fn read_answer(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        while !text.windows(4).any(|end| end == b"None") {
            let mut buffer = [0; 512];
            let count = timeout(LONG, stream.read(&mut buffer)).await.unwrap().unwrap();
            assert_ne!(count, 0, "closed early: {}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(text).unwrap()
    }

    /// Waits for the server to close; what it said before.
    async fn read_end(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let ended = timeout(LONG, stream.read_to_end(&mut text)).await.expect("the server does not close");
        if let Err(error) = ended {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn requests_know_their_peer_and_connections_stay_open() {
        let site = site(far(), None);
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        let port = stream.local_addr().unwrap().port().to_string();
        for _ in 0..3 {
            stream.write_all(GET).await.unwrap();
            assert!(read_answer(&mut stream).await.contains(&port));
        }
    }

    #[tokio::test]
    async fn a_head_that_drips_is_cut_off() {
        let site = site(HttpLimits { header_read_timeout: SHORT, ..far() }, None);
        let mut silent = TcpStream::connect(site.address).await.unwrap();
        assert_eq!(read_end(&mut silent).await, "");
        let mut dripping = TcpStream::connect(site.address).await.unwrap();
        let begun = std::time::Instant::now();
        let drip = async {
            for octet in GET.iter().cycle() {
                if *octet != b'\r' && *octet != b'\n' && dripping.write_all(&[*octet]).await.is_err() {
                    return;
                }
                tokio::time::sleep(SHORT / 10).await;
            }
        };
        timeout(LONG, drip).await.expect("a slow head was borne");
        assert!(begun.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn a_later_head_has_the_same_limit_while_idleness_has_its_own() {
        let site = site(HttpLimits { header_read_timeout: SHORT, ..far() }, None);
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(GET).await.unwrap();
        read_answer(&mut stream).await;
        tokio::time::sleep(SHORT * 3).await; // idle for longer than a head may take
        stream.write_all(GET).await.unwrap();
        read_answer(&mut stream).await;
        stream.write_all(b"GET / HT").await.unwrap();
        assert_eq!(read_end(&mut stream).await, "");
    }

    /// All that one peer may have are taken; peers at other addresses are served.
    #[tokio::test]
    async fn one_peer_does_not_keep_others_out() {
        let site = site(HttpLimits { max_connections: 8, max_connections_per_peer: 3, ..far() }, None);
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(site.address).await.unwrap();
            stream.write_all(b"GET / HT").await.unwrap();
            held.push(stream);
        }
        for _ in 0..20 {
            let mut more = TcpStream::connect(site.address).await.unwrap();
            assert_eq!(read_end(&mut more).await, "");
        }
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        let mut other = socket.connect(site.address).await.unwrap();
        other.write_all(GET).await.unwrap();
        assert!(read_answer(&mut other).await.starts_with("HTTP/1.1 200"));
        held.pop();
        let mut again = TcpStream::connect(site.address).await.unwrap();
        while again.write_all(GET).await.is_err() || again.read_u8().await.is_err() {
            again = TcpStream::connect(site.address).await.unwrap();
        }
    }

    #[tokio::test]
    async fn idle_and_stalled_connections_are_closed() {
        let site = site(HttpLimits { idle_timeout: SHORT, stall_timeout: SHORT, ..far() }, None);
        let mut idle = TcpStream::connect(site.address).await.unwrap();
        idle.write_all(GET).await.unwrap();
        assert!(read_end(&mut idle).await.starts_with("HTTP/1.1 200"));
        let mut stalled = TcpStream::connect(site.address).await.unwrap();
        stalled.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert_eq!(read_end(&mut stalled).await, "");
    }

    #[tokio::test]
    async fn a_head_too_large_is_answered_431() {
        let site = site(HttpLimits { max_header_bytes: 1024, ..far() }, None);
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(2000));
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(read_end(&mut stream).await.starts_with("HTTP/1.1 431"));
    }

    #[tokio::test]
    async fn a_full_listener_lets_the_next_in_when_one_leaves() {
        let site = site(HttpLimits { max_connections: 1, ..far() }, None);
        let mut first = TcpStream::connect(site.address).await.unwrap();
        first.write_all(GET).await.unwrap();
        read_answer(&mut first).await;
        let mut second = TcpStream::connect(site.address).await.unwrap();
        second.write_all(GET).await.unwrap();
        assert!(timeout(SHORT, second.readable()).await.is_err(), "served beyond the limit");
        drop(first);
        read_answer(&mut second).await;
    }

    #[tokio::test]
    async fn a_drain_finishes_what_is_in_hand() {
        let site = site(far(), None);
        let mut idle = TcpStream::connect(site.address).await.unwrap();
        idle.write_all(GET).await.unwrap();
        read_answer(&mut idle).await;
        let mut busy = TcpStream::connect(site.address).await.unwrap();
        busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        timeout(LONG, site.arrived.notified()).await.unwrap();
        let draining = tokio::spawn(async move { site.drain.drain(LONG).await });
        assert_eq!(read_end(&mut idle).await, "", "idle connections close at once");
        assert!(TcpStream::connect(site.address).await.is_err(), "the door is shut");
        assert!(!draining.is_finished());
        site.gate.notify_one();
        let answer = read_end(&mut busy).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
        assert!(draining.await.unwrap());
    }

    #[tokio::test]
    async fn a_handshake_that_never_comes_is_cut_off() {
        let authority = Authority::new();
        authority.sign("server", &["localhost"]);
        let tls = Arc::new(ServerTls::load(&authority.server(), Alpn::Http).unwrap());
        let site = site(HttpLimits { tls_handshake_timeout: SHORT, ..far() }, Some(tls));
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        assert_eq!(read_end(&mut stream).await, "");
    }

    #[tokio::test]
    async fn http2_by_alpn_with_the_client_certificate_shown_to_the_service() {
        let authority = Authority::new();
        authority.sign("server", &["localhost"]);
        let shown = authority.sign("client", &["carrier.example"]);
        let mut settings = authority.server();
        settings.client_ca_file = Some(authority.path("ca.pem"));
        let tls = Arc::new(ServerTls::load(&settings, Alpn::Http).unwrap());
        let site = site(HttpLimits { idle_timeout: SHORT, ..far() }, Some(tls));
        let client = ClientTls::load(&authority.client(Some("client")), Alpn::Http).unwrap();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(client.config().clone())
            .no_proxy()
            .build()
            .unwrap();
        let url = format!("https://localhost:{}/", site.address.port());
        let digest = digest::digest(&digest::SHA256, &shown);
        for _ in 0..2 {
            let answer = client.get(&url).send().await.unwrap();
            assert_eq!(answer.version(), ::http::Version::HTTP_2);
            let text = answer.text().await.unwrap();
            assert!(text.ends_with(&format!("Some({:?})", digest.as_ref())), "{text}");
        }
        let connections_end = async {
            while site.drain.tasks() > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, connections_end).await.expect("an idle HTTP/2 connection is kept for ever");
        assert!(site.drain.drain(LONG).await);
    }
}
