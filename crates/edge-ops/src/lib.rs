//! Health, metrics and administration, on an operations listener of their own.
//!
//! * `GET /livez`: 200 as long as the process serves requests at all.
//! * `GET /readyz`: 200, or 503 with the reasons, as JSON.
//! * `GET /metrics`: what the gateway groups did and what waits where, as text for Prometheus (`metrics`).
//! * `/`: the dashboard, a page for browsers on top of administration (`dashboard`).
//! * `/admin/v1/…`: what operators see and steer (`admin`); it describes itself at `/admin/v1/openapi.json`.
//!
//! The first three ask for no key: whom they are shown to is a matter of the address that it listens on.
//! Administration asks for a key with the scope `admin`, and leaves a line in the log for each change.

mod admin;
mod config;
mod controls;
mod dashboard;
mod keys;
mod lag;
mod metrics;
mod process;
mod router;

pub use config::{CONFIG_DEFAULT, OpsSettings};
pub use controls::{ChangedGateway, Controls, Reloaded};
pub use keys::{keep_fresh, read_keys};
pub use metrics::NamedListener;
pub use router::{OpsParts, router, serve};
