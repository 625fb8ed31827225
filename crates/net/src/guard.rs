//! Which addresses a URL given by a stranger may lead to.
//!
//! Webhook and media addresses come from apps; without a policy they would let an app reach the gateway's own
//! network (server-side request forgery). The guard judges addresses, not names: once for URLs whose host *is* an
//! address ([`AddressGuard::check_url`]; such hosts never meet a resolver), and once for every address a name
//! resolved to, inside the resolver the HTTP client connects through, so that a name which changes its mind between
//! check and use gains nothing.
//!
//! The ranges are those of the IANA special-purpose address registries (RFC 6890) that are not globally reachable.
//! The guard must not do I/O beyond the name look-up and knows nothing of HTTP.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The policy: public addresses, and what the allow list adds. Cheap enough to clone per client.
#[derive(Debug, Clone, Default)]
pub struct AddressGuard {
    allow: Vec<IpNet>,
    https_only: bool,
}

impl AddressGuard {
    /// A guard that lets through public addresses and those in `allow`.
    ///
    /// An IPv4-mapped address (`::ffff:10.0.0.1`) is judged as the IPv4 address it is; other forms that carry an IPv4
    /// address inside (NAT64, 6to4, …) are allowed only by an IPv6 network that contains them.
    #[must_use]
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self { allow, https_only: false }
    }

    /// Refuse `http` URLs too, leaving `https` only.
    #[must_use]
    pub fn https_only(mut self, only: bool) -> Self {
        self.https_only = only;
        self
    }

    /// Judges what can be judged before the name is resolved: the scheme, and a host that is an address.
    ///
    /// # Errors
    /// [`GuardError::Scheme`], [`GuardError::NoHost`] or [`GuardError::Address`].
    pub fn check_url(&self, url: &Url) -> Result<(), GuardError> {
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(GuardError::Scheme(other.to_owned())),
        };
        if self.https_only && !secure {
            return Err(GuardError::Scheme(url.scheme().to_owned()));
        }
        match url.host() {
            None => Err(GuardError::NoHost),
            Some(Host::Domain(_)) => Ok(()),
            Some(Host::Ipv4(address)) => self.check_address(address.into()),
            Some(Host::Ipv6(address)) => self.check_address(address.into()),
        }
    }

    /// Judges one address.
    ///
    /// # Errors
    /// [`GuardError::Address`] with the class that made it unfit.
    pub fn check_address(&self, address: IpAddr) -> Result<(), GuardError> {
        let address = address.to_canonical();
        let Some(class) = AddressClass::of(address) else { return Ok(()) };
        if self.allow.iter().any(|net| net.contains(&address)) {
            return Ok(());
        }
        Err(GuardError::Address { address, class })
    }

    /// Keeps the addresses of `name` that may be connected to.
    fn filter(
        &self,
        name: &str,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, GuardError> {
        let mut refused = None;
        let mut fit = Vec::new();
        for address in found {
            match self.check_address(address.ip()) {
                Ok(()) => fit.push(address),
                Err(GuardError::Address { address, class }) => refused = Some((address, class)),
                Err(other) => return Err(other),
            }
        }
        match refused {
            Some((address, class)) if fit.is_empty() => {
                Err(GuardError::Name { name: name.to_owned(), address, class })
            }
            _ => Ok(fit),
        }
    }
}

impl Resolve for AddressGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let fit = guard.filter(name.as_str(), found)?;
            Ok(Box::new(fit.into_iter()) as Addrs)
        })
    }
}

