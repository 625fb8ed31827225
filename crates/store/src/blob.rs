//! Octets of media, named by their digest.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mmsgw_domain::Digest;

use crate::StoreError;

/// A store of octets. The same octets are kept once. What is put is durable when the call returns.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Keeps `octets` and gives their name. Octets that are there already are marked as fresh, so
    /// that [`BlobStore::remove`] leaves them alone until a record claims them.
    async fn put(&self, octets: Bytes) -> Result<Digest, StoreError>;

    /// The octets of that name; `None` where they are not there.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the octets are not the ones that were put.
    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError>;

    /// Removes octets that were last put longer than `unless_younger` ago.
    async fn remove(&self, digest: &Digest, unless_younger: Duration) -> Result<(), StoreError>;
}
