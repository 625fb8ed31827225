//! Bodies of the REST API, and the answer of an application to a callback; the first octet says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mmsgw_contract::{
    CallbackAnswer, ContentTypes, Limits, PartRequest, ReplaceRequest, ReportRequest, Rules, SendRequest,
    TemplateChangeRequest, TemplateRequest,
};
use mmsgw_domain::{ReportKind, Timestamp};

fuzz_target!(|octets: &[u8]| {
    let Some((kind, body)) = octets.split_first() else { return };
    let content_types = ContentTypes::new(ContentTypes::DEFAULT).expect("the default is fine");
    let rules = Rules { limits: Limits::default(), content_types };
    let now = Timestamp::from_secs(1_700_000_000);
    let refused = match kind.wrapping_sub(b'0') % 7 {
        0 => TemplateRequest::read(body, &rules, now).err(),
        1 => TemplateChangeRequest::read(body, &rules, now).err(),
        2 => SendRequest::read(body, &rules, now).err(),
        3 => PartRequest::read(body, &rules, now).err(),
        4 => ReplaceRequest::read(body, &rules, now).err(),
        5 => ReportRequest::read(ReportKind::Delivery, body, &rules, now).err(),
        _ => {
            CallbackAnswer::read(body, &rules, now);
            None
        }
    };
    // However hostile the request, what is told of it is short.
    assert!(refused.is_none_or(|problem| problem.errors.len() <= 200 && problem.to_string().len() < 100_000));
});