/// Why the guard refused. Found again in a `reqwest::Error` by [`GuardError::in_chain`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The URL's scheme is not one that may be fetched.
    #[error("scheme {0:?} is not allowed")]
    Scheme(String),
    /// The URL names no host.
    #[error("the URL has no host")]
    NoHost,
    /// The host is an address, and not a fit one.
    #[error("address {address} is not allowed: {class}")]
    Address {
        /// The address, IPv4-mapped forms shown as IPv4.
        address: IpAddr,
        /// What kind of address it is.
        class: AddressClass,
    },
    /// Every address the name resolved to was unfit.
    #[error("{name} leads to {address}, which is not allowed: {class}")]
    Name {
        /// The name as asked for.
        name: String,
        /// The last address it resolved to.
        address: IpAddr,
        /// What kind of address that is.
        class: AddressClass,
    },
}

impl GuardError {
    /// The refusal at the bottom of an error, if that is what it is: lets a caller tell "never allowed" from "not
    /// reachable just now".
    #[must_use]
    pub fn in_chain<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refusal) = error.downcast_ref() {
                return Some(refusal);
            }
            next = error.source();
        }
        None
    }
}

/// The kinds of address a stranger's URL must not lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressClass {
    /// "This host" or "this network": `0.0.0.0/8`, `::`.
    Unspecified,
    /// The machine itself: `127.0.0.0/8`, `::1`.
    Loopback,
    /// RFC 1918, RFC 4193 (unique local) and the former site-local range.
    Private,
    /// Between a carrier's subscribers and its address translators, `100.64.0.0/10` (RFC 6598).
    CarrierNat,
    /// RFC 3927 and `fe80::/10`; where cloud metadata services live.
    LinkLocal,
    /// Protocol assignments, `192.0.0.0/24` and `2001::/23` (Teredo and ORCHID among them).
    Protocol,
    /// Documentation examples (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// Benchmarks, `198.18.0.0/15` (RFC 2544).
    Benchmark,
    /// Multicast.
    Multicast,
    /// Broadcast, class E, retired or never handed out.
    Reserved,
    /// IPv4 carried inside IPv6 (compatible, translated, NAT64, 6to4) whose IPv4 address is unfit, or cannot be told.
    Embedded,
}

impl AddressClass {
    /// The class of an address, or nothing for a public one.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private network",
            Self::CarrierNat => "carrier-grade NAT",
            Self::LinkLocal => "link-local",
            Self::Protocol => "protocol assignment",
            Self::Documentation => "documentation",
            Self::Benchmark => "benchmarking",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
            Self::Embedded => "unfit IPv4 address inside IPv6",
        })
    }
}

fn of_v4(address: Ipv4Addr) -> Option<AddressClass> {
    V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, class)| *class)
}

fn of_v6(address: Ipv6Addr) -> Option<AddressClass> {
    if let Some((_, class)) = V6.iter().find(|(net, _)| net.contains(&address)) {
        return Some(*class);
    }
    match embedded_v4(address) {
        Some(inner) => of_v4(inner).map(|_| AddressClass::Embedded),
        // Only 2000::/3 has been handed out for use on the public Internet.
        None if GLOBAL_UNICAST.contains(&address) => None,
        None => Some(AddressClass::Reserved),
    }
}

/// The IPv4 address inside a compatible, translated (RFC 2765), NAT64 (RFC 6052) or 6to4 (RFC 3056) address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let o = address.octets();
    let tail = Ipv4Addr::new(o[12], o[13], o[14], o[15]);
    match address.segments() {
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(tail),
        [0x2002, ..] => Some(Ipv4Addr::new(o[2], o[3], o[4], o[5])),
        _ => None,
    }
}

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(head: [u16; 3], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(head[0], head[1], head[2], 0, 0, 0, 0, 0), prefix)
}

const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0], 3);

