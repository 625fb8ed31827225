//! Settings of the store: where the servers are, who we are to them, and when a commit counts as durable.
//!
//! Answers for names, forms and defaults, and for telling an operator what is wrong with them. Whether servers
//! answer shows when [`RedisStore`](crate::RedisStore) is connected.

use std::path::PathBuf;
use std::time::Duration;

use mmsgw_domain::Span;
use secrecy::SecretString;
use serde::Deserialize;

/// The settings that say the same as no settings at all, with every field explained.
pub const CONFIG_DEFAULT: &str = include_str!("config.default.toml");

/// Settings of a [`RedisStore`](crate::RedisStore).
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSettings {
    /// The server; with Sentinel the sentinels, with Cluster some of the nodes. `redis://host:port`,
    /// `rediss://host:port` (TLS) or, for one server, `unix:///path/of/socket`. No credentials in it.
    pub servers: Vec<String>,
    /// How the servers stand together.
    pub mode: RedisMode,
    /// Sentinel: the name under which the sentinels know the master.
    pub master: String,
    /// ACL user; absent: the server's default user.
    pub username: Option<String>,
    /// Password of the user.
    pub password: Option<SecretString>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// Sentinel: ACL user on the sentinels themselves.
    pub sentinel_username: Option<String>,
    /// Sentinel: password on the sentinels themselves.
    pub sentinel_password: Option<SecretString>,
    /// Number of the database; Cluster has only 0.
    pub database: u16,
    /// Every key begins with it, so that several gateways may share a server.
    pub key_prefix: String,
    /// When a commit counts as durable.
    pub durability: Durability,
    /// How many replicas must have a commit, with `durability = "replicas"`.
    pub replicas: u16,
    /// A call that has no answer after that long fails as not available. Until then it is tried again, on a new
    /// connection where need be. At most 30 s.
    pub timeout: Span,
    /// Time for a connection: look-up, TCP, TLS and log-in together.
    pub connect_timeout: Span,
    /// Most batches that are sent together.
    pub max_round: usize,
    /// TLS towards `rediss` servers.
    pub tls: RedisTlsSettings,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            servers: vec!["redis://127.0.0.1:6379".to_owned()],
            mode: RedisMode::Single,
            master: "mymaster".to_owned(),
            username: None,
            password: None,
            password_file: None,
            sentinel_username: None,
            sentinel_password: None,
            database: 0,
            key_prefix: "mmsgw".to_owned(),
            durability: Durability::Server,
            replicas: 1,
            timeout: Span::secs(5),
            connect_timeout: Span::secs(2),
            max_round: 256,
            tls: RedisTlsSettings::default(),
        }
    }
}

/// How the servers stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisMode {
    /// One server.
    Single,
    /// A master with replicas; sentinels know which one is the master.
    Sentinel,
    /// Redis Cluster.
    Cluster,
}

/// When a commit counts as durable, that is, when callers are told yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// When it is in the server's memory. For trials.
    None,
    /// When the server answers. With `appendfsync always` it is on disk by then; with `everysec` a power cut
    /// takes up to a second of what was answered.
    Server,
    /// When it is on the server's disk, whatever the server's own setting: WAITAOF, from 7.2 on. An older server
    /// must run with `appendfsync always`, or the store refuses to open.
    Fsync,
    /// When it is on the master and in the memory of so many replicas (WAIT), so that a failover keeps it.
    Replicas,
}

/// TLS towards the servers. All absent: the platform's authorities, no client certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisTlsSettings {
    /// PEM file with the authorities to trust instead of the platform's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the certificate to show to the server. Needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the private key of `cert_file`.
    pub key_file: Option<PathBuf>,
}

