//! The MM7 listener: answers requests as the script says, records them, and plans the reports.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::http::{Connection, HttpError, Request};
use super::soap::{self, Soap};
use super::write::{self, Dialect, Status};
use crate::mail;
use crate::outbox::{self, Errand, Payload, Planned};
use crate::record::{Protocol, Received, Sighting, blank};
use crate::script::{Decision, Mm7Answer, Mm7Stage, Plan};
use crate::shared::Shared;

/// Serves one connection until it closes.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let idle = shared.config.limits.idle();
    let mut connection = Connection::new(stream);
    loop {
        match tokio::time::timeout(idle, connection.wait()).await {
            Ok(Ok(true)) if !breaks_before_reading(&shared) => {}
            _ => return,
        }
        let reading = connection.read(shared.config.limits.message_octets);
        let written = match tokio::time::timeout(idle, reading).await {
            Ok(Ok(request)) => answer(&shared, &mut connection, request).await,
            Ok(Err(HttpError::TooLarge)) => refuse(&mut connection, 413).await,
            Ok(Err(HttpError::Malformed(_))) => refuse(&mut connection, 400).await,
            Ok(Err(HttpError::Closed | HttpError::Io(_))) | Err(_) => return,
        };
        match written {
            Ok(Next::Open) => {}
            Ok(Next::Close) | Err(_) => return,
        }
    }
}

/// What becomes of the connection.
enum Next {
    Open,
    Close,
}

/// A request that was read, with what was decided about it.
struct Turn<'a> {
    soap: Option<Soap>,
    dialect: Dialect,
    decision: Decision<'a>,
    sighting: Sighting,
    seq: u64,
    message_id: String,
    answer: Mm7Answer,
    problems: Vec<String>,
}

impl Turn<'_> {
    /// Whether the carrier takes responsibility.
    fn accepts(&self) -> bool {
        accepts(&self.answer)
    }

    fn transaction(&self) -> &str {
        self.soap.as_ref().map_or("", |soap| &soap.transaction_id)
    }

    fn is_submit(&self) -> bool {
        self.soap.as_ref().is_some_and(|soap| soap.operation == "SubmitReq")
    }

    fn is_duplicate(&self) -> bool {
        self.sighting.accepted_as.is_some()
    }
}

/// Whether the carrier takes responsibility by this answer.
fn accepts(answer: &Mm7Answer) -> bool {
    match answer {
        Mm7Answer::Ok | Mm7Answer::Empty | Mm7Answer::Disconnect { at: Mm7Stage::MidAnswer } => true,
        Mm7Answer::Status { code, .. } => (1000..2000).contains(code),
        _ => false,
    }
}

fn breaks_before_reading(shared: &Shared) -> bool {
    let live = shared.script();
    let behaviour = &live.script.mm7;
    if behaviour.answer != (Mm7Answer::Disconnect { at: Mm7Stage::BeforeReading }) {
        return false;
    }
    let attempt = shared.recorder.sight("mm7 before reading", "").attempt;
    behaviour.fail_first.is_none_or(|first| attempt <= first)
}

async fn answer(
    shared: &Arc<Shared>,
    connection: &mut Connection,
    request: Request,
) -> std::io::Result<Next> {
    if let Some(auth) = &shared.config.mm7.auth
        && request.header("Authorization") != Some(&auth.header())
    {
        return refuse(connection, 401).await;
    }
    if request.method != "POST" {
        return refuse(connection, 405).await;
    }
    let next = if request.keep_alive { Next::Open } else { Next::Close };
    let live = shared.script();
    let turn = decide(shared, &live, &request);
    let planned = if turn.accepts() && turn.is_submit() && !turn.is_duplicate() {
        reports(shared, &turn)
    } else {
        Vec::new()
    };
    let behaviour = turn.decision.mm7();
    let (wait, drip) = (behaviour.delay.draw(), behaviour.drip_octets_per_second);
    record(shared, &turn, request);
    outbox::send_at_once(shared, &planned).await;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let written = match &turn.answer {
        Mm7Answer::Hang => connection.wait_for_end().await.map(|()| Next::Close),
        Mm7Answer::Disconnect { at: Mm7Stage::MidAnswer } => {
            let whole = response(&turn);
            connection.write(&whole[..whole.len() / 2], drip).await.map(|()| Next::Close)
        }
        Mm7Answer::Disconnect { .. } => Ok(Next::Close),
        Mm7Answer::Garbage => connection.write(GARBAGE, drip).await.map(|()| Next::Close),
        _ => connection.write(&response(&turn), drip).await.map(|()| next),
    };
    outbox::queue(shared, planned);
    written
}

