//! Reports to a peer of a few lines, over real sockets.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use mmsgw_domain::{AnswerJob, AnswerTo, CarrierIds, Code, Direction, InstanceId, ReportOrder, Timestamp};
use mmsgw_engine::{Gateway, OutboundAnswer, Tap};
use mmsgw_net::{Drain, HttpLimits, bind, serve_http};
use tokio::sync::mpsc;

use super::*;
use crate::testing::{self, settings_for};

struct Peer {
    url: String,
    posted: mpsc::UnboundedReceiver<(HeaderMap, String)>,
}

impl Peer {
    /// A peer that answers with this, `{tx}` in it being the TransactionID.
    async fn start(status: u16, answer: String) -> Self {
        let (tell, posted) = mpsc::unbounded_channel();
        let service = Router::new().route(
            "/reports",
            post(async move |headers: HeaderMap, body: String| {
                let transaction = body.split("TransactionID").nth(1).unwrap().split(['>', '<']).nth(1);
                let answer = answer.replace("{tx}", transaction.unwrap());
                // Nobody listens in tests that look at verdicts only.
                let _ = tell.send((headers, body));
                (StatusCode::from_u16(status).unwrap(), answer)
            }),
        );
        let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        tokio::spawn(serve_http(listener, None, HttpLimits::default(), Drain::new(), service));
        Self { url: format!("http://{address}/reports"), posted }
    }

    /// One that takes reports of this kind.
    async fn willing(kind: &str) -> Self {
        Self::start(200, rsp(kind, 1000)).await
    }

    fn gateway(&self, sections: &str) -> Mm7Gateway {
        gateway(&format!("{sections}[inbound]\naccept_submit = true\nreport_url = '{}'\n", self.url))
    }
}

fn rsp(kind: &str, code: u16) -> String {
    testing::submit_rsp("{tx}", code, "x", "")
        .replace("SubmitRsp", kind)
        .replace("<MessageID>x</MessageID>", "")
}

fn gateway(sections: &str) -> Mm7Gateway {
    let settings = settings_for("http://127.0.0.1:1/mm7", sections);
    Mm7Gateway::new(&settings, InstanceId::new(&settings.gateway.group, "east", "host", 1)).unwrap()
}

/// A report on a message to two numbers, which came with or without an id of its own.
fn report(message_id: Option<&str>, order: ReportOrder) -> OutboundReport {
    let mut message = mmsgw_domain::Message::clone(&testing::outbound(&["+15555550101", "54322"]).message);
    message.direction = Direction::Inbound;
    message.carrier_ids =
        Some(CarrierIds { transaction: "tx-1".into(), message: message_id.map(str::to_owned) });
    let now = Timestamp::from_millis(1_700_000_000_250);
    OutboundReport {
        message: Arc::new(message),
        order,
        transaction_id: "job-1".into(),
        now,
        tap: Tap::default(),
    }
}

fn order(kind: ReportKind, code: Code, word: Option<&str>, to: &[&str]) -> ReportOrder {
    ReportOrder {
        code,
        word: word.map(str::to_owned),
        recipients: to.iter().map(|number| number.parse().unwrap()).collect(),
        ..ReportOrder::well(kind)
    }
}

fn short(verdict: &Verdict) -> Vec<String> {
    let delivery = |outcome: &Outcome| match &outcome.delivery {
        Delivery::Sent { answer, .. } => format!("sent {}", answer.code),
        Delivery::Defer { answer, later, heard, .. } => format!("defer {} {later} {heard}", answer.code),
        Delivery::Fail { answer } => format!("fail {} {}", answer.code, answer.description),
    };
    verdict.outcomes.iter().map(delivery).collect()
}

#[tokio::test]
async fn a_delivered_message_is_told_about_in_the_response_only() {
    let mut peer = Peer::willing("DeliveryReportRsp").await;
    let gateway = peer.gateway("");
    let told = gateway.report(&report(None, ReportOrder::well(ReportKind::Acknowledgement))).await;
    assert_eq!(short(&told), ["sent 200"]);
    for kind in [ReportKind::Delivery, ReportKind::Read] {
        let told = gateway.report(&report(None, ReportOrder::well(kind))).await;
        assert_eq!(short(&told), ["fail 415 MM7 has no report to an MMSC about a message that it delivered"]);
    }
    let to = AnswerTo {
        kind: ReportKind::Delivery,
        address: String::new(),
        transaction: "tx-1".into(),
        message: None,
    };
    let answer = AnswerJob { to, code: Code::OK, description: None };
    let answer = OutboundAnswer { job: &answer, now: Timestamp::from_secs(0), tap: Tap::default() };
    assert_eq!(short(&gateway.answer(&answer).await), ["sent 200"]);
    assert!(peer.posted.try_recv().is_err(), "nothing was posted");
}

