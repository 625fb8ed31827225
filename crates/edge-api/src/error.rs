//! From what went wrong to a problem, and from a problem to an answer.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use mmsgw_contract::{Fault, FaultCode, Problem, ProblemCode};
use mmsgw_engine::{Field, LineFault, Refusal, Unfit};

/// An answer that says no. Its body is written by the envelope, which knows the instance.
#[derive(Debug)]
pub(crate) struct Refused(Box<Problem>);

impl Refused {
    /// What it says of a line of a batch.
    pub(crate) fn line_fault(self) -> LineFault {
        let Problem { code, detail, errors, .. } = *self.0;
        let first = errors.into_iter().next();
        first.map_or_else(
            || LineFault { code: code.name().to_owned(), pointer: String::new(), detail: detail.clone() },
            |fault| LineFault {
                code: fault.code.name().to_owned(),
                pointer: fault.pointer,
                detail: fault.detail,
            },
        )
    }

    /// Whether it is a problem of that kind.
    pub(crate) fn is(&self, code: ProblemCode) -> bool {
        self.0.code == code
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::from_u16(self.0.code.status()).unwrap_or_default();
        let headers = response.headers_mut();
        if let Some(pause) = self.0.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(pause.as_secs().max(1)));
        }
        if self.0.code == ProblemCode::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"mmsgw\""));
        }
        response.extensions_mut().insert(*self.0);
        response
    }
}

/// Where in a request the engine's fields stand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Places {
    /// What comes before the fields of sending.
    pub(crate) send: &'static str,
    /// Elements of `parts` before the first part.
    pub(crate) skipped: usize,
    /// Parts in the request.
    pub(crate) parts: usize,
    /// Whether the request is a part on its own.
    pub(crate) lone_part: bool,
    /// Whether the request states the times of delivery.
    pub(crate) times: bool,
}

impl Places {
    fn pointer(&self, field: Field) -> String {
        match field {
            Field::Parts => "/parts".to_owned(),
            Field::Part(index) => self.part(index),
            Field::PartUrl(index) => format!("{}/content_url", self.part(index)),
            Field::Subject => "/subject".to_owned(),
            Field::Variables => format!("{}/variables", self.send),
            Field::Recipients => format!("{}/destination", self.send),
            Field::EarliestDelivery if self.times => "/earliest_delivery".to_owned(),
            Field::LatestDelivery if self.times => "/latest_delivery".to_owned(),
            Field::EarliestDelivery | Field::LatestDelivery => String::new(),
            Field::Gateway => "/gateway".to_owned(),
            Field::Message => "/message".to_owned(),
            Field::PeerRef => "/peer_ref".to_owned(),
            Field::AppliesTo => "/applies_to".to_owned(),
        }
    }

    fn part(&self, index: usize) -> String {
        if self.lone_part {
            String::new()
        } else if index < self.parts {
            format!("/parts/{}", index + self.skipped)
        } else {
            "/parts".to_owned()
        }
    }

    /// The engine's refusal as a problem of the request.
    pub(crate) fn refused(&self, refusal: Refusal) -> Refused {
        let why = refusal.to_string();
        let gateway = || format!("{}/gateway", self.send);
        let problem = match refusal {
            Refusal::Unknown(_) => Problem::new(ProblemCode::NotFound, why),
            Refusal::Invalid { field, .. } => {
                Problem::field(self.pointer(field), FaultCode::NotAcceptable, why)
            }
            Refusal::MissingVariables(names) => {
                let fault = |name: &String| Fault {
                    pointer: format!("{}/variables/{name}", self.send),
                    code: FaultCode::MissingVariable,
                    detail: format!("the template needs the variable `{name}`, which has no default"),
                };
                Problem::invalid(names.iter().map(fault).collect())
            }
            Refusal::Unfit { part, unfit } => {
                let pointer = match part {
                    Some(index) => self.part(index),
                    None if self.parts > 0 => "/parts".to_owned(),
                    None => gateway(),
                };
                Problem::field(pointer, unfit_code(&unfit), why)
            }
            Refusal::NoGroup => Problem::field(gateway(), FaultCode::NoGateway, why),
            Refusal::UnknownGroup(_) => Problem::field(gateway(), FaultCode::UnknownGateway, why),
            Refusal::NoRecipient => {
                Problem::field(format!("{}/destination", self.send), FaultCode::NoRecipient, why)
            }
            Refusal::Conflict => Problem::new(ProblemCode::Conflict, why),
            Refusal::KeyReused => Problem::new(ProblemCode::IdempotencyKeyReused, why),
            Refusal::StillRunning { retry_after } => {
                Problem::new(ProblemCode::RequestInProgress, why).retry_after(retry_after)
            }
            Refusal::TooLate => Problem::new(ProblemCode::TooLate, why),
            Refusal::NotAmendable => Problem::new(ProblemCode::NotAmendable, why),
            Refusal::BeingSent { retry_after } => {
                Problem::new(ProblemCode::BeingSent, why).retry_after(retry_after)
            }
            Refusal::BulkCancelled => Problem::new(ProblemCode::BatchCancelled, why),
            Refusal::Overloaded { retry_after } => {
                Problem::new(ProblemCode::Overloaded, why).retry_after(retry_after)
            }
            Refusal::Store(error) => {
                tracing::error!(%error, "the store refuses");
                let detail = "the store cannot do it now";
                Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(STORE_PAUSE)
            }
        };
        problem.into()
    }
}

fn unfit_code(unfit: &Unfit) -> FaultCode {
    match unfit {
        Unfit::TooLarge { .. } => FaultCode::ContentTooLarge,
        Unfit::TooManyPixels { .. } => FaultCode::PictureTooLarge,
        Unfit::Type { .. } => FaultCode::TypeNotTaken,
        Unfit::Picture { .. } => FaultCode::BadPicture,
        Unfit::NoSuchPart { .. } => FaultCode::NoSuchPart,
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Places::default().refused(refusal)
    }
}

const STORE_PAUSE: Duration = Duration::from_secs(5);
