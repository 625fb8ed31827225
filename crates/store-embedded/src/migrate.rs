//! The shape of the database and how it came to be. `user_version` says which shape a file has; a file
//! of a newer release is refused rather than guessed at.
//!
//! Records of a kilobyte live in tables with a rowid, and only small index-like tables do without:
//! the other way round SQLite moves whole records about in the interior of its trees.

use mmsgw_store::StoreError;
use rusqlite::Connection;

use crate::tables::{count, failed};

/// Brings the database to the present shape.
///
/// # Errors
/// [`StoreError::Unusable`] where a newer release made it.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|e| failed(&e))?;
    // Another program's file may have any number.
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found > STEPS.len() {
        return Err(StoreError::Unusable(format!(
            "the store was made by a newer release (its shape is {found}, this release knows up to {}): \
             start that release, or restore a backup from before it",
            STEPS.len()
        )));
    }
    for (index, step) in STEPS.iter().enumerate().skip(found) {
        let change = connection.transaction().map_err(|e| failed(&e))?;
        change
            .execute_batch(step)
            .and_then(|()| change.pragma_update(None, "user_version", count(index + 1)))
            .and_then(|()| change.commit())
            .map_err(|e| failed(&e))?;
    }
    Ok(())
}

/// What makes shape 1 out of an empty file, shape 2 out of shape 1 and so on. Steps are never changed
/// once released.
const STEPS: &[&str] = &[
    "
    CREATE TABLE queue (
        number INTEGER PRIMARY KEY,
        grp TEXT NOT NULL,
        kind TEXT NOT NULL,
        UNIQUE (grp, kind)
    );
    CREATE TABLE job (
        row INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        queue INTEGER NOT NULL,
        lane INTEGER NOT NULL,
        due INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        record BLOB NOT NULL
    );
    CREATE INDEX job_order ON job (queue, lane, due, id);
    CREATE TABLE dead (
        row INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        queue INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        reason TEXT NOT NULL,
        died INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        record BLOB NOT NULL
    );
    CREATE INDEX dead_order ON dead (queue, id);
    CREATE INDEX dead_expires ON dead (expires);
    CREATE TABLE template (
        id BLOB PRIMARY KEY,
        revision BLOB NOT NULL,
        expires INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX template_expires ON template (expires);
    CREATE TABLE revision (
        row INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        until INTEGER NOT NULL,
        record BLOB NOT NULL
    );
    CREATE INDEX revision_until ON revision (until);
    CREATE TABLE part (
        row INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        expires INTEGER NOT NULL,
        record BLOB NOT NULL
    );
    CREATE INDEX part_expires ON part (expires);
    CREATE TABLE message (
        row INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        version INTEGER NOT NULL,
        expires INTEGER,
        record BLOB NOT NULL
    );
    CREATE INDEX message_expires ON message (expires) WHERE expires IS NOT NULL;
    CREATE TABLE reference (
        grp TEXT NOT NULL,
        kind TEXT NOT NULL,
        value TEXT NOT NULL,
        message BLOB NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (grp, kind, value)
    ) WITHOUT ROWID;
    CREATE INDEX reference_expires ON reference (expires);
    CREATE TABLE blob (
        digest BLOB PRIMARY KEY,
        until INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX blob_until ON blob (until);
",
    "
    CREATE TABLE pause (
        grp TEXT NOT NULL,
        kind TEXT NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (grp, kind)
    ) WITHOUT ROWID;
    CREATE TABLE record (
        row INTEGER PRIMARY KEY,
        grp TEXT NOT NULL,
        kind TEXT NOT NULL,
        owner TEXT NOT NULL,
        id TEXT NOT NULL,
        version INTEGER NOT NULL,
        until INTEGER NOT NULL,
        value BLOB NOT NULL,
        UNIQUE (grp, kind, owner, id)
    );
    CREATE INDEX record_until ON record (until);
    CREATE TABLE tally (
        number INTEGER PRIMARY KEY,
        grp TEXT NOT NULL,
        owner TEXT NOT NULL,
        until INTEGER NOT NULL,
        UNIQUE (grp, owner)
    );
    CREATE INDEX tally_until ON tally (until);
    CREATE TABLE counter (
        tally INTEGER NOT NULL REFERENCES tally (number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (tally, name)
    ) WITHOUT ROWID;
",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_newer_release_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", count(STEPS.len() + 1)).unwrap();
        let error = migrate(&mut connection).unwrap_err();
        assert!(matches!(&error, StoreError::Unusable(text) if text.contains("newer release")), "{error}");
    }
}
