//! A batch as the server gets it: what must hold, then what is changed, put down for the script `commit.lua`.
//!
//! The rules are those of [`precondition`]. Here they are asked as if all were as the batch hopes, and each question
//! becomes a check for the server; what the batch itself makes impossible is found out without asking anybody.

use std::collections::{BTreeMap, HashMap, HashSet};

use mmsgw_domain::{GroupName, JobId, Message, MessageId, PartId, Queue, RevisionId, TemplateId};
use mmsgw_store::precondition::{self, Facts, StoredVersion};
use mmsgw_store::{Batch, Lease, NewJob, Pause, RecordKey, Reference, StoreError, TallyKey, Write};

use crate::keys::Layout;
use crate::mark;
use crate::record::{self, digits, millis};

/// What a batch comes to.
pub(crate) struct Plan {
    /// What is to be done, by place and in the order in which places have their turn. One part in all where the server
    /// keeps everything in one place.
    pub(crate) parts: Vec<Part>,
    /// Why the batch cannot happen, once the checks have found nothing earlier.
    pub(crate) refusal: Option<StoreError>,
    /// Messages in the batch and their groups.
    pub(crate) messages: HashMap<MessageId, GroupName>,
    /// Groups that get something new.
    pub(crate) groups: HashSet<GroupName>,
}

/// Which of two servers. A store on one server calls it the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    Messages,
    Queues,
}

/// What is done at one place, whole or not at all.
pub(crate) struct Part {
    /// The server that it is for.
    pub(crate) server: Which,
    /// By which the server knows it when it is sent again.
    pub(crate) mark: [u8; 16],
    /// The place, by its hash tag.
    pub(crate) place: String,
    /// Parts of a lower turn are done before.
    pub(crate) turn: Turn,
    /// Keys by the numbers that operations name them by; the first is where marks are kept.
    pub(crate) keys: Vec<String>,
    /// For each check its place in the order of the whole batch, and what it means where it fails.
    pub(crate) refusals: Vec<(usize, Refusal)>,
    /// Checks as the script takes them.
    pub(crate) checks: Vec<Vec<u8>>,
    /// Changes as the script takes them. Those that end leases come first: they make room, and after them a server whose
    /// memory is full does the rest as well.
    pub(crate) changes: Vec<Vec<u8>>,
    /// How many words of the changes end leases.
    ends: usize,
}

/// When a part is done, where a batch has several. What others refer to comes first, then a group's part, which makes
/// it count, and last what only tells of it: after a crash in between a request may be repeated, never lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    Record,
    Template,
    Group,
    /// What a message leaves behind in a group that it is moved from.
    Left,
    Jobs,
    Account,
}

/// What a failed check means.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    Conflict(String),
    LeaseLost,
}

impl Refusal {
    pub(crate) fn error(&self) -> StoreError {
        match self {
            Self::Conflict(text) => StoreError::Conflict(text.clone()),
            Self::LeaseLost => StoreError::LeaseLost,
        }
    }
}

impl Plan {
    /// Plans a batch for the servers of messages and of queues: how keys are named there, and whether the server keeps
    /// everything in one place. `split`: they are two.
    pub(crate) fn new(batch: &Batch, desks: [(&Layout, bool); 2], split: bool) -> Result<Self, StoreError> {
        let [(layout, together), (queues, queues_together)] = desks;
        let together = [together, queues_together];
        let mut sheet = Sheet { layout, queues_layout: queues, together, split, parts: Vec::new(), asked: 0 };
        let mut hopes = Hopes::new(batch.writes(), &mut sheet);
        let refusal = precondition::check(batch.writes(), &mut hopes).err();
        let mut messages: HashMap<_, _> =
            hopes.messages.into_iter().map(|(id, hope)| (id, hope.group)).collect();
        for write in batch.writes() {
            if let Write::MovedMessage { message, .. } = write {
                messages.insert(message.id, message.group.clone());
            }
        }
        if refusal.is_none() {
            batch.writes().iter().try_for_each(|write| sheet.write(write))?;
        }
        let mut parts = sheet.parts;
        parts.sort_by_key(|part| part.turn);
        let groups = batch.writes().iter().filter_map(group_of).cloned().collect();
        Ok(Self { parts, refusal, messages, groups })
    }
}

