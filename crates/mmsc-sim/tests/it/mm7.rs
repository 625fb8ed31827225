//! MM7: every behaviour of the script, and the reports.

use std::time::{Duration, Instant};

use mmsgw_mmsc_sim::{
    Delay, HttpAuth, LimitConfig, Mm7Answer, Mm7Behaviour, Mm7Names, Mm7Stage, Plan, Rule, Script, SimConfig,
    Simulator, When,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{PATIENCE, SILENCE, gateway, start};

pub(crate) const NS: &str = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/REL-5-MM7-1-2";

fn envelope(transaction: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><env:Envelope xmlns:env=\"http://schemas.xmlsoap.org/soap/envelope/\"><env:Header>\
         <t:TransactionID xmlns:t=\"{NS}\" env:mustUnderstand=\"1\">{transaction}</t:TransactionID></env:Header>\
         <env:Body>{body}</env:Body></env:Envelope>"
    )
}

pub(crate) fn submit(transaction: &str, subject: &str, to: &[&str]) -> String {
    let to: String = to.iter().map(|to| format!("<Number>{to}</Number>")).collect();
    let body = format!(
        "<SubmitReq xmlns=\"{NS}\"><MM7Version>5.3.0</MM7Version><SenderIdentification><VASPID>v</VASPID><VASID>s\
         </VASID><SenderAddress><ShortCode>12345</ShortCode></SenderAddress></SenderIdentification><Recipients><To>\
         {to}</To></Recipients><DeliveryReport>true</DeliveryReport><ReadReply>true</ReadReply><Subject>{subject}\
         </Subject><Content href=\"cid:c\"/></SubmitReq>"
    );
    envelope(transaction, &body)
}

fn answering(answer: Mm7Answer) -> Script {
    Script { mm7: Mm7Behaviour { answer, ..Mm7Behaviour::default() }, ..Script::default() }
}

async fn post(simulator: &Simulator, xml: String) -> Result<(u16, String), reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{}/any/path", simulator.mm7_addr));
    let response = request.header("Content-Type", "text/xml; charset=utf-8").body(xml).send().await?;
    let status = response.status().as_u16();
    Ok((status, response.text().await?))
}

async fn post_ok(simulator: &Simulator, xml: String) -> (u16, String) {
    post(simulator, xml).await.unwrap()
}

/// Sends octets to the MM7 listener and gives all that comes until it closes or `limit` passes.
async fn exchange(simulator: &Simulator, octets: &[u8], limit: Duration) -> (Vec<u8>, bool) {
    let mut stream = TcpStream::connect(simulator.mm7_addr).await.unwrap();
    stream.write_all(octets).await.unwrap();
    let mut answer = Vec::new();
    let reading = async { while stream.read_buf(&mut answer).await.unwrap_or(0) > 0 {} };
    let closed = tokio::time::timeout(limit, reading).await.is_ok();
    (answer, closed)
}

