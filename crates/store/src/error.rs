//! What can go wrong, by what the caller can do about it.

/// An error of a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed the message meanwhile, or the id is taken: read again, decide again.
    #[error("changed meanwhile: {0}")]
    Conflict(String),
    /// A lease has lapsed: drop the work, somebody else has the job.
    #[error("a lease has lapsed")]
    LeaseLost,
    /// The store cannot do it now: try later. Nothing was changed as far as is known.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A record cannot be read: a person has to look at it.
    #[error("a stored record cannot be read: {0}")]
    Corrupt(String),
    /// The data belong to another process or another release; this process must not start.
    #[error("{0}")]
    Unusable(String),
}
