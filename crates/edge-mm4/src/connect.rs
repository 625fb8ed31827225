//! The pool: long-lived connections to one carrier, each with one mail at a time.
//!
//! A permit is the right to have a connection at work; no more than that many are ever open, idle
//! ones included. Idle connections wait on a stack, the last used on top, so that those at the bottom
//! age and are closed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mmsgw_engine::{Connections, Tap};
use mmsgw_smtp::Stage;
use mmsgw_smtp::client::{ClientError, EnvelopeError};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::link::{Dialer, Link, LinkError, Mail, Tried};

/// Limits of a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolLimits {
    pub(crate) connections: usize,
    /// Mails per connection; 0 for no limit.
    pub(crate) mails: u32,
    pub(crate) idle: Duration,
    /// Between two NOOPs; zero for none.
    pub(crate) keepalive: Duration,
}

/// See the module.
pub(crate) struct Pool {
    dialer: Dialer,
    limits: PoolLimits,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Link>>,
}

impl Pool {
    /// An empty pool, and the task that looks after it; the task ends with the pool.
    pub(crate) fn start(dialer: Dialer, limits: PoolLimits) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
        let pool = Arc::new(Self { dialer, limits, permits, idle: Mutex::default() });
        tokio::spawn(look_after(Arc::downgrade(&pool), limits));
        pool
    }

    /// Sends one mail over a connection that is free, or a new one. Waits while all are busy.
    pub(crate) async fn send(&self, mail: &Mail, tap: &Tap) -> Result<Tried, LinkError> {
        let acquired = Arc::clone(&self.permits).acquire_owned().await;
        let permit = acquired.expect("the semaphore is never closed");
        if let Some(mut link) = self.take_idle() {
            let tried = link.send(mail, tap).await;
            if !is_stale(&tried, &link) {
                self.give_back(link, permit, &tried);
                return tried;
            }
            tracing::debug!("an idle connection had been closed by the carrier; taking a new one");
        }
        let mut link = self.dialer.open(tap).await?;
        let tried = link.send(mail, tap).await;
        self.give_back(link, permit, &tried);
        tried
    }

    /// Asks the carrier whether it is there, by NOOP on a connection that waits for a mail, where there is one and it
    /// need not be `fresh`; else by a connection beside all others.
    pub(crate) async fn probe(&self, fresh: bool) -> Result<(), LinkError> {
        if !fresh
            && let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned()
            && let Some(mut link) = self.take_idle()
            && link.noop().await.is_ok()
        {
            self.idle.lock().insert(0, link);
            drop(permit);
            return Ok(());
        }
        let mut link = self.dialer.open(&Tap::default()).await?;
        if !fresh {
            link.noop().await?;
        }
        link.quit().await;
        Ok(())
    }

    /// What is known of its connections.
    pub(crate) fn connections(&self) -> Connections {
        let busy = self.limits.connections.saturating_sub(self.permits.available_permits());
        Connections {
            busy: busy as u64,
            idle: Some(self.idle.lock().len() as u64),
            opened: self.dialer.counts.opened(),
            failed: self.dialer.counts.failed(),
        }
    }

    /// Number of connections that wait for a mail.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.idle.lock().len()
    }

    fn take_idle(&self) -> Option<Link> {
        loop {
            let mut link = self.idle.lock().pop()?;
            if link.is_usable() {
                return Some(link);
            }
        }
    }

    fn give_back(&self, mut link: Link, permit: OwnedSemaphorePermit, tried: &Result<Tried, LinkError>) {
        if tried.is_err() || !link.is_usable() {
            return;
        }
        if self.limits.mails > 0 && link.mails() >= self.limits.mails {
            end(link, permit);
            return;
        }
        link.rest();
        self.idle.lock().push(link);
    }

    /// Closes what was idle for too long, drops what the server closed, asks the others whether they
    /// live where that is due.
    fn tidy(self: &Arc<Self>) {
        let PoolLimits { idle: limit, keepalive, .. } = self.limits;
        let mut idle = self.idle.lock();
        let links = std::mem::take(&mut *idle);
        for mut link in links {
            if !link.is_usable() {
                continue;
            }
            let old = link.idle_for() >= limit;
            let silent = !keepalive.is_zero() && link.unheard_for() >= keepalive;
            match (old || silent).then(|| Arc::clone(&self.permits).try_acquire_owned()) {
                Some(Ok(permit)) if old => end(link, permit),
                Some(Ok(permit)) => self.ask(link, permit),
                _ => idle.push(link),
            }
        }
    }

    fn ask(self: &Arc<Self>, mut link: Link, permit: OwnedSemaphorePermit) {
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            if link.noop().await.is_ok() {
                // At the bottom: it has not been used since.
                pool.idle.lock().insert(0, link);
            }
            drop(permit);
        });
    }
}

/// Ends a connection politely; it counts as open until then.
fn end(link: Link, permit: OwnedSemaphorePermit) {
    tokio::spawn(async move {
        link.quit().await;
        drop(permit);
    });
}

async fn look_after(pool: Weak<Pool>, limits: PoolLimits) {
    let keepalive = Some(limits.keepalive).filter(|often| !often.is_zero()).unwrap_or(limits.idle);
    let pause = (limits.idle.min(keepalive) / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        tokio::time::sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.tidy();
    }
}

/// True where a connection turned out dead before the server accepted anything of the mail.
fn is_stale(tried: &Result<Tried, LinkError>, link: &Link) -> bool {
    let before = |stage: &Stage| matches!(stage, Stage::Reset | Stage::MailFrom | Stage::Idle);
    match tried {
        Err(LinkError::Closed(_)) | Ok(Err(EnvelopeError::NotReady)) => !link.in_doubt(),
        Err(LinkError::Session(ClientError::PeerClosed { stage })) => before(stage) && !link.in_doubt(),
        Ok(Ok(outcome)) => {
            let closing = outcome.result.as_ref().is_err_and(|reply| reply.code() == 421);
            closing && before(&outcome.stage)
        }
        Err(_) | Ok(Err(_)) => false,
    }
}
