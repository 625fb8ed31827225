//! A connection as both sides of this crate use it: octets in and out, each step with a time limit.

use std::io::{self, IoSlice};
use std::time::Duration;

use futures_util::FutureExt;
use mmsgw_net::MaybeTls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Octets read at once.
const READ: usize = 16 << 10;

/// How long the rest of what a peer says is read.
const LINGER: Duration = Duration::from_secs(2);

/// What a read came to.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// These octets.
    Octets(&'a [u8]),
    /// The peer closed the connection, or it broke.
    Closed,
    /// Nothing within the time.
    TimedOut,
}

/// One connection.
pub(crate) struct Peer {
    stream: MaybeTls,
    buffer: Box<[u8]>,
}

impl Peer {
    pub(crate) fn new(stream: MaybeTls) -> Self {
        Self { stream, buffer: vec![0; READ].into() }
    }

    pub(crate) fn into_stream(self) -> MaybeTls {
        self.stream
    }

    /// Waits for octets, for at most `limit`.
    pub(crate) async fn read(&mut self, limit: Duration) -> Input<'_> {
        match timeout(limit, self.stream.read(&mut self.buffer)).await {
            Err(_) => Input::TimedOut,
            Ok(Ok(0) | Err(_)) => Input::Closed,
            Ok(Ok(count)) => Input::Octets(&self.buffer[..count]),
        }
    }

    /// What is there without waiting; `None` for nothing.
    pub(crate) fn peek(&mut self) -> Option<Input<'_>> {
        Some(match self.stream.read(&mut self.buffer).now_or_never()? {
            Ok(0) | Err(_) => Input::Closed,
            Ok(count) => Input::Octets(&self.buffer[..count]),
        })
    }

    /// Writes all of `parts` in turn, without joining them; each write has `limit`.
    pub(crate) async fn write(&mut self, parts: &[&[u8]], limit: Duration) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> =
            parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            let written = timeout(limit, self.stream.write_vectored(rest)).await??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, written);
        }
        timeout(limit, self.stream.flush()).await?
    }

    /// Says goodbye to TLS and TCP, as far as the peer lets us.
    pub(crate) async fn close(&mut self, limit: Duration) {
        // Nothing depends on it.
        let _ = timeout(limit, self.stream.shutdown()).await;
    }

    /// The same, and reads for a while what the peer still says: a connection that is closed with octets unread is reset,
    /// and the peer may never see our last reply.
    pub(crate) async fn close_gently(&mut self, limit: Duration) {
        self.close(limit).await;
        let rest = async { while self.stream.read(&mut self.buffer).await.is_ok_and(|count| count > 0) {} };
        let _ = timeout(limit.min(LINGER), rest).await;
    }
}
