//! Reads files of the configuration; each fault is collected with the file and the place.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mmsgw_edge_mm4::Mm4File;
use mmsgw_edge_mm4::dialect::DialectSwitches as Mm4Switches;
use mmsgw_edge_mm7::Mm7File;
use mmsgw_edge_mm7::dialect::DialectSwitches as Mm7Switches;
use mmsgw_engine::config::{OwnDialects, Protocol, dialect_switches};
use serde::Deserialize;

use super::telling::told;
use super::{Fault, Faults, GatewayFile, GatewaySettings, MainFile, Source};

/// Collects faults of the file at hand.
pub(super) struct Collector {
    pub(super) faults: Vec<Fault>,
    pub(super) file: PathBuf,
}

impl Collector {
    pub(super) fn add(&mut self, text: impl Into<String>) {
        self.faults.push(Fault { file: self.file.clone(), text: text.into() });
    }
}

/// What a file says, and the text of it to be compared with.
pub(super) fn read<T: for<'de> Deserialize<'de>>(path: &Path, faults: &mut Collector) -> Option<(T, Source)> {
    path.clone_into(&mut faults.file);
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, faults).map(|read| (read, Source::of(&text))),
        Err(error) => {
            faults.add(format!("cannot be read: {error}"));
            None
        }
    }
}

pub(super) fn parse<T: for<'de> Deserialize<'de>>(text: &str, faults: &mut Collector) -> Option<T> {
    toml::from_str(text).map_err(|error| faults.add(told(&error, text))).ok()
}

/// The files of a directory whose names end in `.toml`, by name. A directory that is not there holds none.
fn toml_files(directory: &Path, faults: &mut Collector) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = match listed {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            directory.clone_into(&mut faults.file);
            faults.add(format!("cannot be read: {error}"));
            Vec::new()
        }
    };
    let mut files: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    files.sort();
    files
}

/// All gateway files of a directory.
pub(super) fn read_gateways(directory: &Path, own: &OwnDialects, faults: &mut Collector) -> Vec<GatewayFile> {
    let mut gateways = Vec::new();
    for file in toml_files(directory, faults) {
        gateways.extend(read_gateway(&file, own, faults));
    }
    gateways
}

pub(super) fn read_gateway(file: &Path, own: &OwnDialects, faults: &mut Collector) -> Option<GatewayFile> {
    file.clone_into(&mut faults.file);
    match std::fs::read_to_string(file) {
        Ok(text) => parse_gateway(&text, own, faults),
        Err(error) => {
            faults.add(format!("cannot be read: {error}"));
            None
        }
    }
}

/// All dialect files of a directory; each is looked at, whether or not a gateway picks it.
pub(super) fn read_dialects(directory: &Path, faults: &mut Collector) -> OwnDialects {
    let (mut own, files) = (OwnDialects::default(), toml_files(directory, faults));
    for file in &files {
        faults.file.clone_from(file);
        let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        match std::fs::read_to_string(file) {
            Ok(text) => own.add(name, text).unwrap_or_else(|fault| faults.add(fault.to_string())),
            Err(error) => faults.add(format!("cannot be read: {error}")),
        }
    }
    for (name, text) in own.iter() {
        faults.file = directory.join(format!("{name}.toml"));
        check_dialect(name, text, &own, faults);
    }
    own
}

fn check_dialect(name: &str, text: &str, own: &OwnDialects, faults: &mut Collector) {
    let Some(peek) = parse::<DialectPeek>(text, faults) else { return };
    let found = match peek.protocol {
        Protocol::Mm4 => dialect_switches(Some(name), Mm4Switches::default(), own).err(),
        Protocol::Mm7 => dialect_switches(Some(name), Mm7Switches::default(), own).err(),
    };
    if let Some(fault) = found {
        faults.add(fault.to_string());
    }
}

/// Just enough of a dialect file to know whose it is.
#[derive(Deserialize)]
struct DialectPeek {
    protocol: Protocol,
}

/// The operator's own dialects: those in the directory that a main file names, or in `dialects` beside it.
///
/// # Errors
/// All faults found in them.
pub(crate) fn own_dialects(main: &Path) -> Result<OwnDialects, Faults> {
    let mut faults = Collector { faults: Vec::new(), file: main.to_owned() };
    let base = main.parent().unwrap_or(Path::new(""));
    let named: Option<PathBuf> = match main.exists() {
        true => read::<MainFile>(main, &mut faults).and_then(|(main, _)| main.dialects),
        false => None,
    };
    let own = read_dialects(&base.join(named.unwrap_or_else(|| "dialects".into())), &mut faults);
    if faults.faults.is_empty() { Ok(own) } else { Err(Faults(faults.faults)) }
}

/// Just enough of a gateway file to know whose it is.
#[derive(Deserialize)]
struct GatewayPeek {
    gateway: ProtocolPeek,
}

#[derive(Deserialize)]
struct ProtocolPeek {
    protocol: Protocol,
}

pub(super) fn parse_gateway(text: &str, own: &OwnDialects, faults: &mut Collector) -> Option<GatewayFile> {
    let peek: GatewayPeek = parse(text, faults)?;
    let (settings, found) = match peek.gateway.protocol {
        Protocol::Mm4 => {
            let file: Mm4File = parse(text, faults)?;
            let settings = file.settle(own).map_err(|fault| faults.add(fault.to_string())).ok()?;
            let found: Vec<String> = settings.check().iter().map(ToString::to_string).collect();
            (GatewaySettings::Mm4(Box::new(settings)), found)
        }
        Protocol::Mm7 => {
            let file: Mm7File = parse(text, faults)?;
            let settings = file.settle(own).map_err(|fault| faults.add(fault.to_string())).ok()?;
            let found = settings.check().err().unwrap_or_default().iter().map(ToString::to_string).collect();
            (GatewaySettings::Mm7(Box::new(settings)), found)
        }
    };
    let fine = found.is_empty();
    found.into_iter().for_each(|fault| faults.add(fault));
    let source = Source::of(text);
    let dialect = source.text_at("gateway.dialect").map(|name| own_dialect_text(name, own));
    let source = source.with_dialect(dialect.unwrap_or_default());
    fine.then_some(GatewayFile { settings, source })
}

/// What the operator's own files say of a dialect: its text, and those that it stands on.
fn own_dialect_text(name: &str, own: &OwnDialects) -> String {
    let (mut text, mut name) = (String::new(), Some(name.to_owned()));
    for _ in 0..DEEPEST {
        let Some((_, own)) = name.and_then(|name| own.iter().find(|(known, _)| *known == name)) else {
            break;
        };
        text.push_str(own);
        name = Source::of(own).text_at("extends").map(str::to_owned);
    }
    text
}

/// More dialects than that do not stand on each other.
const DEEPEST: usize = 16;
