//! MIME as multimedia messages use it: header blocks, encoded words, media types, multipart trees,
//! transfer codings and SMIL.
//!
//! Rung 0 of the ladder: octets in, values out. No I/O, no async, no clock, no randomness; a caller
//! that needs a date or an id brings it. The read side forgives what is seen in the field, within
//! [`Limits`]; the write side emits only what a strict mail agent passes on unchanged.
//!
//! | to do | see |
//! |---|---|
//! | read a mail, or an HTTP body | [`read::read_message`], [`read::read_parts`] |
//! | write a multipart body | [`write::entity`] |
//! | write a header block | [`header::HeaderWriter`] |
//! | look into or compose a presentation | [`smil`] |

pub mod charset;
pub mod header;
pub mod limits;
pub mod media_type;
pub mod name;
pub mod read;
pub mod reading;
pub mod smil;
pub mod transfer;
pub mod words;
pub mod write;

pub use header::{HeaderError, HeaderWriter, Headers};
pub use limits::Limits;
pub use media_type::MediaType;
pub use name::safe_name;
pub use read::{Content, Entity, ReadError, read_body, read_headers, read_message, read_parts};
