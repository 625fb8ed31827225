//! Credentials of HTTP Digest.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|credentials: &str| {
    mmsgw_edge_mm7::fuzzing::digest(credentials);
});