/// Parts in the making.
struct Sheet<'a> {
    layout: &'a Layout,
    queues_layout: &'a Layout,
    together: [bool; 2],
    split: bool,
    parts: Vec<Part>,
    asked: usize,
}

/// A key, the place where it is and its turn.
struct At {
    server: Which,
    place: String,
    turn: Turn,
    key: String,
}

impl At {
    fn record((place, key): (String, String)) -> Self {
        Self { server: Which::Messages, place, turn: Turn::Record, key }
    }
}

impl Sheet<'_> {
    fn template(&self, id: TemplateId) -> At {
        At { turn: Turn::Template, ..At::record(self.layout.template(id)) }
    }

    fn message(&self, group: &GroupName, id: MessageId) -> At {
        At { key: self.layout.message(group, id), ..self.group(group) }
    }

    /// The same, done when the message is where it goes to.
    fn left(&self, at: At) -> At {
        match at.server {
            Which::Messages => At { turn: Turn::Left, ..at },
            Which::Queues => at,
        }
    }

    fn reference(&self, reference: &Reference) -> At {
        At { key: self.layout.reference(reference), ..self.group(&reference.group) }
    }

    fn group(&self, group: &GroupName) -> At {
        let place = self.layout.group(group);
        At { server: Which::Messages, key: place.clone(), place, turn: Turn::Group }
    }

    /// The queues of a group.
    fn queues(&self, group: &GroupName) -> At {
        if !self.split {
            return self.group(group);
        }
        let place = self.queues_layout.group(group);
        At { server: Which::Queues, key: place.clone(), place, turn: Turn::Jobs }
    }

    /// A small record or a tally.
    fn owned(&self, group: Option<&GroupName>, owner: &str) -> At {
        let place = self.layout.owned(group, owner);
        let turn = if group.is_some() { Turn::Group } else { Turn::Account };
        At { server: Which::Messages, key: place.clone(), place, turn }
    }

    /// The part for a place, and the number of the key in it.
    fn part(&mut self, at: At) -> (&mut Part, Vec<u8>) {
        let server = at.server;
        let (place, turn) = match server {
            Which::Messages if self.together[0] => (self.layout.everything(), Turn::Group),
            Which::Queues if self.together[1] => (self.queues_layout.everything(), Turn::Jobs),
            _ => (at.place, at.turn),
        };
        let same = |part: &Part| part.server == server && part.turn == turn && part.place == place;
        let found = self.parts.iter().position(same);
        let index = found.unwrap_or_else(|| {
            let keys = vec![format!("{place}:done")];
            self.parts.push(Part {
                server,
                mark: mark::mark(),
                place,
                turn,
                keys,
                refusals: Vec::new(),
                checks: Vec::new(),
                changes: Vec::new(),
                ends: 0,
            });
            self.parts.len() - 1
        });
        let part = &mut self.parts[index];
        let known = part.keys.iter().position(|known| *known == at.key);
        let number = known.unwrap_or_else(|| {
            part.keys.push(at.key);
            part.keys.len() - 1
        });
        (part, text(number + 1))
    }

    fn check<const N: usize>(&mut self, at: At, refusal: Refusal, name: &str, words: [Vec<u8>; N]) {
        let asked = self.asked;
        self.asked += 1;
        let (part, key) = self.part(at);
        part.refusals.push((asked, refusal));
        part.checks.extend([text(name), key]);
        part.checks.extend(words);
    }

    fn change<const N: usize>(&mut self, at: At, name: &str, words: [Vec<u8>; N]) {
        let (part, key) = self.part(at);
        part.changes.extend([text(name), key]);
        part.changes.extend(words);
    }

    fn write(&mut self, write: &Write) -> Result<(), StoreError> {
        match write {
            Write::Template { template, .. } => {
                let record = record::write(template.expires, template)?;
                self.change(At::record(self.layout.revision(template.revision)), "put", [record]);
                let latest = record::write_id(template.expires, template.revision.as_bytes());
                self.change(self.template(template.id), "put", [latest]);
            }
            Write::ForgetTemplate(id) => self.change(self.template(*id), "drop", []),
            Write::Revision(template) => {
                let record = record::write(template.expires, template)?;
                self.change(At::record(self.layout.revision(template.revision)), "renew", [record]);
            }
            Write::KeepRevision { id, until } => {
                let until = digits(Some(*until)).into_bytes();
                self.change(At::record(self.layout.revision(*id)), "keep", [until]);
            }
            Write::KeepBlob { digest, until } => {
                let words = [text(millis(*until)), digest.as_bytes().to_vec()];
                self.change(At::record(self.layout.blobs(digest)), "claim", words);
            }
            Write::Part { part, expires } => {
                let record = record::write(*expires, part)?;
                self.change(At::record(self.layout.part(part.id)), "put", [record]);
            }
            Write::NewMessage(message) | Write::ChangedMessage(message) => {
                let record = record::write_message(message)?;
                self.change(self.message(&message.group, message.id), "put", [record]);
                if matches!(write, Write::NewMessage(_)) {
                    self.change(self.group(&message.group), "list", [message.id.as_bytes().to_vec()]);
                }
            }
            Write::MovedMessage { message, from, job } => {
                let record = record::write_message(message)?;
                self.change(self.message(&message.group, message.id), "put", [record]);
                self.change(self.group(&message.group), "list", [message.id.as_bytes().to_vec()]);
                self.change(self.left(self.message(&from.group, message.id)), "drop", []);
                let words = [text(from.kind.name()), job.as_bytes().to_vec()];
                self.change(self.left(self.queues(&from.group)), "remove", words);
            }
            Write::Reference { reference, message, expires }
            | Write::NewReference { reference, message, expires } => {
                let record = record::write_id(*expires, message.as_bytes());
                self.change(self.reference(reference), "put", [record]);
            }
            Write::Enqueue(job) => self.enqueue(job)?,
            Write::Finish(lease) => self.settle(lease, "finish", []),
            Write::Postpone { lease, due } => self.settle(lease, "back", [text(millis(*due)), text(1)]),
            Write::Release { lease, due } => self.settle(lease, "back", [text(millis(*due)), text(0)]),
            Write::Bury { lease, reason, expires } => {
                let words = [digits(Some(*expires)).into_bytes(), reason.clone().into_bytes()];
                self.settle(lease, "bury", words);
            }
            Write::Revive { queue, id } => self.raise(queue, *id, "revive"),
            Write::Discard { queue, id } => self.raise(queue, *id, "discard"),
            Write::Hasten { queue, id } => self.raise(queue, *id, "hasten"),
            Write::Remove { queue, id } => self.raise(queue, *id, "remove"),
            Write::Pause { queue, pause } => self.pause(queue, pause.as_ref())?,
            Write::Record(record) => {
                let value = record::write_small(record);
                let [kind, owner, id] = key_words(&record.key);
                let at = self.owned(record.key.group.as_ref(), &record.key.owner);
                self.change(at, "file", [kind, owner, id, value]);
            }
            Write::DropRecord(key) => {
                self.change(self.owned(key.group.as_ref(), &key.owner), "unfile", key_words(key));
            }
            Write::Tally { key, add, until } => self.tally(key, add, millis(*until)),
        }
        Ok(())
    }

    fn raise(&mut self, queue: &Queue, id: JobId, name: &str) {
        let words = [text(queue.kind.name()), id.as_bytes().to_vec()];
        self.change(self.queues(&queue.group), name, words);
    }

    fn pause(&mut self, queue: &Queue, pause: Option<&Pause>) -> Result<(), StoreError> {
        let (at, kind) = (self.queues(&queue.group), text(queue.kind.name()));
        match pause {
            Some(pause) => self.change(at, "pause", [kind, record::json(pause)?]),
            None => self.change(at, "resume", [kind]),
        }
        Ok(())
    }

    fn tally(&mut self, key: &TallyKey, add: &BTreeMap<String, i64>, until: i64) {
        let (part, place) = self.part(self.owned(key.group.as_ref(), &key.owner));
        part.changes.extend([text("tally"), place, text(&key.owner), text(until), text(add.len())]);
        part.changes.extend(add.iter().flat_map(|(name, number)| [text(name), text(number)]));
    }

    fn enqueue(&mut self, job: &NewJob) -> Result<(), StoreError> {
        let (kind, id) = (text(job.queue.kind.name()), job.id.as_bytes().to_vec());
        let (lane, due) = (text(job.lane.index()), text(millis(job.due)));
        let words = [kind, id, lane, due, record::job(&job.job)?];
        self.change(self.queues(&job.queue.group), "enqueue", words);
        Ok(())
    }

    fn settle<const N: usize>(&mut self, lease: &Lease, name: &str, words: [Vec<u8>; N]) {
        let (part, key) = self.part(self.queues(&lease.queue.group));
        let (kind, id) = (text(lease.queue.kind.name()), lease.job.as_bytes().to_vec());
        let words = [text(name), key, kind, id, text(lease.token)].into_iter().chain(words);
        let before = part.changes.len();
        part.changes.splice(part.ends..part.ends, words);
        part.ends += part.changes.len() - before;
    }
}

