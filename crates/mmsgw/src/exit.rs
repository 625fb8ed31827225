//! Exit codes, and how an error reaches the terminal.

use std::process::ExitCode;

/// Why a command ends without success, where scripts may want to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ended {
    /// 1: the message was not sent or did not arrive, a check found faults.
    #[error("{0}")]
    Failed(&'static str),
    /// 4: a process ended because its carrier is not there.
    #[error("{0}")]
    CarrierLost(&'static str),
    /// 3: it is not known how it ended within the time given.
    #[error("{0}")]
    Open(&'static str),
}

/// What `--help` says of exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  failure: a message failed, a check found faults, a server could not start, a gateway could not be reached or
     refused, a job is not there
  2  the command line was wrong
  3  the time was over before the end was known
  4  the carrier gave no sign of life, and on_missed_heartbeats is \"exit\"";

/// Prints an error with its causes and gives its exit code.
pub(crate) fn report(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let text = format!("{error:#}");
    if !text.is_empty() {
        eprintln!("mmsgw: {text}");
    }
    match error.downcast_ref::<Ended>() {
        Some(Ended::Open(_)) => ExitCode::from(3),
        Some(Ended::CarrierLost(_)) => ExitCode::from(4),
        Some(Ended::Failed(_)) | None => ExitCode::FAILURE,
    }
}
