//! An XML document as a small flat tree, read under limits.
//!
//! Answers for well-formedness, namespaces and bounds: depth, elements, attributes and text are counted,
//! a DOCTYPE is refused and no entity is known but the five of XML 1.0 and character references. Knows
//! nothing of SOAP or MM7, save that names are compared without regard to ASCII case, because peers
//! write `<number>`. The tree is one vector in document order; nothing here recurses.

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use thiserror::Error;

use crate::limits::Limits;

/// Why a text is not an XML document that this crate reads.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum XmlError {
    /// The text is longer than [`Limits::xml_octets`].
    #[error("the XML text is larger than {limit} octets")]
    TooLarge {
        /// The limit that was passed.
        limit: usize,
    },
    /// More elements inside each other than [`Limits::depth`].
    #[error("elements are nested deeper than {limit}")]
    TooDeep {
        /// The limit that was passed.
        limit: usize,
    },
    /// More elements than [`Limits::elements`].
    #[error("more than {limit} elements")]
    TooManyElements {
        /// The limit that was passed.
        limit: usize,
    },
    /// More attributes on one element than [`Limits::attributes`].
    #[error("more than {limit} attributes on one element")]
    TooManyAttributes {
        /// The limit that was passed.
        limit: usize,
    },
    /// More character data and attribute text than [`Limits::text_octets`].
    #[error("more than {limit} octets of text")]
    TooMuchText {
        /// The limit that was passed.
        limit: usize,
    },
    /// A document type declaration, which SOAP 1.1 clause 3 forbids.
    #[error("a DOCTYPE is not allowed")]
    DocType,
    /// A reference to an entity that XML 1.0 does not predefine.
    #[error("unknown entity &{name};")]
    UnknownEntity {
        /// Name between `&` and `;`, cut at 32 characters.
        name: String,
    },
    /// A character (written or referred to) that XML 1.0 does not allow.
    #[error("character U+{code:04X} is not allowed in XML")]
    IllegalCharacter {
        /// Its code point.
        code: u32,
    },
    /// A prefix that no `xmlns` attribute in scope declares.
    #[error("namespace prefix {prefix} is not declared")]
    UnboundPrefix {
        /// The prefix, cut at 32 characters.
        prefix: String,
    },
    /// Anything else that is not well-formed.
    #[error("not well-formed at octet {position}: {expected}")]
    Syntax {
        /// Offset in the decoded text (UTF-8 octets).
        position: u64,
        /// What was wrong or expected.
        expected: String,
    },
}

/// A document: its elements in document order, the root first.
#[derive(Debug)]
pub(crate) struct Document {
    nodes: Vec<Node>,
    namespaces: Vec<String>,
}

#[derive(Debug)]
struct Node {
    local: String,
    /// Index into `Document::namespaces`.
    namespace: Option<usize>,
    attributes: Vec<(String, String)>,
    text: String,
    /// Index after the last descendant.
    end: usize,
}

impl Document {
    /// Reads `text` up to the end of the root element; what follows it is not looked at.
    pub(crate) fn parse(text: &str, limits: &Limits) -> Result<Self, XmlError> {
        if text.len() > limits.xml_octets {
            return Err(XmlError::TooLarge { limit: limits.xml_octets });
        }
        let mut builder = Builder::new(limits);
        // A declaration may only stand first, but peers put white space before it.
        let mut reader = NsReader::from_str(text.trim_start_matches(is_space));
        reader.resolver_mut().set_max_declarations_per_element(limits.attributes);
        loop {
            let event = reader.read_event().map_err(|e| syntax(reader.error_position(), &e.to_string()))?;
            if builder.take(&reader, event)? {
                return Ok(builder.document);
            }
        }
    }

    /// The outermost element.
    pub(crate) fn root(&self) -> Element<'_> {
        Element { document: self, index: 0 }
    }
}

/// A place in a [`Document`]; copying it is free.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    document: &'a Document,
    index: usize,
}

