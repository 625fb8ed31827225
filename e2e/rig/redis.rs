//! A real `redis-server`: on a port of loopback, in a directory of its own, ended by its own handle.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::crash::free_ports;

/// One server.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(crate) address: SocketAddr,
    directory: TempDir,
    arguments: Vec<String>,
    child: Child,
}

impl Redis {
    /// A server that has everything on disk before it answers.
    pub(crate) fn durable() -> Self {
        Self::start(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// A server with further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let [address] = free_ports();
        Self::start_at(address, arguments)
    }

    fn start_at(address: SocketAddr, arguments: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("mmsgw-redis-").tempdir().unwrap();
        let mut all: Vec<String> = ["--bind", "127.0.0.1", "--save", ""].map(str::to_owned).to_vec();
        all.extend(["--port".to_owned(), address.port().to_string()]);
        all.extend(["--dir".to_owned(), directory.path().display().to_string()]);
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let child = spawn(&all);
        let mut redis = Self { address, directory, arguments: all, child };
        redis.await_pong();
        redis
    }

    /// A URL of it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The sections of the configuration that name it.
    pub(crate) fn storage(&self) -> String {
        format!(
            "[media_storage]\ndirectory = 'media'\n[message_storage]\nkind = 'redis'\n[message_storage.redis]\nservers = ['{}']\n",
            self.url()
        )
    }

    /// Kills it, as a crash would end it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP: it does nothing any more, its sockets stay.
    pub(crate) fn freeze(&self) {
        signal(self.child.id(), "STOP");
    }

    /// SIGCONT: it goes on where it was.
    pub(crate) fn thaw(&mut self) {
        // It may have been killed meanwhile.
        if self.child.try_wait().unwrap().is_none() {
            signal(self.child.id(), "CONT");
        }
    }

    /// Starts it again on what it left.
    pub(crate) fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// The same with variables in its environment.
    pub(crate) fn start_again_with(&mut self, environment: &[(String, String)]) {
        self.child = spawn_with(&self.arguments, environment);
        self.await_pong();
    }

    fn await_pong(&mut self) {
        let start = Instant::now();
        while self.cli(&["PING"]).trim() != "PONG" {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "redis-server ended: {ended:?}, in {}", self.directory.path().display());
            assert!(start.elapsed() < Duration::from_secs(30), "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What `redis-cli` prints.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let port = self.address.port().to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output();
        String::from_utf8_lossy(&output.expect("redis-cli is installed by scripts/test").stdout).into_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

fn spawn(arguments: &[String]) -> Child {
    spawn_with(arguments, &[])
}

fn spawn_with(arguments: &[String], environment: &[(String, String)]) -> Child {
    let mut command = Command::new("redis-server");
    command
        .args(arguments)
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("redis-server is installed by scripts/test")
}

/// A master with one replica, watched by three sentinels.
#[derive(Debug)]
pub(crate) struct Sentinels {
    pub(crate) servers: [Redis; 2],
    sentinels: Vec<Redis>,
}

impl Sentinels {
    pub(crate) fn start() -> Self {
        let master = Redis::durable();
        let port = master.address.port().to_string();
        let replica = Redis::start(&["--appendonly", "yes", "--replicaof", "127.0.0.1", &port]);
        let sentinels = (0..3).map(|_| sentinel(&port)).collect();
        let set = Self { servers: [master, replica], sentinels };
        let start = Instant::now();
        while !set.knows_all() {
            assert!(start.elapsed() < Duration::from_secs(30), "the sentinels do not find each other");
            std::thread::sleep(Duration::from_millis(100));
        }
        set
    }

    fn knows_all(&self) -> bool {
        let told = |sentinel: &Redis| sentinel.cli(&["SENTINEL", "MASTER", "carrier"]);
        let field = |text: &str, name: &str| {
            let mut lines = text.lines().skip_while(|line| *line != name);
            lines.nth(1).and_then(|number| number.parse::<u32>().ok())
        };
        let well = |text: &str| {
            field(text, "num-other-sentinels") == Some(2) && field(text, "num-slaves") == Some(1)
        };
        self.sentinels.iter().all(|sentinel| well(&told(sentinel)))
    }

    /// The sections of the configuration that name them; a commit is one once the replica has it too.
    pub(crate) fn storage(&self) -> String {
        let urls: Vec<String> = self.sentinels.iter().map(Redis::url).collect();
        format!(
            "[media_storage]\ndirectory = 'media'\n[message_storage]\nkind = 'redis'\n[message_storage.redis]\nmode = 'sentinel'\n\
             master = 'carrier'\nservers = {urls:?}\ndurability = 'replicas'\nreplicas = 1\ntimeout = '2s'\n"
        )
    }

    /// Which of the servers is the master, as the sentinels say.
    pub(crate) fn master(&self) -> usize {
        let told = self.sentinels[0].cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "carrier"]);
        let port = told.lines().nth(1).unwrap_or_default().to_owned();
        usize::from(self.servers[1].address.port().to_string() == port)
    }
}

/// A sentinel writes into its configuration, so it needs a file of its own.
fn sentinel(master_port: &str) -> Redis {
    let [address] = free_ports();
    let directory = tempfile::Builder::new().prefix("mmsgw-sentinel-").tempdir().unwrap();
    let file = directory.path().join("sentinel.conf");
    let text = format!(
        "bind 127.0.0.1\nport {}\ndir {}\nsentinel monitor carrier 127.0.0.1 {master_port} 2\n\
         sentinel down-after-milliseconds carrier 1000\nsentinel failover-timeout carrier 6000\n",
        address.port(),
        directory.path().display()
    );
    std::fs::write(&file, text).unwrap();
    let arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
    let child = spawn(&arguments);
    let mut redis = Redis { address, directory, arguments, child };
    redis.await_pong();
    redis
}
