//! Connections, counted for metrics: those that listeners accept, and those that a pool opens.

use std::sync::atomic::{AtomicU64, Ordering};

/// Connections of one listener since it was bound.
#[derive(Debug, Default)]
pub struct ListenerCounts {
    accepted: AtomicU64,
    closed: AtomicU64,
    refused: AtomicU64,
    full: AtomicU64,
}

impl ListenerCounts {
    /// Connections accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        // Closed first: what is closed in between would count as never opened.
        let closed = self.closed.load(Ordering::Acquire);
        self.accepted().saturating_sub(closed)
    }

    /// Connections accepted and then not served: their peer is not allowed, no TLS came about, or there were too many.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How often the listener had as many connections as it may, so that newcomers had to wait.
    #[must_use]
    pub fn full(&self) -> u64 {
        self.full.load(Ordering::Relaxed)
    }

    pub(crate) fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn close(&self) {
        self.closed.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was accepted, and closed without being served.
    pub(crate) fn turn_away(&self) {
        self.accept();
        self.refuse();
        self.close();
    }

    pub(crate) fn fill(&self) {
        self.full.fetch_add(1, Ordering::Relaxed);
    }
}

/// Connections to one peer.
#[derive(Debug, Default)]
pub struct DialCounts {
    opened: AtomicU64,
    failed: AtomicU64,
}

impl DialCounts {
    /// Connections that came about.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Attempts that came to nothing.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Counts an attempt that is over.
    pub fn count(&self, came_about: bool) {
        if came_about { &self.opened } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
    }
}
