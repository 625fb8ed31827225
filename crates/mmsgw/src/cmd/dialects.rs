//! `mmsgw dialects`: lists the dialects that a gateway file may pick, or prints one.

use mmsgw_edge_mm4::dialect::DialectSwitches as Mm4Switches;
use mmsgw_edge_mm7::dialect::DialectSwitches as Mm7Switches;
use mmsgw_engine::config::{DialectFault, OwnDialects, Switches, dialect_file, dialect_text};

use crate::cli::DialectsArgs;
use crate::config;
use crate::exit::Ended;

pub(crate) fn run(args: &DialectsArgs) -> anyhow::Result<()> {
    let own = config::own_dialects(&args.config)?;
    match &args.name {
        None => {
            list::<Mm4Switches>(&own)?;
            list::<Mm7Switches>(&own)?;
            Ok(())
        }
        Some(name) => print(name, &own),
    }
}

fn list<S: Switches>(own: &OwnDialects) -> anyhow::Result<()> {
    println!("{}", S::PROTOCOL.name());
    let built_in = S::BUILT_IN.iter().map(|(name, _)| (*name, ""));
    for (name, mark) in built_in.chain(own.iter().map(|(name, _)| (name, ", your own"))) {
        match dialect_file::<S>(name, own) {
            Ok(file) => println!("  {name:<18} {}{mark}", file.description),
            Err(DialectFault::OtherProtocol(_)) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    for (alias, meant) in S::ALIASES {
        println!("  {alias:<18} another name of {meant}");
    }
    Ok(())
}

/// Both protocols may have a dialect of that name.
fn print(name: &str, own: &OwnDialects) -> anyhow::Result<()> {
    let of_mm4 = dialect_file::<Mm4Switches>(name, own).and_then(|_| dialect_text::<Mm4Switches>(name, own));
    let of_mm7 = dialect_file::<Mm7Switches>(name, own).and_then(|_| dialect_text::<Mm7Switches>(name, own));
    let found: Vec<&str> =
        [&of_mm4, &of_mm7].into_iter().filter_map(|text| text.as_ref().ok().copied()).collect();
    if found.is_empty() {
        let faults = [of_mm4.err(), of_mm7.err()].into_iter().flatten();
        faults.for_each(|fault| println!("{fault}"));
        return Err(Ended::Failed("there is no such dialect").into());
    }
    print!("{}", found.join("\n"));
    Ok(())
}
