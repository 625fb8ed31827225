//! HTTP bodies to MM7 messages: tolerant of everything that peers were seen to send, within limits.
//!
//! Content is judged before any header is believed: what starts with `<` is XML whatever its
//! Content-Type says. Errors carry what could be read, so that the request can be answered in its own
//! words.

use bytes::Bytes;
use mmsgw_mime::{Entity, read_parts};
use thiserror::Error;

use crate::attachment::{self, Parts};
use crate::charset;
use crate::limits::Limits;
use crate::pdu::{Message, MissingElement, Pdu};
use crate::soap::{self, Envelope};
use crate::status::Status;
use crate::version::Namespace;
use crate::xml::{Document, Element, XmlError};

/// What is known of a message beyond its PDU; enough to answer it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context {
    /// `TransactionID`, trimmed; none if missing or empty.
    pub transaction_id: Option<String>,
    /// Namespace of the body entry, else of the TransactionID.
    pub namespace: Option<Namespace>,
    /// `MM7Version`.
    pub version: Option<String>,
    /// Local name of the body entry.
    pub operation: Option<String>,
}

impl From<&Message> for Context {
    fn from(message: &Message) -> Self {
        Self {
            transaction_id: Some(message.transaction_id.clone()),
            namespace: Some(message.namespace.clone()),
            version: Some(message.version.clone()),
            operation: Some(message.pdu.name().to_owned()),
        }
    }
}

/// A body that is no MM7 message, and what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind}")]
pub struct ReadError {
    /// What is wrong.
    pub kind: ReadErrorKind,
    /// What could be read all the same.
    pub context: Box<Context>,
}

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadErrorKind {
    /// There is no body, or only white space. Some peers answer so on success.
    #[error("the body is empty")]
    Empty,
    /// HTML or other text.
    #[error("not XML: {excerpt}")]
    NotXml {
        /// Its first characters, without control characters.
        excerpt: String,
    },
    /// XML that is ill-formed or over a limit.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The multipart around the XML is over a limit.
    #[error(transparent)]
    Mime(#[from] mmsgw_mime::ReadError),
    /// XML, but no SOAP.
    #[error("not a SOAP envelope but {root}")]
    NotSoap {
        /// Name of the root element.
        root: String,
    },
    /// An Envelope that is neither SOAP 1.1 nor 1.2.
    #[error("envelope of unknown namespace {namespace}")]
    WrongEnvelope {
        /// Its namespace.
        namespace: String,
    },
    /// A header block says mustUnderstand and is not understood (SOAP 1.1 clause 4.2.3).
    #[error("header block {block} is not understood")]
    MustUnderstand {
        /// Name of the block.
        block: String,
    },
    /// A request without TransactionID.
    #[error("TransactionID is missing")]
    MissingTransactionId,
    /// The body entry is in a namespace that is not MM7's.
    #[error("unknown namespace {namespace}")]
    UnknownNamespace {
        /// The namespace.
        namespace: String,
    },
    /// The body entry is no PDU of MM7.
    #[error("unknown operation {name}")]
    UnknownOperation {
        /// Name of the entry.
        name: String,
    },
    /// An element is missing without which the PDU means nothing.
    #[error("{field} is missing")]
    Missing {
        /// Name of the element.
        field: &'static str,
    },
    /// A response came where a request was expected, or the other way round.
    #[error("{name} was not expected here")]
    Unexpected {
        /// Name of the PDU.
        name: &'static str,
    },
}

impl From<MissingElement> for ReadErrorKind {
    fn from(missing: MissingElement) -> Self {
        Self::Missing { field: missing.0 }
    }
}

/// A request and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The message.
    pub message: Message,
    /// The content that came with it: one part, or a tree. Parts that lie flat beside the SOAP part are
    /// gathered in a `multipart/mixed`. None if only XML came.
    pub content: Option<Entity>,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// `TransactionID`; none if the peer left it out. Whether it is the one asked for is for the caller
    /// to see.
    pub transaction_id: Option<String>,
    /// Namespace that the peer used; the latest if it used none.
    pub namespace: Namespace,
    /// `MM7Version`; empty if the peer sent none.
    pub version: String,
    /// The response or fault.
    pub pdu: Pdu,
}

impl Response {
    /// Whether everything asked for was done: an ordinary response with a status of class 1xxx, no fault.
    pub fn is_success(&self) -> bool {
        !matches!(self.pdu, Pdu::Fault(_)) && self.status().is_success()
    }

    /// Outcome of the request.
    pub fn status(&self) -> &Status {
        self.pdu.status().expect("read_response lets only responses and faults through")
    }

    /// MessageID, if one was given.
    pub fn message_id(&self) -> Option<&str> {
        self.pdu.message_id()
    }
}

/// Reads a request: the XML, and the content that it refers to.
///
/// # Errors
/// The body is not a request that can be read; [`ReadError::fault_kind`] says how to answer it.
pub fn read_request(content_type: Option<&str>, body: Bytes, limits: &Limits) -> Result<Request, ReadError> {
    let mut context = Context::default();
    let read = request(content_type, body, limits, &mut context);
    read.map_err(|kind| ReadError { kind, context: Box::new(context) })
}

