//! Bodies of mails: all parts of a content, encoded once and shared by all messages that have it.
//!
//! What was encoded stays in memory up to a bound, the least lately used goes first; a body that two
//! messages need at once is encoded once.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use mmsgw_domain::Part;
use mmsgw_engine::{Content, ContentId};
use mmsgw_mime::write::{self, Entity, Layout, Leaf, Transfer};
use mmsgw_mime::{MediaType, safe_name};
use mmsgw_smtp::lines::{LoneLineEnding, check_line_endings, dot_stuff};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::dialect::ContentLayout;

/// A body in both forms that SMTP knows. Clones share the octets.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    /// The body as it is, and the header values that describe it.
    pub(crate) entity: Arc<Entity>,
    /// The body with its dots doubled (RFC 5321 section 4.5.2); the same octets where it has none.
    pub(crate) stuffed: Bytes,
}

impl Body {
    /// No body at all, for mails that are only headers.
    pub(crate) fn none() -> Self {
        let (content_type, body) = ("text/plain".to_owned(), Bytes::new());
        let entity = Entity { content_type, transfer: None, content_id: None, content_location: None, body };
        Self { entity: Arc::new(entity), stuffed: Bytes::new() }
    }

    pub(crate) fn plain(&self) -> &Bytes {
        &self.entity.body
    }

    fn weight(&self) -> usize {
        let copied = self.stuffed.as_ptr() != self.entity.body.as_ptr();
        self.entity.body.len() + if copied { self.stuffed.len() } else { 0 } + 1024
    }
}

