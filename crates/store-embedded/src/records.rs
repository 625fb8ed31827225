//! Records and tallies as SQL. A group that is not named is stored as an empty name, which no group has.

use std::collections::BTreeMap;

use mmsgw_domain::{GroupName, Timestamp};
use mmsgw_store::{Record, RecordKey, StoreError, TallyKey};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::tables::{self, count, failed};

/// Writes a record that was checked.
pub(crate) fn put(connection: &Connection, record: &Record) -> rusqlite::Result<()> {
    let Record { key, version, value, until } = record;
    let (group, kind) = (name(key.group.as_ref()), key.kind.name());
    let values =
        params![group, kind, key.owner, key.id, tables::version(*version), until.as_millis(), value.as_ref()];
    connection.prepare_cached(PUT)?.execute(values).map(|_| ())
}

/// Removes a record.
pub(crate) fn remove(connection: &Connection, key: &RecordKey) -> rusqlite::Result<()> {
    let values = params![name(key.group.as_ref()), key.kind.name(), key.owner, key.id];
    connection.prepare_cached(DROP)?.execute(values).map(|_| ())
}

/// Reads a record whose time is not over at `now`.
pub(crate) fn find(
    connection: &Connection,
    key: &RecordKey,
    now: Timestamp,
) -> Result<Option<Record>, StoreError> {
    let values = params![name(key.group.as_ref()), key.kind.name(), key.owner, key.id, now.as_millis()];
    let read = |row: &Row<'_>| read(row, key);
    let found = connection.prepare_cached(FIND).and_then(|mut s| s.query_row(values, read).optional());
    found.map_err(|e| failed(&e))
}

/// Reads the records that come after a key and belong to the same owner.
pub(crate) fn page(
    connection: &Connection,
    after: &RecordKey,
    now: Timestamp,
    max: usize,
) -> Result<Vec<Record>, StoreError> {
    let values = params![
        name(after.group.as_ref()),
        after.kind.name(),
        after.owner,
        after.id,
        now.as_millis(),
        count(max)
    ];
    let mut statement = connection.prepare_cached(PAGE).map_err(|e| failed(&e))?;
    let rows = statement.query_map(values, |row| read(row, after)).map_err(|e| failed(&e))?;
    rows.collect::<Result<_, _>>().map_err(|e| failed(&e))
}

/// Adds to the counters of a tally.
pub(crate) fn add(
    connection: &Connection,
    key: &TallyKey,
    add: &BTreeMap<String, i64>,
    until: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let group = name(key.group.as_ref());
    // One whose time is over begins anew.
    connection.prepare_cached(FORGET_TALLY)?.execute(params![group, key.owner, now.as_millis()])?;
    let number: i64 = connection
        .prepare_cached(TALLY)?
        .query_row(params![group, key.owner, until.as_millis()], |row| row.get(0))?;
    let mut statement = connection.prepare_cached(COUNT)?;
    add.iter().try_for_each(|(name, value)| statement.execute(params![number, name, value]).map(|_| ()))
}

/// Reads the counters of a tally whose time is not over at `now`.
pub(crate) fn tally(
    connection: &Connection,
    key: &TallyKey,
    now: Timestamp,
) -> Result<BTreeMap<String, i64>, StoreError> {
    let values = params![name(key.group.as_ref()), key.owner, now.as_millis()];
    let mut statement = connection.prepare_cached(COUNTERS).map_err(|e| failed(&e))?;
    let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)));
    rows.and_then(Iterator::collect).map_err(|e| failed(&e))
}

/// The group of a record in its column.
pub(crate) fn name(group: Option<&GroupName>) -> &str {
    group.map_or("", GroupName::as_str)
}

/// A row of [`FIND`] or [`PAGE`]: id, version, end, value.
fn read(row: &Row<'_>, like: &RecordKey) -> rusqlite::Result<Record> {
    let version: i64 = row.get(1)?;
    let value: Vec<u8> = row.get(3)?;
    Ok(Record {
        key: RecordKey { id: row.get(0)?, ..like.clone() },
        version: version.cast_unsigned(),
        value: value.into(),
        until: tables::time(row, 2)?,
    })
}

const PUT: &str = "INSERT INTO record (grp, kind, owner, id, version, until, value)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (grp, kind, owner, id) DO UPDATE
    SET version = excluded.version, until = excluded.until, value = excluded.value";

const DROP: &str = "DELETE FROM record WHERE grp = ?1 AND kind = ?2 AND owner = ?3 AND id = ?4";

const FIND: &str = "SELECT id, version, until, value FROM record
    WHERE grp = ?1 AND kind = ?2 AND owner = ?3 AND id = ?4 AND until > ?5";

/// Records of an owner in order.
pub(crate) const PAGE: &str = "SELECT id, version, until, value FROM record
    WHERE grp = ?1 AND kind = ?2 AND owner = ?3 AND id > ?4 AND until > ?5 ORDER BY id LIMIT ?6";

const FORGET_TALLY: &str = "DELETE FROM tally WHERE grp = ?1 AND owner = ?2 AND until <= ?3";

const TALLY: &str = "INSERT INTO tally (grp, owner, until) VALUES (?1, ?2, ?3)
    ON CONFLICT (grp, owner) DO UPDATE SET until = max(until, excluded.until) RETURNING number";

const COUNT: &str = "INSERT INTO counter (tally, name, value) VALUES (?1, ?2, ?3)
    ON CONFLICT (tally, name) DO UPDATE SET value = value + excluded.value";

const COUNTERS: &str = "SELECT name, value FROM counter
    WHERE tally = (SELECT number FROM tally WHERE grp = ?1 AND owner = ?2 AND until > ?3)";
