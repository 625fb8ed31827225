//! The listeners for carriers that speak HTTP: section `[mm7rx]`, and those that gateway files ask for.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use mmsgw_domain::{ByteSize, Span};
use mmsgw_edge_mm7::{Mm7Settings, Receiver};
use mmsgw_engine::config::Protocol;
use mmsgw_net::{Admission, HttpLimits, ServerTlsSettings};
use serde::Deserialize;

use crate::config::{GatewaySettings, Settings};

/// The section with its defaults, each with a comment: the reference.
pub(crate) const CONFIG_DEFAULT: &str = r#"# Where carriers post MM7 requests: reports and messages, at /mmsgw/v1/mms/inbound/<group>.
[mm7rx]
# Address and port to listen on.
listen = "127.0.0.1:8082"
# Take them on the API's listener as well, as the gateways of old did.
on_api = false
# Most connections at once; more of them wait a few seconds and are then answered 503.
max_connections = 1024
# Most connections of one peer (an address; of IPv6 a network of 64 bits), more of them are closed at once; 0 for half of
# all, so that no single peer keeps all others out.
max_connections_per_peer = 0
# Most requests in hand at a time; more are answered with status 4006 and Retry-After.
max_requests = 1024
# Most octets of their bodies, all taken together.
body_memory = "256MiB"
# A connection without a request is closed after that.
idle_timeout = "60s"

# Certificate and key; without this table it is plain HTTP. With client_ca_file carriers show certificates.
#[mm7rx.tls]
#cert_file = "/etc/mmsgw/server.pem"
#key_file = "/etc/mmsgw/server.key"
#client_ca_file = "/etc/mmsgw/carriers.pem"
#client_certificate = "required"
"#;

/// Section `[mm7rx]`; [`CONFIG_DEFAULT`] says what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CarrierHttpSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) on_api: bool,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_peer: usize,
    pub(crate) max_requests: usize,
    pub(crate) body_memory: ByteSize,
    pub(crate) idle_timeout: Span,
    pub(crate) tls: Option<ServerTlsSettings>,
}

impl Default for CarrierHttpSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8082)),
            on_api: false,
            max_connections: 1024,
            max_connections_per_peer: 0,
            max_requests: 1024,
            body_memory: ByteSize(256 << 20),
            idle_timeout: Span::secs(60),
            tls: None,
        }
    }
}

impl CarrierHttpSettings {
    /// What all listeners for carriers have in hand at a time.
    pub(crate) fn admission(&self) -> Admission {
        Admission::new(self.max_requests, self.body_memory.as_usize())
    }

    /// Limits of the listener.
    pub(crate) fn limits(&self) -> HttpLimits {
        HttpLimits {
            max_connections: self.max_connections,
            max_connections_per_peer: self.max_connections_per_peer,
            idle_timeout: self.idle_timeout.0,
            ..HttpLimits::default()
        }
    }
}

/// One listener for carriers that speak HTTP.
#[derive(Debug)]
pub(crate) struct CarrierListener<'a> {
    /// Whose it is, where it is not that of `[mm7rx]`: names of gateways.
    pub(crate) owners: Option<String>,
    /// Address and port.
    pub(crate) listen: SocketAddr,
    /// Certificate and key.
    pub(crate) tls: Option<&'a ServerTlsSettings>,
    gateways: Vec<&'a Mm7Settings>,
}

impl CarrierListener<'_> {
    /// The doors of its gateways.
    ///
    /// # Errors
    /// A file with a secret that cannot be read.
    pub(crate) fn receivers(&self) -> anyhow::Result<Vec<Receiver>> {
        let receiver =
            |s: &&Mm7Settings| Receiver::new(s).with_context(|| format!("gateway {}", s.gateway.name));
        self.gateways.iter().map(receiver).collect()
    }

    /// What it is called where addresses are told.
    pub(crate) fn name(&self) -> String {
        match &self.owners {
            Some(owners) => format!("HTTP for carriers of {owners}"),
            None => "HTTP for carriers".to_owned(),
        }
    }
}

/// The listeners that the settings ask for, that of `[mm7rx]` first; it is there where a gateway has none
/// of its own.
pub(crate) fn listeners(settings: &Settings) -> Vec<CarrierListener<'_>> {
    let section = &settings.mm7rx;
    let mut all: Vec<CarrierListener<'_>> = Vec::new();
    for gateway in mm7(settings) {
        let host = gateway.inbound.host;
        let owner = host.map(|_| gateway.gateway.name.clone());
        let shared = |l: &&mut CarrierListener<'_>| {
            l.owners.is_some() == owner.is_some()
                && Some(l.listen) == host.or(Some(section.listen))
                && !is_any(host)
        };
        if let Some(listener) = all.iter_mut().find(shared) {
            if let (Some(owners), Some(owner)) = (&mut listener.owners, &owner) {
                *owners = format!("{owners}, {owner}");
            }
            listener.gateways.push(gateway);
            continue;
        }
        all.push(CarrierListener {
            listen: host.unwrap_or(section.listen),
            tls: if host.is_some() { gateway.inbound.tls.as_ref() } else { section.tls.as_ref() },
            owners: owner,
            gateways: vec![gateway],
        });
    }
    all.sort_by_key(|listener| listener.owners.is_some());
    all
}

