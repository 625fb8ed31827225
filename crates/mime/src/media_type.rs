//! Media types and their parameters (RFC 2045 clause 5.1, RFC 2231): tolerant reading, strict
//! writing.

use crate::{charset, transfer};
use std::{fmt, str::FromStr};

/// A media type such as `image/jpeg; name="a.jpg"`. Type, subtype and parameter names are kept in
/// lower case; parameters keep their order and hold decoded text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaType {
    essence: String,
    params: Vec<(String, String)>,
}

/// The text names no media type: no `type/subtype` of token characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no type/subtype at the start of the media type")]
pub struct MediaTypeError;

impl MediaType {
    /// `application/octet-stream`, the type of octets nobody described.
    pub fn octet_stream() -> Self {
        Self { essence: "application/octet-stream".to_owned(), params: Vec::new() }
    }

    /// `text/plain` without a charset, the type of a part without `Content-Type` (RFC 2045
    /// clause 5.2).
    pub fn text_plain() -> Self {
        Self { essence: "text/plain".to_owned(), params: Vec::new() }
    }

    /// Type and subtype in lower case, without parameters.
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// The value of the parameter `name` (any case).
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The parameters in order, names in lower case.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same type with the parameter set, replacing one of that name. Characters that may not
    /// stand in a parameter name are left out of `name`; a name without any others changes nothing.
    pub fn with_param(mut self, name: &str, value: impl Into<String>) -> Self {
        let name: String = name.chars().filter(|&c| is_token(c)).map(|c| c.to_ascii_lowercase()).collect();
        if name.is_empty() {
            return self;
        }
        self.params.retain(|(known, _)| *known != name);
        self.params.push((name, value.into()));
        self
    }

    /// The same type without the parameter `name`.
    pub fn without_param(mut self, name: &str) -> Self {
        self.params.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// Whether the body is text that a person or a parser reads: `text/*`, SMIL and other XML.
    pub fn is_text(&self) -> bool {
        let essence = self.essence.as_str();
        essence.starts_with("text/")
            || matches!(essence, "application/smil" | "application/smil+xml" | "application/xml")
            || essence.ends_with("+xml")
    }

    /// Whether the body is a multipart.
    pub fn is_multipart(&self) -> bool {
        self.essence.starts_with("multipart/")
    }

    /// Whether the body is a SMIL presentation.
    pub fn is_smil(&self) -> bool {
        matches!(self.essence.as_str(), "application/smil" | "application/smil+xml")
    }

    /// The mail name of a WAP multipart type: `application/vnd.wap.multipart.related` becomes
    /// `multipart/related`; any other type stays.
    pub fn without_wap(mut self) -> Self {
        if let Some(subtype) = self.essence.strip_prefix("application/vnd.wap.multipart.") {
            self.essence = format!("multipart/{subtype}");
        }
        self
    }
}

/// Reads a media type as it comes: names in any case, white space round `;` and `=`, bare values
/// with characters that should have been quoted, empty parameters, a comment at the end, RFC 2231
/// continuations and charsets. The first of two parameters of one name counts.
impl FromStr for MediaType {
    type Err = MediaTypeError;

    fn from_str(text: &str) -> Result<Self, MediaTypeError> {
        let (essence, rest) = text.split_once(';').unwrap_or((text, ""));
        let essence = essence.split(['(', ',']).next().unwrap_or_default().trim();
        let (kind, subtype) = essence.split_once('/').ok_or(MediaTypeError)?;
        let (kind, subtype) = (kind.trim(), subtype.trim());
        let named = |part: &str| !part.is_empty() && part.chars().all(is_token);
        if !named(kind) || !named(subtype) {
            return Err(MediaTypeError);
        }
        let essence = format!("{kind}/{subtype}").to_ascii_lowercase();
        Ok(Self { essence, params: read_params(rest) })
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.essence)?;
        for (name, value) in &self.params {
            f.write_str("; ")?;
            write_param(f, name, value)?;
        }
        Ok(())
    }
}

fn write_param(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    if !value.is_empty() && value.chars().all(is_token) {
        return write!(f, "{name}={value}");
    }
    if value.chars().all(|c| matches!(c, ' '..='~')) {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        return write!(f, "{name}=\"{quoted}\"");
    }
    let mut escaped = String::with_capacity(value.len() * 3);
    transfer::percent_encode(value, &mut escaped);
    write!(f, "{name}*={}''{escaped}", charset::written())
}

/// Characters of an RFC 2045 token.
pub(crate) fn is_token(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c)
}

/// The parameters after the first `;` of a header value such as `Content-Type` or
/// `Content-Disposition`, decoded, names in lower case. At most 64 are kept.
pub(crate) fn read_params(text: &str) -> Vec<(String, String)> {
    let mut plain: Vec<(String, String)> = Vec::new();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = text;
    while let Some((name, value, after)) = next_param(rest) {
        rest = after;
        let name = name.to_ascii_lowercase();
        if plain.len() + pieces.len() >= MAX_PARAMS {
            break;
        }
        match Piece::new(&name, &value) {
            Some(piece) => pieces.push(piece),
            None if !name.is_empty() && name.chars().all(is_token) && !has(&plain, &name) => {
                plain.push((name, value));
            }
            None => {}
        }
    }
    join_pieces(pieces, &mut plain);
    plain
}

const MAX_PARAMS: usize = 64;

fn has(params: &[(String, String)], name: &str) -> bool {
    params.iter().any(|(known, _)| known == name)
}

