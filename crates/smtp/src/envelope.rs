//! The envelope of one mail, the same for both sides. It answers for no rule: sessions check what they are given.

/// What MAIL FROM and RCPT TO say of one mail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Reverse path without angle brackets; empty is the null sender (RFC 5321 section 4.5.5).
    pub mail_from: String,
    /// Forward paths without angle brackets, in the order given.
    pub rcpt_to: Vec<String>,
    /// Octets of the mail before dot stuffing. A client must give the exact number: SIZE and BDAT announce it. From a
    /// server it is the declared size at first and the real one when the mail has been read.
    pub size: u64,
    /// Which octets the mail may hold.
    pub body: Body,
    /// Whether addresses or header fields are UTF-8 (RFC 6531).
    pub smtputf8: bool,
}

/// The BODY parameter of MAIL FROM (RFC 6152).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    /// Octets below 128 only.
    #[default]
    SevenBit,
    /// Any octet, in lines.
    EightBitMime,
}