pub(crate) fn raw(xml: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{xml}",
        xml.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn a_submission_with_media_is_recorded_and_answered() {
    let simulator = start(Script::default()).await;
    let xml = submit("tx-1", "Gr&#252;&lt;e", &["+15555550101", "+15555550102"]);
    let body = format!(
        "--o\r\nContent-Type: text/xml; charset=utf-8\r\nContent-ID: <soap>\r\n\r\n{xml}\r\n--o\r\n\
         Content-Type: multipart/related; boundary=i; start=\"<s>\"\r\nContent-ID: <c>\r\n\r\n\
         --i\r\nContent-Type: application/smil\r\nContent-ID: <s>\r\n\r\n<smil/>\r\n\
         --i\r\nContent-Type: image/png\r\nContent-Location: p.png\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         iVBORw==\r\n--i--\r\n--o--\r\n"
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client
        .post(format!("http://{}/mm7", simulator.mm7_addr))
        .header("Content-Type", "multipart/related; boundary=\"o\"; type=\"text/xml\"; start=\"<soap>\"")
        .header("SOAPAction", "\"\"")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/xml; charset=utf-8");
    let answer = response.text().await.unwrap();
    let received = simulator.received();
    let [message] = &received[..] else { panic!("one message is kept") };
    assert!(answer.contains("<StatusCode>1000</StatusCode>"), "{answer}");
    assert!(
        answer.contains(&format!("<SubmitRsp xmlns=\"{NS}\"><MM7Version>5.3.0</MM7Version>")),
        "{answer}"
    );
    assert!(answer.contains(&format!("<MessageID>{}</MessageID>", message.message_id)), "{answer}");
    assert!(answer.contains(">tx-1</mm7:TransactionID>"), "{answer}");
    assert_eq!((message.kind.as_str(), message.transaction_id.as_str()), ("SubmitReq", "tx-1"));
    assert_eq!(message.subject.as_deref(), Some("Grü<e"));
    assert_eq!(message.sender.as_deref(), Some("12345"));
    assert_eq!(message.to, ["+15555550101", "+15555550102"]);
    assert_eq!((message.field("VASPID"), message.field("Content@href")), (Some("v"), Some("cid:c")));
    assert_eq!(message.problems, Vec::<String>::new());
    assert!(message.accepted);
    assert!(
        message
            .headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("soapaction") && value == "\"\"")
    );
    assert_eq!(message.xml.as_deref(), Some(xml.as_str()));
    assert_eq!(message.parts.len(), 2);
    assert_eq!(&message.parts[0].octets[..], b"<smil/>");
    assert_eq!(&message.parts[1].octets[..], b"\x89PNG");
    assert_eq!(message.parts[1].content_location.as_deref(), Some("p.png"));
}

#[tokio::test]
async fn statuses_faults_and_pages_come_as_the_script_says() {
    let simulator =
        start(answering(Mm7Answer::Status { code: 1100, text: None, details: Some("+2 unknown".into()) }))
            .await;
    let (status, body) = post_ok(&simulator, submit("a", "x", &["+1", "+2"])).await;
    assert_eq!(status, 200);
    assert!(body.contains("<StatusCode>1100</StatusCode>") && body.contains("<Details>+2 unknown</Details>"));

    simulator.set_script(answering(Mm7Answer::Status {
        code: 4006,
        text: Some("later".into()),
        details: None,
    }));
    let (status, body) = post_ok(&simulator, submit("b", "x", &["+1"])).await;
    assert_eq!(status, 200);
    assert!(body.contains("<StatusCode>4006</StatusCode><StatusText>later</StatusText>"), "{body}");
    assert!(body.contains("<MessageID></MessageID>"), "{body}");

    for (http, expected) in [(None, 500), (Some(200), 200)] {
        simulator.set_script(answering(Mm7Answer::Fault { code: 2003, text: None, http }));
        let (status, body) = post_ok(&simulator, submit("c", "x", &["+1"])).await;
        assert_eq!(status, expected);
        assert!(body.contains("<faultcode>env:Client</faultcode>") && body.contains("<RSErrorRsp"), "{body}");
        assert!(body.contains("<StatusCode>2003</StatusCode>"), "{body}");
    }

    simulator.set_script(answering(Mm7Answer::Html { http: 502 }));
    let (status, body) = post_ok(&simulator, submit("d", "x", &["+1"])).await;
    assert_eq!((status, body.starts_with("<html>")), (502, true));
    simulator.set_script(answering(Mm7Answer::Empty));
    assert_eq!(post_ok(&simulator, submit("e", "x", &["+1"])).await, (200, String::new()));

    let accepted: Vec<_> = simulator.received().iter().map(|message| message.accepted).collect();
    assert_eq!(accepted, [true, false, false, false, false, true]);
}

#[tokio::test]
async fn connections_break_where_the_script_says() {
    let simulator = start(Script::default()).await;
    let request = raw(&submit("t", "x", &["+1"]));
    let stages = [
        (Mm7Answer::Disconnect { at: Mm7Stage::BeforeReading }, 0, 0),
        (Mm7Answer::Disconnect { at: Mm7Stage::AfterReading }, 1, 0),
        (Mm7Answer::Disconnect { at: Mm7Stage::MidAnswer }, 2, 1),
    ];
    for (answer, received, accepted) in stages {
        let half = matches!(answer, Mm7Answer::Disconnect { at: Mm7Stage::MidAnswer });
        simulator.set_script(answering(answer));
        let (octets, closed) = exchange(&simulator, &request, PATIENCE).await;
        assert!(closed);
        assert_eq!(octets.starts_with(b"HTTP/1.1 200"), half);
        assert!(!octets.ends_with(b"Envelope>"));
        let counts = simulator.counts();
        assert_eq!((counts.received, counts.accepted), (received, accepted));
    }
    simulator.set_script(answering(Mm7Answer::Garbage));
    let (octets, closed) = exchange(&simulator, &request, PATIENCE).await;
    assert!(closed && !octets.is_empty() && !octets.starts_with(b"HTTP"));
    simulator.set_script(answering(Mm7Answer::Hang));
    let (octets, closed) = exchange(&simulator, &request, SILENCE).await;
    assert!(!closed && octets.is_empty());
}

#[tokio::test]
async fn answers_are_late_or_drip() {
    let mut script = Script::default();
    script.mm7.delay = Delay::fixed(250);
    let simulator = start(script).await;
    let began = Instant::now();
    post_ok(&simulator, submit("a", "x", &["+1"])).await;
    assert!(began.elapsed() >= Duration::from_millis(250));

    let mut script = Script::default();
    script.mm7.drip_octets_per_second = Some(3_000);
    simulator.set_script(script);
    let began = Instant::now();
    let (_, body) = post_ok(&simulator, submit("b", "x", &["+1"])).await;
    assert!(body.contains("1000"));
    assert!(began.elapsed() >= Duration::from_millis(150), "{:?} for {} octets", began.elapsed(), body.len());
}

#[tokio::test]
async fn attempts_of_a_transaction_are_told_apart() {
    let mut script = answering(Mm7Answer::Fault { code: 4006, text: None, http: None });
    script.mm7.fail_first = Some(2);
    let simulator = start(script).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(post_ok(&simulator, submit("same", "x", &["+1"])).await.0);
    }
    statuses.push(post_ok(&simulator, submit("other", "x", &["+1"])).await.0);
    assert_eq!(statuses, [500, 500, 200, 200, 500]);
    let received = simulator.received();
    let attempts: Vec<_> = received.iter().map(|message| message.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 1]);
    assert_eq!(received[2].message_id, received[3].message_id, "a duplicate gets the id of the first");
    assert_ne!(received[0].message_id, received[2].message_id);
    assert_eq!(simulator.counts().duplicates, 1);
}

