//! The SOAP 1.1 envelope (TS 23.140 clause 8.7; SOAP 1.1): its shell when writing, its header, body
//! entry and Fault when reading. Knows which namespaces are SOAP's; what a body entry means is the
//! business of `pdu`.

use crate::emit::Out;
use crate::faults::{ErrorSide, Fault, FaultCode};
use crate::read::{Context, ReadErrorKind};
use crate::status::{self, Status};
use crate::version::Namespace;
use crate::write::WriteError;
use crate::xml::Element;

/// Namespace of SOAP 1.1 envelopes.
pub(crate) const SOAP_11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// Namespace of SOAP 1.2 envelopes, understood but never written.
pub(crate) const SOAP_12: &str = "http://www.w3.org/2003/05/soap-envelope";

/// What closes an envelope.
pub(crate) const TAIL: &str = "</env:Body></env:Envelope>";
/// What closes a Fault after its detail entry.
pub(crate) const FAULT_TAIL: &str = "</detail></env:Fault>";

/// Everything before the body entry.
pub(crate) fn write_head(
    transaction_id: &str,
    namespace: &Namespace,
    out: &mut Out,
) -> Result<(), WriteError> {
    out.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<env:Envelope xmlns:env=\"");
    out.raw(SOAP_11);
    out.raw("\"><env:Header><mm7:TransactionID");
    out.attribute("xmlns:mm7", Some(&namespace.uri().to_owned()))?;
    out.raw(" env:mustUnderstand=\"1\">");
    out.escaped("TransactionID", transaction_id, false)?;
    out.raw("</mm7:TransactionID></env:Header><env:Body>");
    Ok(())
}

/// A Fault up to its detail entry. Its children are in no namespace.
pub(crate) fn write_fault_head(fault: &Fault, out: &mut Out) -> Result<(), WriteError> {
    out.raw("<env:Fault><faultcode>env:");
    out.escaped("faultcode", fault.code.as_str(), false)?;
    out.raw("</faultcode><faultstring>");
    out.escaped("faultstring", &fault.text, false)?;
    out.raw("</faultstring><detail>");
    Ok(())
}

/// An envelope, opened.
pub(crate) struct Envelope<'a> {
    /// First element of the body, or the one that is a PDU or Fault.
    pub(crate) entry: Element<'a>,
    /// A header block with mustUnderstand that nobody here understands.
    pub(crate) must_understand: Option<String>,
}

impl<'a> Envelope<'a> {
    /// Opens an envelope; `context` learns what can be read, also when an error follows.
    pub(crate) fn open(root: Element<'a>, context: &mut Context) -> Result<Self, ReadErrorKind> {
        if !root.is(&["Envelope"]) {
            return Err(ReadErrorKind::NotSoap { root: clip(root.name()) });
        }
        let soap = root.namespace().unwrap_or_default();
        // Header and body are read before the namespace is judged, so that an answer can quote the
        // transaction.
        let header = root.children().find(|e| e.is(&["Header"]));
        let must_understand = header.and_then(|header| read_header(header, context));
        let body = root.children().find(|e| e.is(&["Body"]));
        let entry = body.and_then(find_entry);
        if let Some(entry) = entry {
            note_entry(entry, context);
        }
        if soap != SOAP_11 && soap != SOAP_12 {
            return Err(ReadErrorKind::WrongEnvelope { namespace: clip(soap) });
        }
        let entry = entry.ok_or(ReadErrorKind::Missing { field: "Body" })?;
        Ok(Self { entry, must_understand })
    }
}

