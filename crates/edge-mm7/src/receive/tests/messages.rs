//! Messages that come in over real sockets, with the workers that read them.

use mmsgw_domain::{Code, Direction, PartContent, ReportKind, ReportOrder};
use mmsgw_mime::write::{Layout, Leaf, Transfer, entity};

use super::*;
use crate::digest::DigestAlgorithm;
use crate::testing::{deliver, outbound_with_everything};

const TOLD: &str = "[inbound]\nmms_received_url = 'http://app.example/mms'\n";
const PATH: &str = "/mmsgw/v1/mms/inbound/carrier";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0a picture\r\n--\xff\xd9";

/// Content-Type header and body of a DeliverReq with a picture.
fn picture(transaction: &str) -> (String, Vec<u8>) {
    let elements = "<Sender><Number>+15555550101</Number></Sender><Recipients><To><ShortCode>54321</ShortCode>\
        </To></Recipients><Subject>look</Subject><Content href=\"cid:c\"/>";
    let leaf = Leaf {
        media_type: "image/jpeg".parse().unwrap(),
        name: Some("a.jpg".into()),
        content_id: "a".into(),
        content_location: Some("a.jpg".into()),
        body: Bytes::from_static(JPEG),
    };
    let content = entity(&[leaf], Layout::Mixed, Transfer::Binary, "inner").unwrap();
    let packaged = mm7::package(
        (deliver(transaction, elements).as_bytes(), mm7::Charset::default()),
        &content,
        "c",
        "outer",
    )
    .unwrap();
    (
        format!("content-type: {}\r\n", packaged.content_type),
        [packaged.head, packaged.body, packaged.tail].concat(),
    )
}

fn submit(transaction: &str) -> String {
    let elements = "<SenderIdentification><VASPID>peer</VASPID><SenderAddress><ShortCode>54321</ShortCode>\
        </SenderAddress></SenderIdentification><Recipients><To><Number>+15555550101</Number></To></Recipients>\
        <DeliveryReport>true</DeliveryReport>";
    deliver(transaction, elements).replace("DeliverReq", "SubmitReq")
}

async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let seen = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, seen).await.unwrap_or_else(|_| panic!("not seen in time: {what}"))
}

impl House {
    async fn running(sections: &str) -> Self {
        let settings = settings(sections);
        let house = Self::with(&settings).await;
        house.run(&settings);
        house
    }

    async fn until_idle(&self) {
        eventually("the queues are empty", async || {
            let queues = self.store.queues().await.unwrap();
            queues.iter().all(|queue| queue.waiting == 0 && queue.leased == 0).then_some(())
        })
        .await;
    }

    async fn told(&self, count: usize) -> Vec<(mmsgw_domain::Message, mmsgw_domain::Template)> {
        eventually("the application is told", async || {
            let received = self.app.received.lock();
            (received.len() >= count).then(|| received.clone())
        })
        .await
    }
}

#[tokio::test]
async fn a_delivery_is_durable_when_it_is_answered() {
    let house = House::open("[inbound]\nservice_code = 'gold'\n").await;
    let (headers, body) = picture("tx-1");
    let heard = house.exchange(PATH, &headers, &body).await;
    assert_eq!(heard.codes(), (200, Some(1000)));
    assert!(heard.body.contains("<DeliverRsp xmlns=") && heard.body.contains(">tx-1<"), "{}", heard.body);
    assert!(heard.body.contains("<ServiceCode>gold</ServiceCode>"), "{}", heard.body);
    let kept = house.kept().await;
    let [Job::IntakeV1(intake)] = kept.as_slice() else { panic!("{kept:?}") };
    assert!(intake.raw == body, "the octets differ");
}

#[tokio::test]
async fn a_picture_reaches_the_application_once() {
    let house = House::running(TOLD).await;
    let (headers, body) = picture("tx-1");
    let first = house.exchange(PATH, &headers, &body).await;
    assert_eq!(first.codes(), (200, Some(1000)));
    for _ in 0..3 {
        let again = house.exchange(PATH, &headers, &body).await;
        assert_eq!(again.body, first.body, "a repetition is answered alike");
    }
    let (headers, body) = picture("tx-2");
    house.exchange(PATH, &headers, &body).await;
    let told = house.told(2).await;
    house.until_idle().await;
    assert_eq!(house.app.received.lock().len(), 2, "four times tx-1, once tx-2");
    let (message, template) = &told[0];
    assert_eq!((message.direction, message.origin.as_str()), (Direction::Inbound, "+15555550101"));
    assert_eq!(template.content.subject.as_deref(), Some("look"));
    let [part] = template.content.parts.as_slice() else { panic!("{template:?}") };
    let PartContent::Blob(blob) = &part.content else { panic!("{part:?}") };
    assert_eq!((part.name.as_str(), part.content_type.as_str()), ("a.jpg", "image/jpeg"));
    assert_eq!(house.engine.media(&blob.digest).await.unwrap().unwrap(), JPEG);
}

