//! Whether content fits the carrier, and making it fit.
//!
//! Pictures are changed only where the application allows it. What was made is shared by all messages of
//! the same revision, group limits and room; its octets are kept by digest, so that they are read again
//! rather than made again. Which picture became which is remembered by this process alone: after a restart
//! the first message makes it again, to the same octets.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use mmsgw_adapt::presentation::{agreement, compose};
use mmsgw_adapt::{AdaptError, Fitted, Format, Formats, Limits, Probe, fit};
use mmsgw_domain::{
    BlobRef, Compose, ContentSettings, Digest, Message, Part, PartContent, PartId, Template, Timestamp,
};
use mmsgw_store::{Batch, Write};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::content::{Content, ContentError};
use crate::engine::Engine;
use crate::gateway::Outbound;
use crate::group::Group;
use crate::refusal::Refusal;

/// Why a carrier does not take a content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is too large.
    #[error("the message has {octets} octets on the wire, the gateway takes at most {limit}")]
    TooLarge {
        /// Octets on the wire.
        octets: u64,
        /// Most octets.
        limit: u64,
    },
    /// A picture is too wide or too high.
    #[error("part `{part}` has {} by {} pixels, the gateway takes at most {} by {}", .size.0, .size.1, any(.most.0), any(.most.1))]
    TooManyPixels {
        /// Name of the part.
        part: String,
        /// Its width and height.
        size: (u32, u32),
        /// Most width and height.
        most: (Option<u32>, Option<u32>),
    },
    /// A part is of a type that is not taken.
    #[error("part `{part}` is of type {content_type}, the gateway takes {}", .accepted.join(", "))]
    Type {
        /// Name of the part.
        part: String,
        /// Its type.
        content_type: String,
        /// The types that are taken.
        accepted: Vec<String>,
    },
    /// A picture cannot be read, or not be made to fit.
    #[error("part `{part}`: {error}")]
    Picture {
        /// Name of the part.
        part: String,
        /// Why.
        error: AdaptError,
    },
    /// A presentation shows a part that is not there.
    #[error("the presentation `{part}` refers to `{reference}`, and no part has that name")]
    NoSuchPart {
        /// Name of the presentation.
        part: String,
        /// What it refers to.
        reference: String,
    },
}

fn any(most: Option<u32>) -> String {
    most.map_or_else(|| "any".to_owned(), |most| most.to_string())
}

impl Unfit {
    /// The part that it is about, where it is about one.
    pub fn part(&self) -> Option<&str> {
        match self {
            Self::TooLarge { .. } => None,
            Self::TooManyPixels { part, .. }
            | Self::Type { part, .. }
            | Self::Picture { part, .. }
            | Self::NoSuchPart { part, .. } => Some(part),
        }
    }
}

/// The room in which pictures are changed.
pub(crate) struct Adapter {
    /// Pictures in work at once.
    turns: Arc<Semaphore>,
    /// What became of which picture.
    known: Mutex<HashMap<(Digest, Limits), Changed>>,
}

/// A picture that was changed: where it is, and its type.
#[derive(Debug, Clone)]
struct Changed {
    blob: BlobRef,
    format: Format,
}

impl Adapter {
    pub(crate) fn new(threads: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(threads.max(1))), known: Mutex::default() }
    }
}

/// What is made of a content: names it among all that is made of the same revision.
#[derive(Debug, Hash)]
enum Shape<'a> {
    Presented { smil: Compose, hide_class: bool },
    Adapted { presented: u64, limits: Limits, room: Option<u64>, accepted: &'a [String], hide_class: bool },
}

impl Shape<'_> {
    fn variant(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish().max(1)
    }
}

impl Engine {
    /// Why the carrier of a new message would not take it, as far as that can be told now: media behind URLs
    /// are looked at when they are fetched.
    pub(crate) async fn check_fit(
        &self,
        template: &Template,
        message: &Message,
    ) -> Result<Option<Unfit>, Refusal> {
        if let Some(unfit) = dangling_text(template) {
            return Ok(Some(unfit));
        }
        let parts = &template.content.parts;
        let Some(group) = self.groups.find(&message.group) else { return Ok(None) };
        let fetches = parts.iter().any(|part| matches!(part.content, PartContent::Url(_)));
        if fetches || !group.settings.content.has_limits() {
            return Ok(None);
        }
        let fitted = match self.content_of(template).await {
            Ok(content) => self.fitted(&group, self.outbound(message, content)).await,
            Err(error) => Err(error),
        };
        match fitted {
            Err(ContentError::Unfit(unfit)) => Ok(Some(unfit)),
            Err(ContentError::Store(error)) => Err(error.into()),
            Ok(_) | Err(ContentError::Gone(_) | ContentError::Fetch { .. }) => Ok(None),
        }
    }

