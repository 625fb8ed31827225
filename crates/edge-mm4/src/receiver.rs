//! The settings of the SMTP receiver: where it listens, who may speak to it, and whose mail is whose.
//!
//! The reference of all fields is `receiver.default.toml` beside the sources, [`REFERENCE`].

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use mmsgw_domain::{ByteSize, GroupName, Span};
use mmsgw_net::ServerTlsSettings;
use mmsgw_smtp::client::MAX_RECIPIENTS;
use secrecy::SecretString;
use serde::Deserialize;

use crate::config::SettingsFault;
use crate::config::check::{Faults, is_domain};
use crate::names::Allowed;
use crate::spool::SpoolSettings;

/// The commented reference of the receiver's settings: every field, with its default.
pub const REFERENCE: &str = include_str!("receiver.default.toml");

/// What stands before a name in `peers` that is only said, not looked up.
pub(crate) const EHLO: &str = "ehlo:";

/// The settings of the SMTP receiver.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiverSettings {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Our name in the greeting.
    pub hostname: String,
    /// Most octets of a mail.
    pub max_size: ByteSize,
    /// Most recipients of a mail.
    pub max_recipients: usize,
    /// Most connections at once; others wait a moment and are then told 421.
    pub max_connections: usize,
    /// Most connections of one peer at once; 0 for half of all.
    pub max_connections_per_peer: usize,
    /// Most mails that one peer may begin in a second; 0 for no limit.
    pub mails_per_second: f64,
    /// Most octets of mails in hand.
    pub mail_memory: ByteSize,
    /// Errors that a peer may make before it is sent away.
    pub max_errors: u32,
    /// How long a peer may take for its next command.
    pub command_timeout: Span,
    /// How long a peer may be silent within a mail, and may take to read our replies.
    pub data_timeout: Span,
    /// How long the TLS handshake may take.
    pub tls_timeout: Span,
    /// What is shown with TLS; without it STARTTLS is not offered.
    pub tls: Option<ServerTlsSettings>,
    /// Connections are encrypted from the first octet, as on port 465, instead of by STARTTLS.
    pub implicit_tls: bool,
    /// No mail and no AUTH without encryption.
    pub require_tls: bool,
    /// Whether AUTH is offered without encryption, as on private links.
    pub auth_in_clear: bool,
    /// User names and passwords of peers; AUTH is required as soon as there is one.
    pub users: BTreeMap<String, SecretString>,
    /// Who may connect: networks, addresses and host names.
    pub allow: Vec<Allowed>,
    /// How often the host names in `allow` and `peers` are looked up.
    pub resolve_interval: Span,
    /// Address that a mail goes to (`name@domain`, or `@domain` for all of it), and its group.
    pub receivers: BTreeMap<String, GroupName>,
    /// Peer (address, network, host name, or `ehlo:` with the name it gives in EHLO), and the group of its
    /// mails.
    pub peers: BTreeMap<String, GroupName>,
    /// Sender of a mail (`name@domain`, or `@domain` for all of it), and its group.
    pub senders: BTreeMap<String, GroupName>,
    /// Directories into which a mail server delivers; watched by [`watch_spool`](crate::watch_spool).
    pub spool: Vec<SpoolSettings>,
}

impl Default for ReceiverSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 2525)),
            hostname: "localhost".to_owned(),
            max_size: ByteSize(10 << 20),
            max_recipients: MAX_RECIPIENTS,
            max_connections: 4_096,
            max_connections_per_peer: 0,
            mails_per_second: 0.0,
            mail_memory: ByteSize(256 << 20),
            max_errors: 20,
            command_timeout: Span::secs(300),
            data_timeout: Span::secs(180),
            tls_timeout: Span::secs(30),
            tls: None,
            implicit_tls: false,
            require_tls: false,
            auth_in_clear: false,
            users: BTreeMap::new(),
            allow: vec![
                Allowed::Network(IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8)),
                Allowed::Network(IpNet::new_assert(std::net::Ipv6Addr::LOCALHOST.into(), 128)),
            ],
            resolve_interval: Span::secs(60),
            receivers: BTreeMap::new(),
            peers: BTreeMap::new(),
            senders: BTreeMap::new(),
            spool: Vec::new(),
        }
    }
}