/// Any free port, which nobody shares.
fn is_any(host: Option<SocketAddr>) -> bool {
    host.is_some_and(|host| host.port() == 0)
}

/// What of the listeners does not fit together.
pub(crate) fn conflicts(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    let others = [
        ("api.listen", Some(settings.api.listen)),
        ("ops.listen", Some(settings.ops.listen)),
        ("mm4rx.listen", settings.speaks(Protocol::Mm4).then_some(settings.mm4rx.listen)),
        (
            "mm7rx.listen",
            listeners(settings).iter().any(|l| l.owners.is_none()).then_some(settings.mm7rx.listen),
        ),
    ];
    for listener in listeners(settings) {
        let mut paths = HashMap::new();
        for gateway in &listener.gateways {
            let (name, inbound) = (&gateway.gateway.name, &gateway.inbound);
            if inbound.host.is_some() && inbound.tls.as_ref() != listener.tls {
                found.push(format!(
                    "gateway {name}: inbound.tls: another gateway has a listener at {} with another certificate, or \
                     without; write the same in both, or give this one another port",
                    listener.listen
                ));
            }
            let Some(path) = inbound.path.as_deref() else { continue };
            if let Some(first) = paths.insert(path, name) {
                found.push(format!(
                    "gateway {name}: inbound.path: `{path}` is that of gateway {first} at the same listener; give \
                     one of them another path, or a `host` of its own"
                ));
            }
        }
        for (key, taken) in others.iter().filter(|_| listener.owners.is_some()) {
            if taken.is_some_and(|taken| taken.port() != 0 && collide(taken, listener.listen)) {
                let name = &listener.gateways[0].gateway.name;
                found.push(format!(
                    "gateway {name}: inbound.host: {} is taken by {key}; give it another port",
                    listener.listen
                ));
            }
        }
    }
    found
}

/// Whether two listeners want the same port of the same address.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let overlap = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && overlap
}

fn mm7(settings: &Settings) -> impl Iterator<Item = &Mm7Settings> {
    settings.gateways.iter().filter_map(|gateway| match &gateway.settings {
        GatewaySettings::Mm7(mm7) => Some(&**mm7),
        GatewaySettings::Mm4(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn gateway(name: &str, inbound: &str) -> (&'static str, String) {
        let text = format!(
            "[gateway]\nprotocol = 'MM7'\nversion = '6.8.0'\nname = '{name}'\ngroup = '{name}'\n\
             [outbound]\nremote_host = 'http://127.0.0.1:1/'\n[inbound]\n{inbound}\n"
        );
        ("gateway", text)
    }

    fn load(gateways: &[(&str, String)]) -> Result<Settings, String> {
        Settings::from_texts("", gateways, Path::new("/")).map_err(|faults| faults.to_string())
    }

    #[test]
    fn gateways_share_a_listener_or_have_their_own() {
        let settings = load(&[
            gateway("a", "host = '127.0.0.1:9001'"),
            gateway("b", ""),
            gateway("c", "host = '127.0.0.1:9002'\npath = '/c'"),
            gateway("d", "host = '127.0.0.1:9001'\npath = '/d'"),
            gateway("e", "host = '127.0.0.1:0'"),
            gateway("f", "host = '127.0.0.1:0'"),
        ])
        .unwrap();
        let names: Vec<String> = listeners(&settings).iter().map(CarrierListener::name).collect();
        let of = |owners: &str| format!("HTTP for carriers of {owners}");
        assert_eq!(names, ["HTTP for carriers".to_owned(), of("a, d"), of("c"), of("e"), of("f")]);
        let all_moved = load(&[gateway("a", "host = '127.0.0.1:8082'")]).unwrap();
        assert_eq!(listeners(&all_moved).len(), 1, "nobody needs [mm7rx], so its address is free");
    }

    #[test]
    fn listeners_that_do_not_fit_together_are_told() {
        let fault = |gateways: &[(&str, String)]| load(gateways).unwrap_err();
        let tls = "host = '127.0.0.1:9001'\n[inbound.tls]\ncert_file = 'a'\nkey_file = 'b'";
        let other = fault(&[gateway("a", "host = '127.0.0.1:9001'"), gateway("b", tls)]);
        assert!(other.contains("gateway b: inbound.tls: another gateway"), "{other}");
        let path = "path = '/mm7'";
        let twice = fault(&[gateway("a", path), gateway("b", path)]);
        assert!(twice.contains("gateway b: inbound.path: `/mm7` is that of gateway a"), "{twice}");
        assert!(
            load(&[gateway("a", path), gateway("b", &format!("host = '127.0.0.1:9001'\n{path}"))]).is_ok()
        );
        for (address, key) in [("127.0.0.1:8080", "api.listen"), ("0.0.0.0:8081", "ops.listen")] {
            let taken = fault(&[gateway("a", &format!("host = '{address}'"))]);
            assert!(taken.contains(&format!("inbound.host: {address} is taken by {key}")), "{taken}");
        }
        let taken = fault(&[gateway("a", ""), gateway("b", "host = '127.0.0.1:8082'")]);
        assert!(taken.contains("taken by mm7rx.listen"), "{taken}");
    }
}