/// Reads the request and decides what to do with it.
fn decide<'a>(shared: &Shared, live: &'a crate::script::LiveScript, request: &Request) -> Turn<'a> {
    let content_type = request.header("Content-Type").unwrap_or("text/xml");
    let read = soap::root(content_type, &request.body).and_then(soap::read);
    let own = Dialect {
        namespace: shared.config.mm7.namespace.clone(),
        version: shared.config.mm7.version.clone(),
    };
    let dialect = Dialect::of(read.as_ref().ok(), &own);
    let seq = shared.recorder.next_seq();
    let (soap, problems) = match read {
        Ok(soap) => {
            let problems = soap.problems();
            (Some(soap), problems)
        }
        Err(error) => (None, vec![error.to_string()]),
    };
    let all = soap.as_ref().map(|soap| soap.recipients.concat()).unwrap_or_default();
    let subject = soap.as_ref().and_then(|soap| soap.field("Subject"));
    let operation = soap.as_ref().map(|soap| soap.operation.as_str());
    let decision = live.decide(operation, Some(subject.unwrap_or_default()), &all, |rule| rule.mm7.is_some());
    let sighting = match &soap {
        Some(soap) if !soap.transaction_id.is_empty() => shared.recorder.sight("mm7", &soap.transaction_id),
        _ => Sighting { attempt: 1, accepted_as: None, named: None },
    };
    let answer = match must_refuse(shared, soap.as_ref()) {
        Some(refusal) => refusal,
        None => match effective(&decision, sighting.attempt) {
            answer if live.script.keeps_word && sighting.accepted_as.is_some() && is_refusal(&answer) => {
                Mm7Answer::Ok
            }
            answer => answer,
        },
    };
    let message_id = match &soap {
        Some(soap) if makes_message(&soap.operation) => {
            let number =
                if accepts(&answer) { shared.recorder.name("mm7", &soap.transaction_id, seq) } else { seq };
            shared.message_id(sighting.accepted_as.unwrap_or(number))
        }
        Some(soap) => soap.field("MessageID").unwrap_or_default().to_owned(),
        None => String::new(),
    };
    Turn { soap, dialect, decision, sighting, seq, message_id, answer, problems }
}

/// Whether the response names a message that came to be.
fn makes_message(operation: &str) -> bool {
    matches!(operation, "SubmitReq" | "extendedReplaceReq")
}

fn is_refusal(answer: &Mm7Answer) -> bool {
    match answer {
        Mm7Answer::Status { code, .. } => *code >= 2000,
        Mm7Answer::Fault { .. } => true,
        _ => false,
    }
}

fn effective(decision: &Decision<'_>, attempt: u32) -> Mm7Answer {
    let behaviour = decision.mm7();
    if behaviour.fail_first.is_some_and(|first| attempt > first) {
        return Mm7Answer::Ok;
    }
    match &behaviour.answer {
        // Had its chance before the request was read.
        Mm7Answer::Disconnect { at: Mm7Stage::BeforeReading } => Mm7Answer::Ok,
        answer => answer.clone(),
    }
}

