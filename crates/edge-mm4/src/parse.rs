//! How a captured mail is understood, for people.

use bytes::Bytes;
use mmsgw_mime::write::Entity;
use mmsgw_mm4::{Echo, IdStyle, Kind, Pdu, ReadError, Reason, RequestStatus, Word, WriteError, WriteOptions};

use mmsgw_mime::reading::{Field, Reading, differences, parts};

/// Reads a mail. What stood before it on the wire (MAIL FROM, RCPT TO, DATA) is passed over.
pub fn parse(octets: Bytes) -> Reading {
    let mail = octets.slice(start(&octets)..);
    let capture = headers(&mail);
    let received = match mmsgw_mm4::read(mail, &mmsgw_mime::Limits::DEFAULT) {
        Ok(received) => received,
        Err(error) => return unreadable(&error),
    };
    let pdu = &received.pdu;
    let mut reading = Reading {
        pdu: Some(pdu.kind().as_str().to_owned()),
        parts: parts(received.content.as_ref()),
        answer: Some(answer(pdu)),
        ..Reading::default()
    };
    match written(pdu) {
        Ok(written) => {
            let subject = match pdu {
                Pdu::ForwardReq(req) => req.subject.clone(),
                _ => None,
            };
            let is_mms =
                |field: &Field| !MAIL_HEADERS.iter().any(|name| field.name.eq_ignore_ascii_case(name));
            let understood: Vec<Field> = headers(&written).into_iter().filter(is_mms).collect();
            let capture: Vec<Field> = capture.into_iter().filter(is_mms).collect();
            // A subject has many spellings of the same letters.
            let compared = |fields: &[Field]| -> Vec<Field> {
                fields.iter().filter(|field| !field.name.eq_ignore_ascii_case("Subject")).cloned().collect()
            };
            reading.tolerated = differences(&compared(&capture), &compared(&understood));
            reading.fields = understood;
            let subjects = reading.fields.iter_mut().filter(|field| field.name == "Subject");
            subjects.for_each(|field| field.value = subject.clone().unwrap_or_default());
        }
        Err(error) => {
            reading.fields = vec![Field::new("X-Mms-Message-Type", pdu.kind().as_str())];
            reading.tolerated = vec![format!("the standard has no such mail: {error}")];
        }
    }
    reading
}

/// Where the mail begins.
fn start(octets: &[u8]) -> usize {
    let text = String::from_utf8_lossy(&octets[..octets.len().min(64 << 10)]);
    let dialogue = text.starts_with("MAIL FROM:").then(|| text.find("\nDATA\r\n").map(|at| at + 7)).flatten();
    dialogue.unwrap_or_else(|| octets.iter().take_while(|octet| octet.is_ascii_whitespace()).count())
}

/// The headers, unfolded.
fn headers(mail: &[u8]) -> Vec<Field> {
    let text = String::from_utf8_lossy(mail);
    let mut fields: Vec<Field> = Vec::new();
    for line in text.split('\n').map(|line| line.trim_end_matches('\r')).take_while(|line| !line.is_empty()) {
        match (line.starts_with([' ', '\t']), line.split_once(':'), fields.last_mut()) {
            (true, _, Some(last)) => {
                let more = line.trim();
                let gap = if last.value.is_empty() || more.is_empty() { "" } else { " " };
                last.value.push_str(gap);
                last.value.push_str(more);
            }
            (_, Some((name, value)), _) => fields.push(Field::new(name.trim(), value.trim())),
            _ => {}
        }
    }
    fields
}

/// The PDU as the standard has it, ids as they came.
fn written(pdu: &Pdu) -> Result<Vec<u8>, WriteError> {
    let version = pdu.head().version.unwrap_or(WriteOptions::default().version);
    let options = WriteOptions { version, id_style: IdStyle::AsIs, ..WriteOptions::default() };
    match pdu {
        Pdu::ForwardReq(req) => req.write_head(&nobody(), &options),
        Pdu::DeliveryReportReq(report) => report.write(&options),
        Pdu::ReadReplyReportReq(report) => report.write(&options),
        Pdu::ForwardRes(res) | Pdu::DeliveryReportRes(res) | Pdu::ReadReplyReportRes(res) => {
            let Kind::Res(kind) = pdu.kind() else { return Err(WriteError::Missing("X-Mms-Message-Type")) };
            res.write(kind, &options)
        }
    }
}

fn nobody() -> Entity {
    Entity {
        content_type: "text/plain".into(),
        transfer: None,
        content_id: None,
        content_location: None,
        body: Bytes::new(),
    }
}

fn answer(pdu: &Pdu) -> String {
    let echo = pdu.echo();
    match (pdu.kind().answer(), echo.ack_request) {
        (None, _) => "none: an answer is not answered".into(),
        (Some(_), false) => "none: no acknowledgement is asked for".into(),
        (Some(_), true) => res(&echo, RequestStatus::Ok),
    }
}

fn res(echo: &Echo, status: RequestStatus) -> String {
    let Some((kind, res)) = echo.res(status) else { return "none: it is no request".into() };
    let to = res.to.as_deref().unwrap_or("nobody, as no address is given");
    format!("{} with {} to {to}", Kind::Res(kind).as_str(), res.status.as_str())
}

fn unreadable(error: &ReadError) -> Reading {
    let answer = match &error.reason {
        Reason::NotMm4 => "none: it is no mail of MM4".to_owned(),
        Reason::UnknownType(_) => "Error-unsupported-message, where it asks for an answer".to_owned(),
        _ => res(&error.echo, RequestStatus::ErrorMessageFormatCorrupt),
    };
    Reading { fault: Some(error.to_string()), answer: Some(answer), ..Reading::default() }
}

/// Headers of mails that say nothing about the message, or are told as its parts.
const MAIL_HEADERS: [&str; 6] = [
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-ID",
    "Content-Location",
    "MIME-Version",
    "Received",
];
