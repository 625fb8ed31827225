//! What is wrong with settings, told before anything starts.

use mmsgw_engine::config::Protocol;
use mmsgw_mm4::Version;
use mmsgw_smtp::client::MAX_RECIPIENTS;
use mmsgw_smtp::text::{check_address, check_host};

use super::{Mm4Settings, SecureConnection};

/// One fault of a settings file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct SettingsFault {
    /// Section and field.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub why: String,
}

/// Where an SMTP server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Mm4Settings {
    /// All faults that can be seen without touching files or the network; none in good settings.
    pub fn check(&self) -> Vec<SettingsFault> {
        let mut faults = Faults::default();
        self.check_gateway(&mut faults);
        self.check_hosts(&mut faults);
        self.check_credentials(&mut faults);
        self.check_limits(&mut faults);
        self.check_texts(&mut faults);
        for (field, why) in self.content.check() {
            faults.unless(false, field, || why);
        }
        faults.0
    }

    /// The version stated on the wire; `None` unless it is three numbers.
    pub fn version(&self) -> Option<Version> {
        let mut numbers = self.dialect.version.split('.').map(|n| {
            let digits = !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
            n.parse::<u16>().ok().filter(|_| digits)
        });
        let version = Version::new(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }

    /// The server to connect to; `None` where `remote_host` is no `host:port`.
    pub fn endpoint(&self) -> Option<Endpoint> {
        let usual = if self.outbound.secure_connection == SecureConnection::Tls { 465 } else { 25 };
        let text = self.outbound.remote_host.trim();
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")))
            }
            None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, Some("")),
            None => text.split_once(':').map_or((text, Some("")), |(host, port)| (host, Some(port))),
        };
        let port = match port? {
            "" if text.ends_with(':') => None,
            "" => Some(usual),
            digits => digits.parse().ok().filter(|port| *port > 0),
        }?;
        let named = host.contains(':') || is_domain(host);
        named.then(|| Endpoint { host: host.to_owned(), port })
    }

    /// The carrier's domain.
    pub fn remote_domain(&self) -> String {
        let host = || self.endpoint().map(|endpoint| endpoint.host).unwrap_or_default();
        self.outbound.remote_domain.clone().unwrap_or_else(host)
    }

    /// The domains by which the carrier reaches our users, in lower case.
    pub(crate) fn own_domains(&self) -> Vec<String> {
        let domains = [Some(&self.outbound.local_domain), self.inbound.host.as_ref()];
        let mut domains: Vec<String> =
            domains.into_iter().flatten().map(|domain| domain.to_ascii_lowercase()).collect();
        domains.dedup();
        domains
    }

    /// Our system's mailbox, with its domain.
    pub fn system_mailbox(&self) -> String {
        let (mailbox, domain) = (&self.dialect.originator_system, &self.outbound.local_domain);
        if mailbox.contains('@') { mailbox.clone() } else { format!("{mailbox}@{domain}") }
    }

    fn check_gateway(&self, faults: &mut Faults) {
        let gateway = &self.gateway;
        faults.unless(gateway.protocol == Protocol::Mm4, "gateway.protocol", || {
            "this file is read as one of an MM4 gateway".into()
        });
        faults.unless(self.version().is_some(), "gateway.version", || {
            format!("`{}` is not three numbers, as in `6.10.0`", self.dialect.version.escape_debug())
        });
        let plain = |c: char| c.is_ascii_graphic() && c != ':';
        faults.unless(!gateway.name.is_empty() && gateway.name.chars().all(plain), "gateway.name", || {
            "needs a name without spaces and colons".into()
        });
    }

    fn check_hosts(&self, faults: &mut Faults) {
        let outbound = &self.outbound;
        faults.unless(self.endpoint().is_some(), "outbound.remote_host", || {
            let given = outbound.remote_host.escape_debug();
            format!("`{given}` is neither `host` nor `host:port`")
        });
        let domains = [
            ("outbound.remote_domain", outbound.remote_domain.as_ref()),
            ("outbound.local_domain", Some(&outbound.local_domain)),
            ("outbound.local_host", outbound.local_host.as_ref()),
            ("inbound.host", self.inbound.host.as_ref()),
        ];
        for (field, domain) in domains {
            let good = domain.is_none_or(|domain| is_domain(domain));
            faults.unless(good, field, || {
                let given = domain.map(|d| d.escape_debug().to_string()).unwrap_or_default();
                format!("`{given}` is no domain, as in `mms.example.org`")
            });
        }
        faults.mailbox("outbound.originator_address", &self.system_mailbox());
        for address in &outbound.recipient_address {
            faults.mailbox("outbound.recipient_address", address);
        }
        for address in &self.inbound.addresses {
            faults.receiver("inbound.addresses", address);
        }
        for domain in &self.inbound.trusted_domains {
            faults.unless(is_domain(domain), "inbound.trusted_domains", || {
                format!("`{}` is no domain, as in `mms.example.org`", domain.escape_debug())
            });
        }
    }

    fn check_credentials(&self, faults: &mut Faults) {
        let outbound = &self.outbound;
        let secrets =
            usize::from(outbound.password.is_some()) + usize::from(outbound.password_file.is_some());
        faults.unless(secrets < 2, "outbound.password_file", || {
            "a password is given already: keep one of the two".into()
        });
        faults.unless(outbound.username.is_some() == (secrets > 0), "outbound.username", || {
            "a user name and a password are given together or not at all".into()
        });
        let clear = matches!(outbound.secure_connection, SecureConnection::No | SecureConnection::StartTls);
        let risky = outbound.username.is_some() && clear && !outbound.auth_in_clear;
        faults.unless(!risky, "outbound.secure_connection", || {
            "a password needs `starttls_required` or `tls`, or else auth_in_clear = true".into()
        });
    }

    fn check_limits(&self, faults: &mut Faults) {
        let outbound = &self.outbound;
        faults
            .unless(outbound.connections != Some(0), "outbound.connections", || "must be at least 1".into());
        faults.unless(!outbound.idle_timeout.0.is_zero(), "outbound.idle_timeout", || {
            "must be longer than nothing".into()
        });
        let times = [outbound.timeout.connect, outbound.timeout.command, outbound.timeout.data];
        faults.unless(times.iter().all(|span| !span.0.is_zero()), "outbound.timeout", || {
            "must be longer than nothing".into()
        });
        let dialect = &self.dialect;
        let few = (1..=MAX_RECIPIENTS).contains(&dialect.recipients_per_mail);
        faults.unless(few, "dialect.recipients_per_mail", || format!("must be from 1 to {MAX_RECIPIENTS}"));
        let refusals = dialect.retry_statuses.iter().all(|code| (400..600).contains(code));
        faults.unless(refusals, "dialect.retry_statuses", || "SMTP replies from 400 to 599".into());
    }

    fn check_texts(&self, faults: &mut Faults) {
        let addressing = &self.addressing;
        let affixes = [
            ("addressing.dest_prefix", &addressing.dest_prefix),
            ("addressing.dest_suffix", &addressing.dest_suffix),
            ("addressing.origin_prefix", &addressing.origin_prefix),
            ("addressing.origin_suffix", &addressing.origin_suffix),
        ];
        for (field, text) in affixes {
            let plain = text.chars().all(|c| c.is_ascii_graphic() && !"<>@,;\"()".contains(c));
            faults
                .unless(plain, field, || "only letters, digits and signs that may stand in a mailbox".into());
        }
        let features = &self.features;
        let texts = [
            ("features.applic_id", &features.applic_id),
            ("features.reply_applic_id", &features.reply_applic_id),
            ("features.aux_applic_info", &features.aux_applic_info),
            ("features.mmsip_address", &features.mmsip_address),
            ("features.forward_route", &features.forward_route),
            ("features.return_route", &features.return_route),
        ];
        for (field, text) in texts {
            faults.unless(text.as_deref().is_none_or(is_line), field, || "no control characters".into());
        }
        for (name, value) in &self.dialect.extra_headers {
            let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != ':');
            faults.unless(named && is_line(value), "dialect.extra_headers", || {
                format!("`{}` is no header of one line", name.escape_debug())
            });
        }
    }
}

