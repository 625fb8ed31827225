//! A template of an application, with a value from somewhere else in the first line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some((value, source)) = text.split_once('\n') else { return };
    mmsgw_engine::fuzzing::template(source, value);
});
