//! Servers for tests: moto's S3 as a process of its own on loopback, and peers that behave badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mmsgw_domain::Span;
use parking_lot::Mutex;

use crate::S3Settings;

pub(crate) const BUCKET: &str = "mmsgw-media";

/// What the server takes for a signature as long as it is not told to look.
const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// An S3 server, stopped when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
    log: Arc<Mutex<Vec<String>>>,
    client: reqwest::Client,
}

impl Server {
    /// Starts the server with an empty bucket.
    pub(crate) async fn start() -> Self {
        let server = Self::run(|_| ());
        server.raw("PUT", "", "").await;
        server
    }

    /// Starts the server with arguments or variables of its own, without a bucket.
    pub(crate) fn run(change: impl FnOnce(&mut Command)) -> Self {
        let program = program();
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        change(&mut command);
        let started = command.spawn();
        let mut process = started.unwrap_or_else(|e| {
            panic!("{}: {e}; scripts/test installs the S3 server that this test starts", program.display())
        });
        let lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let log = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || lines.for_each(|line| log.lock().push(line))
        });
        let mut server = Self { process, url: String::new(), log, client: reqwest::Client::new() };
        server.url = server.wait_for("its address", |log| {
            log.iter().find_map(|line| Some(line.split_once("Running on ")?.1.trim().to_owned()))
        });
        server
    }

    /// Settings for the bucket on this server.
    pub(crate) fn settings(&self) -> S3Settings {
        settings(&self.url)
    }

    /// A request that is none of the store's, on a key of the bucket or, with an empty one, on the bucket itself.
    pub(crate) async fn raw(&self, method: &str, key: &str, body: &'static str) {
        let url = format!("{}/{BUCKET}/{key}", self.url);
        let request =
            self.client.request(method.parse().unwrap(), url).body(Bytes::from_static(body.as_bytes()));
        let status = request.header("authorization", SIGNED).send().await.unwrap().status();
        assert!(status.is_success(), "{method} {key}: {status}");
    }

    /// Forgets the requests so far.
    pub(crate) async fn forget_requests(&self) {
        self.settle().await;
        self.log.lock().clear();
    }

    /// Methods and keys of the requests since, as they were answered.
    pub(crate) async fn requests(&self) -> Vec<String> {
        self.settle().await;
        let log = self.log.lock();
        let asked = |line: &String| {
            let (_, rest) = line.split_once('"')?;
            let (method, path) = rest.split_once(" HTTP/")?.0.split_once(' ')?;
            let key = path.strip_prefix(&format!("/{BUCKET}/"))?;
            // The log paints some methods, in a colour whose code ends in `m`.
            Some(format!("{} {key}", method.rsplit('m').next()?))
        };
        log.iter().filter_map(asked).collect()
    }

    /// Waits until all that was answered is in the log, which is written after each answer.
    async fn settle(&self) {
        let marker = format!("/settle-{}", self.log.lock().len());
        self.client.head(format!("{}{marker}", self.url)).send().await.unwrap();
        self.wait_for("the log", |log| log.iter().any(|line| line.contains(&marker)).then_some(()));
    }

    fn wait_for<T>(&self, what: &str, look: impl Fn(&[String]) -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(found) = look(&self.log.lock()) {
                return found;
            }
            assert!(Instant::now() < end, "the S3 server does not tell {what}: {:#?}", self.log.lock());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills the process.
    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Settings for the bucket on a server, which never rest on a put before.
pub(crate) fn settings(url: &str) -> S3Settings {
    S3Settings {
        endpoint: Some(url.parse().unwrap()),
        bucket: BUCKET.into(),
        access_key_id: Some("mmsgw".into()),
        secret_access_key: Some("a secret".to_owned().into()),
        fresh_for: Span::secs(0),
        ..S3Settings::default()
    }
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/s3/bin/moto_server")
}

/// A peer that answers every request in the same way, or not at all.
pub(crate) struct Peer {
    pub(crate) url: String,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    waiting: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Peer {
    /// Without an `answer` it leaves everybody waiting.
    pub(crate) fn start(answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counts = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, answer, &counts));
            }
        });
        Self { url, counts }
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// Most requests that waited for their answers at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.counts.most_at_once.load(Ordering::SeqCst)
    }
}

/// One request without a body, then the end of the connection.
fn serve(mut stream: TcpStream, answer: Option<&str>, counts: &Counts) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        if stream.read(&mut octet).unwrap_or(0) == 0 {
            return;
        }
        head.push(octet[0]);
    }
    counts.requests.fetch_add(1, Ordering::SeqCst);
    let waiting = counts.waiting.fetch_add(1, Ordering::SeqCst) + 1;
    counts.most_at_once.fetch_max(waiting, Ordering::SeqCst);
    match answer {
        Some(answer) => {
            // Long enough for others to come, if they may.
            std::thread::sleep(Duration::from_millis(20));
            counts.waiting.fetch_sub(1, Ordering::SeqCst);
            drop(stream.write_all(answer.as_bytes()));
        }
        // Until the client is tired of it.
        None => drop(stream.read(&mut [0])),
    }
}
