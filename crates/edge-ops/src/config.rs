//! Settings of the operations listener.

use std::net::{Ipv4Addr, SocketAddr};

use mmsgw_domain::Span;
use mmsgw_net::ServerTlsSettings;
use serde::Deserialize;

/// The settings file that says the same as no settings at all, with every field explained.
pub const CONFIG_DEFAULT: &str = include_str!("config.default.toml");

/// Settings of the operations listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpsSettings {
    /// Address and port of the listener. Health and metrics ask for no key, so it is on loopback unless told
    /// otherwise.
    pub listen: SocketAddr,
    /// The store counts as unreachable when it has not answered within this time.
    pub store_timeout: Span,
    /// Most connections at a time; more of them wait to be accepted.
    pub max_connections: usize,
    /// Whether `/` is the dashboard, a page for browsers. What it shows asks for the same keys as administration.
    pub dashboard: bool,
    /// TLS on the listener; without it it speaks plain HTTP.
    pub tls: Option<ServerTlsSettings>,
}

impl Default for OpsSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            store_timeout: Span::secs(3),
            max_connections: 64,
            dashboard: true,
            tls: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        ops: OpsSettings,
    }

    #[test]
    fn the_default_file_says_the_default() {
        assert_eq!(toml::from_str::<File>(CONFIG_DEFAULT).unwrap().ops, OpsSettings::default());
        assert_eq!(toml::from_str::<OpsSettings>("").unwrap(), OpsSettings::default());
    }

    #[test]
    fn the_default_file_names_every_field() {
        // The refusal of an unknown field lists those that are known.
        let error = toml::from_str::<OpsSettings>("no_such = 1").unwrap_err();
        let list = error.message().split_once("expected ").expect("no list of fields").1.to_owned();
        let names: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert!(names.len() >= 4, "{names:?}");
        for name in names {
            let set = CONFIG_DEFAULT
                .lines()
                .any(|line| line.starts_with(&format!("{name} = ")) || line == format!("# [ops.{name}]"));
            assert!(set, "{name} is not in the default file");
        }
    }
}
