//! The MM4 side: the carrier as the other relay/server (TS 23.140 clause 8.4).

pub(crate) mod client;
pub(crate) mod forward;
pub(crate) mod server;
pub(crate) mod write;
