//! The content of messages: media loaded once per revision, fetched once per template.
//!
//! Many messages share a revision, so loading is shared too: the first one that needs a revision
//! loads it while the others wait, and what was loaded stays in memory up to a bound.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use mmsgw_domain::{BlobRef, Part, PartContent, RevisionId, Template};
use mmsgw_store::{Batch, StoreError, Write};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::engine::Engine;
use crate::gateway::FetchError;

/// A revision of a template with the octets of all its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The revision, its URLs replaced by what was fetched from them.
    pub template: Template,
    /// The octets, part by part in the template's order.
    pub bodies: Vec<Bytes>,
    /// Whether it is one message's own, so that nobody needs to keep what is made of it.
    pub personal: bool,
}

impl Content {
    /// The revision.
    pub fn revision(&self) -> RevisionId {
        self.template.revision
    }

    /// Each part with its octets.
    pub fn parts(&self) -> impl Iterator<Item = (&Part, &Bytes)> {
        self.template.content.parts.iter().zip(&self.bodies)
    }

    /// Octets in memory.
    fn weight(&self) -> usize {
        self.bodies.iter().map(Bytes::len).sum::<usize>() + 1024
    }
}

/// Why content could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The revision or a blob of it is gone.
    #[error("{0}")]
    Gone(String),
    /// A part cannot be fetched.
    #[error("part `{name}`: {error}")]
    Fetch {
        /// Name of the part.
        name: String,
        /// Why.
        error: FetchError,
    },
    /// The store cannot be read now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Loaded revisions, up to a number of octets; the least lately used ones go first.
pub(crate) struct ContentCache {
    limit: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    slots: HashMap<RevisionId, Slot>,
    weight: usize,
    clock: u64,
}

struct Slot {
    cell: Arc<OnceCell<Arc<Content>>>,
    weight: usize,
    used: u64,
}

impl ContentCache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, shelf: Mutex::new(Shelf::default()) }
    }

    fn cell(&self, revision: RevisionId) -> Arc<OnceCell<Arc<Content>>> {
        let mut shelf = self.shelf.lock();
        shelf.clock += 1;
        let used = shelf.clock;
        let slot =
            shelf.slots.entry(revision).or_insert_with(|| Slot { cell: Arc::default(), weight: 0, used });
        slot.used = used;
        Arc::clone(&slot.cell)
    }

    /// Notes what a revision weighs, and makes room. A revision in use stays alive with its users.
    fn settle(&self, revision: RevisionId, weight: usize) {
        let mut shelf = self.shelf.lock();
        let Some(slot) = shelf.slots.get_mut(&revision) else { return };
        let added = weight.saturating_sub(slot.weight);
        slot.weight = weight;
        shelf.weight += added;
        while shelf.weight > self.limit {
            let oldest = shelf.slots.iter().filter(|(_, s)| s.weight > 0).min_by_key(|(_, s)| s.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { break };
            shelf.weight -= shelf.slots.remove(&oldest).map_or(0, |s| s.weight);
        }
    }

    fn forget(&self, revision: RevisionId) {
        let mut shelf = self.shelf.lock();
        if shelf.slots.get(&revision).is_some_and(|slot| slot.weight == 0) {
            shelf.slots.remove(&revision);
        }
    }
}

impl Engine {
    /// The content of a revision, from memory or loaded now; media behind URLs are fetched and kept.
    pub(crate) async fn content(&self, revision: RevisionId) -> Result<Arc<Content>, ContentError> {
        let cell = self.cache.cell(revision);
        match cell.get_or_try_init(|| self.load(revision)).await {
            Ok(content) => {
                self.cache.settle(revision, content.weight());
                Ok(Arc::clone(content))
            }
            Err(error) => {
                self.cache.forget(revision);
                Err(error)
            }
        }
    }

    async fn load(&self, revision: RevisionId) -> Result<Arc<Content>, ContentError> {
        let gone = || ContentError::Gone(format!("revision {revision} of the template is gone"));
        let mut template = self.store.revision(revision).await?.ok_or_else(gone)?;
        let mut bodies = Vec::with_capacity(template.content.parts.len());
        let mut fetched = Batch::new();
        for part in &mut template.content.parts {
            let (body, blob) = self.load_part(part).await?;
            if let Some(blob) = blob {
                fetched
                    .push(Write::KeepBlob { digest: blob.digest, until: self.keep_until(template.expires) });
                part.content = PartContent::Blob(blob);
            }
            bodies.push(body);
        }
        if !fetched.is_empty() {
            self.store.commit(fetched.with(Write::Revision(template.clone()))).await?;
        }
        Ok(Arc::new(Content { template, bodies, personal: false }))
    }

    /// The octets of a part, and where they are kept when they had to be fetched.
    async fn load_part(&self, part: &Part) -> Result<(Bytes, Option<BlobRef>), ContentError> {
        match &part.content {
            PartContent::Text(text) => Ok((Bytes::copy_from_slice(text.as_bytes()), None)),
            PartContent::Blob(blob) => {
                let gone = || ContentError::Gone(format!("the media of part `{}` are gone", part.name));
                Ok((self.blobs.get(&blob.digest).await?.ok_or_else(gone)?, None))
            }
            PartContent::Url(url) => {
                let because = |error| ContentError::Fetch { name: part.name.clone(), error };
                let body = self.fetcher.fetch(url, &part.content_type).await.map_err(because)?;
                let digest = self.blobs.put(body.clone()).await?;
                let size = body.len() as u64;
                Ok((body, Some(BlobRef { digest, size, source: Some(url.clone()) })))
            }
        }
    }
}
