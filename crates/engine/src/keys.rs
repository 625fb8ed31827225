//! API keys that are kept in the store, for all processes that share it. What a key says is its maker's affair.

use bytes::Bytes;
use mmsgw_domain::Timestamp;
use mmsgw_store::{Batch, Record, RecordKey, RecordKind, Write};

use crate::engine::Engine;
use crate::refusal::Refusal;

impl Engine {
    /// All keys, by name.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn kept_keys(&self) -> Result<Vec<(String, Bytes)>, Refusal> {
        let (mut keys, mut after) = (Vec::new(), key(""));
        loop {
            let page = self.store.records(&after, PAGE).await?;
            let is_last = page.len() < PAGE;
            keys.extend(page.into_iter().map(|record| (record.key.id, record.value)));
            match keys.last() {
                Some((name, _)) if !is_last => after = key(name),
                _ => return Ok(keys),
            }
        }
    }

    /// Keeps a key until it is dropped.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] where there is one of that name.
    pub async fn keep_key(&self, name: &str, value: Bytes) -> Result<(), Refusal> {
        let record = Record { key: key(name), version: 1, value, until: ALWAYS };
        Ok(self.commit(Batch::new().with(Write::Record(record))).await?)
    }

    /// Forgets a key; none there is no trouble.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn drop_key(&self, name: &str) -> Result<(), Refusal> {
        Ok(self.commit(Batch::new().with(Write::DropRecord(key(name)))).await?)
    }
}

fn key(name: &str) -> RecordKey {
    RecordKey { group: None, kind: RecordKind::Key, owner: OWNER.to_owned(), id: name.to_owned() }
}

/// All keys are listed together.
const OWNER: &str = "api";
/// Keys read at once.
const PAGE: usize = 500;
/// The end of the year 9998: stores want an end, keys have one of their own.
const ALWAYS: Timestamp = Timestamp::from_secs(253_370_764_800);
