//! Queues: which jobs are in whose hands, and where to look for the next ones.
//!
//! Jobs are rows; leases are memory only, since one process owns the file and a lease of a dead process
//! is worth nothing. A lease therefore costs no write. Everything here happens on the writer thread,
//! between commits, so that a job is handed out only when it is durable.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use mmsgw_domain::{Clock, InstanceId, JobId, Queue, Timestamp};
use mmsgw_store::{Lane, Lease, LeaseRequest, Pause, QueueStatus, StoreError};
use rusqlite::{Connection, Row};

use crate::tables::{self, failed};

/// All queues.
pub(crate) struct Queues {
    lines: HashMap<Queue, Line>,
    held_back: HashMap<Queue, Timestamp>,
    next_token: u64,
    clock: Arc<dyn Clock>,
}

/// One queue.
struct Line {
    number: i64,
    /// For each lane: no job before this place waits.
    from: [Option<Place>; 3],
    held: HashMap<JobId, Held>,
    /// When leases lapse, by the steady clock.
    lapses: BTreeSet<(Timestamp, JobId)>,
    paused: Option<Pause>,
    /// Rows in the job table, held ones included.
    rows: u64,
    dead: u64,
}

/// A job's place in its lane.
type Place = (Timestamp, JobId);

/// A job in a worker's hands.
#[derive(Clone)]
pub(crate) struct Held {
    /// Its row in the job table.
    pub(crate) row: i64,
    token: u64,
    lane: Lane,
    due: Timestamp,
    /// By the steady clock.
    lapses: Timestamp,
    owner: InstanceId,
}

/// What a commit did to queues; told to [`Queues::apply`] once it is durable.
pub(crate) enum Effect {
    /// A job was added to a queue of that number.
    Added { queue: Queue, number: i64, lane: Lane, due: Timestamp, id: JobId },
    /// A leased job is gone.
    Finished(Lease),
    /// A leased job went back.
    Returned { lease: Lease, due: Timestamp },
    /// A leased job is dead.
    Buried(Lease),
    /// A waiting job is due earlier.
    Hastened { queue: Queue, lane: Lane, due: Timestamp, id: JobId },
    /// A waiting job is gone.
    Removed { queue: Queue, id: JobId },
    /// A dead job of the queue of that number is forgotten.
    DeadForgotten(i64),
    /// A queue of that number was paused, or goes on.
    Paused { queue: Queue, number: i64, pause: Option<Pause>, due: Timestamp },
}

/// A job handed out, its record not read yet.
pub(crate) struct RawJob {
    pub(crate) lease: Lease,
    pub(crate) tries: u32,
    pub(crate) record: Vec<u8>,
}

/// The answer to a lease.
pub(crate) struct RawLeased {
    pub(crate) jobs: Vec<RawJob>,
    pub(crate) next_due: Option<Timestamp>,
}