/// Cuts one `name=value` off `text`; skips what is no parameter. Gives name, value and the rest.
fn next_param(text: &str) -> Option<(&str, String, &str)> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
        if rest.is_empty() {
            return None;
        }
        let stop = rest.find(['=', ';']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(stop);
        let Some(after) = after.strip_prefix('=') else {
            rest = after;
            continue;
        };
        let (value, after) = read_value(after.trim_start());
        return Some((name.trim(), value, after));
    }
}

/// A quoted or bare value at the start of `text`, and what follows it.
fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let stop = text.find(';').unwrap_or(text.len());
        let (value, rest) = text.split_at(stop);
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let rest = &quoted[at + 1..];
                return (value, &rest[rest.find(';').unwrap_or(rest.len())..]);
            }
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// One section of an RFC 2231 parameter: `name*`, `name*0`, `name*0*`.
struct Piece {
    name: String,
    section: u16,
    extended: bool,
    value: String,
}

impl Piece {
    fn new(name: &str, value: &str) -> Option<Self> {
        let (base, tail) = name.split_once('*')?;
        let (number, extended) = match tail.strip_suffix('*') {
            Some(number) => (number, true),
            None => (tail, tail.is_empty()),
        };
        let section = if number.is_empty() { 0 } else { number.parse().ok()? };
        let named = !base.is_empty() && base.chars().all(is_token);
        named.then(|| Self { name: base.to_owned(), section, extended, value: value.to_owned() })
    }
}

/// Joins the sections of each name in order and decodes them; an extended parameter replaces a
/// plain one of the same name.
fn join_pieces(mut pieces: Vec<Piece>, params: &mut Vec<(String, String)>) {
    pieces.sort_by(|a, b| a.name.cmp(&b.name).then(a.section.cmp(&b.section)));
    for group in pieces.chunk_by(|a, b| a.name == b.name) {
        let mut octets = Vec::new();
        let mut label = None;
        for piece in group {
            let mut value = piece.value.as_str();
            if piece.extended && piece.section == 0 && label.is_none() {
                let mut fields = value.splitn(3, '\'');
                if let (Some(name), Some(_language), Some(text)) =
                    (fields.next(), fields.next(), fields.next())
                {
                    (label, value) = (Some(name), text);
                }
            }
            match piece.extended {
                true => octets.extend(transfer::percent_decode(value.as_bytes())),
                false => octets.extend_from_slice(value.as_bytes()),
            }
        }
        let name = group[0].name.clone();
        params.retain(|(known, _)| *known != name);
        params.push((name, charset::decode(&octets, label.filter(|label| !label.is_empty()))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> MediaType {
        text.parse().unwrap()
    }

    #[test]
    fn forms_of_the_field() {
        let media =
            read("multipart/related;Start=\"<smil>\";Type=\"application/smil\"; \tboundary=\"--=_P_1.2\"");
        assert_eq!(media.essence(), "multipart/related");
        assert_eq!(media.param("START"), Some("<smil>"));
        assert_eq!(media.param("boundary"), Some("--=_P_1.2"));
        assert_eq!(read("image/jpeg ; Name = Resized_1.jpeg").param("name"), Some("Resized_1.jpeg"));
        assert_eq!(read("image/gif; "), read("IMAGE/GIF"));
        assert_eq!(read("image/gif;;x;=y;name=a=b").param("name"), Some("a=b"));
        assert_eq!(read("text/plain; charset=\"utf-8").param("charset"), Some("utf-8"));
        assert_eq!(read("text/plain (body); charset=utf-8").param("charset"), Some("utf-8"));
    }

    #[test]
    fn extended_parameters() {
        assert_eq!(read("a/b; name*=UTF-8''caf%C3%A9.jpg").param("name"), Some("café.jpg"));
        assert_eq!(
            read("a/b; name*1*=%E9.jpg; name*0*=iso-8859-1'fr'caf; name=plain").param("name"),
            Some("café.jpg")
        );
        assert_eq!(read("a/b; name*0=one; name*1=\" two\"").param("name"), Some("one two"));
    }

    #[test]
    fn what_is_no_media_type() {
        for text in ["", "text", "/", "a/", "/b", "a b/c", "é/x", ";charset=x"] {
            assert_eq!(text.parse::<MediaType>(), Err(MediaTypeError), "{text}");
        }
    }

    #[test]
    fn written_strictly() {
        let media = read("application/smil")
            .with_param("name", "a \"b\".smil")
            .with_param("X-É", "é\n")
            .with_param("charset", "utf-8");
        assert_eq!(
            media.to_string(),
            r#"application/smil; name="a \"b\".smil"; x-*=utf-8''%C3%A9%0A; charset=utf-8"#
        );
    }

    #[test]
    fn wap_types_have_mail_names() {
        assert_eq!(
            read("application/vnd.wap.multipart.related").without_wap().essence(),
            "multipart/related"
        );
        assert!(read("multipart/x").is_multipart());
    }

    proptest! {
        #[test]
        fn written_then_read(values in prop::collection::vec(("[a-z]{1,8}", any::<String>()), 0..5)) {
            let mut media = read("image/png");
            for (name, value) in values {
                media = media.with_param(&name, value.trim_start_matches('\u{feff}'));
            }
            let text = media.to_string();
            prop_assert!(text.chars().all(|c| matches!(c, ' '..='~')));
            let again = read(&text);
            for (name, value) in media.params() {
                prop_assert_eq!(again.param(name), Some(value));
            }
        }

        #[test]
        fn any_text_is_read(text in any::<String>()) {
            let _ = text.parse::<MediaType>();
            let _ = read_params(&text);
        }
    }
}
