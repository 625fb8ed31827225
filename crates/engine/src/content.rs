//! The content of messages: media loaded once per revision, fetched once per template.
//!
//! Many messages share a revision, so loading is shared too: the first one that needs a revision
//! loads it while the others wait, and what was loaded stays in memory up to a bound. The same holds
//! for what `fit` makes of it for a carrier.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use mmsgw_adapt::{Probe, probe};
use mmsgw_domain::{BlobRef, ContentClass, Part, PartContent, PartFacts, RevisionId, Template};
use mmsgw_store::{Batch, StoreError, Write};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::engine::Engine;
use crate::fit::{Unfit, dangling};
use crate::gateway::FetchError;

/// A revision of a template with the octets of all its parts, perhaps made to fit a carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The revision, its URLs replaced by what was fetched from them.
    pub template: Template,
    /// The octets, part by part in the template's order.
    pub bodies: Vec<Bytes>,
    /// Whether it is one message's own, so that nobody needs to keep what is made of it.
    pub personal: bool,
    /// Type and size of each part that is a picture.
    pub(crate) pictures: Vec<Option<Probe>>,
    /// The content class that the application gave.
    given_class: Option<ContentClass>,
    /// What was made of the revision; 0 for the revision as it is.
    variant: u64,
}

/// Names a content: two with the same id have the same parts and octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentId {
    revision: RevisionId,
    variant: u64,
}

impl ContentId {
    /// What was made of the revision; 0 for the revision as it is.
    pub(crate) fn variant(self) -> u64 {
        self.variant
    }
}

impl Content {
    /// The content of a revision, as it is. `bodies` stand in the order of its parts.
    pub fn new(template: Template, bodies: Vec<Bytes>) -> Self {
        let given_class = template.content.content_class;
        Self::made(template, bodies, given_class, 0)
    }

    /// Another content made of this one; `variant` is not 0 and tells it from all else made of it.
    pub(crate) fn become_variant(&self, template: Template, bodies: Vec<Bytes>, variant: u64) -> Self {
        Self::made(template, bodies, self.given_class, variant)
    }

    fn made(template: Template, bodies: Vec<Bytes>, given_class: Option<ContentClass>, variant: u64) -> Self {
        let look = |(part, body): (&Part, &Bytes)| {
            part.content_type.starts_with("image/").then(|| probe(body).ok()).flatten()
        };
        let pictures = template.content.parts.iter().zip(&bodies).map(look).collect();
        Self { template, bodies, personal: false, pictures, given_class, variant }
    }

    /// What names it, for those who keep something made of it.
    pub fn id(&self) -> ContentId {
        ContentId { revision: self.revision(), variant: self.variant }
    }

    /// The revision.
    pub fn revision(&self) -> RevisionId {
        self.template.revision
    }

    /// Each part with its octets.
    pub fn parts(&self) -> impl Iterator<Item = (&Part, &Bytes)> {
        self.template.content.parts.iter().zip(&self.bodies)
    }

    /// States the content class: the given one, else that which it is of, unless that is to be hidden.
    pub(crate) fn state_class(&mut self, hide: bool) {
        let class = self.given_class.or_else(|| self.class().filter(|_| !hide));
        self.template.content.content_class = class;
    }

    fn class(&self) -> Option<ContentClass> {
        let facts = |((part, body), picture): ((_, &Bytes), &Option<Probe>)| {
            let part: &Part = part;
            let octets = body.len() as u64;
            let size = picture.map(|probe| (probe.width, probe.height));
            PartFacts { content_type: &part.content_type, octets, size }
        };
        let facts: Vec<PartFacts<'_>> = self.parts().zip(&self.pictures).map(facts).collect();
        ContentClass::of(&facts)
    }