impl RedisSettings {
    /// Looks for everything that the types alone cannot see; each fault begins with the key it concerns. Reads no
    /// file.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.servers.is_empty() {
            faults.push("servers: name at least one, as in [\"redis://127.0.0.1:6379\"]".to_owned());
        }
        if self.mode == RedisMode::Single && self.servers.len() > 1 {
            faults.push("servers: several need `mode = \"sentinel\"` or `mode = \"cluster\"`".to_owned());
        }
        faults.extend(self.servers.iter().filter_map(|server| self.server_fault(server)));
        if self.mode == RedisMode::Sentinel && self.master.is_empty() {
            faults.push("master: the sentinels know the master by a name; give it".to_owned());
        }
        if self.mode == RedisMode::Cluster && self.database != 0 {
            faults.push("database: a cluster has only database 0".to_owned());
        }
        if self.password.is_some() && self.password_file.is_some() {
            faults.push("password: give it either here or in `password_file`".to_owned());
        }
        let has_password = self.password.is_some() || self.password_file.is_some();
        if self.username.is_some() && !has_password {
            faults.push("username: needs `password` or `password_file`".to_owned());
        }
        let prefix = &self.key_prefix;
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_graphic() && b != b'{' && b != b'}') {
            faults.push("key_prefix: one or more visible ASCII characters without braces".to_owned());
        }
        if self.durability == Durability::Replicas && self.replicas == 0 {
            faults.push("replicas: at least 1, or another `durability`".to_owned());
        }
        if self.timeout.0.is_zero() || self.timeout.0 > MAX_TIMEOUT {
            faults.push("timeout: more than nothing and at most 30s".to_owned());
        }
        if self.connect_timeout.0.is_zero() {
            faults.push("connect_timeout: more than nothing".to_owned());
        }
        if self.max_round == 0 {
            faults.push("max_round: at least 1".to_owned());
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            faults.push("tls.cert_file: goes together with `tls.key_file`".to_owned());
        }
        faults
    }

    fn server_fault(&self, server: &str) -> Option<String> {
        if server.contains('@') {
            let why = "user and password do not belong into the address; use `username` and `password`";
            return Some(format!("servers: {why}"));
        }
        let is_unix = server.starts_with("unix://") || server.starts_with("redis+unix://");
        if is_unix && self.mode != RedisMode::Single {
            return Some(format!("servers: `{server}`: sockets of this host only with `mode = \"single\"`"));
        }
        let is_known = is_unix || server.starts_with("redis://") || server.starts_with("rediss://");
        let why = || format!("servers: `{server}` must begin with redis://, rediss:// or unix://");
        (!is_known).then(why)
    }
}

/// Marks of commits, by which a repeated one is known, are kept longer than this on the server.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_says_the_default() {
        let read: RedisSettings = toml::from_str(CONFIG_DEFAULT).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", RedisSettings::default()));
        assert_eq!(read.faults(), Vec::<String>::new());
    }

    #[test]
    fn the_default_file_names_every_field() {
        for section in ["", "tls"] {
            let head = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
            let error = toml::from_str::<RedisSettings>(&format!("{head}no_such = 1")).unwrap_err();
            let list = error.message().split_once("expected ").expect("no list of fields").1.to_owned();
            for name in list.split('`').skip(1).step_by(2) {
                let set = CONFIG_DEFAULT
                    .lines()
                    .any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} = ")));
                assert!(set || CONFIG_DEFAULT.contains(&format!("[{name}]")), "{name} is not in the file");
            }
        }
    }

    #[test]
    fn faults_name_their_key_and_secrets_are_not_shown() {
        let read: RedisSettings = toml::from_str(
            "servers = [\"redis://:hidden@a\", \"http://b\"]\ntimeout = \"31s\"\nkey_prefix = \"a{b\"\npassword = \"hidden\"",
        )
        .unwrap();
        let faults = read.faults();
        assert_eq!(faults.len(), 5, "{faults:?}");
        for key in ["servers: several", "servers: user", "servers: `http://b`", "timeout", "key_prefix"] {
            assert!(faults.iter().any(|fault| fault.starts_with(key)), "{key}: {faults:?}");
        }
        assert!(!format!("{:?}", read.password).contains("hidden"));
        assert!(!faults.iter().any(|fault| fault.contains("hidden")), "{faults:?}");
        assert!(toml::from_str::<RedisSettings>("tiemout = 3").is_err());
    }
}
