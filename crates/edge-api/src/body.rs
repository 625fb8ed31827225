//! Taking the body of a request: JSON, of limited size, in limited time.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use mmsgw_contract::{Problem, ProblemCode};

use crate::admission::{Place, busy};
use crate::api::Api;
use crate::error::Refused;

/// A body that says it is JSON; nobody has read it yet.
pub(crate) struct JsonBody(pub(crate) Bytes);

impl FromRequest<Api> for JsonBody {
    type Rejection = Refused;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Refused> {
        let checked = check_type(request.headers());
        let place = request.extensions().get::<Place>().cloned();
        let (most, mut body) = (api.max_body, request.into_body());
        let announced = HttpBody::size_hint(&body).lower();
        let taken = match checked {
            Ok(()) if announced > most as u64 => Err(too_large(most)),
            Ok(()) => {
                let slow =
                    |_| Err(Problem::new(ProblemCode::RequestTimeout, "the body did not arrive in time"));
                tokio::time::timeout(api.request_timeout, take(&mut body, most, place.as_ref()))
                    .await
                    .unwrap_or_else(slow)
            }
            Err(problem) => Err(problem),
        };
        taken.map(Self).map_err(|problem| {
            pour_away(body);
            problem.into()
        })
    }
}

/// The body, where it has at most `most` octets and `place` has room for them.
async fn take(body: &mut Body, most: usize, place: Option<&Place>) -> Result<Bytes, Problem> {
    let mut taken = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Problem::new(ProblemCode::BadRequest, format!("the body: {error}")))?;
        let Ok(octets) = frame.into_data() else { continue };
        if octets.len() > most - taken.len() {
            return Err(too_large(most));
        }
        if !place.is_none_or(|place| place.grow(taken.len() + octets.len())) {
            return Err(busy());
        }
        taken.extend_from_slice(&octets);
    }
    Ok(taken.freeze())
}

/// Reads what is left of a refused body, while the refusal is on its way. A client that still writes when
/// the connection closes would lose the answer. Bounded in octets and in time.
pub(crate) fn pour_away(mut body: Body) {
    let pouring = async move {
        let mut left = MOST_POURED;
        while let Some(Ok(frame)) = body.frame().await {
            let octets = frame.data_ref().map_or(0, Bytes::len);
            if octets > left {
                return;
            }
            left -= octets;
        }
    };
    tokio::spawn(tokio::time::timeout(POURING, pouring));
}

/// Most octets of a refused body that are read.
const MOST_POURED: usize = 256 << 20;
/// How long a refused body is read.
const POURING: Duration = Duration::from_secs(10);

fn too_large(most: usize) -> Problem {
    Problem::new(ProblemCode::BodyTooLarge, format!("the body is larger than {most} octets"))
}

/// `application/json`, or a type that ends in `+json` (RFC 6839 clause 3.1).
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let stated = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = stated.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail = if essence.is_empty() {
        "the request states no Content-Type".to_owned()
    } else {
        format!("`{essence}` is not taken")
    };
    Err(Problem::new(ProblemCode::UnsupportedMediaType, detail))
}
