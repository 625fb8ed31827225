//! `mmsgw check`: explains every fault of a configuration.

use crate::cli::CheckArgs;
use crate::config::Settings;
use crate::exit::Ended;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    match Settings::load(&args.config) {
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
