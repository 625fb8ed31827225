//! Element by element output of MM7 XML, and the simple values that elements and attributes carry.
//!
//! Answers for escaping, for refusing what XML 1.0 cannot carry, for the prefix style, and for leaving
//! out what the namespace's release does not have. Order is the caller's business.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::version::Release;
use crate::when::{self, When};
use crate::write::WriteError;
use crate::xml;

/// A value that is written as the text of an element or attribute and read from it.
pub(crate) trait Value: Sized {
    /// The text in the form of the schema.
    fn to_text(&self) -> Cow<'_, str>;
    /// Reads a trimmed text that is not empty; none if it makes no sense.
    fn of_text(text: &str) -> Option<Self>;
}

impl Value for String {
    fn to_text(&self) -> Cow<'_, str> {
        self.as_str().into()
    }

    fn of_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Value for bool {
    fn to_text(&self) -> Cow<'_, str> {
        if *self { "true" } else { "false" }.into()
    }

    fn of_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        }
    }
}

impl Value for u32 {
    fn to_text(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for Timestamp {
    fn to_text(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn of_text(text: &str) -> Option<Self> {
        when::parse_date(text)
    }
}

impl Value for When {
    fn to_text(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn of_text(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

/// XML under construction.
pub(crate) struct Out {
    xml: String,
    prefix: &'static str,
    release: Release,
    bare_addresses: bool,
}

impl Out {
    /// Empty output; `prefix` (with its colon) goes before the name of every MM7 element.
    pub(crate) fn new(prefix: &'static str, release: Release, bare_addresses: bool) -> Self {
        Self { xml: String::with_capacity(1500), prefix, release, bare_addresses }
    }

    pub(crate) fn into_octets(self) -> Vec<u8> {
        self.xml.into_bytes()
    }

    /// Whether elements of Release 6 may be written.
    pub(crate) fn is_rel6(&self) -> bool {
        self.release >= Release::Rel6
    }

    /// Whether sender addresses are written as text without Number, ShortCode or RFC2822Address around
    /// them.
    pub(crate) fn bare_addresses(&self) -> bool {
        self.bare_addresses
    }

    /// Appends markup as it is.
    pub(crate) fn raw(&mut self, markup: &str) {
        self.xml.push_str(markup);
    }

    /// `<name>`
    pub(crate) fn open(&mut self, name: &str) {
        self.begin(name);
        self.xml.push('>');
    }

    /// `<name`, to be followed by attributes and `>` or `/>`; true if the name got a prefix.
    pub(crate) fn begin(&mut self, name: &str) -> bool {
        self.xml.push('<');
        self.xml.push_str(self.prefix);
        self.xml.push_str(name);
        !self.prefix.is_empty()
    }

    /// `</name>`
    pub(crate) fn close(&mut self, name: &str) {
        self.xml.push_str("</");
        self.xml.push_str(self.prefix);
        self.xml.push_str(name);
        self.xml.push('>');
    }

    /// An element with text.
    pub(crate) fn text(&mut self, name: &'static str, value: &impl Value) -> Result<(), WriteError> {
        self.open(name);
        self.escaped(name, &value.to_text(), false)?;
        self.close(name);
        Ok(())
    }

    /// An element with text, nothing if there is no value.
    pub(crate) fn maybe(&mut self, name: &'static str, value: Option<&impl Value>) -> Result<(), WriteError> {
        value.map_or(Ok(()), |value| self.text(name, value))
    }

    /// As [`Out::maybe`], for an element that Release 5 does not have.
    pub(crate) fn rel6(&mut self, name: &'static str, value: Option<&impl Value>) -> Result<(), WriteError> {
        if self.is_rel6() { self.maybe(name, value) } else { Ok(()) }
    }

    /// An attribute after [`Out::begin`], nothing if there is no value.
    pub(crate) fn attribute(
        &mut self,
        name: &'static str,
        value: Option<&impl Value>,
    ) -> Result<(), WriteError> {
        let Some(value) = value else { return Ok(()) };
        self.xml.push(' ');
        self.xml.push_str(name);
        self.xml.push_str("=\"");
        self.escaped(name, &value.to_text(), true)?;
        self.xml.push('"');
        Ok(())
    }

    /// Character data or an attribute value; `field` is what an error names.
    pub(crate) fn escaped(
        &mut self,
        field: &'static str,
        text: &str,
        attribute: bool,
    ) -> Result<(), WriteError> {
        for character in text.chars() {
            match character {
                '&' => self.xml.push_str("&amp;"),
                '<' => self.xml.push_str("&lt;"),
                '>' => self.xml.push_str("&gt;"),
                '"' => self.xml.push_str("&quot;"),
                // These would be read back as other white space.
                '\r' => self.xml.push_str("&#13;"),
                '\n' if attribute => self.xml.push_str("&#10;"),
                '\t' if attribute => self.xml.push_str("&#9;"),
                legal if xml::is_legal(legal) => self.xml.push(legal),
                character => return Err(WriteError::IllegalCharacter { field, character }),
            }
        }
        Ok(())
    }
}

/// Refuses zero where the schema says positiveInteger.
pub(crate) fn positive(field: &'static str, value: u32) -> Result<u32, WriteError> {
    if value == 0 { Err(WriteError::NotPositive { field }) } else { Ok(value) }
}
