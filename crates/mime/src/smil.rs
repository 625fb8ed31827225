//! SMIL presentations (the subset of OMA MMS SMIL): what they refer to, and plain ones composed.
//!
//! A presentation that came with a message is looked into, never rewritten. DOCTYPE and entities
//! are skipped, never expanded.

use crate::MediaType;
use crate::transfer::percent_decode;
use quick_xml::{XmlVersion, escape::escape, events::Event, reader::Reader};
use std::fmt::Write;

/// Octets of SMIL that are looked at.
const MAX_BYTES: usize = 256 << 10;
/// Elements nested in each other; beyond this the rest is not looked at.
const MAX_DEPTH: usize = 64;
/// References that are collected.
const MAX_REFERENCES: usize = 500;

/// The `src` values of a presentation in the order they stand, as written (a `cid:` URL, a
/// `Content-Location` or a file name). What follows a fault of form, or a limit (256 KiB, 64 levels,
/// 500 references), is not looked at.
pub fn references(smil: &str) -> Vec<String> {
    let mut found = Vec::new();
    if smil.len() > MAX_BYTES {
        return found;
    }
    let mut reader = Reader::from_str(smil);
    reader.config_mut().check_end_names = false;
    let mut depth = 0usize;
    while depth <= MAX_DEPTH && found.len() < MAX_REFERENCES {
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                depth += 1;
                found.extend(source(&tag));
            }
            Ok(Event::Empty(tag)) => found.extend(source(&tag)),
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    found
}

fn source(tag: &quick_xml::events::BytesStart<'_>) -> Option<String> {
    let mut attributes = tag.html_attributes();
    let attributes = attributes.with_checks(false);
    let src =
        attributes.take(64).flatten().find(|a| a.key.local_name().as_ref().eq_ignore_ascii_case(b"src"))?;
    let value = src.normalized_value(XmlVersion::default()).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// How a presentation and the parts beside it agree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// References, as written, that name no part; each once.
    pub missing: Vec<String>,
    /// Names of parts that are not referred to.
    pub unshown: Vec<String>,
}

/// Compares the references of a presentation with the names of the parts beside it. A reference is a name,
/// or `cid:` and a name, either with percent escapes or without.
pub fn agreement(smil: &str, names: &[&str]) -> Agreement {
    let mut found = Agreement::default();
    let mut shown = vec![false; names.len()];
    for reference in references(smil) {
        match names.iter().position(|name| refers(&reference, name)) {
            Some(at) => shown[at] = true,
            None if found.missing.contains(&reference) => {}
            None => found.missing.push(reference),
        }
    }
    let unshown = names.iter().zip(shown).filter(|(_, shown)| !shown);
    found.unshown = unshown.map(|(name, _)| (*name).to_owned()).collect();
    found
}

fn refers(reference: &str, name: &str) -> bool {
    let scheme = reference.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("cid:"));
    let bare = scheme.map_or(reference, |_| &reference[4..]);
    let bare = bare.trim_start_matches('<').trim_end_matches('>');
    [reference, bare].iter().any(|text| *text == name || percent_decode(text.as_bytes()) == name.as_bytes())
}

/// What a part is to a presentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmilKind {
    /// A still or moving image.
    Image,
    /// A video.
    Video,
    /// A sound.
    Audio,
    /// Text.
    Text,
}

impl SmilKind {
    /// The kind a media type is shown as; `None` for what a presentation cannot show (a contact, a
    /// calendar entry, another presentation).
    pub fn of(media_type: &MediaType) -> Option<Self> {
        let (kind, subtype) = media_type.essence().split_once('/')?;
        match kind {
            "image" => Some(Self::Image),
            "video" => Some(Self::Video),
            "audio" => Some(Self::Audio),
            "text" if subtype == "plain" => Some(Self::Text),
            _ => None,
        }
    }

    fn element(self) -> &'static str {
        match self {
            Self::Image => "img",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Text => "text",
        }
    }

    fn region(self) -> Option<&'static str> {
        match self {
            Self::Image | Self::Video => Some("Image"),
            Self::Audio => None,
            Self::Text => Some("Text"),
        }
    }
}

