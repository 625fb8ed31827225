//! Binding, and accepting TCP connections up to a limit.
//!
//! When all permits are out the listener stops accepting: newcomers wait in the kernel's queue and take their turn.
//! A fault of `accept` (file descriptors used up, a peer gone in the queue) never ends the listener. What is spoken
//! on a connection is the handler's affair.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connect::set_options;
use crate::count::ListenerCounts;
use crate::drain::Drain;

/// Binds with `SO_REUSEADDR`, so that a restart need not wait for old connections to fade. Returns the address really
/// bound, which differs from the one asked for when its port was 0.
///
/// # Errors
/// [`BindError`] with the address and the reason.
pub fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    open().map_err(|source| BindError { address, source })
}

/// Takes over a listening socket that another process opened, such as systemd. Returns its address as well.
///
/// # Errors
/// What the operating system says: it is no socket that listens, or none of TCP.
pub fn adopt(socket: std::net::TcpListener) -> io::Result<(TcpListener, SocketAddr)> {
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from_std(socket)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// An address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

/// A listening socket, and the count of its connections.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    counts: Arc<ListenerCounts>,
}

impl Listener {
    /// What is counted; goes on being so while the listener is served.
    #[must_use]
    pub fn counts(&self) -> Arc<ListenerCounts> {
        Arc::clone(&self.counts)
    }
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self { socket, counts: Arc::default() }
    }
}

/// The right to hold one of a listener's connections; dropping it lets the next one in.
#[derive(Debug)]
pub struct Permit {
    counts: Arc<ListenerCounts>,
    _held: OwnedSemaphorePermit,
}

impl Permit {
    /// Notes that its connection is not served.
    pub fn refuse(&self) {
        self.counts.refuse();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counts.close();
    }
}

/// Accepts connections until the drain begins, running `handler` for each as a task of the drain.
///
/// At most `max_connections` permits (at least one) are out at a time; the handler holds its permit as long as the
/// connection lives. Streams arrive with `TCP_NODELAY` and keep-alive set. The listening socket closes as soon as
/// the drain begins; tasks that run go on.
pub async fn accept_tcp<H, F>(listener: impl Into<Listener>, max_connections: usize, drain: Drain, handler: H)
where
    H: Fn(TcpStream, SocketAddr, Permit) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let Listener { socket, counts } = listener.into();
    let slots = Arc::new(Semaphore::new(max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    loop {
        let next = async {
            if slots.available_permits() == 0 {
                counts.fill();
            }
            let held = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            let (stream, address) = accept_one(&socket).await;
            counts.accept();
            (stream, address, Permit { counts: Arc::clone(&counts), _held: held })
        };
        let (stream, address, permit) = tokio::select! {
            biased;
            () = drain.draining() => return,
            accepted = next => accepted,
        };
        set_options(&stream);
        drain.spawn(handler(stream, address, permit));
    }
}

/// The next connection, however long `accept` fails before.
async fn accept_one(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_peers_fault(&error) => {
                tracing::debug!(%error, "a connection was gone before accept");
            }
            Err(error) => {
                tracing::warn!(%error, ?pause, "accept failed; waiting");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn is_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

const BACKLOG: u32 = 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn local() -> (TcpListener, SocketAddr) {
        bind("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn bind_reports_the_port_and_the_reason() {
        let (_listener, address) = local();
        assert_ne!(address.port(), 0);
        let error = bind(address).unwrap_err();
        assert_eq!(error.address, address);
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()));
    }

    #[tokio::test]
    async fn a_socket_that_was_opened_before_is_served() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let expected = socket.local_addr().unwrap();
        let (listener, address) = adopt(socket).unwrap();
        assert_eq!(address, expected);
        let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
        assert_eq!(accepted.unwrap().1, connected.unwrap().local_addr().unwrap());
    }

    /// Greets, then holds the connection until the peer says a word.
    async fn greet(mut stream: TcpStream, _address: SocketAddr, _permit: Permit) {
        assert!(stream.nodelay().unwrap());
        stream.write_all(b"!").await.unwrap();
        let _word = stream.read(&mut [0; 1]).await;
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_for_their_turn() {
        let (listener, address) = local();
        let listener = Listener::from(listener);
        let counts = listener.counts();
        let drain = Drain::new();
        let accepting = drain.spawn(accept_tcp(listener, 1, drain.clone(), greet));
        let mut octet = [0; 1];
        let mut first = TcpStream::connect(address).await.unwrap();
        first.read_exact(&mut octet).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(100), second.read_exact(&mut octet)).await;
        assert!(early.is_err(), "served beyond the limit");
        assert_eq!((counts.accepted(), counts.open(), counts.full(), counts.refused()), (1, 1, 1, 0));
        drop(first);
        second.read_exact(&mut octet).await.unwrap();
        drop(second);
        assert!(drain.drain(Duration::from_secs(20)).await);
        assert_eq!(accepting.await.unwrap(), Some(()));
        assert_eq!((counts.accepted(), counts.open()), (2, 0));
        assert!(TcpStream::connect(address).await.is_err(), "the listening socket is still open");
    }
}
