//! The processes of the gateway: `mmsgw serve`, which does everything, and one command for each role.

use tokio_util::sync::CancellationToken;

use crate::assemble;
use crate::cli::{GatewayArgs, OpsListen, ProcessArgs, ServeArgs};
use crate::config::Settings;
use crate::exit::Ended;
use crate::roles::{Role, Roles};
use crate::systemd::{self, Sockets};
use crate::telemetry;

pub(crate) async fn run(args: ServeArgs, sockets: Sockets) -> anyhow::Result<()> {
    let roles = if args.roles.is_empty() { Roles::all() } else { Roles::of(&args.roles) };
    let settings = Settings::load(&args.process.config)?;
    work(settings, roles, &args.process, sockets).await
}

/// Runs one role.
pub(crate) async fn role(role: Role, args: ProcessArgs, sockets: Sockets) -> anyhow::Result<()> {
    let settings = Settings::load(&args.config)?;
    work(settings, Roles::of(&[role]), &args, sockets).await
}

pub(crate) async fn gateway(args: GatewayArgs, sockets: Sockets) -> anyhow::Result<()> {
    let settings = Settings::load_with(&args.process.config, Some(&args.files))?;
    let roles: &[Role] = if args.no_mm7rx { &[Role::Gateway] } else { &[Role::Gateway, Role::Mm7rx] };
    work(settings, Roles::of(roles), &args.process, sockets).await
}

async fn work(
    mut settings: Settings,
    roles: Roles,
    args: &ProcessArgs,
    sockets: Sockets,
) -> anyhow::Result<()> {
    settings.fits(&roles, &args.config)?;
    match args.ops {
        Some(OpsListen::At(address)) => settings.ops.listen = address,
        Some(OpsListen::Off) => settings.without_ops = true,
        None => {}
    }
    sockets.tell(&mut settings)?;
    telemetry::start(&settings.log)?;
    let running = assemble::start(settings, roles, sockets).await?;
    for (what, address) in running.addresses() {
        tracing::info!("{what} on {address}");
    }
    let stopped = CancellationToken::new();
    let signs_of_life = tokio::spawn(systemd::give_signs_of_life(stopped.clone()));
    systemd::ready();
    let lost = tokio::select! {
        signal = super::stop_signal() => {
            tracing::info!("{}: finishing what is in hand", signal?);
            false
        }
        () = running.exit_wanted() => true,
    };
    systemd::stopping(args.drain.0);
    let finished = running.stop(args.drain.0).await;
    stopped.cancel();
    signs_of_life.await?;
    if finished {
        tracing::info!("done");
    } else {
        tracing::warn!("not all was finished in time; it is done again, here or elsewhere");
    }
    if lost { Err(Ended::CarrierLost("the carrier gives no sign of life").into()) } else { Ok(()) }
}
