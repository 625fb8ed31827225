//! `mmsgw reference`: prints the reference configuration.

use crate::cli::ReferenceArgs;
use crate::config;

pub(crate) fn run(args: &ReferenceArgs) -> anyhow::Result<()> {
    let text = match args.file.as_str() {
        "mm4" => config::MM4_REFERENCE.to_owned(),
        "mm7" => config::MM7_REFERENCE.to_owned(),
        _ => config::main_reference(),
    };
    print!("{text}");
    Ok(())
}