impl Queues {
    /// Counts what the database holds. Nothing is leased.
    pub(crate) fn load(connection: &Connection, clock: Arc<dyn Clock>) -> rusqlite::Result<Self> {
        // Tokens of an earlier life of this store must not fit.
        let next_token = RandomState::new().build_hasher().finish();
        let mut lines = HashMap::new();
        let mut statement = connection.prepare(
            "SELECT number, grp, kind,
                    (SELECT count(*) FROM job INDEXED BY job_order WHERE queue = number),
                    (SELECT count(*) FROM dead INDEXED BY dead_order WHERE queue = number)
             FROM queue",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let line = Line { rows: number(row, 3)?, dead: number(row, 4)?, ..Line::new(row.get(0)?) };
            lines.insert(tables::queue(row, 1)?, line);
        }
        drop(rows);
        let mut statement = connection.prepare("SELECT grp, kind, record FROM pause")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (queue, record): (_, Vec<u8>) = (tables::queue(row, 0)?, row.get(2)?);
            if let Some(line) = lines.get_mut(&queue) {
                // A pause that cannot be read is one all the same: a person stopped the queue.
                line.paused = Some(tables::decode(&record).unwrap_or_else(|_| unreadable_pause()));
            }
        }
        Ok(Self { lines, held_back: HashMap::new(), next_token, clock })
    }

    /// The number of a queue, where it has one already.
    pub(crate) fn number(&self, queue: &Queue) -> Option<i64> {
        self.lines.get(queue).map(|line| line.number)
    }

    /// The held job, unless the lease has lapsed or was settled.
    pub(crate) fn held(&self, lease: &Lease) -> Option<Held> {
        let held = self.lines.get(&lease.queue)?.held.get(&lease.job)?;
        (held.token == lease.token && held.lapses > self.clock.steady()).then(|| held.clone())
    }

    /// In whose hands a job is.
    pub(crate) fn holder(&self, queue: &Queue, id: JobId, now: Timestamp) -> Option<&InstanceId> {
        let held = self.lines.get(queue)?.held.get(&id)?;
        (held.lapses > now).then_some(&held.owner)
    }

    /// Takes over what a durable commit did. Gives back the queue and due time of a job that can be
    /// found from now on.
    pub(crate) fn apply(&mut self, effect: Effect) -> Option<(Queue, Timestamp)> {
        match effect {
            Effect::Added { queue, number, lane, due, id } => {
                let line = self.lines.entry(queue.clone()).or_insert_with(|| Line::new(number));
                line.rows += 1;
                line.look_from(lane, (due, id));
                Some((queue, due))
            }
            Effect::Finished(lease) => {
                let line = self.lines.get_mut(&lease.queue)?;
                line.take_back(lease.job)?;
                line.rows = line.rows.saturating_sub(1);
                None
            }
            Effect::Returned { lease, due } => {
                let line = self.lines.get_mut(&lease.queue)?;
                let held = line.take_back(lease.job)?;
                line.look_from(held.lane, (due, lease.job));
                Some((lease.queue, due))
            }
            Effect::Buried(lease) => {
                let line = self.lines.get_mut(&lease.queue)?;
                line.take_back(lease.job)?;
                line.rows = line.rows.saturating_sub(1);
                line.dead += 1;
                None
            }
            Effect::Hastened { queue, lane, due, id } => {
                let line = self.lines.get_mut(&queue)?;
                // A lease that has lapsed may stand here still.
                line.take_back(id);
                line.look_from(lane, (due, id));
                Some((queue, due))
            }
            Effect::Removed { queue, id } => {
                let line = self.lines.get_mut(&queue)?;
                line.take_back(id);
                line.rows = line.rows.saturating_sub(1);
                None
            }
            Effect::DeadForgotten(number) => {
                let line = self.lines.values_mut().find(|line| line.number == number)?;
                line.dead = line.dead.saturating_sub(1);
                None
            }
            Effect::Paused { queue, number, pause, due } => {
                let line = self.lines.entry(queue.clone()).or_insert_with(|| Line::new(number));
                line.paused = pause;
                line.paused.is_none().then_some((queue, due))
            }
        }
    }

    /// Gives back all that `owner` holds: the queues, each with a due time.
    pub(crate) fn disown(&mut self, owner: &InstanceId) -> Vec<(Queue, Timestamp)> {
        let mut back = Vec::new();
        for (queue, line) in &mut self.lines {
            let of_owner = line.held.iter().filter(|(_, held)| held.owner == *owner);
            let ids: Vec<JobId> = of_owner.map(|(id, _)| *id).collect();
            for id in ids {
                if let Some(held) = line.take_back(id) {
                    line.look_from(held.lane, (held.due, id));
                    back.push((queue.clone(), held.due));
                }
            }
        }
        back
    }

    /// Holds a queue back until then, or longer where it is held back longer.
    pub(crate) fn hold_back(&mut self, queue: &Queue, until: Timestamp) {
        let held = self.held_back.entry(queue.clone()).or_insert(until);
        *held = (*held).max(until);
    }

    /// Makes a lease last `hold` from now; false where it has lapsed.
    pub(crate) fn extend(&mut self, lease: &Lease, hold: Duration) -> bool {
        let now = self.clock.steady();
        if self.held(lease).is_none() {
            return false;
        }
        let Some(line) = self.lines.get_mut(&lease.queue) else { return false };
        let Some(held) = line.held.get_mut(&lease.job) else { return false };
        line.lapses.remove(&(held.lapses, lease.job));
        held.lapses = now.after(hold);
        line.lapses.insert((held.lapses, lease.job));
        true
    }

    /// Hands out jobs that are due.
    pub(crate) fn lease(
        &mut self,
        connection: &Connection,
        request: &LeaseRequest,
        now: Timestamp,
    ) -> Result<RawLeased, StoreError> {
        let steady = self.clock.steady();
        let held_until = self.held_back.get(&request.queue).copied().filter(|until| *until > now);
        let Some(line) = self.lines.get_mut(&request.queue) else {
            return Ok(RawLeased { jobs: Vec::new(), next_due: None });
        };
        line.return_lapsed(steady);
        if line.paused.is_some() || held_until.is_some() {
            let next_due = held_until.filter(|_| line.paused.is_none());
            return Ok(RawLeased { jobs: Vec::new(), next_due });
        }
        let mut jobs = Vec::new();
        let mut next_due = None;
        for lane in Lane::ALL {
            let found = line.look(connection, lane, now, request.max - jobs.len()).map_err(|e| failed(&e))?;
            next_due = next_due.into_iter().chain(found.next_due).min();
            for (row, place) in found.places {
                let (failed_tries, record) = read_job(connection, row).map_err(|e| failed(&e))?;
                let token = self.next_token;
                self.next_token = token.wrapping_add(1);
                let lapses = steady.after(request.hold);
                let owner = request.owner.clone();
                line.hold(place.1, Held { row, token, lane, due: place.0, lapses, owner });
                let lease = Lease { job: place.1, queue: request.queue.clone(), token };
                jobs.push(RawJob { lease, tries: failed_tries.saturating_add(1), record });
            }
        }
        let lapse = line.lapses.first().map(|(lapses, _)| now.after(steady.until(*lapses)));
        next_due = next_due.into_iter().chain(lapse).min();
        Ok(RawLeased { jobs, next_due })
    }

    /// What waits where.
    pub(crate) fn status(
        &mut self,
        connection: &Connection,
        now: Timestamp,
    ) -> Result<Vec<QueueStatus>, StoreError> {
        let (mut all, steady) = (Vec::new(), self.clock.steady());
        let tells = |line: &Line| line.rows + line.dead > 0 || line.paused.is_some();
        for (queue, line) in self.lines.iter_mut().filter(|(_, line)| tells(line)) {
            line.return_lapsed(steady);
            let leased = u64::try_from(line.held.len()).unwrap_or(u64::MAX);
            let waiting = line.rows.saturating_sub(leased);
            let oldest =
                if waiting == 0 { None } else { line.oldest(connection, now).map_err(|e| failed(&e))? };
            all.push(QueueStatus {
                queue: queue.clone(),
                waiting,
                leased,
                dead: line.dead,
                oldest,
                paused: line.paused.clone(),
                held_until: self.held_back.get(queue).copied().filter(|until| *until > now),
            });
        }
        all.sort_by(|a, b| a.queue.cmp(&b.queue));
        Ok(all)
    }
}

