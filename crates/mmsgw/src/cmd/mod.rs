//! One file for each command; they pick rooms and put them together, nothing else.

mod batch;
mod check;
mod dead;
mod demo;
mod dialects;
mod key;
mod parse;
mod reference;
mod render;
mod send;
mod serve;
mod simulate;

use crate::cli::{Cli, Command};
use crate::roles::Role;
use crate::systemd::Sockets;

/// Runs the command.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Demo(args) => async_main(demo::run(args)),
        Command::Serve(args) => async_main(serve::run(args, Sockets::inherit()?)),
        Command::Api(args) => async_main(serve::role(Role::Api, args, Sockets::inherit()?)),
        Command::Gateway(args) => async_main(serve::gateway(args, Sockets::inherit()?)),
        Command::Mm4rx(args) => async_main(serve::role(Role::Mm4rx, args, Sockets::inherit()?)),
        Command::Mm7rx(args) => async_main(serve::role(Role::Mm7rx, args, Sockets::inherit()?)),
        Command::Callout(args) => async_main(serve::role(Role::Callout, args, Sockets::inherit()?)),
        Command::Check(args) => check::run(&args),
        Command::Dead { command } => async_main(dead::run(command)),
        Command::Send(args) => async_main(send::run(args)),
        Command::Batch(command) => async_main(batch::run(command)),
        Command::Simulate(args) => async_main(simulate::run(args)),
        Command::Key(args) => key::run(&args),
        Command::Dialects(args) => dialects::run(&args),
        Command::Parse(args) => parse::run(&args),
        Command::Render(args) => async_main(render::run(args)),
        Command::Reference(args) => reference::run(&args),
    }
}

fn async_main(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    result
}

/// Waits for the signal to stop: SIGTERM or Ctrl-C.
async fn stop_signal() -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
