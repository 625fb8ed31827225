//! What the pretend carrier is: where it listens, where it reports to, its names and limits.
//!
//! Answers for settings only; how the carrier behaves is the [`Script`], which may be changed while it runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::script::Script;

/// Settings of one pretend carrier. Every field has a default, so an empty table is a working carrier on loopback.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimConfig {
    /// Address of the MM7 (HTTP) listener; port 0 lets the system choose. Default `127.0.0.1:0`.
    pub mm7_listen: SocketAddr,
    /// Address of the MM4 (SMTP) listener; port 0 lets the system choose. Default `127.0.0.1:0`.
    pub mm4_listen: SocketAddr,
    /// Address of the control listener (HTTP, JSON); keep it on loopback. Default `127.0.0.1:0`.
    pub control_listen: SocketAddr,
    /// URL of the gateway's MM7 receiver; without it no MM7 report or message is sent.
    pub mm7_report_url: Option<String>,
    /// `host:port` of the gateway's SMTP receiver; without it no MM4 answer, report or message is sent.
    pub mm4_report_addr: Option<String>,
    /// Names and credentials on the MM7 side.
    pub mm7: Mm7Names,
    /// Names and credentials on the MM4 side.
    pub mm4: Mm4Names,
    /// What is kept of the received messages.
    pub recording: RecordingConfig,
    /// How answers by mail and reports are sent.
    pub reports: OutboxConfig,
    /// Limits on what peers may ask of the listeners.
    pub limits: LimitConfig,
    /// Behaviour at the start; replaced by `Simulator::set_script`.
    pub script: Script,
}

impl Default for SimConfig {
    fn default() -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            mm7_listen: loopback,
            mm4_listen: loopback,
            control_listen: loopback,
            mm7_report_url: None,
            mm4_report_addr: None,
            mm7: Mm7Names::default(),
            mm4: Mm4Names::default(),
            recording: RecordingConfig::default(),
            reports: OutboxConfig::default(),
            limits: LimitConfig::default(),
            script: Script::default(),
        }
    }
}

/// What the carrier calls itself over MM7, and who may talk to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mm7Names {
    /// MM7Version of requests the carrier originates (a report repeats that of the message). Default `6.8.0`.
    pub version: String,
    /// Schema namespace of requests the carrier originates. Default REL-6-MM7-1-4.
    pub namespace: String,
    /// MMSRelayServerID in reports and messages (TS 23.140 clause 8.7). Default `mmsc.sim.example`.
    pub relay_server_id: String,
    /// Credentials that requests must carry; without them HTTP 401 is answered. Default: none asked.
    pub auth: Option<HttpAuth>,
    /// Credentials the carrier shows to the gateway.
    pub report_auth: Option<HttpAuth>,
}

impl Default for Mm7Names {
    fn default() -> Self {
        Self {
            version: "6.8.0".into(),
            namespace: format!("{MM7_BASE}REL-6-MM7-1-4"),
            relay_server_id: "mmsc.sim.example".into(),
            auth: None,
            report_auth: None,
        }
    }
}

/// All MM7 schema namespaces start with this (TS 23.140 annex L).
pub(crate) const MM7_BASE: &str = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/";

/// What the carrier calls itself over MM4, and who may talk to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mm4Names {
    /// Domain in the greeting, in EHLO and in the envelope. Default `mms.sim.example`.
    pub domain: String,
    /// Mail address of the carrier's system: MAIL FROM and Sender of answers and reports.
    pub system_address: String,
    /// Domain of the gateway, for recipients of messages the carrier originates. Default `mms.gw.example`.
    pub gateway_domain: String,
    /// X-Mms-3GPP-MMS-Version of every mail the carrier writes. Default `6.10.0`.
    pub version: String,
    /// Whether PIPELINING (RFC 2920) is offered. Default true.
    pub pipelining: bool,
    /// User that must log in with AUTH PLAIN or LOGIN before MAIL. Default: none asked.
    pub auth: Option<Credentials>,
    /// User the carrier logs in as at the gateway (AUTH PLAIN).
    pub report_auth: Option<Credentials>,
}

impl Default for Mm4Names {
    fn default() -> Self {
        Self {
            domain: "mms.sim.example".into(),
            system_address: "system-user@mms.sim.example".into(),
            gateway_domain: "mms.gw.example".into(),
            version: "6.10.0".into(),
            pipelining: true,
            auth: None,
            report_auth: None,
        }
    }
}

/// A name and its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password in clear text.
    pub password: String,
}

/// The value of an HTTP `Authorization` header, by scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "snake_case", deny_unknown_fields)]
pub enum HttpAuth {
    /// RFC 7617.
    Basic {
        /// User name.
        username: String,
        /// Password in clear text.
        password: String,
    },
    /// RFC 6750.
    Bearer {
        /// The token.
        token: String,
    },
}

impl HttpAuth {
    /// The header value that shows these credentials.
    pub(crate) fn header(&self) -> String {
        match self {
            Self::Basic { username, password } => {
                format!("Basic {}", encodify::base64::STANDARD.encode(format!("{username}:{password}")))
            }
            Self::Bearer { token } => format!("Bearer {token}"),
        }
    }
}

/// How much is kept of what is received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingConfig {
    /// Whole messages, or only counters. Default `full`.
    pub mode: Recording,
    /// Most messages kept; later ones are counted as dropped. Default 10,000.
    pub messages: usize,
    /// Most octets kept over all messages; what would not fit is counted as dropped. Default 256 MiB.
    pub octets: usize,
    /// Transactions remembered to number attempts and to spot duplicates; the oldest are forgotten. Default 200,000.
    pub ledger: usize,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self { mode: Recording::Full, messages: 10_000, octets: 256 << 20, ledger: 200_000 }
    }
}

/// What is kept of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    /// The message with its parts decoded.
    #[default]
    Full,
    /// Nothing but the counters; media are not even looked at.
    Counters,
}

/// How answers by mail and reports leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboxConfig {
    /// Most reports waiting or on their way; more are refused and counted. Default 100,000.
    pub queue: usize,
    /// Most reports on their way at once, and most connections kept. Default 8.
    pub connections: usize,
    /// Longest wait for the gateway's answer, in milliseconds. Default 10,000.
    pub timeout_ms: u64,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self { queue: 100_000, connections: 8, timeout_ms: 10_000 }
    }
}

impl OutboxConfig {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.max(1))
    }
}

/// Limits of the listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitConfig {
    /// Most octets of one message; SIZE (RFC 1870) says so over MM4, HTTP 413 over MM7. Default 16 MiB.
    pub message_octets: usize,
    /// Most connections open at one listener; more are closed at once. Default 2,048.
    pub connections: usize,
    /// A connection that is silent for so many milliseconds is closed. Default 300,000.
    pub idle_ms: u64,
    /// Most recipients of one MM4 mail. Default 1,000.
    pub recipients: usize,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self { message_octets: 16 << 20, connections: 2_048, idle_ms: 300_000, recipients: 1_000 }
    }
}

impl LimitConfig {
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms.max(1))
    }
}
