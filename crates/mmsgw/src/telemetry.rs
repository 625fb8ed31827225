//! Logs: one line per thing that happened, readable as it stands, with fields beside.

use std::io::IsTerminal;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// Section `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSection {
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter by room such as
    /// `info,mmsgw_edge_mm4=debug`.
    pub(crate) level: String,
    /// `text` for people, `json` for machines.
    pub(crate) format: Format,
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
        Self { level: "info".into(), format: Format::Text }
    }
}

impl LogSection {
    /// Logs that leave the terminal to the command.
    pub(crate) fn quiet() -> Self {
        Self { level: "error".into(), ..Self::default() }
    }
}

/// Starts logging to standard error. The environment variable `MMSGW_LOG` overrides the level.
///
/// # Errors
/// A level that is no filter.
pub(crate) fn start(log: &LogSection) -> anyhow::Result<()> {
    let level = std::env::var("MMSGW_LOG").unwrap_or_else(|_| log.level.clone());
    let filter = EnvFilter::try_new(&level).map_err(|e| anyhow::anyhow!("log.level `{level}`: {e}"))?;
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = match log.format {
        Format::Text => builder.with_target(false).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| anyhow::anyhow!("cannot start logging: {e}"))
}
