//! Settings of a gateway file whose protocol is MM7.
//!
//! Answers for their names, forms and defaults, and for telling an operator what is wrong with them.
//! `gateway.default.toml` beside this file names every one.

mod check;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use mmsgw_domain::{ByteSize, Span};
use mmsgw_engine::config::{
    ContentSection, DialectFault, FeaturesSection, GatewaySection, OwnDialects, dialect_switches,
};
use mmsgw_net::{ClientTlsSettings, ServerTlsSettings};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

pub use crate::dialect::{
    AmendForm, ContentLayout, Dialect, DialectSwitches, HttpStatuses, PartTransfer, PrefixStyle,
};
pub use check::SettingFault;

pub use crate::digest::DigestAlgorithm;
use crate::heartbeat::Heartbeat;

/// A commented gateway file that names every setting and states the defaults.
pub const REFERENCE: &str = include_str!("gateway.default.toml");

/// A whole gateway file, its dialect found and every switch settled.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Mm7File")]
pub struct Mm7Settings {
    /// Which group this is and how hard it works; `vaspid` and `vasid` are stated in each request.
    pub gateway: GatewaySection,
    /// The way to the MMSC.
    pub outbound: Outbound,
    /// What the MMSC posts to us.
    pub inbound: Inbound,
    /// How numbers are written.
    pub addressing: Addressing,
    /// What is asked of the carrier, and what is answered to it.
    pub features: FeaturesSection,
    /// What the carrier takes of content.
    pub content: ContentSection,
    /// What this MMSC is particular about.
    pub dialect: Dialect,
}

/// A gateway file as it stands.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mm7File {
    gateway: GatewaySection,
    outbound: Outbound,
    #[serde(default)]
    inbound: Inbound,
    #[serde(default)]
    addressing: AddressingSection,
    #[serde(default)]
    features: FeaturesSection,
    #[serde(default)]
    content: ContentSection,
    #[serde(default)]
    dialect: DialectSwitches,
}

impl Mm7File {
    /// The settings: the dialect that the file picks, with what the file overrides.
    ///
    /// # Errors
    /// There is no such dialect, or its file is not understood.
    pub fn settle(self, own: &OwnDialects) -> Result<Mm7Settings, DialectFault> {
        let Self { mut gateway, mut outbound, mut inbound, addressing, features, content, dialect } = self;
        // Keys that are older than dialects have the last word.
        let older = DialectSwitches {
            version: gateway.version.take(),
            soap_action: outbound.soap_action.take(),
            ack_timeout: outbound.timeout.take(),
            auth: outbound.auth.take().map(Some),
            faults_with_200: inbound.faults_with_200.take(),
            ..DialectSwitches::default()
        };
        let overrides = older.over(dialect);
        let dialect = dialect_switches(gateway.dialect.as_deref(), overrides, own)?.settle();
        gateway.version = Some(dialect.version.clone());
        let prefix = |own: Option<String>| own.unwrap_or_else(|| dialect.number_prefix.clone());
        let suffix = |own: Option<String>| own.unwrap_or_else(|| dialect.number_suffix.clone());
        let addressing = Addressing {
            dest_prefix: prefix(addressing.dest_prefix),
            dest_suffix: suffix(addressing.dest_suffix),
            origin_prefix: prefix(addressing.origin_prefix),
            origin_suffix: suffix(addressing.origin_suffix),
        };
        Ok(Mm7Settings { gateway, outbound, inbound, addressing, features, content, dialect })
    }
}

/// Knows the dialects that come with the gateway and no others.
impl TryFrom<Mm7File> for Mm7Settings {
    type Error = DialectFault;

    fn try_from(file: Mm7File) -> Result<Self, DialectFault> {
        file.settle(&OwnDialects::default())
    }
}

