//! Binding, and accepting TCP connections up to a limit.
//!
//! When all permits are out newcomers wait a moment for their turn and are then told to come again; when too many wait
//! already the listener stops accepting, and more of them stay in the kernel's queue. A fault of `accept` (file
//! descriptors used up, a peer gone in the queue) never ends the listener: one descriptor is kept in reserve, to tell
//! newcomers as much. What is spoken on a connection is the handler's affair.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
    /// The right that goes with a connection just accepted.
    fn new(counts: &Arc<ListenerCounts>, held: OwnedSemaphorePermit) -> Self {
        counts.accept();
        Self { counts: Arc::clone(counts), _held: held }
    }

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

/// How many connections a listener has, and what it says to those beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// Most connections at a time; one at least.
    pub most: usize,
    /// What newcomers are told who waited for [`Crowd::PATIENCE`]; empty: they are let go without a word, as where a
    /// word in clear would not be understood.
    pub refusal: &'static [u8],
}

impl Crowd {
    /// How long a newcomer waits for its turn.
    pub const PATIENCE: Duration = Duration::from_secs(3);
    /// Most newcomers that wait.
    pub const WAITING: usize = 256;
}

/// Accepts connections until the drain begins, running `handler` for each as a task of the drain.
///
/// At most `crowd.most` permits are out at a time; the handler holds its permit as long as the connection lives.
/// Streams arrive with `TCP_NODELAY` and keep-alive set. The listening socket closes as soon as the drain begins; tasks
/// that run go on.
pub async fn accept_tcp<H, F>(listener: impl Into<Listener>, crowd: Crowd, drain: Drain, handler: H)
where
    H: Fn(TcpStream, SocketAddr, Permit) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let Listener { socket, counts } = listener.into();
    let handler = Arc::new(handler);
    let slots = Arc::new(Semaphore::new(crowd.most.clamp(1, Semaphore::MAX_PERMITS)));
    let waiting = Arc::new(Semaphore::new(Crowd::WAITING.min(crowd.most).max(1)));
    let mut reserve = Reserve::open();
    loop {
        let next = async {
            let place = Arc::clone(&waiting).acquire_owned().await.expect("the semaphore is never closed");
            let (stream, address) = accept_one((&socket, &counts), &mut reserve, crowd.refusal).await;
            (stream, address, place)
        };
        let (stream, address, place) = tokio::select! {
            biased;
            () = drain.draining() => return,
            accepted = next => accepted,
        };
        set_options(&stream);
        if let Ok(held) = Arc::clone(&slots).try_acquire_owned() {
            drain.spawn(handler(stream, address, Permit::new(&counts, held)));
            continue;
        }
        counts.fill();
        let (handler, slots, draining) = (Arc::clone(&handler), Arc::clone(&slots), drain.clone());
        let counts = Arc::clone(&counts);
        drain.spawn(async move {
            let turn = tokio::select! {
                () = draining.draining() => return,
                turn = tokio::time::timeout(Crowd::PATIENCE, slots.acquire_owned()) => turn,
            };
            if let Ok(held) = turn {
                drop(place);
                let held = held.expect("the semaphore is never closed");
                return handler(stream, address, Permit::new(&counts, held)).await;
            }
            tracing::debug!(peer = %address, "a connection more than there may be was refused");
            counts.turn_away();
            refuse(stream, crowd.refusal, FAREWELL).await;
        });
    }
}

/// A file descriptor that is given up for the time in which a newcomer is told that there is none for it.
struct Reserve(Option<File>);

impl Reserve {
    fn open() -> Self {
        Self(File::open("/dev/null").ok())
    }
}

/// The next connection, however long `accept` fails before.
async fn accept_one(
    (listener, counts): (&TcpListener, &ListenerCounts),
    reserve: &mut Reserve,
    refusal: &'static [u8],
) -> (TcpStream, SocketAddr) {
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_peers_fault(&error) => {
                tracing::debug!(%error, "a connection was gone before accept");
            }
            Err(error) => {
                if pause == FIRST_PAUSE {
                    tracing::warn!(%error, "accept failed; newcomers are refused or wait");
                }
                if is_exhausted(&error) && reserve.0.take().is_some() {
                    // Another thread may be faster with the descriptor; then nobody is told this time.
                    if let Ok(Ok((stream, _))) = tokio::time::timeout(FIRST_PAUSE, listener.accept()).await {
                        counts.turn_away();
                        refuse(stream, refusal, SHORT_FAREWELL).await;
                    }
                }
                tokio::time::sleep(pause).await;
                *reserve = Reserve::open();
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Says `refusal` and closes once the peer has, or after `limit`: a connection that is closed with octets unread is
/// reset, and the peer may never see what was said.
async fn refuse(mut stream: TcpStream, refusal: &'static [u8], limit: Duration) {
    if refusal.is_empty() {
        return;
    }
    let farewell = async {
        stream.write_all(refusal).await?;
        stream.shutdown().await?;
        let mut unread = [0; 4 << 10];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    // Who is gone need not be told.
    let _ = tokio::time::timeout(limit, farewell).await;
}

/// The process, or the system, has as many files open as it may.
fn is_exhausted(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

fn is_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

const BACKLOG: u32 = 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Time for a peer that is refused to read why.
const FAREWELL: Duration = Duration::from_secs(2);
/// The same where nobody else is accepted meanwhile.
const SHORT_FAREWELL: Duration = Duration::from_millis(200);

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

    fn crowd(refusal: &'static [u8]) -> Crowd {
        Crowd { most: 1, refusal }
    }

    #[tokio::test]
    async fn who_waited_in_vain_is_told() {
        let (listener, address) = local();
        let drain = Drain::new();
        drain.spawn(accept_tcp(listener, crowd(b"later"), drain.clone(), greet));
        let mut octet = [0; 1];
        let mut first = TcpStream::connect(address).await.unwrap();
        first.read_exact(&mut octet).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"a word of which nobody takes notice").await.unwrap();
        let mut said = String::new();
        second.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "later");
        drop(first);
        let mut third = TcpStream::connect(address).await.unwrap();
        third.read_exact(&mut octet).await.unwrap();
        assert_eq!(&octet, b"!");
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_for_their_turn() {
        let (listener, address) = local();
        let listener = Listener::from(listener);
        let counts = listener.counts();
        let drain = Drain::new();
        let accepting = drain.spawn(accept_tcp(listener, crowd(b""), drain.clone(), greet));
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
