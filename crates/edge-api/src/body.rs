//! Taking the body of a request: JSON, of limited size, in limited time.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mmsgw_contract::{Problem, ProblemCode};

use crate::api::Api;
use crate::error::Refused;

/// A body that says it is JSON; nobody has read it yet.
pub(crate) struct JsonBody(pub(crate) Bytes);

impl FromRequest<Api> for JsonBody {
    type Rejection = Refused;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Refused> {
        check_type(request.headers())?;
        let (most, body) = (api.max_body, request.into_body());
        let announced = axum::body::HttpBody::size_hint(&body).lower();
        if announced > most as u64 {
            return Err(too_large(most).into());
        }
        let taking = Limited::new(body, most).collect();
        let slow = |_| Problem::new(ProblemCode::RequestTimeout, "the body did not arrive in time");
        let taken = tokio::time::timeout(api.request_timeout, taking).await.map_err(slow)?;
        match taken {
            Ok(body) => Ok(Self(body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large(most).into()),
            Err(error) => Err(Problem::new(ProblemCode::BadRequest, format!("the body: {error}")).into()),
        }
    }
}

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
