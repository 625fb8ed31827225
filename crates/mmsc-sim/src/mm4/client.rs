//! Sending mail to the gateway: SMTP connections kept open and shared.

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::Mm4Names;
use crate::record::Answer;

/// Why a mail could not be handed over and no reply tells.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The gateway closed the connection.
    #[error("the gateway closed the connection")]
    Closed,
    /// What came is no SMTP reply.
    #[error("not an SMTP reply")]
    Garbled,
    /// The greeting, EHLO or AUTH was refused.
    #[error("the session was refused: {0}")]
    Refused(String),
}

/// Idle connections.
#[derive(Debug)]
pub(crate) struct Pool {
    names: Mm4Names,
    idle: Mutex<Vec<(String, Connection)>>,
    most: usize,
}

impl Pool {
    pub(crate) fn new(names: Mm4Names, most: usize) -> Self {
        Self { names, idle: Mutex::default(), most }
    }

    /// Sends one mail over an idle connection to `addr` or a new one. The answer is the first reply that refuses, or
    /// the last.
    pub(crate) async fn send(
        &self,
        addr: &str,
        from: &str,
        to: &[String],
        octets: &[u8],
    ) -> Result<Answer, ClientError> {
        if let Some(mut connection) = self.take(addr) {
            let sent = connection.send(from, to, octets).await;
            // A connection that went stale dies before its first reply; anything later is not repeated here.
            if sent.is_ok() || connection.replies > 0 {
                return self.keep(addr, connection, sent);
            }
        }
        let mut connection = Connection::open(addr, &self.names).await?;
        let sent = connection.send(from, to, octets).await;
        self.keep(addr, connection, sent)
    }

    fn take(&self, addr: &str) -> Option<Connection> {
        let mut idle = self.idle.lock();
        let at = idle.iter().position(|(known, _)| known == addr)?;
        Some(idle.swap_remove(at).1)
    }

    fn keep(
        &self,
        addr: &str,
        connection: Connection,
        sent: Result<Answer, ClientError>,
    ) -> Result<Answer, ClientError> {
        let answer = sent?;
        let mut idle = self.idle.lock();
        if answer.is_ok() && idle.len() < self.most {
            idle.push((addr.to_owned(), connection));
        }
        Ok(answer)
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    input: BytesMut,
    pipelining: bool,
    /// Replies to the present mail.
    replies: usize,
}

impl Connection {
    async fn open(addr: &str, names: &Mm4Names) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self { stream, input: BytesMut::new(), pipelining: false, replies: 0 };
        connection.expect_ok().await?;
        let hello = connection.command(&format!("EHLO {}\r\n", names.domain)).await?;
        require(&hello)?;
        connection.pipelining = hello.text.lines().any(|line| line.eq_ignore_ascii_case("PIPELINING"));
        if let Some(auth) = &names.report_auth {
            let secret = encodify::base64::STANDARD.encode(format!("\0{}\0{}", auth.username, auth.password));
            require(&connection.command(&format!("AUTH PLAIN {secret}\r\n")).await?)?;
        }
        Ok(connection)
    }

    async fn send(&mut self, from: &str, to: &[String], octets: &[u8]) -> Result<Answer, ClientError> {
        self.replies = 0;
        let mut commands = vec![format!("MAIL FROM:<{from}>\r\n")];
        commands.extend(to.iter().map(|to| format!("RCPT TO:<{to}>\r\n")));
        commands.push("DATA\r\n".into());
        let mut refusal = None;
        let mut ready = false;
        if self.pipelining {
            self.stream.write_all(commands.concat().as_bytes()).await?;
        }
        for command in &commands {
            let reply = if self.pipelining { self.reply().await? } else { self.command(command).await? };
            ready = reply.code == 354;
            if !ready && !reply.is_ok() {
                refusal.get_or_insert(reply);
                if !self.pipelining {
                    break;
                }
            }
        }
        if !ready {
            return refusal.ok_or(ClientError::Garbled);
        }
        // A refused recipient spoils the mail: end it empty rather than deliver it to some.
        let octets = if refusal.is_some() { &[][..] } else { octets };
        self.stream.write_all(&stuffed(octets)).await?;
        let last = self.reply().await?;
        Ok(refusal.unwrap_or(last))
    }

    async fn command(&mut self, command: &str) -> Result<Answer, ClientError> {
        self.stream.write_all(command.as_bytes()).await?;
        self.reply().await
    }

    async fn expect_ok(&mut self) -> Result<(), ClientError> {
        require(&self.reply().await?)
    }

    /// One reply, its lines without codes joined by line feeds.
    async fn reply(&mut self) -> Result<Answer, ClientError> {
        let mut text = String::new();
        loop {
            let line = self.line().await?;
            let (code, rest) = line.split_at_checked(3).ok_or(ClientError::Garbled)?;
            let code: u16 = code.parse().map_err(|_| ClientError::Garbled)?;
            if text.len() > MAX_REPLY {
                return Err(ClientError::Garbled);
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(rest.get(1..).unwrap_or_default());
            if !rest.starts_with('-') {
                self.replies += 1;
                return Ok(Answer { code, status: None, text });
            }
        }
    }

    async fn line(&mut self) -> Result<String, ClientError> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.input) {
                let line = self.input.split_to(at + 1);
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.input.len() > MAX_REPLY {
                return Err(ClientError::Garbled);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(ClientError::Closed);
            }
        }
    }
}

fn require(reply: &Answer) -> Result<(), ClientError> {
    if reply.is_ok() { Ok(()) } else { Err(ClientError::Refused(format!("{} {}", reply.code, reply.text))) }
}

/// Octets with dots doubled at the start of lines, and the final dot (RFC 5321 section 4.5.2).
fn stuffed(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + 64);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

const MAX_REPLY: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_and_the_end_is_marked() {
        assert_eq!(stuffed(b".a\r\n..\r\nb.c"), b"..a\r\n...\r\nb.c\r\n.\r\n");
        assert_eq!(stuffed(b""), b".\r\n");
        assert_eq!(stuffed(b"x\r\n"), b"x\r\n.\r\n");
    }
}
