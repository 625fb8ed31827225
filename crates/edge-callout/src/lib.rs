//! Calls to the application's servers: event callbacks and media fetches.
//!
//! * [`Callout`] is the engine's [`Notifier`](mmsgw_engine::Notifier): it posts callbacks as JSON, signed where keys
//!   are configured, and turns the answer into a verdict (`verdict`), with the reports that it orders. One endpoint that is dead or slow costs the
//!   others nothing (`endpoint`).
//! * [`Fetch`] is the engine's [`Fetcher`](mmsgw_engine::Fetcher): it fetches media from `http`, `https` and, under
//!   configured directories, `file` URLs (`file`).
//!
//! Both take URLs from strangers, so both go through the address guard of `mmsgw-net`. This crate keeps nothing on
//! disk and decides nothing about retries: it says what happened and which pause was asked for.

mod config;
mod endpoint;
mod fetch;
mod file;
mod post;
mod sign;
#[cfg(test)]
mod test_server;
mod verdict;

pub use config::{CONFIG_DEFAULT, CallbackSettings, CalloutSettings, FetchSettings, KeySettings};
pub use fetch::Fetch;
pub use post::Callout;
pub use sign::KeyError;

use std::path::PathBuf;

/// Settings that cannot be worked with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The HTTP client could not be made.
    #[error(transparent)]
    Client(#[from] mmsgw_net::ClientError),
    /// A signing key is no key.
    #[error("callbacks.keys, entry {entry}: {source}")]
    Key {
        /// Which one, from 1.
        entry: usize,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A directory of `media.file_roots` is not an absolute path.
    #[error("media.file_roots: {} is not an absolute path", .0.display())]
    RelativeRoot(PathBuf),
}

/// The longest URL that is called, in octets.
const MAX_URL: usize = 2048;
