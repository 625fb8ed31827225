//! Servers for tests: they answer what they are told to, octet by octet, and tell what they were asked.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

/// What a server was asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).expect("a request line")
    }
}

/// A server at work.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) asked: mpsc::UnboundedReceiver<Asked>,
}

impl Server {
    /// Answers each request as `answer` says, which sees the path. An answer without a length ends with the
    /// connection if it ends in nothing else; `None` is no answer at all.
    pub(crate) async fn start(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer).await
    }

    /// The same, on a socket that is there already.
    pub(crate) async fn on(
        listener: TcpListener,
        answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::unbounded_channel();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tell, answer) = (tell.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    // A client that goes away is its own affair.
                    let _ended = converse(stream, &tell, answer.as_ref()).await;
                });
            }
        });
        Self { address, asked }
    }

    /// The same to everybody.
    pub(crate) async fn saying(answer: &'static str) -> Self {
        Self::start(move |_| Some(answer.to_owned())).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn converse(
    mut stream: TcpStream,
    tell: &mpsc::UnboundedSender<Asked>,
    answer: &(dyn Fn(&str) -> Option<String> + Send + Sync),
) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let mut asked = Asked { head: String::from_utf8(head).unwrap(), body: Vec::new() };
        let length = asked.header("content-length").map_or(0, |text| text.parse().unwrap());
        asked.body.resize(length, 0);
        stream.read_exact(&mut asked.body).await?;
        let answer = answer(asked.path());
        tell.send(asked).ok();
        let Some(answer) = answer else {
            stream.read_u8().await?;
            return Ok(());
        };
        stream.write_all(answer.as_bytes()).await?;
        if !answer.contains("content-length") && !answer.contains("chunked") {
            return stream.shutdown().await;
        }
    }
}

/// An answer with a body and its length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// A port where nobody listens, and nobody else will while the socket is held.
pub(crate) fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}
