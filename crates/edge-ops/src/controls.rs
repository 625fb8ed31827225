//! What administration can do to the process itself, which only the binary knows how to do.

use async_trait::async_trait;
use serde::Serialize;
use utoipa::ToSchema;

/// The process that the operations listener belongs to.
#[async_trait]
pub trait Controls: Send + Sync + 'static {
    /// What is logged, as `[log] level` says it.
    fn log_level(&self) -> String;

    /// Changes what is logged.
    ///
    /// # Errors
    /// What is wrong with the filter, for people.
    fn set_log_level(&self, filter: &str) -> Result<(), String>;

    /// Reads the configuration anew and takes it over as far as that goes without a restart. Goes on where the caller
    /// does not wait for it.
    ///
    /// # Errors
    /// What is wrong with the configuration, all of it, for people; nothing was changed.
    async fn reload(&self) -> Result<Reloaded, String>;
}

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reloaded {
    /// Groups that came.
    pub added: Vec<String>,
    /// Groups whose instances here ended and began anew, with their new settings.
    pub changed: Vec<ChangedGateway>,
    /// Groups that are not there any more.
    pub removed: Vec<String>,
    /// Other settings that hold now, by their keys in the main file; certificates by the listener's.
    pub settings: Vec<String>,
    /// Settings that changed in the files and hold from the next start on, by their keys.
    pub at_next_start: Vec<String>,
    /// What somebody should know about it.
    pub warnings: Vec<String>,
}

/// A gateway file that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChangedGateway {
    /// Its group.
    pub group: String,
    /// What changed in it.
    pub keys: Vec<String>,
}
