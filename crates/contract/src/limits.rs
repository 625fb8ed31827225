//! How much of everything a request may hold.

use crate::ContentTypes;

/// What requests are measured by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// How much of everything.
    pub limits: Limits,
    /// Media types that parts may have.
    pub content_types: ContentTypes,
}

/// Most of everything that one request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Numbers in `destination`, `cc` and `bcc` taken together.
    pub numbers: usize,
    /// Parts in one request.
    pub parts: usize,
    /// Characters of a subject.
    pub subject: usize,
    /// Characters of a part's name.
    pub name: usize,
    /// Octets of a URL.
    pub url: usize,
    /// URLs in `events_url`.
    pub urls: usize,
    /// Characters of any other line of text.
    pub text: usize,
    /// Variables of one message or template.
    pub variables: usize,
    /// Characters of a variable's value.
    pub variable: usize,
    /// JSON values in one body, which bounds the memory that reading it takes.
    pub values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            numbers: 1_000,
            parts: 100,
            subject: 512,
            name: 128,
            url: 2_048,
            urls: 8,
            text: 256,
            variables: 100,
            variable: 4_096,
            values: 100_000,
        }
    }
}