/// Faults as they are found.
#[derive(Default)]
pub(crate) struct Faults(pub(crate) Vec<SettingsFault>);

impl Faults {
    pub(crate) fn unless(&mut self, good: bool, field: &'static str, why: impl FnOnce() -> String) {
        if !good {
            self.0.push(SettingsFault { field, why: why() });
        }
    }

    fn mailbox(&mut self, field: &'static str, address: &str) {
        let domain = address.rsplit_once('@').map(|(_, domain)| domain);
        let good = check_address(address, false).is_ok() && domain.is_some_and(is_domain);
        self.unless(good, field, || format!("`{}` is no mail address", address.escape_debug()));
    }

    /// A mailbox, or `@domain` for all of a domain.
    pub(crate) fn receiver(&mut self, field: &'static str, address: &str) {
        match address.strip_prefix('@') {
            Some(domain) => {
                self.unless(is_domain(domain), field, || {
                    format!("`{}` is no `@domain`", address.escape_debug())
                });
            }
            None => self.mailbox(field, address),
        }
    }
}

/// Labels of letters, digits, hyphens and underscores with dots between; also an IPv4 address.
pub(crate) fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && label.bytes().all(plain)
    };
    check_host(text).is_ok() && text.split('.').all(label)
}

fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::settings;

    fn faults(change: impl FnOnce(&mut Mm4Settings)) -> Vec<&'static str> {
        let mut settings = settings();
        change(&mut settings);
        settings.check().into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn good_settings_have_no_fault() {
        assert_eq!(faults(|_| ()), [""; 0]);
        assert_eq!(faults(|s| s.inbound.addresses = vec!["@mms.own.example".into(), "a@b".into()]), [""; 0]);
    }

    #[test]
    fn each_fault_names_its_field() {
        assert_eq!(faults(|s| s.gateway.protocol = Protocol::Mm7), ["gateway.protocol"]);
        for version in ["6.10", "6.10.0.1", "six", "6.+1.0", "6.10.0\r\n"] {
            assert_eq!(faults(|s| s.dialect.version = version.into()), ["gateway.version"], "{version:?}");
        }
        assert_eq!(faults(|s| s.gateway.name = "a:b".into()), ["gateway.name"]);
        for host in
            ["", ":25", "a b", "host:0", "host:x", "host:", "host:99999", "h\r\nost", "[::1", "[x]:25"]
        {
            assert_eq!(
                faults(|s| s.outbound.remote_host = host.into()),
                ["outbound.remote_host"],
                "{host:?}"
            );
        }
        let local = faults(|s| s.outbound.local_domain = "own\r\n.example".into());
        assert_eq!(local, ["outbound.local_domain", "outbound.originator_address"]);
        assert_eq!(faults(|s| s.inbound.host = Some("a b".into())), ["inbound.host"]);
        let system = faults(|s| s.dialect.originator_system = "a b".into());
        assert_eq!(system, ["outbound.originator_address"]);
        let fixed = faults(|s| s.outbound.recipient_address = vec!["x>\r\n@y".into()]);
        assert_eq!(fixed, ["outbound.recipient_address"]);
        assert_eq!(faults(|s| s.inbound.addresses = vec!["@".into()]), ["inbound.addresses"]);
        let trusted = faults(|s| s.inbound.trusted_domains = vec!["*.example".into(), "a@b".into()]);
        assert_eq!(trusted, ["inbound.trusted_domains", "inbound.trusted_domains"]);
        assert_eq!(faults(|s| s.outbound.username = Some("u".into()))[0], "outbound.username");
        assert_eq!(faults(|s| s.outbound.connections = Some(0)), ["outbound.connections"]);
        assert_eq!(faults(|s| s.addressing.dest_suffix = "@x".into()), ["addressing.dest_suffix"]);
        assert_eq!(faults(|s| s.features.forward_route = Some("a\r\nb".into())), ["features.forward_route"]);
        assert_eq!(faults(|s| s.content.max_image_width = Some(0)), ["content.max_image_width"]);
        assert_eq!(faults(|s| s.dialect.retry_statuses = vec![250]), ["dialect.retry_statuses"]);
        assert_eq!(faults(|s| s.dialect.recipients_per_mail = 257), ["dialect.recipients_per_mail"]);
        let extra = faults(|s| drop(s.dialect.extra_headers.insert("X: y".into(), String::new())));
        assert_eq!(extra, ["dialect.extra_headers"]);
    }

    #[test]
    fn a_password_does_not_go_in_clear_by_accident() {
        let with = |secure, clear| {
            faults(move |s| {
                s.outbound.username = Some("u".into());
                s.outbound.password_file = Some("/x".into());
                s.outbound.secure_connection = secure;
                s.outbound.auth_in_clear = clear;
            })
        };
        assert_eq!(with(SecureConnection::StartTls, false), ["outbound.secure_connection"]);
        assert_eq!(with(SecureConnection::StartTlsRequired, false), [""; 0]);
        assert_eq!(with(SecureConnection::No, true), [""; 0]);
    }

    #[test]
    fn hosts_and_ports() {
        let endpoint = |host: &str, secure| {
            let mut settings = settings();
            settings.outbound.remote_host = host.into();
            settings.outbound.secure_connection = secure;
            settings.endpoint().map(|e| (e.host, e.port))
        };
        let is = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(endpoint("mmsc.example", SecureConnection::No), is("mmsc.example", 25));
        assert_eq!(endpoint("mmsc.example", SecureConnection::Tls), is("mmsc.example", 465));
        assert_eq!(endpoint("10.0.0.1:2525", SecureConnection::Tls), is("10.0.0.1", 2525));
        assert_eq!(endpoint("[::1]:2525", SecureConnection::No), is("::1", 2525));
        assert_eq!(endpoint("::1", SecureConnection::No), is("::1", 25));
    }
}
