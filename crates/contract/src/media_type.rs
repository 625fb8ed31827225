//! Media types: which ones parts may have, how they are written, which one a file name suggests.

use std::collections::BTreeSet;

use crate::FaultCode;
use crate::json::Json;
use crate::reader::{At, Context, quoted};

/// The media types that parts may have, without parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentTypes(BTreeSet<String>);

impl ContentTypes {
    /// The media types taken where nothing else is configured.
    pub const DEFAULT: &[&str] = &DEFAULT_TYPES;

    /// A set of media types; letter case does not matter.
    ///
    /// # Errors
    /// The first text that is no media type.
    pub fn new<S: AsRef<str>>(types: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let good = |text: S| {
            let text = text.as_ref();
            if is_essence(text) { Ok(text.to_ascii_lowercase()) } else { Err(text.to_owned()) }
        };
        types.into_iter().map(good).collect::<Result<_, _>>().map(Self)
    }

    /// Whether parts may have this type, which is lower case and without parameters.
    pub fn contains(&self, essence: &str) -> bool {
        self.0.contains(essence)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Default for ContentTypes {
    fn default() -> Self {
        Self(DEFAULT_TYPES.iter().map(|text| (*text).to_owned()).collect())
    }
}

/// A media type as a part states it: the type in lower case, parameters as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// With parameters.
    pub(crate) text: String,
    /// Length of the type without parameters.
    length: usize,
}

impl MediaType {
    /// Reads a media type that parts may have.
    pub(crate) fn read(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Self> {
        let Json::Text(text) = json else { return context.wrong_type(at, &json, "a string") };
        let most = context.rules.limits.text;
        if text.len() > most {
            return context.fault(at, FaultCode::TooLong, format!("at most {most} octets are taken here"));
        }
        let Some(media_type) = Self::parse(&text) else {
            let detail = format!("`{}` is no media type; write it as `image/jpeg`", quoted(&text));
            return context.fault(at, FaultCode::BadMediaType, detail);
        };
        if !context.rules.content_types.contains(media_type.essence()) {
            let known: Vec<&str> = context.rules.content_types.iter().collect();
            let detail = format!("`{}` is not taken; taken are {}", media_type.essence(), known.join(", "));
            return context.fault(at, FaultCode::UnsupportedType, detail);
        }
        Some(media_type)
    }

    /// Parses a type with parameters (RFC 9110 clause 8.3.1).
    fn parse(text: &str) -> Option<Self> {
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let essence = essence.trim();
        if !is_essence(essence) || !are_parameters(parameters) {
            return None;
        }
        let mut whole = essence.to_ascii_lowercase();
        let length = whole.len();
        let parameters = parameters.trim();
        if !parameters.is_empty() {
            whole.push_str("; ");
            whole.push_str(parameters);
        }
        Some(Self { text: whole, length })
    }

    /// The type without parameters.
    pub(crate) fn essence(&self) -> &str {
        &self.text[..self.length]
    }

    /// True for text and SMIL, which can stand in a request as they are.
    pub(crate) fn is_text(&self) -> bool {
        self.essence().starts_with("text/") || self.essence() == "application/smil"
    }

    /// The charset parameter, lower case.
    pub(crate) fn charset(&self) -> Option<String> {
        self.text[self.length..].split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("charset")
                .then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        })
    }
}

fn is_token(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(token)
}

fn is_essence(text: &str) -> bool {
    text.split_once('/').is_some_and(|(main, sub)| is_token(main) && is_token(sub))
}

/// Parameters without semicolons inside quotes, which no part of a message needs.
fn are_parameters(text: &str) -> bool {
    let value = |text: &str| {
        let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let plain = |b: u8| matches!(b, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
        is_token(text) || quoted.is_some_and(|inner| inner.bytes().all(plain))
    };
    text.trim().is_empty()
        || text.split(';').all(|parameter| {
            parameter.trim().split_once('=').is_some_and(|(name, v)| is_token(name) && value(v))
        })
}

/// The media type that a file name's extension suggests.
pub fn type_by_name(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    EXTENSIONS.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, kind)| *kind)
}

const DEFAULT_TYPES: [&str; 29] = [
    "application/smil",
    "application/pdf",
    "application/vnd.oma.drm.message",
    "text/plain",
    "text/html",
    "text/vcard",
    "text/x-vcard",
    "text/calendar",
    "text/x-vcalendar",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/jpg",
    "image/tiff",
    "image/png",
    "image/webp",
    "audio/basic",
    "audio/mid",
    "audio/mpeg",
    "audio/mp4",
    "audio/wav",
    "audio/amr",
    "audio/3gpp",
    "audio/ogg",
    "video/mp4",
    "video/3gpp",
    "video/3gpp2",
    "video/mpeg",
    "video/quicktime",
];

const EXTENSIONS: [(&str, &str); 31] = [
    ("smil", "application/smil"),
    ("smi", "application/smil"),
    ("txt", "text/plain"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("vcf", "text/vcard"),
    ("ics", "text/calendar"),
    ("vcs", "text/x-vcalendar"),
    ("pdf", "application/pdf"),
    ("dm", "application/vnd.oma.drm.message"),
    ("bmp", "image/bmp"),
    ("gif", "image/gif"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("au", "audio/basic"),
    ("mid", "audio/mid"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("wav", "audio/wav"),
    ("amr", "audio/amr"),
    ("ogg", "audio/ogg"),
    ("mp4", "video/mp4"),
    ("3gp", "video/3gpp"),
    ("3g2", "video/3gpp2"),
    ("mpg", "video/mpeg"),
    ("mpeg", "video/mpeg"),
    ("mov", "video/quicktime"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_lower_case_and_keep_their_parameters() {
        let parsed = MediaType::parse("Text/Plain;Charset=\"UTF-8\"; x=Y").unwrap();
        assert_eq!(parsed.text, "text/plain; Charset=\"UTF-8\"; x=Y");
        assert_eq!(parsed.essence(), "text/plain");
        assert_eq!(parsed.charset().as_deref(), Some("utf-8"));
        assert!(parsed.is_text());
        assert_eq!(MediaType::parse("image/png").unwrap().charset(), None);
    }

    #[test]
    fn what_could_break_out_of_a_header_is_no_type() {
        for bad in [
            "",
            "image",
            "image/",
            "/png",
            "image/png\r\nX: y",
            "image/png; a",
            "image/png; a=b c",
            "image/png; a=\"b\r\n\"",
            "image/png; a=\"b\"c\"",
            "image /png",
            "image/pn€",
            "a/b;;c=d",
        ] {
            assert_eq!(MediaType::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_default_types_are_types_and_extensions_lead_to_them() {
        let types = ContentTypes::default();
        assert_eq!(ContentTypes::new(DEFAULT_TYPES).as_ref(), Ok(&types));
        assert!(EXTENSIONS.iter().all(|(_, kind)| types.contains(kind)));
        assert_eq!(type_by_name("a.b.JPG"), Some("image/jpeg"));
        assert_eq!(type_by_name("jpg"), None);
        assert_eq!(ContentTypes::new(["image/*", "nonsense"]), Err("nonsense".to_owned()));
    }
}
