//! The pretend carrier as its users see it: over sockets.

mod gateway;
mod mm4;
mod mm7;
mod mo_and_control;
mod speed;

use std::time::Duration;

use mmsgw_mmsc_sim::{Script, SimConfig, Simulator};

/// Long enough for anything that happens at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to believe that nothing comes.
const SILENCE: Duration = Duration::from_millis(300);

async fn start(script: Script) -> Simulator {
    Simulator::start(SimConfig { script, ..SimConfig::default() }).await.unwrap()
}
