//! Settings of the store: where the bucket is, who asks, and how long may be waited.
//!
//! Answers for the form of the settings and their defaults; whether files can be read and the bucket lets us in shows
//! when [`S3Blobs`](crate::S3Blobs) is opened.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use mmsgw_domain::Span;
use mmsgw_net::tls::ClientTlsSettings;
use mmsgw_store::StoreError;
use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

/// The section with its defaults, every field explained: the reference.
pub const CONFIG_DEFAULT: &str = include_str!("config.default.toml");

/// Settings of media in an S3-compatible store; [`CONFIG_DEFAULT`] says what each field means.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// Where the store is; Amazon's own of the region where it is left out.
    pub endpoint: Option<Url>,
    /// Region that requests are signed for.
    pub region: String,
    /// The bucket, which must be there.
    pub bucket: String,
    /// What keys begin with; the digest follows.
    pub prefix: String,
    /// Whether the bucket is the first part of the path, or else of the host name.
    pub path_style: bool,
    /// Plain `http` also to other hosts than this one.
    pub allow_http: bool,
    /// Who asks; from the environment where it is left out, see [`ACCESS_KEY_ID`].
    pub access_key_id: Option<String>,
    /// The secret of the key; this, the file, or the environment, see [`SECRET_ACCESS_KEY`].
    pub secret_access_key: Option<SecretString>,
    /// A file that holds the secret.
    pub secret_access_key_file: Option<PathBuf>,
    /// Time for look-up, TCP and TLS together.
    pub connect_timeout: Span,
    /// Time for one request, from the look-up to the last octet of the answer.
    pub timeout: Span,
    /// Time for one medium to be put, read or removed, with all requests, tries and waiting.
    pub total_timeout: Span,
    /// Tries of a request after the first, where trying again can help.
    pub retries: usize,
    /// Octets put again within this time are not sent again.
    pub fresh_for: Span,
    /// Most media on their way at once.
    pub in_flight: usize,
    /// TLS towards the store.
    pub tls: ClientTlsSettings,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: "us-east-1".to_owned(),
            bucket: String::new(),
            prefix: "media/".to_owned(),
            path_style: true,
            allow_http: false,
            access_key_id: None,
            secret_access_key: None,
            secret_access_key_file: None,
            connect_timeout: Span::secs(5),
            timeout: Span::secs(20),
            total_timeout: Span::secs(45),
            retries: 3,
            fresh_for: Span::secs(600),
            in_flight: 64,
            tls: ClientTlsSettings::default(),
        }
    }
}

/// Environment variable with the access key id.
pub const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
/// Environment variable with the secret of the key.
pub const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";

