//! One file for each command; they pick rooms and put them together, nothing else.

mod batch;
mod bulk;
mod callbacks;
mod check;
mod dead;
mod demo;
mod dialects;
mod feed;
mod gateways;
mod key;
mod keys;
mod log;
mod look;
mod manual;
mod messages;
mod parse;
mod queues;
mod reference;
mod reload;
mod render;
mod send;
mod serve;
mod simulate;
mod status;
mod tail;
mod top;
mod trace;

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
        Command::Status(args) => async_main(status::run(args)),
        Command::Top(args) => async_main(top::run(args)),
        Command::Gateways { command } => async_main(gateways::run(command)),
        Command::Reload(order) => async_main(reload::run(order)),
        Command::Keys { command } => async_main(keys::run(command)),
        Command::Queues(args) => async_main(queues::run(args)),
        Command::Messages { command } => async_main(messages::run(command)),
        Command::Dead { command } => async_main(dead::run(command)),
        Command::Callbacks { command } => async_main(callbacks::run(command)),
        Command::Tail(args) => async_main(tail::run(args)),
        Command::Trace(args) => async_main(trace::run(args)),
        Command::Log(args) => async_main(log::run(args)),
        Command::Send(args) => async_main(send::run(args)),
        Command::Batch(command) => async_main(batch::run(command)),
        Command::Simulate(args) => async_main(simulate::run(args)),
        Command::Key(args) => key::run(&args),
        Command::Dialects(args) => dialects::run(&args),
        Command::Parse(args) => parse::run(&args),
        Command::Render(args) => async_main(render::run(args)),
        Command::Reference(args) => reference::run(&args),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man => manual::man(),
    }
}

fn async_main(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    result
}

/// A text as a piece of a path or query.
fn in_path(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
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
