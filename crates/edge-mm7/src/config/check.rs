//! What is wrong with settings, beyond what their types say: all of it at once, each with its key.

use super::{Addressing, AuthScheme, Inbound, Mm7Settings, Outbound, PasswordScheme, fingerprint};
use mmsgw_engine::config::Protocol;

/// Where every receiver is found by its group.
const CARRIERS: &str = "/mmsgw/v1/mms/inbound/";

/// Something that is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct SettingFault {
    /// Section and key.
    pub key: &'static str,
    /// What is wrong, and what to write instead.
    pub why: String,
}

impl Mm7Settings {
    /// Looks for everything that the types alone cannot see. Reads no file.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn check(&self) -> Result<(), Vec<SettingFault>> {
        let mut faults = Faults::default();
        if self.gateway.protocol != Protocol::Mm7 {
            faults.add("gateway.protocol", "must be \"MM7\" in this file");
        }
        faults.printable("gateway.vaspid", self.gateway.vaspid.as_ref());
        faults.printable("gateway.vasid", self.gateway.vasid.as_ref());
        self.outbound.check(self.dialect.auth, &mut faults);
        self.inbound.check(&mut faults);
        if self.inbound.check_vaspid && self.gateway.vaspid.as_deref().unwrap_or_default().is_empty() {
            faults.add("inbound.check_vaspid", "needs `vaspid` in [gateway]");
        }
        faults.0.extend(self.report_way().err());
        faults.printable("inbound.service_code", self.inbound.service_code.as_ref());
        self.addressing.check(&mut faults);
        faults.0.extend(self.dialect.faults());
        for (key, why) in self.content.check() {
            faults.add(key, why);
        }
        faults.into_result()
    }
}

impl Outbound {
    fn check(&self, scheme: Option<AuthScheme>, faults: &mut Faults) {
        faults.0.extend(self.url().err());
        let has_token = self.bearer_token.is_some() || self.bearer_token_file.is_some();
        match scheme {
            Some(AuthScheme::Basic | AuthScheme::Vaspid) if self.username.is_none() => {
                faults.add("outbound.auth", "\"basic\" and \"vaspid\" need `username` and `password`");
            }
            Some(AuthScheme::Bearer) if !has_token => {
                faults.add("outbound.auth", "\"bearer\" needs `bearer_token` or `bearer_token_file`");
            }
            _ => {}
        }
        let password = (self.password.is_some(), self.password_file.is_some());
        faults.user("outbound.username", self.username.as_deref(), password);
        if self.bearer_token.is_some() && self.bearer_token_file.is_some() {
            faults.add("outbound.bearer_token", "stands beside `bearer_token_file`; write one of them");
        }
        if self.connect_timeout.0.is_zero() {
            faults.add("outbound.connect_timeout", "must not be 0");
        }
        if self.connections == Some(0) {
            faults.add("outbound.connections", "must not be 0");
        }
    }
}

impl Inbound {
    fn check(&self, faults: &mut Faults) {
        let password = (self.password.is_some(), self.password_file.is_some());
        faults.user("inbound.username", self.username.as_deref(), password);
        if self.password_scheme != PasswordScheme::Basic && self.username.is_none() {
            faults.add("inbound.password_scheme", "needs `username` and `password`");
        }
        let algorithms = &self.digest_algorithms;
        let repeats =
            algorithms.iter().enumerate().any(|(at, algorithm)| algorithms[..at].contains(algorithm));
        if algorithms.is_empty() || repeats {
            faults.add("inbound.digest_algorithms", "needs each hash once: \"SHA-256\", \"MD5\" or both");
        }
        if self.bearer_token.is_some() && self.bearer_token_file.is_some() {
            faults.add("inbound.bearer_token", "stands beside `bearer_token_file`; write one of them");
        }
        for text in self.client_certificates.iter().filter(|text| fingerprint(text).is_none()) {
            let why = format!("`{text}` is no SHA-256 fingerprint: 64 hexadecimal digits, colons allowed");
            faults.add("inbound.client_certificates", why);
        }
        let path = self.path.as_deref().unwrap_or("/");
        if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic() && !b"{}*?#".contains(&b)) {
            faults.add("inbound.path", format!("`{path}` is no path: it starts with / and holds no {{}}*?#"));
        } else if path.starts_with(CARRIERS) {
            faults.add("inbound.path", format!("`{CARRIERS}<group>` is served anyway and needs no saying"));
        } else if path.starts_with("/mmsgw/") {
            faults.add("inbound.path", format!("`{path}` belongs to the API; take one outside of /mmsgw/"));
        }
        if self.tls.is_some() && self.host.is_none() {
            faults.add("inbound.tls", "is for a listener of its own; say where in `host`");
        }
        if !self.requests_per_second.is_finite() || self.requests_per_second < 0.0 {
            faults.add("inbound.requests_per_second", "must be a number of requests, 0 for no limit");
        }
        if self.max_body.0 == 0 {
            faults.add("inbound.max_body", "must not be 0");
        }
    }
}

impl Addressing {
    fn check(&self, faults: &mut Faults) {
        faults.printable("addressing.dest_prefix", Some(&self.dest_prefix));
        faults.printable("addressing.dest_suffix", Some(&self.dest_suffix));
        faults.printable("addressing.origin_prefix", Some(&self.origin_prefix));
        faults.printable("addressing.origin_suffix", Some(&self.origin_suffix));
    }
}

#[derive(Default)]
struct Faults(Vec<SettingFault>);

impl Faults {
    fn add(&mut self, key: &'static str, why: impl Into<String>) {
        self.0.push(SettingFault { key, why: why.into() });
    }

    /// XML cannot carry control characters.
    fn printable(&mut self, key: &'static str, text: Option<&String>) {
        if text.is_some_and(|text| text.chars().any(char::is_control)) {
            self.add(key, "must not hold control characters");
        }
    }

    fn user(&mut self, key: &'static str, username: Option<&str>, password: (bool, bool)) {
        match (username, password) {
            (Some(_), (false, false)) => self.add(key, "needs `password` or `password_file`"),
            (None, (true, _) | (_, true)) => self.add(key, "is missing beside the password"),
            (_, (true, true)) => self.add(key, "`password` stands beside `password_file`; write one of them"),
            (Some(name), _) if name.contains(':') => {
                self.add(key, "must not hold a colon (RFC 7617 clause 2)");
            }
            _ => {}
        }
    }

    fn into_result(self) -> Result<(), Vec<SettingFault>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}
