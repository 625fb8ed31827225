//! Sockets with manners: everything between a protocol edge and the operating system's network.
//!
//! * [`count`]: connections counted, for metrics.
//! * [`tls`]: certificates and keys from files, for both directions, reloadable on the server side.
//! * [`listen`]: binding, and accepting TCP connections up to a limit.
//! * [`neighbours`], [`rate`]: how many connections one peer may hold, and how much a key may ask for in a second.
//! * [`admission`]: how many requests, and octets of them, a door has in hand at a time.
//! * [`serve`]: HTTP/1.1 and HTTP/2 on such a listener, with time limits for every phase of a connection.
//! * [`connect`]: outgoing TCP, and a stream that can turn into TLS half way (STARTTLS).
//! * [`http`]: an HTTP client that follows nobody's redirect and reads no more than it was told to.
//! * [`guard`]: which addresses a URL given by a stranger may lead to.
//! * [`drain`]: ending tasks politely, then firmly.
//!
//! The crate knows no protocol above HTTP's framing, no settings file and no message. It must not decide what a
//! failed connection means: it says what happened, the edges judge.

pub mod admission;
pub mod connect;
pub mod count;
pub mod drain;
pub mod guard;
pub mod http;
pub mod listen;
pub mod neighbours;
mod pulse;
pub mod rate;
pub mod serve;
pub mod tls;

#[cfg(test)]
mod test_pki;

pub use admission::{Admission, Admitted};
pub use connect::{ConnectError, MaybeTls, UpgradeError, connect_tcp};
pub use count::{DialCounts, ListenerCounts};
pub use drain::Drain;
pub use guard::{AddressClass, AddressGuard, GuardError};
pub use http::{BodyError, ClientError, HttpClient, HttpSettings, USER_AGENT, read_limited, streamed};
pub use listen::{BindError, Crowd, Listener, Permit, accept_tcp, adopt, bind};
pub use neighbours::{Neighbours, Place, peer_of};
pub use rate::RateLimit;
pub use serve::{HttpLimits, Peer, serve_http};
pub use tls::{
    Alpn, ClientCertificate, ClientTls, ClientTlsSettings, FreshTls, HandshakeError, ServerTls,
    ServerTlsSettings, TlsError,
};
