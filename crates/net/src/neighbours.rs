//! How many connections of a listener one peer may hold, so that no single peer keeps all others out.
//!
//! A peer is an address; of IPv6 a network of 64 bits, which is what one customer has at least.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// What counts as one peer among addresses.
#[must_use]
pub fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// The connections of a listener, by peer. Clones are the same.
#[derive(Debug, Clone)]
pub struct Neighbours {
    most: usize,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Neighbours {
    /// At most `most` connections for each peer; 0: half of `all`, but never fewer than 16.
    #[must_use]
    pub fn new(most: usize, all: usize) -> Self {
        let most = if most == 0 { (all / 2).max(FEWEST) } else { most };
        Self { most, held: Arc::default() }
    }

    /// A place for one more connection from `address`, held until it is dropped; none where the peer has all of its own.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> Option<Place> {
        let peer = peer_of(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(peer).or_default();
        if *count >= self.most {
            tracing::debug!(%peer, most = self.most, "one connection more than a peer may have");
            return None;
        }
        *count += 1;
        if *count == self.most {
            tracing::warn!(%peer, most = self.most, "a peer has as many connections as it may; further ones are refused");
        }
        Some(Place { peer, held: Arc::clone(&self.held) })
    }
}

/// The right of a peer to one connection.
#[derive(Debug)]
pub struct Place {
    peer: IpAddr,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.peer);
            }
        }
    }
}

const FEWEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_has_its_places_and_gives_them_back() {
        let neighbours = Neighbours::new(2, 100);
        let (one, two) = (neighbours.admit(ip("192.0.2.1")), neighbours.admit(ip("::ffff:192.0.2.1")));
        assert!(one.is_some() && two.is_some());
        assert!(neighbours.admit(ip("192.0.2.1")).is_none());
        assert!(neighbours.admit(ip("192.0.2.2")).is_some(), "another peer");
        drop(one);
        let three = neighbours.admit(ip("192.0.2.1"));
        assert!(three.is_some() && neighbours.admit(ip("192.0.2.1")).is_none());
        drop((two, three));
        assert!(neighbours.held.lock().unwrap().is_empty(), "whoever has gone takes no room");
    }

    #[test]
    fn addresses_of_one_network_are_one_peer() {
        let neighbours = Neighbours::new(1, 100);
        let _held = neighbours.admit(ip("2001:db8:1:2::1"));
        assert!(neighbours.admit(ip("2001:db8:1:2:ffff::9")).is_none());
        assert!(neighbours.admit(ip("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn half_of_all_is_the_default() {
        assert_eq!(Neighbours::new(0, 4096).most, 2048);
        assert_eq!(Neighbours::new(0, 3).most, FEWEST);
        assert_eq!(Neighbours::new(7, 4096).most, 7);
    }
}
