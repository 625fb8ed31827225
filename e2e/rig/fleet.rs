//! Many processes on one store: each role as a process of its own, between a carrier and an application that outlive
//! them all.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mmsgw_mmsc_sim::{Received, SimConfig, Simulator, Targets};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::crash::free_ports;
use super::{Application, LIMIT};

/// Directory, ports, carrier and application, and how to start processes.
pub(crate) struct Fleet {
    pub(crate) carrier: Simulator,
    pub(crate) application: Application,
    pub(crate) apis: [SocketAddr; 2],
    directory: TempDir,
    http: reqwest::Client,
}

/// The groups, each of one protocol.
pub(crate) const GROUPS: [&str; 2] = ["mm7", "mm4"];

impl Fleet {
    /// A fleet whose processes keep their data as `storage` says, a TOML text of `[message_storage]` and what belongs
    /// to it; `over` is laid over each gateway file's `[gateway]` section.
    pub(crate) async fn new(storage: &str, config: SimConfig, over: &str) -> Self {
        let [api, other_api, smtp, carrier_http] = free_ports();
        let carrier = Simulator::start(config).await.unwrap();
        carrier.set_targets(Targets {
            mm7_report_url: Some(format!("http://{carrier_http}/mmsgw/v1/mms/inbound/mm7")),
            mm4_report_addr: Some(smtp.to_string()),
        });
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let fleet = Self {
            carrier,
            application: Application::start(),
            apis: [api, other_api],
            directory: tempfile::Builder::new().prefix("mmsgw-fleet-").tempdir().unwrap(),
            http,
        };
        for (index, api) in fleet.apis.iter().enumerate() {
            let main = format!(
                "api.listen = '{api}'\nmm4rx.listen = '{smtp}'\nmm7rx.listen = '{carrier_http}'\n\
                 [general]\ninstance_ttl = '2s'\nlease = '10s'\nidempotency_takeover = '3s'\ncallback_delays = ['300ms']\ncallback_tries = 1000\n\
                 report_delays = ['300ms']\nreport_tries = 1000\n{storage}"
            );
            // The second host has the shared media under another name.
            let main = if index == 0 { main } else { main.replace("'media'", "'media-elsewhere'") };
            std::fs::write(fleet.main(index), main).unwrap();
        }
        std::fs::create_dir(fleet.directory.path().join("media")).unwrap();
        let elsewhere = fleet.directory.path().join("media-elsewhere");
        std::os::unix::fs::symlink(fleet.directory.path().join("media"), elsewhere).unwrap();
        fleet.write_gateways(over);
        fleet
    }

    fn write_gateways(&self, over: &str) {
        let directory = self.directory.path().join("gateways");
        std::fs::create_dir(&directory).unwrap();
        let head = |protocol: &str, version: &str, group: &str| {
            format!(
                "[gateway]\nprotocol = '{protocol}'\nversion = '{version}'\nname = 'fleet'\ngroup = '{group}'\n\
                 retry_delays = ['300ms']\nmax_tries = 1000\n{over}\n[features]\nrequest_submit_ack = true\n\
                 request_delivery_report = true\n[inbound]\nmms_received_url = '{}'\n[outbound]\n",
                self.application.url("received")
            )
        };
        let mm7 =
            format!("{}remote_host = 'http://{}/mm7'\n", head("MM7", "6.8.0", "mm7"), self.carrier.mm7_addr);
        let mm4 = format!(
            "{}remote_host = '{}'\nremote_domain = 'mms.sim.example'\nlocal_domain = 'mms.gw.example'\n",
            head("MM4", "6.10.0", "mm4"),
            self.carrier.mm4_addr
        );
        std::fs::write(directory.join("mm7.toml"), mm7).unwrap();
        std::fs::write(directory.join("mm4.toml"), mm4).unwrap();
    }

    fn main(&self, index: usize) -> PathBuf {
        self.directory.path().join(format!("mmsgw-{index}.toml"))
    }

    /// The file of a gateway.
    pub(crate) fn gateway_file(&self, name: &str) -> PathBuf {
        self.directory.path().join("gateways").join(format!("{name}.toml"))
    }

    /// Starts a process with this role and further arguments, by the configuration of that number.
    pub(crate) fn start(&self, role: &str, index: usize, more: &[&str]) -> Process {
        let mut arguments = vec![role.to_owned()];
        if role == "gateway" && more.iter().all(|argument| argument.starts_with("--")) {
            arguments.push("--no-mm7rx".to_owned());
            arguments.extend(GROUPS.map(|group| self.gateway_file(group).display().to_string()));
        }
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        if !more.contains(&"--ops") {
            arguments.extend(["--ops", "off"].map(str::to_owned));
        }
        arguments.extend(["-c".to_owned(), self.main(index).display().to_string()]);
        let log = self.directory.path().join(format!("{role}.log"));
        Process::start(role, arguments, log)
    }

