//! Parts, in a template or on their own.

use std::borrow::Cow;

use encodify::base64::{Padding, STANDARD};
use mmsgw_domain::{PartId, Timestamp};

use crate::json::Json;
use crate::media_type::MediaType;
use crate::reader::{At, Context, Object, quoted};
use crate::scalar::{breaks_a_text, line, part_id, url};
use crate::{FaultCode, Problem, Rules};

/// A part of a template to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartRequest {
    /// A new part.
    New {
        /// File name: no control characters, no path.
        name: String,
        /// Media type, lower case, with parameters as given.
        content_type: String,
        /// The content.
        body: PartBody,
    },
    /// A part that was created on its own.
    Existing(PartId),
}

/// The content of a new part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartBody {
    /// Text.
    Text(String),
    /// Octets that came as base64.
    Octets(Vec<u8>),
    /// An `http`, `https` or `file` URL to fetch it from.
    Url(String),
}

impl PartRequest {
    /// Reads the body of `POST /mmsgw/v1/mms_part`, always a new part.
    ///
    /// # Errors
    /// A [`Problem`] that names every fault.
    pub fn read(body: &[u8], rules: &Rules, now: Timestamp) -> Result<Self, Problem> {
        Context::read(body, rules, now, new_part)
    }

    /// Reads an element of `parts`: an object, or the id of a part.
    pub(crate) fn read_item(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Self> {
        match json {
            Json::Text(_) => part_id(json, at, context).map(Self::Existing),
            Json::Object(_) => new_part(json, at, context),
            other => context.wrong_type(at, &other, "a part as an object, or its id as a string"),
        }
    }
}

fn new_part(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<PartRequest> {
    let mut object = Object::open(json, at, context)?;
    let name = read_name(&mut object, context);
    let content_type = object.required("content_type", MediaType::read);
    let encoding = object.optional("encoding", read_encoding);
    let content = object.take("content").filter(|json| *json != Json::Null);
    let location = object.take("content_url").filter(|json| *json != Json::Null);
    let body = match (content, location) {
        (Some(content), None) => {
            let at = at.field("content");
            content_type.as_ref().and_then(|kind| read_content(content, kind, encoding, &at, context))
        }
        (None, Some(location)) => read_location(location, &at.field("content_url"), context),
        (Some(_), Some(_)) => {
            let detail = "give `content` or `content_url`, not both";
            object.fault("content_url", FaultCode::Exclusive, detail)
        }
        (None, None) => {
            let detail = "one of `content` and `content_url` is missing";
            object.fault("content", FaultCode::Required, detail)
        }
    };
    object.finish();
    Some(PartRequest::New { name: name?, content_type: content_type?.text, body: body? })
}

/// The name, under either of its two field names.
fn read_name(object: &mut Object<'_, '_>, context: &Context<'_>) -> Option<String> {
    let faults = context.faults();
    let name = object.optional("name", part_name);
    let alias = object.optional("content_name", part_name);
    match (name, alias) {
        (Some(name), Some(alias)) if name != alias => {
            let detail = "`name` and `content_name` mean the same and must agree";
            object.fault("content_name", FaultCode::Disagrees, detail)
        }
        (None, None) if context.faults() == faults => {
            object.fault("name", FaultCode::Required, "`name` is missing")
        }
        (name, alias) => name.or(alias),
    }
}

/// A file name by which SMIL refers to the part; it stands in headers and in URLs.
fn part_name(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<String> {
    let name = line(json, at, context, context.rules.limits.name)?;
    let path = name.chars().any(|c| matches!(c, '/' | '\\' | '"' | '<' | '>'));
    if path || name.trim() != name || matches!(name.as_str(), "" | "." | "..") {
        let detail = format!("`{}` cannot name a part; give a file name without path", quoted(&name));
        return context.fault(at, FaultCode::BadName, detail);
    }
    Some(name)
}

/// How `content` is written.
#[derive(Debug, Clone, Copy)]
enum Encoding {
    Base64,
}

fn read_encoding(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Encoding> {
    crate::scalar::word(json, at, context, &[("base64", Encoding::Base64)])
}

fn read_location(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<PartBody> {
    match json {
        Json::Text(text) => url(&text, at, context, &["http", "https", "file"]).map(PartBody::Url),
        other => context.wrong_type(at, &other, "a URL as a string"),
    }
}

fn read_content(
    json: Json<'_>,
    kind: &MediaType,
    encoding: Option<Encoding>,
    at: &At<'_>,
    context: &Context<'_>,
) -> Option<PartBody> {
    let Json::Text(text) = json else { return context.wrong_type(at, &json, "a string") };
    match encoding {
        Some(Encoding::Base64) => read_base64(&text, kind, at, context),
        None if !kind.is_text() => {
            let detail = format!(
                "{} cannot stand here as text; give it in base64 with `encoding`, or by `content_url`",
                kind.essence()
            );
            context.fault(at, FaultCode::BadEncoding, detail)
        }
        None => read_text(text, kind, at, context),
    }
}

/// Text as it is. It is sent as UTF-8, so another charset would be untrue.
fn read_text(text: Cow<'_, str>, kind: &MediaType, at: &At<'_>, context: &Context<'_>) -> Option<PartBody> {
    let charset = kind.charset();
    let told_true = match charset.as_deref() {
        None | Some("utf-8") => true,
        Some("us-ascii") => text.is_ascii(),
        Some(_) => false,
    };
    if !told_true {
        let detail = "text is sent as UTF-8; leave charset out, or give the octets in base64";
        return context.fault(at, FaultCode::Disagrees, detail);
    }
    if let Some(bad) = text.chars().find(|c| breaks_a_text(*c)) {
        let detail = format!("the character U+{:04X} may not stand in text; remove it", u32::from(bad));
        return context.fault(at, FaultCode::BadCharacter, detail);
    }
    Some(PartBody::Text(text.into_owned()))
}

/// Octets; text in UTF-8 becomes text.
fn read_base64(text: &str, kind: &MediaType, at: &At<'_>, context: &Context<'_>) -> Option<PartBody> {
    let blank = |b: &u8| b.is_ascii_whitespace();
    let codec = STANDARD.with_padding(Padding::Optional);
    let decoded = if text.as_bytes().iter().any(blank) {
        codec.decode(text.bytes().filter(|b| !blank(b)).collect::<Vec<u8>>())
    } else {
        codec.decode(text)
    };
    let Ok(octets) = decoded else {
        let detail = "the content is no base64 as RFC 4648 clause 4 has it";
        return context.fault(at, FaultCode::BadEncoding, detail);
    };
    if !kind.is_text() || !matches!(kind.charset().as_deref(), None | Some("utf-8" | "us-ascii")) {
        return Some(PartBody::Octets(octets));
    }
    match String::from_utf8(octets) {
        Ok(text) => read_text(Cow::Owned(text), kind, at, context),
        Err(_) => {
            let detail = "the text is no UTF-8; name its charset in content_type";
            context.fault(at, FaultCode::BadEncoding, detail)
        }
    }
}
