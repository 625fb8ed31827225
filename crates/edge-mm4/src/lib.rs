//! MM4 (3GPP TS 23.140 clause 8.4) out and in: messages leave as mails over pooled SMTP sessions,
//! messages and reports arrive as mails at an SMTP receiver or in a spool directory.
//!
//! Out: the engine hands an [`Outbound`](mmsgw_engine::Outbound) to [`Mm4Gateway`]; `render` encodes
//! the body once per content, `translate` makes the PDU, `send` hands both to a session of the pool
//! in `connect`, `verdict` turns the server's replies into deliveries. How large the mail will be
//! is told by `scales`.
//!
//! In: [`SmtpReceiver`] keeps each mail with the engine before it says 250, and [`watch_spool`] each file of
//! a directory before it removes it, for the group that [`Routes`] names; later the engine has
//! [`Mm4Gateway`] read it, which `incoming` translates. What is told to the carrier about its messages is
//! made by `reporting`, and goes only where `trust` lets it.
//!
//! Settings of a gateway file are in [`config`], the switches of carriers' dialects in [`dialect`].
//!
//! This crate must not retry, keep anything of its own on disk, or relay a mail to anybody.

mod bounce;
pub mod config;
mod connect;
pub mod dialect;
mod heartbeat;
mod incoming;
mod link;
mod listen;
mod names;
mod parse;
mod peer;
mod preview;
pub mod receiver;
mod render;
mod reporting;
mod route;
mod scales;
mod send;
mod spool;
mod talk;
mod translate;
mod trust;
mod verdict;
mod wire;

pub use config::{Mm4File, Mm4Settings, SettingsFault};
pub use heartbeat::{Heartbeat, HeartbeatError};
pub use listen::{ReceiverError, SmtpReceiver, serve_smtp};
pub use mmsgw_mime::reading::Reading;
pub use names::Allowed;
pub use parse::parse;
pub use preview::Preview;
pub use receiver::ReceiverSettings;
pub use route::{NoRoute, Origin, Routes};
pub use scales::Mm4Scales;
pub use send::{Mm4Gateway, StartError};
pub use spool::{SpoolKind, SpoolSettings, watch_spool};

#[cfg(test)]
mod tests;

/// What fuzz targets reach beside the public interface; it is there for them only.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::spool::fuzz as spool;
}
