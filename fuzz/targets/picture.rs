//! A picture that has to fit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mmsgw_adapt::{Fitted, Format, Formats, Limits, fit};

fuzz_target!(|octets: &[u8]| {
    let formats = [Format::Jpeg, Format::Png, Format::Gif].into_iter().collect::<Formats>();
    let limits = Limits { octets: 2_000, width: Some(24), height: None, formats, decoded_pixels: 1 << 14 };
    if let Ok(Fitted::New(picture)) = fit(octets, &limits) {
        assert!(picture.octets.len() <= 2_000 && picture.width <= 24);
    }
});
