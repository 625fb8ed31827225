//! Every field, over both protocols, in two releases of each: set in the API, seen on the wire by the carrier, and
//! back; and what carriers say of messages from phones, seen in the API.

use mmsgw_mmsc_sim::{Mo, Received, SimConfig, Simulator};
use serde_json::{Value, json};

use crate::rig::letters::{now, postcard, with};
use crate::rig::{World, mm4, mm7, picture, text, wait_until};

/// Where a field stands on the wire: by its name there, or not at all.
type Wire = Option<(&'static str, &'static str)>;

/// A field of the API and what the four carriers see of it: MM7 of Release 6 and 5, MM4 of Release 6 and 5.
struct Row {
    field: &'static str,
    wire: [Wire; 4],
}

const fn row(field: &'static str, mm7: [Wire; 2], mm4: [Wire; 2]) -> Row {
    Row { field, wire: [mm7[0], mm7[1], mm4[0], mm4[1]] }
}

const fn both(name: &'static str, value: &'static str) -> [Wire; 2] {
    [Some((name, value)), Some((name, value))]
}

const fn rel6(name: &'static str, value: &'static str) -> [Wire; 2] {
    [Some((name, value)), None]
}

const NONE: [Wire; 2] = [None, None];

/// An empty value: the field is there, whatever it says.
const TABLE: [Row; 23] = [
    row("show_sender", NONE, both("X-Mms-Sender-Visibility", "Hide")),
    row("earliest_delivery", both("EarliestDeliveryTime", ""), NONE),
    row("latest_delivery", both("ExpiryDate", ""), both("X-Mms-Expiry", "")),
    row("message_class", both("MessageClass", "Informational"), both("X-Mms-Message-Class", "Informational")),
    row("content_class", rel6("ContentClass", "video-rich"), rel6("X-Mms-Content-Class", "video-rich")),
    row("charged_party", rel6("ChargedParty", "ThirdParty"), NONE),
    row("charged_party_id", rel6("ChargedPartyID", "payer-1"), NONE),
    row("drm", rel6("DRMContent", "true"), rel6("X-Mms-Drm-Content", "Yes")),
    row(
        "content_adaptation",
        both("Content@allowAdaptations", "false"),
        rel6("X-Mms-Adaptation-Allowed", "No"),
    ),
    row("can_redistribute", both("DistributionIndicator", "false"), NONE),
    row("reply_charging", both("ReplyCharging@replyChargingSize", "30000"), NONE),
    row("reply_charging_size", both("ReplyCharging@replyChargingSize", "30000"), NONE),
    row("reply_deadline", both("ReplyCharging@replyDeadline", ""), NONE),
    row("delivery_conditions", rel6("DC", "7"), NONE),
    row("priority", both("Priority", "High"), both("X-Mms-Priority", "High")),
    row("linked_id", both("LinkedID", "earlier-1"), NONE),
    row("service_code", both("ServiceCode", "gold"), NONE),
    row("handling_app", rel6("ApplicID", "app-1"), rel6("X-Mms-Applic-ID", "app-1")),
    row("reply_to_app", rel6("ReplyApplicID", "app-2"), rel6("X-Mms-Reply-Applic-ID", "app-2")),
    row("app_info", rel6("AuxApplicInfo", "info"), rel6("X-Mms-Aux-Applic-Info", "info")),
    row("dr_requested", both("DeliveryReport", "true"), both("X-Mms-Delivery-Report", "Yes")),
    row("rr_requested", both("ReadReply", "true"), both("X-Mms-Read-Reply", "Yes")),
    row("ack_requested", NONE, both("X-Mms-Ack-Request", "Yes")),
];

const GROUPS: [(&str, &str, &str); 4] = [
    ("mm7", "standard-6.8.0", "6.8.0"),
    ("mm7-5", "standard-5.3.0", "5.3.0"),
    ("mm4", "standard-6.10.0", "6.10.0"),
    ("mm4-5", "standard-5.5.0", "5.5.0"),
];

