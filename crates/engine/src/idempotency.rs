//! Requests that may come twice: whoever names one by an `Idempotency-Key` can repeat it, and it is carried out once.
//!
//! A request first claims its key: a record that says which request it was and which id will be created. The batch
//! that creates puts the outcome into that record, by its version; so of two that hold the same claim one gets
//! through, whatever died in between. A claim that nobody finished is taken over after a while; the id in it tells
//! whether the one before got through.

use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{BatchId, Digest, Id, Message, MessageId, Part, RevisionId, Template, Timestamp};
use mmsgw_store::{Batch, Record, RecordKey, RecordKind, StoreError, Write};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::refusal::Refusal;

/// A request that says by which key it may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeatable {
    /// Who asks, and for what kind of thing: keys of two of them have nothing to do with each other.
    pub owner: String,
    /// The key.
    pub key: String,
    /// Of all that makes it this request and no other.
    pub digest: Digest,
}

/// What [`Engine::claim`] found.
#[derive(Debug)]
pub enum Claimed {
    /// It is the caller's to carry out.
    Granted(Claim),
    /// It was carried out; this is what came of it.
    Done(Made),
}

/// What came of a request, as it was then.
#[derive(Debug)]
pub enum Made {
    /// A template.
    Template(Template),
    /// A part.
    Part(Part),
    /// A message, with the revision that it was made from.
    Message(Box<Message>, Template),
    /// A bulk order, which can be gone on with.
    Batch(BatchId),
    /// Nothing that has an id.
    Nothing,
}

/// The right to carry out a request. It is used up by the batch that [`Claim::closed`] goes into.
#[derive(Debug, Clone)]
pub struct Claim {
    record: Record,
    kept: Kept,
}

/// What the record says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    digest: Digest,
    /// The id of what is to be created, whatever that is.
    id: MessageId,
    /// When the present holder claimed it.
    since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<KeptResult>,
}

/// What a request made, as far as it is not kept elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeptResult {
    /// The template's first revision.
    Template(RevisionId),
    /// The part whose id was claimed.
    Part,
    /// The message as it was made.
    Message(Box<Message>),
    /// The bulk order whose id was claimed.
    Batch,
    /// Nothing that has an id.
    Nothing,
}

impl Claim {
    /// The id for what is created.
    pub(crate) fn id<K>(&self) -> Id<K> {
        Id::from_slice(self.kept.id.as_bytes()).unwrap_or_else(|| Id::generate(self.kept.since))
    }

    /// The change that notes the result; goes into the batch that brings it about.
    pub(crate) fn closed(&self, result: KeptResult) -> Write {
        Write::Record(next(&self.record, &Kept { result: Some(result), ..self.kept.clone() }))
    }

    /// The same, which forgets the result at `until` at the latest.
    pub(crate) fn closed_until(&self, result: KeptResult, until: Timestamp) -> Write {
        let record = next(&self.record, &Kept { result: Some(result), ..self.kept.clone() });
        Write::Record(Record { until: record.until.min(until), ..record })
    }

    /// Until when the result is remembered.
    pub(crate) fn until(&self) -> Timestamp {
        self.record.until
    }
}

impl Engine {
    /// Claims a request, so that it is carried out once.
    ///
    /// # Errors
    /// [`Refusal::KeyReused`] where the key belongs to another request, [`Refusal::StillRunning`] where the same one
    /// is being carried out.
    pub async fn claim(&self, request: &Repeatable) -> Result<Claimed, Refusal> {
        let key = RecordKey {
            group: None,
            kind: RecordKind::Idempotency,
            owner: request.owner.clone(),
            id: request.key.clone(),
        };
        for _ in 0..MOST_TRIES {
            let Some(record) = self.store.record(&key).await? else {
                match self.claim_anew(key.clone(), 1, request).await {
                    Err(StoreError::Conflict(_)) => continue,
                    claimed => return Ok(Claimed::Granted(claimed?)),
                }
            };
            match self.claim_again(record, request).await {
                Err(Refusal::Conflict) => {}
                claimed => return claimed,
            }
        }
        Err(Refusal::StillRunning { retry_after: Duration::from_secs(1) })
    }

