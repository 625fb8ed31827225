//! The processes of the gateway: `mmsgw serve`, which does everything, and one command for each role.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::assemble;
use crate::cli::{GatewayArgs, OpsListen, ProcessArgs, ServeArgs};
use crate::exit::Ended;
use crate::reload::{Outcome, Place, Site, Switchboard};
use crate::roles::{Role, Roles};
use crate::systemd::{self, Sockets};
use crate::telemetry;

pub(crate) async fn run(args: ServeArgs, sockets: Sockets) -> anyhow::Result<()> {
    let roles = if args.roles.is_empty() { Roles::all() } else { Roles::of(&args.roles) };
    let place = Place { main: args.process.config.clone(), gateways: None, roles };
    work(place, &args.process, sockets).await
}

/// Runs one role.
pub(crate) async fn role(role: Role, args: ProcessArgs, sockets: Sockets) -> anyhow::Result<()> {
    let place = Place { main: args.config.clone(), gateways: None, roles: Roles::of(&[role]) };
    work(place, &args, sockets).await
}

pub(crate) async fn gateway(args: GatewayArgs, sockets: Sockets) -> anyhow::Result<()> {
    let roles: &[Role] = if args.no_mm7rx { &[Role::Gateway] } else { &[Role::Gateway, Role::Mm7rx] };
    let (main, roles) = (args.process.config.clone(), Roles::of(roles));
    let place = Place { main, gateways: Some(args.files), roles };
    work(place, &args.process, sockets).await
}

async fn work(place: Place, args: &ProcessArgs, sockets: Sockets) -> anyhow::Result<()> {
    // From the beginning: without anybody who listens the signal ends a process.
    let hang_ups = signal(SignalKind::hangup())?;
    let mut settings = place.read()?;
    match args.ops {
        Some(OpsListen::At(address)) => settings.ops.listen = address,
        Some(OpsListen::Off) => settings.without_ops = true,
        None => {}
    }
    sockets.tell(&mut settings)?;
    let log = telemetry::start(&settings.log)?;
    let (switchboard, orders) = Switchboard::new(log.clone());
    let roles = place.roles.clone();
    let running = assemble::start(settings, roles, sockets, log, Arc::new(switchboard)).await?;
    for (what, address) in running.addresses() {
        tracing::info!("{what} on {address}");
    }
    let stopped = CancellationToken::new();
    let signs_of_life = tokio::spawn(systemd::give_signs_of_life(stopped.clone()));
    systemd::ready();
    let site = Arc::clone(running.site());
    let reloads = tokio::spawn(Reloads { site, place, limit: args.drain.0, hang_ups, orders }.take());
    let lost = tokio::select! {
        signal = super::stop_signal() => {
            tracing::info!("{}: finishing what is in hand", signal?);
            false
        }
        () = running.exit_wanted() => true,
    };
    reloads.abort();
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

/// Whoever wants the configuration read anew.
struct Reloads {
    site: Arc<Site>,
    place: Place,
    /// How long instances that end may take.
    limit: Duration,
    hang_ups: Signal,
    orders: mpsc::Receiver<oneshot::Sender<Outcome>>,
}

impl Reloads {
    /// Reloads for each SIGHUP and each order, one after the other.
    async fn take(mut self) {
        loop {
            let answer = tokio::select! {
                Some(()) = self.hang_ups.recv() => {
                    tracing::info!("SIGHUP: reading the configuration anew");
                    None
                }
                Some(answer) = self.orders.recv() => Some(answer),
                else => return,
            };
            systemd::reloading();
            let outcome = self.site.reload(&self.place, self.limit).await;
            systemd::ready();
            if let Some(answer) = answer {
                // Whoever asked may have gone.
                let _ = answer.send(outcome);
            }
        }
    }
}
