//! The configuration as a whole: the main file and the gateway files beside it.
//!
//! Every section belongs to the room that it is for and is documented there; here they are only put
//! together, read, and every fault is told with the file, the place and what would be right.

mod read;
mod reference;
mod source;
mod telling;

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use mmsgw_domain::{GroupName, GroupSettings};
use mmsgw_edge_api::ApiSettings;
use mmsgw_edge_callout::{CallbackSettings, CalloutSettings, FetchSettings};
use mmsgw_edge_mm4::{Heartbeat, Mm4Settings, ReceiverSettings};
use mmsgw_edge_mm7::Mm7Settings;
use mmsgw_edge_ops::OpsSettings;
use mmsgw_engine::config::{GeneralSection, OwnDialects, Protocol, group_settings};
use serde::Deserialize;

use crate::carrier_http::CarrierHttpSettings;
use crate::config::read::{
    Collector, parse, parse_gateway, read, read_dialects, read_gateway, read_gateways,
};
use crate::records::RecordsSection;
use crate::roles::{Role, Roles};
use crate::storage::{MediaKind, MediaSection, Sections, StorageSection};
use crate::telemetry::LogSection;
use crate::traces::TracesSection;

pub(crate) use read::own_dialects;
pub(crate) use reference::main_reference;
pub(crate) use source::Source;

/// The reference of a gateway file for MM4.
pub(crate) use mmsgw_edge_mm4::config::REFERENCE as MM4_REFERENCE;
/// The reference of a gateway file for MM7.
pub(crate) use mmsgw_edge_mm7::config::REFERENCE as MM7_REFERENCE;

/// The settings of one process.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) general: GeneralSection,
    pub(crate) storage: StorageSection,
    /// Where queues are, where that is another server than that of the messages.
    pub(crate) queue_storage: Option<StorageSection>,
    pub(crate) media_storage: MediaSection,
    pub(crate) log: LogSection,
    pub(crate) records: RecordsSection,
    pub(crate) traces: TracesSection,
    pub(crate) api: ApiSettings,
    pub(crate) ops: OpsSettings,
    pub(crate) callout: CalloutSettings,
    pub(crate) mm4rx: ReceiverSettings,
    pub(crate) mm7rx: CarrierHttpSettings,
    pub(crate) gateways: Vec<GatewayFile>,
    /// Whether this process has no operations listener.
    pub(crate) without_ops: bool,
    /// What the main file says.
    pub(crate) source: Source,
}

/// The main file as it stands.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MainFile {
    gateways: Option<PathBuf>,
    dialects: Option<PathBuf>,
    general: GeneralSection,
    message_storage: StorageSection,
    queue_storage: Option<StorageSection>,
    media_storage: MediaSection,
    log: LogSection,
    records: RecordsSection,
    traces: TracesSection,
    api: ApiSettings,
    ops: OpsSettings,
    callbacks: CallbackSettings,
    media: FetchSettings,
    mm4rx: ReceiverSettings,
    mm7rx: CarrierHttpSettings,
}

/// One gateway file.
#[derive(Debug, Clone)]
pub(crate) struct GatewayFile {
    pub(crate) settings: GatewaySettings,
    /// What it says.
    pub(crate) source: Source,
}

impl Deref for GatewayFile {
    type Target = GatewaySettings;

    fn deref(&self) -> &GatewaySettings {
        &self.settings
    }
}

/// The settings of one gateway.
#[derive(Debug, Clone)]
pub(crate) enum GatewaySettings {
    Mm4(Box<Mm4Settings>),
    Mm7(Box<Mm7Settings>),
}

impl GatewaySettings {
    /// What the engine needs to know of it.
    pub(crate) fn group_settings(&self) -> GroupSettings {
        let (settings, has_heartbeat) = match self {
            Self::Mm4(s) => {
                let url = s.inbound.mms_received_url.as_deref();
                (
                    group_settings(&s.gateway, &s.features, &s.content, url),
                    s.outbound.heartbeat != Heartbeat::None,
                )
            }
            Self::Mm7(s) => {
                let url = s.inbound.mms_received_url.as_deref();
                (group_settings(&s.gateway, &s.features, &s.content, url), s.outbound.heartbeat.is_some())
            }
        };
        let heartbeat_interval = settings.heartbeat_interval.filter(|_| has_heartbeat);
        GroupSettings { heartbeat_interval, ..settings }
    }