/// Finds TransactionID; returns the name of a block that must be understood and is not.
fn read_header(header: Element<'_>, context: &mut Context) -> Option<String> {
    let is_transaction = |e: &Element<'_>| e.is(&["TransactionID", "Transaction-ID"]);
    // One dialect before the standard wraps it into another block.
    let found = header.children().find(is_transaction).or_else(|| header.descendants().find(is_transaction));
    if let Some(block) = found {
        context.transaction_id = Some(block.text()).filter(|id| !id.is_empty()).map(str::to_owned);
        context.namespace = block.namespace().and_then(Namespace::from_uri);
    }
    let foreign = header.children().find(|block| {
        !is_transaction(block)
            && block.value::<bool>("mustUnderstand") == Some(true)
            && !block.is(&["MM7Header"])
    });
    foreign.map(|block| clip(block.name()))
}

/// The body's entry: a known one if there are several.
fn find_entry(body: Element<'_>) -> Option<Element<'_>> {
    body.children().find(|e| is_known(*e)).or_else(|| body.children().next())
}

fn is_known(entry: Element<'_>) -> bool {
    crate::pdu::Pdu::is_known(entry.name()) || is_fault(entry)
}

/// Whether a body entry is a Fault, or the error element of one without the Fault around it.
pub(crate) fn is_fault(entry: Element<'_>) -> bool {
    entry.is(&["Fault", "RSErrorRsp", "VASPErrorRsp"])
}

/// Notes the names that an answer to this entry must use.
fn note_entry(entry: Element<'_>, context: &mut Context) {
    context.operation = Some(clip(entry.name()));
    let inside = if entry.is(&["Fault"]) { error_element(entry).unwrap_or(entry) } else { entry };
    if let Some(namespace) = inside.namespace().and_then(Namespace::from_uri) {
        context.namespace = Some(namespace);
    }
    context.version = inside.maybe(&["MM7Version"]);
}

fn error_element(fault: Element<'_>) -> Option<Element<'_>> {
    fault.descendants().find(|e| e.is(&["RSErrorRsp", "VASPErrorRsp"]))
}

/// Reads a Fault in any of the shapes met: children with or without prefix, Status directly in the
/// detail or deeper, a number as faultstring, no detail at all, the names of SOAP 1.2.
pub(crate) fn read_fault(entry: Element<'_>) -> Fault {
    let text_of = |names: &[&str]| entry.descendants().find(|e| e.is(names)).map(Element::whole_text);
    let code = text_of(&["faultcode", "Code"]).unwrap_or_default();
    let text = text_of(&["faultstring", "Reason"]).unwrap_or_default();
    let code = read_code(&code);
    let error = if entry.is(&["Fault"]) { error_element(entry) } else { Some(entry) };
    let is_vasp = error.is_some_and(|e| e.is(&["VASPErrorRsp"]));
    let side = if is_vasp { ErrorSide::Vasp } else { ErrorSide::RelayServer };
    let holder =
        std::iter::once(entry).chain(entry.descendants()).find(|e| e.child(&["StatusCode"]).is_some());
    let status = holder.and_then(Status::inside).unwrap_or_else(|| without_detail(&code, &text));
    Fault { code, text, side, status }
}

/// `env:Client.Authentication` is `Client`; SOAP 1.2 says Sender and Receiver.
fn read_code(text: &str) -> FaultCode {
    let local = text.rsplit(':').next().unwrap_or_default().trim();
    let first = local.split(['.', ' ']).next().unwrap_or_default();
    match first {
        "Sender" => FaultCode::Client,
        "Receiver" => FaultCode::Server,
        word => FaultCode::from(word),
    }
}

/// The status of a fault that names none: a number at the start of its text, else by its code.
fn without_detail(code: &FaultCode, text: &str) -> Status {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok().filter(|_| digits == 4);
    let by_code = match code {
        FaultCode::Client | FaultCode::MustUnderstand => 2000,
        FaultCode::VersionMismatch => 4002,
        FaultCode::Server | FaultCode::Other(_) => 3000,
    };
    let code = number.unwrap_or(by_code);
    let text =
        if number.is_some() || text.is_empty() { status::text(code).to_owned() } else { text.to_owned() };
    Status { code, text, details: None }
}

/// Names that end up in errors and answers are kept short.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}
