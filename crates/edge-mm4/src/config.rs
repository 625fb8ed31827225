//! A gateway file for MM4: how a carrier is reached, and its dialect.
//!
//! The sections `[gateway]`, `[features]` and `[content]` are the engine's; the others are of this crate. The
//! reference of all fields is `gateway.default.toml` beside the sources, [`REFERENCE`].

use std::fmt;
use std::path::PathBuf;

use crate::heartbeat::Heartbeat;
use mmsgw_domain::{ByteSize, Span};
use mmsgw_engine::config::{
    ContentSection, DialectFault, FeaturesSection, GatewaySection, OwnDialects, dialect_switches,
};
use mmsgw_net::ClientTlsSettings;
use secrecy::SecretString;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub(crate) mod check;

pub use crate::dialect::{ContentLayout, Dialect, DialectSwitches};
pub use check::{Endpoint, SettingsFault};

/// The commented reference of a gateway file: every field, with its default.
pub const REFERENCE: &str = include_str!("gateway.default.toml");

/// A whole gateway file, its dialect found and every switch settled.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Mm4File")]
pub struct Mm4Settings {
    /// Which group this is, and how hard it works.
    pub gateway: GatewaySection,
    /// The way to the carrier.
    pub outbound: OutboundSection,
    /// What comes from the carrier.
    pub inbound: InboundSection,
    /// How numbers are written.
    pub addressing: Addressing,
    /// What is asked of the carrier, and what is answered to it.
    pub features: FeaturesSection,
    /// What the carrier takes of content.
    pub content: ContentSection,
    /// What this carrier does otherwise than others.
    pub dialect: Dialect,
}

/// A gateway file as it stands.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mm4File {
    gateway: GatewaySection,
    outbound: OutboundSection,
    #[serde(default)]
    inbound: InboundSection,
    #[serde(default)]
    addressing: AddressingSection,
    #[serde(default)]
    features: FeaturesSection,
    #[serde(default)]
    content: ContentSection,
    #[serde(default)]
    dialect: DialectSwitches,
}

impl Mm4File {
    /// The settings: the dialect that the file picks, with what the file overrides.
    ///
    /// # Errors
    /// There is no such dialect, or its file is not understood.
    pub fn settle(self, own: &OwnDialects) -> Result<Mm4Settings, DialectFault> {
        let Self { mut gateway, mut outbound, inbound, addressing, mut features, content, dialect } = self;
        // Keys that are older than dialects have the last word.
        let older = DialectSwitches {
            version: gateway.version.take(),
            originator_system: outbound.originator_address.take(),
            ..DialectSwitches::default()
        };
        let dialect = dialect_switches(gateway.dialect.as_deref(), older.over(dialect), own)?.settle();
        features.request_submit_ack = features.request_submit_ack.or(dialect.ack_wanted);
        gateway.version = Some(dialect.version.clone());
        let prefix = |own: Option<String>| own.unwrap_or_else(|| dialect.number_prefix.clone());
        let suffix = |own: Option<String>| own.unwrap_or_else(|| dialect.number_suffix.clone());
        let addressing = Addressing {
            dest_prefix: prefix(addressing.dest_prefix),
            dest_suffix: suffix(addressing.dest_suffix),
            origin_prefix: prefix(addressing.origin_prefix),
            origin_suffix: suffix(addressing.origin_suffix),
        };
        Ok(Mm4Settings { gateway, outbound, inbound, addressing, features, content, dialect })
    }
}

/// Knows the dialects that come with the gateway and no others.
impl TryFrom<Mm4File> for Mm4Settings {
    type Error = DialectFault;

    fn try_from(file: Mm4File) -> Result<Self, DialectFault> {
        file.settle(&OwnDialects::default())
    }
}

