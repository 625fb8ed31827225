//! An HTTP body from a carrier, read as an MM7 request; the first line is its Content-Type.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mmsgw_mm7::{ErrorSide, Limits, read_request, write_fault};

fuzz_target!(|octets: &[u8]| {
    let line = octets.iter().position(|b| *b == b'\n').unwrap_or(0);
    let content_type = std::str::from_utf8(&octets[..line]).ok();
    if let Err(error) = read_request(content_type, Bytes::copy_from_slice(&octets[line..]), &Limits::default()) {
        // Whatever cannot be read is answered with a fault.
        let _ = write_fault(error.fault_kind(), None, &error.context, ErrorSide::Vasp);
    }
});
