//! A presentation from a stranger.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = mmsgw_mime::smil::agreement(text, &["a.jpg"]);
});
