//! Single values as requests, headers and files have them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mmsgw_domain::{Address, ByteSize, Digest, GroupName, MessageId, Span};
use mmsgw_mime::{MediaType, safe_name};
use mmsgw_mm4::{Expiry, Id, Mm4Address, Version};

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.as_str().parse::<Address>().as_ref(), Ok(&address));
        assert!(!address.as_str().contains(|c: char| c.is_control() || c == '<' || c == '>'));
    }
    let _ =
        (text.parse::<Span>(), text.parse::<ByteSize>(), text.parse::<Digest>(), text.parse::<GroupName>());
    let _ = text.parse::<MessageId>();
    if let Ok(media_type) = text.parse::<MediaType>() {
        assert!(!media_type.to_string().contains(['\r', '\n', '\0']));
    }
    if let Some(name) = safe_name(text) {
        assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0', '\r', '\n']));
    }
    let _ = (
        Mm4Address::parse_recipients(text),
        Expiry::read(text),
        text.parse::<Version>(),
        Id::new(text).bare().len(),
    );
    let _ =
        (mmsgw_mm4::address::addr_spec(text), mmsgw_mm4::date::read(text), mmsgw_mime::words::decode(text));
});
