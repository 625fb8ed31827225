//! The contract of [`BlobStore`] in executable form.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::Digest;

use crate::{BlobStore, StoreError, digest_of};

/// Runs all cases on one empty store; prints the name of each. `here` and `there` are the store as two processes
/// have it open; the same one twice where only one process can keep the contract.
///
/// Needs a multi-threaded tokio runtime with time enabled.
///
/// # Panics
/// Where the store breaks the contract.
pub async fn run_blobs(here: Arc<dyn BlobStore>, there: Arc<dyn BlobStore>, hands: impl BlobHands) {
    println!("conformance: octets are kept under their digest");
    kept_under_their_digest(&*here, &*there).await;
    println!("conformance: many puts of the same octets do no harm");
    many_puts(&here, &there).await;
    println!("conformance: changed octets are named and can be put right");
    changed_octets(&*here, &hands).await;
    println!("conformance: octets are removed by the time of their last put");
    let others = put_many(&*here).await;
    age(&*here, &*there, &hands).await;
    println!("conformance: octets that are put while they are removed stay");
    put_meanwhile(&here, &there, others).await;
}

/// What the cases cannot do through the contract.
pub trait BlobHands: Send + Sync {
    /// Returns when all that is stored is older by at least `span`.
    fn pass(&self, span: Duration) -> impl Future<Output = ()> + Send;

    /// Has `octets` stored under a name that is not theirs.
    fn spoil(&self, digest: &Digest, octets: &'static [u8]) -> impl Future<Output = ()> + Send;
}

async fn kept_under_their_digest(here: &dyn BlobStore, there: &dyn BlobStore) {
    let digest = here.put(Bytes::from_static(b"abc")).await.unwrap();
    // FIPS 180-4, first example of SHA-256.
    let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(digest.to_string(), known);
    assert_eq!(there.get(&digest).await.unwrap().as_deref(), Some(&b"abc"[..]));
    assert_eq!(there.put(Bytes::from_static(b"abc")).await.unwrap(), digest);
    let empty = here.put(Bytes::new()).await.unwrap();
    assert_eq!(there.get(&empty).await.unwrap(), Some(Bytes::new()));
    let large: Bytes = (0..6_000_000_u32).map(|n| n.wrapping_mul(0x9e37_79b1).to_be_bytes()[0]).collect();
    let digest = here.put(large.clone()).await.unwrap();
    assert!(there.get(&digest).await.unwrap() == Some(large), "large octets come back whole");
    let unknown = Digest::new([0; 32]);
    assert_eq!(here.get(&unknown).await.unwrap(), None);
    assert!(here.remove(&unknown, AGE).await.unwrap(), "what never was is gone");
}

async fn many_puts(here: &Arc<dyn BlobStore>, there: &Arc<dyn BlobStore>) {
    let octets = Bytes::from(vec![7; 300_000]);
    let put = |n: usize| {
        let (blobs, octets) = (Arc::clone(if n.is_multiple_of(2) { here } else { there }), octets.clone());
        tokio::spawn(async move {
            let digest = blobs.put(octets).await.unwrap();
            (digest, blobs.get(&digest).await.unwrap())
        })
    };
    let tasks: Vec<_> = (0..40).map(put).collect();
    for task in tasks {
        let (digest, got) = task.await.unwrap();
        assert_eq!(digest, digest_of(&octets));
        assert!(got.as_ref() == Some(&octets), "whoever was told of a put can read it");
    }
}

async fn changed_octets(blobs: &dyn BlobStore, hands: &impl BlobHands) {
    let digest = blobs.put(Bytes::from_static(b"right")).await.unwrap();
    hands.spoil(&digest, b"wrong").await;
    assert!(matches!(blobs.get(&digest).await, Err(StoreError::Corrupt(_))));
    hands.spoil(&digest, b"cut").await;
    assert!(matches!(blobs.get(&digest).await, Err(StoreError::Corrupt(_))));
    blobs.put(Bytes::from_static(b"right")).await.unwrap();
    assert_eq!(
        blobs.get(&digest).await.unwrap().as_deref(),
        Some(&b"right"[..]),
        "octets cut short are replaced"
    );
}

async fn age(here: &dyn BlobStore, there: &dyn BlobStore, hands: &impl BlobHands) {
    let [again, once] = [b"again".as_slice(), b"once"].map(Bytes::from_static);
    let [kept, gone] = [here.put(again.clone()).await.unwrap(), here.put(once).await.unwrap()];
    assert!(!there.remove(&gone, AGE).await.unwrap());
    assert!(here.get(&gone).await.unwrap().is_some(), "young octets stay");
    hands.pass(AGE).await;
    here.put(again.clone()).await.unwrap();
    assert!(!there.remove(&kept, AGE).await.unwrap());
    assert!(there.remove(&gone, AGE).await.unwrap());
    assert!(here.get(&kept).await.unwrap().is_some(), "a put makes old octets fresh");
    assert_eq!(here.get(&gone).await.unwrap(), None);
    assert!(there.remove(&gone, AGE).await.unwrap());
    assert_eq!(here.put(again.clone()).await.unwrap(), kept);
    assert!(there.remove(&kept, Duration::ZERO).await.unwrap());
    assert_eq!(here.get(&kept).await.unwrap(), None, "every age is more than nothing");
    here.put(again).await.unwrap();
    assert!(there.get(&kept).await.unwrap().is_some(), "what was removed can be put anew");
}

/// Octets that are old when the case about age is over.
async fn put_many(blobs: &dyn BlobStore) -> Vec<Bytes> {
    let octets: Vec<Bytes> = (0..60).map(|n| Bytes::from(format!("old octets {n}"))).collect();
    for octets in &octets {
        blobs.put(octets.clone()).await.unwrap();
    }
    octets
}

async fn put_meanwhile(here: &Arc<dyn BlobStore>, there: &Arc<dyn BlobStore>, octets: Vec<Bytes>) {
    for (n, octets) in octets.into_iter().enumerate() {
        let (here, there, digest) = (Arc::clone(here), Arc::clone(there), digest_of(&octets));
        let removal = tokio::spawn(async move { there.remove(&digest, AGE).await });
        // Each time a little later in the course of the removal.
        tokio::time::sleep(Duration::from_micros(400) * u32::try_from(n).unwrap_or(0)).await;
        here.put(octets).await.unwrap();
        removal.await.unwrap().unwrap();
        assert!(here.get(&digest).await.unwrap().is_some(), "a put that was answered holds");
    }
}

/// An age that the cases ask for: short, since some stores cannot be made to look older, and longer than a put and
/// a removal together, on a busy machine too.
const AGE: Duration = Duration::from_secs(3);
