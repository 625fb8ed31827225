//! How captured requests and responses are understood, for people: HTTP bodies with or without their head, or an
//! envelope alone.

use bytes::Bytes;
use mmsgw_mm7::{
    Context, ErrorSide, Limits, Message, Namespace, Pdu, ReadError, ReadErrorKind, Request, Status,
    WriteOptions, read_request, read_response, write_envelope, write_fault,
};
use quick_xml::events::{BytesStart, Event};

use mmsgw_mime::reading::{Field, Reading, differences, parts};

/// Reads a capture; `content_type` in place of the one that it states.
pub fn parse(octets: Bytes, content_type: Option<&str>) -> Reading {
    let (stated, body) = body(&octets);
    let content_type = content_type.map(str::to_owned).or(stated).or_else(|| boundary(&body));
    let capture = envelope(&body);
    match read_request(content_type.as_deref(), body.clone(), &Limits::default()) {
        Ok(request) => request_reading(&request, &capture),
        Err(error) => match read_response(content_type.as_deref(), body, &Limits::default()) {
            Ok(response) => {
                let message = Message {
                    transaction_id: response.transaction_id.clone().unwrap_or_default(),
                    namespace: response.namespace.clone(),
                    version: response.version.clone(),
                    pdu: response.pdu.clone(),
                };
                let answer = "none: it is a response".to_owned();
                Reading { answer: Some(answer), ..understood(&message, &capture) }
            }
            Err(_) => unreadable(&error),
        },
    }
}

/// The Content-Type that is stated, and what stands behind it.
fn body(octets: &Bytes) -> (Option<String>, Bytes) {
    let text = String::from_utf8_lossy(&octets[..octets.len().min(64 << 10)]);
    let text = text.trim_start();
    if text.starts_with('<') || text.starts_with("--") {
        return (None, octets.clone());
    }
    let (end, gap) = match (text.find("\r\n\r\n"), text.find("\n\n")) {
        (Some(at), _) => (at, 4),
        (None, Some(at)) => (at, 2),
        (None, None) => return (None, octets.clone()),
    };
    let head = text[..end].replace("\r\n ", " ").replace("\r\n\t", " ");
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let stated = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-type"));
    let skipped = octets.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    let start = (skipped + end + gap).min(octets.len());
    (stated.map(|(_, value)| value.trim().to_owned()), octets.slice(start..))
}

/// A multipart without its head says its boundary in the first line.
fn boundary(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(1_000)]);
    let line = text.trim_start().lines().next()?.trim_end();
    let boundary = line.strip_prefix("--")?;
    Some(format!("multipart/related; type=\"text/xml\"; boundary=\"{boundary}\""))
}

/// The leaves and attributes of the envelope; nothing where it is no XML of UTF-8.
fn envelope(body: &[u8]) -> Vec<Field> {
    let text = String::from_utf8_lossy(body);
    let Some(end) = text.rfind("Envelope>").map(|at| at + "Envelope>".len()) else { return Vec::new() };
    let Some(name) = text.find("Envelope") else { return Vec::new() };
    let start = text[..name].rfind('<').unwrap_or(0);
    fields(&text[start..end])
}

fn request_reading(request: &Request, capture: &[Field]) -> Reading {
    let message = &request.message;
    let rsp = message.pdu.response(Status::of(1000), Some("ID-OF-THE-MESSAGE".into()));
    let rsp = rsp.map(|pdu| write_envelope(&message.answer(pdu), &WriteOptions::default()));
    let answer = match rsp {
        Some(Ok(envelope)) => String::from_utf8_lossy(&envelope).into_owned(),
        Some(Err(error)) => format!("none that can be written: {error}"),
        None => "none: it is no request".to_owned(),
    };
    Reading { parts: parts(request.content.as_ref()), answer: Some(answer), ..understood(message, capture) }
}

/// What a message says, written again in the last namespace, which has every element.
fn understood(message: &Message, capture: &[Field]) -> Reading {
    let mut reading = Reading { pdu: Some(message.pdu.name().to_owned()), ..Reading::default() };
    let latest = Message { namespace: Namespace::LATEST, ..message.clone() };
    let written = write_envelope(&latest, &WriteOptions::default());
    let fields = written.map(|octets| fields(&String::from_utf8_lossy(&octets)));
    reading.fields = vec![Field::new("namespace", message.namespace.uri())];
    match fields {
        Ok(fields) => {
            if capture.is_empty() {
                reading.tolerated = vec!["the envelope is not XML in UTF-8".into()];
            } else {
                reading.tolerated = differences(capture, &fields);
            }
            reading.fields.extend(fields);
        }
        Err(error) => {
            reading.tolerated = vec![format!("the standard has no such message: {error}")];
            reading.fields.extend(capture.iter().cloned());
        }
    }
    if let Pdu::Fault(fault) = &message.pdu {
        reading.pdu = Some(format!("Fault ({})", fault.side.element()));
    }
    reading
}

/// Elements with text, and attributes, in order, without their namespaces.
fn fields(xml: &str) -> Vec<Field> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut found, mut text, mut names) = (Vec::new(), String::new(), Vec::new());
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                attributes(&start, &mut found);
                names.push(local(&start));
                text.clear();
            }
            Ok(Event::Empty(start)) => attributes(&start, &mut found),
            Ok(Event::Text(more)) => text.push_str(&more.decode().unwrap_or_default()),
            Ok(Event::CData(more)) => text.push_str(&more.decode().unwrap_or_default()),
            Ok(Event::GeneralRef(entity)) => {
                let reference = format!("&{};", entity.decode().unwrap_or_default());
                text.push_str(&quick_xml::escape::unescape(&reference).unwrap_or_default());
            }
            Ok(Event::End(_)) => {
                let (name, value) = (names.pop().unwrap_or_default(), std::mem::take(&mut text));
                if !value.trim().is_empty() {
                    found.push(Field::new(name, value.trim()));
                }
            }
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

fn local(start: &BytesStart<'_>) -> String {
    String::from_utf8_lossy(start.local_name().as_ref()).into_owned()
}

fn attributes(start: &BytesStart<'_>, found: &mut Vec<Field>) {
    let element = local(start);
    for attribute in start.attributes().flatten() {
        let key = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
        let name = key.rsplit(':').next().unwrap_or_default();
        let is_of_xml =
            key.starts_with("xmlns") || matches!(name, "mustUnderstand" | "encodingStyle" | "actor");
        if !is_of_xml {
            let raw = String::from_utf8_lossy(&attribute.value).into_owned();
            let value =
                quick_xml::escape::unescape(&raw).map_or_else(|_| raw.clone(), std::borrow::Cow::into_owned);
            found.push(Field::new(format!("{element}/{name}"), value));
        }
    }
}

fn unreadable(error: &ReadError) -> Reading {
    let context: &Context = &error.context;
    let fault = write_fault(error.fault_kind(), None, context, ErrorSide::Vasp);
    let answer = match error.kind {
        ReadErrorKind::Empty => "none: there is nothing".to_owned(),
        _ => String::from_utf8_lossy(&fault).into_owned(),
    };
    Reading {
        pdu: context.operation.clone(),
        fault: Some(error.to_string()),
        answer: Some(answer),
        ..Reading::default()
    }
}
