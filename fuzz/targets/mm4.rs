//! A mail from a carrier, read as MM4.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mmsgw_mime::Limits;

fuzz_target!(|octets: &[u8]| {
    let _ = mmsgw_mm4::read(Bytes::copy_from_slice(octets), &Limits::DEFAULT);
});
