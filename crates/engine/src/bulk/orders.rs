//! Orders as they stand in the store: opened, gone on with, looked at, withdrawn.

use std::sync::Arc;
use std::time::Duration;

use mmsgw_domain::{BatchId, BulkState, BulkStatus, GroupName, Message, State, Template, Timestamp};
use mmsgw_store::{Batch, Record, RecordKey, RecordKind, StoreError, TallyKey, Write};

use super::{Bulk, BulkDraft, Order, RefusedLine, Running};
use crate::accept::{check_times, deadline};
use crate::engine::Engine;
use crate::group::Group;
use crate::idempotency::{Claim, Claimed, KeptResult, Made, Repeatable};
use crate::refusal::Refusal;

impl Engine {
    /// Opens an order, or goes on with the one that the request began before.
    ///
    /// # Errors
    /// [`Refusal`] in all its forms; [`Refusal::StillRunning`] where its lines are being taken.
    pub async fn open_bulk(&self, draft: &BulkDraft, request: Option<&Repeatable>) -> Result<Bulk, Refusal> {
        let claim = match request {
            None => None,
            Some(request) => match self.claim(request).await? {
                Claimed::Granted(claim) => Some(claim),
                Claimed::Done(Made::Batch(id)) => return self.resume_bulk(id).await,
                Claimed::Done(_) => return Err(Refusal::KeyReused),
            },
        };
        let opened = self.begin(draft, claim.as_ref()).await;
        if let (Err(refusal), Some(claim)) = (&opened, &claim)
            && !matches!(refusal, Refusal::Store(_))
        {
            self.release(claim).await;
        }
        opened
    }

    async fn begin(&self, draft: &BulkDraft, claim: Option<&Claim>) -> Result<Bulk, Refusal> {
        let now = self.now();
        let template = self.template(draft.template).await?;
        let group = self.pick_group(draft.group.as_ref())?;
        check_times(&template.content, now)?;
        let id = claim.map_or_else(|| BatchId::generate(now), Claim::id);
        let order = Order {
            template: template.id,
            revision: template.revision,
            origin: template.content.origin.clone(),
            created: now,
            state: BulkState::Receiving,
            next_line: 1,
            accepted: 0,
            refused: 0,
            digest: None,
        };
        let until = self.bulk_end(&template, &group);
        let key = bulk_key(&group.settings.name, id);
        let record = Record { key, version: 1, value: order.encoded(), until };
        let mut batch = Batch::new().with(Write::Record(record.clone()));
        batch.push(Write::KeepRevision { id: template.revision, until });
        batch.extend(claim.map(|claim| claim.closed(KeptResult::Batch)));
        let running = self.run_bulk(id)?;
        self.commit(batch).await?;
        let template = Arc::new(template);
        Ok(Bulk {
            engine: self.clone(),
            group,
            template,
            id,
            record,
            order,
            resumed: false,
            pending: None,
            running,
        })
    }

    /// Until when an order is remembered that takes lines now.
    pub(super) fn bulk_end(&self, template: &Template, group: &Group) -> Timestamp {
        self.keep_until(deadline(&template.content, group.settings.max_age, self.now()))
    }

    async fn resume_bulk(&self, id: BatchId) -> Result<Bulk, Refusal> {
        let running = self.run_bulk(id)?;
        let (group, record, order) = self.find_bulk(id).await?;
        if order.state == BulkState::Cancelled {
            return Err(Refusal::BulkCancelled);
        }
        let template = Arc::new(self.revision(order.revision).await?);
        Ok(Bulk {
            engine: self.clone(),
            group,
            template,
            id,
            record,
            order,
            resumed: true,
            pending: None,
            running,
        })
    }

    fn run_bulk(&self, id: BatchId) -> Result<Arc<Running>, Refusal> {
        if !self.bulks.running.lock().insert(id) {
            return Err(Refusal::StillRunning { retry_after: Duration::from_secs(1) });
        }
        Ok(Arc::new(Running { engine: self.clone(), id }))
    }

    /// The record of an order, whichever group carries it.
    pub(super) async fn find_bulk(&self, id: BatchId) -> Result<(Arc<Group>, Record, Order), Refusal> {
        for group in self.groups.all() {
            if let Some(record) = self.store.record(&bulk_key(&group.settings.name, id)).await? {
                let order = Order::of(&record)?;
                return Ok((group, record, order));
            }
        }
        Err(Refusal::Unknown("batch"))
    }

    /// How far an order is.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where there is no such order.
    pub async fn bulk(&self, id: BatchId) -> Result<BulkStatus, Refusal> {
        let (group, _, order) = self.find_bulk(id).await?;
        self.bulk_status(id, &group.settings.name, &order).await
    }