#[tokio::test]
async fn rules_mix_fates_in_one_run() {
    let refuse = Mm7Behaviour {
        answer: Mm7Answer::Status { code: 2003, text: None, details: None },
        ..Mm7Behaviour::default()
    };
    let rules = vec![
        Rule { recipient: Some("15555550109".into()), mm7: Some(refuse.clone()), ..Rule::default() },
        Rule { subject: Some("third".into()), every: Some(3), mm7: Some(refuse), ..Rule::default() },
    ];
    let simulator = start(Script { rules, ..Script::default() }).await;
    let mut refused = Vec::new();
    for (at, (subject, to)) in
        [("a", "+15555550109/TYPE=PLMN"), ("a", "+1"), ("third", "+1"), ("third", "+1"), ("third", "+1")]
            .into_iter()
            .enumerate()
    {
        let (_, body) = post_ok(&simulator, submit(&format!("t{at}"), subject, &[to])).await;
        refused.push(body.contains("2003"));
    }
    assert_eq!(refused, [true, false, false, false, true]);
}

#[tokio::test]
async fn what_cannot_be_served_is_refused() {
    let limits = LimitConfig { message_octets: 4_000, ..LimitConfig::default() };
    let simulator = Simulator::start(SimConfig { limits, ..SimConfig::default() }).await.unwrap();
    let (status, body) = post_ok(&simulator, "<broken".into()).await;
    assert!(status == 500 && body.contains("<StatusCode>4004</StatusCode>"), "{body}");
    let (_, body) = post_ok(&simulator, submit("", "x", &["+1"])).await;
    assert!(body.contains("<StatusCode>2007</StatusCode>"), "{body}");
    let (_, body) = post_ok(&simulator, envelope("t", &format!("<OddReq xmlns=\"{NS}\"/>"))).await;
    assert!(body.contains("<StatusCode>4003</StatusCode>"), "{body}");
    assert_eq!(post_ok(&simulator, "x".repeat(5_000)).await.0, 413);
    let (octets, closed) = exchange(&simulator, b"BREW /pot\r\n\r\n", PATIENCE).await;
    assert!(closed && octets.starts_with(b"HTTP/1.1 400 "));
    let (octets, _) = exchange(&simulator, b"GET / HTTP/1.1\r\n\r\n", PATIENCE).await;
    assert!(octets.starts_with(b"HTTP/1.1 405 "));
    assert_eq!(simulator.counts().unreadable, 1);
    let problems = &simulator.received()[1].problems;
    assert_eq!(problems, &["TransactionID is missing"]);
}