/// Section `[outbound]`: the way to the MMSC.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// URL of the MMSC. Without a scheme it is `https` where `secure_connection` is true, else `http`.
    pub remote_host: String,
    /// True demands `https`.
    pub secure_connection: bool,
    /// User name for HTTP Basic authentication (RFC 7617).
    pub username: Option<String>,
    /// Password for HTTP Basic authentication.
    pub password: Option<SecretString>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// Token for HTTP Bearer authentication (RFC 6750).
    pub bearer_token: Option<SecretString>,
    /// File that holds the token.
    pub bearer_token_file: Option<PathBuf>,
    /// How to authenticate; absent: as the dialect says. Settling moves it there.
    pub auth: Option<AuthScheme>,
    /// Value of SOAPAction, sent in quotes (SOAP 1.1 clause 6.1.1); absent: as the dialect says. Settling
    /// moves it there.
    pub soap_action: Option<String>,
    /// Time for a whole exchange, from the connection to the last octet of the answer; absent: as the dialect
    /// says. Settling moves it there.
    pub timeout: Option<Span>,
    /// Time for look-up, TCP and TLS together.
    pub connect_timeout: Span,
    /// Most connections to the MMSC; absent: as many as the group's `window`.
    pub connections: Option<usize>,
    /// Octets of rendered content kept in memory for messages that share it.
    pub content_cache: ByteSize,
    /// How the MMSC is asked for a sign of life, at each `heartbeat_interval` of the gateway; absent: not at all.
    pub heartbeat: Option<Heartbeat>,
    /// Authorities, client certificate and server name.
    pub tls: ClientTlsSettings,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            remote_host: String::new(),
            secure_connection: false,
            username: None,
            password: None,
            password_file: None,
            bearer_token: None,
            bearer_token_file: None,
            auth: None,
            soap_action: None,
            timeout: None,
            connect_timeout: Span::secs(5),
            connections: None,
            content_cache: ByteSize(32 << 20),
            heartbeat: None,
            tls: ClientTlsSettings::default(),
        }
    }
}

/// How a request proves who it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthScheme {
    /// Not at all in HTTP; the VASPID or a client certificate do.
    None,
    /// HTTP Basic.
    Basic,
    /// HTTP Bearer.
    Bearer,
    /// Not in HTTP: user name and password are the VASPID, with a colon between.
    Vaspid,
}

/// How a password is shown to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PasswordScheme {
    /// HTTP Basic (RFC 7617): the password itself.
    Basic,
    /// HTTP Digest (RFC 7616): proof of knowing it.
    Digest,
    /// Either of them.
    Both,
}

/// Section `[inbound]`: what the MMSC posts to us, and how it proves who it is. Where several ways to prove
/// it are given, one of them is enough; `allow` must be met besides. Without any of them only this host
/// itself may post.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inbound {
    /// User name that the MMSC shows (HTTP Basic or Digest).
    pub username: Option<String>,
    /// Password that the MMSC shows.
    pub password: Option<SecretString>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// How the password is shown.
    pub password_scheme: PasswordScheme,
    /// Hashes offered for HTTP Digest, the best first. MD5 is for an MMSC that knows nothing better.
    pub digest_algorithms: Vec<DigestAlgorithm>,
    /// Token that the MMSC shows (HTTP Bearer).
    pub bearer_token: Option<SecretString>,
    /// File that holds the token.
    pub bearer_token_file: Option<PathBuf>,
    /// SHA-256 of client certificates that the MMSC may show, in hexadecimal, colons allowed.
    pub client_certificates: Vec<String>,
    /// Networks that the MMSC may post from, such as `192.0.2.0/24`.
    pub allow: Vec<IpNet>,
    /// Refuse requests that state another VASPID than the one in `[gateway]`.
    pub check_vaspid: bool,
    /// Refuse requests that state another MMSRelayServerID.
    pub relay_server_id: Option<String>,
    /// Address and port of a listener of its own, instead of the one in the main file. Gateways that name
    /// the same one share it, and differ by their paths.
    pub host: Option<SocketAddr>,
    /// Certificate of that listener; without it plain HTTP.
    pub tls: Option<ServerTlsSettings>,
    /// A path of its own besides `/mmsgw/v1/mms/inbound/<group>`.
    pub path: Option<String>,
    /// Octets of the largest request taken.
    pub max_body: ByteSize,
    /// Most requests that one peer may post in a second; 0 for no limit.
    pub requests_per_second: f64,
    /// Answer faults with HTTP status 200 where SOAP 1.1 clause 6.2 wants 500; absent: as the dialect says.
    /// Settling moves it there.
    pub faults_with_200: Option<bool>,
    /// Take SubmitReq from a peer that acts as value added service provider.
    pub accept_submit: bool,
    /// Delivery and read reports on messages that a peer submitted are posted to this URL. Our credentials
    /// for the MMSC are shown there only where it is at the MMSC's own host and port.
    pub report_url: Option<String>,
    /// ServiceCode in the answer to a message delivered to us, for billing.
    pub service_code: Option<String>,
    /// Messages that come in are posted to this URL of the application.
    pub mms_received_url: Option<String>,
    /// Directory for media of messages that come in.
    pub media_repo: Option<PathBuf>,
    /// Start of the URLs under which an application finds those media.
    pub media_url_prefix: Option<String>,
}