    /// The carrier's protocol.
    pub(crate) fn protocol(&self) -> &'static str {
        self.remote().0
    }

    pub(crate) fn group(&self) -> &GroupName {
        match self {
            Self::Mm4(s) => &s.gateway.group,
            Self::Mm7(s) => &s.gateway.group,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Mm4(s) => &s.gateway.name,
            Self::Mm7(s) => &s.gateway.name,
        }
    }

    /// Where applications find media of this group's messages, where that is not the API.
    pub(crate) fn media_url_prefix(&self) -> Option<&str> {
        let prefix = match self {
            Self::Mm4(s) => s.inbound.media_url_prefix.as_deref(),
            Self::Mm7(s) => s.inbound.media_url_prefix.as_deref(),
        };
        prefix.filter(|prefix| !prefix.is_empty())
    }

    fn media_repo(&self) -> Option<&Path> {
        match self {
            Self::Mm4(s) => s.inbound.media_repo.as_deref(),
            Self::Mm7(s) => s.inbound.media_repo.as_deref(),
        }
    }

    fn remote(&self) -> (&'static str, &str) {
        match self {
            Self::Mm4(s) => ("MM4", &s.outbound.remote_host),
            Self::Mm7(s) => ("MM7", &s.outbound.remote_host),
        }
    }
}

/// One fault of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The file.
    file: PathBuf,
    /// Place and reason.
    text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.text.trim_end())
    }
}

/// Every fault that was found.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has faults")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n{fault}"))
    }
}

impl Settings {
    /// Reads the main file and the gateway files in the directory that it names.
    ///
    /// # Errors
    /// All faults found, not only the first.
    pub(crate) fn load(path: &Path) -> Result<Self, Faults> {
        Self::load_with(path, None)
    }

