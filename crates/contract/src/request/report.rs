//! Reports that an application orders on an inbound message: posted, or in its answer to a callback.

use mmsgw_domain::{Address, Code, GroupName, MessageId, ReportKind, ReportOrder, Timestamp};

use super::send::numbers;
use crate::json::Json;
use crate::reader::{At, Context, Object, quoted};
use crate::scalar::{group_of_instance, line, message_id};
use crate::{FaultCode, Problem, Rules};

/// What `POST /mmsgw/v1/mms/inbound/{ack|dr|rr}/<message_id>` asks for.
///
/// What the message knows already need not be repeated; whoever repeats it wants it compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRequest {
    /// The gateway group.
    pub gateway: Option<GroupName>,
    /// The message.
    pub message: Option<MessageId>,
    /// The carrier's id of the message; also taken as `provider_ref`.
    pub peer_ref: Option<String>,
    /// What to tell the carrier.
    pub order: ReportOrder,
}

impl ReportRequest {
    /// Reads a body; the path says which kind of report it is.
    ///
    /// # Errors
    /// A [`Problem`] that names every fault.
    pub fn read(kind: ReportKind, body: &[u8], rules: &Rules, now: Timestamp) -> Result<Self, Problem> {
        Context::read(body, rules, now, |json, at, context| {
            let mut object = Object::open(json, at, context)?;
            let gateway = object.optional("gateway", group_of_instance);
            let message = object.optional("message", message_id);
            let peer_ref = read_peer_ref(&mut object);
            let order = read_order(kind, &mut object);
            // Old applications say which event they answer; the path says so too.
            object.take("event_for");
            object.finish();
            Some(Self { gateway, message, peer_ref, order: order? })
        })
    }
}

/// What an application answers to the callback of an inbound message: whatever it likes, or an object
/// that orders reports under `ack`, `dr` and `rr`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallbackAnswer {
    /// The orders, at most one of each kind.
    pub orders: Vec<ReportOrder>,
    /// What is wrong with an order that is not among them; the first such fault.
    pub problem: Option<Problem>,
}

impl CallbackAnswer {
    /// Reads a body. One that is no JSON object, or names no report, orders nothing and is no fault.
    pub fn read(body: &[u8], rules: &Rules, now: Timestamp) -> Self {
        let mut answer = Self::default();
        let Ok(Json::Object(fields)) = Json::parse(body, rules.limits.values) else { return answer };
        let mut seen = Vec::new();
        for (name, json) in fields {
            let Some((name, kind)) = KINDS.into_iter().find(|(known, _)| *known == name) else { continue };
            if json == Json::Null {
                continue;
            }
            let place = At::ROOT.field(name);
            let read = Context::read_json(json, &place, rules, now, |json, at, context| {
                if seen.contains(&kind) {
                    return context.fault(at, FaultCode::DuplicateField, format!("`{name}` is given twice"));
                }
                let mut object = Object::open(json, at, context)?;
                let order = read_order(kind, &mut object);
                object.finish();
                order
            });
            if !seen.contains(&kind) {
                seen.push(kind);
            }
            match read {
                Ok(order) => answer.orders.push(order),
                Err(problem) => answer.problem = answer.problem.or(Some(problem)),
            }
        }
        answer
    }
}

/// The names by which an answer orders reports.
const KINDS: [(&str, ReportKind); 3] =
    [("ack", ReportKind::Acknowledgement), ("dr", ReportKind::Delivery), ("rr", ReportKind::Read)];

/// The carrier's id, under either of its two field names.
fn read_peer_ref(object: &mut Object<'_, '_>) -> Option<String> {
    let name = object.optional("peer_ref", free_line);
    let alias = object.optional("provider_ref", free_line);
    match (name, alias) {
        (Some(name), Some(alias)) if name != alias => {
            let detail = "`peer_ref` and `provider_ref` mean the same and must agree";
            object.fault("provider_ref", FaultCode::Disagrees, detail)
        }
        (name, alias) => name.or(alias).filter(|text| !text.is_empty()),
    }
}

/// The fields that say what to tell the carrier.
fn read_order(kind: ReportKind, object: &mut Object<'_, '_>) -> Option<ReportOrder> {
    let status = object.required("status", |json, at, context| read_status(kind, json, at, context));
    let description = object.optional("description", free_line).filter(|text| !text.is_empty());
    let recipients = object.optional("applies_to", read_numbers).unwrap_or_default();
    let Status { code, word } = status?;
    Some(ReportOrder { kind, code, word: word.map(str::to_owned), description, recipients })
}

