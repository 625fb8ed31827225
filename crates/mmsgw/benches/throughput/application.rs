//! An application that takes callbacks: counts them and says yes, or keeps everybody waiting until it is told to.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn_local};

use crate::http;

/// Runs on the loader's thread as long as it is kept.
pub(crate) struct Application {
    pub(crate) address: SocketAddr,
    taken: Rc<Cell<u64>>,
    gate: watch::Sender<bool>,
    listening: AbortHandle,
}

impl Drop for Application {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Application {
    /// Listens; answers nobody before [`Application::open`].
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, taken) = (listener.local_addr()?, Rc::new(Cell::new(0)));
        let (gate, is_open) = watch::channel(false);
        let count = Rc::clone(&taken);
        let listening = spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A connection that breaks off is the gateway's matter, which sends again.
                spawn_local(serve(stream, Rc::clone(&count), is_open.clone()));
            }
        });
        Ok(Self { address, taken, gate, listening: listening.abort_handle() })
    }

    /// Where callbacks go.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/callback", self.address)
    }

    /// Answers from now on.
    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }

    /// Waits until it has taken so many.
    pub(crate) async fn took(&self, count: u64, limit: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.taken.get() < count {
            if begun.elapsed() > limit {
                bail!("the application has {} of {count} callbacks after {limit:?}", self.taken.get());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

async fn serve(mut stream: TcpStream, taken: Rc<Cell<u64>>, mut is_open: watch::Receiver<bool>) {
    let mut input = BytesMut::new();
    let _ = stream.set_nodelay(true);
    loop {
        let Some(end) = http::find(&input, b"\r\n\r\n") else {
            match stream.read_buf(&mut input).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        let Ok(length) = http::content_length(&input.split_to(end)) else { return };
        input.advance(4);
        while input.len() < length {
            if !matches!(stream.read_buf(&mut input).await, Ok(1..)) {
                return;
            }
        }
        input.advance(length);
        if is_open.wait_for(|open| *open).await.is_err() {
            return;
        }
        taken.set(taken.get() + 1);
        if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
            return;
        }
    }
}
