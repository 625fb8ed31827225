//! How much a door has in hand at a time: requests by number, what they hold by octets.
//!
//! What is beyond is not queued but refused, so that the peer hears at once that it is to come again, and what was let
//! in is finished in good time. How a refusal reads is the edge's affair.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limits of a door, and what it has in hand. Clones share both.
#[derive(Debug, Clone)]
pub struct Admission {
    requests: Arc<Semaphore>,
    units: Arc<Semaphore>,
    most_units: usize,
}

/// A request in hand; what it holds is given back when this is dropped.
#[derive(Debug)]
pub struct Admitted {
    _request: OwnedSemaphorePermit,
    units: OwnedSemaphorePermit,
    door: Admission,
}

impl Admission {
    /// A door with at most so many requests in hand, which hold at most so many octets together; one of each at least.
    #[must_use]
    pub fn new(requests: usize, octets: usize) -> Self {
        let most_units = octets.div_ceil(UNIT).clamp(1, u32::MAX as usize);
        Self {
            requests: Arc::new(Semaphore::new(requests.clamp(1, Semaphore::MAX_PERMITS))),
            units: Arc::new(Semaphore::new(most_units)),
            most_units,
        }
    }

    /// Lets in a request that will hold so many octets, as far as is known yet. `None`: there is too much in hand.
    #[must_use]
    pub fn admit(&self, octets: usize) -> Option<Admitted> {
        let request = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        let units = Arc::clone(&self.units).try_acquire_many_owned(self.units_for(octets)).ok()?;
        Some(Admitted { _request: request, units, door: self.clone() })
    }

    /// One that is larger than the door's whole measure passes alone.
    fn units_for(&self, octets: usize) -> u32 {
        let units = octets.div_ceil(UNIT).min(self.most_units);
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

impl Admitted {
    /// Holds so many octets in all from now on, where that is more than before. False: there is no room for them.
    #[must_use]
    pub fn grow(&mut self, octets: usize) -> bool {
        let wanted = self.door.units_for(octets) as usize;
        let more = wanted.saturating_sub(self.units.num_permits());
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        match Arc::clone(&self.door.units).try_acquire_many_owned(more) {
            Ok(units) => self.units.merge(units),
            Err(_) => return false,
        }
        true
    }
}

/// Octets are counted in steps of this.
const UNIT: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted() {
        let door = Admission::new(2, 1 << 20);
        let (first, _second) = (door.admit(0).unwrap(), door.admit(0).unwrap());
        assert!(door.admit(0).is_none());
        drop(first);
        assert!(door.admit(0).is_some());
    }

    #[test]
    fn octets_are_summed_and_given_back() {
        let door = Admission::new(10, 10 * UNIT);
        let mut growing = door.admit(0).unwrap();
        let fixed = door.admit(6 * UNIT).unwrap();
        assert!(growing.grow(4 * UNIT) && growing.grow(UNIT));
        assert!(!growing.grow(4 * UNIT + 1));
        assert!(door.admit(1).is_none() && door.admit(0).is_some());
        drop(fixed);
        assert!(growing.grow(10 * UNIT));
    }

    #[test]
    fn what_is_larger_than_the_door_passes_alone() {
        let door = Admission::new(10, UNIT);
        let large = door.admit(100 * UNIT).unwrap();
        assert!(door.admit(1).is_none());
        drop(large);
        assert!(door.admit(1).is_some());
    }
}
