//! What the instances of a group share besides jobs: who is there, and whose turn it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mmsgw_domain::{Announced, Clock, GroupName, InstanceId, InstanceRecord, Timestamp};
use parking_lot::Mutex;

use crate::StoreError;

/// Who is there, and turns at a shared rate.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Makes an instance known, or renews what is known of it, for `ttl` from now.
    async fn announce(&self, record: &InstanceRecord, ttl: Duration) -> Result<(), StoreError>;

    /// Forgets an instance.
    async fn withdraw(&self, id: &InstanceId) -> Result<(), StoreError>;

    /// All instances by id, also those whose time is over and whom nobody withdrew.
    async fn instances(&self) -> Result<Vec<Announced>, StoreError>;

    /// Reserves turns for a group.
    async fn turns(&self, request: &TurnRequest) -> Result<Turns, StoreError>;

    /// What an operator should know about that which keeps the data, a sentence each, as it is now.
    async fn warnings(&self) -> Result<Vec<String>, StoreError>;
}

/// A wish for turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnRequest {
    /// Whose.
    pub group: GroupName,
    /// How many.
    pub count: u32,
    /// From one turn to the next.
    pub distance: Duration,
}

/// Turns at the distance asked for. Time that nobody used is not saved up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// From the answer to the first turn.
    pub first_in: Duration,
}

/// A registry for one process.
pub struct LocalRegistry {
    clock: Arc<dyn Clock>,
    instances: Mutex<BTreeMap<String, (InstanceRecord, Timestamp)>>,
    /// The next free turn of each group.
    turns: Mutex<HashMap<GroupName, tokio::time::Instant>>,
}

impl LocalRegistry {
    /// An empty registry that lives by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, instances: Mutex::default(), turns: Mutex::default() }
    }
}

#[async_trait]
impl Registry for LocalRegistry {
    async fn announce(&self, record: &InstanceRecord, ttl: Duration) -> Result<(), StoreError> {
        let lapses = self.clock.steady().after(ttl);
        self.instances.lock().insert(record.id.as_str().to_owned(), (record.clone(), lapses));
        Ok(())
    }

    async fn withdraw(&self, id: &InstanceId) -> Result<(), StoreError> {
        self.instances.lock().remove(id.as_str());
        Ok(())
    }

    async fn instances(&self) -> Result<Vec<Announced>, StoreError> {
        let now = self.clock.steady();
        let instances = self.instances.lock();
        let announced = |(record, lapses): &(InstanceRecord, Timestamp)| Announced {
            record: record.clone(),
            alive: *lapses > now,
        };
        Ok(instances.values().map(announced).collect())
    }

    async fn turns(&self, request: &TurnRequest) -> Result<Turns, StoreError> {
        let now = tokio::time::Instant::now();
        let mut turns = self.turns.lock();
        let first = turns.get(&request.group).map_or(now, |next| now.max(*next));
        turns.insert(request.group.clone(), first + request.distance * request.count);
        Ok(Turns { first_in: first - now })
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_local_registry_keeps_the_contract() {
        crate::conformance::run_registry(async |clock: Arc<crate::ManualClock>| LocalRegistry::new(clock))
            .await;
    }
}
