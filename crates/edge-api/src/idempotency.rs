//! `Idempotency-Key` on requests that create something: what was carried out once is answered again the same way.
//!
//! The field is that of draft-ietf-httpapi-idempotency-key-header-07, section 2: a string of RFC 8941; a key without
//! the quotes is taken as well. A key belongs to who asks and to the kind of thing asked for.

use aws_lc_rs::digest::{Context, SHA256};
use axum::extract::{FromRequestParts, MatchedPath};
use axum::response::Response;
use http::header::HeaderValue;
use http::request::Parts;
use http::{HeaderName, StatusCode};
use mmsgw_contract::{PartView, Problem, ProblemCode, TemplateView};
use mmsgw_domain::Digest;
use mmsgw_engine::{Claim, Claimed, Made, Repeatable};

use crate::api::Api;
use crate::auth::Caller;
use crate::error::Refused;
use crate::messages::send::message_answer;
use crate::templates::answer;

/// Says in an answer that the request was carried out before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key taken.
const LONGEST: usize = 255;

/// The key of a request, where it has one, and what else makes it this request.
pub(crate) struct Repetition {
    key: Option<String>,
    route: String,
    target: String,
}

impl FromRequestParts<Api> for Repetition {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Refused> {
        let key = parts.headers.get(KEY).map(read_key).transpose()?;
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let target = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        Ok(Self { key, route: route.to_owned(), target: target.to_owned() })
    }
}

fn read_key(value: &HeaderValue) -> Result<String, Problem> {
    let text = value.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let good = |b: u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\');
    if (1..=LONGEST).contains(&key.len()) && key.bytes().all(good) {
        return Ok(key.to_owned());
    }
    let detail = format!("an Idempotency-Key has 1 to {LONGEST} characters of ASCII, without quotes inside");
    Err(Problem::new(ProblemCode::BadIdempotencyKey, detail))
}

impl Repetition {
    /// The key's first half of the truth: a request whose body comes as a stream, told apart by its lines later.
    pub(crate) fn of_stream(self, caller: &Caller) -> Option<Repeatable> {
        self.of(caller, b"")
    }

    /// The request as the engine knows it; none where it has no key.
    pub(crate) fn of(self, caller: &Caller, body: &[u8]) -> Option<Repeatable> {
        let key = self.key?;
        let mut digest = Context::new(&SHA256);
        // No target holds a line end.
        [self.target.as_bytes(), b"\n", body].into_iter().for_each(|piece| digest.update(piece));
        let digest = digest.finish().as_ref().try_into().expect("SHA-256 has 32 octets");
        let owner = format!("{} {}", self.route, caller.name());
        Some(Repeatable { owner, key, digest: Digest::new(digest) })
    }
}

/// Carries a request out, or answers what came of it before.
///
/// Work under a claim goes on where the client goes away, so that its next try finds an end and not a beginning.
pub(crate) async fn once<F>(
    api: &Api,
    request: Option<Repeatable>,
    work: impl FnOnce(Option<Claim>) -> F,
) -> Result<Response, Refused>
where
    F: Future<Output = Result<Response, Refused>> + Send + 'static,
{
    let Some(request) = request else { return work(None).await };
    let claim = match api.engine.claim(&request).await? {
        Claimed::Done(made) => return Ok(again(api, &made)),
        Claimed::Granted(claim) => claim,
    };
    let (working, engine) = (work(Some(claim.clone())), api.engine.clone());
    let under_claim = tokio::spawn(async move {
        let answer = working.await;
        // Where the store said no, nobody knows whether it did it all the same.
        if answer.as_ref().is_err_and(|refused| !refused.is(ProblemCode::StoreUnavailable)) {
            engine.release(&claim).await;
        }
        answer
    });
    under_claim
        .await
        .unwrap_or_else(|_| Err(Problem::new(ProblemCode::Internal, "something went wrong").into()))
}

/// The answer that was given before.
fn again(api: &Api, made: &Made) -> Response {
    let mut response = match made {
        Made::Template(template) => {
            let location = format!("{}/mmsgw/v1/mms/{}", api.base, template.id);
            answer(StatusCode::CREATED, Some(location), &TemplateView::of(template, &api.links))
        }
        Made::Part(part) => {
            let location = format!("{}/mmsgw/v1/mms_part/{}", api.base, part.id);
            answer(StatusCode::CREATED, Some(location), &PartView::of(part, &api.links))
        }
        Made::Message(message, template) => message_answer(api, message, template),
        // The route of a batch never comes here.
        Made::Batch(_) | Made::Nothing => {
            let mut nothing = Response::default();
            *nothing.status_mut() = StatusCode::NO_CONTENT;
            nothing
        }
    };
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
