//! Throughput of the gateway with real processes: `mmsgw serve` with its store on disk, `mmsgw simulate` as the
//! carrier, and a loader of our own, all on this machine.
//!
//! ```text
//! cargo bench -p mmsgw --bench throughput [-- WORKLOAD… --messages N --repeat N --json FILE]
//! ```
//!
//! It asserts nothing about time. It does assert that the work was done: all that was accepted was recorded as
//! sent, nothing failed, and the carrier counted as many messages. What is worth comparing are the ratios of one
//! run, since loader, gateway and carrier share the processors.

mod application;
mod arrival;
mod bare;
mod bulk;
mod http;
mod inbound;
mod load;
mod report;
mod workload;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use crate::report::Row;
use crate::workload::{Bench, WORKLOADS};
use crate::world::BINARY;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the gateway with real processes.
#[derive(Debug, Parser)]
struct Args {
    /// Workloads; none means all.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(WORKLOADS.map(|w| w.name)))]
    workloads: Vec<String>,
    /// Messages in each workload, instead of its own number.
    #[arg(long)]
    messages: Option<usize>,
    /// A part of the messages that each workload has: 10 for a tenth.
    #[arg(long, default_value_t = 1)]
    part: usize,
    /// Runs of each workload; the one with the median rate is shown.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    /// Connections of the loader.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Level of the gateway's log, which goes to a file.
    #[arg(long, default_value = "info")]
    log: String,
    /// Seconds that one step may take before the benchmark gives up.
    #[arg(long, default_value_t = 180)]
    limit: u64,
    /// Another build of mmsgw to measure, to compare it with this one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Tells the gateway's process id before each measurement, for a profiler.
    #[arg(long)]
    tell_pid: bool,
    /// Also writes the figures here.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // One thread: the loader is to take as little as it can of what it shares with the measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime
        .context("no runtime")
        .and_then(|runtime| tokio::task::LocalSet::new().block_on(&runtime, run(&args)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let bench = Bench {
        connections: args.connections.max(1),
        binary: args.binary.clone().unwrap_or_else(|| BINARY.into()),
        log: args.log.clone(),
        tell_pid: args.tell_pid,
        limit: Duration::from_secs(args.limit),
    };
    let mut rows = Vec::new();
    println!("{}", report::head());
    for workload in WORKLOADS {
        if !args.workloads.is_empty() && !args.workloads.iter().any(|name| name == workload.name) {
            continue;
        }
        let messages = args.messages.unwrap_or(workload.messages / args.part.max(1)).max(1);
        let mut runs: Vec<Vec<Row>> = Vec::new();
        for _ in 0..args.repeat.max(1) {
            let rows = bench.run(workload.name, messages).await;
            runs.push(rows.with_context(|| format!("workload {}", workload.name))?);
        }
        for row in report::medians(runs) {
            println!("{}", row.line());
            rows.push(row);
        }
    }
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&rows)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