fn free_line(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<String> {
    line(json, at, context, context.rules.limits.text)
}

/// Numbers, where `*` means all of them, as in events. An empty list would mean nobody, or all?
fn read_numbers(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Vec<Address>> {
    if matches!(&json, Json::Text(text) if text.trim() == "*") {
        return Some(Vec::new());
    }
    let mut left = context.rules.limits.numbers;
    let numbers = numbers(json, at, context, &mut left)?;
    if numbers.is_empty() {
        let detail = "it names no number; leave it out where the report is about all of them";
        return context.fault(at, FaultCode::Empty, detail);
    }
    Some(numbers)
}

/// A status as the application states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Status {
    code: Code,
    /// The protocol's word, where one was given.
    word: Option<&'static str>,
}

fn read_status(kind: ReportKind, json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Status> {
    match json {
        Json::Integer(number) => canonical(Some(number), at, context),
        Json::Text(text) => {
            let text = text.trim();
            if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
                return canonical(text.parse().ok(), at, context);
            }
            by_word(kind, text, at, context)
        }
        Json::Fraction => canonical(None, at, context),
        other => context.wrong_type(at, &other, "a code, or the protocol's word, as a string"),
    }
}

fn canonical(number: Option<i64>, at: &At<'_>, context: &Context<'_>) -> Option<Status> {
    let code = number.and_then(|n| u16::try_from(n).ok()).and_then(Code::from_number);
    let detail = "no such code; give one of 200, 202, 400, 404, 406, 408, 410, 415, 500";
    code.map_or_else(
        || context.fault(at, FaultCode::OutOfRange, detail),
        |code| Some(Status { code, word: None }),
    )
}

fn by_word(kind: ReportKind, text: &str, at: &At<'_>, context: &Context<'_>) -> Option<Status> {
    let words = words(kind);
    if let Some((word, code)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
        return Some(Status { code: *code, word: Some(word) });
    }
    // That all is well can be said of any report, though only answers have the word.
    if text.eq_ignore_ascii_case("Ok") {
        return Some(Status { code: Code::OK, word: None });
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let detail = format!("`{}` is no code and none of {}", quoted(text), known.join(", "));
    context.fault(at, FaultCode::UnknownWord, detail)
}

/// The words that a report of that kind may carry, with their codes.
fn words(kind: ReportKind) -> &'static [(&'static str, Code)] {
    match kind {
        ReportKind::Acknowledgement => &ACKNOWLEDGEMENTS,
        ReportKind::Delivery => &DELIVERIES,
        ReportKind::Read => &READINGS,
    }
}

/// `X-Mms-Request-Status-Code` (TS 23.140 clause 8.4.4.2).
const ACKNOWLEDGEMENTS: [(&str, Code); 9] = [
    ("Ok", Code::OK),
    ("Error-unspecified", Code::UNSPECIFIED),
    ("Error-service-denied", Code::REFUSED),
    ("Error-message-format-corrupt", Code::MALFORMED),
    ("Error-sending-address-unresolved", Code::UNKNOWN),
    ("Error-message-not-found", Code::UNKNOWN),
    ("Error-network-problem", Code::UNSPECIFIED),
    ("Error-content-not-accepted", Code::REFUSED),
    ("Error-unsupported-message", Code::UNSUPPORTED),
];

/// `X-Mms-MM-Status-Code` (TS 23.140 clause 8.4.4.3) and `MMStatus` (clause 8.7.1.12).
const DELIVERIES: [(&str, Code); 8] = [
    ("Retrieved", Code::OK),
    ("Forwarded", Code::FORWARDED),
    ("Rejected", Code::REFUSED),
    ("Expired", Code::EXPIRED),
    ("Deferred", Code::DEFERRED),
    ("Unrecognised", Code::UNKNOWN),
    ("Unrecognized", Code::UNKNOWN),
    ("Indeterminate", Code::UNSPECIFIED),
];

/// `X-Mms-Read-Status` (TS 23.140 clause 8.4.4.5), and how MM7 says its second word.
const READINGS: [(&str, Code); 3] =
    [("Read", Code::OK), ("Deleted without being read", Code::REFUSED), ("Deleted", Code::REFUSED)];

#[cfg(test)]
mod tests {
    use FaultCode::*;
    use ReportKind::{Acknowledgement, Delivery, Read};
    use serde_json::{Value, json};

    use super::*;
    use crate::{CallbackAnswerForm, Limits, ReportForm};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const ID: &str = "019a0000000070008000000000000001";

    fn rules() -> Rules {
        Rules { limits: Limits { numbers: 3, text: 20, ..Limits::default() }, ..Rules::default() }
    }

    fn read(kind: ReportKind, body: &Value) -> Result<ReportRequest, Problem> {
        ReportRequest::read(kind, body.to_string().as_bytes(), &rules(), NOW)
    }

    fn status(kind: ReportKind, status: Value) -> Option<(u16, Option<String>)> {
        let order = read(kind, &json!({ "status": status })).ok()?.order;
        Some((order.code.number(), order.word))
    }