impl<'a> Element<'a> {
    fn node(self) -> &'a Node {
        &self.document.nodes[self.index]
    }

    /// Local name as written.
    pub(crate) fn name(self) -> &'a str {
        &self.node().local
    }

    /// Whether the local name is one of `names`, ASCII case aside.
    pub(crate) fn is(self, names: &[&str]) -> bool {
        names.iter().any(|n| self.name().eq_ignore_ascii_case(n))
    }

    /// Namespace name, none if the element is in no namespace.
    pub(crate) fn namespace(self) -> Option<&'a str> {
        self.node().namespace.map(|n| self.document.namespaces[n].as_str())
    }

    /// Own character data, white space at both ends cut.
    pub(crate) fn text(self) -> &'a str {
        self.node().text.trim_matches(is_space)
    }

    /// Own and all descendants' character data, joined by a space.
    pub(crate) fn whole_text(self) -> String {
        let mut whole = self.text().to_owned();
        for inner in self.descendants().filter(|e| !e.text().is_empty()) {
            if !whole.is_empty() {
                whole.push(' ');
            }
            whole.push_str(inner.text());
        }
        whole
    }

    /// Value of the first attribute with this local name, trimmed, whatever its namespace.
    pub(crate) fn attribute(self, local: &str) -> Option<&'a str> {
        let attributes = &self.node().attributes;
        attributes.iter().find(|(n, _)| n.eq_ignore_ascii_case(local)).map(|(_, v)| v.trim_matches(is_space))
    }

    /// Child elements in order.
    pub(crate) fn children(self) -> impl Iterator<Item = Self> {
        let mut next = self.index + 1;
        let end = self.node().end;
        std::iter::from_fn(move || {
            let child = (next < end).then_some(Self { document: self.document, index: next })?;
            next = child.node().end;
            Some(child)
        })
    }

    /// All elements inside, in document order.
    pub(crate) fn descendants(self) -> impl Iterator<Item = Self> {
        let inside: Range<usize> = self.index + 1..self.node().end;
        inside.map(move |index| Self { document: self.document, index })
    }
}

/// The tree while it grows.
struct Builder<'l> {
    limits: &'l Limits,
    document: Document,
    open: Vec<usize>,
    text_octets: usize,
}

impl<'l> Builder<'l> {
    fn new(limits: &'l Limits) -> Self {
        let document = Document { nodes: Vec::new(), namespaces: Vec::new() };
        Self { limits, document, open: Vec::new(), text_octets: 0 }
    }

