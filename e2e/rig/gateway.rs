//! The real binary as a process: configuration files in a fresh directory, start, addresses, end.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use toml::{Table, Value};

use super::{Api, LIMIT};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_mmsgw");

/// A fresh directory.
pub(crate) fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("mmsgw-e2e-").tempdir().unwrap()
}

/// Configuration files in a directory of their own.
#[derive(Debug)]
pub(crate) struct Files {
    directory: TempDir,
}

impl Files {
    /// Writes `mmsgw.toml`, with every listener on a free port, and each gateway file by name.
    pub(crate) fn write(main: &str, gateways: &[(&str, String)]) -> Self {
        let directory = scratch();
        let listeners = "[api]\nlisten = '127.0.0.1:0'\n[ops]\nlisten = '127.0.0.1:0'\n\
                         [mm4rx]\nlisten = '127.0.0.1:0'\n[mm7rx]\nlisten = '127.0.0.1:0'\n";
        std::fs::write(directory.path().join("mmsgw.toml"), overlaid(&[listeners, main])).unwrap();
        std::fs::create_dir(directory.path().join("gateways")).unwrap();
        for (name, text) in gateways {
            std::fs::write(directory.path().join("gateways").join(format!("{name}.toml")), text).unwrap();
        }
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn main(&self) -> PathBuf {
        self.path().join("mmsgw.toml")
    }
}

/// Short patience, so that scenarios see the end of it.
const IMPATIENT: &str = "[gateway]\nretry_delays = ['100ms', '200ms', '300ms']\nmax_tries = 4\n";

/// A gateway file for MM7 to `remote`; `more` is TOML that is laid over it.
pub(crate) fn mm7(group: &str, remote: &str, more: &str) -> String {
    let own = format!(
        "[gateway]\nprotocol = 'MM7'\nversion = '6.8.0'\nname = 'e2e'\ngroup = '{group}'\n\
         [outbound]\nremote_host = '{remote}'\n"
    );
    overlaid(&[IMPATIENT, &own, more])
}

/// A gateway file for MM4 to `remote`; `more` is TOML that is laid over it.
pub(crate) fn mm4(group: &str, remote: &str, more: &str) -> String {
    let own = format!(
        "[gateway]\nprotocol = 'MM4'\nversion = '6.10.0'\nname = 'e2e'\ngroup = '{group}'\n\
         [outbound]\nremote_host = '{remote}'\nremote_domain = 'mms.sim.example'\nlocal_domain = 'mms.gw.example'\n"
    );
    overlaid(&[IMPATIENT, &own, more])
}

/// `over`, a TOML text, laid over `under`.
pub(super) fn merged(under: Table, over: &str) -> String {
    overlaid(&[&toml::to_string(&under).unwrap(), over])
}

fn overlaid(texts: &[&str]) -> String {
    let mut whole = Table::new();
    for text in texts {
        lay_over(&mut whole, toml::from_str(text).unwrap());
    }
    toml::to_string(&whole).unwrap()
}

fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Runs the binary to its end.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    let running = tokio::process::Command::new(BINARY).args(arguments).kill_on_drop(true).output();
    tokio::time::timeout(LIMIT, running).await.expect("the command ends in time").unwrap()
}

/// `mmsgw serve` as a process. It is stopped by SIGTERM when dropped, and shows its log where a test fails.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    log: Arc<Mutex<String>>,
    files: Files,
    most_open: Option<u32>,
    is_killed: bool,
}

impl Gateway {
    /// Starts it and waits until all of its listeners are open.
    pub(crate) fn start(files: Files) -> Self {
        Self::start_with(files, None)
    }

    /// The same for a process that may have no more than `most` files and sockets open.
    pub(crate) fn start_with_few_files(files: Files, most: u32) -> Self {
        Self::start_with(files, Some(most))
    }

    fn start_with(files: Files, most_open: Option<u32>) -> Self {
        let (child, log) = spawn(&files, most_open);
        let mut gateway = Self { child, log, files, most_open, is_killed: false };
        gateway.await_listeners();
        gateway
    }

    fn await_listeners(&mut self) {
        let (start, main) = (Instant::now(), std::fs::read_to_string(self.files.main()).unwrap());
        // The order in which they are told is the gateway's; the API stands first, all come at once.
        while self.address("health and metrics").is_none() || self.address("API").is_none() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended at once:\n{}\n{main}", self.log());
            assert!(start.elapsed() < LIMIT, "no listeners:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The address that the log tells for `what`.
    pub(crate) fn address(&self, what: &str) -> Option<String> {
        let (log, sought) = (self.log(), format!("{what} on "));
        log.lines().find_map(|line| Some(line.split_once(&sought)?.1.trim().to_owned()))
    }

    /// The same, for what must be open; waits for the line.
    pub(crate) fn awaited(&self, what: &str) -> String {
        let start = Instant::now();
        loop {
            if let Some(address) = self.address(what) {
                return address;
            }
            assert!(start.elapsed() < LIMIT, "no `{what}`:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn api(&self) -> Api {
        Api::new(format!("http://{}", self.awaited("API")))
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Starts it again on what it left; its listeners may be at other ports.
    pub(crate) fn start_again(&mut self) {
        (self.child, self.log) = spawn(&self.files, self.most_open);
        self.is_killed = false;
        self.await_listeners();
    }

    /// Kills it, as a crash would end it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.is_killed = true;
    }

    /// Sends it SIGHUP.
    pub(crate) fn hang_up(&self) {
        let sent = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Stops it by SIGTERM; whether it ended with success.
    pub(crate) fn stop(&mut self) -> bool {
        if let Some(status) = self.child.try_wait().unwrap() {
            return status.success();
        }
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let start = Instant::now();
        while start.elapsed() < LIMIT {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        false
    }
}

/// The process, and its log as it grows.
fn spawn(files: &Files, most_open: Option<u32>) -> (Child, Arc<Mutex<String>>) {
    let mut command = match most_open {
        None => Command::new(BINARY),
        Some(most) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\""), BINARY]);
            shell
        }
    };
    let mut child = command
        .args(["serve", "-c"])
        .arg(files.main())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Arc::<Mutex<String>>::default();
    let (stderr, sink) = (child.stderr.take().unwrap(), Arc::clone(&log));
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut log = sink.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    (child, log)
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let good = self.is_killed || self.stop();
        if std::thread::panicking() || std::env::var_os("MMSGW_E2E_LOG").is_some() {
            eprintln!("== log of the gateway\n{}", self.log());
        }
        if !std::thread::panicking() {
            assert!(good, "the gateway did not end well:\n{}", self.log());
        }
    }
}
