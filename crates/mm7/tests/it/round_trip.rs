//! Written, then read: nothing changes.

use jiff::Timestamp;
use mmsgw_mm7::{
    Address, AddressCoding, AddressKind, Interval, Limits, Message, Namespace, Pdu, Prefixes, Priority,
    Recipients, Status, When, WriteOptions, read_request, read_response, write_envelope,
};
use proptest::prelude::*;

use crate::examples::all;

/// Text that XML can carry, not empty, and not changed by trimming.
fn text() -> impl Strategy<Value = String> {
    let legal = prop_oneof![
        any::<char>().prop_filter(
            "legal",
            |c| matches!(c, '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
        ),
        prop::sample::select(vec!['\t', '\n', '\r', '&', '<', '>', '"', '\'', ']', '-', ';', '#']),
    ];
    let inner = prop::collection::vec(legal, 0..20).prop_map(String::from_iter);
    inner.prop_map(|inner| format!("x{inner}y"))
}

fn address() -> impl Strategy<Value = Address> {
    let kind = prop::sample::select(vec![AddressKind::Rfc2822, AddressKind::Number, AddressKind::ShortCode]);
    let coding = prop::option::of(prop::sample::select(AddressCoding::ALL.to_vec()));
    // A slash could begin a type, which is cut.
    let value = text().prop_map(|text| text.replace('/', "."));
    let id = prop::option::of("[a-z_][a-z0-9._-]{0,8}");
    (kind, value, any::<bool>(), coding, id).prop_map(|(kind, value, display_only, coding, id)| Address {
        kind,
        value,
        display_only,
        coding,
        id,
    })
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        (0i64..4_000_000_000, 0i32..1_000_000_000).prop_map(|(s, n)| When::At(Timestamp::new(s, n).unwrap())),
        (any::<bool>(), any::<[u32; 6]>()).prop_map(
            |(negative, [years, months, days, hours, minutes, seconds])| {
                When::After(Interval { negative, years, months, days, hours, minutes, seconds })
            }
        ),
    ]
}

/// Every value that the PDU can hold, from a handful of random ones.
#[derive(Debug, Clone)]
struct Values {
    text: String,
    address: Address,
    list: Vec<Address>,
    when: When,
    flag: bool,
    code: u16,
}

fn values() -> impl Strategy<Value = Values> {
    (text(), address(), prop::collection::vec(address(), 0..4), when(), any::<bool>(), 1u16..)
        .prop_map(|(text, address, list, when, flag, code)| Values { text, address, list, when, flag, code })
}

fn status(values: &Values) -> Status {
    Status { code: values.code, text: values.text.clone(), details: values.flag.then(|| values.text.clone()) }
}

/// Puts the values into an example; `flag` decides which of the optional ones stay.
fn fill(pdu: &mut Pdu, v: &Values) {
    let text = || v.flag.then(|| v.text.clone());
    match pdu {
        Pdu::SubmitReq(request) => {
            request.subject = text();
            request.sender.vasp_id = text();
            request.sender.address = v.flag.then(|| v.address.clone());
            request.recipients =
                Recipients { to: vec![v.address.clone()], cc: v.list.clone(), bcc: v.list.clone() };
            request.expiry_date = Some(v.when);
            request.reply_charging.as_mut().unwrap().deadline = Some(v.when);
            request.priority = Some(Priority::Other(v.text.clone()));
            request.drm_content = v.flag.then_some(v.flag);
            request.delivery_condition = vec![v.code.into()];
        }
        Pdu::DeliverReq(request) => {
            request.sender = Some(v.address.clone());
            request.recipients = Recipients { to: v.list.clone(), ..Recipients::default() };
            request.previously_sent_by[0].address = v.address.clone();
            request.previously_sent_date[0].date = v.when;
            request.linked_id = text();
            request.content.as_mut().unwrap().href = Some(v.text.clone());
        }
        Pdu::DeliveryReportReq(request) => {
            request.message_id.clone_from(&v.text);
            request.recipient = Some(v.address.clone());
            request.status_text = text();
            request.ua_capabilities.as_mut().unwrap().ua_prof = Some(v.text.clone());
        }
        Pdu::ReadReplyReq(request) => {
            request.message_id.clone_from(&v.text);
            request.sender = Some(v.address.clone());
            request.status_text = text();
        }
        Pdu::CancelReq(request) => {
            request.message_id.clone_from(&v.text);
            request.application.aux_applic_info = text();
        }
        Pdu::ReplaceReq(request) => {
            request.message_id.clone_from(&v.text);
            request.earliest_delivery_time = Some(v.when);
            request.read_reply = v.flag.then_some(!v.flag);
        }
        Pdu::ExtendedCancelReq(request) => request.cancel_id.clone_from(&v.text),
        Pdu::ExtendedReplaceReq(request) => {
            request.replace_id = text();
            request.expiry_date = Some(v.when);
        }
        Pdu::SubmitRsp(response) => {
            response.message_id = text();
            response.status = status(v);
        }
        Pdu::DeliverRsp(response) => {
            response.service_code = text();
            response.status = status(v);
        }
        Pdu::DeliveryReportRsp(it) | Pdu::ReadReplyRsp(it) | Pdu::CancelRsp(it) | Pdu::ReplaceRsp(it) => {
            *it = status(v);
        }
        Pdu::ExtendedCancelRsp(status) => status.code = v.code,
        Pdu::ExtendedReplaceRsp(response) => {
            response.message_id = text();
            response.status.code = v.code;
        }
        Pdu::Fault(fault) => {
            fault.status = status(v);
            fault.text.clone_from(&v.text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_pdu_survives(v in values(), id in text(), prefixed in any::<bool>()) {
        let prefixes = if prefixed { Prefixes::Mm7 } else { Prefixes::None };
        for mut pdu in all() {
            fill(&mut pdu, &v);
            let sent = Message::new(id.clone(), Namespace::LATEST, pdu);
            let octets = write_envelope(&sent, &WriteOptions { prefixes, bare_sender: false }).unwrap();
            let limits = Limits::default();
            if sent.pdu.is_request() {
                prop_assert_eq!(read_request(Some("text/xml"), octets.into(), &limits).unwrap().message, sent);
            } else {
                let read = read_response(Some("text/xml"), octets.into(), &limits).unwrap();
                prop_assert_eq!(read.transaction_id, Some(sent.transaction_id));
                prop_assert_eq!((read.namespace, read.version), (sent.namespace, sent.version));
                prop_assert_eq!(read.pdu, sent.pdu);
            }
        }
    }

    #[test]
    fn nothing_panics(octets in prop::collection::vec(any::<u8>(), 0..300), kind in "[ -~]{0,40}") {
        let _ = read_request(Some(&kind), octets.clone().into(), &Limits::default());
        let _ = read_response(Some("multipart/related; boundary=a"), octets.into(), &Limits::default());
    }

    #[test]
    fn damaged_envelopes_do_not_panic(at in 0usize..3000, octet in any::<u8>(), cut in 0usize..3000) {
        for pdu in all() {
            let sent = Message::new("t", Namespace::LATEST, pdu);
            let mut octets = write_envelope(&sent, &WriteOptions::default()).unwrap();
            let at = at % octets.len();
            octets[at] = octet;
            let _ = read_request(None, octets.clone().into(), &Limits::default());
            octets.truncate(cut % octets.len());
            prop_assert!(read_request(None, octets.into(), &Limits::default()).is_err());
        }
    }
}
