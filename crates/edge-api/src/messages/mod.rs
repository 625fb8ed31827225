//! Messages: one endpoint a file.

pub(crate) mod amend;
pub(crate) mod find;
pub(crate) mod read;
pub(crate) mod report;
pub(crate) mod send;