/// What [`Line::look`] found.
struct Found {
    places: Vec<(i64, Place)>,
    /// Due time of the first waiting job that was not taken.
    next_due: Option<Timestamp>,
}

impl Line {
    fn new(number: i64) -> Self {
        Self {
            number,
            from: [None; 3],
            held: HashMap::new(),
            lapses: BTreeSet::new(),
            paused: None,
            rows: 0,
            dead: 0,
        }
    }

    /// A job at `place` waits: the next look must not begin behind it.
    fn look_from(&mut self, lane: Lane, place: Place) {
        let from = &mut self.from[lane.index()];
        *from = from.map(|from| from.min(place));
    }

    fn hold(&mut self, id: JobId, held: Held) {
        self.lapses.insert((held.lapses, id));
        self.held.insert(id, held);
    }

    fn take_back(&mut self, id: JobId) -> Option<Held> {
        let held = self.held.remove(&id)?;
        self.lapses.remove(&(held.lapses, id));
        Some(held)
    }

    /// Takes back what lapsed by `now` on the steady clock.
    fn return_lapsed(&mut self, now: Timestamp) {
        while let Some((_, id)) = self.lapses.first().copied().filter(|(lapses, _)| *lapses <= now) {
            if let Some(held) = self.take_back(id) {
                self.look_from(held.lane, (held.due, id));
            }
        }
    }

    /// Finds up to `max` due jobs of a lane that nobody holds, and remembers how far it looked.
    fn look(
        &mut self,
        connection: &Connection,
        lane: Lane,
        now: Timestamp,
        max: usize,
    ) -> rusqlite::Result<Found> {
        let from = self.from[lane.index()];
        let (due, id) = from.map_or((i64::MIN, [0; 16]), |(due, id)| (due.as_millis(), *id.as_bytes()));
        let mut statement = connection.prepare_cached(LOOK)?;
        let mut rows = statement.query((self.number, lane_number(lane), due, id))?;
        let mut found = Found { places: Vec::new(), next_due: None };
        let mut seen = from;
        while let Some(row) = rows.next()? {
            let place = (tables::time(row, 1)?, tables::id(row, 2)?);
            seen = Some(place);
            if self.held.contains_key(&place.1) {
                continue;
            }
            if place.0 > now || found.places.len() == max {
                found.next_due = Some(place.0);
                break;
            }
            found.places.push((row.get(0)?, place));
        }
        self.from[lane.index()] = seen;
        Ok(found)
    }

    fn oldest(&mut self, connection: &Connection, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
        let mut oldest = None;
        for lane in Lane::ALL {
            let first = self.look(connection, lane, now, 0)?.next_due;
            oldest = oldest.into_iter().chain(first).min();
        }
        Ok(oldest)
    }
}

fn unreadable_pause() -> Pause {
    let text = || "the store's record of it cannot be read".to_owned();
    Pause { reason: text(), by: text(), since: Timestamp::from_millis(0) }
}

fn read_job(connection: &Connection, row: i64) -> rusqlite::Result<(u32, Vec<u8>)> {
    let mut statement = connection.prepare_cached("SELECT failed, record FROM job WHERE row = ?1")?;
    statement.query_row([row], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(index)?;
    Ok(u64::try_from(number).unwrap_or(0))
}

/// A lane as it is stored.
pub(crate) fn lane_number(lane: Lane) -> i64 {
    tables::count(lane.index())
}

/// Jobs of a lane in order from a place on; answered by the index alone.
pub(crate) const LOOK: &str = "SELECT row, due, id FROM job INDEXED BY job_order
    WHERE queue = ?1 AND lane = ?2 AND (due, id) >= (?3, ?4) ORDER BY due, id";
