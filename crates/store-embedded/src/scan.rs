//! Looking through messages: a range of the order by id, read and judged on a reader thread.
//!
//! What was written lately needs no look into memory here: a message is durable, and so in the database, before anybody
//! is told of it.

use mmsgw_domain::{MessageId, Timestamp};
use mmsgw_store::{Scan, Scanned, StoreError};
use rusqlite::{Connection, params};

use crate::tables::{self, count, decode, failed};

/// Looks at a slice of the messages. One that cannot be read is reported to the log and passed by.
pub(crate) fn messages(connection: &Connection, scan: &Scan, now: Timestamp) -> Result<Scanned, StoreError> {
    let first = MessageId::first_at(scan.since);
    // Ids have 16 octets; no one comes after these.
    let before = scan.before.map_or_else(|| vec![u8::MAX; 17], |id| id.as_bytes().to_vec());
    let slice = scan.effort.clamp(1, SLICE);
    let mut statement = connection.prepare_cached(PAGE).map_err(|e| failed(&e))?;
    let mut rows =
        statement.query(params![before, first.as_bytes(), count(slice)]).map_err(|e| failed(&e))?;
    let mut scanned = Scanned::default();
    while let Some(row) = rows.next().map_err(|e| failed(&e))? {
        let id: MessageId = tables::id(row, 0).map_err(|e| failed(&e))?;
        let expires: Option<i64> = row.get(1).map_err(|e| failed(&e))?;
        let record = row.get_ref(2).and_then(|value| Ok(value.as_bytes()?)).map_err(|e| failed(&e))?;
        let live = expires.is_none_or(|expires| expires > now.as_millis());
        let found = if live { decode(record) } else { Ok(None) };
        let found = found.unwrap_or_else(|error| {
            tracing::error!(%error, message = %id, "a message cannot be read");
            None
        });
        if scanned.note(scan, id, found) {
            return Ok(scanned);
        }
    }
    if scanned.looked_at < slice {
        scanned.next = None;
    }
    Ok(scanned)
}

/// Messages looked at by one question: some ten milliseconds of a reader thread.
pub(crate) const SLICE: usize = 1_000;

/// Messages in the order of their ids, the newest first.
pub(crate) const PAGE: &str = "SELECT id, expires, record FROM message
    WHERE id < ?1 AND id >= ?2 ORDER BY id DESC LIMIT ?3";
