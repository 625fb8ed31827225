//! Parts on their own: one endpoint a file.

pub(crate) mod create;
pub(crate) mod read;
