//! A mail from a stranger: headers, multipart, transfer codings, charsets.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mmsgw_mime::{Limits, read_message};

fuzz_target!(|octets: &[u8]| {
    if let Ok(mail) = read_message(Bytes::copy_from_slice(octets), &Limits::DEFAULT) {
        for leaf in mail.leaves() {
            let _ = (leaf.body(), leaf.text(), leaf.name(), leaf.content_id(), leaf.content_location());
        }
    }
});
