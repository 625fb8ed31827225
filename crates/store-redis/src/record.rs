//! Records as they are stored: a head that scripts read, then JSON that people can read.
//!
//! The head is the time until which the record is kept, 16 digits of milliseconds; with messages 20 digits of
//! version follow. Digits are padded, so that texts compare as numbers do.

use bytes::Bytes;
use mmsgw_domain::{Job, Message, Timestamp};
use mmsgw_store::{Record, RecordKey, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A record that is kept until then.
pub(crate) fn write<T: Serialize>(until: Timestamp, record: &T) -> Result<Vec<u8>, StoreError> {
    let mut octets = digits(Some(until)).into_bytes();
    append(&mut octets, record)?;
    Ok(octets)
}

/// A message, with its version in the head.
pub(crate) fn write_message(message: &Message) -> Result<Vec<u8>, StoreError> {
    let mut octets = digits(message.expires).into_bytes();
    octets.extend_from_slice(version(message.version).as_bytes());
    append(&mut octets, message)?;
    Ok(octets)
}

/// Sixteen octets that are kept until then: an id.
pub(crate) fn write_id(until: Timestamp, id: &[u8; 16]) -> Vec<u8> {
    let mut octets = digits(Some(until)).into_bytes();
    octets.extend_from_slice(id);
    octets
}

/// A small record, with its version in the head.
pub(crate) fn write_small(record: &Record) -> Vec<u8> {
    let mut octets = digits(Some(record.until)).into_bytes();
    octets.extend_from_slice(version(record.version).as_bytes());
    octets.extend_from_slice(&record.value);
    octets
}

/// A record without a head.
pub(crate) fn json<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    let mut octets = Vec::new();
    append(&mut octets, record)?;
    Ok(octets)
}

fn append<T: Serialize>(octets: &mut Vec<u8>, record: &T) -> Result<(), StoreError> {
    serde_json::to_writer(octets, record).map_err(|e| unwritable(&e))
}

/// A job.
pub(crate) fn job(job: &Job) -> Result<Vec<u8>, StoreError> {
    job.to_record().map_err(|e| unwritable(&e))
}

/// What [`job`] wrote.
pub(crate) fn parse_job(octets: &Bytes) -> Result<Job, StoreError> {
    Job::from_record(octets).map_err(|e| StoreError::Corrupt(e.to_string()))
}

fn unwritable(error: &serde_json::Error) -> StoreError {
    StoreError::Unavailable(format!("a record cannot be written: {error}"))
}

/// What follows the head of a record whose time is not over.
pub(crate) fn live(octets: &[u8], now: Timestamp) -> Result<Option<&[u8]>, StoreError> {
    let head = octets.get(..UNTIL).and_then(|head| std::str::from_utf8(head).ok());
    let until: i64 = head.and_then(|head| head.parse().ok()).ok_or_else(|| corrupt("its head is no time"))?;
    Ok((until > now.as_millis()).then_some(&octets[UNTIL..]))
}

/// A record whose time is not over.
pub(crate) fn read<T: DeserializeOwned>(octets: &[u8], now: Timestamp) -> Result<Option<T>, StoreError> {
    live(octets, now)?.map(parse).transpose()
}

/// A message whose time is not over.
pub(crate) fn read_message(octets: &[u8], now: Timestamp) -> Result<Option<Message>, StoreError> {
    let Some(rest) = live(octets, now)? else { return Ok(None) };
    parse(rest.get(VERSION..).unwrap_or_default()).map(Some)
}

/// A small record whose time is not over.
pub(crate) fn read_small(
    key: RecordKey,
    octets: &[u8],
    now: Timestamp,
) -> Result<Option<Record>, StoreError> {
    let Some(rest) = live(octets, now)? else { return Ok(None) };
    let (number, value) =
        rest.split_at_checked(VERSION).ok_or_else(|| corrupt("a record without version"))?;
    let until = std::str::from_utf8(&octets[..UNTIL]).ok().and_then(|head| head.parse().ok());
    let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
    let (Some(until), Some(version)) = (until, number) else { return Err(corrupt("a record's head")) };
    let until = Timestamp::from_millis(until);
    Ok(Some(Record { key, version, value: Bytes::copy_from_slice(value), until }))
}

/// JSON without a head.
pub(crate) fn parse<T: DeserializeOwned>(octets: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(octets).map_err(|e| StoreError::Corrupt(e.to_string()))
}

pub(crate) fn corrupt(why: &str) -> StoreError {
    StoreError::Corrupt(why.to_owned())
}

/// A time as heads and scripts have it; `None` is never.
pub(crate) fn digits(until: Option<Timestamp>) -> String {
    until.map_or_else(|| NEVER.to_owned(), |until| format!("{:016}", millis(until).max(0)))
}

/// A version as heads have it.
pub(crate) fn version(number: u64) -> String {
    format!("{number:020}")
}

/// A time in milliseconds, within what the server's numbers hold exactly.
pub(crate) fn millis(time: Timestamp) -> i64 {
    time.as_millis().clamp(-LAST, LAST)
}

const UNTIL: usize = 16;
const VERSION: usize = 20;
const NEVER: &str = "9999999999999999";
/// Scores are floating point numbers, exact up to 2^53. This is in the year 144683.
const LAST: i64 = 4_503_599_627_370_496;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_until_its_time_is_over() {
        let octets = write(Timestamp::from_millis(1_000), &"text").unwrap();
        assert_eq!(octets, b"0000000000001000\"text\"");
        assert_eq!(read::<String>(&octets, Timestamp::from_millis(999)).unwrap().as_deref(), Some("text"));
        assert_eq!(read::<String>(&octets, Timestamp::from_millis(1_000)).unwrap(), None);
        assert!(matches!(read::<String>(b"0000", Timestamp::from_millis(0)), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn times_compare_as_texts_do() {
        let times = [i64::MIN, 0, 5, 1_767_225_600_000, i64::MAX].map(Timestamp::from_millis);
        let texts = times.map(|time| digits(Some(time)));
        assert!(texts.is_sorted() && texts.iter().all(|text| text.len() == 16 && *text < digits(None)));
    }
}
