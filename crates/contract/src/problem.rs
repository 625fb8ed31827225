//! Problems: how the API says no (RFC 9457).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FaultCode, ProblemCode};

/// A problem of one request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// What kind of problem it is.
    pub code: ProblemCode,
    /// This occurrence of it, for people.
    pub detail: String,
    /// The fields that are at fault.
    pub errors: Vec<Fault>,
    /// A reference to this occurrence, the same as in the log.
    pub instance: Option<String>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where (RFC 6901).
    pub pointer: String,
    /// What kind of fault it is.
    pub code: FaultCode,
    /// What is wrong and what would be right, for people.
    pub detail: String,
}

impl Problem {
    /// A problem without fields at fault.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), instance: None, retry_after: None }
    }

    /// Fields at fault.
    pub fn invalid(errors: Vec<Fault>) -> Self {
        let detail = match errors.as_slice() {
            [] => String::new(),
            [only] => only.detail.clone(),
            [first, rest @ ..] => format!("{} (and {} more)", first.detail, rest.len()),
        };
        Self { errors, ..Self::new(ProblemCode::InvalidRequest, detail) }
    }

    /// One field at fault.
    pub fn field(pointer: impl Into<String>, code: FaultCode, detail: impl Into<String>) -> Self {
        Self::invalid(vec![Fault { pointer: pointer.into(), code, detail: detail.into() }])
    }

    /// The same problem, which may be over after `pause`.
    #[must_use]
    pub fn retry_after(self, pause: Duration) -> Self {
        Self { retry_after: Some(pause), ..self }
    }

    /// The JSON form.
    pub fn view(self) -> ProblemView {
        let errors = self.errors.into_iter().map(|fault| FaultView {
            pointer: fault.pointer,
            code: fault.code.name().to_owned(),
            detail: fault.detail,
        });
        ProblemView {
            kind: format!("{PROBLEM_PATH}/{}", self.code),
            title: self.code.title().to_owned(),
            status: self.code.status(),
            detail: self.detail,
            code: self.code.name().to_owned(),
            advice: self.code.advice().to_owned(),
            errors: errors.collect(),
            instance: self.instance,
        }
    }
}

/// Where the description of a problem type is served, followed by its code.
const PROBLEM_PATH: &str = "/mmsgw/v1/problems";

/// A problem (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemView {
    /// Reference to the description of this kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "/mmsgw/v1/problems/invalid_request")]
    pub kind: String,
    /// Short summary, the same for each occurrence.
    pub title: String,
    /// HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// This occurrence, for people.
    pub detail: String,
    /// Stable code, for programs.
    #[schema(example = "invalid_request")]
    pub code: String,
    /// What can be done.
    pub advice: String,
    /// Fields at fault; at most 20 are named.
    #[serde(default)]
    pub errors: Vec<FaultView>,
    /// Reference to this occurrence, the same as in the log.
    pub instance: Option<String>,
}

/// A field at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Fault)]
pub struct FaultView {
    /// JSON pointer (RFC 6901) into the request's body.
    #[schema(example = "/parts/0/content_type")]
    pub pointer: String,
    /// Stable code, for programs.
    #[schema(example = "unsupported_type")]
    pub code: String,
    /// What is wrong and what would be right, for people.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_rfc_9457_has_it() {
        let mut problem = Problem::field("/gateway", FaultCode::UnknownGateway, "there is no `x`");
        problem.instance = Some("/mmsgw/v1/mms#1".into());
        let json = serde_json::to_value(problem.view()).unwrap();
        assert_eq!(json["type"], "/mmsgw/v1/problems/invalid_request");
        assert_eq!(json["status"], 422);
        assert_eq!(json["code"], "invalid_request");
        assert_eq!(json["detail"], "there is no `x`");
        assert_eq!(json["errors"][0]["pointer"], "/gateway");
        assert_eq!(json["errors"][0]["code"], "unknown_gateway");
        assert_eq!(json["instance"], "/mmsgw/v1/mms#1");
    }
}
