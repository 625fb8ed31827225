//! What systemd and this process tell each other: sockets that were opened beforehand, ready, alive, stopping.
//!
//! Without systemd, or another that speaks its protocol, nothing here does anything.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use listenfd::ListenFd;
use mmsgw_net::{Listener, adopt, bind};
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;

/// A door that may be opened by systemd: `FileDescriptorName=` of its socket unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// `[api]`
    Api,
    /// `[ops]`
    Ops,
    /// `[mm4rx]`
    Mm4rx,
    /// `[mm7rx]`; not the listeners that gateway files ask for.
    Mm7rx,
}

impl Door {
    const ALL: [Self; 4] = [Self::Api, Self::Ops, Self::Mm4rx, Self::Mm7rx];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Ops => "ops",
            Self::Mm4rx => "mm4rx",
            Self::Mm7rx => "mm7rx",
        }
    }
}

/// Sockets that were opened for this process before it began.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Vec<(Door, std::net::TcpListener)>);

impl Sockets {
    /// Takes them over. Has to be called before there are threads: it takes the variables that tell of them out
    /// of the environment.
    ///
    /// # Errors
    /// A socket without a name that is known, a name given twice, or what is no socket that listens.
    pub(crate) fn inherit() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut given = ListenFd::from_env();
        let mut sockets = Self::default();
        for (index, name) in names.split(':').enumerate().take(given.len()) {
            let Some(door) = Door::ALL.into_iter().find(|door| door.name() == name) else {
                bail!(
                    "a socket with the name `{name}`; FileDescriptorName= has to be api, ops, mm4rx or mm7rx"
                );
            };
            let socket = given.take_tcp_listener(index).with_context(|| format!("the socket `{name}`"))?;
            let socket = socket.with_context(|| format!("no socket `{name}`"))?;
            if sockets.0.iter().any(|(other, _)| *other == door) {
                bail!("two sockets with the name `{name}`; a listener has one address");
            }
            sockets.0.push((door, socket));
        }
        if sockets.0.len() < given.len() {
            bail!("sockets without names; FileDescriptorName= has to be api, ops, mm4rx or mm7rx");
        }
        Ok(sockets)
    }

    /// Writes their addresses into the settings, so that whatever depends on who can reach a listener holds for
    /// the socket that is really there.
    ///
    /// # Errors
    /// A socket whose address the operating system does not tell.
    pub(crate) fn tell(&self, settings: &mut Settings) -> anyhow::Result<()> {
        for (door, socket) in &self.0 {
            let address = socket.local_addr().with_context(|| format!("the socket `{}`", door.name()))?;
            match door {
                Door::Api => settings.api.listen = address,
                Door::Ops => settings.ops.listen = address,
                Door::Mm4rx => settings.mm4rx.listen = address,
                Door::Mm7rx => settings.mm7rx.listen = address,
            }
        }
        Ok(())
    }

    /// The listener of a door: the socket that is there already, else one on `address`.
    ///
    /// # Errors
    /// What cannot be listened on.
    pub(crate) fn open(&mut self, door: Door, address: SocketAddr) -> anyhow::Result<(Listener, SocketAddr)> {
        let (socket, address) = match self.0.iter().position(|(other, _)| *other == door) {
            Some(index) => adopt(self.0.swap_remove(index).1)
                .with_context(|| format!("the socket `{}` of systemd", door.name())),
            None => bind(address).map_err(anyhow::Error::from),
        }?;
        Ok((socket.into(), address))
    }

    /// Whether all were opened: one that nobody serves would keep its callers waiting for ever.
    ///
    /// # Errors
    /// The first that was not.
    pub(crate) fn all_served(&self) -> anyhow::Result<()> {
        match self.0.first() {
            Some((door, _)) => {
                bail!("systemd opened `{}`, but this process has no such listener", door.name())
            }
            None => Ok(()),
        }
    }
}

/// Tells that everything is open and work has begun.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("at work")]);
}

/// Tells that the configuration is read anew; [`ready`] follows when that is over, however it ended.
pub(crate) fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    let told: Vec<NotifyState<'_>> = [NotifyState::Reloading].into_iter().chain(now).collect();
    tell(&told);
}

/// Tells that it ends, which may take `limit`; longer than systemd would wait by itself.
pub(crate) fn stopping(limit: Duration) {
    let micros = u32::try_from((limit + CLOSING).as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing what is in hand"),
        NotifyState::ExtendTimeoutUsec(micros),
    ]);
}

/// Gives signs of life as often as systemd wants them, until `stop`; for ever where it wants none. They come from the
/// runtime that does all the work: where it does not get to this, it does not get to anything.
pub(crate) async fn give_signs_of_life(stop: CancellationToken) {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()) else {
        return stop.cancelled().await;
    };
    let mut beat = tokio::time::interval(patience / 3);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => tell(&[NotifyState::Watchdog]),
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

/// How long the store may take to close after the drain.
const CLOSING: Duration = Duration::from_secs(10);