/// Facts as the batch hopes they are. Each question becomes a check.
struct Hopes<'a, 'b> {
    sheet: &'a mut Sheet<'b>,
    messages: HashMap<MessageId, Hope>,
    latest: HashMap<TemplateId, Option<RevisionId>>,
    jobs: HashMap<JobId, GroupName>,
    records: HashMap<RecordKey, u64>,
}

/// What the first change that concerns a message needs.
struct Hope {
    group: GroupName,
    /// The version that must be there; `None`: no message.
    version: Option<u64>,
}

impl<'a, 'b> Hopes<'a, 'b> {
    fn new(writes: &[Write], sheet: &'a mut Sheet<'b>) -> Self {
        let mut hopes = Self {
            sheet,
            messages: HashMap::new(),
            latest: HashMap::new(),
            jobs: HashMap::new(),
            records: HashMap::new(),
        };
        for write in writes {
            match write {
                Write::NewMessage(message) => hopes.hope(message, None),
                Write::MovedMessage { message, from, .. } => {
                    let (group, version) = (from.group.clone(), message.version.checked_sub(1));
                    hopes.messages.entry(message.id).or_insert(Hope { group, version });
                }
                // Nothing has a version before 0; as if no message were there it is refused as well.
                Write::ChangedMessage(message) => hopes.hope(message, message.version.checked_sub(1)),
                Write::Template { template, replaces } => {
                    hopes.latest.entry(template.id).or_insert(*replaces);
                }
                Write::Enqueue(job) => {
                    hopes.jobs.entry(job.id).or_insert_with(|| job.queue.group.clone());
                }
                Write::Record(record) => {
                    hopes.records.entry(record.key.clone()).or_insert(record.version);
                }
                _ => {}
            }
        }
        hopes
    }