    /// `outbound` with its content as the carrier takes it.
    pub(crate) async fn fitted(
        &self,
        group: &Group,
        mut outbound: Outbound,
    ) -> Result<Outbound, ContentError> {
        let settings = &group.settings.content;
        outbound.content = self.presented(settings, outbound.content).await?;
        let Err(unfit) = self.judge(group, &outbound) else { return Ok(outbound) };
        if outbound.content.template.content.content_adaptation != Some(true) {
            return Err(unfit.into());
        }
        let room = room(group, &outbound, unfit.clone())?;
        let adapted = self.adapted(settings, &outbound.content, room).await;
        outbound.content = adapted.map_err(|error| said_of_the_whole(error, unfit))?;
        self.judge(group, &outbound)?;
        Ok(outbound)
    }

    /// The content with the presentation and the class that the group's settings ask for.
    async fn presented(
        &self,
        settings: &ContentSettings,
        content: Arc<Content>,
    ) -> Result<Arc<Content>, ContentError> {
        let has_smil = content.template.content.parts.iter().any(is_smil);
        let composes = match settings.smil {
            Compose::Always => true,
            Compose::Never => false,
            Compose::IfMissing => !has_smil,
        };
        if !composes && !settings.hide_content_class {
            return Ok(content);
        }
        let shape = Shape::Presented { smil: settings.smil, hide_class: settings.hide_content_class };
        let variant = shape.variant();
        let base = Arc::clone(&content);
        let make = async {
            let (mut template, mut bodies) = (content.template.clone(), content.bodies.clone());
            if composes {
                present(&mut template, &mut bodies, self.now());
            }
            let mut made = content.become_variant(template, bodies, variant);
            made.state_class(settings.hide_content_class);
            Ok(Ok(Arc::new(made)))
        };
        self.variant(&base, variant, make).await
    }

    /// What of a message the carrier would not take.
    pub(crate) fn judge(&self, group: &Group, outbound: &Outbound) -> Result<(), Unfit> {
        let settings = &group.settings.content;
        if !settings.has_limits() {
            return Ok(());
        }
        let parts = &outbound.content.template.content.parts;
        for (part, picture) in parts.iter().zip(&outbound.content.pictures) {
            self.judge_part(settings, part, picture.as_ref())?;
        }
        let (Some(limit), Some(scales)) = (settings.max_message_octets, group.scales.get()) else {
            return Ok(());
        };
        let octets = scales.wire_octets(outbound);
        if octets > limit { Err(Unfit::TooLarge { octets, limit }) } else { Ok(()) }
    }

    fn judge_part(
        &self,
        settings: &ContentSettings,
        part: &Part,
        picture: Option<&Probe>,
    ) -> Result<(), Unfit> {
        let named = || part.name.clone();
        if !settings.accepts(&part.content_type) {
            let (content_type, accepted) = (part.content_type.clone(), settings.accepted_types.clone());
            return Err(Unfit::Type { part: named(), content_type, accepted });
        }
        let most = (settings.max_image_width, settings.max_image_height);
        let unreadable = |error| Err(Unfit::Picture { part: named(), error });
        let Some(probe) = picture else {
            let has_no_size = most != (None, None) && is_readable_type(part);
            return if has_no_size { unreadable(AdaptError::NotAPicture) } else { Ok(()) };
        };
        let (width, height, limit) = (probe.width, probe.height, self.settings.adapt_pixels);
        if probe.pixels() > limit {
            return unreadable(AdaptError::TooManyPixels { width, height, limit });
        }
        let fits = most.0.is_none_or(|most| width <= most) && most.1.is_none_or(|most| height <= most);
        if fits { Ok(()) } else { Err(Unfit::TooManyPixels { part: named(), size: (width, height), most }) }
    }

    /// The content with its pictures changed so that they keep to the group's limits, and to `room` octets
    /// all together.
    async fn adapted(
        &self,
        settings: &ContentSettings,
        content: &Arc<Content>,
        room: Option<u64>,
    ) -> Result<Arc<Content>, ContentError> {
        let limits = Limits {
            octets: usize::MAX,
            width: settings.max_image_width,
            height: settings.max_image_height,
            formats: formats(settings),
            decoded_pixels: self.settings.adapt_pixels,
        };
        let hide_class = settings.hide_content_class;
        let presented = content.id().variant();
        let accepted = &settings.accepted_types;
        let shape = Shape::Adapted { presented, limits, room, accepted, hide_class };
        let variant = shape.variant();
        let make = async {
            let (template, bodies) = match self.change_pictures(content, limits, room).await {
                Ok(changed) => changed,
                Err(ContentError::Unfit(unfit)) => return Ok(Err(unfit)),
                Err(error) => return Err(error),
            };
            let mut made = content.become_variant(template, bodies, variant);
            made.state_class(hide_class);
            Ok(Ok(Arc::new(made)))
        };
        self.variant(content, variant, make).await
    }