/// What no script can make acceptable (TS 23.140 clause 8.7, status codes).
fn must_refuse(shared: &Shared, soap: Option<&Soap>) -> Option<Mm7Answer> {
    let fault = |code, text: &str| Some(Mm7Answer::Fault { code, text: Some(text.into()), http: None });
    let Some(soap) = soap else { return fault(4004, "the message cannot be read") };
    if soap.transaction_id.is_empty() {
        return fault(2007, "TransactionID is missing");
    }
    match soap.operation.as_str() {
        "SubmitReq" if soap.recipients.iter().all(Vec::is_empty) => fault(2007, "there is no recipient"),
        "SubmitReq" | "extendedCancelReq" | "extendedReplaceReq" => None,
        "CancelReq" | "ReplaceReq" => {
            let known = soap.field("MessageID").is_some_and(|id| shared.is_own_id(id));
            let text = Some("Message ID Not found".to_owned());
            (!known).then_some(Mm7Answer::Status { code: 2005, text, details: None })
        }
        // To whom submitted the message, and nobody else.
        "DeliveryReportReq" | "ReadReplyReq" => {
            let known = soap.field("MessageID").is_some_and(|id| shared.submitted.lock().contains(id));
            let text = Some("Message ID Not found".to_owned());
            (!known).then_some(Mm7Answer::Status { code: 2005, text, details: None })
        }
        _ => fault(4003, "Unsupported operation"),
    }
}

fn record(shared: &Shared, turn: &Turn<'_>, request: Request) {
    let octets = request.body.len();
    let accepted = turn.accepts();
    if accepted {
        shared.recorder.settle("mm7", turn.transaction(), turn.seq);
    }
    let kind = turn.soap.as_ref().map(|soap| soap.operation.clone()).unwrap_or_default();
    let mut message = Received { kind, accepted, ..blank(Protocol::Mm7, turn.seq) };
    if shared.recorder.keeps_messages() {
        fill(&mut message, turn, request);
    }
    shared.recorder.keep(message, octets, turn.is_duplicate());
}

fn fill(message: &mut Received, turn: &Turn<'_>, request: Request) {
    message.attempt = turn.sighting.attempt;
    message.problems.clone_from(&turn.problems);
    message.message_id.clone_from(&turn.message_id);
    let content_type = request.header("Content-Type").unwrap_or("text/xml").to_owned();
    if let Ok(root) = soap::root(&content_type, &request.body) {
        message.xml = Some(String::from_utf8_lossy(root).into_owned());
    }
    if let Some(soap) = &turn.soap {
        message.transaction_id.clone_from(&soap.transaction_id);
        message.fields.clone_from(&soap.fields);
        message.subject = soap.fields.get("Subject").cloned();
        message.sender.clone_from(&soap.sender);
        let [to, cc, bcc] = soap.recipients.clone();
        (message.to, message.cc, message.bcc) = (to, cc, bcc);
    }
    if content_type.to_ascii_lowercase().trim_start().starts_with("multipart/") {
        let whole = [b"Content-Type: ", content_type.as_bytes(), b"\r\n\r\n", &request.body].concat();
        match mail::leaves(&whole) {
            Ok(parts) => {
                let start = mailparse::parse_content_type(&content_type).params.get("start").cloned();
                message.parts = without_root(parts, start.as_deref().map(mail::bare));
            }
            Err(error) => message.problems.push(error.to_string()),
        }
    }
    message.headers = request.headers;
    message.raw = request.body;
}

/// Media without the SOAP part: the one that `start` names, else the first.
fn without_root(
    mut parts: Vec<crate::record::ReceivedPart>,
    start: Option<&str>,
) -> Vec<crate::record::ReceivedPart> {
    let named =
        start.and_then(|start| parts.iter().position(|part| part.content_id.as_deref() == Some(start)));
    let root = named.unwrap_or(0);
    if root < parts.len() {
        parts.remove(root);
    }
    parts
}

fn response(turn: &Turn<'_>) -> Vec<u8> {
    let operation = turn.soap.as_ref().map_or("", |soap| &soap.operation);
    let rsp = |code, text, details| {
        let status = Status::new(code, text, details);
        // The schema wants a MessageID in every SubmitRsp, an empty one where there is none.
        let id = if turn.accepts() { turn.message_id.as_str() } else { "" };
        let id = makes_message(operation).then_some(id);
        http(
            200,
            "text/xml; charset=utf-8",
            &write::response(&turn.dialect, turn.transaction(), operation, status, id),
        )
    };
    match &turn.answer {
        Mm7Answer::Status { code, text, details } => rsp(*code, text.as_deref(), details.as_deref()),
        Mm7Answer::Fault { code, text, http: status } => {
            let fault =
                write::fault(&turn.dialect, turn.transaction(), Status::new(*code, text.as_deref(), None));
            http(status.unwrap_or(500), "text/xml; charset=utf-8", &fault)
        }
        Mm7Answer::Html { http: status } => http(*status, "text/html", HTML),
        Mm7Answer::Empty => http(200, "text/xml; charset=utf-8", ""),
        _ => rsp(1000, None, None),
    }
}