#[tokio::test]
async fn a_peer_that_is_gone_before_the_answer_comes_again_and_is_heard_once() {
    let house = House::running(TOLD).await;
    let (headers, body) = picture("tx-1");
    let whole = request(PATH, &headers, &body);
    for end in [whole.len() / 2, whole.len() - 1, whole.len(), whole.len()] {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        stream.write_all(&whole[..end]).await.unwrap();
        drop(stream);
    }
    assert_eq!(house.exchange(PATH, &headers, &body).await.codes(), (200, Some(1000)));
    house.told(1).await;
    house.until_idle().await;
    let told = house.app.received.lock();
    let transactions: Vec<_> = told.iter().map(|(message, _)| message.last_tran_id.as_deref()).collect();
    assert_eq!(transactions, [Some("tx-1")]);
}

fn message_id_in(heard: &Heard) -> &str {
    heard.body.split("<MessageID>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default()
}

#[tokio::test]
async fn submissions_are_taken_where_wanted() {
    let closed = House::open("").await;
    assert_eq!(closed.post("", &submit("tx-1")).await.codes(), (500, Some(4003)));
    assert!(closed.kept().await.is_empty());
    let house = House::running(&format!("{TOLD}accept_submit = true\n")).await;
    let first = house.post("", &submit("tx-1")).await;
    assert_eq!(first.codes(), (200, Some(1000)));
    assert!(first.body.contains("<SubmitRsp") && first.body.contains(">tx-1<"), "{}", first.body);
    assert_eq!(house.post("", &submit("tx-1")).await.body, first.body);
    let other = house.post("", &submit("tx-2")).await;
    assert_ne!(message_id_in(&other), message_id_in(&first));
    let told = house.told(2).await;
    let peer_ref = |transaction: &str| {
        let found = told.iter().find(|(message, _)| message.last_tran_id.as_deref() == Some(transaction));
        found.unwrap().0.peer_ref.clone().unwrap()
    };
    assert_eq!([peer_ref("tx-1"), peer_ref("tx-2")], [&first, &other].map(message_id_in));
    let nobody = submit("tx-3").replace("<Number>", "<Number displayOnly=\"true\">");
    let refused = house.post("", &nobody).await;
    assert_eq!((refused.codes(), message_id_in(&refused)), ((200, Some(2002)), ""));
    let cancel = submit("tx-4")
        .replace("SubmitReq", "CancelReq")
        .replace("<DeliveryReport>true</DeliveryReport>", "<MessageID>x</MessageID>");
    assert_eq!(house.post("", &cancel).await.codes(), (500, Some(4003)));
    let checked = House::open("# with-ids\n[inbound]\naccept_submit = true\ncheck_vaspid = true\n").await;
    assert_eq!(checked.post("", &submit("tx-1")).await.codes(), (500, Some(4001)));
    let known = submit("tx-1").replace("<VASPID>peer<", "<VASPID>acct<");
    assert_eq!(checked.post("", &known).await.codes(), (200, Some(1000)));
}

/// Authorization by the book, for the challenge in an answer.
fn authorization(heard: &Heard, raw: &str, password: &str, count: u32) -> String {
    let nonce = raw.split("nonce=\"").nth(1).unwrap_or_else(|| panic!("{}", heard.head));
    let nonce = nonce.split('"').next().unwrap();
    let (secret, request) = (
        DigestAlgorithm::Sha256.hash(&["user", "mm7", password]),
        DigestAlgorithm::Sha256.hash(&["POST", PATH]),
    );
    let response =
        DigestAlgorithm::Sha256.hash(&[&secret, nonce, &format!("{count:08x}"), "c", "auth", &request]);
    format!(
        "authorization: Digest username=\"user\", realm=\"mm7\", uri=\"{PATH}\", algorithm=SHA-256, \
         nonce=\"{nonce}\", nc={count:08x}, cnonce=\"c\", qop=auth, response=\"{response}\"\r\n"
    )
}

#[tokio::test]
async fn digest_is_asked_for_and_taken() {
    let report = delivery_report("tx-1", "msg-1", "Expired");
    let basic = "authorization: Basic dXNlcjpwYXNz\r\n";
    for (scheme, offers, basic_comes_in) in [
        ("basic", &["basic realm"][..], true),
        ("digest", &["digest realm"], false),
        ("both", &["digest realm", "basic realm"], true),
    ] {
        let inbound =
            format!("[inbound]\nusername = 'user'\npassword = 'pass'\npassword_scheme = '{scheme}'\n");
        let house = House::open(&inbound).await;
        let asked = house.post("", &report).await;
        assert_eq!(asked.codes(), (401, Some(4001)), "{scheme}");
        let offered: Vec<_> = asked.head.split("www-authenticate: ").skip(1).collect();
        assert!(offered.iter().zip(offers).all(|(is, want)| is.starts_with(want)), "{offered:?}");
        assert_eq!(offered.len(), offers.len(), "{offered:?}");
        assert_eq!(house.post(basic, &report).await.codes().0 == 200, basic_comes_in, "{scheme}");
        if scheme == "basic" {
            continue;
        }
        let head = asked.head.clone();
        let with = |password: &str, count| authorization(&asked, &head, password, count);
        assert_eq!(house.post(&with("pass", 1), &report).await.codes(), (200, Some(1000)), "{scheme}");
        assert_eq!(house.post(&with("pass", 2), &report).await.codes(), (200, Some(1000)), "{scheme}");
        let replayed = house.post(&with("pass", 2), &report).await;
        assert!(replayed.status == 401 && replayed.head.contains("stale=true"), "{}", replayed.head);
        let wrong = house.post(&with("pas", 3), &report).await;
        assert!(wrong.status == 401 && !wrong.head.contains("stale"), "{}", wrong.head);
        let fresh = authorization(&replayed, &replayed.head, "pass", 1);
        assert_eq!(house.post(&fresh, &report).await.codes(), (200, Some(1000)), "{scheme}");
    }
}

/// Our own sender on one side, our own receiver on the other, and the reports on the way back.
#[tokio::test]
async fn two_ends_of_this_project_understand_each_other() {
    let asking = "[features]\nrequest_delivery_report = true\nrequest_read_receipt = true\n";
    let near = House::open(asking).await;
    let far = House::with(&settings(&format!("{TOLD}accept_submit = true\n"))).await;
    let url = |house: &House| format!("http://{}{PATH}", house.address);
    let far_sections = format!("{TOLD}accept_submit = true\nreport_url = '{}'\n", url(&near));
    let refused = ReportOrder { code: Code::REFUSED, ..ReportOrder::well(ReportKind::Delivery) };
    far.app.orders.lock().push(refused);
    far.run(&settings(&far_sections));
    let near_settings = settings_for(&url(&far), "");
    near.run(&near_settings);
    let sent = near.send_with_reports().await;
    let (message, template) = far.told(1).await.remove(0);
    let reported = async || {
        let (message, _) = near.engine.message(sent).await.unwrap();
        let has = |state| message.events.iter().any(|event| event.state == state);
        (has(State::Rejected) && has(State::Read)).then_some(message)
    };
    let reported = eventually("both reports came back", reported).await;
    assert_eq!(reported.peer_ref, message.peer_ref);
    let rejected = reported.events.iter().find(|event| event.state == State::Rejected).unwrap();
    assert_eq!(rejected.carrier_status.as_deref(), Some("Rejected (RejectionByMMSRecipient)"));
    assert_eq!((message.dr_requested, message.rr_requested), (Some(true), Some(true)));
    assert_eq!(template.content.parts[0].content, PartContent::Text("hello".into()));
    far.until_idle().await;
    let (told, _) = far.engine.message(message.id).await.unwrap();
    let states: Vec<_> = told.events.iter().map(|event| event.state).collect();
    assert!(states.contains(&State::Rejected) && states.contains(&State::Read), "{states:?}");
}

#[tokio::test]
async fn our_sender_hears_our_receivers_message_id() {
    let far = House::open("[inbound]\naccept_submit = true\n").await;
    let settings = settings_for(&format!("http://{}{PATH}", far.address), "");
    let instance = InstanceId::new(&settings.gateway.group, "east", "host", 1);
    let gateway = Mm7Gateway::new(&settings, instance).unwrap();
    let outbound = outbound_with_everything();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let verdict = gateway.send(&outbound).await;
        let mmsgw_engine::Delivery::Sent { peer_ref, acknowledged: true, .. } = &verdict.outcomes[0].delivery
        else {
            panic!("{verdict:?}")
        };
        ids.push(peer_ref.clone().unwrap());
    }
    assert_eq!(ids[0], ids[1], "a retransmission gets the same id");
}

impl House {
    async fn send_with_reports(&self) -> MessageId {
        let part = PartDraft::New {
            name: "a.txt".into(),
            content_type: "text/plain".into(),
            content: DraftContent::Text("hello".into()),
        };
        let draft = TemplateDraft { content: testing::content(&[]).template.content, parts: vec![part] };
        let submission = Submission {
            to: vec!["+15555550101".parse().unwrap()],
            group: Some("carrier".parse().unwrap()),
            ..Submission::default()
        };
        self.engine.submit_new(draft, submission).await.unwrap().0.id
    }
}
