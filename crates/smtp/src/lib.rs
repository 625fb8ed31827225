//! SMTP (RFC 5321) as two state machines, client and server, without a socket, a clock or a thread.
//!
//! Both sessions are fed with the octets that arrived and asked for the next step; the caller owns the connection,
//! the timeouts and TLS. A session carries any number of mails. What is spoken:
//! PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), CHUNKING (RFC 3030), SMTPUTF8 (RFC 6531),
//! STARTTLS (RFC 3207), AUTH PLAIN and LOGIN (RFC 4954, RFC 4616), ENHANCEDSTATUSCODES (RFC 2034).
//!
//! * [`client::ClientSession`]: greeting to QUIT, one [`Envelope`] after the other, with every recipient's own reply.
//! * [`server::ServerSession`]: commands in, events out; the caller accepts or rejects, and answers a mail only when
//!   it is stored.
//! * [`lines`]: dot stuffing and line endings, for whoever renders or stores the mail.
//!
//! This crate must not know what a mail contains: no MIME, no MM4. The grammar of commands and replies is
//! `smtp-proto`'s and stays behind [`reply`] and the private command module.

pub mod auth;
pub mod client;
mod command;
pub mod envelope;
pub mod lines;
pub mod reply;
pub mod server;
pub mod stage;
pub mod text;

pub use envelope::{Body, Envelope};
pub use reply::{Enhanced, Reply};
pub use stage::{Stage, Timeouts};

#[cfg(test)]
mod two_ended;