    async fn claim_anew(
        &self,
        key: RecordKey,
        version: u64,
        request: &Repeatable,
    ) -> Result<Claim, StoreError> {
        let now = self.now();
        let kept = Kept { digest: request.digest, id: MessageId::generate(now), since: now, result: None };
        let until = now.after(self.settings.idempotency_ttl);
        self.put_claim(Record { key, version, value: encoded(&kept), until }, kept).await
    }

    async fn put_claim(&self, record: Record, kept: Kept) -> Result<Claim, StoreError> {
        self.commit(Batch::new().with(Write::Record(record.clone()))).await?;
        Ok(Claim { record, kept })
    }

    /// What follows from a record that is there already.
    async fn claim_again(&self, record: Record, request: &Repeatable) -> Result<Claimed, Refusal> {
        let kept: Kept = serde_json::from_slice(&record.value).map_err(|error| {
            Refusal::Store(StoreError::Corrupt(format!("the record of a claim cannot be read: {error}")))
        })?;
        if kept.digest != request.digest {
            return Err(Refusal::KeyReused);
        }
        if let Some(result) = kept.result {
            if let Some(outcome) = self.outcome(kept.id, result).await? {
                return Ok(Claimed::Done(outcome));
            }
            // What came of it was forgotten before the key was.
            return Ok(Claimed::Granted(self.claim_anew(record.key, record.version + 1, request).await?));
        }
        let (now, free) = (self.now(), kept.since.after(self.settings.idempotency_takeover));
        if now < free {
            return Err(Refusal::StillRunning { retry_after: now.until(free) });
        }
        let kept = Kept { since: now, ..kept };
        let claim = self.put_claim(next(&record, &kept), kept).await?;
        self.take_over(claim).await
    }

    /// Looks whether the holder before got through.
    async fn take_over(&self, claim: Claim) -> Result<Claimed, Refusal> {
        let (outcome, result) = if let Some(message) = self.store.message(claim.id()).await? {
            let template = self.revision(message.revision).await?;
            let result = KeptResult::Message(Box::new(message.clone()));
            (Made::Message(Box::new(message), template), result)
        } else if let Some(template) = self.store.template(claim.id()).await? {
            let result = KeptResult::Template(template.revision);
            (Made::Template(template), result)
        } else if let Some(part) = self.store.part(claim.id()).await? {
            (Made::Part(part), KeptResult::Part)
        } else {
            return Ok(Claimed::Granted(claim));
        };
        self.commit(Batch::new().with(claim.closed(result))).await?;
        Ok(Claimed::Done(outcome))
    }

    /// What came of a request; `None` where it was forgotten.
    async fn outcome(&self, id: MessageId, result: KeptResult) -> Result<Option<Made>, Refusal> {
        Ok(match result {
            KeptResult::Nothing => Some(Made::Nothing),
            KeptResult::Batch => Id::from_slice(id.as_bytes()).map(Made::Batch),
            KeptResult::Template(revision) => self.store.revision(revision).await?.map(Made::Template),
            KeptResult::Message(message) => {
                self.store.revision(message.revision).await?.map(|template| Made::Message(message, template))
            }
            KeptResult::Part => match Id::from_slice(id.as_bytes()) {
                Some(id) => self.store.part(id).await?.map(Made::Part),
                None => None,
            },
        })
    }

    /// Gives a claim back, where nothing came of the request: it may be sent again, changed or not.
    pub async fn release(&self, claim: &Claim) {
        let ended = Record { until: self.now(), ..next(&claim.record, &claim.kept) };
        if let Err(error) = self.commit(Batch::new().with(Write::Record(ended))).await {
            tracing::debug!(%error, "a claim was not given back; it ends by itself");
        }
    }
}

/// The record's next version.
fn next(record: &Record, kept: &Kept) -> Record {
    Record { version: record.version + 1, value: encoded(kept), ..record.clone() }
}

fn encoded(kept: &Kept) -> Bytes {
    serde_json::to_vec(kept).expect("a claim has text keys and plain values only").into()
}

/// So often a claim is tried where others claim the same at that moment.
const MOST_TRIES: u32 = 8;