impl Default for Inbound {
    fn default() -> Self {
        Self {
            username: None,
            password: None,
            password_file: None,
            password_scheme: PasswordScheme::Basic,
            digest_algorithms: vec![DigestAlgorithm::Sha256],
            bearer_token: None,
            bearer_token_file: None,
            client_certificates: Vec::new(),
            allow: Vec::new(),
            check_vaspid: false,
            relay_server_id: None,
            host: None,
            tls: None,
            path: None,
            max_body: ByteSize(10_000_000),
            requests_per_second: 0.0,
            faults_with_200: None,
            accept_submit: false,
            report_url: None,
            service_code: None,
            mms_received_url: None,
            media_repo: None,
            media_url_prefix: None,
        }
    }
}

/// Section `[addressing]`: how numbers are written, where the dialect says it otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AddressingSection {
    /// Put before the digits of a recipient unless they start so already; empty: digits alone.
    pub dest_prefix: Option<String>,
    /// Put behind a recipient's number. With an `@` in it the whole is an RFC2822Address.
    pub dest_suffix: Option<String>,
    /// Put before the digits of the origin unless they start so already; empty: digits alone.
    pub origin_prefix: Option<String>,
    /// Put behind the origin's number.
    pub origin_suffix: Option<String>,
}

/// How numbers are written, settled; see [`AddressingSection`]. Short codes and mail addresses stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressing {
    /// Before the digits of a recipient.
    pub dest_prefix: String,
    /// Behind a recipient's number.
    pub dest_suffix: String,
    /// Before the digits of the origin.
    pub origin_prefix: String,
    /// Behind the origin's number.
    pub origin_suffix: String,
}

impl Default for Addressing {
    fn default() -> Self {
        Self {
            dest_prefix: "+".into(),
            dest_suffix: String::new(),
            origin_prefix: "+".into(),
            origin_suffix: String::new(),
        }
    }
}

/// A secret that cannot be read from its file.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {}: {why}", file.display())]
pub struct SecretError {
    /// Section and key.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// Why not.
    pub why: String,
}

/// What is shown to the other side, or demanded of it.
#[derive(Clone)]
pub(crate) enum Credential {
    Basic { username: String, password: SecretString },
    Bearer(SecretString),
}

