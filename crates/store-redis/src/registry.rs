//! What belongs to no message: small records and tallies, and the registry of instances with their turns.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use mmsgw_domain::{InstanceId, InstanceRecord, Timestamp};
use mmsgw_store::{Announced, Record, RecordKey, Registry, StoreError, TallyKey, TurnRequest, Turns};

use crate::RedisStore;
use crate::call::{Call, Program};
use crate::queue::next;
use crate::record::{self, corrupt};

impl RedisStore {
    pub(crate) async fn small_record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let place = self.messages.layout.owned(key.group.as_ref(), &key.owner);
        let records = format!("{place}:k:{}:{}", key.kind.name(), key.owner);
        let call = Call::plain(["HGET", &records, &key.id]);
        let found = self.messages.link.ask(&place, call).await?.octets()?;
        let record = found.map(|octets| record::read_small(key.clone(), &octets, self.clock.now()));
        Ok(record.transpose()?.flatten())
    }

    pub(crate) async fn small_records(
        &self,
        after: &RecordKey,
        max: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let place = self.messages.layout.owned(after.group.as_ref(), &after.owner);
        let words = [after.kind.name(), &after.owner, &after.id, &max.to_string()];
        let words = words.map(|word| word.as_bytes().to_vec()).to_vec();
        let mut answers =
            self.messages.run(Program::Records, place, self.now_argument(), words).await?.list()?.into_iter();
        let mut records = Vec::with_capacity(answers.len() / 2);
        while answers.len() > 0 {
            let key = RecordKey { id: next(&mut answers)?.text()?, ..after.clone() };
            let octets = next(&mut answers)?.octets()?.unwrap_or_default();
            // The script has looked at the time.
            records.extend(record::read_small(key, &octets, Timestamp::from_millis(i64::MIN))?);
        }
        Ok(records)
    }

    pub(crate) async fn counters(&self, key: &TallyKey) -> Result<BTreeMap<String, i64>, StoreError> {
        let place = self.messages.layout.owned(key.group.as_ref(), &key.owner);
        let words = vec![key.owner.clone().into_bytes()];
        let answers = self.messages.run(Program::Tally, place, self.now_argument(), words).await?.list()?;
        let mut answers = answers.into_iter();
        let mut counters = BTreeMap::new();
        while answers.len() > 0 {
            counters.insert(next(&mut answers)?.text()?, next(&mut answers)?.number()?);
        }
        Ok(counters)
    }
}

#[async_trait]
impl Registry for RedisStore {
    async fn announce(&self, record: &InstanceRecord, ttl: Duration) -> Result<(), StoreError> {
        let good_for = record::millis(Timestamp::from_millis(0).after(ttl)).to_string();
        let words = vec![record.id.as_str().into(), good_for.into_bytes(), record::json(record)?];
        self.run(Program::Announce, self.queues.layout.instances(), words).await.map(|_| ())
    }

    async fn withdraw(&self, id: &InstanceId) -> Result<(), StoreError> {
        let key = self.queues.layout.instances();
        self.queues.link.ask(&key, Call::plain(["HDEL", &key, id.as_str()])).await.map(|_| ())
    }

    async fn instances(&self) -> Result<Vec<Announced>, StoreError> {
        let answers =
            self.run(Program::Instances, self.queues.layout.instances(), Vec::new()).await?.list()?;
        let mut answers = answers.into_iter();
        let now = next(&mut answers)?.number()?;
        let mut instances = Vec::with_capacity(answers.len() / 2);
        while answers.len() > 0 {
            let (_, said) = (next(&mut answers)?, next(&mut answers)?.text()?);
            let (lapses, said) = said.split_once(' ').ok_or_else(|| corrupt("an instance without a time"))?;
            let lapses: i64 = lapses.parse().map_err(|_| corrupt("an instance without a time"))?;
            instances.push(Announced { record: record::parse(said.as_bytes())?, alive: lapses > now });
        }
        instances.sort_by(|a, b| a.record.id.as_str().cmp(b.record.id.as_str()));
        Ok(instances)
    }

    /// As the contract says, by the server's time, so that turns are shared by all hosts.
    async fn turns(&self, request: &TurnRequest) -> Result<Turns, StoreError> {
        let distance = request.distance.as_micros().min(u128::from(u32::MAX) * 1000);
        let words = vec![request.count.to_string().into_bytes(), distance.to_string().into_bytes()];
        let wait =
            self.run(Program::Turns, self.queues.layout.group(&request.group), words).await?.count()?;
        Ok(Turns { first_in: Duration::from_micros(wait) })
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        self.health().await?;
        Ok(Self::warnings(self))
    }
}
