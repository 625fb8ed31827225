//! Outgoing TCP, and streams that may turn into TLS half way.
//!
//! Names are looked up here and every address is tried in turn within one time limit. What to do after a failure
//! (another peer, later) is the edge's affair.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{client, server};

use crate::tls::{ClientTls, HandshakeError, ServerTls};

/// Connects to the first address of `host` that answers, with `TCP_NODELAY` and keep-alive probes set.
///
/// `host` is a name or an address (IPv6 with or without brackets). `limit` covers look-up and all attempts; each
/// address gets an equal share of what is left, so that one dead address does not use up the time of the next.
///
/// # Errors
/// [`ConnectError`] says which step failed and, per address, why.
pub async fn connect_tcp(host: &str, port: u16, limit: Duration) -> Result<TcpStream, ConnectError> {
    let fail = |fault| ConnectError { host: host.to_owned(), port, fault };
    let deadline = Instant::now() + limit;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let addresses: Vec<SocketAddr> = match timeout_at(deadline, lookup_host((bare, port))).await {
        Err(_) => return Err(fail(ConnectFault::LookupTimedOut(limit))),
        Ok(Err(source)) => return Err(fail(ConnectFault::Lookup(source))),
        Ok(Ok(found)) => found.take(MAX_ADDRESSES).collect(),
    };
    let mut attempts = Vec::new();
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                set_options(&stream);
                return Ok(stream);
            }
            Ok(Err(source)) => attempts.push(Attempt { address: *address, error: source }),
            Err(_) => attempts.push(Attempt { address: *address, error: io::ErrorKind::TimedOut.into() }),
        }
    }
    Err(fail(ConnectFault::Attempts(attempts)))
}

/// No connection to `host:port`.
#[derive(Debug, thiserror::Error)]
#[error("connect to {host}:{port}: {fault}")]
pub struct ConnectError {
    /// The host as asked for.
    pub host: String,
    /// The port as asked for.
    pub port: u16,
    /// The step that failed.
    #[source]
    pub fault: ConnectFault,
}

impl ConnectError {
    /// Whether time ran out, rather than somebody saying no.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match &self.fault {
            ConnectFault::LookupTimedOut(_) => true,
            ConnectFault::Lookup(_) => false,
            ConnectFault::Attempts(all) => all.iter().any(|one| one.error.kind() == io::ErrorKind::TimedOut),
        }
    }
}

/// The step of connecting that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectFault {
    /// The name could not be looked up.
    #[error("look-up failed: {0}")]
    Lookup(#[source] io::Error),
    /// The look-up alone took longer than the limit.
    #[error("look-up not done in {0:?}")]
    LookupTimedOut(Duration),
    /// No address answered; empty when the name has none.
    #[error("{}", AttemptList(.0))]
    Attempts(Vec<Attempt>),
}

/// One address that was tried in vain.
#[derive(Debug)]
pub struct Attempt {
    /// The address.
    pub address: SocketAddr,
    /// Why it failed; of kind `TimedOut` when its share of the limit passed.
    pub error: io::Error,
}

struct AttemptList<'a>(&'a [Attempt]);

impl fmt::Display for AttemptList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the name has no address");
        }
        for (at, Attempt { address, error }) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{address}: {error}")?;
        }
        Ok(())
    }
}

/// A TCP stream, plain or within TLS, from either side.
#[derive(Debug)]
pub enum MaybeTls {
    /// No TLS (yet).
    Plain(TcpStream),
    /// We are the client.
    Client(Box<client::TlsStream<TcpStream>>),
    /// We are the server.
    Server(Box<server::TlsStream<TcpStream>>),
}

impl MaybeTls {
    /// Turns a plain stream into TLS as its client (after STARTTLS was granted).
    ///
    /// The caller must have thrown away whatever it had read ahead, and must not have any: octets that came before
    /// the handshake were not protected by it (RFC 3207 clause 5).
    ///
    /// # Errors
    /// [`UpgradeError`]; the connection is gone.
    pub async fn upgrade_client(
        self,
        tls: &ClientTls,
        host: &str,
        limit: Duration,
    ) -> Result<Self, UpgradeError> {
        Ok(tls.connect(self.into_plain()?, host, limit).await?)
    }

    /// Turns a plain stream into TLS as its server (after answering STARTTLS). The same care is due as in
    /// [`MaybeTls::upgrade_client`].
    ///
    /// # Errors
    /// [`UpgradeError`]; the connection is gone.
    pub async fn upgrade_server(self, tls: &ServerTls, limit: Duration) -> Result<Self, UpgradeError> {
        Ok(tls.accept(self.into_plain()?, limit).await?)
    }