/// Section `[outbound]`: the way to the carrier.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundSection {
    /// Whether and when the connection is encrypted.
    #[serde(default)]
    pub secure_connection: SecureConnection,
    /// The carrier's SMTP server as `host` or `host:port`; port 25, or 465 with `tls`.
    pub remote_host: String,
    /// The carrier's domain, where its users' addresses are; without it the host of `remote_host`.
    #[serde(default)]
    pub remote_domain: Option<String>,
    /// User name for AUTH; without it there is no AUTH.
    #[serde(default)]
    pub username: Option<String>,
    /// Password of `username`.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// File that holds the password; white space round it does not count.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Whether the password may go over a connection that is not encrypted, as on private links.
    #[serde(default)]
    pub auth_in_clear: bool,
    /// Our name in EHLO; without it `local_domain`.
    #[serde(default)]
    pub local_host: Option<String>,
    /// Our domain, where our users' addresses are and our ids end.
    pub local_domain: String,
    /// Our system's mailbox, where the carrier sends acknowledgements and reports; without a domain
    /// it is at `local_domain`. Absent: as the dialect says. Settling moves it there.
    #[serde(default)]
    pub originator_address: Option<String>,
    /// Sends every mail to these addresses instead of the numbers of the message.
    #[serde(default)]
    pub recipient_address: Vec<String>,
    /// Most connections at once; without it the `window` of the gateway.
    #[serde(default)]
    pub connections: Option<usize>,
    /// A connection is closed after so many mails; 0 for no limit.
    #[serde(default = "default_mails")]
    pub max_mails_per_connection: u32,
    /// A connection without a mail is closed after that.
    #[serde(default = "default_idle")]
    pub idle_timeout: Span,
    /// A connection without a mail is asked (NOOP) that often whether it lives; 0 for never.
    #[serde(default = "default_keepalive")]
    pub keepalive: Span,
    /// How the carrier is asked for a sign of life, at each `heartbeat_interval` of the gateway.
    #[serde(default)]
    pub heartbeat: Heartbeat,
    /// How long each step may take; one duration for all steps, or a table.
    #[serde(default)]
    pub timeout: TimeoutSection,
    /// Whether commands are sent ahead of replies (PIPELINING) where the server offers it.
    #[serde(default = "yes")]
    pub pipelining: bool,
    /// Whether BDAT is used instead of DATA (CHUNKING) where the server offers it.
    #[serde(default)]
    pub chunking: bool,
    /// Octets of encoded bodies kept in memory for messages of the same content.
    #[serde(default = "default_render_cache")]
    pub render_cache: ByteSize,
    /// Whom to trust and what to show, with TLS.
    #[serde(default)]
    pub tls: ClientTlsSettings,
}

/// Whether and when a connection to the carrier is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecureConnection {
    /// Never: `no`.
    #[default]
    No,
    /// By STARTTLS where the server offers it: `starttls`.
    StartTls,
    /// By STARTTLS, or not at all: `starttls_required`.
    StartTlsRequired,
    /// From the first octet: `tls`, also `yes`.
    Tls,
}

impl<'de> Deserialize<'de> for SecureConnection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = SecureConnection;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`no`, `starttls`, `starttls_required` or `tls`")
            }

            fn visit_bool<E: de::Error>(self, secure: bool) -> Result<Self::Value, E> {
                Ok(if secure { SecureConnection::Tls } else { SecureConnection::No })
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
                match word.to_ascii_lowercase().as_str() {
                    "no" | "false" => Ok(SecureConnection::No),
                    "starttls" => Ok(SecureConnection::StartTls),
                    "starttls_required" => Ok(SecureConnection::StartTlsRequired),
                    "tls" | "yes" | "true" => Ok(SecureConnection::Tls),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// Table `[outbound.timeout]`: how long each step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutSection {
    /// Looking up the name and connecting, and then the TLS handshake.
    pub connect: Span,
    /// The greeting, and the reply to any command.
    pub command: Span,
    /// Each write of a part of the mail, and the reply to the whole of it.
    pub data: Span,
}

impl Default for TimeoutSection {
    fn default() -> Self {
        Self { connect: Span::secs(15), command: Span::secs(60), data: Span::secs(180) }
    }
}

impl<'de> Deserialize<'de> for TimeoutSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Timeouts)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeoutTable {
    connect: Option<Span>,
    command: Option<Span>,
    data: Option<Span>,
}

/// Reads one duration for all steps, or the table.
struct Timeouts;

impl<'de> Visitor<'de> for Timeouts {
    type Value = TimeoutSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"30s\", or a table of connect, command and data")
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Self::Value, E> {
        let seconds =
            u64::try_from(seconds).map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))?;
        self.visit_u64(seconds)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Self::Value, E> {
        let all = Span::secs(seconds);
        Ok(TimeoutSection { connect: all, command: all, data: all })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let all: Span = text.parse().map_err(E::custom)?;
        Ok(TimeoutSection { connect: all, command: all, data: all })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let table = TimeoutTable::deserialize(MapAccessDeserializer::new(map))?;
        let usual = TimeoutSection::default();
        Ok(TimeoutSection {
            connect: table.connect.unwrap_or(usual.connect),
            command: table.command.unwrap_or(usual.command),
            data: table.data.unwrap_or(usual.data),
        })
    }
}

