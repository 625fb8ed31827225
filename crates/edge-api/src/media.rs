//! `GET /mmsgw/v1/media/<digest>/<name>`: octets of a part.
//!
//! Media come from strangers. A browser that opens one must neither guess its type, nor run it, nor
//! let it reach anything.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use mmsgw_contract::{Problem, ProblemCode, ProblemView, type_by_name};
use mmsgw_domain::Digest;

use crate::api::Api;
use crate::auth::Reader;
use crate::error::Refused;

/// Answers the octets of a part.
#[utoipa::path(
    get, path = "/mmsgw/v1/media/{digest}/{name}", tag = "media",
    params(
        ("digest" = String, Path, description = "SHA-256 of the octets, 64 hexadecimal digits"),
        ("name" = String, Path, description = "File name, which suggests the media type"),
        ("type" = Option<String>, Query, description = "The media type, where the name suggests another"),
    ),
    responses(
        (status = 200, description = "The octets, as the part's media type", content_type = "*/*"),
        (status = 304, description = "The caller has them already"),
        (status = 404, description = "There are none", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn read_media(
    State(api): State<Api>,
    _: Reader,
    Path((digest, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let missing = || Problem::new(ProblemCode::NotFound, "there is no such medium");
    let digest: Digest = digest.parse().map_err(|_| missing())?;
    let etag = HeaderValue::try_from(format!("\"{digest}\"")).map_err(|_| missing())?;
    // Octets never change under their digest, so whoever has them need not ask the store.
    let has_it = headers.get(IF_NONE_MATCH).is_some_and(|seen| names(seen, &etag));
    let octets = if has_it { None } else { Some(api.engine.media(&digest).await?.ok_or_else(missing)?) };
    let kind = media_type(&api, query.as_deref(), &name);
    let mut response = Response::new(octets.map_or_else(Body::empty, Body::from));
    if has_it {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CONTENT_DISPOSITION, disposition(&name));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    Ok(response)
}

/// Whether `If-None-Match` names the octets.
fn names(seen: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(seen), Ok(etag)) = (seen.to_str(), etag.to_str()) else { return false };
    seen.split(',').any(|one| {
        let one = one.trim();
        one.strip_prefix("W/").unwrap_or(one) == etag
    })
}

/// The type the query states if parts may have it, or the one the name suggests.
fn media_type(api: &Api, query: Option<&str>, name: &str) -> HeaderValue {
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let stated = pairs.find(|(key, _)| key == "type").map(|(_, kind)| kind.to_ascii_lowercase());
    let stated = stated.filter(|kind| api.rules.content_types.contains(kind));
    stated
        .and_then(|kind| HeaderValue::try_from(kind).ok())
        .or_else(|| type_by_name(name).map(HeaderValue::from_static))
        .unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// `attachment` with the name as RFC 6266 and RFC 8187 have it.
fn disposition(name: &str) -> HeaderValue {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(b);
    let encoded = name.bytes().fold(String::from("attachment; filename*=UTF-8''"), |mut text, octet| {
        if plain(&octet) {
            text.push(char::from(octet));
        } else {
            text.push_str(&format!("%{octet:02X}"));
        }
        text
    });
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static("attachment"))
}
