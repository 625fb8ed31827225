//! `mmsgw serve`: the whole gateway in one process.

use std::time::Duration;

use crate::assemble;
use crate::cli::ServeArgs;
use crate::config::Settings;
use crate::telemetry;

/// How long work in hand may take to end after the signal to stop.
const DRAIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let settings = Settings::load(&args.config)?;
    telemetry::start(&settings.log)?;
    let running = assemble::start(settings).await?;
    for (what, address) in running.addresses() {
        tracing::info!("{what} on {address}");
    }
    let signal = super::stop_signal().await?;
    tracing::info!("{signal}: finishing what is in hand");
    if running.stop(DRAIN).await {
        tracing::info!("done");
    } else {
        tracing::warn!("not all was finished in time; it is done again after the next start");
    }
    Ok(())
}
