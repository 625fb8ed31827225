//! The demo's gateway and carrier, on free ports of loopback and in a fresh directory.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mmsgw_mmsc_sim::{Answer, Delay, Mo, Plan, Received, SimConfig, Simulator, Targets};
use tempfile::TempDir;

use crate::assemble::{self, Running};
use crate::cli::ApiArgs;
use crate::client::ApiClient;
use crate::config::Settings;
use crate::reload::Switchboard;
use crate::roles::Roles;
use crate::systemd::Sockets;
use crate::telemetry::LogLevel;

pub(super) const MM7_GROUP: &str = "demo-mm7";
pub(super) const MM4_GROUP: &str = "demo-mm4";

// How long the pretend carrier takes for an acknowledgement, a delivery, a reading.
const ACK_MS: u64 = 150;
const DELIVERY_MS: u64 = 600;
const READ_MS: u64 = 1_400;

pub(super) struct World {
    running: Running,
    simulator: Simulator,
    api: ApiClient,
    api_at: SocketAddr,
    ops_at: SocketAddr,
    directory: TempDir,
}

impl World {
    /// Starts both; events and messages are posted to the application's URLs.
    pub(super) async fn start(events_url: &str, received_url: &str, log: LogLevel) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("mmsgw-demo-").tempdir()?;
        let simulator = Simulator::start(carrier()).await?;
        let settings = settings(directory.path(), &simulator, events_url, received_url)?;
        // Its configuration is in no files: nobody takes orders to read them.
        let (controls, _) = Switchboard::new(log.clone());
        let (roles, sockets) = (Roles::all(), Sockets::default());
        let running = assemble::start(settings, roles, sockets, log, Arc::new(controls)).await?;
        let address = |what: &str| running.address(what).with_context(|| format!("no {what}"));
        let (smtp, carrier_http) = (address("SMTP for carriers")?, address("HTTP for carriers")?);
        simulator.set_targets(Targets {
            mm7_report_url: Some(format!("http://{carrier_http}/mmsgw/v1/mms/inbound/{MM7_GROUP}")),
            mm4_report_addr: Some(smtp.to_string()),
        });
        let (api_at, ops_at) = (address("API")?, address("health and metrics")?);
        let api = ApiClient::new(&ApiArgs { api: url(api_at).parse()?, key: None, ca: None })?;
        Ok(Self { running, simulator, api, api_at, ops_at, directory })
    }

    pub(super) fn api(&self) -> &ApiClient {
        &self.api
    }

    pub(super) fn api_url(&self) -> String {
        url(self.api_at)
    }

    pub(super) fn control_url(&self) -> String {
        url(self.simulator.control_addr)
    }

    pub(super) fn ops_url(&self) -> String {
        url(self.ops_at)
    }

    /// Has the carrier send us a message; gives what the gateway said.
    pub(super) async fn carrier_sends(&self, protocol: &str, mo: &Mo) -> Answer {
        let sent = if protocol == "MM4" {
            self.simulator.send_mo_mm4(mo).await
        } else {
            self.simulator.send_mo_mm7(mo).await
        };
        sent.answer
    }

    /// Whether the carrier received something of that kind.
    pub(super) fn carrier_got(&self, kind: &str) -> bool {
        self.simulator.received().iter().any(|received| received.kind == kind)
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let mut all = self.running.addresses().to_vec();
        let ours = [
            ("MM7", self.simulator.mm7_addr),
            ("MM4", self.simulator.mm4_addr),
            ("control", self.simulator.control_addr),
        ];
        all.extend(ours.map(|(what, address)| (format!("carrier, {what}"), address)));
        all
    }

    /// Whether the carrier has the picture and the text over `protocol`.
    pub(super) fn carrier_has(&self, protocol: &str, picture: &[u8], text: &str) -> Result<(), String> {
        let over =
            |r: &&Received| r.subject.as_deref().is_some_and(|s| s.contains(protocol)) && !r.parts.is_empty();
        let received = self.simulator.received();
        let message = received.iter().find(over).ok_or("the carrier has no such message")?;
        if !message.problems.is_empty() {
            return Err(format!("the carrier finds fault with it: {}", message.problems.join("; ")));
        }
        let has = |octets: &[u8]| message.parts.iter().any(|part| part.octets == octets);
        match (has(picture), has(text.as_bytes())) {
            (true, true) => Ok(()),
            (false, _) => Err("no part has the picture's octets".into()),
            (_, false) => Err("no part has the text's octets".into()),
        }
    }

    pub(super) async fn stop(self) {
        self.running.stop(Duration::from_secs(10)).await;
        self.simulator.shutdown().await;
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}

/// A carrier that takes its time, as carriers do.
fn carrier() -> SimConfig {
    let mut config = SimConfig::default();
    let after = |ms| Plan { delay: Delay { min_ms: ms, max_ms: ms }, ..Plan::default() };
    config.script.mm7.delivery = after(DELIVERY_MS);
    config.script.mm7.read = after(READ_MS);
    config.script.mm4.res = after(ACK_MS);
    config.script.mm4.delivery = after(DELIVERY_MS);
    config.script.mm4.read = after(READ_MS);
    config
}

fn settings(
    base: &Path,
    simulator: &Simulator,
    events_url: &str,
    received_url: &str,
) -> anyhow::Result<Settings> {
    // Callbacks name media by the API's address, so its port has to be known beforehand.
    let (_, api) = mmsgw_net::bind(([127, 0, 0, 1], 0).into())?;
    let main = format!(
        "api.listen = '{api}'\nops.listen = '127.0.0.1:0'\n\
                mm4rx.listen = '127.0.0.1:0'\nmm7rx.listen = '127.0.0.1:0'\n"
    );
    let head = |protocol: &str, version: &str, group: &str| {
        format!(
            "[gateway]\nprotocol = '{protocol}'\nversion = '{version}'\nname = 'demo'\ngroup = '{group}'\n\
             events_url = '{events_url}'\n\
             [features]\nrequest_submit_ack = true\nrequest_delivery_report = true\nrequest_read_receipt = true\n\
             auto_ack = true\nauto_dr = 'on_callback'\n\
             [inbound]\nmms_received_url = '{received_url}'\n"
        )
    };
    let mm7 = format!(
        "{}[outbound]\nremote_host = 'http://{}/mm7'\n",
        head("MM7", "6.8.0", MM7_GROUP),
        simulator.mm7_addr
    );
    let mm4 = format!(
        "{}[outbound]\nremote_host = '{}'\nremote_domain = 'mms.sim.example'\nlocal_domain = 'mms.gw.example'\n",
        head("MM4", "6.10.0", MM4_GROUP),
        simulator.mm4_addr
    );
    Ok(Settings::from_texts(&main, &[("demo-mm7", mm7), ("demo-mm4", mm4)], base)?)
}
