//! What an administrator orders: the body of a request, and the line that stays of it.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use mmsgw_contract::{Problem, ProblemCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::{Administrator, Refused};

/// A request's body, read strictly.
pub(super) struct Order<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Order<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(order)) => Ok(Self(order)),
            Err(rejection) => Err(Problem::new(code(&rejection), rejection.body_text()).into()),
        }
    }
}

fn code(rejection: &JsonRejection) -> ProblemCode {
    match rejection {
        JsonRejection::JsonDataError(_) => ProblemCode::InvalidRequest,
        JsonRejection::JsonSyntaxError(_) => ProblemCode::MalformedJson,
        JsonRejection::MissingJsonContentType(_) => ProblemCode::UnsupportedMediaType,
        other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => ProblemCode::BodyTooLarge,
        _ => ProblemCode::BadRequest,
    }
}

/// Why something is done; it stands in the log.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 500)]
pub(super) struct Reason(String);

impl Reason {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST_REASON || text.chars().any(char::is_control) {
            return Err("reason: must say in one line of at most 500 octets why this is done");
        }
        Ok(Self(text.to_owned()))
    }
}

/// An order that says nothing but why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Because {
    /// Why; it stands in the log.
    pub(super) reason: Reason,
}

impl Administrator {
    /// The line in the log that every change leaves: who, what, why.
    pub(super) fn leaves(&self, what: &str, object: &str, reason: &Reason) {
        let (who, reason) = (self.name(), reason.as_str());
        tracing::warn!(target: "mmsgw_audit", who, what, object, reason, "administration: {what} {object}");
    }
}

const LONGEST_REASON: usize = 500;
