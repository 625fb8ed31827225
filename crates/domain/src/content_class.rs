//! Which content class a content is of (OMA MMS Conformance 1.3): the smallest one that it fits.

use crate::ContentClass;

/// What the class of a content depends on, of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartFacts<'a> {
    /// Media type; parameters do not count.
    pub content_type: &'a str,
    /// Octets, not encoded.
    pub octets: u64,
    /// Width and height of a picture, where they are known.
    pub size: Option<(u32, u32)>,
}

/// One class: what fits it.
struct Bounds {
    class: ContentClass,
    /// Octets of all parts together.
    octets: u64,
    /// Width and height of pictures.
    size: (u32, u32),
    /// From which column of [`TYPES`] on types belong to it; all types where absent.
    rank: Option<u8>,
}

/// The classes from small to large. The two of agreed content take the sizes of the classes beside them.
const CLASSES: [Bounds; 8] = [
    bounds(ContentClass::Text, 30, (0, 0), Some(0)),
    bounds(ContentClass::ImageBasic, 30, (160, 120), Some(1)),
    bounds(ContentClass::ImageRich, 100, (640, 480), Some(2)),
    bounds(ContentClass::VideoBasic, 100, (640, 480), Some(3)),
    bounds(ContentClass::ContentBasic, 100, (640, 480), None),
    bounds(ContentClass::VideoRich, 300, (640, 480), Some(3)),
    bounds(ContentClass::Megapixel, 600, (1600, 1200), Some(3)),
    bounds(ContentClass::ContentRich, 600, (1600, 1200), None),
];

/// Media types, and the rank of the class in which they come first.
const TYPES: [(&str, u8); 16] = [
    ("text/plain", 0),
    ("application/smil", 0),
    ("image/jpeg", 1),
    ("image/jpg", 1),
    ("image/gif", 1),
    ("image/vnd.wap.wbmp", 1),
    ("audio/amr", 1),
    ("text/vcard", 1),
    ("text/x-vcard", 1),
    ("text/calendar", 1),
    ("text/x-vcalendar", 1),
    ("audio/sp-midi", 2),
    ("audio/mid", 2),
    ("audio/midi", 2),
    ("video/3gpp", 3),
    ("audio/3gpp", 3),
];

const fn bounds(class: ContentClass, kilobytes: u64, size: (u32, u32), rank: Option<u8>) -> Bounds {
    Bounds { class, octets: kilobytes * 1024, size, rank }
}

impl ContentClass {
    /// The smallest class that parts like these fit; none where they fit none, or where there are none.
    pub fn of(parts: &[PartFacts<'_>]) -> Option<Self> {
        let octets: u64 = parts.iter().map(|part| part.octets).sum();
        let fits = |bounds: &&Bounds| octets <= bounds.octets && parts.iter().all(|part| bounds.admit(part));
        CLASSES.iter().find(fits).filter(|_| !parts.is_empty()).map(|bounds| bounds.class)
    }
}

impl Bounds {
    fn admit(&self, part: &PartFacts<'_>) -> bool {
        let essence = part.content_type.split(';').next().unwrap_or_default().trim();
        let known = TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(essence));
        let typed = self.rank.is_none_or(|rank| known.is_some_and(|(_, from)| *from <= rank));
        // A picture whose size nobody knows may be of any.
        let picture = essence.starts_with("image/");
        let sized = part.size.map_or(!picture, |(w, h)| w <= self.size.0 && h <= self.size.1);
        typed && sized
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(content_type: &str, kilobytes: u64, size: Option<(u32, u32)>) -> PartFacts<'_> {
        PartFacts { content_type, octets: kilobytes * 1024, size }
    }

    #[test]
    fn the_smallest_class_that_fits() {
        use ContentClass::{
            ContentBasic, ContentRich, ImageBasic, ImageRich, Megapixel, Text, VideoBasic, VideoRich,
        };
        let text = facts("text/plain; charset=utf-8", 1, None);
        let jpeg = |kilobytes, size| facts("image/jpeg", kilobytes, Some(size));
        for (parts, class) in [
            (vec![], None),
            (vec![text, facts("application/smil", 1, None)], Some(Text)),
            (vec![facts("text/plain", 31, None)], Some(ImageRich)),
            (vec![text, jpeg(29, (160, 120))], Some(ImageBasic)),
            (vec![text, jpeg(30, (160, 120))], Some(ImageRich)),
            (vec![jpeg(10, (161, 120))], Some(ImageRich)),
            (vec![jpeg(10, (640, 481))], Some(Megapixel)),
            (vec![jpeg(101, (640, 480))], Some(VideoRich)),
            (vec![jpeg(600, (1600, 1200))], Some(Megapixel)),
            (vec![jpeg(601, (1600, 1200))], None),
            (vec![jpeg(100, (1601, 1200))], None),
            (vec![facts("image/jpeg", 1, None)], None),
            (vec![facts("image/png", 5, Some((100, 100)))], Some(ContentBasic)),
            (vec![facts("image/png", 200, Some((100, 100)))], Some(ContentRich)),
            (vec![facts("video/3gpp", 90, None)], Some(VideoBasic)),
            (vec![facts("video/3gpp", 290, None)], Some(VideoRich)),
            (vec![facts("VIDEO/MP4", 290, None)], Some(ContentRich)),
            (vec![facts("audio/amr", 5, None), text], Some(ImageBasic)),
        ] {
            assert_eq!(ContentClass::of(&parts), class, "{parts:?}");
        }
    }

    #[test]
    fn classes_grow() {
        for pair in CLASSES.windows(2) {
            assert!(pair[0].octets <= pair[1].octets && pair[0].size <= pair[1].size);
        }
        assert!(TYPES.iter().all(|(name, _)| name.to_ascii_lowercase() == *name));
    }
}