#[tokio::test]
async fn a_submitted_message_is_reported_on_number_by_number() {
    let mut peer = Peer::willing("DeliveryReportRsp").await;
    let gateway = peer.gateway("");
    let well = ReportOrder { description: Some("fine".into()), ..ReportOrder::well(ReportKind::Delivery) };
    let told = gateway.report(&report(Some("in-1"), well)).await;
    assert_eq!(short(&told), ["sent 200", "sent 200"]);
    let addresses = [("job-1", "<Number>+15555550101<"), ("job-1-1", "<ShortCode>54322<")];
    for (transaction, recipient) in addresses {
        let (headers, body) = peer.posted.recv().await.unwrap();
        assert_eq!(headers["content-type"], "text/xml; charset=utf-8");
        assert_eq!(headers["soapaction"], "\"\"");
        for want in [
            &format!(">{transaction}</"),
            "REL-6-MM7-1-4\">",
            "<MM7Version>6.8.0</MM7Version>",
            "<MessageID>in-1</MessageID>",
            recipient,
            "<Sender><ShortCode>54321</ShortCode></Sender>",
            "<Date>2023-11-14T22:13:20Z</Date>",
            "<MMStatus>Retrieved</MMStatus><StatusText>fine</StatusText>",
        ] {
            assert!(body.contains(want), "{want}\n{body}");
        }
    }
    let one = report(Some("in-1"), order(ReportKind::Delivery, Code::OK, None, &["54322"]));
    assert_eq!(short(&gateway.report(&one).await), ["sent 200"]);
    assert!(peer.posted.recv().await.unwrap().1.contains("<ShortCode>54322<"));
    let stranger = report(Some("in-1"), order(ReportKind::Delivery, Code::OK, None, &["99999"]));
    assert_eq!(
        short(&gateway.report(&stranger).await),
        ["fail 415 the report names no number of the message"]
    );
    assert!(peer.posted.try_recv().is_err());
}

#[tokio::test]
async fn every_code_and_word() {
    let mut peer = Peer::willing("DeliveryReportRsp").await;
    let (six, five) = (peer.gateway(""), peer.gateway("[dialect]\nnamespace = 'REL-5-MM7-1-2'\n"));
    for (code, word, want, extension) in [
        (200, None, "Retrieved", false),
        (202, None, "Forwarded", false),
        (400, None, "Rejected", false),
        (404, None, "Indeterminate", false),
        (406, None, "Rejected", true),
        (408, None, "Expired", false),
        (410, None, "Indeterminate", false),
        (415, None, "Rejected", false),
        (500, None, "Indeterminate", false),
        (404, Some("Unrecognised"), "Unrecognised", false),
        (410, Some("deferred"), "Deferred", false),
        (406, Some("Rejected"), "Rejected", true),
        (408, Some("Eaten"), "Expired", false),
    ] {
        let code = Code::from_number(code).unwrap();
        for (gateway, has_extension) in [(&six, extension), (&five, false)] {
            let order = order(ReportKind::Delivery, code, word, &["54322"]);
            assert_eq!(short(&gateway.report(&report(Some("in-1"), order)).await), ["sent 200"]);
            let (_, body) = peer.posted.recv().await.unwrap();
            assert!(body.contains(&format!("<MMStatus>{want}</MMStatus>")), "{code} {word:?}\n{body}");
            let found = body.contains("<MMStatusExtension>RejectionByMMSRecipient<");
            assert_eq!(found, has_extension, "{code} {word:?}\n{body}");
        }
    }
}

#[tokio::test]
async fn read_replies_have_their_own_words_and_date() {
    let mut peer = Peer::willing("ReadReplyRsp").await;
    let gateway = peer.gateway("");
    for (code, word, want) in [
        (Code::OK, None, "Read"),
        (Code::REFUSED, None, "Deleted"),
        (Code::REFUSED, Some("indeterminate"), "Indeterminate"),
        (Code::REFUSED, Some("Deleted without being read"), "Deleted"),
    ] {
        let told =
            gateway.report(&report(Some("in-1"), order(ReportKind::Read, code, word, &["54322"]))).await;
        assert_eq!(short(&told), ["sent 200"]);
        let (_, body) = peer.posted.recv().await.unwrap();
        assert!(body.contains(&format!("<MMStatus>{want}</MMStatus>")), "{body}");
        assert!(
            body.contains("<ReadReplyReq ") && body.contains("<TimeStamp>2023-11-14T22:13:20Z<"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn the_peers_answer_decides() {
    for (status, answer, want) in [
        (200, rsp("DeliveryReportRsp", 1100), "sent 200"),
        (200, rsp("DeliveryReportRsp", 2005), "fail 404"),
        (200, testing::fault("{tx}", 4006), "defer 500 true true"),
        (500, testing::fault("{tx}", 3000), "defer 500 false true"),
        (503, String::new(), "defer 500 true true"),
        (404, String::new(), "fail 406"),
        (200, String::new(), "defer 500 false false"),
    ] {
        let peer = Peer::start(status, answer).await;
        let order = order(ReportKind::Delivery, Code::OK, None, &["54322"]);
        let told = short(&peer.gateway("").report(&report(Some("in-1"), order)).await);
        assert!(told.len() == 1 && told[0].starts_with(want), "{told:?} {want}");
    }
    let order = order(ReportKind::Delivery, Code::OK, None, &["54322"]);
    let nowhere = short(&gateway("").report(&report(Some("in-1"), order)).await);
    assert!(nowhere[0].starts_with("fail 415") && nowhere[0].contains("inbound.report_url"), "{nowhere:?}");
}

#[tokio::test]
async fn our_credentials_are_shown_at_the_mmscs_own_place_only() {
    let mut peer = Peer::willing("DeliveryReportRsp").await;
    let user = "username = 'user'\npassword = 'pass'\n";
    let here = peer.url.replace("/reports", "/mm7");
    for (mmsc, shown) in [(here.as_str(), Some("Basic dXNlcjpwYXNz")), ("http://127.0.0.1:1/mm7", None)] {
        let settings = settings_for(mmsc, &format!("{user}[inbound]\nreport_url = '{}'\n", peer.url));
        let instance = InstanceId::new(&settings.gateway.group, "east", "host", 1);
        let gateway = Mm7Gateway::new(&settings, instance).unwrap();
        let order = order(ReportKind::Delivery, Code::OK, None, &["54322"]);
        assert_eq!(short(&gateway.report(&report(Some("in-1"), order)).await), ["sent 200"]);
        let (headers, _) = peer.posted.recv().await.unwrap();
        assert_eq!(headers.get("authorization").map(|value| value.to_str().unwrap()), shown, "{mmsc}");
    }
}