    /// Posts message number `number` at one of the APIs; its id where the answer is 202, else the status, 0 for none.
    pub(crate) async fn post(
        &self,
        number: usize,
        group: &str,
        events_url: Option<&str>,
    ) -> Result<String, u16> {
        let url = format!("http://{}/mmsgw/v1/mms", self.apis[number % 2]);
        let mut send = json!({"destination": format!("+1555{number:07}"), "gateway": group});
        if let Some(url) = events_url {
            send["events_url"] = json!(url);
        }
        let text = format!("message {number}");
        let mut parts = vec![json!({"name": "a.txt", "content_type": "text/plain", "content": text})];
        if number.is_multiple_of(PICTURES) {
            let picture = encodify::base64::STANDARD.encode(picture(number));
            parts.push(json!({"name": "a.png", "content_type": "image/png", "encoding": "base64", "content": picture}));
        }
        let body = json!({
            "origin": "+15555550101", "subject": format!("fleet {number:06}"), "parts": parts, "send": send,
        });
        let request = self.http.post(url).header("content-type", "application/json").body(body.to_string());
        // Who posts again after an answer was lost, at whichever process, makes no second message.
        let request = request.header("idempotency-key", format!("fleet-{number}"));
        let answer = request.send().await.map_err(|_| 0_u16)?;
        if answer.status().as_u16() != 202 {
            return Err(answer.status().as_u16());
        }
        let place = answer.headers().get("location").and_then(|place| place.to_str().ok());
        Ok(place.and_then(|place| place.rsplit('/').next()).expect("202 says where it is").to_owned())
    }

    /// A message as one of the APIs shows it; `None` where none answers with it.
    pub(crate) async fn message(&self, id: &str) -> Option<Value> {
        let url = format!("http://{}/mmsgw/v1/mms/outbound/{id}", self.apis[0]);
        let answer = self.http.get(url).send().await.ok()?;
        if answer.status().is_success() { answer.json().await.ok() } else { None }
    }

    /// Waits until an API answers.
    pub(crate) async fn await_api(&self, index: usize) {
        let start = Instant::now();
        while tokio::net::TcpStream::connect(self.apis[index]).await.is_err() {
            assert!(start.elapsed() < LIMIT, "no API:\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Copies of each message at the carrier, by number.
    pub(crate) fn copies(&self) -> BTreeMap<usize, Vec<Received>> {
        let mut copies = BTreeMap::<usize, Vec<Received>>::new();
        for received in self.carrier.received() {
            let original = matches!(received.kind.as_str(), "SubmitReq" | "MM4_forward.REQ");
            let subject = received.subject.as_deref().filter(|_| original).unwrap_or_default();
            if let Some(number) = subject.strip_prefix("fleet ").and_then(|number| number.parse().ok()) {
                copies.entry(number).or_default().push(received);
            }
        }
        copies
    }

    /// The last lines of all logs.
    pub(crate) fn logs(&self) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(self.directory.path()).unwrap().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "log") {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
                let lines: Vec<&str> = text.lines().collect();
                let tail = lines[lines.len().saturating_sub(30)..].join("\n");
                all.push_str(&format!("== {}\n{tail}\n", path.file_name().unwrap().display()));
            }
        }
        all
    }

    /// Lines of all logs that contain `text`.
    pub(crate) fn logged(&self, text: &str) -> usize {
        let entries = std::fs::read_dir(self.directory.path()).unwrap().flatten();
        let logs =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.map(|log| String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).matches(text).count())
            .sum()
    }
}

/// One of so many messages has a picture, which is with the shared media.
pub(crate) const PICTURES: usize = 7;

/// Octets that no other message has.
pub(crate) fn picture(number: usize) -> Vec<u8> {
    (0..3_000).map(|place: usize| u8::try_from((place * (number + 3)) % 251).unwrap()).collect()
}

/// A process of the fleet.
pub(crate) struct Process {
    role: String,
    arguments: Vec<String>,
    log: PathBuf,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Process {
    /// Runs the binary with `arguments`; what it logs is added to the file.
    pub(crate) fn start(role: &str, arguments: Vec<String>, log: PathBuf) -> Self {
        let mut process =
            Self { role: role.to_owned(), arguments, log, environment: Vec::new(), child: None };
        process.spawn();
        process
    }

    /// Variables that it is started with from now on.
    pub(crate) fn environment(&mut self, environment: &[(String, String)]) {
        self.environment = environment.to_vec();
    }

    /// Its id, while it runs.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub(crate) fn spawn(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(&self.log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_mmsgw"))
            .args(&self.arguments)
            .env_remove("MMSGW_LOG")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
    }

    /// Starts it again where it has ended by itself, as whoever looks after services does: one that finds no store when it
    /// starts ends and says why.
    pub(crate) fn supervise(&mut self) {
        if self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some()) {
            self.spawn();
        }
    }

    /// SIGKILL, and another one in its place.
    pub(crate) fn replace(&mut self) {
        self.kill();
        self.spawn();
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM; how long it took to end, which has to be with success.
    pub(crate) async fn terminate(&mut self) -> Duration {
        let mut child = self.child.take().expect("it runs");
        let start = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{} ended with {status}", self.role);
                return start.elapsed();
            }
            assert!(start.elapsed() < LIMIT, "{} does not end", self.role);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it ended with, once it has.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let child = self.child.as_mut().expect("it runs");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < LIMIT, "{} does not end", self.role);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
