//! MM4 (3GPP TS 23.140 clause 8.4) out and in: messages leave as mails over pooled SMTP sessions,
//! acknowledgements and reports arrive as mails at an SMTP receiver.
//!
//! Out: the engine hands an [`Outbound`](mmsgw_engine::Outbound) to [`Mm4Gateway`]; `render` encodes
//! the body once per revision, `translate` makes the PDU, `send` hands both to a session of the pool
//! in `connect`, `verdict` turns the server's replies into deliveries.
//!
//! In: [`SmtpReceiver`] keeps each mail with the engine before it says 250, for the group that
//! [`Routes`] names; later the engine has [`Mm4Gateway`] read it, which `incoming` translates.
//!
//! This crate must not retry, keep anything on disk, or relay a mail to anybody.

mod bounce;
pub mod config;
mod connect;
mod incoming;
mod link;
mod listen;
mod peer;
pub mod receiver;
mod render;
mod route;
mod send;
mod translate;
mod verdict;

pub use config::{Mm4Settings, SettingsFault};
pub use listen::{ReceiverError, SmtpReceiver, serve_smtp};
pub use receiver::ReceiverSettings;
pub use route::{NoRoute, Origin, Routes};
pub use send::{Mm4Gateway, StartError};

#[cfg(test)]
mod tests;