    fn hope(&mut self, message: &Message, version: Option<u64>) {
        let hope = || Hope { group: message.group.clone(), version };
        self.messages.entry(message.id).or_insert_with(hope);
    }

    fn taken(&mut self, at: At, what: &str) {
        let refusal = Refusal::Conflict(format!("the id of a new {what} is taken"));
        self.sheet.check(at, refusal, "absent", []);
    }
}

impl Facts for Hopes<'_, '_> {
    fn message(&mut self, id: MessageId) -> Result<Option<StoredVersion>, StoreError> {
        let Some(hope) = self.messages.get(&id) else { return Ok(None) };
        let (at, version) = (self.sheet.message(&hope.group, id), hope.version);
        match version {
            None => self.taken(at, "message"),
            Some(version) => {
                let refusal = Refusal::Conflict(format!("message {id} has another version than {version}"));
                self.sheet.check(at, refusal, "version", [record::version(version).into_bytes()]);
            }
        }
        Ok(version.map(|version| StoredVersion { version, live: true }))
    }

    fn latest(&mut self, id: TemplateId) -> Result<Option<RevisionId>, StoreError> {
        let latest = self.latest.get(&id).copied().flatten();
        let refusal = Refusal::Conflict(format!("template {id} has another latest revision"));
        let wanted = latest.map_or_else(Vec::new, |revision| revision.as_bytes().to_vec());
        self.sheet.check(self.sheet.template(id), refusal, "latest", [wanted]);
        Ok(latest)
    }

