//! Settings of the API.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};

use mmsgw_contract::{ContentTypes, KeySettings, Limits, Rules};
use mmsgw_domain::{ByteSize, Span};
use mmsgw_net::ServerTlsSettings;
use serde::Deserialize;
use url::Url;

/// The section `[api]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSettings {
    /// Address to listen on. Without any key only a loopback address is taken.
    pub listen: SocketAddr,
    /// Address under which applications reach the API, for `Location` and media URLs. Without it both
    /// are relative.
    pub public_url: Option<Url>,
    /// Largest body of a request.
    pub max_body: ByteSize,
    /// Largest line of a batch; a batch as a whole has no limit.
    pub max_line: ByteSize,
    /// Time to receive the body of a request, and the same time again to answer it.
    pub request_timeout: Span,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Most connections of one peer; 0 for half of all.
    pub max_connections_per_peer: usize,
    /// Most requests of one key in a second, or of one peer where nobody needs a key; 0 for no limit.
    pub requests_per_second: f64,
    /// Most requests in hand.
    pub max_requests: usize,
    /// Most octets of bodies in hand.
    pub body_memory: ByteSize,
    /// Media types that parts may have.
    pub content_types: Vec<String>,
    /// Most of everything that one request may hold.
    pub limits: LimitSettings,
    /// Keys of applications, `[[api.key]]`.
    #[serde(rename = "key")]
    pub keys: Vec<KeySettings>,
    /// TLS on the listener; without it the API speaks plain HTTP.
    pub tls: Option<ServerTlsSettings>,
}

/// The section `[api.limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Numbers in `destination`, `cc` and `bcc` taken together.
    pub numbers: usize,
    /// Parts in one request.
    pub parts: usize,
    /// Characters of a subject.
    pub subject: usize,
    /// Characters of a part's name.
    pub name: usize,
    /// Octets of a URL.
    pub url: usize,
    /// URLs in `events_url`.
    pub urls: usize,
    /// Characters of any other line of text.
    pub text: usize,
    /// Variables of one message or template.
    pub variables: usize,
    /// Characters of a variable's value.
    pub variable: usize,
    /// JSON values in one body.
    pub values: usize,
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// Anybody could send messages.
    #[error(
        "api.listen is {0}, which others can reach, but there is no [[api.key]]: \
         add a key (`mmsgw key` makes one) or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// Not a media type.
    #[error("api.content_types has `{0}`, which is no media type: write it as `image/jpeg`")]
    ContentType(String),
    /// Not a base for other URLs.
    #[error("api.public_url is `{0}`: give an http or https URL without query and fragment")]
    PublicUrl(String),
    /// A limit that would let nothing through.
    #[error("api.{0} is zero, which lets nothing through")]
    Zero(&'static str),
    /// Two keys could not be told apart.
    #[error("two [[api.key]] have the same name or hash: `{0}`")]
    Twice(String),
    /// Not a rate.
    #[error("api.requests_per_second is {0}: give a number of requests, 0 for no limit")]
    Rate(f64),
    /// A key that may do nothing.
    #[error("[[api.key]] `{0}` has no scopes: give at least one of send, read, admin")]
    NoScope(String),
}

/// The default settings as a file, with an explanation of each.
pub const DEFAULT_SETTINGS: &str = include_str!("config.default.toml");

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_url: None,
            max_body: ByteSize(30_000_000),
            max_line: ByteSize(64 << 10),
            request_timeout: Span::secs(30),
            max_connections: 4_096,
            max_connections_per_peer: 0,
            requests_per_second: 0.0,
            max_requests: 1_024,
            body_memory: ByteSize(256 << 20),
            content_types: ContentTypes::DEFAULT.iter().map(|kind| (*kind).to_owned()).collect(),
            limits: LimitSettings::default(),
            keys: Vec::new(),
            tls: None,
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        let Limits { numbers, parts, subject, name, url, urls, text, variables, variable, values } =
            Limits::default();
        Self { numbers, parts, subject, name, url, urls, text, variables, variable, values }
    }
}

impl From<LimitSettings> for Limits {
    fn from(settings: LimitSettings) -> Self {
        let LimitSettings { numbers, parts, subject, name, url, urls, text, variables, variable, values } =
            settings;
        Self { numbers, parts, subject, name, url, urls, text, variables, variable, values }
    }
}

