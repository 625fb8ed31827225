//! Orders listed, the newest first.
//!
//! Stores list records by ids, and ids sort by time: the list is read in slices of time, backwards, each larger than the
//! one after it. What is listed costs; what is older does not.

use std::time::Duration;

use mmsgw_domain::{Address, BatchId, BulkStatus, GroupName, Timestamp};
use mmsgw_store::{Record, RecordKey};

use super::Order;
use super::orders::bulk_key;
use crate::engine::Engine;
use crate::refusal::Refusal;

/// Which orders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BulkSearch {
    /// Of these groups.
    pub groups: Vec<GroupName>,
    /// That began then or later.
    pub since: Option<Timestamp>,
    /// That began before this one.
    pub before: Option<BatchId>,
    /// How many at most.
    pub max: usize,
}

/// An order found: its place in the list, its group and what its record says.
type Found = (BatchId, GroupName, Order);

impl Engine {
    /// Orders, the newest first; of those whose messages come from an origin that `sees` does not let through
    /// nothing is told.
    pub async fn bulks(
        &self,
        which: &BulkSearch,
        sees: impl Fn(&Address) -> bool,
    ) -> Result<Vec<BulkStatus>, Refusal> {
        let mut found = Vec::new();
        for group in &which.groups {
            found.extend(self.bulks_of(group, which, &sees).await?);
        }
        found.sort_by_key(|(id, ..)| std::cmp::Reverse(*id));
        found.truncate(which.max);
        let mut all = Vec::with_capacity(found.len());
        for (id, group, order) in found {
            all.push(self.bulk_status(id, &group, &order).await?);
        }
        Ok(all)
    }

    async fn bulks_of(
        &self,
        group: &GroupName,
        which: &BulkSearch,
        sees: impl Fn(&Address) -> bool,
    ) -> Result<Vec<Found>, Refusal> {
        let floor = which.since.map_or(0, Timestamp::as_millis).max(0);
        // Other hosts' clocks may be ahead.
        let mut end = which.before.map_or_else(|| self.now().after(AHEAD), |id| id.created()).as_millis() + 1;
        let mut slice = i64::try_from(FIRST_SLICE.as_millis()).unwrap_or(i64::MAX);
        let mut all = Vec::new();
        while all.len() < which.max && end > floor {
            let begin = end.saturating_sub(slice).max(floor);
            let mut found = self.bulks_between(group, begin, end).await?;
            found.retain(|(id, _, order)| {
                which.before.is_none_or(|before| *id < before) && sees(&order.origin)
            });
            all.extend(found.into_iter().rev());
            (end, slice) = (begin, slice.saturating_mul(8));
        }
        all.truncate(which.max);
        Ok(all)
    }

    /// Those that began in that time, in milliseconds, the oldest first.
    async fn bulks_between(&self, group: &GroupName, begin: i64, end: i64) -> Result<Vec<Found>, Refusal> {
        let mut all = Vec::new();
        let mut after = RecordKey { id: first_id(begin), ..bulk_key(group, BatchId::generate(self.now())) };
        loop {
            let page = self.store.records(&after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(all) };
            after.id.clone_from(&last.key.id);
            let is_full = page.len() == PAGE;
            for record in &page {
                let Some((id, order)) = read(record)? else { continue };
                if id.created().as_millis() >= end {
                    return Ok(all);
                }
                all.push((id, group.clone(), order));
            }
            if !is_full {
                return Ok(all);
            }
        }
    }
}

fn read(record: &Record) -> Result<Option<(BatchId, Order)>, Refusal> {
    let Ok(id) = record.key.id.parse() else { return Ok(None) };
    Ok(Some((id, Order::of(record)?)))
}

/// A text before all ids of that time: ids begin with their milliseconds, in twelve digits.
fn first_id(millis: i64) -> String {
    format!("{:012x}", millis.max(0))
}

/// The newest slice; each further one is eight times as long.
const FIRST_SLICE: Duration = Duration::from_secs(3_600);
/// Records read at once.
const PAGE: usize = 500;
/// How far the clock of another host may be ahead.
const AHEAD: Duration = Duration::from_secs(3_600);