    /// Small pictures first: what they leave of their share of the room is for the larger ones.
    async fn change_pictures(
        &self,
        content: &Content,
        limits: Limits,
        room: Option<u64>,
    ) -> Result<(Template, Vec<Bytes>), ContentError> {
        let (mut template, mut bodies) = (content.template.clone(), content.bodies.clone());
        let until = self.keep_until(template.expires);
        let mut indices: Vec<usize> =
            (0..bodies.len()).filter(|index| content.pictures[*index].is_some()).collect();
        indices.sort_by_key(|index| bodies[*index].len());
        let mut left = room.map(|room| usize::try_from(room).unwrap_or(usize::MAX));
        let count = indices.len();
        for (done, index) in indices.into_iter().enumerate() {
            let share = left.map_or(usize::MAX, |left| left / (count - done));
            let limits = Limits { octets: share, ..limits };
            let part = &mut template.content.parts[index];
            if let Some((body, changed)) = self.changed(part, &bodies[index], limits, until).await? {
                bodies[index] = body;
                part.content_type = changed.format.media_type().to_owned();
                part.content = PartContent::Blob(changed.blob);
            }
            left = left.map(|left| left.saturating_sub(bodies[index].len()));
        }
        Ok((template, bodies))
    }

    /// One picture, changed; none where it fits as it is.
    async fn changed(
        &self,
        part: &Part,
        body: &Bytes,
        limits: Limits,
        until: Timestamp,
    ) -> Result<Option<(Bytes, Changed)>, ContentError> {
        let source = match &part.content {
            PartContent::Blob(blob) => Some(blob.digest),
            PartContent::Text(_) | PartContent::Url(_) => None,
        };
        let known = source.and_then(|digest| self.adapter.known.lock().get(&(digest, limits)).cloned());
        if let Some(changed) = known
            && let Some(octets) = self.blobs.get(&changed.blob.digest).await?
        {
            return Ok(Some((octets, changed)));
        }
        let Some((octets, format)) = self.change(part, body, limits).await? else { return Ok(None) };
        let size = octets.len() as u64;
        let digest = self.blobs.put(octets.clone()).await?;
        self.commit(Batch::new().with(Write::KeepBlob { digest, until })).await?;
        let changed = Changed { blob: BlobRef { digest, size, source: None }, format };
        if let Some(source) = source {
            let mut known = self.adapter.known.lock();
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            known.insert((source, limits), changed.clone());
        }
        Ok(Some((octets, changed)))
    }

    /// Changes a picture on a thread of its own, as soon as there is a turn.
    async fn change(
        &self,
        part: &Part,
        body: &Bytes,
        limits: Limits,
    ) -> Result<Option<(Bytes, Format)>, ContentError> {
        let turn = Arc::clone(&self.adapter.turns).acquire_owned().await;
        let body = body.clone();
        let work = move || {
            // Held by the thread: nobody can stop it, even where nobody waits for it any more.
            let _turn = turn;
            fit(&body, &limits)
        };
        let done = tokio::task::spawn_blocking(work).await;
        let failed = |why: &str| Err(AdaptError::Damaged(why.to_owned()));
        match done.unwrap_or_else(|_| failed("it could not be worked on")) {
            Ok(Fitted::AsItIs) => Ok(None),
            Ok(Fitted::New(picture)) => Ok(Some((Bytes::from(picture.octets), picture.format))),
            Err(error) => Err(Unfit::Picture { part: part.name.clone(), error }.into()),
        }
    }
}

/// A picture that cannot become small enough leaves the message as large as it is.
fn said_of_the_whole(error: ContentError, before: Unfit) -> ContentError {
    match (error, before) {
        (
            ContentError::Unfit(Unfit::Picture { error: AdaptError::TooSmall { .. }, .. }),
            whole @ Unfit::TooLarge { .. },
        ) => whole.into(),
        (error, _) => error,
    }
}

/// The first reference of a presentation that names no part.
pub(crate) fn dangling(content: &Content) -> Option<Unfit> {
    let presentations = content.parts().filter(|(part, _)| is_smil(part));
    presentations.into_iter().find_map(|(part, body)| {
        let text = std::str::from_utf8(body).ok()?;
        missing_reference(&content.template, part, text)
    })
}

