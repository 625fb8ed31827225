//! Jobs of a queue as people look at them: rows, in the order in which they leave.

use mmsgw_domain::{JobId, Queue};
use mmsgw_store::{Place, QueuedJob, StoreError};
use rusqlite::{Connection, Params, Row, params};

use crate::queue::lane_number;
use crate::tables::{self, count, decode_job, failed};

/// A row whose record is not read yet.
type Found = (Place, u32, Vec<u8>);

/// Jobs behind a place. One that cannot be read is told to the log and left out.
pub(crate) fn page(
    connection: &Connection,
    queue: &Queue,
    after: Option<Place>,
    max: usize,
) -> Result<Vec<QueuedJob>, StoreError> {
    // Lanes begin with 0 and ids have 16 octets: the first place is before them all.
    let (lane, due, id) = after.map_or((-1, 0, Vec::new()), |place| {
        (lane_number(place.lane), place.due.as_millis(), place.id.as_bytes().to_vec())
    });
    let values = params![queue.group.as_str(), queue.kind.name(), lane, due, id, count(max)];
    read(connection, PAGE, values, queue)
}

/// The job of that id.
pub(crate) fn one(
    connection: &Connection,
    queue: &Queue,
    id: JobId,
) -> Result<Option<QueuedJob>, StoreError> {
    let values = params![queue.group.as_str(), queue.kind.name(), id.as_bytes()];
    Ok(read(connection, ONE, values, queue)?.pop())
}

fn read(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    queue: &Queue,
) -> Result<Vec<QueuedJob>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(|e| failed(&e))?;
    let rows = statement.query_map(values, found).map_err(|e| failed(&e))?;
    let mut jobs = Vec::new();
    for row in rows {
        let (place, tries, record) = row.map_err(|e| failed(&e))?;
        match decode_job(record) {
            Ok(job) => jobs.push(QueuedJob { place, queue: queue.clone(), failed: tries, holder: None, job }),
            Err(error) => tracing::error!(%error, job = %place.id, %queue, "a job cannot be read"),
        }
    }
    Ok(jobs)
}

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let place = Place { lane: tables::lane(row, 0)?, due: tables::time(row, 1)?, id: tables::id(row, 2)? };
    Ok((place, row.get(3)?, row.get(4)?))
}

const PAGE: &str = "SELECT lane, due, id, failed, record FROM job INDEXED BY job_order
    WHERE queue = (SELECT number FROM queue WHERE grp = ?1 AND kind = ?2) AND (lane, due, id) > (?3, ?4, ?5)
    ORDER BY lane, due, id LIMIT ?6";

const ONE: &str = "SELECT lane, due, id, failed, record FROM job
    WHERE queue = (SELECT number FROM queue WHERE grp = ?1 AND kind = ?2) AND id = ?3";
