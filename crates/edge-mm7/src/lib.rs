//! MM7 out and in: SOAP over HTTP (3GPP TS 23.140 clause 8.7).
//!
//! Out: [`Mm7Gateway`] posts a SubmitReq for each message and turns the answer into a verdict; it also
//! reads the reports that came in. In: [`router`] takes what an MMSC posts, keeps it through the engine's
//! door, and only then answers.
//!
//! Where to look: `translate` is the one place where words of the domain become words of MM7 and back;
//! `render` keeps rendered content for the messages that share it; `scales` tells how
//! large a request will be; `split` makes several requests of one message; `verdict` is the one table that says
//! what an answer means; `tell` reports to a peer on its messages, `amend` takes
//! back or replaces ours; `auth` says who may post to us, `digest`
//! is the one scheme of it that remembers something. Settings of a gateway file are in [`config`], the switches
//! of MMSCs' dialects in [`dialect`].
//! Nothing here knows the store, retries by itself, or decides when a message is sent.

mod amend;
mod auth;
pub mod config;
pub mod dialect;
mod digest;
mod heartbeat;
mod parse;
mod receive;
mod render;
mod scales;
mod send;
mod split;
mod tell;
#[cfg(test)]
mod testing;
mod translate;
mod verdict;
mod wire;

pub use config::{Mm7File, Mm7Settings, SecretError, SettingFault};
pub use heartbeat::{Heartbeat, HeartbeatError};
pub use mmsgw_mime::reading::Reading;
pub use parse::parse;
pub use receive::{Receiver, router};
pub use scales::Mm7Scales;
pub use send::{GatewayError, Mm7Gateway};
pub use split::Preview;

/// What fuzz targets reach beside the public interface; it is there for them only.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::digest::fuzz as digest;
}