async fn world() -> World {
    let carrier = Simulator::start(SimConfig::default()).await.unwrap();
    let over = |group: usize| {
        let (_, dialect, version) = GROUPS[group];
        format!(
            "[gateway]\ndialect = '{dialect}'\nversion = '{version}'\n[features]\nrequest_submit_ack = true\n\
             request_delivery_report = true\nrequest_read_receipt = true\n"
        )
    };
    let more = [
        ("mm7-5", mm7("mm7-5", &format!("http://{}/mm7", carrier.mm7_addr), &over(1))),
        (
            "mm4-5",
            mm4(
                "mm4-5",
                &carrier.mm4_addr.to_string(),
                &format!("{}[outbound]\nlocal_domain = 'mms5.gw.example'\n", over(3)),
            ),
        ),
    ];
    World::around(carrier, "", "", "", &more)
}

/// Every field of a template and of `send`.
fn letter(subject: &str, group: &str, begun: i64) -> Value {
    let send = json!({
        "destination": "+15555550102", "gateway": group, "priority": "high", "linked_id": "earlier-1",
        "service_code": "gold", "handling_app": "app-1", "reply_to_app": "app-2", "app_info": "info",
    });
    let fields = json!({
        "show_sender": false, "earliest_delivery": begun + 2, "latest_delivery": begun + 7_200,
        "message_class": "informational", "content_class": "video-rich", "charged_party": "third-party",
        "charged_party_id": "payer-1", "drm": true, "content_adaptation": false, "can_redistribute": false,
        "reply_charging": true, "reply_charging_size": 30_000, "reply_deadline": begun + 86_400,
        "delivery_conditions": [7],
    });
    with(postcard(subject, &picture(2_000, 3), send), fields)
}