/// One fault of the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct SettingsFault {
    /// The field.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl S3Settings {
    /// All faults that can be seen without touching files, the environment or the network; none in good settings.
    pub fn check(&self) -> Vec<SettingsFault> {
        let mut faults = Vec::new();
        let mut unless = |fine: bool, field: &'static str, why: String| {
            if !fine {
                faults.push(SettingsFault { field, why });
            }
        };
        if let Some(url) = &self.endpoint {
            let fault = self.endpoint_fault(url);
            unless(fault.is_none(), "endpoint", fault.unwrap_or_default());
        }
        unless(is_bucket(&self.bucket), "bucket", {
            let wanted = "3 to 63 small letters, digits, hyphens and dots";
            format!("`{}` is no name of a bucket: {wanted}", self.bucket.escape_debug())
        });
        unless(is_prefix(&self.prefix), "prefix", {
            let wanted =
                "empty, or names of letters, digits, `-`, `_` and `.` between single slashes, none in front";
            format!("`{}` cannot begin keys: {wanted}", self.prefix.escape_debug())
        });
        let plain =
            !self.region.is_empty() && self.region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        unless(plain, "region", format!("`{}` is no region", self.region.escape_debug()));
        let twice = self.secret_access_key.is_some() && self.secret_access_key_file.is_some();
        unless(!twice, "secret_access_key", "give the secret or its file, not both".into());
        for (field, span) in [("connect_timeout", self.connect_timeout), ("timeout", self.timeout)] {
            let why = "must be longer than nothing and no longer than total_timeout";
            unless(!span.0.is_zero() && span <= self.total_timeout, field, why.into());
        }
        let why = format!("must be no longer than {} s", LONGEST.as_secs());
        unless(self.total_timeout.0 <= LONGEST, "total_timeout", why);
        unless(self.retries <= MOST_RETRIES, "retries", format!("must be {MOST_RETRIES} or less"));
        let why = format!("must be no longer than {} s", LONGEST_FRESH.as_secs());
        unless(self.fresh_for.0 <= LONGEST_FRESH, "fresh_for", why);
        let why = format!("must be from 1 to {MOST_IN_FLIGHT}");
        unless((1..=MOST_IN_FLIGHT).contains(&self.in_flight), "in_flight", why);
        faults
    }

    fn endpoint_fault(&self, url: &Url) -> Option<String> {
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        let named = matches!(url.host(), Some(Host::Domain(_)));
        match (url.scheme(), url.host()) {
            ("http" | "https", Some(_)) if !bare || !anonymous => {
                Some("must be scheme, host and port only, as in `https://s3.example.org`".to_owned())
            }
            ("http", Some(host)) if !self.allow_http && !is_loopback(&host) => Some(
                "plain http to another host sends media in the clear: use https, or set allow_http"
                    .to_owned(),
            ),
            ("http" | "https", Some(_)) if !self.path_style && !named => Some(
                "an address has no host names below it for buckets: use a name, or set path_style".to_owned(),
            ),
            ("http" | "https", Some(_)) => None,
            _ => Some("must begin with https:// or http:// and a host".to_owned()),
        }
    }

    /// The endpoint as object_store wants it: with the bucket in the host name unless that is in the path.
    pub(crate) fn bucket_endpoint(&self) -> Option<String> {
        let url = self.endpoint.as_ref()?;
        let text = url.as_str().trim_end_matches('/');
        if self.path_style {
            return Some(text.to_owned());
        }
        let (scheme, rest) = text.split_once("://")?;
        Some(format!("{scheme}://{}.{rest}", self.bucket))
    }

    /// Access key id and secret, from the settings or else from `environment`.
    pub(crate) fn credentials(
        &self,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<(String, SecretString), StoreError> {
        let from_environment = |name: &str| environment(name).filter(|value| !value.is_empty());
        let missing = |field: &str, name: &str| {
            StoreError::Unusable(format!("media store: neither `{field}` nor the variable {name} is set"))
        };
        let id = self.access_key_id.clone().or_else(|| from_environment(ACCESS_KEY_ID));
        let id = id.ok_or_else(|| missing("access_key_id", ACCESS_KEY_ID))?;
        if let Some(file) = &self.secret_access_key_file {
            let unreadable = |e| StoreError::Unusable(format!("media store: {}: {e}", file.display()));
            let text = std::fs::read_to_string(file).map_err(unreadable)?;
            return Ok((id, text.trim().to_owned().into()));
        }
        let secret = self.secret_access_key.clone();
        let secret = secret.or_else(|| from_environment(SECRET_ACCESS_KEY).map(SecretString::from));
        Ok((id, secret.ok_or_else(|| missing("secret_access_key", SECRET_ACCESS_KEY))?))
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => IpAddr::V4(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(*address).is_loopback(),
    }
}

fn is_bucket(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().next_back()];
    (3..=63).contains(&name.len())
        && ends.into_iter().flatten().all(plain)
        && name.bytes().all(|b| plain(b) || b == b'-' || b == b'.')
        && !name.contains("..")
}

fn is_prefix(prefix: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let name = |name: &str| !name.is_empty() && name != "." && name != ".." && name.bytes().all(plain);
    let (folders, last) =
        prefix.rsplit_once('/').map_or((None, prefix), |(folders, last)| (Some(folders), last));
    prefix.len() <= LONGEST_PREFIX
        && folders.is_none_or(|folders| folders.split('/').all(name))
        && last.bytes().all(plain)
}

/// Longest a medium may take. A removal that takes longer is taken for dead, see [`crate::removal`].
const LONGEST: Duration = Duration::from_secs(120);

/// Clocks of hosts may differ by minutes, and the difference must not count against the day that media are left alone.
const LONGEST_FRESH: Duration = Duration::from_secs(6 * 3600);

const MOST_RETRIES: usize = 10;

const MOST_IN_FLIGHT: usize = 1000;