/// Why a body cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    #[error(transparent)]
    Write(#[from] write::WriteError),
    #[error(transparent)]
    Lines(#[from] LoneLineEnding),
    #[error("encoding was interrupted")]
    Interrupted,
}

/// Encoded bodies, up to a number of octets.
pub(crate) struct Renderings {
    layout: ContentLayout,
    limit: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    slots: HashMap<ContentId, Slot>,
    weight: usize,
    clock: u64,
}

struct Slot {
    cell: Arc<OnceCell<Body>>,
    weight: usize,
    used: u64,
}

impl Renderings {
    pub(crate) fn new(layout: ContentLayout, limit: usize) -> Self {
        Self { layout, limit, shelf: Mutex::default() }
    }

    /// The body of `content`, from memory or encoded now.
    pub(crate) async fn body(&self, content: &Arc<Content>) -> Result<Body, RenderError> {
        if content.personal {
            return encode(Arc::clone(content), self.layout).await;
        }
        let id = content.id();
        let cell = self.cell(id);
        let made = cell.get_or_try_init(|| encode(Arc::clone(content), self.layout)).await;
        match made {
            Ok(body) => {
                self.settle(id, body.weight());
                Ok(body.clone())
            }
            Err(error) => {
                self.forget(id);
                Err(error)
            }
        }
    }

    fn cell(&self, id: ContentId) -> Arc<OnceCell<Body>> {
        let mut shelf = self.shelf.lock();
        shelf.clock += 1;
        let used = shelf.clock;
        let new = || Slot { cell: Arc::default(), weight: 0, used };
        let slot = shelf.slots.entry(id).or_insert_with(new);
        slot.used = used;
        Arc::clone(&slot.cell)
    }

    /// Notes what a body weighs, once, and makes room.
    fn settle(&self, id: ContentId, weight: usize) {
        let mut shelf = self.shelf.lock();
        let Some(slot) = shelf.slots.get_mut(&id).filter(|slot| slot.weight == 0) else { return };
        slot.weight = weight;
        shelf.weight += weight;
        while shelf.weight > self.limit {
            let weighed = shelf.slots.iter().filter(|(_, slot)| slot.weight > 0);
            let Some(oldest) = weighed.min_by_key(|(_, slot)| slot.used).map(|(id, _)| *id) else { break };
            shelf.weight -= shelf.slots.remove(&oldest).map_or(0, |slot| slot.weight);
        }
    }

    /// Forgets an attempt that failed.
    fn forget(&self, id: ContentId) {
        let mut shelf = self.shelf.lock();
        if shelf.slots.get(&id).is_some_and(|slot| slot.weight == 0) {
            shelf.slots.remove(&id);
        }
    }
}

async fn encode(content: Arc<Content>, layout: ContentLayout) -> Result<Body, RenderError> {
    let octets: usize = content.bodies.iter().map(Bytes::len).sum();
    if octets < LARGE {
        return render(&content, layout);
    }
    // Milliseconds of arithmetic belong on a thread that nobody's sockets wait for.
    let made = tokio::task::spawn_blocking(move || render(&content, layout)).await;
    made.unwrap_or(Err(RenderError::Interrupted))
}

/// Encodes all parts (TS 23.140 clause 8.4.4.1; MIME layout as seen at HotMobile, Play and CallUp).
fn render(content: &Content, wanted: ContentLayout) -> Result<Body, RenderError> {
    let (leaves, layout) = laid_out(content, wanted);
    let boundary = write::boundary_for(&leaves, &content.revision().to_string());
    let entity = write::entity(&leaves, layout, Transfer::Mail, &boundary)?;
    check_line_endings(&entity.body)?;
    let stuffed = match dot_stuff(&entity.body, true) {
        Cow::Borrowed(_) => entity.body.clone(),
        Cow::Owned(stuffed) => Bytes::from(stuffed),
    };
    Ok(Body { entity: Arc::new(entity), stuffed })
}

/// The header values that describe the body of `content`, and its octets, without encoding it.
pub(crate) fn measure(content: &Content, wanted: ContentLayout) -> Result<(Entity, u64), RenderError> {
    let (leaves, layout) = laid_out(content, wanted);
    let boundary = write::boundary_for(&[], &content.revision().to_string());
    Ok(write::measure(&leaves, layout, Transfer::Mail, &boundary)?)
}

/// The parts in their order, and how they stand together.
fn laid_out(content: &Content, wanted: ContentLayout) -> (Vec<Leaf>, Layout) {
    let mut leaves = leaves(content);
    let smil = leaves.iter().position(|leaf| leaf.media_type.is_smil());
    if let Some(at) = smil {
        leaves[..=at].rotate_right(1);
    }
    let layout = match smil {
        _ if wanted == ContentLayout::Mixed => Layout::Mixed,
        Some(_) => {
            let root_type = leaves[0].media_type.essence().to_owned();
            Layout::Related { start: leaves[0].content_id.clone(), root_type }
        }
        None if stands_alone(&leaves) => Layout::Single,
        None => Layout::Mixed,
    };
    (leaves, layout)
}

/// A lone part is the body itself, unless it is text whose last line has no end: the mail's own last CRLF would
/// become part of it, while that before a boundary does not (RFC 2046 clause 5.1.1).
fn stands_alone(leaves: &[Leaf]) -> bool {
    let [leaf] = leaves else { return false };
    !leaf.media_type.is_text() || leaf.body.is_empty() || leaf.body.ends_with(b"\r\n")
}

/// One leaf for each part; an empty text where there is none, as a mail has to have a body.
fn leaves(content: &Content) -> Vec<Leaf> {
    let mut taken = HashSet::new();
    let parts = content.parts().enumerate();
    let mut leaves: Vec<Leaf> =
        parts.map(|(index, (part, body))| leaf(index, part, body, &mut taken)).collect();
    if leaves.is_empty() {
        leaves.push(Leaf {
            media_type: MediaType::text_plain().with_param("charset", "utf-8"),
            name: None,
            content_id: String::new(),
            content_location: None,
            body: Bytes::new(),
        });
    }
    leaves
}

/// Part names are what SMIL refers to: they become `Content-Location` and, where they may stand in
/// one, `Content-ID`.
fn leaf(index: usize, part: &Part, body: &Bytes, taken: &mut HashSet<String>) -> Leaf {
    let name = safe_name(&part.name).unwrap_or_else(|| format!("part-{index}"));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-+".contains(&b);
    let content_id = Some(name.clone())
        .filter(|id| id.bytes().all(plain) && taken.insert(id.clone()))
        .unwrap_or_else(|| format!("part-{index}.{}", part.id));
    Leaf {
        media_type: media_type(part, body),
        name: Some(name.clone()),
        content_id,
        content_location: Some(name),
        body: body.clone(),
    }
}

/// The type of a part; text that is UTF-8 and does not say so is told to be. A part that claims to
/// be a multipart is sent as mere octets, as its inside could break the mail.
fn media_type(part: &Part, body: &Bytes) -> MediaType {
    let stated = part.content_type.parse::<MediaType>().ok().filter(|stated| !stated.is_multipart());
    let stated = stated.unwrap_or_else(MediaType::octet_stream);
    let silent = stated.is_text() && stated.param("charset").is_none();
    if silent && std::str::from_utf8(body).is_ok() { stated.with_param("charset", "utf-8") } else { stated }
}

/// Content of so many octets is encoded on a thread of its own.
const LARGE: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use mmsgw_mime::{Limits, read_parts};

    use super::*;
    use crate::tests::{content, part};

    fn read(body: &Body) -> mmsgw_mime::Entity {
        read_parts(&body.entity.content_type, body.plain().clone(), &Limits::DEFAULT).unwrap()
    }

    #[test]
    fn smil_leads_a_related_body() {
        let content = content(vec![
            part("a b.jpg", "image/jpeg", &b"\xff\xd8"[..]),
            part("show.smil", "application/smil", "<smil><img src=\"a b.jpg\"/></smil>"),
            part("t.txt", "text/plain", "hé"),
        ]);
        let body = render(&content, ContentLayout::Related).unwrap();
        let entity = read(&body);
        assert_eq!(entity.media_type.essence(), "multipart/related");
        assert_eq!(entity.media_type.param("type"), Some("application/smil"));
        assert_eq!(entity.media_type.param("start"), Some("<show.smil>"));
        assert_eq!(entity.root().unwrap().name().as_deref(), Some("show.smil"));
        let names: Vec<_> = entity.parts().iter().map(|p| p.content_location().unwrap()).collect();
        assert_eq!(names, ["show.smil", "a b.jpg", "t.txt"]);
        assert_eq!(entity.parts()[2].text().as_deref(), Some("hé"));
        assert_eq!(entity.parts()[2].media_type.param("charset"), Some("utf-8"));
        assert!(entity.parts()[1].content_id().unwrap().starts_with("part-0."));
    }

    #[test]
    fn without_smil_parts_stand_side_by_side_or_alone() {
        let two = content(vec![part("a.gif", "image/gif", "a"), part("a.gif", "image/gif", "b")]);
        let entity = read(&render(&two, ContentLayout::Related).unwrap());
        assert_eq!(entity.media_type.essence(), "multipart/mixed");
        assert_ne!(entity.parts()[0].content_id(), entity.parts()[1].content_id());
        let one = render(&content(vec![part("a.gif", "image/gif", "a")]), ContentLayout::Related).unwrap();
        assert_eq!(one.entity.transfer, Some("base64"));
        assert!(one.entity.content_type.starts_with("image/gif"));
        let none = render(&content(vec![]), ContentLayout::Related).unwrap();
        assert_eq!((none.plain().len(), none.entity.transfer), (0, Some("7bit")));
    }

    #[test]
    fn a_lone_text_gains_no_line_end() {
        for text in ["hello", "hello\r\nthere", "hello\n", "héllo", "hello "] {
            let body =
                render(&content(vec![part("t.txt", "text/plain", text.to_owned())]), ContentLayout::Related)
                    .unwrap();
            let entity = read(&body);
            assert_eq!(entity.media_type.essence(), "multipart/mixed", "{text:?}");
            assert_eq!(entity.parts()[0].body().unwrap(), text.as_bytes(), "{text:?}");
        }
        let ended =
            render(&content(vec![part("t.txt", "text/plain", "hello\r\n")]), ContentLayout::Related).unwrap();
        assert!(ended.entity.content_type.starts_with("text/plain"));
    }

    #[test]
    fn odd_types_and_names_are_made_safe() {
        let odd = content(vec![
            part("../../x\r\ny", "multipart/mixed; boundary=b", "--b--"),
            part("", "nonsense", "x"),
        ]);
        let entity = read(&render(&odd, ContentLayout::Related).unwrap());
        let types: Vec<_> = entity.parts().iter().map(|p| p.media_type.essence().to_owned()).collect();
        assert_eq!(types, ["application/octet-stream", "application/octet-stream"]);
        let names: Vec<_> = entity.parts().iter().map(|p| p.name().unwrap()).collect();
        assert_eq!(names, ["xy", "part-1"]);
    }

    #[test]
    fn dots_are_doubled_once_and_nothing_is_copied_without_one() {
        let dotted =
            render(&content(vec![part("t.txt", "text/plain", ".a\r\n..b\r\n")]), ContentLayout::Related)
                .unwrap();
        assert_eq!(&dotted.plain()[..], b".a\r\n..b\r\n");
        assert_eq!(&dotted.stuffed[..], b"..a\r\n...b\r\n");
        let plain =
            render(&content(vec![part("t.txt", "text/plain", "a\r\n")]), ContentLayout::Related).unwrap();
        assert_eq!(plain.stuffed.as_ptr(), plain.plain().as_ptr());
    }

    #[test]
    fn every_text_becomes_a_legal_mail() {
        for text in ["lone\nlf", "lone\rcr", "nul\0", "\u{feff}x", &"long ".repeat(500), "From x", ""] {
            let body =
                render(&content(vec![part("t.txt", "text/plain", text.to_owned())]), ContentLayout::Related)
                    .unwrap();
            assert!(body.plain().is_ascii(), "{text:?}");
            assert!(body.plain().split(|b| *b == b'\n').all(|line| line.len() <= 998), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_body_is_encoded_once_and_the_oldest_gives_way() {
        let renderings = Renderings::new(ContentLayout::Related, 50_000);
        let contents: Vec<_> =
            (0..4).map(|_| Arc::new(content(vec![part("a", "image/gif", vec![7; 15_000])]))).collect();
        let first = renderings.body(&contents[0]).await.unwrap();
        let again = renderings.body(&contents[0]).await.unwrap();
        assert_eq!(first.plain().as_ptr(), again.plain().as_ptr());
        renderings.body(&contents[1]).await.unwrap();
        renderings.body(&contents[0]).await.unwrap();
        renderings.body(&contents[2]).await.unwrap();
        let shelf = renderings.shelf.lock();
        assert!(shelf.weight <= 50_000);
        assert!(shelf.slots.contains_key(&contents[0].id()));
        assert!(!shelf.slots.contains_key(&contents[1].id()), "the least lately used one stays");
    }

    #[tokio::test]
    async fn many_at_once_share_one_encoding() {
        let renderings = Renderings::new(ContentLayout::Related, 1 << 24);
        let large = Arc::new(content(vec![part("a", "image/gif", vec![7; LARGE])]));
        let all = futures_util::future::join_all((0..8).map(|_| renderings.body(&large))).await;
        let places: HashSet<_> = all.into_iter().map(|body| body.unwrap().plain().as_ptr()).collect();
        assert_eq!(places.len(), 1);
    }
}
