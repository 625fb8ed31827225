//! A gateway with a [`Wire`] on each way in and out of it, in one process on the embedded store or in several on Redis.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mmsgw_mmsc_sim::{Script, SimConfig, Simulator, Targets};
use serde_json::Value;
use tempfile::TempDir;

use super::crash::{Application, free_ports, sum_of};
use super::fleet::Process;
use super::later::living_at;
use super::redis::Redis;
use super::vitals::Vitals;
use super::wire::{Flaw, Wire};
use super::{LIMIT, wait_until};

/// The groups, each of one protocol.
pub(crate) const GROUPS: [&str; 2] = ["mm7", "mm4"];

/// The wires, by what is at their far end.
pub(crate) struct Wires {
    pub(crate) api: Wire,
    pub(crate) smtp: Wire,
    pub(crate) carrier_http: Wire,
    pub(crate) mm7: Wire,
    pub(crate) mm4: Wire,
    pub(crate) events: Wire,
    pub(crate) phones: Wire,
    /// Only where there is a Redis.
    pub(crate) redis: Option<Wire>,
}

impl Wires {
    /// All of them, with their names.
    pub(crate) fn all(&self) -> Vec<(&'static str, &Wire)> {
        let mut all = vec![
            ("application to API", &self.api),
            ("carrier to SMTP receiver", &self.smtp),
            ("carrier to MM7 receiver", &self.carrier_http),
            ("gateway to MM7 carrier", &self.mm7),
            ("gateway to MM4 carrier", &self.mm4),
            ("gateway to application (events)", &self.events),
            ("gateway to application (received)", &self.phones),
        ];
        all.extend(self.redis.as_ref().map(|redis| ("gateway to Redis", redis)));
        all
    }
}

/// All of it.
pub(crate) struct Site {
    pub(crate) carrier: Simulator,
    /// Hears of what became of messages.
    pub(crate) events: Application,
    /// Gets messages from phones.
    pub(crate) phones: Application,
    pub(crate) wires: Wires,
    pub(crate) redis: Option<Mutex<Redis>>,
    pub(crate) http: reqwest::Client,
    /// Roles and the processes that have them.
    pub(crate) processes: Mutex<Vec<Process>>,
    ops: std::net::SocketAddr,
    directory: TempDir,
}

impl Site {
    /// Starts all, on Redis or on the embedded store.
    pub(crate) async fn start(script: Script, redis: Option<Redis>) -> Self {
        let [api, ops, smtp, carrier_http] = free_ports();
        let mut config = SimConfig { script, ..SimConfig::default() };
        config.recording.messages = 1_000_000;
        config.recording.octets = 4 << 30;
        (config.reports.connections, config.reports.timeout_ms) = (16, 3_000);
        let carrier = Simulator::start(config).await.unwrap();
        let (events, phones) = (Application::start(), Application::start());
        let wires = Wires {
            api: Wire::to(api).await,
            smtp: Wire::to(smtp).await,
            carrier_http: Wire::to(carrier_http).await,
            mm7: Wire::to(carrier.mm7_addr).await,
            mm4: Wire::to(carrier.mm4_addr).await,
            events: Wire::to(events.address()).await,
            phones: Wire::to(phones.address()).await,
            redis: match &redis {
                Some(redis) => Some(Wire::to(redis.address).await),
                None => None,
            },
        };
        carrier.set_targets(Targets {
            mm7_report_url: Some(format!("http://{}/mmsgw/v1/mms/inbound/mm7", wires.carrier_http.address)),
            mm4_report_addr: Some(wires.smtp.address.to_string()),
        });
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let directory = tempfile::Builder::new().prefix("mmsgw-chaos-").tempdir().unwrap();
        let (redis, processes) = (redis.map(Mutex::new), Mutex::default());
        let site = Self { carrier, events, phones, wires, redis, http, processes, ops, directory };
        let listeners = format!(
            "api.listen = '{api}'\nops.listen = '{ops}'\nmm4rx.listen = '{smtp}'\nmm7rx.listen = '{carrier_http}'\n"
        );
        site.configure(&listeners);
        site.start_processes().await;
        site
    }

    fn configure(&self, listeners: &str) {
        let storage = self.wires.redis.as_ref().map_or_else(String::new, |redis| {
            format!(
                "[media_storage]\ndirectory = 'mmsgw-data/media'\n[message_storage]\nkind = 'redis'\n\
                 [message_storage.redis]\nservers = ['redis://{}']\ntimeout = '2s'\nconnect_timeout = '1s'\n",
                redis.address
            )
        });
        let main = format!(
            "{listeners}[general]\ncallback_delays = ['300ms']\ncallback_tries = 1000\nreport_delays = ['300ms']\n\
             report_tries = 1000\nidempotency_takeover = '2s'\ninstance_ttl = '3s'\nlease = '10s'\n\
             [callbacks]\ntimeout = '2s'\nclosed_min = '200ms'\nclosed_max = '500ms'\n{storage}"
        );
        let gateways = self.path().join("gateways");
        std::fs::create_dir(&gateways).unwrap();
        std::fs::create_dir_all(self.media()).unwrap();
        std::fs::write(self.path().join("mmsgw.toml"), main).unwrap();
        for (group, protocol, version, outbound) in [
            (
                "mm7",
                "MM7",
                "6.8.0",
                format!("'http://{}/mm7'\nconnect_timeout = '2s'", self.wires.mm7.address),
            ),
            (
                "mm4",
                "MM4",
                "6.10.0",
                format!(
                    "'{}'\nremote_domain = 'mms.sim.example'\nlocal_domain = 'mms.gw.example'",
                    self.wires.mm4.address
                ),
            ),
        ] {
            let text = format!(
                "[gateway]\nprotocol = '{protocol}'\nversion = '{version}'\nname = 'chaos'\ngroup = '{group}'\n\
                 events_url = 'http://{}/events'\nretry_delays = ['300ms']\nmax_tries = 100000\n\
                 [features]\nrequest_submit_ack = true\nrequest_delivery_report = true\n\
                 request_read_receipt = true\n[inbound]\nmms_received_url = 'http://{}/events'\n\
                 [outbound]\ntimeout = '2s'\nremote_host = {outbound}\n",
                self.wires.events.address, self.wires.phones.address
            );
            std::fs::write(gateways.join(format!("{group}.toml")), text).unwrap();
        }
    }