fn assert_seen(received: &Received, group: usize) {
    for row in &TABLE {
        let places: Vec<&str> = row.wire.iter().flatten().map(|(name, _)| *name).collect();
        match row.wire[group] {
            Some((name, value)) => {
                let seen = received.field(name);
                assert!(
                    seen.is_some_and(|seen| value.is_empty() || seen == value),
                    "{}: {name} is {seen:?}\n{:#?}",
                    row.field,
                    received.fields
                );
            }
            None => {
                let there = places.iter().find(|name| received.field(name).is_some());
                assert_eq!(there, None, "{} stands where it does not belong", row.field);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_reaches_the_wire_where_the_protocol_has_it_and_comes_back() {
    let world = world().await;
    let begun = now();
    let mut sent = Vec::new();
    for (group, ..) in GROUPS {
        let subject = format!("matrix {group}");
        let letter = letter(&subject, group, begun);
        sent.push((subject, world.api.send(&letter).await, letter));
    }
    for (index, (subject, id, letter)) in sent.iter().enumerate() {
        let received = world.arrives(subject).await;
        assert_seen(&received, index);
        let message = world.api.message(id).await;
        for row in &TABLE {
            let given = [&letter[row.field], &letter["send"][row.field]].into_iter().find(|v| !v.is_null());
            let kept =
                [&message[row.field], &message["template"][row.field]].into_iter().find(|v| !v.is_null());
            match given {
                Some(given) => assert_eq!(kept, Some(given), "{}", row.field),
                None => assert_eq!(kept, Some(&json!(true)), "{}: asked for by the gateway file", row.field),
            }
        }
    }
}

/// What a carrier says of a message over MM4.
const HEADERS: [(&str, &str); 13] = [
    ("X-Mms-Message-Class", "Advertisement"),
    ("X-Mms-Priority", "Low"),
    ("X-Mms-Sender-Visibility", "Hide"),
    ("X-Mms-Expiry", "600 "),
    ("X-Mms-Content-Class", "megapixel"),
    ("X-Mms-Drm-Content", "No"),
    ("X-Mms-Adaptation-Allowed", "Yes"),
    ("X-Mms-Applic-ID", "app-1"),
    ("X-Mms-Reply-Applic-ID", "app-2"),
    ("X-Mms-Aux-Applic-Info", "info"),
    ("X-Mms-Forward-Counter", "2"),
    ("X-Mms-Previously-sent-by", "1, +15555550177/TYPE=PLMN"),
    ("X-Mms-Previously-sent-date-and-time", "1, Thu, 13 Jan 2022 01:18:18 GMT"),
];

const ELEMENTS: &str = "<Previouslysentby><UserAgent sequence=\"1\"><Number>+15555550177</Number></UserAgent>\
    </Previouslysentby><Previouslysentdateandtime><DateTime sequence=\"1\">2022-01-13T01:18:18Z</DateTime>\
    </Previouslysentdateandtime><ReplyChargingID>paid-1</ReplyChargingID><Priority>Low</Priority>\
    <ApplicID>app-1</ApplicID><ReplyApplicID>app-2</ReplyApplicID><AuxApplicInfo>info</AuxApplicInfo>\
    <UACapabilities UAProf=\"http://ua.example/phone\"/>";

#[tokio::test(flavor = "multi_thread")]
async fn what_carriers_say_of_messages_from_phones_is_told() {
    let world = World::start("", "", "").await;
    let mo = |subject: &str| Mo {
        from: "+15555550150".into(),
        to: vec!["+15555550161".into()],
        subject: subject.into(),
        text: "hello".into(),
        headers: HEADERS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        elements: ELEMENTS.into(),
        ..Mo::default()
    };
    assert!(world.carrier.send_mo_mm4(&mo("over MM4")).await.answer.is_ok());
    assert!(world.carrier.send_mo_mm7(&mo("over MM7")).await.answer.is_ok());
    let sendings = json!([{"position": 1, "address": "+15555550177", "timestamp": 1_642_036_698}]);
    for (subject, fields, template) in [
        (
            "over MM4",
            json!({"forward_counter": 2}),
            json!({"show_sender": false, "expire_after": 600, "message_class": "advertisement",
                   "content_class": "megapixel", "drm": false, "content_adaptation": true}),
        ),
        (
            "over MM7",
            json!({"reply_charging_id": "paid-1", "ua_caps": "http://ua.example/phone",
                   "relay_server": "mmsc.sim.example"}),
            json!({}),
        ),
    ] {
        let message = world.application.gets(subject, "received").await.body;
        let common = json!({"priority": "low", "handling_app": "app-1", "reply_to_app": "app-2", "app_info": "info",
                            "previously_sent": sendings});
        for (name, value) in common.as_object().unwrap().iter().chain(fields.as_object().unwrap()) {
            assert_eq!(&message[name], value, "{subject}: {name}");
        }
        for (name, value) in template.as_object().unwrap() {
            assert_eq!(&message["template"][name], value, "{subject}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_success_is_told_number_by_number_with_its_details() {
    let world = World::start("", "", "").await;
    world.script(
        "[mm7]\nanswer = { kind = 'status', code = 1100, details = '+15555550103 is barred' }\n\
                  delivery = { send = 'never' }\nread = { send = 'never' }\n",
    );
    let id = world.api.send_text("mm7", "partly", &["+15555550102", "+15555550103"]).await;
    let message = wait_until("a fate for each number", async || {
        let message = world.api.message(&id).await;
        let failed = message["recipients"][1]["state"] == "FAILED";
        failed.then_some(message)
    })
    .await;
    assert_ne!(message["recipients"][0]["state"], "FAILED");
    let events = message["events"].as_array().unwrap();
    let failed = events.iter().find(|event| event["state"] == "FAILED").unwrap();
    assert_eq!((text(failed, "details"), text(failed, "carrier_status")), ("+15555550103 is barred", "1100"));
    assert_eq!(text(failed, "destinations"), "+15555550103");
}
