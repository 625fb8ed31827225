//! Jobs of a queue as people look at them, without taking them.

use mmsgw_domain::{InstanceId, Job, JobId, Queue, Timestamp};

use crate::Lane;

/// A job's place in its queue: jobs leave in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its lane.
    pub lane: Lane,
    /// Not handed out before.
    pub due: Timestamp,
    /// Its id.
    pub id: JobId,
}

/// A job that waits or is in a worker's hands.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedJob {
    /// Where it stands in its queue; where it is held, where it would go back to.
    pub place: Place,
    /// Its queue.
    pub queue: Queue,
    /// Tries that did not work.
    pub failed: u32,
    /// In whose hands it is.
    pub holder: Option<InstanceId>,
    /// What is to be done.
    pub job: Job,
}

/// A text that names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no place in a queue: take what `next` of the page before says")]
pub struct PlaceError;

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.lane.index(), self.due.as_millis(), self.id)
    }
}

impl std::str::FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let read = || {
            let (lane, rest) = text.split_once('.')?;
            let (due, id) = rest.split_once('.')?;
            let lane = *Lane::ALL.get(lane.parse::<usize>().ok()?)?;
            Some(Self { lane, due: Timestamp::from_millis(due.parse().ok()?), id: id.parse().ok()? })
        };
        read().ok_or(PlaceError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back() {
        let id = JobId::generate(Timestamp::from_secs(1_700_000_000));
        for (lane, due) in [(Lane::Express, -5), (Lane::Slow, 1_700_000_000_123)] {
            let place = Place { lane, due: Timestamp::from_millis(due), id };
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for bad in ["", "0", "0.1", "3.1.x", "0.1.x", &format!("3.1.{id}"), &format!("0.x.{id}")] {
            assert_eq!(bad.parse::<Place>(), Err(PlaceError), "{bad}");
        }
    }
}
