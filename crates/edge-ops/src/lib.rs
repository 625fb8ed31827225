//! Health and metrics, on an operations listener of their own.
//!
//! * `GET /livez`: 200 as long as the process serves requests at all.
//! * `GET /readyz`: 200, or 503 with the reasons, as JSON.
//! * `GET /metrics`: what the gateway groups did and what waits where, as text for Prometheus (`metrics`).
//!
//! It only looks, and changes nothing. It asks for no key: whom it is shown to is a matter of the address that it
//! listens on.

mod config;
mod metrics;
mod router;

pub use config::{CONFIG_DEFAULT, OpsSettings};
pub use router::{router, serve};