async fn refuse(connection: &mut Connection, status: u16) -> std::io::Result<Next> {
    let answer = http(status, "text/html", HTML);
    connection.write(&answer, None).await?;
    Ok(Next::Close)
}

fn http(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    let reason = ::http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    let reason = reason.unwrap_or("Status");
    let challenge = if status == 401 { "WWW-Authenticate: Basic realm=\"mm7\"\r\n" } else { "" };
    // Refusals below SOAP end the connection, since a body may be unread.
    let connection = if matches!(status, 400 | 401 | 405 | 413) { "Connection: close\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         {challenge}{connection}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The reports a message leads to, per recipient.
fn reports(shared: &Shared, turn: &Turn<'_>) -> Vec<Planned> {
    let Some(soap) = &turn.soap else { return Vec::new() };
    let mut planned = Vec::new();
    for recipient in soap.recipients.iter().flatten() {
        let behaviour = turn.decision.mm7_for(recipient);
        if behaviour.delivery.wanted(soap.flag("DeliveryReport")) {
            planned.push(report(shared, turn, soap, recipient, &DELIVERY, &behaviour.delivery));
        }
        if behaviour.read.wanted(soap.flag("ReadReply")) {
            planned.push(report(shared, turn, soap, recipient, &READ, &behaviour.read));
        }
    }
    planned
}

/// What sets the two kinds of report apart.
struct ReportKind {
    operation: &'static str,
    date: &'static str,
    status: &'static str,
}

const DELIVERY: ReportKind = ReportKind { operation: "DeliveryReportReq", date: "Date", status: "Retrieved" };
const READ: ReportKind = ReportKind { operation: "ReadReplyReq", date: "TimeStamp", status: "Read" };

fn report(
    shared: &Shared,
    turn: &Turn<'_>,
    soap: &Soap,
    recipient: &str,
    kind: &ReportKind,
    plan: &Plan,
) -> Planned {
    let transaction = shared.fresh_id();
    let optional = |name, text: Option<&str>| text.map(|text| write::element(name, text)).unwrap_or_default();
    let (applic, reply) = (soap.field("ApplicID"), soap.field("ReplyApplicID"));
    let back = reply.filter(|reply| Some(*reply) != applic).and(applic);
    let children = [
        write::element("MMSRelayServerID", &shared.config.mm7.relay_server_id),
        write::element("MessageID", &turn.message_id),
        write::address("Recipient", recipient),
        write::address("Sender", soap.sender.as_deref().unwrap_or_default()),
        write::element(kind.date, &crate::clock::iso()),
        write::element("MMStatus", plan.status.as_deref().unwrap_or(kind.status)),
        optional(
            "MMStatusExtension",
            plan.extension.as_deref().filter(|_| kind.operation == DELIVERY.operation),
        ),
        optional("StatusText", plan.text.as_deref()),
        optional("ApplicID", reply.or(applic)),
        optional("ReplyApplicID", back),
        optional("AuxApplicInfo", soap.field("AuxApplicInfo")),
    ];
    let body = write::request(&turn.dialect, &transaction, kind.operation, &children.concat());
    let errand = Errand {
        kind: kind.operation,
        transaction_id: transaction,
        message_id: turn.message_id.clone(),
        recipient: recipient.to_owned(),
        payload: Payload::Soap { content_type: "text/xml; charset=utf-8".into(), body: body.into() },
    };
    (plan.clone(), errand)
}

const HTML: &str = "<html><head><title>Error</title></head><body><h1>Something is wrong</h1></body></html>\n";
const GARBAGE: &[u8] = b"\x00\xff\x15\x03 this is no answer \xfe\r\n\r\n\x80";
