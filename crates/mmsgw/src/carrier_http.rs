//! The listener for carriers that speak HTTP: section `[mm7rx]`.

use std::net::{Ipv4Addr, SocketAddr};

use mmsgw_domain::Span;
use mmsgw_net::{HttpLimits, ServerTlsSettings};
use serde::Deserialize;

/// The section with its defaults, each with a comment: the reference.
pub(crate) const CONFIG_DEFAULT: &str = r#"# Where carriers post MM7 requests: reports and messages, at /mmsgw/v1/mms/inbound/<group>.
[mm7rx]
# Address and port to listen on.
listen = "127.0.0.1:8082"
# Take them on the API's listener as well, as the gateways of old did.
on_api = false
# Most connections at once; others wait.
max_connections = 1024
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
    pub(crate) idle_timeout: Span,
    pub(crate) tls: Option<ServerTlsSettings>,
}

impl Default for CarrierHttpSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8082)),
            on_api: false,
            max_connections: 1024,
            idle_timeout: Span::secs(60),
            tls: None,
        }
    }
}

impl CarrierHttpSettings {
    /// Limits of the listener.
    pub(crate) fn limits(&self) -> HttpLimits {
        HttpLimits {
            max_connections: self.max_connections,
            idle_timeout: self.idle_timeout.0,
            ..HttpLimits::default()
        }
    }
}