/// The same of the presentations that stand in the template as text.
fn dangling_text(template: &Template) -> Option<Unfit> {
    template.content.parts.iter().filter(|part| is_smil(part)).find_map(|part| match &part.content {
        PartContent::Text(text) => missing_reference(template, part, text),
        PartContent::Blob(_) | PartContent::Url(_) => None,
    })
}

fn missing_reference(template: &Template, smil: &Part, text: &str) -> Option<Unfit> {
    let reference = agreement(text, &names(template)).missing.into_iter().next()?;
    Some(Unfit::NoSuchPart { part: smil.name.clone(), reference })
}

/// Warns of parts that a presentation of a new revision does not show.
pub(crate) fn warn_of_unshown(template: &Template) {
    for part in template.content.parts.iter().filter(|part| is_smil(part)) {
        let PartContent::Text(text) = &part.content else { continue };
        let unshown = agreement(text, &names(template)).unshown;
        if !unshown.is_empty() {
            let (id, parts) = (template.id, unshown.join(", "));
            tracing::warn!(template.id = %id, presentation = part.name, parts, "parts that it does not show");
        }
    }
}

/// Names of the parts that a presentation may refer to.
fn names(template: &Template) -> Vec<&str> {
    template.content.parts.iter().filter(|part| !is_smil(part)).map(|part| part.name.as_str()).collect()
}

pub(crate) fn is_smil(part: &Part) -> bool {
    part.content_type.starts_with("application/smil")
}

/// Puts a composed presentation in the first place, instead of any that is there; leaves everything as it is
/// where no part can be shown.
fn present(template: &mut Template, bodies: &mut Vec<Bytes>, now: Timestamp) {
    let parts = &template.content.parts;
    let shown = parts.iter().filter(|part| !is_smil(part));
    let shown = shown.map(|part| (part.name.as_str(), part.content_type.as_str()));
    let Some(smil) = compose(shown) else { return };
    let mut whole: Vec<(Part, Bytes)> = std::mem::take(&mut template.content.parts)
        .into_iter()
        .zip(std::mem::take(bodies))
        .filter(|(part, _)| !is_smil(part))
        .collect();
    let is_free = |name: &String| whole.iter().all(|(part, _)| part.name != *name);
    let names = std::iter::once("presentation.smil".to_owned());
    let mut names = names.chain((1u32..).map(|n| format!("presentation-{n}.smil")));
    let name = names.find(is_free).unwrap_or_default();
    let (id, content_type) = (PartId::generate(now), "application/smil".to_owned());
    let body = Bytes::from(smil.clone());
    whole.insert(0, (Part { id, name, content_type, content: PartContent::Text(smil) }, body));
    (template.content.parts, *bodies) = whole.into_iter().unzip();
}

/// The octets that there are for all pictures together, not encoded; none for no limit. Rounded down, so
/// that messages whose heads differ a little share what is made.
fn room(group: &Group, outbound: &Outbound, unfit: Unfit) -> Result<Option<u64>, Unfit> {
    let (Some(limit), Some(scales)) = (group.settings.content.max_message_octets, group.scales.get()) else {
        return Ok(None);
    };
    let content = &outbound.content;
    let pictures = content.pictures.iter().flatten().count() as u64;
    let hollow = content.bodies.iter().zip(&content.pictures);
    let hollow = hollow.map(|(body, picture)| if picture.is_some() { Bytes::new() } else { body.clone() });
    let hollow = content.become_variant(content.template.clone(), hollow.collect(), u64::MAX);
    let rest = scales.wire_octets(&Outbound { content: Arc::new(hollow), ..outbound.clone() });
    let words = if content.template.content.personal { PERSONAL_SLACK } else { 0 };
    let free = limit.checked_sub(rest + pictures * PICTURE_SLACK + words).filter(|_| pictures > 0);
    let octets = scales.media_octets(free.ok_or(unfit)?);
    let step = (octets / 128).max(1).next_power_of_two();
    Ok(Some(octets / step * step))
}

/// Types of pictures that the carrier takes.
fn formats(settings: &ContentSettings) -> Formats {
    Format::ALL.into_iter().filter(|format| settings.accepts(format.media_type())).collect()
}

/// Whether a part claims to be of a type whose pictures can be measured.
fn is_readable_type(part: &Part) -> bool {
    let essence = part.content_type.split(';').next().unwrap_or_default().trim();
    essence == "image/jpg" || Format::ALL.iter().any(|format| format.media_type() == essence)
}

/// A picture's last line in base64, and a longer media type.
const PICTURE_SLACK: u64 = 160;
/// What the variables of a template may add, kept free where pictures are made to fit.
const PERSONAL_SLACK: u64 = 4 << 10;
/// Changed pictures remembered; forgetting them only costs the work once more.
const MOST_KNOWN: usize = 10_000;
