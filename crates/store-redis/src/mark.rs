//! Marks that nobody else makes: of batches, so that a repeated one is known, and of leases.

use mmsgw_domain::{Clock, Id, SystemClock};

enum Mark {}

/// A mark of 16 octets.
pub(crate) fn mark() -> [u8; 16] {
    *Id::<Mark>::generate(SystemClock.now()).as_bytes()
}

/// A token of a lease: the random half of a mark.
pub(crate) fn token() -> u64 {
    let mark = mark();
    mark[8..].iter().fold(0, |token, octet| (token << 8) | u64::from(*octet))
}
