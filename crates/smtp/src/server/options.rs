//! How a server's session behaves. Values only.

/// Whether clients authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthPolicy {
    /// AUTH is not offered.
    #[default]
    Off,
    /// AUTH is offered.
    Optional,
    /// No mail without AUTH.
    Required,
}

/// The extensions that can be left out. SIZE and ENHANCEDSTATUSCODES are always offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 2920; pipelined commands are served all the same.
    pub pipelining: bool,
    /// RFC 6152.
    pub eight_bit: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 6531.
    pub smtputf8: bool,
}

impl Default for Extensions {
    fn default() -> Self {
        Self { pipelining: true, eight_bit: true, chunking: true, smtputf8: false }
    }
}

/// The settings and limits of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// Our name in the greeting and in EHLO.
    pub hostname: String,
    /// Most octets of a mail; 10 MiB.
    pub max_size: usize,
    /// Most recipients of a mail; RFC 5321 section 4.5.3.1.8 asks for 100, the default is 256.
    pub max_recipients: usize,
    /// Most octets of a command line; 4096.
    pub max_line: usize,
    /// Errors a client may make before it is sent away; 20.
    pub max_errors: u32,
    /// Octets kept while a decision is due; 64 KiB.
    pub max_buffered: usize,
    /// What to offer.
    pub extensions: Extensions,
    /// Whether the connection is encrypted before the first octet.
    pub encrypted: bool,
    /// Whether STARTTLS can be served.
    pub tls_available: bool,
    /// No mail and no AUTH without encryption.
    pub require_tls: bool,
    /// Who authenticates.
    pub auth: AuthPolicy,
    /// Whether AUTH is offered without encryption, as on private links between carriers.
    pub auth_in_clear: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            max_size: 10 << 20,
            max_recipients: 256,
            max_line: 4096,
            max_errors: 20,
            max_buffered: 64 << 10,
            extensions: Extensions::default(),
            encrypted: false,
            tls_available: false,
            require_tls: false,
            auth: AuthPolicy::Off,
            auth_in_clear: false,
        }
    }
}
