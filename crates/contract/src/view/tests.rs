//! The forms of answers and callbacks, written out: whoever changes one sees it here.

use std::time::Duration;

use expect_test::{Expect, expect, expect_file};
use mmsgw_domain::{
    BlobRef, Code, Digest, Direction, Event, InstanceId, Message, MessageClass, Part, PartContent, Priority,
    Recipient, RecipientKind, State, Template, TemplateContent, Timestamp,
};
use serde_json::Value;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn id<K>(last: u8) -> mmsgw_domain::Id<K> {
    format!("019a00000000700080000000000000{last:02x}").parse().unwrap()
}

fn part(last: u8, name: &str, content_type: &str, content: PartContent) -> Part {
    Part { id: id(last), name: name.into(), content_type: content_type.into(), content }
}

fn blob(source: Option<&str>) -> PartContent {
    PartContent::Blob(BlobRef { digest: Digest::new([0xab; 32]), size: 3, source: source.map(Into::into) })
}

fn template() -> Template {
    let url = PartContent::Url("https://app.example/c.png".into());
    let content = TemplateContent {
        origin: "54321".parse().unwrap(),
        show_sender: None,
        earliest_delivery: Some(NOW),
        latest_delivery: None,
        expire_after: Some(Duration::from_secs(3_600)),
        message_class: Some(MessageClass::Personal),
        content_class: None,
        charged_party: None,
        charged_party_id: None,
        drm: Some(false),
        content_adaptation: None,
        can_redistribute: None,
        defaults: mmsgw_domain::Variables::new(),
        personal: false,
        reply_charging: None,
        reply_charging_size: None,
        reply_deadline: None,
        delivery_conditions: None,
        subject: Some("Hi".into()),
        parts: vec![
            part(1, "a.txt", "text/plain", PartContent::Text("hello".into())),
            part(2, "b.jpg", "image/jpeg", blob(None)),
            part(3, "c.png", "image/png", url),
            part(4, "d.gif", "image/gif", blob(Some("https://app.example/d.gif"))),
        ],
    };
    Template { id: id(16), revision: id(17), created: NOW, expires: NOW, content }
}

fn event() -> Event {
    let instance = InstanceId::new(&"gw".parse().unwrap(), "east", "host1", 42);
    Event {
        sequence: 2,
        state: State::Delivered,
        code: Code::OK,
        description: "on the handset".into(),
        carrier_status: Some("Retrieved".into()),
        details: None,
        at: NOW,
        instance: Some(instance),
        destinations: vec!["+15555550101".parse().unwrap(), "54322".parse().unwrap()],
    }
}

fn message() -> Message {
    let recipient = |number: &str, kind| Recipient {
        address: number.parse().unwrap(),
        kind,
        state: State::Scheduled,
        code: Code::OK,
        updated: NOW,
        peer_ref: None,
        round: 0,
    };
    let mut message = Message {
        id: id(32),
        direction: Direction::Outbound,
        group: "gw".parse().unwrap(),
        template: id(16),
        revision: id(17),
        origin: "54321".parse().unwrap(),
        recipients: vec![
            recipient("+15555550101", RecipientKind::To),
            recipient("15555550102", RecipientKind::To),
            recipient("54322", RecipientKind::Bcc),
        ],
        linked_id: None,
        priority: Some(Priority::High),
        events_url: vec!["https://a.example/".into(), "https://b.example/".into()],
        ack_requested: None,
        dr_requested: Some(true),
        rr_requested: Some(false),
        created: NOW,
        processed: None,
        deadline: NOW,
        expires: None,
        instances: vec![],
        peer_ref: Some("peer-1".into()),
        last_tran_id: None,
        ack_at_addr: None,
        variables: mmsgw_domain::Variables::new(),
        batch: None,
        trace: None,
        carrier_ids: None,
        relay_server: None,
        ua_caps: None,
        reply_charging_id: None,
        handling_app: None,
        reply_to_app: None,
        app_info: None,
        service_code: None,
        forward_counter: None,
        previously_sent: Vec::new(),
        rounds: 0,
        in_doubt: false,
        events: vec![],
        version: 1,
    };
    let scheduled = Event {
        sequence: 0,
        state: State::Scheduled,
        description: "accepted and queued".into(),
        carrier_status: None,
        instance: None,
        destinations: vec![],
        ..event()
    };
    message.record(scheduled);
    message.record(event());
    message
}

fn check<T: serde::Serialize>(value: &T, expected: &Expect) {
    expected.assert_eq(&serde_json::to_string_pretty(value).unwrap());
}

#[test]
fn the_message_object() {
    let (message, template) = (message(), template());
    let view = MessageView::of(&message, &template, &Links::at("https://mms.example"));
    let text = serde_json::to_string_pretty(&view).unwrap();
    expect_file!["message.json"].assert_eq(&text);
    assert_eq!(serde_json::from_str::<MessageView<'static>>(&text).unwrap(), view, "clients read it back");
}

#[test]
fn an_inbound_message_has_what_old_applications_look_for() {
    let mut message = message();
    message.direction = Direction::Inbound;
    let template = template();
    let group = message.group.clone();
    let links = Links::at("https://mms.example").with_group(group, "file:///srv/media");
    let value = serde_json::to_value(MessageView::of(&message, &template, &links)).unwrap();
    assert_eq!(value["direction"], 1);
    assert_eq!((&value["peer_ref"], &value["provider_ref"]), (&"peer-1".into(), &"peer-1".into()));
    assert_eq!((&value["destination"], &value["cc"]), (&"+15555550101,15555550102".into(), &Value::Null));
    assert_eq!(value["bcc"], "54322");
    let parts = value["template"]["parts"].as_array().unwrap();
    for part in parts {
        assert_eq!(part["name"], part["content_name"]);
        for key in ["content_type", "content", "content_url"] {
            assert!(part.get(key).is_some(), "{key} is absent in {part}");
        }
        assert_ne!(part["content"].is_null(), part["content_url"].is_null(), "{part}");
    }
    assert_eq!(parts[0]["content"], "hello");
    assert_eq!(parts[1]["content_url"], format!("file:///srv/media/ab/ab/{}", "ab".repeat(32)));
    message.direction = Direction::Outbound;
    let value = serde_json::to_value(MessageView::of(&message, &template, &links)).unwrap();
    let url = value["template"]["parts"][1]["content_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("https://mms.example/mmsgw/v1/media/"), "{url}: the prefix is for what came in");
}

#[test]
fn the_event_callback() {
    check(
        &EventCallback::of(id(32), &event()),
        &expect![[r#"
            {
              "message": "019a0000000070008000000000000020",
              "sequence": 2,
              "code": "200",
              "state": "DELIVERED",
              "description": "on the handset",
              "carrier_status": "Retrieved",
              "details": null,
              "timestamp": 1800000000,
              "gateway": "gw:east:host1:42",
              "destinations": "+15555550101,54322"
            }"#]],
    );
}

#[test]
fn every_state_is_in_the_schema() {
    use utoipa::PartialSchema;
    let schema = serde_json::to_value(StateWord::schema()).unwrap();
    assert_eq!(schema["enum"].as_array().unwrap().len(), State::ALL.len());
}
