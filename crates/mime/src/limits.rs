//! How much of a hostile message is looked at before it is refused.

/// Limits of the read side. Whatever goes past one is an error, never a panic and never a
/// silently shortened message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the whole input.
    pub message_bytes: usize,
    /// Octets of one header block.
    pub header_bytes: usize,
    /// Fields in one header block.
    pub header_fields: usize,
    /// How many multiparts may be nested in each other.
    pub depth: usize,
    /// Parts of all multiparts of the message together.
    pub parts: usize,
}

impl Limits {
    /// Room for what multimedia messages carry: 64 MiB, 64 KiB of headers, depth 8, 200 parts.
    pub const DEFAULT: Self =
        Self { message_bytes: 64 << 20, header_bytes: 64 << 10, header_fields: 500, depth: 8, parts: 200 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