#[tokio::test]
async fn chunked_and_expecting_clients_are_served() {
    let simulator = start(Script::default()).await;
    let xml = submit("t", "x", &["+1"]);
    let (first, second) = xml.split_at(100);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:X};ext\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    let (octets, closed) = exchange(&simulator, request.as_bytes(), PATIENCE).await;
    let text = String::from_utf8(octets).unwrap();
    assert!(closed && text.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("<StatusCode>1000</StatusCode>"));
}

#[tokio::test]
async fn credentials_are_checked() {
    let auth = HttpAuth::Basic { username: "u".into(), password: "p".into() };
    let mm7 = Mm7Names { auth: Some(auth), ..Mm7Names::default() };
    let simulator = Simulator::start(SimConfig { mm7, ..SimConfig::default() }).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (password, expected) in [("p", 200), ("q", 401)] {
        let url = format!("http://{}/", simulator.mm7_addr);
        let request = client.post(url).basic_auth("u", Some(password)).body(submit("t", "x", &["+1"]));
        assert_eq!(request.send().await.unwrap().status().as_u16(), expected);
    }
    assert_eq!(simulator.counts().received, 1);
}

#[tokio::test]
async fn cancel_and_replace_know_their_messages() {
    let simulator = start(Script::default()).await;
    post_ok(&simulator, submit("t", "x", &["+1"])).await;
    let id = simulator.received()[0].message_id.clone();
    for (operation, id, code) in
        [("Cancel", id.as_str(), 1000), ("Replace", &id, 1000), ("Cancel", "other", 2005)]
    {
        let body = format!(
            "<{operation}Req xmlns=\"{NS}\"><MM7Version>5.3.0</MM7Version><SenderIdentification/>\
             <MessageID>{id}</MessageID></{operation}Req>"
        );
        let (_, answer) = post_ok(&simulator, envelope(&format!("{operation}{code}"), &body)).await;
        assert!(answer.contains(&format!("<{operation}Rsp ")), "{answer}");
        assert!(answer.contains(&format!("<StatusCode>{code}</StatusCode>")), "{answer}");
    }
    assert_eq!(simulator.counts().kinds["CancelReq"], 2);
    assert_eq!(simulator.received()[1].problems, Vec::<String>::new());
}

async fn reporting(script: Script, statuses: &'static [u16]) -> (Simulator, gateway::Taken) {
    let (url, taken) = gateway::http(statuses).await;
    let config = SimConfig { mm7_report_url: Some(url), script, ..SimConfig::default() };
    (Simulator::start(config).await.unwrap(), taken)
}

