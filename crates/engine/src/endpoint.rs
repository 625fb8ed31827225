//! Endpoints of applications that do not take their callbacks: what is known of them, for operators.
//!
//! An endpoint is a URL without what is secret in it. From its first failure on a record says since when it fails and
//! what it answered last; its next success removes the record. One that answered 410 is disabled: nothing is posted to
//! it until an operator enables it, or has a callback to it posted once more.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use mmsgw_domain::{GroupName, Timestamp, without_secrets};
use mmsgw_store::{Batch, Record, RecordKey, RecordKind, StoreError, Write, digest_of};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::gateway::CallVerdict;
use crate::refusal::Refusal;

/// An endpoint that fails or is disabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointStatus {
    /// By which it is named.
    pub id: String,
    /// The gateway group of the messages that it was to hear of.
    pub group: GroupName,
    /// Where it is, without secrets.
    pub url: String,
    /// When it failed first.
    pub failing_since: Timestamp,
    /// When it failed last.
    pub failed_at: Timestamp,
    /// What it answered then, or why there was no answer.
    pub last_answer: String,
    /// Until when it is left alone.
    pub paused_until: Option<Timestamp>,
    /// Since when nothing is posted to it, because it said that it is gone.
    pub disabled_since: Option<Timestamp>,
}

/// What this process knows of endpoints.
#[derive(Default)]
pub(crate) struct Endpoints {
    /// Those that fail.
    failing: Mutex<HashMap<RecordKey, Failing>>,
    /// Of each group, which ones the store had when it was last asked.
    recorded: Mutex<HashMap<GroupName, (Timestamp, HashSet<String>)>>,
}

struct Failing {
    status: EndpointStatus,
    /// When that was last written down.
    written: Option<Timestamp>,
}

impl Engine {
    /// Endpoints that fail or are disabled, as far as callbacks of this group met them.
    pub async fn endpoints(&self, group: &GroupName) -> Result<Vec<EndpointStatus>, Refusal> {
        let records = self.store.records(&key(group, String::new()), MOST).await?;
        Ok(records.iter().filter_map(status_of).collect())
    }

    /// Posts to an endpoint again that was disabled, and forgets that it failed.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] where none of that name fails.
    pub async fn enable_endpoint(&self, group: &GroupName, id: &str) -> Result<EndpointStatus, Refusal> {
        let key = key(group, id.to_owned());
        let record = self.store.record(&key).await?.ok_or(Refusal::Unknown("endpoint that fails"))?;
        let status = status_of(&record).ok_or(Refusal::Unknown("endpoint that fails"))?;
        self.commit(Batch::new().with(Write::DropRecord(key.clone()))).await?;
        self.endpoints.failing.lock().remove(&key);
        self.notifier.reopen(&status.url);
        Ok(status)
    }

    /// The change that enables the endpoint of a URL, whether it is disabled or not.
    pub(crate) fn enabling(&self, group: &GroupName, url: &str) -> Write {
        let key = key(group, id_of(&without_secrets(url)));
        self.endpoints.failing.lock().remove(&key);
        Write::DropRecord(key)
    }

    /// Why nothing is posted to a URL, where that is so.
    pub(crate) async fn disabled(&self, group: &GroupName, url: &str) -> Result<Option<String>, StoreError> {
        let id = id_of(&without_secrets(url));
        if !self.is_recorded(group, &id).await? {
            return Ok(None);
        }
        let status = self.store.record(&key(group, id)).await?.as_ref().and_then(status_of);
        let disabled = status.filter(|status| status.disabled_since.is_some());
        Ok(disabled.map(|status| format!("its endpoint is disabled: {}", status.last_answer)))
    }

    /// Whether the store has a record of that endpoint, as of a short while ago.
    async fn is_recorded(&self, group: &GroupName, id: &str) -> Result<bool, StoreError> {
        let now = self.now();
        if let Some((looked, ids)) = self.endpoints.recorded.lock().get(group)
            && now < looked.after(LOOK_AGAIN)
        {
            return Ok(ids.contains(id));
        }
        let records = self.store.records(&key(group, String::new()), MOST).await?;
        let ids: HashSet<String> = records.into_iter().map(|record| record.key.id).collect();
        let is_there = ids.contains(id);
        self.endpoints.recorded.lock().insert(group.clone(), (now, ids));
        Ok(is_there)
    }

    /// Notes how it went with an endpoint. Best effort: no callback waits or fails for it.
    pub(crate) async fn note_call(&self, group: &GroupName, url: &str, verdict: &CallVerdict) {
        let url = without_secrets(url);
        let key = key(group, id_of(&url));
        let noted = match verdict {
            CallVerdict::Done | CallVerdict::Answered { .. } => self.forget_failing(&key).await,
            CallVerdict::Later { reason, .. } => self.note_failing(key, url, Failure::Answer(reason)).await,
            CallVerdict::Gone { reason } => self.note_failing(key, url, Failure::Gone(reason)).await,
            CallVerdict::Busy { pause, .. } => self.note_failing(key, url, Failure::Left(*pause)).await,
            CallVerdict::Never { .. } => Ok(()),
        };
        match noted {
            // Another process wrote at the same time; what it knows is as good.
            Ok(()) | Err(StoreError::Conflict(_)) => {}
            Err(error) => tracing::warn!(%error, "what an endpoint answered is not written down"),
        }
    }

