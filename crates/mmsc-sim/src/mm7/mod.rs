//! The MM7 side: the carrier as relay/server (TS 23.140 clause 8.7).

pub(crate) mod http;
pub(crate) mod server;
pub(crate) mod soap;
pub(crate) mod write;
