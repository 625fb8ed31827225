//! Keys kept in the store: read by every process at intervals, so that all know a change soon.

use std::time::Duration;

use mmsgw_contract::{KeyRing, StoredKey};
use mmsgw_engine::{Engine, Refusal};
use tokio::time::MissedTickBehavior;

/// Reads the keys of the store once and puts them on the ring.
///
/// # Errors
/// Where the store does not answer; the ring keeps the keys that it had.
pub async fn read_keys(engine: &Engine, ring: &KeyRing) -> Result<(), Refusal> {
    ring.set_stored(&stored_keys(engine).await?);
    Ok(())
}

/// The same at intervals, for ever. While the store does not answer the keys that were known last are good.
pub async fn keep_fresh(engine: Engine, ring: KeyRing) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_read = true;
    loop {
        looks.tick().await;
        let read = match tokio::time::timeout(PATIENCE, read_keys(&engine, &ring)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refusal)) => Err(refusal.to_string()),
            Err(_) => Err("the store does not answer".to_owned()),
        };
        if let Err(error) = &read
            && was_read
        {
            tracing::warn!(%error, "cannot look for new API keys; those that are known stay good");
        }
        was_read = read.is_ok();
    }
}

/// What the store has. A key that cannot be read, made by a later release perhaps, is none.
pub(crate) async fn stored_keys(engine: &Engine) -> Result<Vec<StoredKey>, Refusal> {
    let kept = engine.kept_keys().await?;
    let read = kept.into_iter().filter_map(|(name, value)| {
        let read = serde_json::from_slice::<StoredKey>(&value);
        read.inspect_err(|error| tracing::warn!(name, %error, "a key in the store cannot be read")).ok()
    });
    Ok(read.collect())
}

/// How often a process looks: it knows of a change within 5 s, this and a slow answer of the store taken together.
const LOOK: Duration = Duration::from_secs(2);
/// How long it waits for the store.
const PATIENCE: Duration = Duration::from_secs(3);
