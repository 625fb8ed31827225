//! `GET /admin/v1/messages/<id>/parts/<part>`: what a part of a message holds, for eyes.

use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use mmsgw_contract::{Problem, ProblemCode};
use mmsgw_domain::PartContent;

use super::messages::seen;
use super::{Administrator, Refused, in_time};
use crate::router::Ops;

/// Answers the octets of a part: pictures that browsers show safely as such, all else to be kept as a file.
#[utoipa::path(
    get, path = "/admin/v1/messages/{id}/parts/{part}", tag = "messages",
    params(
        ("id" = String, Path, description = "The message's id"),
        ("part" = String, Path, description = "The part's id, as the message shows it"),
    ),
    responses(
        (status = 200, description = "The octets", content_type = "*/*"),
        (status = 404, description = "There is no such part, or its octets are not here"),
    )
)]
pub(super) async fn read(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path((id, part)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let missing = || Refused::from(Problem::new(ProblemCode::NotFound, "there is no such part, or not here"));
    let id = id.parse().map_err(|_| missing())?;
    let (_, template) = seen(&administrator, &ops, id).await?;
    let part =
        template.content.parts.iter().find(|known| known.id.to_string() == part).ok_or_else(missing)?;
    let octets = match &part.content {
        PartContent::Text(text) => Bytes::from(text.clone()),
        PartContent::Blob(blob) => {
            in_time(&ops, ops.engine.media(&blob.digest)).await?.ok_or_else(missing)?
        }
        PartContent::Url(_) => return Err(missing()),
    };
    let essence = part.content_type.split(';').next().unwrap_or_default().trim();
    let shown = SHOWN.iter().find(|known| **known == essence);
    let (kind, disposition) =
        shown.map_or(("application/octet-stream", "attachment"), |kind| (kind, "inline"));
    // It comes from strangers: a browser must neither guess its type, nor run it, nor let it reach anything.
    let headers: [(HeaderName, HeaderValue); 5] = [
        (CONTENT_TYPE, kind),
        (CONTENT_DISPOSITION, disposition),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (CACHE_CONTROL, "no-store"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)));
    Ok((headers, octets).into_response())
}

/// Pictures that are nothing but pictures.
const SHOWN: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
