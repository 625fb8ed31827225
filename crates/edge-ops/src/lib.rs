//! Health, metrics and administration, on an operations listener of their own.
//!
//! * `GET /livez`: 200 as long as the process serves requests at all.
//! * `GET /readyz`: 200, or 503 with the reasons, as JSON.
//! * `GET /metrics`: what the gateway groups did and what waits where, as text for Prometheus (`metrics`).
//! * `GET /admin/v1/queues`, `/admin/v1/dead`, `/admin/v1/dead/<id>`: queues, and jobs that were given up (`admin`).
//!
//! It only looks, and changes nothing. The first three ask for no key: whom they are shown to is a matter of the
//! address that it listens on. Administration asks for a key with the scope `admin`.

mod admin;
mod config;
mod metrics;
mod router;

pub use config::{CONFIG_DEFAULT, OpsSettings};
pub use router::{router, serve};