impl Mm7Settings {
    /// Where reports on submitted messages go, and whether that is where the MMSC is.
    pub(crate) fn report_way(&self) -> Result<Option<(Url, bool)>, SettingFault> {
        let Some(text) = self.inbound.report_url.as_deref() else { return Ok(None) };
        let fault = |why: String| SettingFault { key: "inbound.report_url", why };
        let url: Url = text.trim().parse().map_err(|error| fault(format!("`{text}` is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(fault(format!("`{text}` is no http or https URL")));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fault("must not hold credentials".into()));
        }
        let is_same_place = self.outbound.url().is_ok_and(|mmsc| mmsc.origin() == url.origin());
        Ok(Some((url, is_same_place)))
    }
}

impl Outbound {
    /// The MMSC's URL.
    pub(crate) fn url(&self) -> Result<Url, SettingFault> {
        let fault = |why: String| SettingFault { key: "outbound.remote_host", why };
        let text = self.remote_host.trim();
        if text.is_empty() {
            return Err(fault(
                "is missing; write the URL of the MMSC, as in \"https://mmsc.example/mm7\"".into(),
            ));
        }
        let scheme = if self.secure_connection { "https" } else { "http" };
        let whole = if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") };
        let url: Url = whole.parse().map_err(|error| fault(format!("`{text}` is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(fault(format!("`{text}` is no http or https URL")));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fault("must not hold credentials; write them as `username` and `password`".into()));
        }
        if self.secure_connection && url.scheme() != "https" {
            return Err(fault("is http, but `secure_connection` demands https".into()));
        }
        Ok(url)
    }

    /// What to show to the MMSC by HTTP.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn credential(&self, scheme: Option<AuthScheme>) -> Result<Option<Credential>, SecretError> {
        let token = || {
            let token = secret("outbound.bearer_token_file", &self.bearer_token, &self.bearer_token_file)?;
            Ok(token.map(Credential::Bearer))
        };
        let basic = || {
            let password = secret("outbound.password_file", &self.password, &self.password_file)?;
            Ok(self
                .username
                .clone()
                .zip(password)
                .map(|(username, password)| Credential::Basic { username, password }))
        };
        match scheme {
            Some(AuthScheme::None | AuthScheme::Vaspid) => Ok(None),
            Some(AuthScheme::Basic) => basic(),
            Some(AuthScheme::Bearer) => token(),
            None => Ok(token()?.or(basic()?)),
        }
    }
}

impl Mm7Settings {
    /// The VASPID stated in each request.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn stated_vaspid(&self) -> Result<Option<String>, SecretError> {
        if self.dialect.auth != Some(AuthScheme::Vaspid) {
            return Ok(self.gateway.vaspid.clone().filter(|id| !id.is_empty()));
        }
        match self.outbound.credential(Some(AuthScheme::Basic))? {
            Some(Credential::Basic { username, password }) => {
                Ok(Some(format!("{username}:{}", password.expose_secret())))
            }
            _ => Ok(None),
        }
    }
}

impl Inbound {
    /// What the MMSC may show as it is; any of them is enough.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn credentials(&self) -> Result<Vec<Credential>, SecretError> {
        let token = secret("inbound.bearer_token_file", &self.bearer_token, &self.bearer_token_file)?;
        let user = self.user()?.filter(|_| self.password_scheme != PasswordScheme::Digest);
        let basic = user.map(|(username, password)| Credential::Basic { username, password });
        Ok(token.map(Credential::Bearer).into_iter().chain(basic).collect())
    }

    /// Whom the MMSC may prove to be by HTTP Digest.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn digest_user(&self) -> Result<Option<(String, SecretString)>, SecretError> {
        Ok(self.user()?.filter(|_| self.password_scheme != PasswordScheme::Basic))
    }

    fn user(&self) -> Result<Option<(String, SecretString)>, SecretError> {
        let password = secret("inbound.password_file", &self.password, &self.password_file)?;
        Ok(self.username.clone().zip(password))
    }

    /// The fingerprints of client certificates; those that are none were found by the check.
    pub(crate) fn fingerprints(&self) -> Vec<[u8; 32]> {
        self.client_certificates.iter().filter_map(|text| fingerprint(text)).collect()
    }
}

/// Hides what it holds.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

/// A secret as given, or from its file less the line break at the end.
fn secret(
    key: &'static str,
    given: &Option<SecretString>,
    file: &Option<PathBuf>,
) -> Result<Option<SecretString>, SecretError> {
    match (given, file) {
        (Some(secret), _) => Ok(Some(secret.clone())),
        (None, Some(file)) => read_secret(key, file).map(Some),
        (None, None) => Ok(None),
    }
}

fn read_secret(key: &'static str, file: &Path) -> Result<SecretString, SecretError> {
    let fault = |why: String| SecretError { key, file: file.to_owned(), why };
    let size = std::fs::metadata(file).map_err(|error| fault(error.to_string()))?.len();
    if size > MAX_SECRET {
        return Err(fault(format!("holds {size} octets, more than any secret")));
    }
    let text = SecretString::from(std::fs::read_to_string(file).map_err(|error| fault(error.to_string()))?);
    let line = text.expose_secret().trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(fault("is empty".into()));
    }
    Ok(SecretString::from(line))
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    digits.parse::<mmsgw_domain::Digest>().ok().map(|digest| *digest.as_bytes())
}

