//! HTTP/1.1 by hand, server side, just enough for MM7: the carrier must be able to misbehave below HTTP.
//!
//! Reads requests with Content-Length or chunked bodies and keeps the connection open; knows nothing of SOAP.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wire::write_slowly;

/// Why a request could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The peer closed in the middle.
    #[error("the connection closed in the middle of a request")]
    Closed,
    /// The head is no HTTP/1 request; says where.
    #[error("not an HTTP/1 request: {0}")]
    Malformed(&'static str),
    /// Head or body are larger than allowed.
    #[error("the request is too large")]
    TooLarge,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Whether the connection stays open afterwards.
    pub(crate) keep_alive: bool,
}

impl Request {
    /// The first value of a header field, in any letter case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        crate::mail::field(&self.headers, name)
    }
}

/// A server connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    input: BytesMut,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, input: BytesMut::new() }
    }

    /// Waits for the first octet of a request without reading it; false if the peer is gone.
    pub(crate) async fn wait(&mut self) -> std::io::Result<bool> {
        if !self.input.is_empty() {
            return Ok(true);
        }
        let mut first = [0];
        Ok(self.stream.peek(&mut first).await? > 0)
    }

    /// Says nothing until the peer closes.
    pub(crate) async fn wait_for_end(&mut self) -> std::io::Result<()> {
        let mut scratch = [0; 4096];
        while self.stream.read(&mut scratch).await? > 0 {}
        Ok(())
    }

    /// Reads one request whose body has at most `limit` octets.
    pub(crate) async fn read(&mut self, limit: usize) -> Result<Request, HttpError> {
        let head = self.read_head().await?;
        let (method, headers, keep_alive) = parse_head(&head)?;
        let find = |name| crate::mail::field(&headers, name);
        if find("Expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let chunked = find("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let body = if chunked {
            self.read_chunks(limit).await?
        } else {
            let length = find("Content-Length").map_or(Ok(0), |value| value.trim().parse());
            let length: usize = length.map_err(|_| HttpError::Malformed("Content-Length"))?;
            if length > limit {
                return Err(HttpError::TooLarge);
            }
            self.take(length).await?
        };
        Ok(Request { method, headers, body, keep_alive })
    }

    /// Writes octets, at `drip` octets a second if given.
    pub(crate) async fn write(&mut self, octets: &[u8], drip: Option<u32>) -> std::io::Result<()> {
        write_slowly(&mut self.stream, octets, drip).await
    }

    async fn read_head(&mut self) -> Result<Bytes, HttpError> {
        let mut searched = 0;
        loop {
            if let Some(at) = memmem::find(&self.input[searched..], b"\r\n\r\n") {
                let head = self.input.split_to(searched + at).freeze();
                self.input.advance(4);
                return Ok(head);
            }
            searched = self.input.len().saturating_sub(3);
            if self.input.len() > MAX_HEAD {
                return Err(HttpError::TooLarge);
            }
            self.fill(READ_AHEAD).await?;
        }
    }

    async fn read_chunks(&mut self, limit: usize) -> Result<Bytes, HttpError> {
        let mut body = BytesMut::new();
        loop {
            let line = self.read_line().await?;
            let digits = line.split(|octet| *octet == b';').next().unwrap_or_default();
            let digits = std::str::from_utf8(digits).unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).map_err(|_| HttpError::Malformed("chunk size"))?;
            if size == 0 {
                while !self.read_line().await?.is_empty() {}
                return Ok(body.freeze());
            }
            if size > limit.saturating_sub(body.len()) {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&self.take(size).await?);
            if !self.read_line().await?.is_empty() {
                return Err(HttpError::Malformed("end of a chunk"));
            }
        }
    }

    async fn read_line(&mut self) -> Result<Bytes, HttpError> {
        loop {
            if let Some(at) = memmem::find(&self.input, b"\r\n") {
                let line = self.input.split_to(at).freeze();
                self.input.advance(2);
                return Ok(line);
            }
            if self.input.len() > MAX_LINE {
                return Err(HttpError::TooLarge);
            }
            self.fill(READ_AHEAD).await?;
        }
    }

    async fn take(&mut self, length: usize) -> Result<Bytes, HttpError> {
        while self.input.len() < length {
            self.fill(length - self.input.len()).await?;
        }
        Ok(self.input.split_to(length).freeze())
    }

    async fn fill(&mut self, wanted: usize) -> Result<(), HttpError> {
        self.input.reserve(wanted.clamp(READ_AHEAD, MAX_STEP));
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(HttpError::Closed),
            _ => Ok(()),
        }
    }
}

type Head = (String, Vec<(String, String)>, bool);

fn parse_head(head: &[u8]) -> Result<Head, HttpError> {
    let head = std::str::from_utf8(head).map_err(|_| HttpError::Malformed("head is not UTF-8"))?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(_path), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HttpError::Malformed("request line"));
    };
    if !version.starts_with("HTTP/1.") {
        return Err(HttpError::Malformed("version"));
    }
    let header = |line: &str| {
        let (name, value) = line.split_once(':').ok_or(HttpError::Malformed("header field"))?;
        Ok((name.to_owned(), value.trim().to_owned()))
    };
    let headers: Vec<_> = lines.map(header).collect::<Result<_, HttpError>>()?;
    let connection = crate::mail::field(&headers, "Connection").unwrap_or_default().to_ascii_lowercase();
    let keep_alive = match version {
        "HTTP/1.0" => connection.contains("keep-alive"),
        _ => !connection.contains("close"),
    };
    Ok((method.to_owned(), headers, keep_alive))
}

const MAX_HEAD: usize = 64 << 10;
const MAX_LINE: usize = 4 << 10;
const READ_AHEAD: usize = 8 << 10;
const MAX_STEP: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_strictly() {
        let (method, headers, keep_alive) =
            parse_head(b"POST /mm7 HTTP/1.1\r\nHost: a\r\nContent-Length: 3").unwrap();
        assert_eq!((method.as_str(), headers.len(), keep_alive), ("POST", 2, true));
        assert!(!parse_head(b"POST / HTTP/1.0").unwrap().2);
        assert!(!parse_head(b"POST / HTTP/1.1\r\nConnection: Close").unwrap().2);
        for bad in ["", "POST /", "POST / x HTTP/1.1", "POST / HTTP/2.0", "POST / HTTP/1.1\r\nnocolon"] {
            assert!(parse_head(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
