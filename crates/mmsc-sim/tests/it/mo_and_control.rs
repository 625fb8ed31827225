//! Messages from phones, and the control interface.

use mmsgw_mmsc_sim::{Mo, Script, SimConfig, Simulator, Targets};
use serde_json::{Value, json};

use crate::{gateway, mm7, start};

fn message() -> Mo {
    Mo {
        from: "+15555550101".into(),
        to: vec!["+15555550102".into(), "12345".into()],
        subject: "Grüße".into(),
        text: "hello".into(),
        picture: Some(vec![0xff, 0xd8, 0xff]),
        ack: true,
        dr: true,
        ..Mo::default()
    }
}

/// One carrier's message is another's input: a second simulator is the reader.
#[tokio::test]
async fn a_message_over_mm4_has_its_shape() {
    let reader = start(Script::default()).await;
    let mm4_report_addr = Some(reader.mm4_addr.to_string());
    let sender = Simulator::start(SimConfig { mm4_report_addr, ..SimConfig::default() }).await.unwrap();
    let sent = sender.send_mo_mm4(&message()).await;
    assert!(sent.answer.is_ok(), "{sent:?}");
    let received = &reader.received()[0];
    assert_eq!(received.problems, Vec::<String>::new());
    assert_eq!((&received.transaction_id, &received.message_id), (&sent.transaction_id, &sent.message_id));
    assert_eq!(received.mail_from.as_deref(), Some("+15555550101/TYPE=PLMN@mms.sim.example"));
    assert_eq!(received.rcpt_to[0], "+15555550102/TYPE=PLMN@mms.gw.example");
    assert_eq!(received.subject.as_deref(), Some("Grüße"));
    let flags =
        ["X-Mms-Ack-Request", "X-Mms-Delivery-Report", "X-Mms-Read-Reply"].map(|name| received.field(name));
    assert_eq!(flags, [Some("Yes"), Some("Yes"), Some("No")]);
    let types: Vec<_> =
        received.parts.iter().map(|part| part.content_type.split(';').next().unwrap()).collect();
    assert_eq!(types, ["application/smil", "image/jpeg", "text/plain"]);
    assert_eq!(&received.parts[1].octets[..], [0xff, 0xd8, 0xff]);
    assert_eq!(&received.parts[2].octets[..], b"hello");
    sender.set_targets(Targets { mm4_report_addr: Some("127.0.0.1:1".into()), ..Targets::default() });
    assert_eq!(sender.send_mo_mm4(&message()).await.answer.code, 0, "nobody is there");
}

#[tokio::test]
async fn a_message_over_mm7_has_its_shape() {
    let (url, taken) = gateway::http(&[200]).await;
    let config = SimConfig { mm7_report_url: Some(url), ..SimConfig::default() };
    let sender = Simulator::start(config).await.unwrap();
    let sent = sender.send_mo_mm7(&message()).await;
    assert_eq!((sent.answer.code, sent.answer.status), (200, Some(1000)));
    let request = &taken.all()[0];
    assert!(
        request.to_lowercase().contains("content-type: multipart/related; type=\"text/xml\""),
        "{request}"
    );
    let expected = "<Sender><Number>+15555550101</Number></Sender><Recipients><To><Number>+15555550102</Number>\
        <ShortCode>12345</ShortCode></To></Recipients><TimeStamp>";
    assert!(request.contains(expected), "{request}");
    let expected =
        "<Priority>Normal</Priority><Subject>Grüße</Subject><Content href=\"cid:content\"/></DeliverReq>";
    assert!(request.contains(expected), "{request}");
    assert!(request.contains("\r\nContent-ID: <content>\r\n") && request.contains("aGVsbG8="), "{request}");
}

#[tokio::test]
async fn the_control_interface_shows_and_changes() {
    let simulator = start(Script::default()).await;
    let base = format!("http://{}", simulator.control_addr);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let read = async |path: &str| -> Value {
        client.get(format!("{base}{path}")).send().await.unwrap().json().await.unwrap()
    };
    let post = async || {
        let request = client.post(format!("http://{}", simulator.mm7_addr));
        request.body(mm7::submit("t", "x", &["+1"])).send().await.unwrap().text().await.unwrap()
    };
    post().await;
    let received = read("/received?since=0").await;
    assert_eq!((received[0]["kind"].as_str(), received[0]["attempt"].as_u64()), (Some("SubmitReq"), Some(1)));
    assert!(received[0]["raw"].as_str().unwrap().starts_with("PD94bWwg"), "base64 of <?xml");
    assert_eq!(read("/received?since=1").await, json!([]));
    assert_eq!(read("/counts").await["kinds"]["SubmitReq"], 1);
    assert_eq!(read("/answers").await, json!([]));

    let script = json!({"mm7": {"answer": {"kind": "status", "code": 4006}}});
    let put = client.put(format!("{base}/script")).json(&script).send().await.unwrap();
    assert_eq!(put.status(), 204);
    assert!(post().await.contains("4006"));
    assert_eq!(read("/script").await["mm7"]["answer"]["code"], 4006);
    let bad = client.put(format!("{base}/script")).json(&json!({"mm8": {}})).send().await.unwrap();
    assert_eq!(bad.status(), 422);

    assert_eq!(client.delete(format!("{base}/received")).send().await.unwrap().status(), 204);
    assert_eq!(simulator.received().len(), 0);

    let (url, taken) = gateway::http(&[200]).await;
    let targets = json!({"mm7_report_url": url});
    assert_eq!(client.put(format!("{base}/targets")).json(&targets).send().await.unwrap().status(), 204);
    let order = json!({"protocol": "mm7", "message": {"from": "+1", "to": ["+2"], "picture": "/9j/"}});
    let sent: Value =
        client.post(format!("{base}/mo")).json(&order).send().await.unwrap().json().await.unwrap();
    assert_eq!(sent["answer"]["status"], 1000);
    assert!(taken.all()[0].contains("\r\n/9j/\r\n"));
}

/// The reader is a carrier that takes messages of service providers; reports on them are taken here alone.
#[tokio::test]
async fn a_message_is_submitted_as_a_provider_does_and_reported_on() {
    let reader = start(Script::default()).await;
    let mm7_report_url = Some(format!("http://{}/mm7", reader.mm7_addr));
    let provider = Simulator::start(SimConfig { mm7_report_url, ..SimConfig::default() }).await.unwrap();
    let sent = provider.submit_mm7(&message()).await;
    assert!(sent.answer.is_ok(), "{sent:?}");
    let received = &reader.received()[0];
    assert_eq!((received.kind.as_str(), &received.problems), ("SubmitReq", &Vec::new()));
    assert_eq!((&received.transaction_id, &received.message_id), (&sent.transaction_id, &sent.message_id));
    assert_eq!(
        (received.field("DeliveryReport"), received.field("ReadReply")),
        (Some("true"), Some("false"))
    );
    assert_eq!(received.to, ["+15555550102", "12345"]);
    reader.set_targets(Targets {
        mm7_report_url: Some(format!("http://{}/mm7", provider.mm7_addr)),
        mm4_report_addr: None,
    });
    let again = provider.submit_mm7(&message()).await;
    let reports = provider.wait_received(2, std::time::Duration::from_secs(30)).await;
    assert!(reports.iter().all(|r| r.kind == "DeliveryReportReq" && r.accepted), "{reports:?}");
    assert!(reports.iter().all(|r| r.message_id == again.message_id && r.problems.is_empty()), "{reports:?}");
}
