//! How much of a peer's message is looked at.

/// Bounds for reading; what exceeds one is an error, never a partial reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the SOAP part, before and after its charset is decoded.
    pub xml_octets: usize,
    /// Elements inside each other.
    pub depth: usize,
    /// Elements in all.
    pub elements: usize,
    /// Attributes, and namespace declarations, of one element.
    pub attributes: usize,
    /// Octets of character data and attribute values in all.
    pub text_octets: usize,
    /// Bounds for the multipart body around and behind the SOAP part.
    pub mime: mmsgw_mime::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            xml_octets: 1 << 20,
            depth: 32,
            elements: 10_000,
            attributes: 64,
            text_octets: 256 << 10,
            mime: mmsgw_mime::Limits::default(),
        }
    }
}