    async fn start_processes(&self) {
        let roles: &[&str] = if self.redis.is_some() {
            &["api", "gateway", "gateway", "mm4rx", "mm7rx", "callout"]
        } else {
            &["serve"]
        };
        for role in roles {
            let process = self.start_process(role);
            self.processes.lock().unwrap().push(process);
        }
        self.ready().await;
    }

    /// A process with this role; the API's has the operations listener.
    fn start_process(&self, role: &str) -> Process {
        let mut arguments = vec![role.to_owned()];
        if role == "gateway" {
            arguments.push("--no-mm7rx".to_owned());
            let file = |group: &&str| self.path().join("gateways").join(format!("{group}.toml"));
            arguments.extend(GROUPS.iter().map(|group| file(group).display().to_string()));
        }
        if !matches!(role, "serve" | "api") {
            arguments.extend(["--ops", "off"].map(str::to_owned));
        }
        arguments.extend(["-c".to_owned(), self.path().join("mmsgw.toml").display().to_string()]);
        Process::start(role, arguments, self.path().join("log"))
    }

    /// Waits until the API and the operations listener answer, and the store.
    pub(crate) async fn ready(&self) {
        let start = Instant::now();
        let url = format!("http://{}/readyz", self.ops);
        while !self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(start.elapsed() < LIMIT, "the gateway does not get ready\n{}", self.log_tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn media(&self) -> PathBuf {
        self.path().join("mmsgw-data/media")
    }

    /// Starts again what has ended by itself.
    pub(crate) fn supervise(&self) {
        self.processes.lock().unwrap().iter_mut().for_each(Process::supervise);
    }

    /// A path of the API, through its wire.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/mmsgw/v1/{path}", self.wires.api.address)
    }

    /// What `GET` of a path of the API answers, once it answers with success.
    pub(crate) async fn get(&self, path: &str) -> Value {
        wait_until(path, async || {
            let answer = self.http.get(self.url(path)).send().await.ok()?;
            if answer.status().is_success() { answer.json().await.ok() } else { None }
        })
        .await
    }

    /// Where the operations listener is.
    pub(crate) fn ops_address(&self) -> std::net::SocketAddr {
        self.ops
    }

    /// What `GET` of a path of the operations listener answers.
    pub(crate) async fn ops(&self, path: &str) -> Option<String> {
        let answer = self.http.get(format!("http://{}/{path}", self.ops)).send().await.ok()?;
        if answer.status().is_success() { answer.text().await.ok() } else { None }
    }

    /// Waiting, leased and dead jobs over all queues; `None` where the store does not tell.
    pub(crate) async fn jobs(&self) -> Option<[u64; 3]> {
        let metrics = self.ops("metrics").await.filter(|text| text.contains("\nmmsgw_store_up 1\n"))?;
        Some(
            ["waiting", "leased", "dead"].map(|kind| sum_of(&metrics, &format!("mmsgw_queue_{kind}_jobs{{"))),
        )
    }

    /// Everything works as it should from now on.
    pub(crate) fn calm(&self, script: Script) {
        for (_, wire) in self.wires.all() {
            wire.be(Flaw::None);
        }
        self.carrier.set_script(script);
        self.events.set(super::crash::Mood::Takes);
        self.phones.set(super::crash::Mood::Takes);
    }

    /// Waits until nothing is under way any more: neither a job nor a report of the carrier.
    pub(crate) async fn quiet(&self, limit: Duration) {
        let start = Instant::now();
        loop {
            let counts = self.carrier.counts();
            let (jobs, reports) = (self.jobs().await, counts.reports_queued - counts.reports_ok);
            if jobs.is_some_and(|[waiting, leased, _]| waiting + leased == 0) && reports == 0 {
                return;
            }
            let state = format!("jobs {jobs:?}, {reports} reports of the carrier under way");
            assert!(start.elapsed() < limit, "it does not settle: {state}\n{}", self.log_tail());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends all processes by SIGTERM and starts them again so far from now; see [`living_at`].
    pub(crate) async fn move_to(&self, shift: &str) {
        self.restart(&living_at(shift)).await;
    }

    /// Ends all processes by SIGTERM and starts them again with these variables, Redis too.
    pub(crate) async fn restart(&self, environment: &[(String, String)]) {
        let mut processes = std::mem::take(&mut *self.processes.lock().unwrap());
        for process in &mut processes {
            process.terminate().await;
        }
        if let Some(redis) = &self.redis {
            let mut redis = redis.lock().unwrap();
            redis.kill();
            redis.start_again_with(environment);
        }
        for process in &mut processes {
            process.environment(environment);
            process.spawn();
        }
        *self.processes.lock().unwrap() = processes;
        self.ready().await;
    }

    /// How each process does.
    pub(crate) fn vitals(&self) -> Vec<Vitals> {
        self.processes.lock().unwrap().iter().map(|process| Vitals::of(process.pid())).collect()
    }

    /// The last lines of all processes.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read(self.path().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}
