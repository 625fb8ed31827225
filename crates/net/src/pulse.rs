//! What an HTTP connection is doing right now, and since when.
//!
//! hyper's own limit for reading a request's head also runs while a kept-alive connection is idle, which would make
//! every peer with a pause between two requests connect anew. So the phases are told apart here: waiting for a head,
//! idle between requests, busy with some. The module only keeps the time; closing is `serve`'s affair.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long each phase may last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PhaseLimits {
    pub(crate) head: Duration,
    pub(crate) idle: Duration,
    pub(crate) stall: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A request's head is awaited: at the beginning, from the first octet of a later one, and while closing.
    Head,
    /// Between two requests.
    Idle,
    /// This many requests are being answered. Every octet moved starts the phase's time anew.
    Busy(usize),
}

/// Shared by the connection's stream, its requests and its driver.
#[derive(Debug)]
pub(crate) struct Pulse {
    limits: PhaseLimits,
    /// In HTTP/1 an octet on an idle connection begins a request; in HTTP/2 it may be anything.
    octets_begin_requests: bool,
    state: Mutex<(Phase, Instant)>,
}

impl Pulse {
    pub(crate) fn new(limits: PhaseLimits, octets_begin_requests: bool) -> Arc<Self> {
        let state = Mutex::new((Phase::Head, Instant::now()));
        Arc::new(Self { limits, octets_begin_requests, state })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state().0
    }

    /// When the present phase has lasted too long.
    pub(crate) fn deadline(&self) -> Instant {
        let (phase, since) = *self.state();
        since
            + match phase {
                Phase::Head => self.limits.head,
                Phase::Idle => self.limits.idle,
                Phase::Busy(_) => self.limits.stall,
            }
    }

    /// The connection is being closed: an idle one gets a last short time instead of its idle time.
    pub(crate) fn closing(&self) {
        let mut state = self.state();
        if state.0 == Phase::Idle {
            *state = (Phase::Head, Instant::now());
        }
    }

    /// A request has begun; it ends when what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InHand {
        let mut state = self.state();
        let others = if let Phase::Busy(count) = state.0 { count } else { 0 };
        *state = (Phase::Busy(others + 1), Instant::now());
        InHand(Arc::clone(self))
    }

    fn end(&self) {
        let mut state = self.state();
        let phase = match state.0 {
            Phase::Busy(count) if count > 1 => Phase::Busy(count - 1),
            _ => Phase::Idle,
        };
        *state = (phase, Instant::now());
    }

    fn octets_read(&self) {
        let mut state = self.state();
        match state.0 {
            Phase::Head => {}
            Phase::Idle if self.octets_begin_requests => *state = (Phase::Head, Instant::now()),
            Phase::Idle => {}
            Phase::Busy(_) => state.1 = Instant::now(),
        }
    }

    fn octets_written(&self) {
        let mut state = self.state();
        if matches!(state.0, Phase::Busy(_)) {
            state.1 = Instant::now();
        }
    }

    fn state(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Goes off when a phase has lasted too long. It is set back when it went off too early or would go off too late,
/// not at every octet.
#[derive(Debug)]
pub(crate) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(crate) fn new(pulse: &Pulse) -> Self {
        Self(Box::pin(sleep_until(pulse.deadline())))
    }

    /// Ready with the phase that has lasted too long. Called after every poll of the connection.
    pub(crate) fn poll_lapse(&mut self, cx: &mut Context<'_>, pulse: &Pulse) -> Poll<Phase> {
        loop {
            let due = pulse.deadline();
            if due < self.0.deadline() {
                self.0.as_mut().reset(due);
            }
            ready!(self.0.as_mut().poll(cx));
            let due = pulse.deadline();
            if due <= self.0.deadline() {
                return Poll::Ready(pulse.phase());
            }
            self.0.as_mut().reset(due);
        }
    }
}

/// A request being answered.
#[derive(Debug)]
pub(crate) struct InHand(Arc<Pulse>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A stream that tells its pulse of every octet.
#[derive(Debug)]
pub(crate) struct Pulsed<T> {
    pub(crate) stream: T,
    pub(crate) pulse: Arc<Pulse>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Pulsed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.pulse.octets_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Pulsed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, data))?;
        self.pulse.octets_written();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.pulse.octets_written();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