const V4: [(Ipv4Net, AddressClass); 15] = [
    (v4(0, 0, 0, 8), AddressClass::Unspecified),
    (v4(10, 0, 0, 8), AddressClass::Private),
    (v4(100, 64, 0, 10), AddressClass::CarrierNat),
    (v4(127, 0, 0, 8), AddressClass::Loopback),
    (v4(169, 254, 0, 16), AddressClass::LinkLocal),
    (v4(172, 16, 0, 12), AddressClass::Private),
    (v4(192, 0, 0, 24), AddressClass::Protocol),
    (v4(192, 0, 2, 24), AddressClass::Documentation),
    // Relay anycast of 6to4, retired by RFC 7526.
    (v4(192, 88, 99, 24), AddressClass::Reserved),
    (v4(192, 168, 0, 16), AddressClass::Private),
    (v4(198, 18, 0, 15), AddressClass::Benchmark),
    (v4(198, 51, 100, 24), AddressClass::Documentation),
    (v4(203, 0, 113, 24), AddressClass::Documentation),
    (v4(224, 0, 0, 4), AddressClass::Multicast),
    (v4(240, 0, 0, 4), AddressClass::Reserved),
];

const V6: [(Ipv6Net, AddressClass); 12] = [
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), AddressClass::Unspecified),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), AddressClass::Loopback),
    // NAT64 prefixes of a site's own choice (RFC 8215): where the IPv4 address sits is the site's secret.
    (v6([0x64, 0xff9b, 1], 48), AddressClass::Embedded),
    (v6([0x100, 0, 0], 64), AddressClass::Reserved),
    (v6([0x2001, 0, 0], 23), AddressClass::Protocol),
    (v6([0x2001, 0xdb8, 0], 32), AddressClass::Documentation),
    (v6([0x3fff, 0, 0], 20), AddressClass::Documentation),
    (v6([0x5f00, 0, 0], 16), AddressClass::Reserved),
    (v6([0xfc00, 0, 0], 7), AddressClass::Private),
    (v6([0xfe80, 0, 0], 10), AddressClass::LinkLocal),
    (v6([0xfec0, 0, 0], 10), AddressClass::Private),
    (v6([0xff00, 0, 0], 8), AddressClass::Multicast),
];

#[cfg(test)]
mod tests {
    use super::AddressClass::*;
    use super::*;

    fn class(address: &str) -> Option<AddressClass> {
        AddressClass::of(address.parse().unwrap())
    }

    /// First and last address of every range, and the neighbours outside.
    #[test]
    fn every_ipv4_range_has_its_edges() {
        let table = [
            ("0.0.0.0", "0.255.255.255", Unspecified),
            ("10.0.0.0", "10.255.255.255", Private),
            ("100.64.0.0", "100.127.255.255", CarrierNat),
            ("127.0.0.0", "127.255.255.255", Loopback),
            ("169.254.0.0", "169.254.255.255", LinkLocal),
            ("172.16.0.0", "172.31.255.255", Private),
            ("192.0.0.0", "192.0.0.255", Protocol),
            ("192.0.2.0", "192.0.2.255", Documentation),
            ("192.88.99.0", "192.88.99.255", Reserved),
            ("192.168.0.0", "192.168.255.255", Private),
            ("198.18.0.0", "198.19.255.255", Benchmark),
            ("198.51.100.0", "198.51.100.255", Documentation),
            ("203.0.113.0", "203.0.113.255", Documentation),
            ("224.0.0.0", "239.255.255.255", Multicast),
            ("240.0.0.0", "255.255.255.255", Reserved),
        ];
        for (first, last, expected) in table {
            assert_eq!(class(first), Some(expected), "{first}");
            assert_eq!(class(last), Some(expected), "{last}");
            let below = u32::from(first.parse::<Ipv4Addr>().unwrap()).checked_sub(1);
            let above = u32::from(last.parse::<Ipv4Addr>().unwrap()).checked_add(1);
            for outside in [below, above].into_iter().flatten().map(Ipv4Addr::from) {
                let adjoining =
                    table.iter().any(|(f, l, _)| [*f, *l].contains(&outside.to_string().as_str()));
                assert_eq!(class(&outside.to_string()).is_some(), adjoining, "{outside}");
            }
        }
    }

