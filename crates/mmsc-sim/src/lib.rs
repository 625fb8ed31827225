//! A pretend carrier (MMSC) for MM4 and MM7, on loopback and scriptable.
//!
//! It is an independent witness: it shares no code with the gateway, reads what the gateway sends with readers of its
//! own, lists what breaks the rules as [`Received::problems`], and answers, reports and misbehaves as its [`Script`]
//! says. It is also the sink of benchmarks: with [`Recording::Counters`] it looks at no media and keeps nothing.
//!
//! It is a tool for tests. Credentials travel in clear text, and the control listener asks for none: keep it on
//! loopback.

mod clock;
mod config;
mod control;
mod mail;
mod mm4;
mod mm7;
mod mo;
mod outbox;
mod record;
mod script;
mod shared;
mod wire;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub use config::{
    Credentials, HttpAuth, LimitConfig, Mm4Names, Mm7Names, OutboxConfig, Recording, RecordingConfig,
    SimConfig,
};
pub use mo::{Mo, MoAnswer};
pub use record::{Answer, Counts, Protocol, Received, ReceivedPart, ReportAnswer};
pub use script::{
    Delay, Mm4Answer, Mm4Behaviour, Mm4Stage, Mm7Answer, Mm7Behaviour, Mm7Stage, Plan, Rule, Script, When,
};
pub use shared::Targets;

use crate::script::LiveScript;
use crate::shared::Shared;

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A listener could not be bound.
    #[error("cannot listen on {addr} for {what}")]
    Listen {
        /// Which listener.
        what: &'static str,
        /// Where.
        addr: SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client")]
    Client(#[from] reqwest::Error),
}

/// A running carrier. It stops when dropped; [`Simulator::shutdown`] also waits for its tasks.
#[derive(Debug)]
pub struct Simulator {
    /// Where MM7 requests go, at any path.
    pub mm7_addr: SocketAddr,
    /// Where MM4 mails go.
    pub mm4_addr: SocketAddr,
    /// Where the control interface is.
    pub control_addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Simulator {
    /// Binds the listeners and starts.
    ///
    /// # Errors
    /// If a listener cannot be bound, or the HTTP client cannot be made.
    pub async fn start(config: SimConfig) -> Result<Self, SimError> {
        let mm7 = listen("MM7", config.mm7_listen).await?;
        let mm4 = listen("MM4", config.mm4_listen).await?;
        let control = listen("control", config.control_listen).await?;
        let shared = Arc::new(Shared::new(config)?);
        let simulator =
            Self { mm7_addr: mm7.1, mm4_addr: mm4.1, control_addr: control.1, shared: Arc::clone(&shared) };
        accept(&shared, mm7.0, |shared, stream| {
            shared.recorder.count(|counts| counts.mm7_connections += 1);
            mm7::server::serve(shared, stream)
        });
        accept(&shared, mm4.0, |shared, stream| {
            shared.recorder.count(|counts| counts.mm4_connections += 1);
            mm4::server::serve(shared, stream)
        });
        accept(&shared, control.0, control::serve);
        shared.spawn(outbox::dispatch(Arc::clone(&shared)));
        Ok(simulator)
    }

    /// The messages kept so far, in the order they came.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.recorder.received(0)
    }

    /// Waits until `wanted` messages are kept, and gives what is there after `limit` at the latest.
    pub async fn wait_received(&self, wanted: usize, limit: Duration) -> Vec<Received> {
        self.wait_until(limit, |simulator| simulator.counts().recorded >= wanted as u64).await;
        self.received()
    }

    /// Waits until `done` holds, looked at after every event; false if `limit` passes first.
    pub async fn wait_until(&self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        self.shared.recorder.wait(limit, || done(self)).await
    }

    /// What the gateway answered to reports and answers by mail, every try.
    #[must_use]
    pub fn report_answers(&self) -> Vec<ReportAnswer> {
        self.shared.recorder.answers()
    }

    /// Totals.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.recorder.counts()
    }

    /// Forgets messages, report answers and transactions; a transaction seen again is then a first attempt.
    pub fn clear(&self) {
        self.shared.recorder.clear();
    }

    /// Changes the behaviour for everything that is decided from now on.
    pub fn set_script(&self, script: Script) {
        self.shared.set_script(LiveScript::new(script));
    }

    /// Changes where reports and messages go.
    pub fn set_targets(&self, targets: Targets) {
        *self.shared.targets.write() = targets;
    }

    /// Sends a message from a phone as MM4_forward.REQ and waits for the reply to the mail.
    pub async fn send_mo_mm4(&self, message: &Mo) -> MoAnswer {
        mo::send_mm4(&self.shared, message).await
    }

    /// Sends a message from a phone as DeliverReq and waits for the response.
    pub async fn send_mo_mm7(&self, message: &Mo) -> MoAnswer {
        mo::send_mm7(&self.shared, message).await
    }

    /// Submits a message as SubmitReq, as a value added service provider does, and waits for the response. Reports on
    /// it are taken where MM7 requests are.
    pub async fn submit_mm7(&self, message: &Mo) -> MoAnswer {
        mo::submit_mm7(&self.shared, message).await
    }

    /// Closes listeners and connections, forgets queued reports, and waits for the end of all tasks.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn listen(what: &'static str, addr: SocketAddr) -> Result<(TcpListener, SocketAddr), SimError> {
    let bind = async {
        let listener = TcpListener::bind(addr).await?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind.await.map_err(|source| SimError::Listen { what, addr, source })
}

fn accept<F: Future<Output = ()> + Send + 'static>(
    shared: &Arc<Shared>,
    listener: TcpListener,
    serve: impl Fn(Arc<Shared>, TcpStream) -> F + Send + 'static,
) {
    let slots = Arc::new(Semaphore::new(shared.config.limits.connections.min(Semaphore::MAX_PERMITS)));
    let server = Arc::clone(shared);
    shared.spawn(async move {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
            let _ = stream.set_nodelay(true);
            let session = serve(Arc::clone(&server), stream);
            server.spawn(async move {
                session.await;
                drop(slot);
            });
        }
    });
}

/// Pause after a failed accept, when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