/// A key has at most 1024 octets, and digest and marks take some.
const LONGEST_PREFIX: usize = 512;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use secrecy::ExposeSecret;

    use super::*;

    #[derive(Deserialize)]
    struct File {
        media_storage: Section,
    }

    #[derive(Deserialize)]
    struct Section {
        s3: S3Settings,
    }

    fn good() -> S3Settings {
        S3Settings { bucket: "mmsgw-media".into(), ..S3Settings::default() }
    }

    /// The faults of good settings with some lines of TOML over them.
    fn faults(lines: &str) -> Vec<String> {
        let text =
            if lines.contains("bucket =") { lines.to_owned() } else { format!("bucket = \"abc\"\n{lines}") };
        let settings: S3Settings = toml::from_str(&text).unwrap();
        settings.check().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_reference_says_the_default_and_names_every_field() {
        let read: File = toml::from_str(CONFIG_DEFAULT).unwrap();
        assert_eq!(format!("{:?}", read.media_storage.s3), format!("{:?}", S3Settings::default()));
        let refusal = toml::from_str::<S3Settings>("no_such = 1").unwrap_err();
        let (_, list) = refusal.message().split_once("expected ").unwrap();
        let fields: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert!(fields.len() >= 15, "{fields:?}");
        for field in fields {
            let named = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{field} = "));
            let table = CONFIG_DEFAULT.contains(&format!("[media_storage.s3.{field}]"));
            assert!(table || CONFIG_DEFAULT.lines().any(named), "`{field}` is missing from the reference");
        }
    }

    #[test]
    fn only_the_bucket_has_no_default() {
        assert_eq!(good().check(), []);
        let faults = S3Settings::default().check();
        assert_eq!(faults.iter().map(|fault| fault.field).collect::<Vec<_>>(), ["bucket"]);
    }

    #[test]
    fn faults_are_named() {
        for lines in [
            "endpoint = \"http://127.0.0.1:9000\"",
            "endpoint = \"http://[::1]:9000/\"",
            "endpoint = \"http://localhost:9000\"",
            "endpoint = \"http://minio.example.org\"\nallow_http = true",
            "endpoint = \"https://s3.example.org:9000\"\npath_style = false",
            "prefix = \"\"",
            "prefix = \"a/b.c/d_\"",
        ] {
            assert_eq!(faults(lines), [""; 0], "{lines}");
        }
        for (lines, fault) in [
            ("endpoint = \"http://10.0.0.1:9000\"", "endpoint: plain http"),
            ("endpoint = \"http://127.example.org\"", "endpoint: plain http"),
            ("endpoint = \"https://s3.example.org/bucket\"", "endpoint: must be scheme, host"),
            ("endpoint = \"https://key:secret@s3.example.org\"", "endpoint: must be scheme, host"),
            ("endpoint = \"s3://bucket\"", "endpoint: must begin with https"),
            ("endpoint = \"https://10.0.0.1\"\npath_style = false", "endpoint: an address has no"),
            ("bucket = \"My_Bucket\"", "bucket: `My_Bucket` is no name"),
            ("bucket = \"a..b\"", "bucket:"),
            ("bucket = \"-ab\"", "bucket:"),
            ("prefix = \"/media/\"", "prefix: `/media/` cannot begin"),
            ("prefix = \"a//b\"", "prefix:"),
            ("prefix = \"a/../b\"", "prefix:"),
            ("prefix = \"über/\"", "prefix:"),
            ("region = \"\"", "region:"),
            (
                "secret_access_key = \"a\"\nsecret_access_key_file = \"b\"",
                "secret_access_key: give the secret",
            ),
            ("timeout = \"0s\"", "timeout: must be longer"),
            ("connect_timeout = \"50s\"", "connect_timeout: must be longer"),
            ("total_timeout = \"121s\"", "total_timeout: must be no longer than 120 s"),
            ("retries = 11", "retries:"),
            ("fresh_for = \"1d\"", "fresh_for: must be no longer than 21600 s"),
            ("in_flight = 0", "in_flight: must be from 1"),
        ] {
            let found = faults(lines);
            assert_eq!(found.len(), 1, "{lines}: {found:?}");
            assert!(found[0].starts_with(fault), "{lines}: {found:?}");
        }
    }

    #[test]
    fn the_bucket_is_in_the_path_or_in_the_host_name() {
        let endpoint = Some("https://s3.example.org:9000".parse().unwrap());
        let mut settings = S3Settings { endpoint, ..good() };
        assert_eq!(settings.bucket_endpoint().unwrap(), "https://s3.example.org:9000");
        settings.path_style = false;
        assert_eq!(settings.bucket_endpoint().unwrap(), "https://mmsgw-media.s3.example.org:9000");
        assert_eq!(good().bucket_endpoint(), None);
    }

    #[test]
    fn credentials_come_from_the_settings_a_file_or_the_environment() {
        let variables = HashMap::from([(ACCESS_KEY_ID, "env-id"), (SECRET_ACCESS_KEY, "env-secret")]);
        let environment = |name: &str| variables.get(name).map(|&value| value.to_owned());
        let read = |settings: &S3Settings| {
            settings.credentials(environment).map(|(id, secret)| (id, secret.expose_secret().to_owned()))
        };
        let own = |id: &str, secret: &str| (id.to_owned(), secret.to_owned());
        assert_eq!(read(&good()).unwrap(), own("env-id", "env-secret"));
        let mut settings =
            S3Settings { access_key_id: Some("id".into()), secret_access_key: Some("s".into()), ..good() };
        assert_eq!(read(&settings).unwrap(), own("id", "s"));
        assert!(!format!("{settings:?}").contains("\"s\""), "a secret does not print itself");
        settings.secret_access_key = None;
        settings.secret_access_key_file = Some("/no/such/file".into());
        assert!(read(&settings).unwrap_err().to_string().contains("/no/such/file"));
        let none = good().credentials(|_| None).unwrap_err().to_string();
        assert!(none.contains("`access_key_id`") && none.contains(ACCESS_KEY_ID), "{none}");
        let half = S3Settings { access_key_id: Some("id".into()), ..good() };
        let half = half.credentials(|_| Some(String::new())).unwrap_err().to_string();
        assert!(half.contains(SECRET_ACCESS_KEY), "{half}");
    }
}
