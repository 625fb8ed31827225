//! The content of messages as MIME, rendered once and shared by the messages that have it.
//!
//! Keyed by what names a content, which never changes. The first message that needs one renders it while the
//! others wait; what was rendered stays in memory up to a bound.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use mmsgw_domain::Part;
use mmsgw_engine::{Content, ContentId};
use mmsgw_mime::MediaType;
use mmsgw_mime::write::{Entity, Layout, Leaf, Transfer, WriteError, boundary_for, entity, measure};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::config::{ContentLayout, Dialect, PartTransfer};

/// Content-ID of the content beside the envelope.
pub(crate) const CONTENT_ID: &str = "content";

/// Renders content and keeps it.
pub(crate) struct Renderer {
    layout: ContentLayout,
    transfer: Transfer,
    limit: usize,
    shelf: Mutex<Shelf>,
}

/// Content as it goes out.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    /// All of it.
    pub(crate) entity: Entity,
    /// What tells its parts apart, where they are to stand beside the envelope.
    pub(crate) flat: Option<String>,
    /// What the envelope calls it: the Content-ID of the whole, or of its first part where it is flat.
    pub(crate) content_id: String,
}

/// Why content cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("the content type `{content_type}` of part `{name}` is none")]
    MediaType { name: String, content_type: String },
    #[error(transparent)]
    Write(#[from] WriteError),
}

#[derive(Default)]
struct Shelf {
    slots: HashMap<ContentId, Slot>,
    weight: usize,
    clock: u64,
}

struct Slot {
    cell: Arc<OnceCell<Arc<Rendered>>>,
    weight: usize,
    used: u64,
}

impl Renderer {
    /// Keeps up to `limit` octets.
    pub(crate) fn new(dialect: &Dialect, limit: usize) -> Self {
        let transfer = match dialect.transfer {
            PartTransfer::Binary => Transfer::Binary,
            PartTransfer::Base64 => Transfer::Base64,
        };
        Self { layout: dialect.content_layout, transfer, limit, shelf: Mutex::default() }
    }

    /// The content as one body; none where there are no parts.
    pub(crate) async fn content(&self, content: &Content) -> Result<Option<Arc<Rendered>>, RenderError> {
        if content.bodies.is_empty() {
            return Ok(None);
        }
        if content.personal {
            return self.render(content).map(|entity| Some(Arc::new(entity)));
        }
        let id = content.id();
        let cell = self.cell(id);
        let rendered = cell.get_or_try_init(async || self.render(content).map(Arc::new)).await;
        self.settle(id, rendered.as_ref().map_or(0, |made| made.entity.body.len()) + SLOT_OCTETS);
        rendered.map(|made| Some(Arc::clone(made)))
    }

    fn render(&self, content: &Content) -> Result<Rendered, RenderError> {
        let (leaves, layout) = self.laid_out(content)?;
        let boundary = boundary_for(&leaves, &content.revision().to_string());
        let entity = presentable(entity(&leaves, layout, self.transfer, &boundary)?);
        Ok(self.named(entity, boundary, leaves))
    }

    /// What the envelope calls the content, and how it stands beside it.
    fn named(&self, entity: Entity, boundary: String, leaves: Vec<Leaf>) -> Rendered {
        let (flat, content_id) = match (self.layout, leaves.into_iter().next()) {
            (ContentLayout::Flat, Some(first)) => (Some(boundary), first.content_id),
            _ => (None, CONTENT_ID.to_owned()),
        };
        Rendered { entity, flat, content_id }
    }

    /// The header values of the content and its octets, without encoding it; none where there are no parts.
    pub(crate) fn measure(&self, content: &Content) -> Result<Option<(Rendered, u64)>, RenderError> {
        if content.bodies.is_empty() {
            return Ok(None);
        }
        let (leaves, layout) = self.laid_out(content)?;
        let boundary = boundary_for(&[], &content.revision().to_string());
        let (hollow, octets) = measure(&leaves, layout, self.transfer, &boundary)?;
        Ok(Some((self.named(presentable(hollow), boundary, leaves), octets)))
    }

    /// The most octets of a medium that are no more than `wire` octets once encoded.
    pub(crate) fn media_octets(&self, wire: u64) -> u64 {
        match self.transfer {
            Transfer::Binary => wire,
            // Lines of 76 columns: 57 octets in 78.
            Transfer::Base64 | Transfer::Mail => wire / 78 * 57,
        }
    }