    /// Whether TLS protects the stream.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// The certificate the peer showed (and that was verified), in DER.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<Bytes> {
        let chain = match self {
            Self::Plain(_) => None,
            Self::Client(stream) => stream.get_ref().1.peer_certificates(),
            Self::Server(stream) => stream.get_ref().1.peer_certificates(),
        };
        chain?.first().map(|certificate| Bytes::copy_from_slice(certificate))
    }

    /// The application protocol agreed upon in the handshake.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Client(stream) => stream.get_ref().1.alpn_protocol(),
            Self::Server(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }

    /// The TCP stream beneath, for addresses and socket options.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Client(stream) => stream.get_ref().0,
            Self::Server(stream) => stream.get_ref().0,
        }
    }

    fn into_plain(self) -> Result<TcpStream, UpgradeError> {
        match self {
            Self::Plain(stream) => Ok(stream),
            Self::Client(_) | Self::Server(_) => Err(UpgradeError::AlreadyTls),
        }
    }
}

/// Why a stream did not turn into TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// It is TLS already.
    #[error("the stream is within TLS already")]
    AlreadyTls,
    /// The handshake did not succeed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

impl AsyncRead for MaybeTls {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Client(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Server(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for MaybeTls {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Client(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Server(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Client(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Server(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Client(stream) => stream.is_write_vectored(),
            Self::Server(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Client(stream) => Pin::new(stream).poll_flush(cx),
            Self::Server(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Client(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Server(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// `TCP_NODELAY` and keep-alive probes. A socket that refuses an option still carries data, so that is only noted.
pub(crate) fn set_options(stream: &TcpStream) {
    let probes = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    let outcome = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&probes));
    if let Err(error) = outcome {
        tracing::debug!(%error, "socket option not set");
    }
}

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::listen::bind;
    use crate::test_pki::Authority;
    use crate::tls::{Alpn, ClientTls};

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn names_and_addresses_connect() {
        let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        for host in ["127.0.0.1", "localhost"] {
            let stream = connect_tcp(host, address.port(), LONG).await.unwrap();
            assert!(stream.nodelay().unwrap());
            assert!(SockRef::from(&stream).keepalive().unwrap());
            listener.accept().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_refusal_names_the_address() {
        let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        drop(listener);
        let error = connect_tcp("127.0.0.1", address.port(), LONG).await.unwrap_err();
        assert!(!error.is_timeout());
        let ConnectFault::Attempts(attempts) = &error.fault else { panic!("{error}") };
        assert_eq!(attempts[0].address, address);
        assert_eq!(attempts[0].error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_host_that_does_not_answer_costs_no_more_than_the_limit() {
        // Nobody accepts, and the queue for those who wait is kept full: further handshakes get no answer.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
            assert!(waiting.len() < 100, "the queue does not fill");
        }
        let begun = Instant::now();
        let error = connect_tcp("127.0.0.1", address.port(), Duration::from_millis(150)).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert!(begun.elapsed() >= Duration::from_millis(150) && begun.elapsed() < LONG / 2);
    }

    #[tokio::test]
    async fn a_plain_stream_turns_into_tls_once() {
        let authority = Authority::new();
        let server_der = authority.sign("server", &["mmsc.example"]);
        let server_tls = ServerTls::load(&authority.server(), Alpn::None).unwrap();
        let client_tls = ClientTls::load(&authority.client(None), Alpn::None).unwrap();
        let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let serving = tokio::spawn(async move {
            let mut stream = MaybeTls::Plain(listener.accept().await.unwrap().0);
            stream.write_all(b"220").await.unwrap();
            let mut stream = stream.upgrade_server(&server_tls, LONG).await.unwrap();
            let mut word = [0; 4];
            stream.read_exact(&mut word).await.unwrap();
            stream.write_all(&word).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let mut stream = MaybeTls::Plain(connect_tcp("127.0.0.1", address.port(), LONG).await.unwrap());
        assert!(!stream.is_tls() && stream.peer_certificate().is_none());
        stream.read_exact(&mut [0; 3]).await.unwrap();
        let mut stream = stream.upgrade_client(&client_tls, "mmsc.example", LONG).await.unwrap();
        assert!(stream.is_tls());
        assert_eq!(stream.peer_certificate().unwrap(), server_der);
        assert_eq!(stream.alpn(), None);
        stream.write_all(b"EHLO").await.unwrap();
        let mut echoed = Vec::new();
        stream.read_to_end(&mut echoed).await.unwrap();
        assert_eq!(echoed, b"EHLO");
        serving.await.unwrap();
        let again = stream.upgrade_client(&client_tls, "mmsc.example", LONG).await;
        assert!(matches!(again, Err(UpgradeError::AlreadyTls)));
    }
}
