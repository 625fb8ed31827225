//! What the scenarios stand on: the real binary as a process, the application's end of the callbacks, a small
//! API client, the pretend carrier, and outside programs. Nothing here judges the gateway; scenarios do.

mod api;
mod application;
mod browser;
mod collector;
pub(crate) mod crash;
pub(crate) mod fleet;
mod gateway;
pub(crate) mod later;
pub(crate) mod letters;
mod media;
pub(crate) mod mischief;
mod outside;
mod postfix;
pub(crate) mod python;
pub(crate) mod redis;
#[path = "../../crates/adapt/src/scene.rs"]
pub(crate) mod scene;
pub(crate) mod site;
pub(crate) mod vitals;
pub(crate) mod wire;
mod world;

use std::time::{Duration, Instant};

pub(crate) use api::{Api, codes, text};
pub(crate) use application::Application;
pub(crate) use browser::Browser;
pub(crate) use collector::{Collector, Seen};
pub(crate) use gateway::{BINARY, Files, Gateway, mm4, mm7, run, scratch};
pub(crate) use media::{MediaServer, picture};
pub(crate) use outside::{Program, program, run_python};
pub(crate) use postfix::Postfix;
pub(crate) use world::{CURIOUS, World};

/// How long a scenario waits for what must come: long, for slow and busy machines.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// Looks until `look` finds something.
///
/// # Panics
/// Where nothing is found within [`LIMIT`]; `what` says what was awaited.
pub(crate) async fn wait_until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