#[tokio::test]
async fn reports_reach_the_gateway_one_per_recipient() {
    let mut script = Script::default();
    script.mm7.read.send = When::Never;
    let expired = Mm7Behaviour {
        delivery: Plan {
            status: Some("Expired".into()),
            text: Some("gone".into()),
            copies: 2,
            ..Plan::default()
        },
        ..script.mm7.clone()
    };
    script.rules = vec![Rule { recipient: Some("+2".into()), mm7: Some(expired), ..Rule::default() }];
    let (simulator, taken) = reporting(script, &[200]).await;
    post_ok(&simulator, submit("t", "x", &["+15555550101", "+2"])).await;
    let mut reports = taken.wait(3).await;
    reports.sort_by_key(|report| report.contains("Expired"));
    let id = simulator.received()[0].message_id.clone();
    let expected = format!(
        "<DeliveryReportReq xmlns=\"{NS}\"><MM7Version>5.3.0</MM7Version><MMSRelayServerID>mmsc.sim.example\
         </MMSRelayServerID><MessageID>{id}</MessageID><Recipient><Number>+15555550101</Number></Recipient><Sender>\
         <ShortCode>12345</ShortCode></Sender><Date>"
    );
    assert!(reports[0].contains(&expected), "{}", reports[0]);
    assert!(reports[0].contains("<MMStatus>Retrieved</MMStatus></DeliveryReportReq>"), "{}", reports[0]);
    assert!(reports[0].to_lowercase().contains("soapaction: \"\""), "{}", reports[0]);
    assert!(
        reports[1].contains("<MMStatus>Expired</MMStatus><StatusText>gone</StatusText>"),
        "{}",
        reports[1]
    );
    assert_eq!(
        reports[1].split("\r\n\r\n").last(),
        reports[2].split("\r\n\r\n").last(),
        "copies are the same"
    );
    assert!(simulator.wait_until(PATIENCE, |simulator| simulator.counts().reports_ok == 3).await);
    let answers = simulator.report_answers();
    assert!(answers.iter().all(|answer| answer.outcome.status == Some(1000) && answer.message_id == id));
}

#[tokio::test]
async fn read_replies_can_come_before_the_answer() {
    let mut script = Script::default();
    script.mm7.delivery.send = When::Never;
    script.mm7.read = Plan { at_once: true, status: Some("Deleted".into()), ..Plan::default() };
    let (simulator, taken) = reporting(script, &[200]).await;
    post_ok(&simulator, submit("t", "x", &["+1"])).await;
    let reports = taken.all();
    assert_eq!(reports.len(), 1, "it was there before the answer");
    assert!(reports[0].contains("<ReadReplyReq ") && reports[0].contains("<TimeStamp>"), "{}", reports[0]);
    assert!(reports[0].contains("<MMStatus>Deleted</MMStatus>"), "{}", reports[0]);
}

#[tokio::test]
async fn reports_are_tried_again_and_given_up() {
    let mut script = Script { report_retries: 2, report_retry_ms: 10, ..Script::default() };
    script.mm7.read.send = When::Never;
    let (simulator, taken) = reporting(script, &[503, 503, 200, 400]).await;
    post_ok(&simulator, submit("t", "x", &["+1"])).await;
    taken.wait(3).await;
    assert!(simulator.wait_until(PATIENCE, |simulator| simulator.counts().reports_ok == 1).await);
    let attempts: Vec<_> = simulator.report_answers().iter().map(|answer| answer.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
    post_ok(&simulator, submit("u", "x", &["+1"])).await;
    assert!(simulator.wait_until(PATIENCE, |simulator| simulator.counts().reports_failed == 1).await);
    assert_eq!(simulator.report_answers().len(), 4, "a refusal is final");
    assert_eq!(simulator.counts().report_tries_failed, 3);
}

#[tokio::test]
async fn silence_duplicates_and_missing_targets_send_nothing() {
    let mut script = Script::default();
    script.mm7.delivery.send = When::Never;
    script.mm7.read.send = When::Never;
    let (simulator, taken) = reporting(script, &[200]).await;
    post_ok(&simulator, submit("t", "x", &["+1"])).await;
    simulator.set_script(Script::default());
    post_ok(&simulator, submit("t", "x", &["+1"])).await;
    tokio::time::sleep(SILENCE).await;
    assert_eq!(taken.all(), Vec::<String>::new());
    assert_eq!(simulator.counts().reports_queued, 0);

    let alone = start(Script::default()).await;
    post_ok(&alone, submit("t", "x", &["+1"])).await;
    assert!(alone.wait_until(PATIENCE, |alone| alone.counts().reports_without_target == 2).await);
    alone.shutdown().await;
}