    /// Takes one event; true when the root element has ended.
    fn take(&mut self, reader: &NsReader<&[u8]>, event: Event<'_>) -> Result<bool, XmlError> {
        match event {
            Event::Start(start) => self.start(reader, &start)?,
            Event::Empty(start) => {
                self.start(reader, &start)?;
                return Ok(self.end());
            }
            Event::End(_) => return Ok(self.end()),
            Event::Text(text) => self.text(reader, &text.xml10_content().map_err(|e| other(reader, &e))?)?,
            Event::CData(text) => self.text(reader, &text.xml10_content().map_err(|e| other(reader, &e))?)?,
            Event::GeneralRef(reference) => {
                let name = reference.decode().map_err(|e| other(reader, &e))?;
                let mut octets = [0; 4];
                let character = resolve(&name)?;
                self.text(reader, character.encode_utf8(&mut octets))?;
            }
            Event::DocType(_) => return Err(XmlError::DocType),
            Event::Eof => return Err(syntax(reader.buffer_position(), "the root element does not end")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
        Ok(false)
    }

    fn start(&mut self, reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<(), XmlError> {
        if self.open.len() >= self.limits.depth {
            return Err(XmlError::TooDeep { limit: self.limits.depth });
        }
        if self.document.nodes.len() >= self.limits.elements {
            return Err(XmlError::TooManyElements { limit: self.limits.elements });
        }
        let (resolved, local) = reader.resolver().resolve_element(start.name());
        let namespace = match resolved {
            ResolveResult::Unbound => None,
            ResolveResult::Bound(name) => Some(self.namespace(&String::from_utf8_lossy(name.0))),
            ResolveResult::Unknown(prefix) => {
                return Err(XmlError::UnboundPrefix { prefix: clip(&String::from_utf8_lossy(&prefix)) });
            }
        };
        let local = String::from_utf8_lossy(local.as_ref()).into_owned();
        if local.is_empty() || local.contains(':') {
            return Err(syntax(reader.buffer_position(), "an element name with one colon at most"));
        }
        let attributes = self.attributes(reader, start)?;
        let index = self.document.nodes.len();
        self.document.nodes.push(Node { local, namespace, attributes, text: String::new(), end: index + 1 });
        self.open.push(index);
        Ok(())
    }

    fn attributes(
        &mut self,
        reader: &NsReader<&[u8]>,
        start: &BytesStart<'_>,
    ) -> Result<Vec<(String, String)>, XmlError> {
        let mut kept = Vec::new();
        for (count, attribute) in start.attributes().enumerate() {
            if count >= self.limits.attributes {
                return Err(XmlError::TooManyAttributes { limit: self.limits.attributes });
            }
            let attribute = attribute.map_err(|e| other(reader, &e))?;
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let value: Cow<'_, str> =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| other(reader, &e))?;
            self.count(value.len())?;
            legal(&value)?;
            let (resolved, local) = reader.resolver().resolve_attribute(attribute.key);
            if let ResolveResult::Unknown(prefix) = resolved {
                return Err(XmlError::UnboundPrefix { prefix: clip(&String::from_utf8_lossy(&prefix)) });
            }
            kept.push((String::from_utf8_lossy(local.as_ref()).into_owned(), value.into_owned()));
        }
        Ok(kept)
    }

    /// Index of a namespace name; they are few, as each costs a declaration.
    fn namespace(&mut self, name: &str) -> usize {
        let known = &mut self.document.namespaces;
        // The last one is nearly always the one sought, so look from the back.
        known.iter().rposition(|n| n == name).unwrap_or_else(|| {
            known.push(name.to_owned());
            known.len() - 1
        })
    }

    fn end(&mut self) -> bool {
        let after = self.document.nodes.len();
        if let Some(index) = self.open.pop() {
            self.document.nodes[index].end = after;
        }
        self.open.is_empty()
    }

    fn text(&mut self, reader: &NsReader<&[u8]>, text: &str) -> Result<(), XmlError> {
        let Some(&index) = self.open.last() else {
            return if text.trim_matches(is_space).is_empty() {
                Ok(())
            } else {
                Err(syntax(reader.buffer_position(), "an element, not text"))
            };
        };
        self.count(text.len())?;
        legal(text)?;
        self.document.nodes[index].text.push_str(text);
        Ok(())
    }

    fn count(&mut self, octets: usize) -> Result<(), XmlError> {
        self.text_octets += octets;
        if self.text_octets > self.limits.text_octets {
            return Err(XmlError::TooMuchText { limit: self.limits.text_octets });
        }
        Ok(())
    }
}

/// White space of XML 1.0 (production S).
pub(crate) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// Whether XML 1.0 allows the character (production Char).
pub(crate) fn is_legal(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

fn legal(text: &str) -> Result<(), XmlError> {
    match text.chars().find(|c| !is_legal(*c)) {
        Some(character) => Err(XmlError::IllegalCharacter { code: character.into() }),
        None => Ok(()),
    }
}

/// The character a reference (the text between `&` and `;`) stands for.
fn resolve(name: &str) -> Result<char, XmlError> {
    let unknown = || XmlError::UnknownEntity { name: clip(name) };
    let code = match name {
        "amp" => return Ok('&'),
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "quot" => return Ok('"'),
        "apos" => return Ok('\''),
        _ => name.strip_prefix('#').ok_or_else(unknown)?,
    };
    let code = match code.strip_prefix('x') {
        Some(hex) if !hex.starts_with('+') => u32::from_str_radix(hex, 16),
        None if !code.starts_with('+') => code.parse(),
        _ => return Err(unknown()),
    }
    .map_err(|_| unknown())?;
    char::from_u32(code).filter(|c| is_legal(*c)).ok_or(XmlError::IllegalCharacter { code })
}

fn clip(text: &str) -> String {
    text.chars().take(32).collect()
}

fn other(reader: &NsReader<&[u8]>, error: &dyn std::error::Error) -> XmlError {
    syntax(reader.buffer_position(), &error.to_string())
}

fn syntax(position: u64, expected: &str) -> XmlError {
    XmlError::Syntax { position, expected: expected.chars().take(200).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, XmlError> {
        Document::parse(text, &Limits::default())
    }

    #[test]
    fn a_tree_keeps_names_namespaces_attributes_and_text() {
        let document = parse(
            "\r\n <?xml version='1.0'?><!-- x --><a:r xmlns:a='u:a' a:k=' v '><b> t&amp;&#x41;<![CDATA[<&]]> </b><c/>\
             <d xmlns='u:d'><e>1</e></d></a:r> trailing",
        )
        .unwrap();
        let root = document.root();
        assert_eq!((root.name(), root.namespace(), root.attribute("K")), ("r", Some("u:a"), Some("v")));
        let names: Vec<_> = root.children().map(Element::name).collect();
        assert_eq!(names, ["b", "c", "d"]);
        let b = root.children().next().unwrap();
        assert_eq!((b.text(), b.namespace()), ("t&A<&", None));
        let inner = root.descendants().find(|e| e.is(&["E"])).unwrap();
        assert_eq!((inner.namespace(), inner.text()), (Some("u:d"), "1"));
        assert_eq!(root.whole_text(), "t&A<& 1");
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_a_reason() {
        assert!(matches!(parse("<a><b></a>"), Err(XmlError::Syntax { .. })));
        assert!(matches!(parse("<a>"), Err(XmlError::Syntax { .. })));
        assert!(matches!(parse("plain text"), Err(XmlError::Syntax { .. })));
        assert!(matches!(parse("<a b='1' b='2'/>"), Err(XmlError::Syntax { .. })));
        assert!(matches!(parse("<!DOCTYPE a><a/>"), Err(XmlError::DocType)));
        assert_eq!(parse("<a>&b;</a>").unwrap_err(), XmlError::UnknownEntity { name: "b".into() });
        assert!(parse("<a x='&b;'/>").is_err());
        assert_eq!(parse("<a>&#1;</a>").unwrap_err(), XmlError::IllegalCharacter { code: 1 });
        assert_eq!(parse("<a>\u{1}</a>").unwrap_err(), XmlError::IllegalCharacter { code: 1 });
        assert_eq!(parse("<a x='&#2;'/>").unwrap_err(), XmlError::IllegalCharacter { code: 2 });
        assert_eq!(parse("<p:a/>").unwrap_err(), XmlError::UnboundPrefix { prefix: "p".into() });
        assert!(parse("<p::a/>").is_err());
        assert!(parse("<p::a xmlns:p='u'/>").is_err());
    }

    #[test]
    fn every_limit_has_its_error() {
        let limits = Limits {
            depth: 3,
            elements: 5,
            attributes: 2,
            text_octets: 10,
            xml_octets: 200,
            ..Limits::default()
        };
        let parse = |text: &str| Document::parse(text, &limits).map(|_| ()).unwrap_err();
        assert_eq!(parse("<a><a><a><a/></a></a></a>"), XmlError::TooDeep { limit: 3 });
        assert_eq!(parse("<a><b/><b/><b/><b/><b/></a>"), XmlError::TooManyElements { limit: 5 });
        assert_eq!(parse("<a b='' c='' d=''/>"), XmlError::TooManyAttributes { limit: 2 });
        assert_eq!(parse("<a b='123456'>12345</a>"), XmlError::TooMuchText { limit: 10 });
        assert_eq!(parse(&" ".repeat(201)), XmlError::TooLarge { limit: 200 });
    }
}
