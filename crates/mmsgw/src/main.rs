//! `mmsgw`: the command line and the assembly of all rooms. The only place that knows every name.

mod assemble;
mod carrier_http;
mod cli;
mod client;
mod cmd;
mod config;
mod crew;
mod doors;
mod exit;
mod live;
mod records;
mod reload;
mod roles;
mod storage;
mod systemd;
mod table;
mod telemetry;
mod traces;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    exit::report(cmd::run(cli))
}