    #[test]
    fn public_addresses_pass() {
        for address in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]
        {
            assert_eq!(class(address), None, "{address}");
        }
    }

    #[test]
    fn every_ipv6_range_is_refused() {
        for (address, expected) in [
            ("::", Unspecified),
            ("::1", Loopback),
            ("64:ff9b:1::808:808", Embedded),
            ("100::1", Reserved),
            ("2001::1", Protocol),
            ("2001:1ff:ffff::", Protocol),
            ("2001:db8::1", Documentation),
            ("3fff:fff::1", Documentation),
            ("5f00::1", Reserved),
            ("fc00::1", Private),
            ("fdff:ffff::1", Private),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fec0::1", Private),
            ("ff02::1", Multicast),
            ("1234::1", Reserved),
            ("4000::1", Reserved),
        ] {
            assert_eq!(class(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn ipv4_inside_ipv6_is_seen() {
        assert_eq!(class("::ffff:127.0.0.1"), Some(Loopback));
        assert_eq!(class("::ffff:169.254.169.254"), Some(LinkLocal));
        for address in
            ["::10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::192.168.0.1", "2002:7f00:1::1", "2002:c0a8:1::"]
        {
            assert_eq!(class(address), Some(Embedded), "{address}");
        }
        for address in ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"] {
            assert_eq!(class(address), None, "{address}");
        }
    }

    #[test]
    fn the_allow_list_opens_what_it_contains() {
        let guard = AddressGuard::new(vec!["10.1.0.0/16".parse().unwrap(), "fd00:1::/32".parse().unwrap()]);
        let check = |address: &str| guard.check_address(address.parse().unwrap());
        for allowed in ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5", "8.8.8.8"] {
            assert_eq!(check(allowed), Ok(()), "{allowed}");
        }
        for refused in ["10.2.0.1", "::ffff:10.2.0.1", "64:ff9b::10.1.2.3", "2002:a01:203::", "fd00:2::1"] {
            assert!(check(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn urls_that_are_addresses_in_disguise() {
        let guard = AddressGuard::default();
        let check = |url: &str| guard.check_url(&url.parse().unwrap());
        for refused in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://0x7f.0.0.1:8080/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "https://user@169.254.169.254/latest",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://\u{ff11}27.0.0.1/",
        ] {
            assert!(matches!(check(refused), Err(GuardError::Address { .. })), "{refused}");
        }
        assert_eq!(check("ftp://example.com/"), Err(GuardError::Scheme("ftp".into())));
        assert_eq!(check("file:///etc/passwd"), Err(GuardError::Scheme("file".into())));
        assert_eq!(check("https://example.com/hook"), Ok(()));
        assert_eq!(check("http://8.8.8.8/"), Ok(()));
        let strict = AddressGuard::default().https_only(true);
        assert_eq!(
            strict.check_url(&"http://8.8.8.8/".parse().unwrap()),
            Err(GuardError::Scheme("http".into()))
        );
    }

    #[test]
    fn mixed_answers_keep_only_the_fit_ones() {
        let guard = AddressGuard::default();
        let found = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let fit =
            guard.filter("a.example", found(&["10.0.0.1:0", "8.8.8.8:0", "[::1]:0"]).into_iter()).unwrap();
        assert_eq!(fit, found(&["8.8.8.8:0"]));
        let refusal = guard.filter("b.example", found(&["127.0.0.1:0"]).into_iter()).unwrap_err();
        assert!(matches!(refusal, GuardError::Name { name, class: Loopback, .. } if name == "b.example"));
    }

    #[tokio::test]
    async fn localhost_is_refused_by_the_resolver_unless_allowed() {
        let refusal = AddressGuard::default().resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(matches!(GuardError::in_chain(&*refusal), Some(GuardError::Name { class: Loopback, .. })));
        let open = AddressGuard::new(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        assert!(open.resolve("localhost".parse().unwrap()).await.unwrap().count() > 0);
    }
}
