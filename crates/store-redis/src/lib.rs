//! The store of many hosts: Redis or Valkey, as one server, behind Sentinel or as a Cluster.
//!
//! * A batch is planned here ([`plan`]) and done by one script on the server, whole or not at all. Batches that wait
//!   at the same time go together ([`commit`]).
//! * A queue is three sorted sets by due time, one for each lane, and one of leases by when they lapse; jobs are in a
//!   hash beside them. A lease is one script call for many jobs. Times are the server's.
//! * Who waits for a job is woken by a ring that the commit published ([`ring`]); nothing polls.
//! * What fails for a reason that passes is tried again within [`RedisSettings::timeout`] ([`link`]); a batch that may
//!   have been done already is recognised by its mark, so that it is done once.
//!
//! Only `servers`, `link`, `call` and `ring` know the client library. Key layout, what is atomic where, and what a
//! Cluster changes: `docs/design/0006-redis.md`.

mod call;
mod commit;
mod condition;
mod config;
mod debt;
mod keys;
mod link;
mod mark;
mod plan;
mod queue;
mod record;
mod registry;
mod ring;
mod scan;
mod servers;
mod side;
mod time;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use mmsgw_domain::{
    Clock, Digest, GroupName, InstanceId, JobId, Message, MessageId, Part, PartId, Queue, RevisionId,
    Template, TemplateId, Timestamp,
};
use mmsgw_store::{
    Batch, DeadJob, Lease, LeaseRequest, Leased, Place, QueueSignals, QueueStatus, QueuedJob, Record,
    RecordKey, Reference, RoundsMeasured, Scan, Scanned, Store, StoreError, Swept, TallyKey,
};
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::call::{Answer, Call, Program};
pub use crate::config::{CONFIG_DEFAULT, Durability, RedisMode, RedisSettings, RedisTlsSettings};
use crate::link::unavailable;
use crate::plan::Plan;
use crate::ring::Bell;
use crate::side::Side;
pub use crate::time::RedisClock;
use crate::time::ServerClock;

/// A store that many processes on many hosts share.
pub struct RedisStore {
    /// Where messages are, and all else that is no job.
    messages: Arc<Side>,
    /// Where queues are: the same server, or another one.
    queues: Arc<Side>,
    bell: Arc<Bell>,
    signals: Arc<QueueSignals>,
    clock: Arc<dyn Clock>,
    /// The same clock, where it is the server's.
    server_clock: Option<Arc<ServerClock>>,
    groups: Mutex<Groups>,
    /// Where messages are that were met lately.
    homes: Mutex<HashMap<MessageId, GroupName>>,
    _stop: DropGuard,
}

/// Groups that are written down on the server.
#[derive(Default)]
struct Groups {
    known: HashSet<GroupName>,
    /// The connection by which they were. A new one may lead to a server that has lost them.
    connection: u64,
}

impl RedisStore {
    /// Connects to the servers and finds out what they can do.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] where settings, credentials or the server's version or durability do not fit;
    /// [`StoreError::Unavailable`] where no server answers in time.
    pub async fn connect(settings: &RedisSettings, clock: RedisClock) -> Result<Self, StoreError> {
        let side = Arc::new(Side::connect(settings).await?);
        Self::on((Arc::clone(&side), side), clock).await
    }

    /// Connects to two servers, one for messages and one for queues. A batch that concerns both is done on the first
    /// one, which remembers what it owes the second until that is done as well; [`Store::sweep`] makes up for what a
    /// process that died left owing.
    ///
    /// # Errors
    /// As [`RedisStore::connect`].
    pub async fn connect_two(
        messages: &RedisSettings,
        queues: &RedisSettings,
        clock: RedisClock,
    ) -> Result<Self, StoreError> {
        let (messages, queues) = (Side::connect(messages).await?, Side::connect(queues).await?);
        Self::on((Arc::new(messages), Arc::new(queues)), clock).await
    }