    /// The parts, and how they stand together.
    fn laid_out(&self, content: &Content) -> Result<(Vec<Leaf>, Layout), RenderError> {
        let leaves = leaves(content)?;
        let related = |first: &Leaf| {
            let root_type = first.media_type.essence().to_owned();
            Layout::Related { start: first.content_id.clone(), root_type }
        };
        let layout = match (self.layout, leaves.as_slice()) {
            (ContentLayout::Single, [_]) => Layout::Single,
            (ContentLayout::Nested | ContentLayout::Single, [first, ..]) if first.media_type.is_smil() => {
                related(first)
            }
            (ContentLayout::Related, [first, ..]) => related(first),
            _ => Layout::Mixed,
        };
        Ok((leaves, layout))
    }

    fn cell(&self, id: ContentId) -> Arc<OnceCell<Arc<Rendered>>> {
        let mut shelf = self.shelf.lock();
        shelf.clock += 1;
        let used = shelf.clock;
        let fresh = || Slot { cell: Arc::default(), weight: 0, used };
        let slot = shelf.slots.entry(id).or_insert_with(fresh);
        slot.used = used;
        Arc::clone(&slot.cell)
    }

    /// Notes what a revision weighs and makes room: the least lately used ones go first. One in use stays
    /// alive with its users.
    fn settle(&self, id: ContentId, weight: usize) {
        let mut shelf = self.shelf.lock();
        if let Some(slot) = shelf.slots.get_mut(&id) {
            let before = std::mem::replace(&mut slot.weight, weight);
            shelf.weight = shelf.weight - before + weight;
        }
        while shelf.weight > self.limit || shelf.slots.len() > MAX_SLOTS {
            let Some(oldest) = shelf.slots.iter().min_by_key(|(_, slot)| slot.used).map(|(id, _)| *id) else {
                break;
            };
            shelf.weight -= shelf.slots.remove(&oldest).map_or(0, |slot| slot.weight);
        }
    }
}

/// Its Content-Location becomes a header as it stands.
fn presentable(entity: Entity) -> Entity {
    let plain = |name: &String| name.bytes().all(|b| matches!(b, b' '..=b'~'));
    Entity { content_location: entity.content_location.filter(plain), ..entity }
}

fn leaves(content: &Content) -> Result<Vec<Leaf>, RenderError> {
    let mut taken: HashSet<String> = HashSet::from([CONTENT_ID.to_owned()]);
    content.parts().enumerate().map(|(index, (part, body))| leaf(part, body, index, &mut taken)).collect()
}

fn leaf(part: &Part, body: &Bytes, index: usize, taken: &mut HashSet<String>) -> Result<Leaf, RenderError> {
    let bad = |_| RenderError::MediaType { name: part.name.clone(), content_type: part.content_type.clone() };
    let mut media_type: MediaType = part.content_type.parse().map_err(bad)?;
    let is_text = media_type.essence().starts_with("text/");
    if is_text && media_type.param("charset").is_none() && std::str::from_utf8(body).is_ok() {
        media_type = media_type.with_param("charset", "utf-8");
    }
    Ok(Leaf {
        media_type,
        name: Some(part.name.clone()),
        content_id: content_id(&part.name, index, taken),
        content_location: Some(part.name.clone()),
        body: body.clone(),
    })
}

/// The name itself where it can be one, so that a presentation finds `cid:name`; else made from the
/// position. No two parts have the same.
fn content_id(name: &str, index: usize, taken: &mut HashSet<String>) -> String {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~@+=".contains(&b);
    let good = (1..=100).contains(&name.len()) && name.bytes().all(legal);
    if good && taken.insert(name.to_owned()) {
        return name.to_owned();
    }
    let made = (index..).map(|number| format!("part-{number}")).find(|id| taken.insert(id.clone()));
    made.unwrap_or_default()
}

/// What a slot costs beside its body.
const SLOT_OCTETS: usize = 1024;
const MAX_SLOTS: usize = 4096;

#[cfg(test)]
mod tests {
    use mmsgw_mime::{Content as Mime, Limits, read_parts};

    use super::*;
    use crate::testing::{self, settings};

    fn renderer(dialect: &str, limit: usize) -> Renderer {
        Renderer::new(&settings(dialect).dialect, limit)
    }

    async fn rendered(dialect: &str, parts: &[(&str, &str, &[u8])]) -> Entity {
        let content = testing::content(parts);
        renderer(dialect, 1 << 20).content(&content).await.unwrap().unwrap().entity.clone()
    }

