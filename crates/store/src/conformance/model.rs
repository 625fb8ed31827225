//! Random changes to the store under test and to [`MemoryStore`] must lead to the same answers.

use std::sync::Arc;
use std::time::Duration;

use mmsgw_domain::{
    Clock, Job, JobId, Message, MessageId, PartId, Queue, RevisionId, Template, TemplateId, Timestamp,
};

use super::bench::{Bench, changed, digest, group, queue, reference, revised};
use super::expiry::sweep;
use super::scans::{everything, through};
use crate::{
    Lane, Lease, MemoryStore, Record, RecordKey, RecordKind, Scan, Store, StoreError, TallyKey, Write,
};

pub(super) async fn agrees_with_memory(b: Bench) {
    for seed in 1..=SEEDS {
        // A long run for what needs many steps, short ones for the first steps in many orders.
        let rounds = if seed == 1 { FIRST } else { LATER };
        println!("  seed {seed}, {rounds} steps");
        let mut pair = Pair::new(&b, seed).await;
        for _ in 0..rounds {
            pair.step().await;
        }
        pair.empty().await;
    }
}

/// The store under test, the reference, and what is known of both.
struct Pair {
    tested: Bench,
    reference: Bench,
    began: Timestamp,
    chance: Chance,
    leases: Vec<(Lease, Lease)>,
    messages: Vec<MessageId>,
    templates: Vec<Template>,
    parts: Vec<PartId>,
}

