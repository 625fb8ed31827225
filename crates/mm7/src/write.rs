//! A message as a SOAP 1.1 envelope in UTF-8.

use thiserror::Error;

use crate::emit::Out;
use crate::pdu::{Message, Pdu};
use crate::soap;
use crate::version::Release;

/// How an envelope is written, for peers that are particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// How the PDU's elements get their namespace.
    pub prefixes: Prefixes,
    /// SenderAddress and Sender as bare text, as peers at the level of MM7 5.2.0 expect.
    pub bare_sender: bool,
}

/// How the PDU's elements get their namespace. TransactionID has the prefix `mm7` in both styles, as one
/// peer demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefixes {
    /// A default namespace on the body entry, no prefixes.
    #[default]
    None,
    /// Prefix `mm7` throughout.
    Mm7,
}

/// Why a message cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// A value holds a character that XML 1.0 cannot carry.
    #[error("{field} holds the character U+{:04X}, which XML cannot carry", u32::from(*.character))]
    IllegalCharacter {
        /// Element or attribute.
        field: &'static str,
        /// The character.
        character: char,
    },
    /// A value that the schema demands is missing.
    #[error("{field} is missing")]
    Missing {
        /// Element or attribute.
        field: &'static str,
    },
    /// A number that the schema wants positive is 0.
    #[error("{field} must not be 0")]
    NotPositive {
        /// Element or attribute.
        field: &'static str,
    },
    /// A value is not a name of XML.
    #[error("{field} is not an XML name")]
    NotAName {
        /// Attribute.
        field: &'static str,
    },
    /// The namespace's release does not have this PDU.
    #[error("{pdu} does not exist in release 5")]
    NotInRelease {
        /// Name of the PDU.
        pdu: &'static str,
    },
    /// The envelope holds the boundary of the parts that it is to stand among.
    #[error("the envelope holds the boundary of its content")]
    BoundaryOccurs,
    /// A Content-ID or boundary cannot stand in a MIME header.
    #[error("{field} cannot stand in a MIME header")]
    NotAToken {
        /// Which of the two.
        field: &'static str,
    },
}

/// Writes a message as an envelope: schema order, and nothing that the namespace's release does not have.
///
/// # Errors
/// A value cannot be written or a mandatory one is missing; see [`WriteError`].
pub fn write_envelope(message: &Message, options: &WriteOptions) -> Result<Vec<u8>, WriteError> {
    let release = message.namespace.release();
    if release == Release::Rel5 && message.pdu.is_rel6() {
        return Err(WriteError::NotInRelease { pdu: message.pdu.name() });
    }
    let prefix = match options.prefixes {
        Prefixes::None => "",
        Prefixes::Mm7 => "mm7:",
    };
    let mut out = Out::new(prefix, release, options.bare_sender);
    soap::write_head(&message.transaction_id, &message.namespace, &mut out)?;
    match &message.pdu {
        Pdu::Fault(fault) => {
            soap::write_fault_head(fault, &mut out)?;
            write_entry(message, fault.side.element(), &mut out)?;
            out.raw(soap::FAULT_TAIL);
        }
        pdu => write_entry(message, pdu.name(), &mut out)?,
    }
    out.raw(soap::TAIL);
    Ok(out.into_octets())
}

/// The element of the PDU (or of the error in a fault), with its namespace and version.
fn write_entry(message: &Message, name: &'static str, out: &mut Out) -> Result<(), WriteError> {
    let prefixed = out.begin(name);
    out.attribute(if prefixed { "xmlns:mm7" } else { "xmlns" }, Some(&message.namespace.uri().to_owned()))?;
    out.raw(">");
    let usual = || message.namespace.usual_version().to_owned();
    let version = if message.version.is_empty() { usual() } else { message.version.clone() };
    out.text("MM7Version", &version)?;
    message.pdu.write(out)?;
    out.close(name);
    Ok(())
}
