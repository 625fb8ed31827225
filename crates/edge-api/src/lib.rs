//! The REST API for applications: `/mmsgw/v1`, its authentication and its OpenAPI document.
//!
//! A request goes through `envelope` (request id, time limit, problems in one form), is told who asks
//! by `auth`, has its body taken by `body` and read by the contract, and enters the engine through
//! one of its doors. The answer is a view of the contract. One noun is a directory, one endpoint a
//! file.
//!
//! The crate decides nothing about messages and sees no store. `POST /mmsgw/v1/mms/inbound/<group>`
//! belongs to the carriers' edge; its router is merged with this one by the binary, and has to use
//! the pattern [`INBOUND_PATH`]. One segment further, `POST /mmsgw/v1/mms/inbound/ack|dr|rr/<id>`, the
//! API is at home again.

mod admission;
mod api;
mod auth;
mod batches;
mod body;
mod config;
mod envelope;
mod error;
mod events;
mod gateways;
mod idempotency;
mod media;
mod messages;
mod openapi;
mod parts;
mod problems;
mod router;
mod serve;
mod templates;

pub use config::{ApiSettings, DEFAULT_SETTINGS, LimitSettings, SettingsError};
pub use mmsgw_contract::{ApiKey, KeySettings, Scope};
pub use openapi::document;
pub use router::{INBOUND_PATH, router, router_with_clock};
pub use serve::{Listening, ServeError, serve, serve_on};
pub use templates::drafts;
