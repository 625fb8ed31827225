//! The processes of a benchmark: started, asked, measured, and ended when dropped.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::http::{self, Connection};

/// The gateway as it was built with this benchmark.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_mmsgw");

/// Where processes have their files, and which ones they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) binary: &'a Path,
    /// Level of the gateway's log; its addresses have to be in it.
    pub(crate) log: &'a str,
    /// Where the gateway keeps things, as its main file says it; nothing for the embedded store.
    pub(crate) storage: &'a str,
}

/// A process of ours.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process used up so far, and holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Resident octets.
    pub(crate) resident: u64,
}

impl Usage {
    /// Of this process.
    pub(crate) fn own() -> anyhow::Result<Self> {
        Self::of("self")
    }

    fn of(pid: &str) -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in brackets may hold blanks; user and system time are fields 14 and 15 of the whole.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let field = |index: usize| -> anyhow::Result<u64> {
            Ok(fields.get(index).context("a short stat file")?.parse()?)
        };
        let (ticks, pages) = (field(11)? + field(12)?, field(21)?);
        Ok(Self { cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND), resident: pages * PAGE })
    }
}

/// As Linux shows times to programs on all its machines.
const TICKS_PER_SECOND: u64 = 100;
const PAGE: u64 = 4096;

/// A pretend carrier.
pub(crate) struct Carrier {
    process: Process,
    pub(crate) mm7: SocketAddr,
    pub(crate) mm4: SocketAddr,
    control: SocketAddr,
}

impl Carrier {
    /// A carrier that takes `delay` for each answer, and either keeps messages or only counts them.
    pub(crate) fn start(site: &Site<'_>, delay: Duration, keep: bool) -> anyhow::Result<Self> {
        let mode = if keep { "full" } else { "counters" };
        let millis = delay.as_millis();
        let text = format!(
            "[recording]\nmode = '{mode}'\n\
             [script.mm7.delay]\nmin_ms = {millis}\nmax_ms = {millis}\n\
             [script.mm4.delay]\nmin_ms = {millis}\nmax_ms = {millis}\n"
        );
        let file = tempfile::Builder::new().prefix("carrier-").suffix(".toml").tempfile_in(site.directory)?;
        std::fs::write(file.path(), text)?;
        let mut command = Command::new(site.binary);
        command.arg("simulate").arg("--config").arg(file.path()).stdout(Stdio::piped());
        let mut process = Process(command.spawn().context("cannot start the carrier")?);
        let output = process.0.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let mut address = |word: &str| -> anyhow::Result<SocketAddr> {
            for line in lines.by_ref() {
                let line = line?;
                let mut words = line.split_whitespace();
                if words.next() == Some(word) {
                    let found = words.find_map(|w| {
                        w.trim_start_matches("http://").split('/').next().and_then(|text| text.parse().ok())
                    });
                    return found.with_context(|| format!("no address in `{line}`"));
                }
            }
            bail!("the carrier told no address for {word}")
        };
        let (mm7, mm4, control) = (address("MM7")?, address("MM4")?, address("control")?);
        Ok(Self { process, mm7, mm4, control })
    }

    /// Messages that it took responsibility for.
    pub(crate) async fn accepted(&self) -> anyhow::Result<u64> {
        let counts: Value = serde_json::from_slice(&http::get(self.control, "/counts").await?)?;
        counts["accepted"].as_u64().context("no count")
    }

    /// What it keeps of the messages.
    pub(crate) async fn received(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&http::get(self.control, "/received").await?)?)
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(&self.process.0.id().to_string())
    }
}

/// A gateway.
pub(crate) struct Gateway {
    process: Process,
    pub(crate) api: SocketAddr,
    ops: SocketAddr,
    /// Where carriers of its groups, which have one protocol, bring what they have.
    pub(crate) inbound: SocketAddr,
}