    const SMIL: (&str, &str, &[u8]) = ("s.smil", "application/smil", b"<smil/>");
    const JPEG: (&str, &str, &[u8]) = ("a b\u{e9}.jpg", "image/jpeg", b"\xff\xd8\r\n--\0");
    const TEXT: (&str, &str, &[u8]) = ("content", "text/plain", "\u{20ac}".as_bytes());

    #[tokio::test]
    async fn parts_come_back_octet_for_octet_in_either_coding() {
        for dialect in ["", "[dialect]\ntransfer = 'base64'\n"] {
            let entity = rendered(dialect, &[SMIL, JPEG, TEXT]).await;
            assert!(
                entity
                    .content_type
                    .starts_with("multipart/related; type=\"application/smil\"; start=\"<s.smil>\"")
            );
            let read = read_parts(&entity.content_type, entity.body.clone(), &Limits::DEFAULT).unwrap();
            let Mime::Multipart(parts) = read.content else { panic!() };
            for (part, (name, _, body)) in parts.iter().zip([SMIL, JPEG, TEXT]) {
                assert_eq!(part.body().unwrap(), body);
                assert_eq!(part.content_location().as_deref(), Some(name));
            }
            let ids: HashSet<_> = parts.iter().filter_map(mmsgw_mime::Entity::content_id).collect();
            assert!(ids.len() == 3 && !ids.contains(CONTENT_ID), "{ids:?}");
            assert_eq!(parts[2].media_type.param("charset"), Some("utf-8"));
            assert_eq!(parts[0].media_type.param("charset"), None);
        }
    }

    #[tokio::test]
    async fn layouts() {
        let mixed = rendered("[dialect]\ncontent_layout = 'mixed'\n", &[SMIL, JPEG]).await;
        assert!(mixed.content_type.starts_with("multipart/mixed"));
        assert!(rendered("", &[JPEG]).await.content_type.starts_with("multipart/mixed"));
        let single = rendered("[dialect]\ncontent_layout = 'single'\n", &[JPEG]).await;
        assert!(single.content_type.starts_with("image/jpeg;"));
        assert_eq!((single.content_location, &single.body[..]), (None, JPEG.2));
        let two = rendered("[dialect]\ncontent_layout = 'single'\n", &[SMIL, JPEG]).await;
        assert!(two.content_type.starts_with("multipart/related"));
        let related = rendered("[dialect]\ncontent_layout = 'related'\n", &[JPEG]).await;
        assert!(related.content_type.starts_with("multipart/related; type=\"image/jpeg\""));
    }

    #[tokio::test]
    async fn flat_parts_are_known_by_the_first_of_them() {
        let content = testing::content(&[SMIL, JPEG]);
        let flat =
            renderer("[dialect]\ncontent_layout = 'flat'\n", 0).content(&content).await.unwrap().unwrap();
        let boundary = flat.flat.clone().unwrap();
        assert_eq!(flat.content_id, "s.smil");
        assert!(flat.entity.body.starts_with(format!("--{boundary}\r\n").as_bytes()));
    }

    #[tokio::test]
    async fn what_is_shared_is_rendered_once_and_memory_is_bounded() {
        let content = testing::content(&[("a.bin", "image/png", &[7; 10_000])]);
        let renderer = renderer("", 25_000);
        let (first, second) = tokio::join!(renderer.content(&content), renderer.content(&content));
        let first = first.unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &second.unwrap().unwrap()));
        for _ in 0..5 {
            renderer.content(&testing::content(&[("a.bin", "image/png", &[7; 10_000])])).await.unwrap();
            renderer.content(&content).await.unwrap();
        }
        assert!(
            Arc::ptr_eq(&first, &renderer.content(&content).await.unwrap().unwrap()),
            "in use, and thrown out"
        );
        let shelf = renderer.shelf.lock();
        let weight: usize = shelf.slots.values().map(|slot| slot.weight).sum();
        assert!(weight == shelf.weight && weight <= 25_000 && shelf.slots.len() == 2);
    }

    #[tokio::test]
    async fn content_that_cannot_be_written_is_said_so() {
        let content = testing::content(&[("x", "no type", b"")]);
        let error = renderer("", 1000).content(&content).await.unwrap_err();
        assert!(matches!(error, RenderError::MediaType { .. }));
        assert!(renderer("", 1000).content(&testing::content(&[])).await.unwrap().is_none());
    }
}
