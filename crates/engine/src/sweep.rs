//! Housekeeping: forgets what is over, and knows how much waits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mmsgw_domain::QueueKind;
use mmsgw_store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

/// How often the depth of the queues is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How many looks there are to one sweep.
const LOOKS_PER_SWEEP: u32 = 30;
/// Records of a kind removed in one step, so that others get their turn.
const STEP: usize = 500;
/// Octets put later than this before a sweep are left alone, claimed or not.
const YOUNG: Duration = Duration::from_secs(86_400);

impl Engine {
    /// Keeps house until `stop`.
    pub async fn keep_house(self, stop: CancellationToken) {
        let mut looks = 0;
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "cannot count what waits");
            }
            if let Err(error) = self.reap().await {
                tracing::warn!(%error, "cannot look for instances that have died");
            }
            looks += 1;
            if looks % LOOKS_PER_SWEEP == 0
                && let Err(error) = self.sweep_all().await
            {
                tracing::warn!(%error, "cannot forget what is over");
            }
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let queues = self.store.queues().await?;
        for group in self.groups.all() {
            let mine = |q: &&mmsgw_store::QueueStatus| {
                q.queue.group == group.settings.name && q.queue.kind == QueueKind::Tx
            };
            let waiting = queues.iter().find(mine).map_or(0, |q| q.waiting);
            group.waiting.store(waiting, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Removes every record whose time is over, and the octets that nobody claims.
    pub async fn sweep_all(&self) -> Result<(), StoreError> {
        loop {
            let swept = self.store.sweep(STEP).await?;
            for digest in &swept.blobs {
                self.blobs.remove(digest, YOUNG).await?;
            }
            if swept.records == 0 && swept.blobs.is_empty() {
                return Ok(());
            }
            tracing::debug!(records = swept.records, blobs = swept.blobs.len(), "forgot what was over");
        }
    }
}