impl Gateway {
    /// A gateway with its data in `directory`, and one connection to a carrier for each text in `gateways`.
    pub(crate) async fn start(site: &Site<'_>, gateways: &[String]) -> anyhow::Result<Self> {
        let (directory, level, storage) = (site.directory, site.log, site.storage);
        let config = directory.join("mmsgw.toml");
        std::fs::create_dir_all(directory.join("gateways"))?;
        let listen = "listen = '127.0.0.1:0'";
        let main = format!(
            "[log]\nlevel = '{level}'\n[api]\n{listen}\n[ops]\n{listen}\n[mm4rx]\n{listen}\n[mm7rx]\n{listen}\n\
             [callbacks]\nin_flight = {CALLBACKS}\ntimeout = '5m'\n{storage}"
        );
        std::fs::write(&config, main)?;
        for (index, text) in gateways.iter().enumerate() {
            std::fs::write(directory.join(format!("gateways/{index}.toml")), text)?;
        }
        let log = directory.join("gateway.log");
        let mut command = Command::new(site.binary);
        command.arg("serve").arg("--config").arg(&config).stdout(Stdio::null()).stderr(File::create(&log)?);
        let mut process = Process(command.spawn().context("cannot start the gateway")?);
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log)?;
            let address = |what: &str| {
                let line = text.lines().find(|line| line.contains(what))?;
                line.rsplit(' ').next()?.trim().parse().ok()
            };
            let inbound = address("HTTP for carriers on ").or_else(|| address("SMTP for carriers on "));
            if let (Some(api), Some(ops), Some(inbound)) =
                (address("API on "), address("health and metrics on "), inbound)
            {
                return Ok(Self { process, api, ops, inbound });
            }
            if process.0.try_wait()?.is_some() || begun.elapsed() > START {
                bail!("the gateway did not start: {text}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until `count` messages of `group` are recorded as sent and its queue is empty.
    pub(crate) async fn sent(&self, group: &str, count: u64, limit: Duration) -> anyhow::Result<()> {
        let done = |metrics: &Metrics<'_>| metrics.sent() >= count && metrics.jobs("tx") == 0;
        self.until(group, limit, done).await.with_context(|| format!("not all of {count} were sent"))
    }

    /// Waits until so many messages from carriers are recorded and what came in is dealt with.
    pub(crate) async fn received(&self, group: &str, count: u64, limit: Duration) -> anyhow::Result<()> {
        let done = |metrics: &Metrics<'_>| metrics.received() >= count && metrics.jobs("rx") == 0;
        self.until(group, limit, done).await.with_context(|| format!("not all of {count} were received"))
    }

    /// Waits until the metrics are as they should be.
    pub(crate) async fn until(
        &self,
        group: &str,
        limit: Duration,
        is_so: impl Fn(&Metrics<'_>) -> bool,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let text = http::get(self.ops, "/metrics").await?;
            let metrics = Metrics { text: std::str::from_utf8(&text)?, group };
            if metrics.count("messages_failed_total", "") > 0 {
                bail!("messages failed");
            }
            if is_so(&metrics) {
                return Ok(());
            }
            if begun.elapsed() > limit {
                bail!(
                    "after {limit:?} {} are sent, {} received; {} wait to be sent, {} to be read",
                    metrics.sent(),
                    metrics.received(),
                    metrics.jobs("tx"),
                    metrics.jobs("rx")
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Has a group hand nothing over (`pause`), or go on (`resume`).
    pub(crate) async fn steer(&self, group: &str, order: &str) -> anyhow::Result<()> {
        let path = format!("/admin/v1/gateways/{group}/{order}");
        let request = http::post(&path, "application/json", br#"{"reason":"benchmark"}"#);
        let (status, body) = Connection::open(self.ops).await?.exchange(&request).await?;
        if !matches!(status, 200..300) {
            bail!("{path}: status {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(())
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(&self.process.0.id().to_string())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.0.id()
    }
}

/// Callbacks in flight: as many as the gateway's own window.
const CALLBACKS: usize = 256;
/// A server of Redis that writes all to disk before it answers.
pub(crate) struct Redis {
    _process: Process,
    address: SocketAddr,
}

impl Redis {
    /// Starts one with its files in `directory`.
    pub(crate) async fn start(directory: &Path) -> anyhow::Result<Self> {
        // Nobody else takes the port in so short a time, as a rule.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        command
            .arg("--port")
            .arg(address.port().to_string())
            .arg("--dir")
            .arg(directory)
            .stdout(Stdio::null());
        let process = Process(command.spawn().context("cannot start redis-server")?);
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if begun.elapsed() > START {
                bail!("redis-server does not listen");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { _process: process, address })
    }

    /// What the main file says of it.
    pub(crate) fn storage(&self) -> String {
        format!("[message_storage]\nkind = 'redis'\nredis.servers = ['redis://{}']\n", self.address)
    }
}

/// How long a process may take to listen.
const START: Duration = Duration::from_secs(30);
/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_millis(20);

/// What the gateway counts, for one group.
pub(crate) struct Metrics<'a> {
    text: &'a str,
    group: &'a str,
}

impl Metrics<'_> {
    /// Messages recorded as sent.
    pub(crate) fn sent(&self) -> u64 {
        self.count("messages_sent_total", "")
    }

    /// Messages recorded that carriers handed in.
    pub(crate) fn received(&self) -> u64 {
        self.count("message_events_total", ",state=\"received\"")
    }

    /// Jobs in a queue, held ones included.
    pub(crate) fn jobs(&self, queue: &str) -> u64 {
        let labels = format!(",queue=\"{queue}\"");
        self.count("queue_waiting_jobs", &labels) + self.count("queue_leased_jobs", &labels)
    }

    fn count(&self, name: &str, labels: &str) -> u64 {
        let sample = format!("mmsgw_{name}{{gateway_group=\"{}\"{labels}}} ", self.group);
        let value = self.text.lines().find_map(|line| line.strip_prefix(&sample));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }
}

/// A gateway file for MM7 to `carrier`.
pub(crate) fn mm7(group: &str, carrier: SocketAddr, window: usize) -> String {
    format!(
        "[gateway]\nprotocol = 'MM7'\nversion = '6.8.0'\nname = 'bench'\ngroup = '{group}'\nwindow = {window}\n\
         [outbound]\nremote_host = 'http://{carrier}/mm7'\n"
    )
}

/// Our domain with carriers over MM4.
pub(crate) const OWN_DOMAIN: &str = "mms.gw.example";

/// A gateway file for MM4 to `carrier`.
pub(crate) fn mm4(group: &str, carrier: SocketAddr, window: usize) -> String {
    format!(
        "[gateway]\nprotocol = 'MM4'\nversion = '6.10.0'\nname = 'bench'\ngroup = '{group}'\nwindow = {window}\n\
         [outbound]\nremote_host = '{carrier}'\nremote_domain = 'mms.sim.example'\nlocal_domain = '{OWN_DOMAIN}'\n"
    )
}
