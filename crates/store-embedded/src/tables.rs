//! Words between records and rows: how values are written into columns, and what SQLite's errors
//! mean to a caller.

use mmsgw_domain::{Digest, GroupName, Id, Job, Queue, QueueKind, Timestamp};
use mmsgw_store::{Lane, StoreError};
use rusqlite::{ErrorCode, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A record as it is stored.
pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(|e| unwritable(&e))
}

/// What it means that a record cannot be written.
pub(crate) fn unwritable(error: &serde_json::Error) -> StoreError {
    StoreError::Unavailable(format!("a record cannot be written: {error}"))
}

/// A stored job.
pub(crate) fn decode_job(record: Vec<u8>) -> Result<Job, StoreError> {
    Job::from_record(&record.into()).map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// A stored record.
pub(crate) fn decode<T: DeserializeOwned>(octets: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(octets).map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// Column `index` as an id.
pub(crate) fn id<K>(row: &Row<'_>, index: usize) -> rusqlite::Result<Id<K>> {
    let octets: [u8; 16] = row.get(index)?;
    Id::from_slice(&octets).ok_or_else(|| odd(index))
}

/// Column `index` as a digest.
pub(crate) fn digest(row: &Row<'_>, index: usize) -> rusqlite::Result<Digest> {
    row.get(index).map(Digest::new)
}

/// Column `index` as a point in time.
pub(crate) fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    row.get(index).map(Timestamp::from_millis)
}

/// Column `index` as a lane.
pub(crate) fn lane(row: &Row<'_>, index: usize) -> rusqlite::Result<Lane> {
    let number: i64 = row.get(index)?;
    usize::try_from(number).ok().and_then(|n| Lane::ALL.get(n).copied()).ok_or_else(|| odd(index))
}

/// Columns `index` and the next one as a queue.
pub(crate) fn queue(row: &Row<'_>, index: usize) -> rusqlite::Result<Queue> {
    let (group, kind): (String, String) = (row.get(index)?, row.get(index + 1)?);
    let group: GroupName = group.parse().map_err(|_| odd(index))?;
    let kind = QueueKind::ALL.into_iter().find(|k| k.name() == kind).ok_or_else(|| odd(index + 1))?;
    Ok(Queue { group, kind })
}

/// An error of SQLite as callers know it.
pub(crate) fn failed(error: &rusqlite::Error) -> StoreError {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    let corrupt =
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            || matches!(
                error,
                FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..)
            );
    if corrupt { StoreError::Corrupt(error.to_string()) } else { StoreError::Unavailable(error.to_string()) }
}

/// A count or limit as SQLite takes it.
pub(crate) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A version as it is stored. SQLite knows signed numbers only; the bits stay the same.
pub(crate) fn version(number: u64) -> i64 {
    number.cast_signed()
}

fn odd(index: usize) -> rusqlite::Error {
    rusqlite::Error::IntegralValueOutOfRange(index, -1)
}
