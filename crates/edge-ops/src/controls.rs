//! What administration can do to the process itself, which only the binary knows how to do.

/// The process that the operations listener belongs to.
pub trait Controls: Send + Sync + 'static {
    /// What is logged, as `[log] level` says it.
    fn log_level(&self) -> String;

    /// Changes what is logged.
    ///
    /// # Errors
    /// What is wrong with the filter, for people.
    fn set_log_level(&self, filter: &str) -> Result<(), String>;
}
