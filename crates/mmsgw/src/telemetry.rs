//! Logs: one line per thing that happened, readable as it stands, with fields beside.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::Deserialize;
use tracing_subscriber::{EnvFilter, reload};

mod mask;

use mask::Lines;

/// Section `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSection {
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter by room such as
    /// `info,mmsgw_edge_mm4=debug`.
    pub(crate) level: String,
    /// `text` for people, `json` for machines.
    pub(crate) format: Format,
    /// Show only the last four digits of telephone numbers.
    pub(crate) mask_numbers: bool,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { level: "info".into(), format: Format::Text, mask_numbers: false }
    }
}

impl LogSection {
    /// Logs that leave the terminal to the command.
    pub(crate) fn quiet() -> Self {
        Self { level: "error".into(), ..Self::default() }
    }
}

/// Logging that has started; its level can be changed.
#[derive(Clone)]
pub(crate) struct LogLevel {
    level: Arc<Mutex<String>>,
    mask_numbers: Arc<AtomicBool>,
    filter: Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>,
}

impl LogLevel {
    /// What is logged, as `[log] level` says it.
    pub(crate) fn log_level(&self) -> String {
        self.level.lock().clone()
    }

    /// Whether the environment says what is logged, whatever the settings say.
    pub(crate) fn is_overridden() -> bool {
        std::env::var_os(LEVEL_VARIABLE).is_some()
    }

    /// Whether `filter` is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(filter: &str) -> anyhow::Result<()> {
        EnvFilter::try_new(filter).map(drop).map_err(|e| anyhow::anyhow!("log.level `{filter}`: {e}"))
    }

    /// Whether only the last digits of telephone numbers are shown from now on.
    pub(crate) fn set_masking(&self, mask_numbers: bool) {
        self.mask_numbers.store(mask_numbers, Ordering::Relaxed);
    }

    /// Changes what is logged.
    ///
    /// # Errors
    /// What is wrong with the filter, for people.
    pub(crate) fn set_log_level(&self, filter: &str) -> Result<(), String> {
        let read = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        let mut level = self.level.lock();
        (self.filter)(read).map_err(|error| error.to_string())?;
        filter.clone_into(&mut level);
        Ok(())
    }
}

/// Starts logging to standard error. The environment variable `MMSGW_LOG` overrides the level.
///
/// # Errors
/// A level that is no filter.
pub(crate) fn start(log: &LogSection) -> anyhow::Result<LogLevel> {
    let level = std::env::var(LEVEL_VARIABLE).unwrap_or_else(|_| log.level.clone());
    let filter = EnvFilter::try_new(&level).map_err(|e| anyhow::anyhow!("log.level `{level}`: {e}"))?;
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let mask_numbers = Arc::new(AtomicBool::new(log.mask_numbers));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines { mask_numbers: Arc::clone(&mask_numbers), colours })
        .with_ansi(colours);
    let (started, filter) = match log.format {
        Format::Text => {
            let builder = builder.with_target(false).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), boxed(move |filter| handle.reload(filter)))
        }
        Format::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), boxed(move |filter| handle.reload(filter)))
        }
    };
    started.map_err(|e| anyhow::anyhow!("cannot start logging: {e}"))?;
    Ok(LogLevel { level: Arc::new(Mutex::new(level)), mask_numbers, filter })
}

fn boxed(
    set: impl Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync + 'static,
) -> Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync> {
    Arc::new(set)
}

/// Says what is logged, before the settings do.
const LEVEL_VARIABLE: &str = "MMSGW_LOG";