    pub(super) async fn bulk_status(
        &self,
        id: BatchId,
        group: &GroupName,
        order: &Order,
    ) -> Result<BulkStatus, Refusal> {
        let tally = self.store.tally(&tally_key(group, id)).await?;
        let counts = tally.into_iter().filter_map(|(name, count)| Some((name, u64::try_from(count).ok()?)));
        Ok(BulkStatus {
            id,
            group: group.clone(),
            template: order.template,
            origin: order.origin.clone(),
            state: order.state,
            received: order.next_line.saturating_sub(1),
            accepted: order.accepted,
            refused: order.refused,
            counts: counts.filter(|(_, count)| *count > 0).collect(),
            created: order.created,
        })
    }

    /// The refused lines of an order after the line `after`, as far as they are kept.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where there is no such order.
    pub async fn refused_lines(
        &self,
        id: BatchId,
        after: u64,
        max: usize,
    ) -> Result<Vec<RefusedLine>, Refusal> {
        let (group, ..) = self.find_bulk(id).await?;
        let records = self.store.records(&line_key(&group.settings.name, id, after), max).await?;
        let read = |record: &Record| {
            let fault = serde_json::from_slice(&record.value).ok()?;
            Some(RefusedLine { number: record.key.id.parse().ok()?, fault })
        };
        Ok(records.iter().filter_map(read).collect())
    }

    /// Withdraws an order: no further lines are taken, and its messages that were not handed to the carrier yet end as
    /// CANCELLED when their turn comes.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where there is no such order.
    pub async fn cancel_bulk(&self, id: BatchId) -> Result<BulkStatus, Refusal> {
        for _ in 0..MOST_TRIES {
            let (group, record, mut order) = self.find_bulk(id).await?;
            if order.state != BulkState::Cancelled {
                order.state = BulkState::Cancelled;
                let record = Record { version: record.version + 1, value: order.encoded(), ..record };
                match self.commit(Batch::new().with(Write::Record(record))).await {
                    Err(StoreError::Conflict(_)) => continue,
                    other => other?,
                }
                tracing::info!(batch.id = %id, gateway.group = %group.settings.name, "batch withdrawn");
            }
            self.bulks.looked.lock().insert(id, (true, self.now()));
            return self.bulk_status(id, &group.settings.name, &order).await;
        }
        Err(Refusal::Conflict)
    }

    /// Whether the order that a message is part of was withdrawn; known after a second at the latest.
    pub(crate) async fn is_bulk_cancelled(&self, message: &Message) -> Result<bool, StoreError> {
        let Some(id) = message.batch else { return Ok(false) };
        let now = self.now();
        let known = self.bulks.looked.lock().get(&id).copied();
        if let Some((cancelled, looked)) = known
            && (cancelled || now < looked.after(LOOK_AGAIN))
        {
            return Ok(cancelled);
        }
        let record = self.store.record(&bulk_key(&message.group, id)).await?;
        let order = record.as_ref().map(Order::of).transpose()?;
        let cancelled = order.is_some_and(|order| order.state == BulkState::Cancelled);
        let mut looked = self.bulks.looked.lock();
        if looked.len() >= MOST_LOOKED {
            looked.clear();
        }
        looked.insert(id, (cancelled, now));
        Ok(cancelled)
    }

    /// The move of a message's state in the tally of its order.
    pub(crate) fn tallied(&self, message: &Message, before: Option<State>) -> Option<Write> {
        let (id, after) = (message.batch?, message.state());
        if before == after {
            return None;
        }
        let minus = before.map(|state| (state.name().to_owned(), -1));
        let plus = after.map(|state| (state.name().to_owned(), 1));
        let add = minus.into_iter().chain(plus).collect();
        Some(Write::Tally {
            key: tally_key(&message.group, id),
            add,
            until: self.keep_until(message.deadline),
        })
    }
}

pub(super) fn bulk_key(group: &GroupName, id: BatchId) -> RecordKey {
    let (kind, owner) = (RecordKind::Bulk, String::new());
    RecordKey { group: Some(group.clone()), kind, owner, id: id.to_string() }
}

pub(super) fn line_key(group: &GroupName, id: BatchId, number: u64) -> RecordKey {
    let kind = RecordKind::RefusedLine;
    // As many digits as a number can have, so that lines sort.
    RecordKey { group: Some(group.clone()), kind, owner: id.to_string(), id: format!("{number:020}") }
}

pub(super) fn tally_key(group: &GroupName, id: BatchId) -> TallyKey {
    TallyKey { group: Some(group.clone()), owner: id.to_string() }
}

/// So often a change is tried where others change the same at that moment.
const MOST_TRIES: u32 = 100;
/// Whether an order was withdrawn is looked at again after that.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Orders remembered for that.
const MOST_LOOKED: usize = 10_000;