/// A part to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmilPart {
    /// What it is.
    pub kind: SmilKind,
    /// How it is referred to: its `Content-Location`, or `cid:` and its `Content-ID`.
    pub src: String,
}

/// The look of a composed presentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmilOptions {
    /// Width of the screen in pixels.
    pub width: u32,
    /// Height of the screen in pixels.
    pub height: u32,
    /// How long a slide is shown, in milliseconds.
    pub slide_ms: u32,
}

impl Default for SmilOptions {
    fn default() -> Self {
        Self { width: 320, height: 480, slide_ms: 5000 }
    }
}

/// Composes a presentation: slides one after another, each with at most one image or video, one
/// sound and one text; a text joins the image or video before it.
pub fn compose(parts: &[SmilPart], options: &SmilOptions) -> String {
    let mut out = String::with_capacity(400 + parts.len() * 120);
    write_layout(parts, options, &mut out);
    out.push_str("<body>\r\n");
    for slide in slides(parts) {
        // Writing into a String does not fail.
        let _ = write!(out, "<par dur=\"{}ms\">", options.slide_ms);
        for part in slide {
            let _ = write!(out, "\r\n<{} src=\"{}\"", part.kind.element(), escape(clean(&part.src)));
            if let Some(region) = part.kind.region() {
                let _ = write!(out, " region=\"{region}\"");
            }
            out.push_str("/>");
        }
        out.push_str("\r\n</par>\r\n");
    }
    out.push_str("</body>\r\n</smil>\r\n");
    out
}

/// Without the characters XML 1.0 cannot hold.
fn clean(src: &str) -> String {
    src.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')).collect()
}

fn write_layout(parts: &[SmilPart], options: &SmilOptions, out: &mut String) {
    let has = |region: &str| parts.iter().any(|part| part.kind.region() == Some(region));
    let (image, text) = match (has("Image"), has("Text")) {
        (true, true) => (Some((0, 70)), Some((70, 30))),
        (true, false) => (Some((0, 100)), None),
        (false, true) => (None, Some((0, 100))),
        (false, false) => (None, None),
    };
    let SmilOptions { width, height, .. } = options;
    let _ = write!(
        out,
        "<smil>\r\n<head>\r\n<layout>\r\n<root-layout width=\"{width}px\" height=\"{height}px\"/>\r\n"
    );
    for (id, fit, place) in [("Image", "meet", image), ("Text", "scroll", text)] {
        if let Some((top, tall)) = place {
            let _ = write!(
                out,
                "<region id=\"{id}\" left=\"0\" top=\"{top}%\" width=\"100%\" height=\"{tall}%\" fit=\"{fit}\"/>\r\n"
            );
        }
    }
    out.push_str("</layout>\r\n</head>\r\n");
}

