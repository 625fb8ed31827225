//! Changes, handed over as one.

use std::collections::BTreeMap;

use mmsgw_domain::{
    Digest, GroupName, Job, JobId, Message, MessageId, Part, Queue, RevisionId, Template, TemplateId,
    Timestamp,
};

use crate::{Lane, Lease, Pause, Record, RecordKey, TallyKey};

/// Changes that happen whole or not at all, in the order given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    writes: Vec<Write>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a change.
    pub fn push(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// The batch with one more change.
    #[must_use]
    pub fn with(mut self, write: Write) -> Self {
        self.push(write);
        self
    }

    /// True where there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The changes in order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The changes in order, for who keeps them.
    pub fn into_writes(self) -> Vec<Write> {
        self.writes
    }
}

impl Extend<Write> for Batch {
    fn extend<I: IntoIterator<Item = Write>>(&mut self, writes: I) {
        self.writes.extend(writes);
    }
}

impl FromIterator<Write> for Batch {
    fn from_iter<I: IntoIterator<Item = Write>>(writes: I) -> Self {
        Self { writes: writes.into_iter().collect() }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// A new revision of a template, which becomes its latest one.
    Template {
        /// The revision.
        template: Template,
        /// The revision that it was made from: refused unless that is still the latest one. `None`
        /// for a template that is not there yet.
        replaces: Option<RevisionId>,
    },
    /// The template is gone for applications; its revisions stay until their time is over.
    ForgetTemplate(TemplateId),
    /// A revision whose URLs were replaced by the media fetched from them. One that is not stored
    /// (any more) stays so.
    Revision(Template),
    /// Keeps a revision at least until then.
    KeepRevision {
        /// The revision.
        id: RevisionId,
        /// Until when.
        until: Timestamp,
    },
    /// Claims a blob at least until then.
    KeepBlob {
        /// The blob.
        digest: Digest,
        /// Until when.
        until: Timestamp,
    },
    /// A part created on its own.
    Part {
        /// The part.
        part: Part,
        /// When it may be forgotten.
        expires: Timestamp,
    },
    /// A message that is not there yet; its version is stored as it stands.
    NewMessage(Message),
    /// A message that was read, changed and given the next version: refused unless the stored
    /// version is the one before.
    ChangedMessage(Message),
    /// A message goes to another group, and its job that waits in a queue of the old one is forgotten: refused unless
    /// the stored version is the one before, and the job waits in nobody's hands.
    MovedMessage {
        /// The message with its new group and the next version.
        message: Message,
        /// The queue that it leaves.
        from: Queue,
        /// The job in it.
        job: JobId,
    },
    /// A carrier's reference to a message.
    Reference {
        /// The reference. One that is there already is replaced.
        reference: Reference,
        /// The message.
        message: MessageId,
        /// When it may be forgotten.
        expires: Timestamp,
    },
    /// A carrier's reference to a message, refused where it is there already: of two workers that
    /// look into the same message at once, one finds out that it came second.
    NewReference {
        /// The reference.
        reference: Reference,
        /// The message.
        message: MessageId,
        /// When it may be forgotten.
        expires: Timestamp,
    },
    /// A new job.
    Enqueue(NewJob),
    /// A leased job is done and forgotten.
    Finish(Lease),
    /// A leased job did not work and goes back, to be due at `due`; the try counts.
    Postpone {
        /// The lease.
        lease: Lease,
        /// When to try again.
        due: Timestamp,
    },
    /// A leased job goes back untried, to be due at `due`; the try does not count.
    Release {
        /// The lease.
        lease: Lease,
        /// When to hand it out again.
        due: Timestamp,
    },
    /// A leased job is given up, and kept for people to look at.
    Bury {
        /// The lease.
        lease: Lease,
        /// Why.
        reason: String,
        /// When it may be forgotten.
        expires: Timestamp,
    },
    /// A dead job goes back into its queue, untried, due at once. Refused where it is not there.
    Revive {
        /// Where it waited.
        queue: Queue,
        /// The job.
        id: JobId,
    },
    /// A dead job is forgotten. Refused where it is not there.
    Discard {
        /// Where it waited.
        queue: Queue,
        /// The job.
        id: JobId,
    },
    /// A job that waits is due now, where it is not yet; its tries count on. Refused where it is not there or in a
    /// worker's hands.
    Hasten {
        /// Where it waits.
        queue: Queue,
        /// The job.
        id: JobId,
    },
    /// A job that waits is forgotten. Refused where it is not there or in a worker's hands.
    Remove {
        /// Where it waits.
        queue: Queue,
        /// The job.
        id: JobId,
    },
    /// A queue is paused, or goes on.
    Pause {
        /// The queue.
        queue: Queue,
        /// `None`: it goes on.
        pause: Option<Pause>,
    },
    /// A record: refused unless the one stored has the version before, which is 0 where there is none or
    /// its time is over.
    Record(Record),
    /// A record is forgotten; none there is no trouble.
    DropRecord(RecordKey),
    /// Adds to the counters of a tally, which begin at 0.
    Tally {
        /// Which tally.
        key: TallyKey,
        /// What to add, by counter.
        add: BTreeMap<String, i64>,
        /// Keeps the tally at least until then.
        until: Timestamp,
    },
}

/// A job to be queued.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Where it waits.
    pub queue: Queue,
    /// Before or behind which others.
    pub lane: Lane,
    /// Not handed out before.
    pub due: Timestamp,
    /// What is to be done.
    pub job: Job,
}

/// An id by which a carrier names a message, unique within a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The group.
    pub group: GroupName,
    /// What kind of id.
    pub kind: ReferenceKind,
    /// The id as it is compared: without quotes or white space around it.
    pub value: String,
}

/// Kind of a [`Reference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReferenceKind {
    /// The carrier's id of a message of ours (MM7 MessageID of a SubmitRsp).
    Outbound,
    /// The id of a message that a carrier sent us, to recognise repetitions.
    Inbound,
}

impl ReferenceKind {
    /// The name in stores.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outbound => "out",
            Self::Inbound => "in",
        }
    }
}