    fn has_revision(&mut self, id: RevisionId) -> Result<bool, StoreError> {
        self.taken(At::record(self.sheet.layout.revision(id)), "revision");
        Ok(false)
    }

    fn has_part(&mut self, id: PartId) -> Result<bool, StoreError> {
        self.taken(At::record(self.sheet.layout.part(id)), "part");
        Ok(false)
    }

    fn has_job(&mut self, id: JobId) -> Result<bool, StoreError> {
        if let Some(group) = self.jobs.get(&id) {
            let refusal = Refusal::Conflict("the id of a new job is taken".to_owned());
            let words = [id.as_bytes().to_vec()];
            self.sheet.check(self.sheet.queues(group), refusal, "nojob", words);
        }
        Ok(false)
    }

    fn has_reference(&mut self, reference: &Reference) -> Result<bool, StoreError> {
        let refusal = Refusal::Conflict(format!("the reference `{}` is there", reference.value));
        self.sheet.check(self.sheet.reference(reference), refusal, "absent", []);
        Ok(false)
    }

    fn holds(&mut self, lease: &Lease) -> Result<bool, StoreError> {
        let (kind, id) = (text(lease.queue.kind.name()), lease.job.as_bytes().to_vec());
        let words = [kind, id, text(lease.token)];
        self.sheet.check(self.sheet.queues(&lease.queue.group), Refusal::LeaseLost, "lease", words);
        Ok(true)
    }

    fn waits(&mut self, queue: &Queue, id: JobId) -> Result<bool, StoreError> {
        let refusal = Refusal::Conflict(format!("no job {id} waits in queue {queue}"));
        let words = [text(queue.kind.name()), id.as_bytes().to_vec()];
        self.sheet.check(self.sheet.queues(&queue.group), refusal, "waits", words);
        Ok(true)
    }

    fn is_dead(&mut self, queue: &Queue, id: JobId) -> Result<bool, StoreError> {
        let refusal = Refusal::Conflict(format!("no dead job {id} is in queue {queue}"));
        let words = [text(queue.kind.name()), id.as_bytes().to_vec()];
        self.sheet.check(self.sheet.queues(&queue.group), refusal, "dead", words);
        Ok(true)
    }

    fn record(&mut self, key: &RecordKey) -> Result<Option<u64>, StoreError> {
        // Nothing has a version before 0: refused without asking.
        let Some(before) = self.records.get(key).and_then(|version| version.checked_sub(1)) else {
            return Ok(None);
        };
        let refusal = Refusal::Conflict(format!("the record `{}` has another version than {before}", key.id));
        let version = if before == 0 { Vec::new() } else { record::version(before).into_bytes() };
        let [kind, owner, id] = key_words(key);
        let at = self.sheet.owned(key.group.as_ref(), &key.owner);
        self.sheet.check(at, refusal, "record", [kind, owner, id, version]);
        Ok((before > 0).then_some(before))
    }
}

/// The group that a change brings something new.
fn group_of(write: &Write) -> Option<&GroupName> {
    match write {
        Write::NewMessage(message) | Write::MovedMessage { message, .. } => Some(&message.group),
        Write::Enqueue(job) => Some(&job.queue.group),
        Write::Pause { queue, .. } => Some(&queue.group),
        Write::Record(record) => record.key.group.as_ref(),
        Write::Tally { key, .. } => key.group.as_ref(),
        _ => None,
    }
}

fn key_words(key: &RecordKey) -> [Vec<u8>; 3] {
    [text(key.kind.name()), text(&key.owner), text(&key.id)]
}

fn text(word: impl ToString) -> Vec<u8> {
    word.to_string().into_bytes()
}