impl ReceiverSettings {
    /// All faults that can be seen without touching files or the network; none in good settings.
    pub fn check(&self) -> Vec<SettingsFault> {
        let mut faults = Faults::default();
        faults.unless(is_domain(&self.hostname), "hostname", || {
            format!("`{}` is no host name", self.hostname.escape_debug())
        });
        faults.unless(
            self.mails_per_second.is_finite() && self.mails_per_second >= 0.0,
            "mails_per_second",
            || "must be a number of mails, 0 for no limit".into(),
        );
        faults.unless(self.max_recipients > 0, "max_recipients", || "must be at least 1".into());
        faults.unless(self.max_connections > 0, "max_connections", || "must be at least 1".into());
        faults.unless(self.mail_memory.0 > 0, "mail_memory", || "must be more than nothing".into());
        faults.unless(self.max_size.0 > 0, "max_size", || "must be more than nothing".into());
        for (field, span) in [
            ("command_timeout", self.command_timeout),
            ("data_timeout", self.data_timeout),
            ("tls_timeout", self.tls_timeout),
            ("resolve_interval", self.resolve_interval),
        ] {
            faults.unless(!span.0.is_zero(), field, || "must be longer than nothing".into());
        }
        faults.unless(!self.require_tls || self.tls.is_some(), "require_tls", || {
            "TLS is required but [tls] is not given".into()
        });
        faults.unless(!self.implicit_tls || self.tls.is_some(), "implicit_tls", || {
            "TLS is wanted from the first octet but [tls] is not given".into()
        });
        let usable = self.users.is_empty() || self.tls.is_some() || self.auth_in_clear;
        faults.unless(usable, "users", || "AUTH needs [tls], or else auth_in_clear = true".into());
        for address in self.receivers.keys() {
            faults.receiver("receivers", address);
        }
        for address in self.senders.keys() {
            faults.receiver("senders", address);
        }
        for peer in self.peers.keys() {
            let good = match peer.strip_prefix(EHLO) {
                Some(said) => is_domain(said),
                None => Allowed::try_from(peer.clone()).is_ok(),
            };
            faults.unless(good, "peers", || {
                let given = peer.escape_debug();
                format!("`{given}` is no address, no network, no host name, and no `{EHLO}name`")
            });
        }
        for spool in &self.spool {
            spool.check(&mut faults);
        }
        faults.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::reference;

    #[test]
    fn the_reference_states_the_defaults() {
        let read: ReceiverSettings = toml::from_str(REFERENCE).unwrap();
        assert_eq!(format!("{read:#?}"), format!("{:#?}", ReceiverSettings::default()));
        assert_eq!(read.check(), []);
    }

    #[test]
    fn the_reference_names_every_field_and_its_examples_are_good() {
        let full: ReceiverSettings = toml::from_str(&reference::uncommented(REFERENCE)).unwrap();
        assert!(full.tls.is_some() && !full.users.is_empty());
        assert_eq!(full.check(), []);
        for section in ["", "tls"] {
            reference::names_all_fields::<ReceiverSettings>(REFERENCE, "", section);
        }
        let [spool] = full.spool.as_slice() else { panic!("{:?}", full.spool) };
        let least: ReceiverSettings = toml::from_str("[[spool]]\ndirectory = \"/x\"").unwrap();
        let least = SpoolSettings {
            directory: spool.directory.clone(),
            group: spool.group.clone(),
            ..least.spool[0].clone()
        };
        assert_eq!((spool, spool.group.is_some()), (&least, true), "the reference shows the defaults");
        reference::names_all_fields::<SpoolSettings>(REFERENCE, "directory = \"/x\"", "");
    }

    #[test]
    fn each_fault_names_its_field() {
        let faults = |text: &str| {
            let settings: ReceiverSettings = toml::from_str(text).unwrap();
            settings.check().into_iter().map(|fault| fault.field).collect::<Vec<_>>()
        };
        assert_eq!(faults("hostname = \"a b\""), ["hostname"]);
        assert_eq!(faults("max_connections = 0"), ["max_connections"]);
        assert_eq!(faults("data_timeout = 0"), ["data_timeout"]);
        assert_eq!(faults("require_tls = true"), ["require_tls"]);
        assert_eq!(faults("implicit_tls = true"), ["implicit_tls"]);
        assert_eq!(faults("[users]\na = \"b\""), ["users"]);
        assert_eq!(faults("[receivers]\n\"a b@c\" = \"g\""), ["receivers"]);
        assert_eq!(faults("[senders]\n\"nobody\" = \"g\""), ["senders"]);
        for peer in ["a/b", "10.0.0.300", "ehlo:", "ehlo:a b"] {
            assert_eq!(faults(&format!("[peers]\n\"{peer}\" = \"g\"")), ["peers"], "{peer}");
        }
        assert_eq!(faults("[peers]\n\"mmsc.x\" = \"g\"\n\"ehlo:mmsc\" = \"g\""), [""; 0]);
        assert_eq!(faults("resolve_interval = 0"), ["resolve_interval"]);
        let spool = |more: &str| faults(&format!("[[spool]]\ndirectory = \"/x\"\n{more}"));
        assert_eq!(spool(""), [""; 0]);
        assert_eq!(faults("[[spool]]\ndirectory = \"\""), ["spool.directory"]);
        assert_eq!(spool("settle_time = 0"), ["spool.settle_time"]);
        assert_eq!(spool("poll_interval = \"1m\""), ["spool.takeover_after"]);
        assert_eq!(spool("max_size = 0"), ["spool.max_size"]);
    }
}
