//! Settings of both directions: where calls may go, how long they take, how they are signed.
//!
//! Answers for the form of the settings and their defaults; whether files can be read and keys are keys shows when
//! [`Callout`](crate::Callout) and [`Fetch`](crate::Fetch) are made.

use std::path::PathBuf;

use ipnet::IpNet;
use mmsgw_domain::{ByteSize, Span};
use mmsgw_net::tls::ClientTlsSettings;
use secrecy::SecretString;
use serde::Deserialize;

/// The settings file that says the same as no settings at all, with every field explained.
pub const CONFIG_DEFAULT: &str = include_str!("config.default.toml");

/// Settings of calls to the application's servers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CalloutSettings {
    /// Events and inbound messages posted to the application.
    pub callbacks: CallbackSettings,
    /// Media fetched by URL.
    pub media: FetchSettings,
}

/// Settings of callbacks.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallbackSettings {
    /// Time for one callback, from the look-up of the name to the end of the answer.
    pub timeout: Span,
    /// Time for look-up, TCP and TLS together.
    pub connect_timeout: Span,
    /// An answer's body is read up to here; one that is longer orders no reports.
    pub max_answer: ByteSize,
    /// Networks that callbacks may go to besides public addresses. URLs of gateways and URLs that messages bring
    /// along are judged alike: an operator who puts a gateway's callback on an unusual network lists it here.
    pub allow_networks: Vec<IpNet>,
    /// Refuse plain `http`.
    pub https_only: bool,
    /// Most callbacks in flight to one endpoint (scheme, host and port).
    pub in_flight: usize,
    /// A callback waits that long for its turn at a busy endpoint; one that would wait longer is put off.
    pub max_wait: Span,
    /// After so many failures in a row an endpoint is left alone for a while.
    pub trip_after: u32,
    /// How long, at first; each failed probe doubles it.
    pub closed_min: Span,
    /// How long, at most.
    pub closed_max: Span,
    /// So many endpoints are remembered.
    pub endpoints: usize,
    /// Keys that callbacks are signed with; each one adds a signature.
    pub keys: Vec<KeySettings>,
    /// TLS towards the application's servers.
    pub tls: ClientTlsSettings,
}

impl Default for CallbackSettings {
    fn default() -> Self {
        Self {
            timeout: Span::secs(15),
            connect_timeout: Span::secs(5),
            max_answer: ByteSize(64 << 10),
            allow_networks: home_networks(),
            https_only: false,
            in_flight: 32,
            max_wait: Span::secs(1),
            trip_after: 5,
            closed_min: Span::secs(1),
            closed_max: Span::secs(60),
            endpoints: 4096,
            keys: Vec::new(),
            tls: ClientTlsSettings::default(),
        }
    }
}

/// A signing key: exactly one of the two.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeySettings {
    /// The secret, `whsec_…` (HMAC-SHA256) or `whsk_…` (ed25519), base64 after the prefix.
    pub secret: Option<SecretString>,
    /// A file that holds the secret.
    pub secret_file: Option<PathBuf>,
}

/// Settings of media fetches.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchSettings {
    /// Time for look-up, TCP and TLS together.
    pub connect_timeout: Span,
    /// Time for one fetch, redirects included.
    pub timeout: Span,
    /// Larger media are refused.
    pub max_size: ByteSize,
    /// Redirects that are followed; each is judged like the first URL.
    pub max_redirects: usize,
    /// Networks that media may come from besides public addresses.
    pub allow_networks: Vec<IpNet>,
    /// Refuse plain `http`.
    pub https_only: bool,
    /// Directories under which `file` URLs may lead, absolute; none means that there are no `file` URLs.
    pub file_roots: Vec<PathBuf>,
    /// TLS towards media servers.
    pub tls: ClientTlsSettings,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Span::secs(5),
            timeout: Span::secs(60),
            max_size: ByteSize(10_000_000),
            max_redirects: 3,
            allow_networks: Vec::new(),
            https_only: false,
            file_roots: Vec::new(),
            tls: ClientTlsSettings::default(),
        }
    }
}

/// The machine itself and private networks (RFC 1918, RFC 4193).
fn home_networks() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
        .iter()
        .map(|net| net.parse().expect("a network written above"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_says_the_default() {
        let read: CalloutSettings = toml::from_str(CONFIG_DEFAULT).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", CalloutSettings::default()));
        let none: CalloutSettings = toml::from_str("").unwrap();
        assert_eq!(format!("{none:?}"), format!("{read:?}"));
    }

    /// The fields of `section`, as the refusal of an unknown one lists them.
    fn fields(section: &str) -> Vec<String> {
        let error = toml::from_str::<CalloutSettings>(&format!("[{section}]\nno_such = 1")).unwrap_err();
        let list = error.message().split_once("expected ").expect("no list of fields").1.to_owned();
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_default_file_names_every_field() {
        for section in ["callbacks", "callbacks.tls", "media", "media.tls"] {
            let names = fields(section);
            assert!(names.len() > 3, "{section}: {names:?}");
            let head = format!("\n[{section}]\n");
            let start = CONFIG_DEFAULT.find(&head).expect("no such section") + head.len();
            let body = CONFIG_DEFAULT[start..].split("\n[").next().unwrap();
            for name in names {
                let set =
                    body.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} = ")));
                let table = CONFIG_DEFAULT.contains(&format!("[{section}.{name}]"));
                assert!(set || table, "{section}.{name} is not in the default file");
            }
        }
        assert_eq!(CONFIG_DEFAULT.matches("secret_file").count(), 1);
    }

    #[test]
    fn unknown_settings_are_refused_and_secrets_are_not_shown() {
        assert!(toml::from_str::<CalloutSettings>("[callbacks]\ntimeuot = 3").is_err());
        assert!(toml::from_str::<CalloutSettings>("[media]\nallow_networks = [\"10.0.0.1/33\"]").is_err());
        let read: CalloutSettings =
            toml::from_str("[callbacks]\nkeys = [{ secret = \"whsec_aGVsbG8=\" }]").unwrap();
        assert!(!format!("{read:?}").contains("aGVs"));
    }
}
