//! Batches: one endpoint a file.

pub(crate) mod cancel;
mod lines;
pub(crate) mod list;
pub(crate) mod read;
pub(crate) mod send;