impl ApiSettings {
    /// Whether the settings can work.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.keys.is_empty() && !self.listen.ip().is_loopback() {
            return Err(SettingsError::Open(self.listen));
        }
        if let Some(url) = &self.public_url {
            let good = matches!(url.scheme(), "http" | "https");
            if !good || url.query().is_some() || url.fragment().is_some() {
                return Err(SettingsError::PublicUrl(url.to_string()));
            }
        }
        if !self.requests_per_second.is_finite() || self.requests_per_second < 0.0 {
            return Err(SettingsError::Rate(self.requests_per_second));
        }
        self.check_limits()?;
        self.check_keys()?;
        self.rules().map(drop)
    }

    fn check_limits(&self) -> Result<(), SettingsError> {
        let zero = [
            ("max_body", self.max_body.0 == 0),
            ("max_line", self.max_line.0 == 0),
            ("request_timeout", self.request_timeout.0.is_zero()),
            ("max_connections", self.max_connections == 0),
            ("max_requests", self.max_requests == 0),
            ("body_memory", self.body_memory.0 == 0),
            ("limits.numbers", self.limits.numbers == 0),
            ("limits.name", self.limits.name == 0),
            ("limits.values", self.limits.values == 0),
        ];
        zero.iter().find(|(_, is)| *is).map_or(Ok(()), |(name, _)| Err(SettingsError::Zero(name)))
    }

    fn check_keys(&self) -> Result<(), SettingsError> {
        let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
        for key in &self.keys {
            if !names.insert(&key.name) || !hashes.insert(key.hash) {
                return Err(SettingsError::Twice(key.name.clone()));
            }
            if key.scopes.is_empty() {
                return Err(SettingsError::NoScope(key.name.clone()));
            }
        }
        Ok(())
    }

    /// What requests are measured by.
    pub fn rules(&self) -> Result<Rules, SettingsError> {
        let content_types = ContentTypes::new(&self.content_types).map_err(SettingsError::ContentType)?;
        Ok(Rules { limits: self.limits.into(), content_types })
    }

    /// The public address without a slash at its end; empty where there is none.
    pub fn public_base(&self) -> String {
        self.public_url.as_ref().map_or_else(String::new, |url| url.as_str().trim_end_matches('/').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::Error;
    use serde::de::{Deserializer, Error as _, Visitor};
    use serde::forward_to_deserialize_any;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        api: ApiSettings,
    }

    fn read(text: &str) -> Result<ApiSettings, toml::de::Error> {
        toml::from_str::<File>(text).map(|file| file.api)
    }

    /// Tells the fields that a type asks for, as an error.
    struct Fields;

    impl<'de> Deserializer<'de> for Fields {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom(""))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            Err(Error::custom(fields.join(" ")))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    fn fields<'de, T: Deserialize<'de> + std::fmt::Debug>() -> String {
        T::deserialize(Fields).unwrap_err().to_string()
    }

    #[test]
    fn the_default_file_is_the_default() {
        assert_eq!(read(DEFAULT_SETTINGS).unwrap(), ApiSettings::default());
        assert_eq!(ApiSettings::default().check(), Ok(()));
    }

    #[test]
    fn the_default_file_names_every_field() {
        let lines: Vec<&str> = DEFAULT_SETTINGS.lines().map(|line| line.trim_start_matches("# ")).collect();
        let names = [fields::<ApiSettings>(), fields::<LimitSettings>(), fields::<KeySettings>()].join(" ");
        assert!(names.split(' ').count() > 20, "{names}");
        for name in names.split(' ') {
            let forms = [format!("{name} ="), format!("[api.{name}]"), format!("[[api.{name}]]")];
            let named = lines.iter().any(|line| forms.iter().any(|form| line.starts_with(form)));
            assert!(named, "{name} is not in the default file");
        }
    }

    #[test]
    fn the_example_in_the_default_file_works() {
        let plain: String = DEFAULT_SETTINGS
            .lines()
            .map(|line| {
                line.strip_prefix("# ").filter(|l| l.contains(" = ") || l.starts_with('[')).unwrap_or(line)
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let settings = read(&plain).unwrap();
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.keys[0].scopes, [mmsgw_contract::Scope::Send, mmsgw_contract::Scope::Read]);
        assert!(settings.tls.is_some() && settings.public_url.is_some());
    }

    #[test]
    fn settings_that_cannot_work_are_explained() {
        let error = |text: &str| read(&format!("[api]\n{text}")).unwrap().check().unwrap_err().to_string();
        assert!(error("listen = \"0.0.0.0:80\"").contains("[[api.key]]"));
        assert!(error("content_types = [\"jpeg\"]").contains("`jpeg`"));
        assert!(error("public_url = \"ftp://a\"").contains("ftp://a"));
        assert!(error("requests_per_second = -1.5").contains("api.requests_per_second is -1.5"));
        assert!(error("request_timeout = 0").contains("api.request_timeout"));
        let key = |name: &str, digit: &str, scopes: &str| {
            format!("[[api.key]]\nname = \"{name}\"\nhash = \"{}\"\nscopes = [{scopes}]\n", digit.repeat(64))
        };
        assert!(error(&key("a", "0", "")).contains("no scopes"));
        let twice = key("a", "0", "\"read\"") + &key("b", "0", "\"read\"");
        assert!(error(&twice).contains("`b`"));
        assert!(read("[api]\nlisten_on = 1").unwrap_err().to_string().contains("listen_on"));
        assert!(read(&format!("[api]\n{}", key("a", "x", ""))).is_err());
    }
}
