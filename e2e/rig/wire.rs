//! A wire between two parts of the world that can be cut, stalled, slowed, or made to carry octets one way only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::crash::free_ports;

/// What is wrong with a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    /// It is cut: connections break, new ones are closed at once.
    Cut,
    /// Connections stay, and nothing passes.
    Stall,
    /// So few octets pass at a time, a hundred times a second.
    Drip(usize),
    /// What the caller says passes; what it is answered does not.
    HalfOpen,
}

/// A TCP proxy on loopback; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    flaw: watch::Sender<Flaw>,
    calls: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Wire {
    /// A wire to whatever listens, or will listen, at `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let [address] = free_ports();
        let listener = TcpListener::bind(address).await.unwrap();
        let (flaw, calls) = (watch::Sender::new(Flaw::None), Arc::new(AtomicUsize::new(0)));
        let accepting = tokio::spawn(accept(listener, target, flaw.subscribe(), Arc::clone(&calls)));
        Self { address, flaw, calls, accepting }
    }

    /// Has this wrong from now on.
    pub(crate) fn be(&self, flaw: Flaw) {
        self.flaw.send_replace(flaw);
    }

    /// Connections that were made to it so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
        self.flaw.send_replace(Flaw::Cut);
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    flaw: watch::Receiver<Flaw>,
    calls: Arc<AtomicUsize>,
) {
    loop {
        let Ok((near, _)) = listener.accept().await else { continue };
        calls.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(connect(near, target, flaw.clone()));
    }
}

async fn connect(near: TcpStream, target: SocketAddr, flaw: watch::Receiver<Flaw>) {
    if *flaw.borrow() == Flaw::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let there = pump(near_in, far_out, flaw.clone(), false);
    let back = pump(far_in, near_out, flaw.clone(), true);
    let mut flaw = flaw;
    tokio::select! {
        _ = flaw.wait_for(|flaw| *flaw == Flaw::Cut) => {}
        () = async { tokio::join!(there, back); } => {}
    }
}

/// Carries octets one way until they end; `is_answer` for the way back to who called.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut flaw: watch::Receiver<Flaw>,
    is_answer: bool,
) {
    let mut octets = vec![0; 64 << 10];
    loop {
        let most = match *flaw.borrow() {
            Flaw::Drip(octets) => octets.max(1),
            _ => octets.len(),
        };
        let count = match from.read(&mut octets[..most]).await {
            Ok(count) if count > 0 => count,
            _ => break,
        };
        let stops = |flaw: &Flaw| *flaw == Flaw::Stall || (is_answer && *flaw == Flaw::HalfOpen);
        if flaw.wait_for(|flaw| !stops(flaw)).await.is_err() {
            break;
        }
        if to.write_all(&octets[..count]).await.is_err() {
            break;
        }
        let drips = matches!(*flaw.borrow(), Flaw::Drip(_));
        if drips {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let _ = to.shutdown().await;
}
