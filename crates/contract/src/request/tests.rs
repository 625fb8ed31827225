//! The contract, field by field: what is taken, what is refused, and where the fault is told.

use std::time::Duration;

use mmsgw_domain::{ChargedParty, ContentClass, MessageClass, Priority, TemplateContent, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::{FaultCode, Limits, Problem, Rules, TemplateForm};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn rules() -> Rules {
    Rules { limits: Limits { numbers: 5, parts: 3, subject: 10, ..Limits::default() }, ..Rules::default() }
}

fn template(body: &Value) -> Result<TemplateRequest, Problem> {
    TemplateRequest::read(body.to_string().as_bytes(), &rules(), NOW)
}

fn change(body: &Value) -> Result<TemplateChangeRequest, Problem> {
    TemplateChangeRequest::read(body.to_string().as_bytes(), &rules(), NOW)
}

fn send(body: &Value) -> Result<SendRequest, Problem> {
    SendRequest::read(body.to_string().as_bytes(), &rules(), NOW)
}

fn part(body: &Value) -> Result<PartRequest, Problem> {
    PartRequest::read(body.to_string().as_bytes(), &rules(), NOW)
}

/// A good template, with `field` set to `value`.
fn with(field: &str, value: Value) -> Value {
    let mut body = json!({"origin": "54321", "parts": []});
    body[field] = value;
    body
}

fn faults<T: std::fmt::Debug>(result: Result<T, Problem>) -> Vec<(String, FaultCode)> {
    let problem = result.expect_err("it was taken");
    assert!(!problem.errors.is_empty() && !problem.detail.is_empty(), "{problem:?}");
    problem.errors.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
}

#[test]
fn each_optional_value_is_read_and_refused_at_its_place() {
    use FaultCode::*;
    let soon = NOW.as_secs() + 60;
    let table = [
        ("show_sender", json!(false), json!("yes"), WrongType),
        ("show_sender", json!(true), json!(1), WrongType),
        ("earliest_delivery", json!(soon), json!(NOW.as_secs()), NotInFuture),
        ("earliest_delivery", json!("2030-01-02T03:04:05+01:00"), json!("tomorrow"), BadTime),
        ("latest_delivery", json!(soon), json!(1.5e9), BadTime),
        ("latest_delivery", json!(soon), json!(253_402_300_800_i64), BadTime),
        ("latest_delivery", json!(soon), json!(u64::MAX), BadTime),
        ("latest_delivery", json!(soon), json!(true), WrongType),
        ("expire_after", json!(3_600), json!(0), OutOfRange),
        ("expire_after", json!(1), json!(1.5), OutOfRange),
        ("expire_after", json!(1), json!("3600"), WrongType),
        ("message_class", json!("auto"), json!("Auto"), UnknownWord),
        ("content_class", json!("image-rich"), json!("image_rich"), UnknownWord),
        ("charged_party", json!("both"), json!("nobody"), UnknownWord),
        ("drm", json!(true), json!("true"), WrongType),
        ("content_adaptation", json!(true), json!(0), WrongType),
        ("can_redistribute", json!(false), json!({}), WrongType),
        ("reply_charging", json!(true), json!("yes"), WrongType),
        ("delivery_conditions", json!([1, 7]), json!(1), WrongType),
        ("delivery_conditions", json!([]), json!(vec![1; 17]), TooMany),
        ("subject", json!("Grüße ☀"), json!("a\nb"), BadCharacter),
        ("subject", json!(""), json!("\u{0}"), BadCharacter),
        ("subject", json!("a"), json!("\u{7f}"), BadCharacter),
        ("subject", json!("ääääääääää"), json!("12345678901"), TooLong),
        ("origin", json!("+1 (206) 555-0100"), json!("12"), BadNumber),
        ("origin", json!("app@example.org"), json!(12_065_550_100_i64), WrongType),
        ("origin", json!("54321"), json!(null), Required),
        ("parts", json!([]), json!({}), WrongType),
        ("parts", json!([]), json!(null), Required),
    ];
    for (field, good, bad, code) in table {
        let taken = template(&with(field, good.clone()));
        assert!(taken.is_ok(), "{field} {good}: {taken:?}");
        assert_eq!(faults(template(&with(field, bad.clone()))), [(format!("/{field}"), code)], "{bad}");
    }
}

#[test]
fn values_arrive_as_domain_types_and_absence_stays_absence() {
    let whole = json!({
        "origin": "54321", "show_sender": false, "earliest_delivery": 1_800_000_060,
        "latest_delivery": "2027-01-16T00:00:00Z", "expire_after": 60, "message_class": "informational",
        "content_class": "megapixel", "charged_party": "third-party", "charged_party_id": "acme",
        "drm": true, "content_adaptation": false, "can_redistribute": null, "subject": "Hi", "parts": [],
    });
    let content = template(&whole).unwrap().content;
    assert_eq!(content.earliest_delivery, Some(Timestamp::from_secs(1_800_000_060)));
    assert_eq!(content.latest_delivery.map(Timestamp::as_secs), Some(1_800_057_600));
    assert_eq!(content.expire_after, Some(Duration::from_secs(60)));
    assert_eq!(content.message_class, Some(MessageClass::Informational));
    assert_eq!(content.content_class, Some(ContentClass::Megapixel));
    assert_eq!(content.charged_party, Some(ChargedParty::ThirdParty));
    assert_eq!(content.charged_party_id.as_deref(), Some("acme"));
    assert_eq!((content.drm, content.content_adaptation), (Some(true), Some(false)));
    assert_eq!((content.can_redistribute, content.show_sender), (None, Some(false)));
    let bare = template(&with("drm", json!(null))).unwrap().content;
    assert_eq!((bare.drm, bare.show_sender, bare.subject), (None, None, None));
}

#[test]
fn a_third_party_is_named_exactly_when_charged() {
    let at = "/charged_party_id".to_owned();
    assert_eq!(
        faults(template(&with("charged_party", json!("third-party")))),
        [(at.clone(), FaultCode::Required)]
    );
    assert_eq!(faults(template(&with("charged_party_id", json!("a")))), [(at, FaultCode::Disagrees)]);
}

#[test]
fn answers_are_limited_only_where_they_are_paid_for() {
    let soon = NOW.as_secs() + 60;
    for (field, value) in [("reply_charging_size", json!(30_000)), ("reply_deadline", json!(soon))] {
        let alone = with(field, value.clone());
        assert_eq!(
            faults(template(&alone)),
            [("/reply_charging".to_owned(), FaultCode::Required)],
            "{field}"
        );
        let mut paid = alone;
        paid["reply_charging"] = json!(true);
        let content = template(&paid).unwrap().content;
        assert_eq!(content.reply_charging, Some(true));
        assert!(content.reply_charging_size == Some(30_000) || content.reply_deadline.is_some());
        paid[field] = json!(0);
        assert_eq!(faults(template(&paid))[0].0, format!("/{field}"));
    }
    let conditions = faults(template(&with("delivery_conditions", json!([1, 0]))));
    assert_eq!(conditions, [("/delivery_conditions/1".to_owned(), FaultCode::OutOfRange)]);
}

#[test]
fn all_faults_are_told_at_once() {
    let body = json!({
        "orgin": "54321", "subject": 5,
        "parts": [{"name": "a/b", "content_type": "image/x", "content_url": "gopher://x", "x": 1}, 7],
        "send": {"destination": ["15555550101", "oops"], "cc": "1,2065550101", "gateway": "a b"},
    });
    let expected = [
        ("/origin", FaultCode::Required),
        ("/subject", FaultCode::WrongType),
        ("/parts/0/name", FaultCode::BadName),
        ("/parts/0/content_type", FaultCode::UnsupportedType),
        ("/parts/0/content_url", FaultCode::BadUrl),
        ("/parts/0/x", FaultCode::UnknownField),
        ("/parts/1", FaultCode::WrongType),
        ("/send/destination/1", FaultCode::BadNumber),
        ("/send/cc", FaultCode::BadNumber),
        ("/send/gateway", FaultCode::BadId),
        ("/orgin", FaultCode::UnknownField),
    ];
    let expected: Vec<_> = expected.map(|(at, code)| (at.to_owned(), code)).into();
    assert_eq!(faults(template(&body)), expected);
}

#[test]
fn numbers_are_a_list_or_a_text_with_commas() {
    let two = ["15555550101", "54321"].map(|n| n.parse().unwrap());
    for form in [json!("15555550101, 54321"), json!(["+1 555 555-0101", "54321"])] {
        assert_eq!(send(&json!({"destination": form})).unwrap().destination, two);
    }
    let at = |pointer: &str, code| vec![(pointer.to_owned(), code)];
    let problem = send(&json!({"bcc": "15555550101,bogus"})).unwrap_err();
    assert!(problem.detail.contains("`bogus`"), "the number is named: {}", problem.detail);
    assert_eq!(faults(send(&json!({"bcc": ["1", 54_321]}))).len(), 2);
    assert_eq!(faults(send(&json!({"cc": "54321,,54322"}))), at("/cc", FaultCode::BadNumber));
    assert_eq!(faults(send(&json!({"cc": 54_321}))), at("/cc", FaultCode::WrongType));
    for nobody in [json!({}), json!({"destination": "", "cc": [], "bcc": null})] {
        assert_eq!(faults(send(&nobody)), at("/destination", FaultCode::NoRecipient));
    }
}

#[test]
fn numbers_are_counted_over_all_lists_before_they_are_read() {
    let body = json!({"destination": "54321,54322,54323", "cc": ["54324", "54325", "54326"]});
    assert_eq!(faults(send(&body)), [("/cc".to_owned(), FaultCode::TooMany)]);
    let many = vec!["x"; 10_000].join(",");
    let problem = send(&json!({"destination": many})).unwrap_err();
    assert_eq!(problem.errors.len(), 1);
    assert!(problem.detail.contains("10000 numbers") && problem.detail.contains("at most 5"));
}

#[test]
fn sending_takes_its_other_fields() {
    let body = json!({
        "destination": "54321", "gateway": "GW-01", "priority": "high", "linked_id": "x-1",
        "origin": "55555", "events_url": ["https://app.example/a", "http://app.example/b"],
    });
    let request = send(&body).unwrap();
    assert_eq!(request.gateway.unwrap().as_str(), "GW-01");
    assert_eq!(request.priority, Some(Priority::High));
    assert_eq!(request.linked_id.as_deref(), Some("x-1"));
    assert_eq!(request.origin.unwrap().as_str(), "55555");
    assert_eq!(request.events_url.len(), 2);
    let one = send(&json!({"cc": "54321", "events_url": "https://a.example/?x=1%2C2"})).unwrap();
    assert_eq!(one.events_url, ["https://a.example/?x=1%2C2"]);
    for (field, bad, pointer, code) in [
        ("priority", json!("urgent"), "/priority", FaultCode::UnknownWord),
        ("linked_id", json!("a\r\nb"), "/linked_id", FaultCode::BadCharacter),
        ("linked_id", json!(""), "/linked_id", FaultCode::Empty),
        ("events_url", json!("ftp://a.example"), "/events_url", FaultCode::BadUrl),
        ("events_url", json!("https://"), "/events_url", FaultCode::BadUrl),
        ("events_url", json!(["https://a", "https://b c"]), "/events_url/1", FaultCode::BadUrl),
        ("events_url", json!(["https://a,b"]), "/events_url/0", FaultCode::BadUrl),
        ("events_url", json!(vec!["https://a"; 9]), "/events_url", FaultCode::TooMany),
        ("events_url", json!(format!("https://{}", "a".repeat(3_000))), "/events_url", FaultCode::TooLong),
        ("template", json!(1), "/template", FaultCode::UnknownField),
    ] {
        let mut body = json!({"destination": "54321"});
        body[field] = bad;
        assert_eq!(faults(send(&body)), [(pointer.to_owned(), code)], "{body}");
    }
}

#[test]
fn parts_hold_text_octets_or_a_url() {
    let body =
        |kind: &str, field: &str, value: &str| json!({"name": "a", "content_type": kind, field: value});
    let read = |body: &Value| {
        part(body).map(|p| match p {
            PartRequest::New { body, .. } => body,
            PartRequest::Existing(id) => panic!("{id}"),
        })
    };
    assert_eq!(read(&body("text/plain", "content", "a\tb\r\n")), Ok(PartBody::Text("a\tb\r\n".into())));
    assert_eq!(
        read(&body("IMAGE/JPG", "content_url", "file:///a.jpg")),
        Ok(PartBody::Url("file:///a.jpg".into()))
    );
    let mut base64 = body("image/png", "content", "AP8 B\n");
    base64["encoding"] = json!("base64");
    assert_eq!(read(&base64), Ok(PartBody::Octets(vec![0, 255, 1])));
    base64["content_type"] = json!("text/plain");
    assert_eq!(faults(part(&base64)), [("/content".to_owned(), FaultCode::BadEncoding)]);
    base64["content_type"] = json!("text/plain; charset=iso-8859-1");
    assert_eq!(read(&base64), Ok(PartBody::Octets(vec![0, 255, 1])));
    base64["content_type"] = json!("text/plain");
    base64["content"] = json!("SMO8");
    assert_eq!(read(&base64), Ok(PartBody::Text("Hü".into())));
}

#[test]
fn parts_are_refused_at_the_field_at_fault() {
    use FaultCode::*;
    let good = json!({"name": "a.txt", "content_type": "text/plain", "content": "x"});
    assert!(part(&good).is_ok());
    let table = [
        ("name", json!(""), "/name", BadName),
        ("name", json!(".."), "/name", BadName),
        ("name", json!("a\"b"), "/name", BadName),
        ("name", json!("a\r\nX: y"), "/name", BadCharacter),
        ("name", json!("x".repeat(129)), "/name", TooLong),
        ("name", json!(null), "/name", Required),
        ("content_name", json!("b.txt"), "/content_name", Disagrees),
        ("content_type", json!("plain"), "/content_type", BadMediaType),
        ("content_type", json!("image/svg+xml"), "/content_type", UnsupportedType),
        ("content_type", json!("text/plain; charset=utf-16"), "/content", Disagrees),
        ("content_type", json!("image/png"), "/content", BadEncoding),
        ("content", json!("a\u{0}b"), "/content", BadCharacter),
        ("content", json!("a\u{1b}b"), "/content", BadCharacter),
        ("content", json!(5), "/content", WrongType),
        ("content", json!(null), "/content", Required),
        ("content_url", json!("http://a.example/b"), "/content_url", Exclusive),
        ("encoding", json!("base32"), "/encoding", UnknownWord),
        ("encoding", json!("base64"), "/content", BadEncoding),
        ("id", json!("x"), "/id", UnknownField),
    ];
    for (field, bad, pointer, code) in table {
        let mut body = good.clone();
        body[field] = bad.clone();
        assert_eq!(faults(part(&body)), [(pointer.to_owned(), code)], "{field} {bad}");
    }
    assert_eq!(faults(part(&json!("id"))), [(String::new(), WrongType)]);
    let by_alias = json!({"content_name": "a", "content_type": "text/plain", "content": ""});
    assert!(part(&by_alias).is_ok());
}

#[test]
fn part_ids_stand_in_parts_and_too_many_parts_are_refused() {
    let id = "019a0000000070008000000000000001";
    let request = template(&with("parts", json!([id]))).unwrap();
    assert_eq!(request.parts, [PartRequest::Existing(id.parse().unwrap())]);
    assert_eq!(
        faults(template(&with("parts", json!(["nope", null])))),
        [("/parts/0".to_owned(), FaultCode::BadId), ("/parts/1".to_owned(), FaultCode::WrongType)]
    );
    assert_eq!(
        faults(template(&with("parts", json!([id, id, id, id])))),
        [("/parts".to_owned(), FaultCode::TooMany)]
    );
}

#[test]
fn a_change_keeps_clears_and_sets() {
    let before = TemplateContent {
        subject: Some("old".into()),
        drm: Some(true),
        ..template(&with("drm", json!(true))).unwrap().content
    };
    let request = change(&json!({"subject": null, "show_sender": false, "origin": "55555"})).unwrap();
    assert_eq!(request.check(&before), Ok(()));
    assert!(!request.clear_parts && request.parts.is_empty());
    let mut after = before.clone();
    request.values.apply(&mut after);
    assert_eq!((after.subject, after.drm, after.show_sender), (None, Some(true), Some(false)));
    assert_eq!(after.origin.as_str(), "55555");
}

#[test]
fn null_comes_first_to_empty_the_parts_and_nowhere_else() {
    let new = json!({"name": "a", "content_type": "text/plain", "content": "x"});
    let request = change(&json!({"parts": [null, new]})).unwrap();
    assert!(request.clear_parts);
    assert_eq!(request.parts.len(), 1);
    assert!(change(&json!({"parts": [null]})).unwrap().parts.is_empty());
    assert_eq!(
        faults(change(&json!({"parts": [new, null]}))),
        [("/parts/1".to_owned(), FaultCode::WrongType)]
    );
}

#[test]
fn a_change_refuses_what_makes_no_sense() {
    assert_eq!(faults(change(&json!({"send": {}}))), [("/send".to_owned(), FaultCode::UnknownField)]);
    assert_eq!(faults(change(&json!({"origin": null}))), [("/origin".to_owned(), FaultCode::Required)]);
    let before = template(&with("drm", json!(true))).unwrap().content;
    let third = change(&json!({"charged_party": "third-party"})).unwrap();
    assert_eq!(third.check(&before).unwrap_err().errors[0].pointer, "/charged_party_id");
}

#[test]
fn repeated_fields_are_refused_although_json_allows_them() {
    let body = br#"{"origin": "54321", "parts": [], "send": {"cc": "54321", "cc": "54322"}}"#;
    let problem = TemplateRequest::read(body, &rules(), NOW).unwrap_err();
    assert_eq!(problem.errors[0].pointer, "/send/cc");
    assert_eq!(problem.errors[0].code, FaultCode::DuplicateField);
}

#[test]
fn what_a_client_writes_with_the_forms_is_taken() {
    let body = json!({
        "origin": "54321", "subject": "Hi", "drm": false,
        "parts": [{"name": "a", "content_type": "text/plain", "content": "x"}],
        "send": {"destination": ["54322"], "events_url": "https://a.example/"},
    });
    let form: TemplateForm = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(serde_json::to_value(&form).unwrap(), body);
    let written = serde_json::to_vec(&form).unwrap();
    assert_eq!(TemplateRequest::read(&written, &rules(), NOW), template(&body));
    assert!(template(&body).is_ok());
}

#[test]
fn variables_are_few_short_and_plain() {
    let read = |text: &str| {
        let body = format!(r#"{{"destination": "54321", "variables": {text}}}"#);
        SendRequest::read(body.as_bytes(), &Rules::default(), NOW)
    };
    let good = read(r#"{"name": "Zoë\nx", "n": 3, "vip": false}"#).unwrap().variables;
    assert_eq!(good.len(), 3);
    assert_eq!(good["n"], mmsgw_domain::Variable::Integer(3));
    for (bad, code) in [
        (r#"{"1a": 1}"#.to_owned(), FaultCode::BadName),
        (r#"{"a b": 1}"#.to_owned(), FaultCode::BadName),
        (r#"{"a": 1, "a": 2}"#.to_owned(), FaultCode::DuplicateField),
        (r#"{"a": 1.5}"#.to_owned(), FaultCode::WrongType),
        (r#"{"a": null}"#.to_owned(), FaultCode::WrongType),
        (r#"{"a": ["x"]}"#.to_owned(), FaultCode::WrongType),
        (r#"{"a": "\u0000"}"#.to_owned(), FaultCode::BadCharacter),
        (format!(r#"{{"a": "{}"}}"#, "x".repeat(4_097)), FaultCode::TooLong),
        (
            format!("{{{}}}", (0..101).map(|i| format!("\"a{i}\":1")).collect::<Vec<_>>().join(",")),
            FaultCode::TooMany,
        ),
        ("[]".to_owned(), FaultCode::WrongType),
    ] {
        assert_eq!(read(&bad).unwrap_err().errors[0].code, code, "{bad:.60}");
    }
}
