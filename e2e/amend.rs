//! Messages that the carrier has, taken back and replaced, in every way that it may answer; and the command line's
//! views of a dialect.

use std::sync::Arc;

use mmsgw_domain::{InstanceId, Message, Recipient, State, Timestamp};
use mmsgw_edge_mm7::{Mm7Gateway, Mm7Settings};
use mmsgw_engine::{Amendment, AmendmentKind, Content, Delivery, Gateway as _, Outbound, Verdict};
use mmsgw_mmsc_sim::{Script, SimConfig, Simulator};
use serde_json::json;

use crate::rig::{mm7, run, scratch};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

struct Scene {
    carrier: Simulator,
    gateway: Mm7Gateway,
    message: Message,
    content: Arc<Content>,
}

impl Scene {
    /// A message to two numbers that the carrier took.
    async fn set(dialect: &str) -> Self {
        let carrier = Simulator::start(SimConfig::default()).await.unwrap();
        let more = format!("[outbound]\ntimeout = '2s'\n[dialect]\n{dialect}");
        let file = mm7("mm7", &format!("http://{}/mm7", carrier.mm7_addr), &more);
        let settings: Mm7Settings = toml::from_str(&file).unwrap();
        let instance = InstanceId::new(&settings.gateway.group, "e2e", "host", 1);
        let gateway = Mm7Gateway::new(&settings, instance).unwrap();
        let content = Arc::new(content("hello", "11"));
        let mut message = message(&content);
        let outbound = Outbound {
            message: Arc::new(message.clone()),
            recipients: message.recipients.clone(),
            content: Arc::clone(&content),
            transaction_id: message.transaction_id(),
            now: NOW,
            tap: mmsgw_engine::Tap::default(),
        };
        for outcome in gateway.send(&outbound).await.outcomes {
            let Delivery::Sent { peer_ref, .. } = outcome.delivery else { panic!("{outcome:?}") };
            let meant =
                |r: &&mut Recipient| outcome.recipients.is_empty() || outcome.recipients.contains(&r.address);
            for recipient in message.recipients.iter_mut().filter(meant) {
                recipient.state = State::Acknowledged;
                recipient.peer_ref.clone_from(&peer_ref);
            }
        }
        Self { carrier, gateway, message, content }
    }

    async fn amend(&self, change: AmendmentKind) -> Verdict {
        let amendment = Amendment {
            message: Arc::new(self.message.clone()),
            recipients: self.message.recipients.clone(),
            change,
            transaction_id: "amend-1".into(),
            now: NOW,
            tap: mmsgw_engine::Tap::default(),
        };
        self.gateway.amend(&amendment).await
    }

    fn script(&self, operation: &str, answer: &str) {
        let script = format!("[[rules]]\noperation = '{operation}'\nmm7 = {{ answer = {answer} }}\n");
        self.carrier.set_script(toml::from_str::<Script>(&script).unwrap());
    }
}

/// Content of one text; revisions end in different digits.
fn content(text: &str, revision: &str) -> Content {
    let stamp = serde_json::to_value(NOW).unwrap();
    let part = json!({"id": "019a0000000070008000000000000012", "name": "t.txt", "content_type": "text/plain",
                      "content": {"text": text}});
    let template = json!({
        "id": "019a0000000070008000000000000010", "revision": format!("019a00000000700080000000000000{revision}"),
        "created": stamp, "expires": stamp, "content": {"origin": "54321", "parts": [part]},
    });
    Content::new(serde_json::from_value(template).unwrap(), vec![text.to_owned().into()])
}

fn message(content: &Content) -> Message {
    let stamp = serde_json::to_value(NOW).unwrap();
    let recipient = |number: &str| {
        json!({"address": number, "kind": "to", "state": "SCHEDULED", "code": serde_json::to_value(mmsgw_domain::Code::OK).unwrap(),
               "updated": stamp})
    };
    let message = json!({
        "id": "019a0000000070008000000000000020", "direction": "outbound", "group": "mm7",
        "template": content.template.id, "revision": content.template.revision, "origin": "54321",
        "recipients": [recipient("+15555550102"), recipient("+15555550103")], "events_url": [],
        "created": stamp, "deadline": stamp, "instances": [], "rounds": 0, "events": [], "version": 1,
    });
    serde_json::from_value(message).unwrap()
}