/// Cuts the parts into slides; a slide never holds two of one place.
fn slides(parts: &[SmilPart]) -> Vec<&[SmilPart]> {
    let mut slides = Vec::new();
    let mut start = 0;
    for (at, part) in parts.iter().enumerate() {
        let slide = &parts[start..at];
        let visual = |kind: SmilKind| matches!(kind, SmilKind::Image | SmilKind::Video);
        let full = slide.iter().any(|shown| match part.kind {
            SmilKind::Image | SmilKind::Video => visual(shown.kind) || shown.kind == SmilKind::Text,
            kind => shown.kind == kind,
        });
        if full {
            slides.push(slide);
            start = at;
        }
    }
    slides.extend(Some(&parts[start..]).filter(|slide| !slide.is_empty()));
    slides
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(kind: SmilKind, src: &str) -> SmilPart {
        SmilPart { kind, src: src.to_owned() }
    }

    #[test]
    fn references_in_order() {
        let smil = r#"<smil><head><layout><root-layout/><region id="Image"/></layout></head><body><par dur="5s">
            <img SRC="a&amp;b.jpg" region=Image /><text src='cid:t'/></par><ref src=" x.3gp "></ref></body></smil>"#;
        assert_eq!(references(smil), ["a&b.jpg", "cid:t", "x.3gp"]);
    }

    #[test]
    fn entities_are_not_expanded() {
        let smil = r#"<!DOCTYPE s [<!ENTITY e "eeee"><!ENTITY f SYSTEM "file:///etc/passwd">]>
            <smil><img src="&f;"/><img src="ok.jpg"/>&e;</smil>"#;
        assert_eq!(references(smil), ["ok.jpg"]);
    }

    #[test]
    fn hostile_presentations() {
        assert_eq!(references(&"<par>".repeat(50_000)), Vec::<String>::new());
        assert_eq!(references(&"<img src='a'/>".repeat(10_000)).len(), MAX_REFERENCES);
        assert_eq!(references(&"<img src='a'/>".repeat(30_000)), Vec::<String>::new());
        assert_eq!(references("<img src='a'/><broken"), ["a"]);
    }

    #[test]
    fn references_and_names_agree_or_not() {
        let smil = "<smil><body><par><img src='a b.jpg'/><text src='cid:t.txt'/></par><par><img src='a%20b.jpg'/>\
            <audio src='gone.amr'/><audio src='gone.amr'/><ref src='cid:%3Cx.3gp%3E'/></par></body></smil>";
        let found = agreement(smil, &["a b.jpg", "t.txt", "card.vcf"]);
        assert_eq!(found.missing, ["gone.amr", "cid:%3Cx.3gp%3E"]);
        assert_eq!(found.unshown, ["card.vcf"]);
        assert_eq!(agreement("<smil/>", &[]), Agreement::default());
        assert_eq!(agreement("<img src='A.jpg'/>", &["a.jpg"]).missing, ["A.jpg"]);
        assert!(agreement("<img src='cid:&lt;a.jpg&gt;'/>", &["a.jpg"]).missing.is_empty());
    }

    #[test]
    fn slides_take_the_text_that_follows() {
        use SmilKind::{Audio, Image, Text, Video};
        let parts = [
            part(Text, "hello.txt"),
            part(Image, "a.jpg"),
            part(Text, "a.txt"),
            part(Audio, "s.mp3"),
            part(Video, "v.3gp"),
            part(Image, "b.jpg"),
        ];
        let lens: Vec<usize> = slides(&parts).iter().map(|slide| slide.len()).collect();
        assert_eq!(lens, [1, 3, 1, 1]);
        assert!(slides(&[]).is_empty());
    }

    #[test]
    fn a_composed_presentation() {
        let smil = compose(
            &[part(SmilKind::Image, "a\"<.jpg"), part(SmilKind::Text, "t.txt")],
            &SmilOptions::default(),
        );
        let expected = "<smil>\r\n<head>\r\n<layout>\r\n<root-layout width=\"320px\" height=\"480px\"/>\r\n\
            <region id=\"Image\" left=\"0\" top=\"0%\" width=\"100%\" height=\"70%\" fit=\"meet\"/>\r\n\
            <region id=\"Text\" left=\"0\" top=\"70%\" width=\"100%\" height=\"30%\" fit=\"scroll\"/>\r\n\
            </layout>\r\n</head>\r\n<body>\r\n<par dur=\"5000ms\">\r\n\
            <img src=\"a&quot;&lt;.jpg\" region=\"Image\"/>\r\n<text src=\"t.txt\" region=\"Text\"/>\r\n\
            </par>\r\n</body>\r\n</smil>\r\n";
        assert_eq!(smil, expected);
    }

    proptest! {
        #[test]
        fn composed_then_read(names in prop::collection::vec("[a-zé&<>\"' ]{0,10}x", 0..20)) {
            let kinds = [SmilKind::Image, SmilKind::Text, SmilKind::Audio, SmilKind::Video];
            let parts: Vec<SmilPart> =
                names.iter().enumerate().map(|(i, name)| part(kinds[i % 4], name.trim())).collect();
            let smil = compose(&parts, &SmilOptions::default());
            let sources: Vec<String> = parts.into_iter().map(|part| part.src).collect();
            prop_assert_eq!(references(&smil), sources);
        }

        #[test]
        fn any_text_is_read(text in any::<String>(), markup in "[<>/a-c='\"&;! -]{0,100}") {
            let _ = (references(&text), references(&markup));
        }
    }
}
