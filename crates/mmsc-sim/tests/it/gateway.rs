//! A tiny gateway: it takes whatever the carrier sends and keeps it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};

/// What a tiny gateway took: HTTP bodies with their heads, or mails with their envelope.
#[derive(Clone, Default)]
pub(crate) struct Taken(Arc<Mutex<Vec<String>>>);

impl Taken {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits for `count` items.
    pub(crate) async fn wait(&self, count: usize) -> Vec<String> {
        let waiting = async {
            while self.all().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(crate::PATIENCE, waiting).await.expect("the carrier sends what is expected");
        self.all()
    }

    fn push(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

/// Answers POSTs in turn with the given statuses, the last one for ever.
pub(crate) async fn http(statuses: &'static [u16]) -> (String, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mm7", listener.local_addr().unwrap());
    let taken = Taken::default();
    let served = taken.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(http_session(BufStream::new(stream), served.clone(), statuses));
        }
    });
    (url, taken)
}

async fn http_session(mut stream: BufStream<TcpStream>, taken: Taken, statuses: &'static [u16]) {
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let status = statuses[taken.all().len().min(statuses.len() - 1)];
        taken.push(format!("{head}\r\n{}", String::from_utf8_lossy(&body)));
        let answer = "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
            <DeliveryReportRsp><Status><StatusCode>1000</StatusCode></Status></DeliveryReportRsp></e:Body></e:Envelope>";
        let answer = if status == 200 { answer } else { "" };
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
}

/// Takes mails, refusing the first `refused` with 451.
pub(crate) async fn smtp(refused: usize) -> (String, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let taken = Taken::default();
    let served = taken.clone();
    let refused = Arc::new(Mutex::new(refused));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(smtp_session(BufStream::new(stream), served.clone(), Arc::clone(&refused)));
        }
    });
    (addr, taken)
}

async fn smtp_session(mut stream: BufStream<TcpStream>, taken: Taken, refused: Arc<Mutex<usize>>) {
    let mut mail = String::new();
    let mut in_data = false;
    let mut reply = "220 tiny\r\n";
    loop {
        if stream.write_all(reply.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        reply = match line.trim_end() {
            "." if in_data => {
                in_data = false;
                let mut refused = refused.lock().unwrap();
                if *refused > 0 {
                    *refused -= 1;
                    mail.clear();
                    "451 later\r\n"
                } else {
                    taken.push(std::mem::take(&mut mail));
                    "250 ok\r\n"
                }
            }
            _ if in_data => {
                mail.push_str(&line);
                ""
            }
            "DATA" => {
                in_data = true;
                "354 go\r\n"
            }
            command if command.starts_with("EHLO") => "250-tiny\r\n250 PIPELINING\r\n",
            command => {
                if command.starts_with("MAIL") || command.starts_with("RCPT") {
                    mail.push_str(&line);
                }
                "250 ok\r\n"
            }
        };
    }
}