/// What became of it, in short; the same for all numbers.
fn short(verdict: &Verdict) -> String {
    let texts: Vec<String> = verdict
        .outcomes
        .iter()
        .map(|outcome| match &outcome.delivery {
            Delivery::Sent { .. } => "done".to_owned(),
            Delivery::Defer { heard, .. } => format!("again, heard {heard}"),
            Delivery::Fail { answer } => {
                format!("never, {}", answer.carrier_status.as_deref().unwrap_or("-"))
            }
        })
        .collect();
    assert!(!texts.is_empty() && texts.iter().all(|text| *text == texts[0]), "{verdict:?}");
    texts[0].clone()
}

const ANSWERS: [(&str, &str); 6] = [
    ("{ kind = 'ok' }", "done"),
    ("{ kind = 'status', code = 2005 }", "never, 2005"),
    ("{ kind = 'status', code = 3001 }", "never, 3001"),
    ("{ kind = 'status', code = 4003 }", "never, 4003"),
    ("{ kind = 'fault', code = 4003 }", "never, 4003"),
    ("{ kind = 'hang' }", "again, heard false"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_every_form_is_understood() {
    for (form, requests) in
        [("standard", ["CancelReq", "ReplaceReq"]), ("extended", ["extendedCancelReq", "extendedReplaceReq"])]
    {
        let scene = Scene::set(&format!("cancel = '{form}'\nreplace = '{form}'\n")).await;
        for (answer, want) in ANSWERS {
            for request in requests {
                scene.script(request, answer);
                let change = match request.ends_with("CancelReq") {
                    true => AmendmentKind::Withdraw,
                    false => AmendmentKind::Replace(Arc::new(content("another text", "13"))),
                };
                assert_eq!(short(&scene.amend(change).await), want, "{request} {answer}");
                let seen = scene.carrier.received().pop().unwrap();
                assert_eq!((seen.kind.as_str(), seen.problems), (request, Vec::<String>::new()));
                assert_eq!(seen.transaction_id, "amend-1");
                if !request.ends_with("CancelReq") {
                    assert_eq!(&seen.parts[0].octets[..], b"another text");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_several_requests_are_withdrawn_one_by_one() {
    let scene = Scene::set("max_recipients = 1\n").await;
    let ids: Vec<_> = scene.message.recipients.iter().map(|r| r.peer_ref.clone().unwrap()).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(short(&scene.amend(AmendmentKind::Withdraw).await), "done");
    let cancels: Vec<_> = scene.carrier.received().into_iter().filter(|r| r.kind == "CancelReq").collect();
    let named: Vec<_> = cancels.iter().map(|cancel| cancel.field("MessageID").unwrap().to_owned()).collect();
    assert_eq!(named, ids);
    assert_eq!(scene.content.bodies.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_what_would_go_out_and_understands_it_again() {
    let place = scratch();
    let file = |name: &str| place.path().join(name).display().to_string();
    std::fs::write(file("gw.toml"), mm7("mm7", "http://mmsc.example/mm7", "gateway.dialect = 'sinch'\n"))
        .unwrap();
    std::fs::write(file("picture.gif"), b"GIF89a").unwrap();
    let template = json!({
        "origin": "54321", "subject": "Hi", "parts": [
            {"name": "picture.gif", "content_type": "image/gif", "content_url": format!("file://{}", file("picture.gif"))},
            {"name": "t.txt", "content_type": "text/plain", "content": "hello"}],
        "send": {"destination": ["+15555550102", "+15555550103"]},
    });
    std::fs::write(file("template.json"), template.to_string()).unwrap();
    let (config, out) = (file("mmsgw.toml"), file(""));
    let arguments = [
        "render",
        "--config",
        &config,
        "--gateway",
        &file("gw.toml"),
        "--into",
        &out,
        &file("template.json"),
    ];
    let rendered = run(&arguments).await;
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    for (name, number) in [("1.http", "15555550102"), ("2.http", "15555550103")] {
        let parsed = run(&["parse", "--json", &file(name)]).await;
        assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stdout));
        let reading: serde_json::Value = serde_json::from_slice(&parsed.stdout).unwrap();
        assert_eq!((&reading["pdu"], &reading["tolerated"]), (&json!("SubmitReq"), &json!([])), "{reading}");
        assert!(reading["fields"].as_array().unwrap().contains(&json!({"name": "Number", "value": number})));
        assert_eq!(
            (&reading["parts"][0]["octets"], &reading["parts"][1]["name"]),
            (&json!(6), &json!("t.txt"))
        );
    }
    assert!(!place.path().join("3.http").exists(), "one request for each number");
    let dialects = run(&["dialects", "--config", &config]).await;
    assert!(String::from_utf8_lossy(&dialects.stdout).contains("china-mobile"));
    let unknown = run(&["dialects", "--config", &config, "nobody"]).await;
    assert_eq!(unknown.status.code(), Some(1));
}