    async fn on((messages, queues): (Arc<Side>, Arc<Side>), clock: RedisClock) -> Result<Self, StoreError> {
        let server_clock = Arc::new(ServerClock::default());
        let (clock, server_clock): (Arc<dyn Clock>, _) = match clock {
            RedisClock::Given(clock) => (clock, None),
            RedisClock::Server => (Arc::<ServerClock>::clone(&server_clock), Some(server_clock)),
        };
        let signals = Arc::new(QueueSignals::new(Arc::clone(&clock)));
        let bell = Arc::new(Bell {
            servers: Arc::clone(&queues.servers),
            layout: queues.layout.clone(),
            signals: Arc::clone(&signals),
            clock: Arc::clone(&clock),
            queues: Mutex::default(),
        });
        let subscribed =
            bell.subscribe().await.map_err(|e| unavailable(&format!("cannot subscribe: {e}")))?;
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&bell).listen(subscribed, stop.clone()));
        let store = Self {
            messages,
            queues,
            bell,
            signals,
            clock,
            server_clock,
            groups: Mutex::default(),
            homes: Mutex::default(),
            _stop: stop.drop_guard(),
        };
        store.read_clock().await?;
        Ok(store)
    }

    /// What an operator should know about the servers, a sentence each: as it was at the last [`RedisStore::health`].
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.messages.warnings();
        warnings.extend(self.queues.warnings());
        warnings.into_iter().collect()
    }

    /// Whether the servers answer; looks for [`RedisStore::warnings`] anew.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where a server does not answer in time.
    pub async fn health(&self) -> Result<(), StoreError> {
        self.messages.health().await?;
        if self.is_split() { self.queues.health().await } else { Ok(()) }
    }

    /// The time that this store lives by.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    fn is_split(&self) -> bool {
        !Arc::ptr_eq(&self.messages, &self.queues)
    }

    async fn read_clock(&self) -> Result<(), StoreError> {
        let Some(clock) = &self.server_clock else { return Ok(()) };
        let side = &self.queues;
        let mut time = side.link.ask(&side.layout.groups(), Call::plain(["TIME"])).await?.list()?.into_iter();
        let mut next = || time.next().map_or(Ok(0), Answer::number);
        let (seconds, micros) = (next()?, next()?);
        clock.set(Timestamp::from_millis(seconds.saturating_mul(1000).saturating_add(micros / 1000)));
        Ok(())
    }

    /// The time as scripts get it; empty: they take the server's.
    fn now_argument(&self) -> Vec<u8> {
        match self.server_clock {
            Some(_) => Vec::new(),
            None => record::millis(self.clock.now()).to_string().into_bytes(),
        }
    }

    /// Calls a script on the server of the queues.
    async fn run(&self, program: Program, key: String, words: Vec<Vec<u8>>) -> Result<Answer, StoreError> {
        self.queues.run(program, key, self.now_argument(), words).await
    }

    /// Writes the groups of a plan down, so that their queues are found. Once for each connection.
    async fn register(&self, plan: &Plan) -> Result<(), StoreError> {
        let news: Vec<GroupName> = {
            let mut groups = self.groups.lock();
            let connection = self.queues.link.connections();
            if groups.connection != connection {
                groups.known.clear();
                groups.connection = connection;
            }
            plan.groups.iter().filter(|group| !groups.known.contains(*group)).cloned().collect()
        };
        if news.is_empty() {
            return Ok(());
        }
        let key = self.queues.layout.groups();
        let words = ["SADD", &key].into_iter().chain(news.iter().map(GroupName::as_str));
        let call = Call::Plain(words.map(|word| word.as_bytes().to_vec()).collect());
        self.queues.link.ask(&key, call).await?;
        self.groups.lock().known.extend(news);
        Ok(())
    }

    /// All groups that anybody has written down.
    async fn all_groups(&self) -> Result<Vec<GroupName>, StoreError> {
        let key = self.queues.layout.groups();
        let names = self.queues.link.ask(&key, Call::plain(["SMEMBERS", &key])).await?.list()?;
        let mut groups = Vec::with_capacity(names.len());
        for name in names {
            groups.extend(name.text()?.parse::<GroupName>().ok());
        }
        groups.sort();
        Ok(groups)
    }

    /// Remembers where a message is.
    fn note_homes(&self, messages: impl IntoIterator<Item = (MessageId, GroupName)>) {
        let mut homes = self.homes.lock();
        if homes.len() >= MOST_HOMES {
            homes.clear();
        }
        homes.extend(messages);
    }

    /// Sweeps places of a server, in a cluster one after the other until one had something.
    async fn sweep_side(&self, side: &Side, groups: &[GroupName], max: usize) -> Result<Swept, StoreError> {
        let places = side.places(groups);
        let mut swept = Swept::default();
        for some in places.chunks(if side.together { places.len() } else { 1 }) {
            let args = vec![self.now_argument(), max.to_string().into_bytes()];
            let call = Call::Script { program: Program::Sweep, keys: some.to_vec(), args, repeated: None };
            let mut answers = side.link.ask(&some[0], call).await?.list()?;
            let digests = answers.pop().map_or_else(|| Ok(Vec::new()), Answer::list)?;
            for count in answers {
                swept.records += count.count()?;
            }
            for digest in digests {
                let octets = <[u8; 32]>::try_from(digest.octets()?.unwrap_or_default());
                swept
                    .blobs
                    .push(Digest::new(octets.map_err(|_| record::corrupt("a digest has not 32 octets"))?));
                swept.records += 1;
            }
            if swept.records > 0 {
                break;
            }
        }
        Ok(swept)
    }

    async fn message_of(&self, group: &GroupName, id: MessageId) -> Result<Option<Message>, StoreError> {
        let found = self.messages.read(&self.messages.layout.message(group, id)).await?;
        let message =
            found.map(|octets| record::read_message(&octets, self.clock.now())).transpose()?.flatten();
        if message.is_some() {
            self.note_homes([(id, group.clone())]);
        }
        Ok(message)
    }

    async fn search(&self, groups: &[GroupName], id: MessageId) -> Result<Option<Message>, StoreError> {
        let found = try_join_all(groups.iter().map(|group| self.message_of(group, id))).await?;
        Ok(found.into_iter().flatten().next())
    }
}