    async fn forget_failing(&self, key: &RecordKey) -> Result<(), StoreError> {
        if !self.endpoints.forget(key) {
            return Ok(());
        }
        self.commit(Batch::new().with(Write::DropRecord(key.clone()))).await
    }

    async fn note_failing(
        &self,
        key: RecordKey,
        url: String,
        failure: Failure<'_>,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let Some(status) = self.endpoints.fail(&key, url, now, &failure) else { return Ok(()) };
        let stored = self.store.record(&key).await?;
        let before = stored.as_ref().and_then(status_of);
        let was_disabled = before.as_ref().is_some_and(|before| before.disabled_since.is_some());
        let is_news = status.disabled_since.is_some() && !was_disabled;
        let status = EndpointStatus {
            failing_since: before
                .as_ref()
                .map_or(status.failing_since, |b| b.failing_since.min(status.failing_since)),
            disabled_since: before.and_then(|before| before.disabled_since).or(status.disabled_since),
            ..status
        };
        if is_news {
            tracing::warn!(url = status.url, "an endpoint is disabled: {}", status.last_answer);
        }
        let record = Record {
            version: stored.map_or(1, |record| record.version + 1),
            value: serde_json::to_vec(&status).expect("a status has plain values only").into(),
            until: now.after(self.settings.dead_ttl),
            key,
        };
        // Without waiting for the next look.
        self.endpoints.recorded(&record.key, now);
        self.commit(Batch::new().with(Write::Record(record))).await
    }
}

/// How an endpoint failed.
enum Failure<'a> {
    /// By its answer, or for want of one.
    Answer(&'a str),
    /// It said that it is gone.
    Gone(&'a str),
    /// It was not asked, and is left alone for so long.
    Left(Duration),
}

impl Endpoints {
    /// False where an endpoint was not known to fail.
    fn forget(&self, key: &RecordKey) -> bool {
        let was_failing = self.failing.lock().remove(key).is_some();
        let mut recorded = self.recorded.lock();
        let of_group = key.group.as_ref().and_then(|group| recorded.get_mut(group));
        let was_recorded = of_group.is_some_and(|(_, ids)| ids.remove(&key.id));
        was_failing || was_recorded
    }

    /// Notes that the store has a record of an endpoint.
    fn recorded(&self, key: &RecordKey, now: Timestamp) {
        let Some(group) = key.group.clone() else { return };
        let mut recorded = self.recorded.lock();
        recorded.entry(group).or_insert_with(|| (now, HashSet::new())).1.insert(key.id.clone());
    }

    /// Takes a failure in; gives back what is to be written down, where it is time for that.
    fn fail(
        &self,
        key: &RecordKey,
        url: String,
        now: Timestamp,
        failure: &Failure<'_>,
    ) -> Option<EndpointStatus> {
        let mut failing = self.failing.lock();
        // A busy endpoint that did not fail is none of ours.
        if matches!(failure, Failure::Left(_)) && !failing.contains_key(key) {
            return None;
        }
        if failing.len() >= MOST && !failing.contains_key(key) {
            return None;
        }
        let known = failing.entry(key.clone()).or_insert_with(|| Failing {
            status: EndpointStatus {
                id: key.id.clone(),
                group: key.group.clone().expect("an endpoint's record has a group"),
                url,
                failing_since: now,
                failed_at: now,
                last_answer: String::new(),
                paused_until: None,
                disabled_since: None,
            },
            written: None,
        });
        match failure {
            Failure::Answer(answer) => known.status.answered(answer, now),
            Failure::Gone(answer) => {
                known.status.answered(answer, now);
                known.status.disabled_since = Some(now);
            }
            Failure::Left(pause) => known.status.paused_until = Some(now.after(*pause)),
        }
        let is_gone = matches!(failure, Failure::Gone(_));
        let is_time = known.written.is_none_or(|written| now >= written.after(WRITE_AGAIN));
        (is_gone || is_time).then(|| {
            known.written = Some(now);
            known.status.clone()
        })
    }
}

impl EndpointStatus {
    fn answered(&mut self, answer: &str, now: Timestamp) {
        (self.last_answer, self.failed_at) = (answer.to_owned(), now);
    }
}

fn key(group: &GroupName, id: String) -> RecordKey {
    RecordKey { group: Some(group.clone()), kind: RecordKind::Endpoint, owner: String::new(), id }
}

/// By which an endpoint is named: short, and without what a path cannot hold.
fn id_of(url: &str) -> String {
    let digest = digest_of(url.as_bytes()).to_string();
    digest.chars().take(16).collect()
}

fn status_of(record: &Record) -> Option<EndpointStatus> {
    serde_json::from_slice(&record.value).ok()
}

/// Which endpoints the store has is looked at again after that.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// What is known of one that fails is written down again after that.
const WRITE_AGAIN: Duration = Duration::from_secs(5);
/// Most endpoints of a group that are listed, and most that a process remembers.
const MOST: usize = 1_000;
