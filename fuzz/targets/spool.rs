//! A file in a spool directory, its name in the first line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Some(end) = octets.iter().position(|octet| *octet == b'\n') else { return };
    mmsgw_edge_mm4::fuzzing::spool(&String::from_utf8_lossy(&octets[..end]), &octets[end + 1..]);
});