    /// Reads the main file and these gateway files, instead of those in the directory that it names.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub(crate) fn load_with(path: &Path, gateway_files: Option<&[PathBuf]>) -> Result<Self, Faults> {
        let mut faults = Collector { faults: Vec::new(), file: path.to_owned() };
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        let (main, source): (MainFile, Source) = read(path, &mut faults).unwrap_or_default();
        let own =
            read_dialects(&base.join(main.dialects.as_deref().unwrap_or(Path::new("dialects"))), &mut faults);
        let gateways = match gateway_files {
            Some(files) => files.iter().filter_map(|file| read_gateway(file, &own, &mut faults)).collect(),
            None => {
                let directory = base.join(main.gateways.as_deref().unwrap_or(Path::new("gateways")));
                read_gateways(&directory, &own, &mut faults)
            }
        };
        faults.file = path.to_owned();
        let settings = Self { source, ..Self::compose(main, gateways, &base, &mut faults) };
        if faults.faults.is_empty() { Ok(settings) } else { Err(Faults(faults.faults)) }
    }

    /// What does not go together with the roles of a process.
    ///
    /// # Errors
    /// All faults found.
    pub(crate) fn fits(&self, roles: &Roles, path: &Path) -> Result<(), Faults> {
        let mut faults = Collector { faults: Vec::new(), file: path.to_owned() };
        if *roles != Roles::all() && !self.storage.is_shared() {
            faults.add(
                "message_storage.kind: the embedded store belongs to one process, which has to have all roles: \
                 use `mmsgw serve`, or a storage that processes can share",
            );
        }
        if roles.include(Role::Gateway) {
            if self.gateways.is_empty() && *roles != Roles::all() {
                faults.add("no gateway file says which carrier this process is for");
            }
            self.check_groups(&mut faults);
        }
        if faults.faults.is_empty() { Ok(()) } else { Err(Faults(faults.faults)) }
    }

    /// Settings with one gateway file and otherwise the defaults, where there is no main file. Dialects of
    /// one's own lie beside where that would be.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub(crate) fn load_gateway_alone(main: &Path, gateway: &Path) -> Result<Self, Faults> {
        let mut faults = Collector { faults: Vec::new(), file: gateway.to_owned() };
        let base = main.parent().unwrap_or(Path::new("")).to_owned();
        let own = read_dialects(&base.join("dialects"), &mut faults);
        let gateways = read_gateway(gateway, &own, &mut faults).into_iter().collect();
        let settings = Self::compose(MainFile::default(), gateways, &base, &mut faults);
        if faults.faults.is_empty() { Ok(settings) } else { Err(Faults(faults.faults)) }
    }

    /// Settings from texts instead of files: the main file, and the gateway files with their names.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub(crate) fn from_texts(main: &str, gateways: &[(&str, String)], base: &Path) -> Result<Self, Faults> {
        let mut faults = Collector { faults: Vec::new(), file: "main".into() };
        let source = Source::of(main);
        let main: MainFile = parse(main, &mut faults).unwrap_or_default();
        let mut read = Vec::new();
        for (name, text) in gateways {
            faults.file = (*name).into();
            read.extend(parse_gateway(text, &OwnDialects::default(), &mut faults));
        }
        let settings = Self { source, ..Self::compose(main, read, base, &mut faults) };
        if faults.faults.is_empty() { Ok(settings) } else { Err(Faults(faults.faults)) }
    }

    fn compose(main: MainFile, gateways: Vec<GatewayFile>, base: &Path, faults: &mut Collector) -> Self {
        let storage = main.message_storage.at(base);
        let queues = main.queue_storage.map(|queues| queues.at(base));
        let queue_storage = queues.filter(|queues| !queues.is_same_place(&storage));
        let settings = Self {
            general: main.general,
            media_storage: main.media_storage.at(base, &storage),
            storage,
            queue_storage,
            log: main.log,
            records: main.records.at(base),
            traces: main.traces,
            api: main.api,
            ops: main.ops,
            callout: CalloutSettings { callbacks: main.callbacks, media: main.media },
            mm4rx: main.mm4rx,
            mm7rx: main.mm7rx,
            gateways,
            without_ops: false,
            source: Source::default(),
        };
        settings.check(faults);
        settings
    }

    /// Faults that only show when everything is seen together.
    fn check(&self, faults: &mut Collector) {
        let groups: Vec<&GroupName> = self.gateways.iter().map(|gateway| gateway.group()).collect();
        if let Some(default) = self.general.default_gateway.as_ref().filter(|d| !groups.contains(d)) {
            faults.add(format!("general.default_gateway: no gateway file has the group `{default}`"));
        }
        self.check_storage(faults);
        for gateway in &self.gateways {
            if gateway.media_repo().is_some_and(|repo| Some(repo) != self.media_storage.in_directory()) {
                faults.add(format!(
                    "gateway {}: inbound.media_repo: media of all gateways are in one place; say \
                     media_storage.directory instead",
                    gateway.name()
                ));
            }
        }
        for fault in self.mm4rx.check() {
            faults.add(format!("mm4rx.{fault}"));
        }
        crate::carrier_http::conflicts(self).into_iter().for_each(|conflict| faults.add(conflict));
        if let Err(fault) = self.api.check() {
            faults.add(fault.to_string());
        }
    }

    fn check_storage(&self, faults: &mut Collector) {
        let shared = |section: &StorageSection| section.is_shared();
        if self.queue_storage.as_ref().is_some_and(|queues| !shared(queues) || !shared(&self.storage)) {
            faults.add(
                "queue_storage: another place than message_storage has to be a second Redis beside a first one; leave \
                 the section out to have both in one place",
            );
        }
        if self.media_storage.kind == MediaKind::S3 {
            for fault in self.media_storage.s3.check() {
                faults.add(format!("media_storage.s3.{fault}"));
            }
        }
    }

    /// What keeps what.
    pub(crate) fn storage(&self) -> Sections<'_> {
        Sections { messages: &self.storage, queues: self.queue_storage.as_ref(), media: &self.media_storage }
    }

    /// Groups that one process cannot run.
    fn check_groups(&self, faults: &mut Collector) {
        let groups: Vec<&GroupName> = self.gateways.iter().map(|gateway| gateway.group()).collect();
        for (index, group) in groups.iter().enumerate() {
            if groups[..index].contains(group) {
                faults.add(format!(
                    "the group `{group}` has two gateway files; one process runs one instance of a group"
                ));
            }
        }
    }

    /// A line for each thing that would be started.
    pub(crate) fn summary(&self) -> Vec<String> {
        let mut lines = vec![
            self.storage.describe(),
            self.media_storage.describe(),
            format!("API on {}", self.api.listen),
            format!("operations on {}", self.ops.listen),
        ];
        if self.speaks(Protocol::Mm4) {
            lines.push(format!("SMTP for carriers on {}", self.mm4rx.listen));
        }
        for listener in crate::carrier_http::listeners(self) {
            lines.push(format!("{} on {}", listener.name(), listener.listen));
        }
        for gateway in &self.gateways {
            let (protocol, remote) = gateway.remote();
            lines.push(format!(
                "gateway {} of group {}: {protocol} to {remote}",
                gateway.name(),
                gateway.group()
            ));
        }
        lines
    }

    /// Whether a gateway speaks `protocol`.
    pub(crate) fn speaks(&self, protocol: Protocol) -> bool {
        self.gateways.iter().any(|gateway| match gateway.settings {
            GatewaySettings::Mm4(_) => protocol == Protocol::Mm4,
            GatewaySettings::Mm7(_) => protocol == Protocol::Mm7,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MM7: &str = "[gateway]\nprotocol = 'MM7'\nversion = '6.8.0'\nname = 'a'\ngroup = 'GW01'\n\
                       [outbound]\nremote_host = 'http://127.0.0.1:1/'\n";

    fn load(main: &str, gateways: &[(&str, String)]) -> Result<Settings, String> {
        Settings::from_texts(main, gateways, Path::new("/base")).map_err(|faults| faults.to_string())
    }

    #[test]
    fn the_reference_says_the_defaults() {
        let mut faults = Collector { faults: Vec::new(), file: "reference".into() };
        let read: MainFile =
            parse(&main_reference(), &mut faults).unwrap_or_else(|| panic!("{:?}", faults.faults));
        let mut expected = MainFile {
            gateways: Some("gateways".into()),
            dialects: Some("dialects".into()),
            ..MainFile::default()
        };
        expected.queue_storage = None;
        assert_eq!(format!("{read:#?}"), format!("{expected:#?}"));
    }

    #[test]
    fn the_gateway_references_are_gateway_files() {
        load("", &[("mm4", MM4_REFERENCE.to_owned())]).unwrap();
        load("", &[("mm7", MM7_REFERENCE.to_owned())]).unwrap();
    }

    #[test]
    fn a_fault_names_file_line_and_remedy() {
        let fault = load("[general]\nmms_ttl = '3 weeks'\n", &[]).unwrap_err();
        assert!(
            fault.contains("main: ") && fault.contains("line 2") && fault.contains("write a whole number"),
            "{fault}"
        );
        let fault = load("[api]\nlisen = '127.0.0.1:1'\n", &[]).unwrap_err();
        assert!(fault.contains("unknown field `lisen`") && fault.contains("`listen`"), "{fault}");
        let fault = load("", &[("gw.toml", MM7.replace("MM7", "MM5"))]).unwrap_err();
        assert!(fault.contains("gw.toml: ") && fault.contains("MM5"), "{fault}");
    }

    #[test]
    fn dialects_of_ones_own_lie_beside_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        let main = dir.path().join("mmsgw.toml");
        write("mmsgw.toml", "");
        write("gateways/a.toml", &MM7.replace("version = '6.8.0'", "dialect = 'mine'"));
        let mine =
            "protocol = 'MM7'\ndescription = 'mine'\nextends = 'sinch'\n[dialect]\nmax_recipients = 3\n";
        write("dialects/mine.toml", mine);
        let settings = Settings::load(&main).unwrap();
        let GatewaySettings::Mm7(gateway) = &settings.gateways[0].settings else { panic!() };
        assert_eq!(
            (gateway.dialect.max_recipients, gateway.dialect.soap_action.as_str()),
            (3, "{namespace}")
        );
        write("dialects/mine.toml", &mine.replace("max_", "most_"));
        write("dialects/sinch.toml", mine);
        let faults = Settings::load(&main).unwrap_err().to_string();
        for want in [
            "mine.toml: dialect `mine`",
            "unknown field `most_recipients`",
            "sinch.toml",
            "comes with the gateway",
        ] {
            assert!(faults.contains(want), "{want}: {faults}");
        }
        let fault =
            load("", &[("gw.toml", MM7.replace("version = '6.8.0'", "dialect = 'cinch'"))]).unwrap_err();
        assert!(fault.contains("gw.toml: gateway.dialect") && fault.contains("sinch"), "{fault}");
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let fault = load("general.default_gateway = 'GW02'", &[("a", MM7.to_owned())]).unwrap_err();
        assert!(fault.contains("no gateway file has the group `GW02`"), "{fault}");
        let twice = load("", &[("a", MM7.to_owned()), ("b", MM7.to_owned())]).unwrap();
        let fault = twice.fits(&Roles::all(), Path::new("main")).unwrap_err().to_string();
        assert!(fault.contains("`GW01` has two gateway files"), "{fault}");
        let fault = twice.fits(&Roles::of(&[Role::Api]), Path::new("main")).unwrap_err().to_string();
        assert!(fault.contains("use `mmsgw serve`") && !fault.contains("two gateway files"), "{fault}");
        let settings = load("", &[("a", MM7.to_owned())]).unwrap();
        assert_eq!(settings.storage.directory, Path::new("/base/mmsgw-data"));
        assert!(
            settings
                .summary()
                .iter()
                .any(|line| line.contains("gateway a of group GW01: MM7 to http://127.0.0.1:1/"))
        );
    }
}
