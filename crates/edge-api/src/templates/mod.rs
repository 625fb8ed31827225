//! Templates: one endpoint a file, and what they share.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod read;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use mmsgw_contract::{PartBody, PartRequest, Problem, ProblemCode, TemplateRequest};
use mmsgw_domain::Id;
use mmsgw_engine::{DraftContent, PartDraft, Submission, TemplateDraft};
use serde::Serialize;

use crate::error::Refused;

/// An answer in JSON.
pub(crate) fn answer(status: StatusCode, location: Option<String>, view: &impl Serialize) -> Response {
    let body = serde_json::to_vec(view).expect("a view has text keys and plain values only");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
        headers.insert(LOCATION, location);
    }
    response
}

/// An id in a path; a text that is no id names nothing that exists.
pub(crate) fn id_in_path<K>(text: &str, what: &str) -> Result<Id<K>, Refused> {
    let unknown = |_| Problem::new(ProblemCode::NotFound, format!("there is no such {what}")).into();
    text.parse().map_err(unknown)
}

/// The engine's draft of a part.
pub(crate) fn part_draft(part: PartRequest) -> PartDraft {
    match part {
        PartRequest::Existing(id) => PartDraft::Existing(id),
        PartRequest::New { name, content_type, body } => {
            let content = match body {
                PartBody::Text(text) => DraftContent::Text(text),
                PartBody::Octets(octets) => DraftContent::Octets(Bytes::from(octets)),
                PartBody::Url(url) => DraftContent::Url(url),
            };
            PartDraft::New { name, content_type, content }
        }
    }
}

/// What a request of `POST /mmsgw/v1/mms` asks the engine for: the template, and the message to be sent from it
/// where it says so. Whether a caller may ask for that is not looked at.
pub fn drafts(mut request: TemplateRequest) -> (TemplateDraft, Option<Submission>) {
    let submission = request.send.take().map(crate::messages::send::unchecked_submission);
    (template_draft(request), submission)
}

fn template_draft(request: TemplateRequest) -> TemplateDraft {
    TemplateDraft { content: request.content, parts: request.parts.into_iter().map(part_draft).collect() }
}
