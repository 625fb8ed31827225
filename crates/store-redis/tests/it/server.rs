//! A redis-server process of a test.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mmsgw_domain::Span;
use mmsgw_store_redis::{RedisMode, RedisSettings};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

/// A server with a directory of its own. It ends with this value.
pub(crate) struct Server {
    folder: TempDir,
    pub(crate) port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// A server with an append-only file that is synced at each write, and further `arguments`.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        // Somebody else may take the port before the server does: then another one is tried.
        for _ in 0..10 {
            let folder = tempfile::tempdir().unwrap();
            let mut server = Self { folder, port: free_port(), arguments: arguments.clone(), child: None };
            if server.run().await {
                return server;
            }
        }
        panic!("redis-server does not start; its log is in its directory");
    }

    /// Starts the process. False where it ended at once.
    pub(crate) async fn run(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        let port = self.port.to_string();
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(self.folder.path());
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--logfile", "log"]);
        command.args(["--unixsocket", self.socket().to_str().unwrap()]);
        command.args(&self.arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect(
            "these tests need redis-server: install the Debian package redis-server (scripts/test does it as root)",
        );
        serves(self.child.insert(child), self.port).await
    }

    /// Ends the process at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn settings(&self) -> RedisSettings {
        settings(RedisMode::Single, vec![self.address()])
    }

    pub(crate) async fn connection(&self) -> redis::RedisResult<MultiplexedConnection> {
        redis::Client::open(self.address())?.get_multiplexed_async_connection().await
    }

    /// Makes a call that must succeed.
    pub(crate) async fn call<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.connection().await.unwrap();
        let mut command = redis::Cmd::new();
        command.arg(words).query_async(&mut connection).await.unwrap_or_else(|e| panic!("{words:?}: {e}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until the process serves at the port. False where it ended, as it does where somebody else has the port.
pub(crate) async fn serves(child: &mut Child, port: u16) -> bool {
    let own = format!("process_id:{}\r", child.id());
    for _ in 0..1500 {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        if let Ok(mut connection) = client.get_multiplexed_async_connection().await {
            let info: redis::RedisResult<String> = redis::cmd("INFO").query_async(&mut connection).await;
            if info.is_ok_and(|info| info.contains(&own) && !info.contains("loading:1")) {
                return true;
            }
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("redis-server {} does not answer", child.id());
}

pub(crate) fn settings(mode: RedisMode, servers: Vec<String>) -> RedisSettings {
    RedisSettings { mode, servers, timeout: Span::secs(20), ..RedisSettings::default() }
}

/// A port that is free and below those that the system gives to outgoing connections, with room for the port of the
/// cluster's bus 10,000 above.
pub(crate) fn free_port() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    loop {
        let chance = RandomState::new().hash_one(std::process::id());
        let port = 11_000 + u16::try_from(chance % 10_000).unwrap();
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

/// Waits until something holds, or fails.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain: {what}");
}