    /// Octets in memory that it does not share with `other`.
    fn weight(&self, other: Option<&Self>) -> usize {
        let shared =
            |body: &Bytes| other.is_some_and(|o| o.bodies.iter().any(|b| b.as_ptr() == body.as_ptr()));
        self.bodies.iter().filter(|body| !shared(body)).map(Bytes::len).sum::<usize>() + 1024
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
    /// The carrier does not take it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
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
    slots: HashMap<ContentId, Slot>,
    weight: usize,
    clock: u64,
}

/// What became of making a content: the content, or why there will never be one.
pub(crate) type Made = Result<Arc<Content>, Unfit>;

type Cell = Arc<OnceCell<Made>>;

struct Slot {
    cell: Cell,
    weight: usize,
    used: u64,
}

impl ContentCache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, shelf: Mutex::new(Shelf::default()) }
    }

    fn cell(&self, id: ContentId) -> Cell {
        let mut shelf = self.shelf.lock();
        shelf.clock += 1;
        let used = shelf.clock;
        let slot = shelf.slots.entry(id).or_insert_with(|| Slot { cell: Arc::default(), weight: 0, used });
        slot.used = used;
        Arc::clone(&slot.cell)
    }

    /// Notes what a content weighs, and makes room. One in use stays alive with its users.
    fn settle(&self, id: ContentId, weight: usize) {
        let mut shelf = self.shelf.lock();
        let Some(slot) = shelf.slots.get_mut(&id) else { return };
        let added = weight.saturating_sub(slot.weight);
        slot.weight = weight;
        shelf.weight += added;
        while shelf.weight > self.limit {
            let oldest = shelf.slots.iter().filter(|(_, s)| s.weight > 0).min_by_key(|(_, s)| s.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { break };
            shelf.weight -= shelf.slots.remove(&oldest).map_or(0, |s| s.weight);
        }
    }

    fn forget(&self, id: ContentId) {
        let mut shelf = self.shelf.lock();
        if shelf.slots.get(&id).is_some_and(|slot| slot.weight == 0) {
            shelf.slots.remove(&id);
        }
    }
}

impl Engine {
    /// The content of a revision, from memory or loaded now; media behind URLs are fetched and kept.
    pub(crate) async fn content(&self, revision: RevisionId) -> Result<Arc<Content>, ContentError> {
        let gone = || ContentError::Gone(format!("revision {revision} of the template is gone"));
        let load = async {
            let template = self.store.revision(revision).await?.ok_or_else(gone)?;
            self.load(template).await
        };
        self.shared(ContentId { revision, variant: 0 }, None, load).await
    }

    /// The same of a revision that is at hand, and perhaps not in the store yet.
    pub(crate) async fn content_of(&self, template: &Template) -> Result<Arc<Content>, ContentError> {
        let id = ContentId { revision: template.revision, variant: 0 };
        self.shared(id, None, async { self.load(template.clone()).await }).await
    }

    /// What `make` makes of `base` as its variant, once for all who ask at the same time; also where it
    /// turns out that it cannot be made.
    pub(crate) async fn variant(
        &self,
        base: &Arc<Content>,
        variant: u64,
        make: impl Future<Output = Result<Made, ContentError>>,
    ) -> Result<Arc<Content>, ContentError> {
        let id = ContentId { revision: base.revision(), variant };
        self.shared(id, Some(base), make).await
    }

    async fn shared(
        &self,
        id: ContentId,
        base: Option<&Arc<Content>>,
        make: impl Future<Output = Result<Made, ContentError>>,
    ) -> Result<Arc<Content>, ContentError> {
        let cell = self.cache.cell(id);
        match cell.get_or_try_init(|| make).await {
            Ok(made) => {
                let weight = made.as_ref().map_or(1024, |content| content.weight(base.map(AsRef::as_ref)));
                self.cache.settle(id, weight);
                Ok(Arc::clone(made.as_ref().map_err(Clone::clone)?))
            }
            Err(error) => {
                self.cache.forget(id);
                Err(error)
            }
        }
    }

    async fn load(&self, mut template: Template) -> Result<Made, ContentError> {
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
            self.commit(fetched.with(Write::Revision(template.clone()))).await?;
        }
        let mut content = Content::new(template, bodies);
        content.state_class(false);
        Ok(dangling(&content).map_or_else(|| Ok(Arc::new(content)), Err))
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