const MAX_SECRET: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use mmsgw_mm7::version::BASE;

    use super::*;

    fn parse(text: &str) -> Mm7Settings {
        toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    const LEAST: &str = "[gateway]\nprotocol = 'MM7'\nversion = '6.8.0'\nname = 'east'\ngroup = 'carrier'\n\
        [outbound]\nremote_host = 'https://mmsc.example/mm7'\n";

    fn faults(text: &str) -> Vec<String> {
        let faults = parse(text).check().err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_reference_states_the_defaults() {
        assert_eq!(format!("{:?}", parse(REFERENCE)), format!("{:?}", parse(LEAST)));
        assert_eq!(parse(REFERENCE).check(), Ok(()));
        // Settings without a default stand behind `#`; with them the file must still be one.
        let all: Vec<_> = REFERENCE.lines().map(|line| line.strip_prefix("#:").unwrap_or(line)).collect();
        assert!(all.len() > 60);
        parse(&all.join("\n"));
    }

    /// Every key of a section, as serde tells when it meets an unknown one.
    fn keys(section: &str) -> Vec<String> {
        let error = match section {
            "gateway" => toml::from_str::<GatewaySection>("unknown-key = 1").err(),
            "outbound" => toml::from_str::<Outbound>("unknown-key = 1").err(),
            "outbound.tls" => toml::from_str::<ClientTlsSettings>("unknown-key = 1").err(),
            "inbound" => toml::from_str::<Inbound>("unknown-key = 1").err(),
            "addressing" => toml::from_str::<AddressingSection>("unknown-key = 1").err(),
            "features" => toml::from_str::<FeaturesSection>("unknown-key = 1").err(),
            "content" => toml::from_str::<ContentSection>("unknown-key = 1").err(),
            _ => toml::from_str::<DialectSwitches>("unknown-key = 1").err(),
        };
        let text = error.unwrap().message().to_owned();
        text.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_reference_names_every_setting() {
        for section in
            ["gateway", "outbound", "outbound.tls", "inbound", "addressing", "features", "content", "dialect"]
        {
            let start = REFERENCE.find(&format!("\n[{section}]\n")).expect(section) + section.len() + 4;
            let text = REFERENCE[start..].split("\n[").next().unwrap();
            let keys = keys(section);
            assert!(keys.len() >= 4, "{section}: {keys:?}");
            for key in keys.iter().filter(|key| *key != "tls") {
                let named = text.lines().any(|line| {
                    let line = line.strip_prefix("#:").unwrap_or(line).trim_start();
                    line.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with(" ="))
                });
                assert!(named, "[{section}] {key} is not in the reference");
            }
        }
    }

    #[test]
    fn faults_name_the_key_and_the_remedy() {
        assert_eq!(faults(LEAST), Vec::<String>::new());
        for (line, want) in [
            ("secure_connection = true", None),
            ("soap_action = 'a\"b'", Some("outbound.soap_action")),
            ("username = 'u'", Some("outbound.username: needs `password`")),
            ("password = 'p'", Some("outbound.username: is missing")),
            ("username = 'a:b'\npassword = 'p'", Some("RFC 7617")),
            ("auth = 'bearer'", Some("outbound.auth")),
            ("timeout = 0", Some("outbound.timeout")),
            ("connections = 0", Some("outbound.connections")),
            ("[inbound]\nclient_certificates = ['12:34']", Some("fingerprint")),
            ("[inbound]\npath = 'mm7'", Some("inbound.path")),
            ("[inbound]\npath = '/mmsgw/v1/mms'", Some("belongs to the API")),
            ("[inbound]\npath = '/mmsgw/v1/mms/inbound/carrier'", Some("needs no saying")),
            ("[inbound]\nhost = '127.0.0.1:8443'\npath = '/'", None),
            ("[inbound.tls]\ncert_file = 'a'\nkey_file = 'b'", Some("inbound.tls")),
            ("[inbound]\npassword_scheme = 'digest'", Some("inbound.password_scheme")),
            ("[inbound]\ndigest_algorithms = []", Some("inbound.digest_algorithms")),
            ("[inbound]\ndigest_algorithms = ['MD5', 'MD5']", Some("inbound.digest_algorithms")),
            ("[inbound]\ndigest_algorithms = ['SHA-256', 'MD5']", None),
            ("[inbound]\nreport_url = 'peer'", Some("inbound.report_url")),
            ("[inbound]\nreport_url = 'ftp://peer.example/'", Some("inbound.report_url")),
            ("[inbound]\nreport_url = 'http://u:p@peer.example/'", Some("credentials")),
            ("[inbound]\nreport_url = 'https://peer.example/r'", None),
            ("[inbound]\nservice_code = \"\\n\"", Some("inbound.service_code")),
            ("[inbound]\ncheck_vaspid = true", Some("needs `vaspid`")),
            ("[addressing]\ndest_prefix = \"\\n\"", Some("addressing.dest_prefix")),
            ("[content]\nmax_image_width = 0", Some("content.max_image_width")),
            ("[dialect]\nretry_statuses = [1000]", Some("dialect.retry_statuses")),
            ("[dialect]\nnamespace = 'a b'", Some("dialect.namespace")),
        ] {
            let found = faults(&format!("{LEAST}{line}\n"));
            match want {
                None => assert_eq!(found, Vec::<String>::new(), "{line}"),
                Some(want) => assert!(found.len() == 1 && found[0].contains(want), "{line}: {found:?}"),
            }
        }
        for (host, want) in [
            ("", "is missing"),
            ("ftp://mmsc.example", "http or https"),
            ("http://u:p@mmsc.example", "credentials"),
            ("http://[", "no URL"),
        ] {
            let text = LEAST.replace("https://mmsc.example/mm7", host);
            assert!(faults(&text)[0].contains(want), "{host}: {:?}", faults(&text));
        }
        let plain = LEAST.replace("https:", "http:") + "secure_connection = true\n";
        assert!(faults(&plain)[0].contains("demands https"));
    }

    #[test]
    fn unknown_keys_and_odd_values_are_refused_by_name() {
        for bad in [
            "retries = 3",
            "timeout = 'soon'",
            "[dialect]\nretry_http = ['2xx']",
            "[dialect]\ntransfer = '8bit'",
        ] {
            assert!(toml::from_str::<Mm7Settings>(&format!("{LEAST}{bad}\n")).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_namespace_follows_the_version_unless_it_is_named() {
        let namespace = |version: &str, dialect: &str| {
            parse(&format!("{}{dialect}", LEAST.replace("6.8.0", version)))
                .dialect
                .namespace()
                .schema()
                .to_owned()
        };
        assert_eq!(namespace("6.8.0", ""), "REL-6-MM7-1-4");
        assert_eq!(namespace("5.3.0", ""), "REL-5-MM7-1-1");
        assert_eq!(namespace("5.9.0", ""), "REL-5-MM7-1-5");
        assert_eq!(namespace("6.7.0", ""), "REL-6-MM7-1-4");
        assert_eq!(namespace("5.3.0", "[dialect]\nnamespace = 'REL-5-MM7-1-2'\n"), "REL-5-MM7-1-2");
        let whole = format!("[dialect]\nnamespace = '{BASE}REL-5-MM7-1-0'\n");
        assert_eq!(namespace("5.3.0", &whole), "REL-5-MM7-1-0");
    }

    #[test]
    fn a_host_without_scheme_gets_one() {
        let url = |text: &str| parse(text).outbound.url().unwrap().to_string();
        let bare = LEAST.replace("https://", "");
        assert_eq!(url(&bare), "http://mmsc.example/mm7");
        assert_eq!(url(&format!("{bare}secure_connection = true\n")), "https://mmsc.example/mm7");
    }

    #[test]
    fn secrets_come_from_files_and_never_show() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "s3cret\r\n").unwrap();
        let text = format!("{LEAST}bearer_token_file = '{}'\n", file.display());
        let settings = parse(&text);
        let Some(Credential::Bearer(token)) = settings.outbound.credential(None).unwrap() else { panic!() };
        assert_eq!(token.expose_secret(), "s3cret");
        let shown = parse(&format!("{LEAST}username = 'u'\npassword = 's3cret'\n"));
        assert!(!format!("{shown:?} {:?}", shown.outbound.credential(None)).contains("s3cret"));
        std::fs::write(&file, "\n").unwrap();
        assert!(settings.outbound.credential(None).unwrap_err().to_string().contains("is empty"));
        std::fs::remove_file(&file).unwrap();
        assert!(settings.outbound.credential(None).is_err());
    }
}