impl Pair {
    async fn new(tested: &Bench, seed: u64) -> Self {
        let clock: Arc<dyn Clock> = Arc::<super::ManualClock>::clone(&tested.clock);
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(clock));
        Self {
            reference: Bench::new(memory, Arc::clone(&tested.clock)),
            tested: tested.clone(),
            began: tested.now(),
            chance: Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            leases: Vec::new(),
            messages: Vec::new(),
            templates: Vec::new(),
            parts: Vec::new(),
        }
    }

    async fn step(&mut self) {
        match self.chance.below(20) {
            0..=9 => self.commit().await,
            10..=14 => self.lease().await,
            15 => self.extend().await,
            16 | 17 => self.tested.clock.advance(Duration::from_millis(self.chance.below(8_000))),
            18 => assert_eq!(sweep(&self.tested).await, sweep(&self.reference).await),
            _ => self.compare().await,
        }
    }

    async fn commit(&mut self) {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for _ in 0..1 + self.chance.below(4) {
            let (a, b) = self.write().await;
            one.push(a);
            other.push(b);
        }
        let described = format!("{one:?}");
        let (got, wanted) = (self.tested.try_commit(one).await, self.reference.try_commit(other).await);
        assert_eq!(outcome(&got), outcome(&wanted), "{described}: {got:?} {wanted:?}");
    }

    /// A change, once for each store: only the tokens of leases differ.
    async fn write(&mut self) -> (Write, Write) {
        let same = |write: Write| (write.clone(), write);
        match self.chance.below(21) {
            0..=3 => same(self.enqueue()),
            4..=7 => self.settle(),
            8 => same(Write::NewMessage(self.new_message())),
            9 | 10 => same(self.change().await),
            11 => same(self.template()),
            12 => same(self.about_template().await),
            13 => same(self.part()),
            14 => {
                let digest = digest(self.chance.octet());
                same(Write::KeepBlob { digest, until: self.soon() })
            }
            15 | 16 => same(self.record()),
            17 => same(self.count()),
            18 => same(self.raise().await),
            19 => same(self.pick().await),
            _ => {
                let message = self.new_message().id;
                let reference = reference(&self.chance.below(5).to_string());
                same(Write::Reference { reference, message, expires: self.soon() })
            }
        }
    }

    fn enqueue(&mut self) -> Write {
        let lane = Lane::ALL[self.chance.index(3)];
        let (queue, due) = (self.queue(), self.soon());
        let mut job = self.tested.job_at(&queue, lane, due);
        // Whether an id is taken in another group is left open: its jobs may be on another server.
        if let (0, Some((held, _))) = (self.chance.below(20), self.leases.last())
            && held.queue == queue
        {
            job.id = held.job;
        }
        Write::Enqueue(job)
    }

    fn settle(&mut self) -> (Write, Write) {
        if self.leases.is_empty() {
            let write = self.enqueue();
            return (write.clone(), write);
        }
        let index = self.chance.index(self.leases.len());
        let (one, other) = if self.chance.below(8) == 0 {
            self.leases[index].clone()
        } else {
            self.leases.swap_remove(index)
        };
        let (kind, due, expires) = (self.chance.below(4), self.soon(), self.soon());
        let settle = |lease: Lease| match kind {
            0 => Write::Finish(lease),
            1 => Write::Postpone { lease, due },
            2 => Write::Release { lease, due },
            _ => Write::Bury { lease, reason: format!("because {expires}"), expires },
        };
        (settle(one), settle(other))
    }

    fn new_message(&mut self) -> Message {
        let mut message = self.tested.new_message();
        message.expires = (self.chance.below(2) == 0).then(|| self.soon());
        message.version = self.chance.below(3);
        self.messages.push(message.id);
        message
    }

    async fn change(&mut self) -> Write {
        let Some(id) = self.chance.pick(&self.messages).copied() else {
            return Write::NewMessage(self.new_message());
        };
        match self.reference.message(id).await {
            None => Write::ChangedMessage(Message { id, ..self.tested.new_message() }),
            Some(message) if self.chance.below(10) == 0 => Write::NewMessage(message),
            Some(message) => {
                let mut next = changed(&message, "again");
                next.version += u64::from(self.chance.below(10) == 0);
                next.expires = self.chance.below(3).checked_sub(1).map(|_| self.soon());
                Write::ChangedMessage(next)
            }
        }
    }

    fn template(&mut self) -> Write {
        let expires = self.soon();
        let first = self.tested.new_template(expires);
        let base = self.chance.pick(&self.templates).cloned();
        let (template, replaces) = match base {
            Some(base) if self.chance.below(3) > 0 => (revised(&base, "again"), Some(base.revision)),
            _ => (first, None),
        };
        self.templates.push(template.clone());
        Write::Template { template, replaces }
    }

    async fn about_template(&mut self) -> Write {
        let Some(template) = self.chance.pick(&self.templates).cloned() else { return self.template() };
        match self.chance.below(4) {
            0 => Write::ForgetTemplate(template.id),
            1 => {
                let mut fetched = template;
                fetched.content.subject = Some("fetched".to_owned());
                Write::Revision(fetched)
            }
            // Whether one is kept whose time is over but whom no sweep met is left open.
            _ if self.reference.store.revision(template.revision).await.unwrap().is_none() => self.template(),
            _ => Write::KeepRevision { id: template.revision, until: self.soon() },
        }
    }

    fn part(&mut self) -> Write {
        let part = self.tested.new_part();
        self.parts.push(part.id);
        Write::Part { part, expires: self.soon() }
    }

    fn record(&mut self) -> Write {
        let key = record_key(self.chance.below(3));
        if self.chance.below(8) == 0 {
            return Write::DropRecord(key);
        }
        let value = self.chance.below(1_000).to_string().into();
        Write::Record(Record { key, version: 1 + self.chance.below(3), value, until: self.soon() })
    }

    fn count(&mut self) -> Write {
        let add = [(self.chance.below(3).to_string(), 1 + i64::from(self.chance.octet()))];
        Write::Tally { key: tally_key(self.chance.below(2)), add: add.into(), until: self.soon() }
    }

    /// Something about one of the dead, where there is one whose time is not over.
    async fn raise(&mut self) -> Write {
        let queue = self.queue();
        let dead = self.reference.store.dead(&queue, None, 3).await.unwrap();
        match (dead.first(), self.chance.below(3)) {
            (None, _) => self.enqueue(),
            (Some(dead), 0) => Write::Discard { queue, id: dead.id },
            (Some(dead), _) => Write::Revive { queue, id: dead.id },
        }
    }

    /// Something about one of the jobs that are not done.
    async fn pick(&mut self) -> Write {
        let queue = self.queue();
        let queued = self.reference.store.queued(&queue, None, 5).await.unwrap();
        match (self.chance.pick(&queued).map(|job| job.place.id), self.chance.below(2)) {
            (None, _) => self.enqueue(),
            (Some(id), 0) => Write::Hasten { queue, id },
            (Some(id), _) => Write::Remove { queue, id },
        }
    }

    async fn lease(&mut self) {
        if self.chance.below(12) == 0 {
            let got = self.tested.store.disown(&self.tested.owner(&queue("one"))).await.unwrap();
            assert_eq!(got, self.reference.store.disown(&self.tested.owner(&queue("one"))).await.unwrap());
            return;
        }
        let queue = self.queue();
        let (max, hold) = (self.chance.index(5), Duration::from_millis(self.chance.below(6_000)));
        let got = self.tested.lease_for(&queue, max, hold).await;
        let wanted = self.reference.lease_for(&queue, max, hold).await;
        assert_eq!(got.next_due, wanted.next_due);
        let about = |leased: &crate::Leased| -> Vec<(JobId, u32, Job)> {
            leased.jobs.iter().map(|job| (job.lease.job, job.tries, job.job.clone())).collect()
        };
        assert_eq!(about(&got), about(&wanted));
        let pairs = got.jobs.into_iter().zip(wanted.jobs).map(|(a, b)| (a.lease, b.lease));
        self.leases.extend(pairs);
    }

    async fn extend(&mut self) {
        let (one, other): (Vec<_>, Vec<_>) = self.leases.iter().cloned().unzip();
        let hold = Duration::from_secs(3);
        let got = self.tested.store.extend(&one, hold).await.unwrap();
        let wanted = self.reference.store.extend(&other, hold).await.unwrap();
        let ids = |leases: &[Lease]| leases.iter().map(|lease| lease.job).collect::<Vec<_>>();
        assert_eq!(ids(&got), ids(&wanted));
        self.leases.retain(|(lease, _)| !got.contains(lease));
    }

    /// Compares everything that can be asked.
    async fn compare(&self) {
        let (a, b) = (&self.tested.store, &self.reference.store);
        for id in &self.messages {
            assert_eq!(a.message(*id).await.unwrap(), b.message(*id).await.unwrap());
        }
        // Messages of an earlier seed may be there still.
        let scan = Scan { since: self.began, ..everything() };
        let listed = through(&self.tested, scan.clone()).await;
        assert_eq!(listed, through(&self.reference, scan).await);
        for id in &self.parts {
            assert_eq!(a.part(*id).await.unwrap(), b.part(*id).await.unwrap());
        }
        let templates = self.templates.iter().map(|t| (t.id, t.revision));
        let templates: Vec<(TemplateId, RevisionId)> = templates.collect();
        for (id, revision) in templates {
            assert_eq!(a.template(id).await.unwrap(), b.template(id).await.unwrap());
            assert_eq!(a.revision(revision).await.unwrap(), b.revision(revision).await.unwrap());
        }
        for number in 0..5 {
            let reference = reference(&number.to_string());
            assert_eq!(a.find(&reference).await.unwrap(), b.find(&reference).await.unwrap());
        }
        for number in 0..3 {
            let key = record_key(number);
            assert_eq!(a.record(&key).await.unwrap(), b.record(&key).await.unwrap());
            let key = tally_key(number);
            assert_eq!(a.tally(&key).await.unwrap(), b.tally(&key).await.unwrap());
        }
        let all = RecordKey { id: String::new(), ..record_key(0) };
        assert_eq!(a.records(&all, 10).await.unwrap(), b.records(&all, 10).await.unwrap());
        let (mut got, mut wanted) = (a.queues().await.unwrap(), b.queues().await.unwrap());
        got.retain(|status| status.waiting + status.leased > 0);
        wanted.retain(|status| status.waiting + status.leased > 0);
        for status in got.iter_mut().chain(&mut wanted) {
            // Whether dead jobs count whose time is over but whom no sweep met is left open.
            status.dead = 0;
        }
        got.sort_by(|a, b| a.queue.cmp(&b.queue));
        wanted.sort_by(|a, b| a.queue.cmp(&b.queue));
        assert_eq!(got, wanted);
        for queue in self.queues() {
            let (got, wanted) =
                (a.dead(&queue, None, 100).await.unwrap(), b.dead(&queue, None, 100).await.unwrap());
            assert_eq!(got, wanted);
            let first = b.queued(&queue, None, 1).await.unwrap().pop().map(|job| job.place);
            let (got, wanted) =
                (a.queued(&queue, first, 1000).await.unwrap(), b.queued(&queue, first, 1000).await.unwrap());
            assert_eq!(got, wanted);
        }
    }

    /// Ends all that is left, so that the store under test is as good as new.
    async fn empty(&mut self) {
        self.compare().await;
        self.tested.pass(3600);
        for queue in self.queues() {
            let got = self.tested.lease(&queue, 100_000).await.jobs;
            let wanted = self.reference.lease(&queue, 100_000).await.jobs;
            assert_eq!(got.len(), wanted.len());
            self.tested.commit(got.into_iter().map(|job| Write::Finish(job.lease))).await;
            self.reference.commit(wanted.into_iter().map(|job| Write::Finish(job.lease))).await;
        }
        assert_eq!(sweep(&self.tested).await, sweep(&self.reference).await);
        self.compare().await;
        assert_eq!(self.tested.store.queues().await.unwrap(), []);
    }

    /// Within seconds of now, also before it.
    fn soon(&mut self) -> Timestamp {
        let now = self.tested.now().as_millis();
        Timestamp::from_millis(now - 2_000).after(Duration::from_millis(self.chance.below(10_000)))
    }

    fn queue(&mut self) -> Queue {
        self.queues()[self.chance.index(2)].clone()
    }

    fn queues(&self) -> [Queue; 2] {
        [queue("one"), queue("two")]
    }
}

fn record_key(number: u64) -> RecordKey {
    RecordKey { group: None, kind: RecordKind::Bulk, owner: "app".to_owned(), id: number.to_string() }
}

fn tally_key(number: u64) -> TallyKey {
    TallyKey { group: Some(group("one")), owner: number.to_string() }
}

fn outcome(result: &Result<(), StoreError>) -> &'static str {
    match result {
        Ok(()) => "done",
        Err(StoreError::Conflict(_)) => "conflict",
        Err(StoreError::LeaseLost) => "lease lost",
        Err(_) => "failed",
    }
}

/// A small generator, so that a seed repeats a run (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(u64::try_from(limit).unwrap_or(1))).unwrap_or(0)
    }

    fn octet(&mut self) -> u8 {
        u8::try_from(self.below(10)).unwrap_or(0)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.index(from.len())) }
    }
}

const SEEDS: u64 = 6;
const FIRST: usize = 1500;
const LATER: usize = 400;
