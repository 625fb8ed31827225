//! `mmsgw check`: explains every fault of a configuration.

use std::path::Path;

use crate::cli::CheckArgs;
use crate::config::{Faults, Settings};
use crate::exit::Ended;
use crate::roles::Roles;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    match load(&args.config) {
        Ok(settings) => {
            println!("{} is fine.", args.config.display());
            for line in settings.summary() {
                println!("  {line}");
            }
            Ok(())
        }
        Err(faults) => {
            for fault in &faults.0 {
                println!("{fault}");
            }
            Err(Ended::Failed("the configuration has faults").into())
        }
    }
}

/// A storage that processes cannot share is for one that does everything, so that has to fit as well.
fn load(path: &Path) -> Result<Settings, Faults> {
    let settings = Settings::load(path)?;
    if !settings.storage.is_shared() {
        settings.fits(&Roles::all(), path)?;
    }
    Ok(settings)
}