/// Section `[inbound]`: what comes from the carrier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InboundSection {
    /// The name by which the carrier reaches our receiver; counts as a domain of ours.
    pub host: Option<String>,
    /// Directory for media of messages that come in.
    pub media_repo: Option<PathBuf>,
    /// URL under which applications find `media_repo`.
    pub media_url_prefix: Option<String>,
    /// Messages that come in are posted to this URL.
    pub mms_received_url: Option<String>,
    /// Further addresses of our receiver for this group: `name@domain`, or `@domain` for all of it.
    pub addresses: Vec<String>,
    /// Domains of the carrier besides `remote_domain`: acknowledgements and reports go nowhere else.
    pub trusted_domains: Vec<String>,
}

/// Section `[addressing]`: how numbers are written, where the dialect says it otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AddressingSection {
    /// Stands before the digits of a number of the carrier's side; short codes get none.
    pub dest_prefix: Option<String>,
    /// Follows a number of the carrier's side.
    pub dest_suffix: Option<String>,
    /// Stands before the digits of a number of our side; short codes get none.
    pub origin_prefix: Option<String>,
    /// Follows a number of our side.
    pub origin_suffix: Option<String>,
}

/// How numbers are written, settled; see [`AddressingSection`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressing {
    /// Before the digits of a number of the carrier's side.
    pub dest_prefix: String,
    /// Behind a number of the carrier's side.
    pub dest_suffix: String,
    /// Before the digits of a number of our side.
    pub origin_prefix: String,
    /// Behind a number of our side.
    pub origin_suffix: String,
}

fn yes() -> bool {
    true
}

fn default_mails() -> u32 {
    1_000
}

fn default_idle() -> Span {
    Span::secs(60)
}

fn default_keepalive() -> Span {
    Span::secs(0)
}

fn default_render_cache() -> ByteSize {
    ByteSize(64 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::reference;

    const LEAST: &str = "
        [gateway]
        protocol = \"MM4\"
        version = \"6.10.0\"
        name = \"gw1\"
        group = \"carrier\"
        [outbound]
        remote_host = \"mmsc.carrier.example\"
        local_domain = \"mms.own.example\"
    ";

    #[test]
    fn the_reference_states_the_defaults() {
        let reference: Mm4Settings = toml::from_str(REFERENCE).unwrap();
        let least: Mm4Settings = toml::from_str(LEAST).unwrap();
        assert_eq!(format!("{reference:#?}"), format!("{least:#?}"));
        assert_eq!(reference.check(), []);
    }

    #[test]
    fn the_reference_names_every_field_and_its_examples_are_good() {
        let full: Mm4Settings = toml::from_str(&reference::uncommented(REFERENCE)).unwrap();
        assert!(full.outbound.password.is_some() && full.inbound.host.is_some());
        let sections = [
            "gateway",
            "outbound",
            "outbound.tls",
            "inbound",
            "addressing",
            "features",
            "content",
            "dialect",
        ];
        for section in sections {
            reference::names_all_fields::<Mm4Settings>(REFERENCE, LEAST, section);
        }
    }

    #[test]
    fn words_for_encryption() {
        let read = |word: &str| {
            let text = LEAST.replace("[outbound]", &format!("[outbound]\nsecure_connection = {word}"));
            toml::from_str::<Mm4Settings>(&text).map(|s| s.outbound.secure_connection)
        };
        for (word, meant) in [
            ("false", SecureConnection::No),
            ("\"no\"", SecureConnection::No),
            ("\"STARTTLS\"", SecureConnection::StartTls),
            ("\"starttls_required\"", SecureConnection::StartTlsRequired),
            ("\"yes\"", SecureConnection::Tls),
            ("true", SecureConnection::Tls),
        ] {
            assert_eq!(read(word), Ok(meant), "{word}");
        }
        assert!(read("\"ssl\"").unwrap_err().to_string().contains("starttls_required"));
    }

    #[test]
    fn one_time_limit_or_three() {
        let read = |value: &str| {
            let text = LEAST.replace("[outbound]", &format!("[outbound]\ntimeout = {value}"));
            toml::from_str::<Mm4Settings>(&text).map(|s| s.outbound.timeout)
        };
        let all = |s| TimeoutSection { connect: Span::secs(s), command: Span::secs(s), data: Span::secs(s) };
        assert_eq!(read("10"), Ok(all(10)));
        assert_eq!(read("\"2m\""), Ok(all(120)));
        let mixed = TimeoutSection { data: Span::secs(5), ..TimeoutSection::default() };
        assert_eq!(read("{ data = \"5s\" }"), Ok(mixed));
        assert!(read("{ date = \"5s\" }").is_err() && read("-1").is_err());
    }

    #[test]
    fn a_secret_is_not_shown() {
        let text = LEAST.replace("[outbound]", "[outbound]\nusername = \"u\"\npassword = \"hush\"");
        let settings: Mm4Settings = toml::from_str(&text).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
