//! `mmsgw simulate`: a pretend carrier.

use anyhow::Context;
use mmsgw_mmsc_sim::{SimConfig, Simulator};

use crate::cli::SimulateArgs;
use crate::telemetry::{self, LogSection};

pub(crate) async fn run(args: SimulateArgs) -> anyhow::Result<()> {
    telemetry::start(&LogSection { level: "warn".into(), ..LogSection::default() })?;
    let simulator = Simulator::start(settings(args)?).await?;
    println!("A pretend carrier is listening; Ctrl-C ends it.");
    println!("  MM7      http://{}/", simulator.mm7_addr);
    println!("  MM4      smtp {}", simulator.mm4_addr);
    println!(
        "  control  http://{}/received  /counts  /script  /answers  /mo  /submit",
        simulator.control_addr
    );
    let signal = super::stop_signal().await?;
    let counts = simulator.counts();
    println!("{signal}: {counts:?}");
    simulator.shutdown().await;
    Ok(())
}

fn settings(args: SimulateArgs) -> anyhow::Result<SimConfig> {
    let mut config = match &args.config {
        Some(file) => {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            toml::from_str(&text).with_context(|| format!("in {}", file.display()))?
        }
        None => SimConfig::default(),
    };
    config.mm7_listen = args.mm7.unwrap_or(config.mm7_listen);
    config.mm4_listen = args.mm4.unwrap_or(config.mm4_listen);
    config.control_listen = args.control.unwrap_or(config.control_listen);
    config.mm7_report_url = args.report_url.or(config.mm7_report_url);
    config.mm4_report_addr = args.report_smtp.or(config.mm4_report_addr);
    Ok(config)
}
