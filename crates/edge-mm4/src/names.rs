//! Peers by host name: the names of the settings are resolved, and a peer is who it is by its address.
//!
//! Addresses are looked up by the system, forward only (A and AAAA), before the first peer is let in and then again
//! and again beside the work. Where a look-up fails the last good answer counts on: a resolver that is down
//! must not shut out a carrier.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::future::join_all;
use ipnet::IpNet;
use serde::Deserialize;

use crate::config::check::is_domain;

/// Who may connect: a network, an address, or whoever has an address of a host name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Allowed {
    /// All of a network.
    Network(IpNet),
    /// The addresses of a host, in lower case.
    Host(String),
}

impl TryFrom<String> for Allowed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) => Ok(Self::Network(network)),
            Err(_) if is_host_name(&text) => Ok(Self::Host(text.to_ascii_lowercase())),
            Err(_) => Err(format!(
                "`{}` is neither an address, nor a network, nor a host name",
                text.escape_debug()
            )),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Host(host) => f.write_str(host),
        }
    }
}

/// A name that can be looked up: no address that is written wrongly.
pub(crate) fn is_host_name(text: &str) -> bool {
    is_domain(text) && text.bytes().any(|octet| octet.is_ascii_alphabetic())
}

/// Looks up the addresses of a host.
#[async_trait]
pub(crate) trait Resolver: Send + Sync + 'static {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
pub(crate) struct System;

#[async_trait]
impl Resolver for System {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip().to_canonical()).collect())
    }
}

/// Host names and their addresses as they were found last.
pub(crate) struct Names {
    resolver: Box<dyn Resolver>,
    known: ArcSwap<BTreeMap<String, Vec<IpAddr>>>,
}

impl Names {
    pub(crate) fn new(resolver: impl Resolver) -> Self {
        Self { resolver: Box::new(resolver), known: ArcSwap::default() }
    }

    /// The names that have the address.
    pub(crate) fn of(&self, address: IpAddr) -> Vec<String> {
        let (known, address) = (self.known.load(), address.to_canonical());
        let named = known.iter().filter(|(_, addresses)| addresses.contains(&address));
        named.map(|(name, _)| name.clone()).collect()
    }

    /// Looks up `wanted`, all at once, and forgets all other names.
    pub(crate) async fn refresh(&self, wanted: BTreeSet<String>) {
        let known = self.known.load_full();
        let found = join_all(wanted.into_iter().map(async |name| {
            let before = known.get(&name);
            let addresses = self.look_up(&name, before).await;
            (name, addresses)
        }));
        let found = found.await.into_iter().filter_map(|(name, addresses)| Some((name, addresses?)));
        self.known.store(Arc::new(found.collect()));
    }

    async fn look_up(&self, name: &str, before: Option<&Vec<IpAddr>>) -> Option<Vec<IpAddr>> {
        let answer = tokio::time::timeout(PATIENCE, self.resolver.addresses(name)).await;
        let error = match answer {
            Ok(Ok(mut addresses)) if !addresses.is_empty() => {
                addresses.sort_unstable();
                addresses.dedup();
                if before != Some(&addresses) {
                    tracing::info!(host = name, ?addresses, "a peer's name has these addresses");
                }
                return Some(addresses);
            }
            Ok(Ok(_)) => "it has no address".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        let counts = before.map_or("nobody is let in by it", |_| "its last addresses count on");
        tracing::warn!(host = name, error, "a peer's name cannot be looked up: {counts}");
        before.cloned()
    }
}

/// For one look-up.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use parking_lot::Mutex;

    use super::*;

    /// Answers as the test says; a name that is missing fails.
    #[derive(Clone, Default)]
    struct Book(Arc<Mutex<HashMap<&'static str, Vec<&'static str>>>>);

    #[async_trait]
    impl Resolver for Book {
        async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
            let book = self.0.lock();
            let found = book.get(host).ok_or(io::ErrorKind::TimedOut)?;
            Ok(found.iter().map(|address| address.parse().unwrap()).collect())
        }
    }

    fn wanted(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn of(names: &Names, address: &str) -> Vec<String> {
        names.of(address.parse().unwrap())
    }

    #[tokio::test]
    async fn a_name_is_its_addresses_and_the_last_good_answer_counts() {
        let book = Book::default();
        let names = Names::new(book.clone());
        let both = || wanted(&["a.example", "b.example"]);
        book.0.lock().insert("a.example", vec!["192.0.2.1", "2001:db8::1"]);
        names.refresh(both()).await;
        assert_eq!(of(&names, "192.0.2.1"), ["a.example"]);
        assert_eq!(of(&names, "::ffff:192.0.2.1"), ["a.example"]);
        assert_eq!(of(&names, "2001:db8::1"), ["a.example"]);
        assert_eq!(of(&names, "192.0.2.2"), [""; 0]);
        book.0.lock().insert("b.example", vec!["192.0.2.1"]);
        book.0.lock().remove("a.example");
        names.refresh(both()).await;
        assert_eq!(of(&names, "192.0.2.1"), ["a.example", "b.example"]);
        book.0.lock().insert("a.example", vec![]);
        names.refresh(both()).await;
        assert_eq!(of(&names, "192.0.2.1").len(), 2, "no address is no answer");
        book.0.lock().insert("a.example", vec!["192.0.2.9"]);
        names.refresh(both()).await;
        assert_eq!(
            (of(&names, "192.0.2.1"), of(&names, "192.0.2.9")),
            (wanted(&["b.example"]).into_iter().collect(), vec!["a.example".to_owned()])
        );
        names.refresh(wanted(&["b.example"])).await;
        assert_eq!(of(&names, "192.0.2.9"), [""; 0], "who is not wanted is forgotten");
    }

    #[tokio::test]
    async fn the_system_knows_its_own_name() {
        let names = Names::new(System);
        names.refresh(wanted(&["localhost", "no-such-host.invalid"])).await;
        assert_eq!(of(&names, "127.0.0.1"), ["localhost"]);
    }

    #[test]
    fn entries_of_an_allow_list() {
        let read = |text: &str| Allowed::try_from(text.to_owned()).map(|allowed| allowed.to_string());
        assert_eq!(read("10.0.0.0/8").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(read("10.0.0.1").as_deref(), Ok("10.0.0.1/32"));
        assert_eq!(read("::1").as_deref(), Ok("::1/128"));
        assert_eq!(read("MMSC.peer.example").as_deref(), Ok("mmsc.peer.example"));
        for bad in ["", "10.0.0.0/40", "10.0.0.300", "a b", "a/8", "mmsc.example:25", "*.example"] {
            assert!(read(bad).unwrap_err().contains("neither"), "{bad}");
        }
    }
}
