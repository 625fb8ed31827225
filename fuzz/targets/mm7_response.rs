//! An HTTP body from a carrier, read as the answer to a request of ours; the first line is its
//! Content-Type.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mmsgw_mm7::{Limits, read_response};

fuzz_target!(|octets: &[u8]| {
    let line = octets.iter().position(|b| *b == b'\n').unwrap_or(0);
    let content_type = std::str::from_utf8(&octets[..line]).ok();
    if let Ok(response) = read_response(content_type, Bytes::copy_from_slice(&octets[line..]), &Limits::default()) {
        let _ = (response.status(), response.message_id(), response.is_success());
    }
});