#[async_trait]
impl Store for RedisStore {
    /// As the contract says. A batch that was handed over is done even when its caller stops waiting; where the answer
    /// is [`StoreError::Unavailable`] it may have been done as well. In a cluster a batch that concerns more than one group, or a group and templates, is
    /// checked as a whole and then done part by part.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let desks =
            [(&self.messages.layout, self.messages.together), (&self.queues.layout, self.queues.together)];
        let plan = Plan::new(&batch, desks, self.is_split())?;
        drop(batch);
        self.register(&plan).await?;
        self.note_homes(plan.messages.iter().map(|(id, group)| (*id, group.clone())));
        self.carry_out(plan).await
    }

    async fn template(&self, id: TemplateId) -> Result<Option<Template>, StoreError> {
        let now = self.clock.now();
        let key = self.messages.layout.template(id).1;
        let Some(latest) = self.messages.read(&key).await? else { return Ok(None) };
        let Some(revision) = record::live(&latest, now)? else { return Ok(None) };
        let revision = RevisionId::from_slice(revision)
            .ok_or_else(|| record::corrupt("a revision's id has not 16 octets"))?;
        self.revision(revision).await
    }

    async fn revision(&self, id: RevisionId) -> Result<Option<Template>, StoreError> {
        let found = self.messages.read(&self.messages.layout.revision(id).1).await?;
        Ok(found.map(|octets| record::read(&octets, self.clock.now())).transpose()?.flatten())
    }

    async fn part(&self, id: PartId) -> Result<Option<Part>, StoreError> {
        let found = self.messages.read(&self.messages.layout.part(id).1).await?;
        Ok(found.map(|octets| record::read(&octets, self.clock.now())).transpose()?.flatten())
    }

    async fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        let home = self.homes.lock().get(&id).cloned();
        let had_home = home.is_some();
        if let Some(group) = home
            && let Some(message) = self.message_of(&group, id).await?
        {
            return Ok(Some(message));
        }
        // It may have been moved meanwhile.
        let known: Vec<GroupName> = self.groups.lock().known.iter().cloned().collect();
        if let Some(message) = self.search(&known, id).await? {
            return Ok(Some(message));
        }
        let mut others = match self.all_groups().await {
            // What is gone from where it was need not be looked for on a server that does not answer.
            Err(StoreError::Unavailable(_)) if had_home => return Ok(None),
            groups => groups?,
        };
        others.retain(|group| !known.contains(group));
        self.search(&others, id).await
    }

    /// As the contract says. Messages that a release without this look has made are not met.
    async fn messages(&self, scan: Scan) -> Result<Scanned, StoreError> {
        self.look_through(&scan).await
    }

    async fn find(&self, reference: &Reference) -> Result<Option<MessageId>, StoreError> {
        let key = self.messages.layout.reference(reference);
        let Some(octets) = self.messages.read(&key).await? else { return Ok(None) };
        let Some(id) = record::live(&octets, self.clock.now())? else { return Ok(None) };
        let id = MessageId::from_slice(id).ok_or_else(|| record::corrupt("a message's id"))?;
        self.note_homes([(id, reference.group.clone())]);
        Ok(Some(id))
    }

    async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.small_record(key).await
    }

    async fn records(&self, after: &RecordKey, max: usize) -> Result<Vec<Record>, StoreError> {
        self.small_records(after, max).await
    }

    async fn tally(&self, key: &TallyKey) -> Result<BTreeMap<String, i64>, StoreError> {
        self.counters(key).await
    }

    /// As the contract says, but for jobs that are large: then fewer are handed out at once. A job whose record cannot
    /// be read is reported to the log and held back until its lease lapses; the others go out.
    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError> {
        self.bell.note(&request.queue);
        self.signals.leasing(&request.queue);
        let leased = self.lease_now(&request).await;
        let told = leased.as_ref().map_or(None, |leased| leased.next_due);
        self.signals.leased(&request.queue, told);
        leased
    }

    async fn extend(&self, leases: &[Lease], hold: Duration) -> Result<Vec<Lease>, StoreError> {
        let mut groups: HashMap<&GroupName, Vec<usize>> = HashMap::new();
        for (place, lease) in leases.iter().enumerate() {
            groups.entry(&lease.queue.group).or_default().push(place);
        }
        let extended = groups.into_iter().map(|(group, places)| self.extend_in(group, leases, places, hold));
        let mut lost: Vec<usize> = try_join_all(extended).await?.into_iter().flatten().collect();
        lost.sort_unstable();
        Ok(lost.into_iter().filter_map(|place| leases.get(place)).cloned().collect())
    }

    async fn disown(&self, owner: &InstanceId) -> Result<u64, StoreError> {
        let groups = self.all_groups().await?;
        let all = groups.iter().map(|group| async move {
            let words = vec![owner.as_str().as_bytes().to_vec(), self.queues.layout.rings().into_bytes()];
            self.run(Program::Disown, self.queues.layout.group(group), words).await?.count()
        });
        Ok(try_join_all(all).await?.into_iter().sum())
    }

    async fn hold_back(&self, queue: &Queue, until: Timestamp) -> Result<(), StoreError> {
        let words = vec![queue.kind.name().into(), record::millis(until).to_string().into_bytes()];
        self.run(Program::Hold, self.queues.layout.group(&queue.group), words).await.map(|_| ())
    }

    async fn wait(&self, queue: &Queue, at_most: Duration) {
        self.bell.note(queue);
        self.signals.wait(queue, at_most).await;
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, StoreError> {
        let groups = self.all_groups().await?;
        let all = try_join_all(groups.iter().map(|group| self.status_of(group))).await?;
        Ok(all
            .into_iter()
            .flatten()
            .filter(|s| s.waiting + s.leased + s.dead > 0 || s.paused.is_some())
            .collect())
    }

    async fn dead(
        &self,
        queue: &Queue,
        after: Option<JobId>,
        max: usize,
    ) -> Result<Vec<DeadJob>, StoreError> {
        self.dead_of(queue, after, max).await
    }

    async fn queued(
        &self,
        queue: &Queue,
        after: Option<Place>,
        max: usize,
    ) -> Result<Vec<QueuedJob>, StoreError> {
        self.queued_behind(queue, after, max).await
    }

    async fn queued_job(&self, queue: &Queue, id: JobId) -> Result<Option<QueuedJob>, StoreError> {
        self.queued_one(queue, id).await
    }

    /// As the contract says. Messages, references, templates and parts are forgotten by the server itself, at their
    /// time; what is left to sweep are ids of such messages, dead jobs, small records, tallies and claims on blobs.
    async fn sweep(&self, max: usize) -> Result<Swept, StoreError> {
        let groups = self.all_groups().await?;
        let mut swept = self.sweep_side(&self.messages, &groups, max).await?;
        if self.is_split() {
            swept.records += self.sweep_side(&self.queues, &groups, max).await?.records;
            self.pay_debts(&groups).await?;
        }
        Ok(swept)
    }

    fn rounds(&self) -> Option<RoundsMeasured> {
        let messages = self.messages.committer.rounds();
        Some(if self.is_split() { messages.and(&self.queues.committer.rounds()) } else { messages })
    }
}

/// Messages whose group is remembered; forgetting them only costs a search.
const MOST_HOMES: usize = 100_000;
