//! Transaction and message ids: opaque text that peers quote, or do not.

use std::hash::{Hash, Hasher};

/// An id as it stood in the header. Two ids are equal if they are after removing one pair of double
/// quotes and the white space round it: peers add and strip quotes as they like.
#[derive(Debug, Clone)]
pub struct Id {
    raw: String,
}

/// How an id is put into a header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IdStyle {
    /// In double quotes, as TS 23.140 clause 8.4.4 is understood and most stacks send it.
    #[default]
    Quoted,
    /// Without quotes, as CallUp, Golan and Pelephone send it.
    Bare,
    /// Exactly as it was given.
    AsIs,
}

impl Id {
    /// An id from `raw` text, with or without quotes.
    pub fn new(raw: impl Into<String>) -> Self {
        Self { raw: raw.into() }
    }

    /// The text as it came, for an answer that must echo it.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The id itself: no surrounding white space, no pair of quotes.
    pub fn bare(&self) -> &str {
        let text = self.raw.trim();
        let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inner.map_or(text, str::trim)
    }

    /// Whether there is nothing to compare.
    pub fn is_empty(&self) -> bool {
        self.bare().is_empty()
    }

    /// The text to write in `style`.
    pub fn written(&self, style: IdStyle) -> String {
        match style {
            IdStyle::Quoted => format!("\"{}\"", self.bare()),
            IdStyle::Bare => self.bare().to_owned(),
            IdStyle::AsIs => self.raw.clone(),
        }
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.bare() == other.bare()
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bare().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_do_not_matter_but_are_kept() {
        let quoted = Id::new(" \"T-1@mms.example\" ");
        assert_eq!(quoted, Id::new("T-1@mms.example"));
        assert_ne!(quoted, Id::new("T-2@mms.example"));
        assert_eq!(quoted.written(IdStyle::AsIs), " \"T-1@mms.example\" ");
        assert_eq!(quoted.written(IdStyle::Bare), "T-1@mms.example");
        assert_eq!(Id::new("T").written(IdStyle::Quoted), "\"T\"");
        assert_eq!(Id::new("\"").bare(), "\"");
        assert!(Id::new("\"\"").is_empty());
    }
}
