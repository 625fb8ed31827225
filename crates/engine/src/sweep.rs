//! Housekeeping: forgets what is over, and knows how much waits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use mmsgw_domain::{Digest, QueueKind};
use mmsgw_store::{Batch, StoreError, Write};
use parking_lot::Mutex;
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
/// Octets that could not be removed are tried again after this.
const AGAIN: Duration = Duration::from_secs(3600);
/// Octets removed at the same time: each may take some requests to another host.
const AT_ONCE: usize = 16;

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
            let waiting = |kind: QueueKind| {
                let mine = |q: &&mmsgw_store::QueueStatus| {
                    q.queue.group == group.settings.name && q.queue.kind == kind
                };
                queues.iter().find(mine).map_or(0, |q| q.waiting)
            };
            group.waiting.store(waiting(QueueKind::Tx), Ordering::Relaxed);
            group.unread.store(waiting(QueueKind::Rx), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Removes every record whose time is over, and the octets that nobody claims.
    pub async fn sweep_all(&self) -> Result<(), StoreError> {
        loop {
            let swept = self.store.sweep(STEP).await?;
            let blobs = swept.blobs.len();
            self.remove_blobs(swept.blobs).await?;
            if swept.records == 0 && blobs == 0 {
                return Ok(());
            }
            tracing::debug!(records = swept.records, blobs, "forgot what was over");
        }
    }

    /// Removes octets, some at once. The store of records names a blob once, so what is not gone after that is
    /// claimed for a while, to be named again.
    async fn remove_blobs(&self, digests: Vec<Digest>) -> Result<(), StoreError> {
        let failed = Mutex::new(None);
        let claims = futures_util::stream::iter(digests).map(async |digest| {
            // A store of media that fails is not asked for all the others too.
            if failed.lock().is_some() {
                return Some((digest, AGAIN));
            }
            match self.blobs.remove(&digest, YOUNG).await {
                Ok(gone) => (!gone).then_some((digest, YOUNG)),
                Err(error) => {
                    failed.lock().get_or_insert(error);
                    Some((digest, AGAIN))
                }
            }
        });
        let claims: Vec<_> = claims.buffer_unordered(AT_ONCE).collect().await;
        let mut batch = Batch::new();
        for (digest, span) in claims.into_iter().flatten() {
            batch.push(Write::KeepBlob { digest, until: self.now().after(span) });
        }
        if !batch.is_empty() {
            self.commit(batch).await?;
        }
        failed.into_inner().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::SystemTime;

    use async_trait::async_trait;
    use bytes::Bytes;
    use mmsgw_domain::Clock;
    use mmsgw_store::{BlobStore, DirectoryBlobs, LocalRegistry, ManualClock, MemoryStore, Store};

    use super::*;
    use crate::engine::{EngineParts, EngineSettings};
    use crate::gateway::{Call, CallVerdict, FetchError, Fetcher, Notifier};

    /// Neither an application nor a media server.
    struct Nobody;

    #[async_trait]
    impl Fetcher for Nobody {
        fn check(&self, _url: &str) -> Result<(), FetchError> {
            Ok(())
        }

        async fn fetch(&self, _url: &str, _content_type: &str) -> Result<Bytes, FetchError> {
            Err(FetchError::Missing("there is nothing".into()))
        }
    }

    #[async_trait]
    impl Notifier for Nobody {
        async fn notify(&self, _call: &Call<'_>) -> CallVerdict {
            unreachable!("there is nothing to tell")
        }
    }

    fn grow_old(path: &Path) {
        File::open(path).unwrap().set_modified(SystemTime::now() - 2 * YOUNG).unwrap();
    }

    #[tokio::test]
    async fn octets_that_are_young_or_cannot_be_removed_are_removed_by_a_later_sweep() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Arc::new(DirectoryBlobs::open(dir.path()).unwrap());
        let clock = Arc::new(ManualClock::default());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let parts = EngineParts {
            store: store.clone(),
            registry: Arc::new(LocalRegistry::new(clock.clone())),
            blobs: blobs.clone(),
            clock: clock.clone(),
            fetcher: Arc::new(Nobody),
            notifier: Arc::new(Nobody),
        };
        let engine = Engine::new(parts, EngineSettings::default());
        let mut claims = Batch::new();
        let mut paths = Vec::new();
        for text in ["young", "stuck", "old"] {
            let digest = blobs.put(Bytes::from_static(text.as_bytes())).await.unwrap();
            claims.push(Write::KeepBlob { digest, until: clock.now() });
            paths.push(blobs.path_of(&digest));
        }
        let [young, stuck, old] = paths.try_into().unwrap();
        // A folder is not removed by who means to remove a file.
        fs::remove_file(&stuck).unwrap();
        fs::create_dir(&stuck).unwrap();
        grow_old(&stuck);
        grow_old(&old);
        store.commit(claims).await.unwrap();
        assert!(matches!(engine.sweep_all().await, Err(StoreError::Unavailable(_))));
        fs::remove_dir(&stuck).unwrap();
        fs::write(&stuck, "stuck").unwrap();
        grow_old(&stuck);
        engine.sweep_all().await.unwrap();
        assert!(stuck.exists(), "not before its time");
        clock.advance(AGAIN);
        engine.sweep_all().await.unwrap();
        assert!(!stuck.exists() && !old.exists() && young.exists());
        clock.advance(YOUNG);
        grow_old(&young);
        engine.sweep_all().await.unwrap();
        assert!(!young.exists());
    }
}