/// Reads what a peer answered, whatever the HTTP status: an ordinary response or a fault.
///
/// # Errors
/// The body is neither; [`ReadErrorKind::Empty`] and [`ReadErrorKind::NotXml`] tell those from broken XML.
pub fn read_response(
    content_type: Option<&str>,
    body: Bytes,
    limits: &Limits,
) -> Result<Response, ReadError> {
    let mut context = Context::default();
    let read = response(content_type, body, limits, &mut context);
    read.map_err(|kind| ReadError { kind, context: Box::new(context) })
}

fn request(
    content_type: Option<&str>,
    body: Bytes,
    limits: &Limits,
    context: &mut Context,
) -> Result<Request, ReadErrorKind> {
    let parts = Parts::find(content_type, body, limits)?;
    let document = parse(&parts.soap, parts.charset.as_deref(), limits)?;
    let envelope = Envelope::open(document.root(), context)?;
    if let Some(block) = envelope.must_understand {
        return Err(ReadErrorKind::MustUnderstand { block });
    }
    let pdu = read_entry(envelope.entry)?;
    if !pdu.is_request() {
        return Err(ReadErrorKind::Unexpected { name: pdu.name() });
    }
    let transaction_id = context.transaction_id.clone().ok_or(ReadErrorKind::MissingTransactionId)?;
    let content = attachment::content(parts.others, &pdu);
    let namespace = context.namespace.clone().unwrap_or_default();
    let version = context.version.clone().unwrap_or_default();
    Ok(Request { message: Message { transaction_id, namespace, version, pdu }, content })
}

fn response(
    content_type: Option<&str>,
    body: Bytes,
    limits: &Limits,
    context: &mut Context,
) -> Result<Response, ReadErrorKind> {
    let parts = Parts::find(content_type, body, limits)?;
    let document = parse(&parts.soap, parts.charset.as_deref(), limits)?;
    let envelope = Envelope::open(document.root(), context)?;
    let pdu = read_entry(envelope.entry)?;
    if pdu.is_request() {
        return Err(ReadErrorKind::Unexpected { name: pdu.name() });
    }
    Ok(Response {
        transaction_id: context.transaction_id.clone(),
        namespace: context.namespace.clone().unwrap_or_default(),
        version: context.version.clone().unwrap_or_default(),
        pdu,
    })
}

fn parse(octets: &[u8], charset: Option<&str>, limits: &Limits) -> Result<Document, ReadErrorKind> {
    if octets.len() > limits.xml_octets {
        return Err(XmlError::TooLarge { limit: limits.xml_octets }.into());
    }
    let text = charset::decode(octets, charset);
    let start = text.trim_start();
    if start.is_empty() {
        return Err(ReadErrorKind::Empty);
    }
    let is_html = ["<!doctype html", "<html"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag)));
    if is_html || !start.starts_with('<') {
        return Err(ReadErrorKind::NotXml { excerpt: excerpt(start) });
    }
    Ok(Document::parse(&text, limits)?)
}

fn excerpt(text: &str) -> String {
    text.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn read_entry(entry: Element<'_>) -> Result<Pdu, ReadErrorKind> {
    if soap::is_fault(entry) {
        return Ok(Pdu::Fault(soap::read_fault(entry)));
    }
    let name = || entry.name().chars().take(64).collect();
    if !Pdu::is_known(entry.name()) {
        return Err(ReadErrorKind::UnknownOperation { name: name() });
    }
    if !entry.is_mm7() {
        let namespace = entry.namespace().unwrap_or_default().chars().take(200).collect();
        return Err(ReadErrorKind::UnknownNamespace { namespace });
    }
    Pdu::read(entry)?.ok_or_else(|| ReadErrorKind::UnknownOperation { name: name() })
}

impl Parts {
    /// Finds the SOAP part in a body, by its looks first and its Content-Type second.
    fn find(content_type: Option<&str>, body: Bytes, limits: &Limits) -> Result<Self, ReadErrorKind> {
        let content_type = content_type.unwrap_or("text/xml");
        let first = body.iter().copied().find(|b| !b.is_ascii_whitespace());
        let is_multipart =
            content_type.trim_start().get(..10).is_some_and(|t| t.eq_ignore_ascii_case("multipart/"));
        // A body without XML at its start may be a multipart whose type was lost on the way.
        let looks_multipart = first == Some(b'-') && body.trim_ascii_start().starts_with(b"--");
        if first == Some(b'<') || !(is_multipart || looks_multipart) {
            return Ok(Self { soap: body, charset: attachment::charset(content_type), others: Vec::new() });
        }
        let content_type = if is_multipart { content_type } else { "multipart/related" };
        let mut entity = read_parts(content_type, body.clone(), &limits.mime)?;
        if entity.parts().is_empty() && looks_multipart {
            // The boundary named is not the one used: at one peer it lacks the dashes. The first line
            // has it.
            entity = read_parts("multipart/related", body, &limits.mime)?;
        }
        Ok(Self::split(entity))
    }
}
