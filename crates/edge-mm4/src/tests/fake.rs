//! A scripted SMTP server for tests of the sender. It shares no code with our receiver's session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mmsgw_net::{MaybeTls, ServerTls};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the server does instead of the usual.
pub(super) enum Act {
    /// Answers this.
    Say(&'static str),
    /// Answers this after a while.
    Later(Duration, &'static str),
    /// Closes the connection.
    Close,
    /// Keeps silent for ever.
    Silence,
}

/// Gets the number of the connection (from 0) and the line; `<connect>` and `<body>` are lines too.
pub(super) type Rule = dyn Fn(usize, &str) -> Option<Act> + Send + Sync;

pub(super) struct Fake {
    pub(super) address: SocketAddr,
    pub(super) heard: Arc<Mutex<Vec<(usize, String)>>>,
    pub(super) mails: Arc<Mutex<Vec<Vec<u8>>>>,
    connections: Arc<AtomicUsize>,
    pub(super) most: Arc<AtomicUsize>,
}

/// How the server is, beyond its rule.
#[derive(Default, Clone)]
pub(super) struct Manner {
    pub(super) extensions: &'static [&'static str],
    pub(super) tls: Option<Arc<ServerTls>>,
    /// TLS from the first octet.
    pub(super) tls_at_once: bool,
}

impl Fake {
    /// A server that takes everything, with PIPELINING.
    pub(super) async fn usual() -> Self {
        Self::start(|_, _| None).await
    }

    pub(super) async fn start(rule: impl Fn(usize, &str) -> Option<Act> + Send + Sync + 'static) -> Self {
        Self::with(Manner { extensions: &["PIPELINING"], ..Manner::default() }, rule).await
    }

    pub(super) async fn with(
        manner: Manner,
        rule: impl Fn(usize, &str) -> Option<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            heard: Arc::default(),
            mails: Arc::default(),
            connections: Arc::default(),
            most: Arc::default(),
        };
        let (heard, mails) = (Arc::clone(&fake.heard), Arc::clone(&fake.mails));
        let (count, most) = (Arc::clone(&fake.connections), Arc::clone(&fake.most));
        let rule: Arc<Rule> = Arc::new(rule);
        tokio::spawn(async move {
            let open = Arc::new(AtomicUsize::new(0));
            while let Ok((stream, _)) = listener.accept().await {
                let index = count.fetch_add(1, Ordering::SeqCst);
                let mut stream = MaybeTls::Plain(stream);
                let (manner, rule) = (manner.clone(), Arc::clone(&rule));
                let (heard, mails) = (Arc::clone(&heard), Arc::clone(&mails));
                let (open, most) = (Arc::clone(&open), Arc::clone(&most));
                tokio::spawn(async move {
                    most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    if manner.tls_at_once {
                        let tls = manner.tls.clone().unwrap();
                        let Ok(secured) = stream.upgrade_server(&tls, LONG).await else { return };
                        stream = secured;
                    }
                    let input = Vec::new();
                    let _ =
                        Talk { index, stream: Some(stream), input, manner, rule, heard, mails }.run().await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        fake
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Lines that began with `verb`.
    pub(super) fn count(&self, verb: &str) -> usize {
        self.heard.lock().iter().filter(|(_, line)| line.starts_with(verb)).count()
    }

    /// Waits, not for ever, until `done`.
    pub(super) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        wait_for(what, || done(self)).await;
    }
}

/// Waits, not for ever, until `done`.
pub(super) async fn wait_for(what: &str, done: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {what}");
}

pub(super) const LONG: Duration = Duration::from_secs(20);

struct Talk {
    index: usize,
    stream: Option<MaybeTls>,
    input: Vec<u8>,
    manner: Manner,
    rule: Arc<Rule>,
    heard: Arc<Mutex<Vec<(usize, String)>>>,
    mails: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// The connection is over.
struct Over;

impl Talk {
    async fn run(&mut self) -> Result<(), Over> {
        self.answer("<connect>", "220 fake ESMTP").await?;
        let mut accepted = 0;
        loop {
            let line = self.line().await?;
            self.heard.lock().push((self.index, line.clone()));
            let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    let lines: String =
                        self.manner.extensions.iter().map(|e| format!("250-{e}\r\n")).collect();
                    self.answer(&line, &format!("250-fake\r\n{lines}250 HELP")).await?;
                }
                "MAIL" => {
                    accepted = 0;
                    self.answer(&line, "250 ok").await?;
                }
                "RCPT" => accepted += usize::from(self.answer(&line, "250 ok").await?.starts_with('2')),
                "DATA" if accepted == 0 => drop(self.answer(&line, "554 nobody").await?),
                "DATA" => {
                    if self.answer(&line, "354 go on").await?.starts_with('3') {
                        let mail = self.mail().await?;
                        self.mails.lock().push(mail);
                        self.answer("<body>", "250 taken").await?;
                    }
                }
                "BDAT" => {
                    let size: usize = line.split(' ').nth(1).unwrap().parse().unwrap();
                    while self.input.len() < size {
                        self.more().await?;
                    }
                    let mail = self.input.drain(..size).collect();
                    self.mails.lock().push(mail);
                    self.answer("<body>", "250 taken").await?;
                }
                "AUTH" => drop(self.answer(&line, "235 welcome").await?),
                "STARTTLS" => {
                    self.answer(&line, "220 go on").await?;
                    let (stream, tls) = (self.stream.take().unwrap(), self.manner.tls.clone().unwrap());
                    self.stream = Some(stream.upgrade_server(&tls, LONG).await.map_err(|_| Over)?);
                }
                "QUIT" => {
                    self.answer(&line, "221 bye").await?;
                    return Err(Over);
                }
                _ => drop(self.answer(&line, "250 ok").await?),
            }
        }
    }

    async fn answer(&mut self, line: &str, usual: &str) -> Result<String, Over> {
        let text = match (self.rule)(self.index, line) {
            None => usual.to_owned(),
            Some(Act::Say(text)) => text.to_owned(),
            Some(Act::Later(pause, text)) => {
                tokio::time::sleep(pause).await;
                text.to_owned()
            }
            Some(Act::Close) => return Err(Over),
            Some(Act::Silence) => std::future::pending().await,
        };
        let stream = self.stream.as_mut().unwrap();
        stream.write_all(format!("{text}\r\n").as_bytes()).await.map_err(|_| Over)?;
        stream.flush().await.map_err(|_| Over)?;
        Ok(text)
    }

    async fn more(&mut self) -> Result<(), Over> {
        let mut buffer = [0; 4096];
        let count = self.stream.as_mut().unwrap().read(&mut buffer).await.map_err(|_| Over)?;
        self.input.extend_from_slice(&buffer[..count]);
        if count == 0 { Err(Over) } else { Ok(()) }
    }

    async fn line(&mut self) -> Result<String, Over> {
        loop {
            if let Some(end) = self.input.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.input.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8(line).unwrap());
            }
            self.more().await?;
        }
    }

    /// Lines up to the lone dot, doubled dots made single.
    async fn mail(&mut self) -> Result<Vec<u8>, Over> {
        let mut mail = Vec::new();
        loop {
            let line = self.line().await?;
            if line == "." {
                return Ok(mail);
            }
            mail.extend_from_slice(line.strip_prefix('.').unwrap_or(&line).as_bytes());
            mail.extend_from_slice(b"\r\n");
        }
    }
}
