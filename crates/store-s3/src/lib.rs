//! Media in an S3-compatible store: one object for each medium, its key a prefix and the digest.
//!
//! Answers for the [`BlobStore`] contract among any number of processes on any hosts. Asks nothing of the store that
//! is not in every one: whole objects put, read and deleted, `HEAD`, `ListObjectsV2`, and that each request sees what
//! was answered before it. It makes no bucket and looks at no object that is not a medium of ours.
//!
//! * [`config`]: the settings.
//! * `bucket`: single requests, and what their errors mean.
//! * `removal`: how a removal and a put of the same octets keep out of each other's way.
//!
//! A put costs two requests where the octets are new, one where they were put a short while ago, and four, with
//! nobody else about, where they are there but old. A read costs one, a removal five.

mod bucket;
pub mod config;
mod removal;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mmsgw_domain::{Clock, Digest};
use mmsgw_store::{BlobStore, StoreError, digest_of};
use tokio::sync::Semaphore;

use crate::bucket::Bucket;
pub use crate::config::S3Settings;

/// A [`BlobStore`] in a bucket.
pub struct S3Blobs {
    bucket: Bucket,
    /// Octets put later than this are not sent again.
    fresh_for: Duration,
    /// For one call, all of its requests, tries and waiting.
    limit: Duration,
    turns: Semaphore,
}

impl S3Blobs {
    /// Opens the bucket, and tries out with an empty object of its own that it may put, read, list and delete.
    /// `clock` is to be the time of day, which the store's own is compared with.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] where the settings, a file they name, the bucket or the permissions are not as they
    /// must be; [`StoreError::Unavailable`] where the store does not answer, or not now.
    pub async fn open(settings: &S3Settings, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        if let Some(fault) = settings.check().first() {
            return Err(StoreError::Unusable(format!("media store: {fault}")));
        }
        let blobs = Self::new(settings, clock)?;
        blobs.in_turn(blobs.bucket.try_out()).await?;
        Ok(blobs)
    }

    fn new(settings: &S3Settings, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let (fresh_for, limit) = (settings.fresh_for.0, settings.total_timeout.0);
        let turns = Semaphore::new(settings.in_flight);
        Ok(Self { bucket: Bucket::new(settings, clock)?, fresh_for, limit, turns })
    }

    /// Does `work` once there is a turn for it, all within the limit.
    async fn in_turn<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let work = async {
            // Never closed, so that there is a turn in the end.
            let _turn = self.turns.acquire().await;
            work.await
        };
        let late = |_| StoreError::Unavailable(format!("media store: not done within {:?}", self.limit));
        tokio::time::timeout(self.limit, work).await.map_err(late)?
    }

    async fn store(&self, digest: &Digest, octets: Bytes) -> Result<(), StoreError> {
        let key = self.bucket.key(digest);
        match self.bucket.look(&key).await? {
            // Nobody removes what is not there, so nothing can happen to it either.
            None => self.bucket.put(&key, octets).await,
            Some(seen)
                if seen.size == octets.len() as u64 && self.bucket.is_younger(&seen, self.fresh_for) =>
            {
                Ok(())
            }
            Some(_) => removal::put_over(&self.bucket, digest, octets).await,
        }
    }
}

#[async_trait]
impl BlobStore for S3Blobs {
    async fn put(&self, octets: Bytes) -> Result<Digest, StoreError> {
        let (digest, octets) = named(octets).await?;
        self.in_turn(self.store(&digest, octets)).await?;
        Ok(digest)
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let Some(octets) = self.in_turn(self.bucket.get(&self.bucket.key(digest))).await? else {
            return Ok(None);
        };
        let (found, octets) = named(octets).await?;
        if found != *digest {
            return Err(StoreError::Corrupt(format!("the octets of blob {digest} have changed")));
        }
        Ok(Some(octets))
    }

    async fn remove(&self, digest: &Digest, unless_younger: Duration) -> Result<bool, StoreError> {
        // What was put again while it was fresh looks older than it is by that much.
        let unless_younger = match unless_younger {
            Duration::ZERO => Duration::ZERO,
            span => span + self.fresh_for,
        };
        self.in_turn(removal::remove(&self.bucket, digest, unless_younger)).await
    }
}

/// Octets with their digest, made on a thread where that takes no time from others.
async fn named(octets: Bytes) -> Result<(Digest, Bytes), StoreError> {
    let naming = tokio::task::spawn_blocking(move || (digest_of(&octets), octets));
    naming.await.map_err(|e| StoreError::Unavailable(format!("media store: {e}")))
}

#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;
