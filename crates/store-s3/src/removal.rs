//! How a removal and a put of the same octets keep out of each other's way, on different hosts too.
//!
//! S3 cannot delete an object on condition that nobody has put it since somebody looked. So a removal leaves a mark,
//! and looks after that whether the octets are still old. A put over old octets looks for a mark after its octets
//! are in:
//!
//! * there is none, and the octets are there: a removal yet to come will see that they are fresh;
//! * there is none, and the octets are gone: a removal came and went meanwhile, so they are put again;
//! * there is one: a removal is at work and may have seen them old; once it is over they are put again.
//!
//! A digest has one removal at a time, since a store of records names it to one process. One that died leaves its
//! mark, which counts no more after a while.

use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::Digest;
use mmsgw_store::StoreError;
use object_store::path::Path;

use crate::bucket::Bucket;

/// Puts octets that are there, and sees to it that they stay. The caller limits the time.
pub(crate) async fn put_over(bucket: &Bucket, digest: &Digest, octets: Bytes) -> Result<(), StoreError> {
    let (key, mark) = (bucket.key(digest), mark(bucket, digest));
    loop {
        bucket.put(&key, octets.clone()).await?;
        if !is_marked(bucket, &mark).await? {
            if bucket.look(&key).await?.is_some() {
                return Ok(());
            }
            continue;
        }
        while is_marked(bucket, &mark).await? {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Removes octets unless they were put less than `unless_younger` ago; says whether they are gone.
pub(crate) async fn remove(
    bucket: &Bucket,
    digest: &Digest,
    unless_younger: Duration,
) -> Result<bool, StoreError> {
    let (key, mark) = (bucket.key(digest), mark(bucket, digest));
    let stays = async || {
        let seen = bucket.look(&key).await?;
        Ok(seen.map(|seen| !bucket.is_older(&seen, unless_younger)))
    };
    match stays().await? {
        None => return Ok(true),
        Some(true) => return Ok(false),
        Some(false) => bucket.put(&mark, Bytes::new()).await?,
    }
    let young = stays().await?.unwrap_or(false);
    if !young {
        // Should it fail, the mark stays: a request that was given up may still do its work.
        bucket.delete(&key).await?;
    }
    bucket.delete(&mark).await?;
    Ok(!young)
}

/// Whether a removal is at work.
async fn is_marked(bucket: &Bucket, mark: &Path) -> Result<bool, StoreError> {
    Ok(bucket.look(mark).await?.is_some_and(|seen| bucket.is_younger(&seen, MARK_COUNTS)))
}

fn mark(bucket: &Bucket, digest: &Digest) -> Path {
    bucket.path(&format!("removing-{digest}"))
}

/// How often a put looks whether a removal is over. One takes the time of a few requests.
const POLL: Duration = Duration::from_millis(50);

/// From this age on a mark was left by a removal that died: none takes longer than two minutes, and stores refuse
/// the requests of a clock that is wrong by more than fifteen.
const MARK_COUNTS: Duration = Duration::from_secs(20 * 60);
