//! Octets of media, named by their digest.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mmsgw_domain::Digest;

use crate::StoreError;

/// A store of octets. The same octets are kept once. What is put is durable when the call returns.
/// [`conformance::run_blobs`](crate::conformance::run_blobs) is the contract in executable form.
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

    /// Removes octets that were last put longer than `unless_younger` ago. Says whether they are gone; if not, they
    /// were too young.
    async fn remove(&self, digest: &Digest, unless_younger: Duration) -> Result<bool, StoreError>;
}

/// The name of octets: their SHA-256 sum (FIPS 180-4).
#[must_use]
pub fn digest_of(octets: &[u8]) -> Digest {
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
    Digest::new(sum.as_ref().try_into().expect("a SHA-256 sum has 32 octets"))
}