    fn faults(problem: Problem) -> Vec<(String, FaultCode)> {
        assert!(!problem.errors.is_empty() && !problem.detail.is_empty(), "{problem:?}");
        problem.errors.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn a_status_is_a_code_or_the_protocols_word() {
        for (given, code) in [(json!("406"), 406), (json!(202), 202), (json!(" 200 "), 200)] {
            assert_eq!(status(Delivery, given.clone()), Some((code, None)), "{given}");
        }
        let word = |kind, given: &str| status(kind, json!(given)).map(|(code, word)| (code, word.unwrap()));
        for (kind, given, code, kept) in [
            (Acknowledgement, "Ok", 200, "Ok"),
            (Acknowledgement, "error-service-denied", 406, "Error-service-denied"),
            (Acknowledgement, "Error-content-not-accepted", 406, "Error-content-not-accepted"),
            (Acknowledgement, "Error-unsupported-message", 415, "Error-unsupported-message"),
            (Acknowledgement, "Error-message-format-corrupt", 400, "Error-message-format-corrupt"),
            (Acknowledgement, "Error-sending-address-unresolved", 404, "Error-sending-address-unresolved"),
            (Acknowledgement, "Error-message-not-found", 404, "Error-message-not-found"),
            (Acknowledgement, "Error-network-problem", 500, "Error-network-problem"),
            (Acknowledgement, "Error-unspecified", 500, "Error-unspecified"),
            (Delivery, "RETRIEVED", 200, "Retrieved"),
            (Delivery, "Forwarded", 202, "Forwarded"),
            (Delivery, "Rejected", 406, "Rejected"),
            (Delivery, "Expired", 408, "Expired"),
            (Delivery, "Deferred", 410, "Deferred"),
            (Delivery, "Unrecognised", 404, "Unrecognised"),
            (Delivery, "Indeterminate", 500, "Indeterminate"),
            (Read, "Read", 200, "Read"),
            (Read, "deleted without being read", 406, "Deleted without being read"),
            (Read, "Deleted", 406, "Deleted"),
        ] {
            assert_eq!(word(kind, given), Some((code, kept.to_owned())), "{kind:?} {given}");
        }
        assert_eq!(status(Read, json!("ok")), Some((200, None)), "all is well with any report");
    }

    #[test]
    fn a_status_that_says_nothing_is_refused_by_name() {
        for (kind, given, code) in [
            (Delivery, json!("Delivered-ish"), UnknownWord),
            (Delivery, json!("Read"), UnknownWord),
            (Acknowledgement, json!("Retrieved"), UnknownWord),
            (Read, json!(""), UnknownWord),
            (Delivery, json!("1000"), OutOfRange),
            (Delivery, json!("99999999999999999999"), OutOfRange),
            (Delivery, json!(-200), OutOfRange),
            (Delivery, json!(65_736), OutOfRange),
            (Delivery, json!(200.5), OutOfRange),
            (Delivery, json!(true), WrongType),
            (Delivery, json!(null), Required),
        ] {
            let problem = read(kind, &json!({ "status": given.clone() })).unwrap_err();
            assert!(code != UnknownWord || problem.detail.contains(given.as_str().unwrap()), "{problem}");
            assert_eq!(faults(problem), [("/status".to_owned(), code)], "{given}");
        }
        assert_eq!(faults(read(Read, &json!({})).unwrap_err()), [("/status".to_owned(), Required)]);
    }

    #[test]
    fn what_an_old_application_repeats_is_taken() {
        let request = read(
            Delivery,
            &json!({
                "gateway": "gw:east:host1:4711", "message": ID, "provider_ref": "\"M-1\"", "status": "200",
                "description": "", "applies_to": null, "event_for": "dr",
            }),
        );
        let request = request.unwrap();
        assert_eq!(request.gateway.unwrap().as_str(), "gw");
        assert_eq!(request.message, Some(ID.parse().unwrap()));
        assert_eq!(request.peer_ref.as_deref(), Some("\"M-1\""));
        assert_eq!(request.order, ReportOrder::well(Delivery));
        let empty = read(Read, &json!({"status": 200, "peer_ref": "", "provider_ref": null})).unwrap();
        assert_eq!((empty.peer_ref, empty.gateway, empty.message), (None, None, None));
    }

    #[test]
    fn numbers_are_a_list_or_a_text_and_never_none() {
        let numbers = |given: Value| {
            let read = read(Delivery, &json!({"status": 406, "applies_to": given}));
            read.map(|request| request.order.recipients.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(numbers(json!("54321, +15555550101")).unwrap(), ["54321", "+15555550101"]);
        assert_eq!(numbers(json!(["54321"])).unwrap(), ["54321"]);
        assert_eq!(numbers(json!("*")).unwrap(), [""; 0]);
        for (bad, pointer, code) in [
            (json!([]), "", Empty),
            (json!(" "), "", Empty),
            (json!(["54321", "x"]), "/1", BadNumber),
            (json!("1,2,3,4"), "", TooMany),
            (json!(54321), "", WrongType),
        ] {
            let expected = [(format!("/applies_to{pointer}"), code)];
            assert_eq!(faults(numbers(bad.clone()).unwrap_err()), expected, "{bad}");
        }
    }

    #[test]
    fn every_other_field_is_refused_at_its_place() {
        for (field, bad, code) in [
            ("gateway", json!("a b"), BadId),
            ("gateway", json!(7), WrongType),
            ("message", json!("no-id"), BadId),
            ("peer_ref", json!("a\nb"), BadCharacter),
            ("provider_ref", json!("x".repeat(21)), TooLong),
            ("description", json!("a\r\nX-Mms: y"), BadCharacter),
            ("description", json!("x".repeat(21)), TooLong),
            ("state", json!("READ"), UnknownField),
        ] {
            let mut body = json!({"status": 200});
            body[field] = bad.clone();
            let found = faults(read(Read, &body).unwrap_err());
            assert_eq!(found, [(format!("/{field}"), code)], "{bad}");
        }
        let two = read(Read, &json!({"status": 200, "peer_ref": "a", "provider_ref": "b"}));
        assert_eq!(faults(two.unwrap_err()), [("/provider_ref".to_owned(), Disagrees)]);
    }

    #[test]
    fn what_a_client_writes_with_the_form_is_taken() {
        let body =
            json!({"gateway": "gw", "message": ID, "peer_ref": "M", "status": 406, "applies_to": ["54321"]});
        let form: ReportForm = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(&form).unwrap(), body);
        assert!(read(Delivery, &body).is_ok());
    }

    fn answer(body: &str) -> CallbackAnswer {
        CallbackAnswer::read(body.as_bytes(), &rules(), NOW)
    }

    #[test]
    fn an_answer_orders_reports_beside_whatever_else_it_says() {
        let body = r#"{"type": "mo", "rr": null, "ack": {"status": "Ok"},
            "dr": {"status": "406", "description": "no room", "applies_to": "54321"}}"#;
        let CallbackAnswer { orders, problem } = answer(body);
        assert_eq!(problem, None);
        let [ack, dr] = orders.try_into().unwrap();
        assert_eq!((ack.kind, ack.code), (Acknowledgement, Code::OK));
        assert_eq!((dr.kind, dr.code, dr.description.as_deref()), (Delivery, Code::REFUSED, Some("no room")));
        assert_eq!(dr.recipients, ["54321".parse().unwrap()]);
        let form: CallbackAnswerForm = serde_json::from_str(body).unwrap();
        let again = answer(&serde_json::to_string(&form).unwrap());
        assert_eq!(again.orders.len(), 2, "the form says the same");
    }

    #[test]
    fn any_other_answer_orders_nothing_and_is_no_fault() {
        let deep = "[".repeat(100_000);
        let others =
            ["", "ok", "<html>", "{}", "[]", "null", "\"dr\"", r#"{"type": "mo"}"#, r#"{"dr": null}"#, &deep];
        for body in others {
            assert_eq!(answer(body), CallbackAnswer::default(), "{body:.40}");
        }
        let nested = answer(r#"{"data": {"dr": {"status": "406"}}}"#);
        assert_eq!(nested, CallbackAnswer::default());
        assert_eq!(CallbackAnswer::read(b"\xff\xfe", &rules(), NOW), CallbackAnswer::default());
    }

    #[test]
    fn a_malformed_order_is_told_and_the_others_stand() {
        let told = |body: &str| {
            let CallbackAnswer { orders, problem } = answer(body);
            (orders.iter().map(|o| o.kind).collect::<Vec<_>>(), faults(problem.expect("a problem")))
        };
        let (orders, problem) = told(r#"{"dr": {"status": "Maybe"}, "rr": {"status": "Read"}}"#);
        assert_eq!((orders, problem), (vec![Read], vec![("/dr/status".to_owned(), UnknownWord)]));
        let (orders, problem) = told(r#"{"dr": "406"}"#);
        assert_eq!((orders, problem), (vec![], vec![("/dr".to_owned(), WrongType)]));
        let (orders, problem) = told(r#"{"ack": {"status": 200, "aplies_to": "54321"}}"#);
        assert_eq!((orders, problem), (vec![], vec![("/ack/aplies_to".to_owned(), UnknownField)]));
        let (orders, problem) = told(r#"{"dr": {"status": 200}, "dr": {"status": 406}}"#);
        assert_eq!((orders, problem), (vec![Delivery], vec![("/dr".to_owned(), DuplicateField)]));
    }
}
