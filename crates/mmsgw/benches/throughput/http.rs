//! One HTTP/1.1 connection that stays open, by hand: whole requests in, status and body out. Costs next to nothing,
//! so that it is not the client that is measured.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection.
pub(crate) struct Connection {
    stream: TcpStream,
    input: BytesMut,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: BytesMut::with_capacity(8 << 10) })
    }

    /// Sends a request, gives back status and body of the answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, Bytes)> {
        self.stream.write_all(request).await?;
        loop {
            if let Some(end) = find(&self.input, b"\r\n\r\n") {
                let head = self.input.split_to(end);
                self.input.advance(4);
                return self.body(&head).await;
            }
            self.fill().await?;
        }
    }

    async fn body(&mut self, head: &[u8]) -> anyhow::Result<(u16, Bytes)> {
        let length = content_length(head)?;
        let mut words = std::str::from_utf8(head)?.split(' ');
        let status = words.nth(1).and_then(|word| word.parse().ok()).context("no status")?;
        while self.input.len() < length {
            self.fill().await?;
        }
        Ok((status, self.input.split_to(length).freeze()))
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.input).await? == 0 {
            bail!("the connection was closed instead of an answer");
        }
        Ok(())
    }
}

/// Octets of the body that follows a head; none where it says nothing.
pub(crate) fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    Ok(length.map_or(Ok(0), |value| value.trim().parse())?)
}

/// A whole `POST` of `body`.
pub(crate) fn post(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The body of a `GET`.
pub(crate) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<Bytes> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let (status, body) = Connection::open(address).await?.exchange(request.as_bytes()).await?;
    if status != 200 {
        bail!("{path}: status {status}");
    }
    Ok(body)
}

/// Where `needle` begins.
pub(crate) fn find(octets: &[u8], needle: &[u8]) -> Option<usize> {
    octets.windows(needle.len()).position(|window| window == needle)
}
