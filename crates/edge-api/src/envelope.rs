//! Around every request: its id, its span in the log, its time limit, and problems in one form.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};
use mmsgw_contract::{Problem, ProblemCode};
use tracing::Instrument;

use crate::error::Refused;

/// Names a request in answers and in the log; a proxy may have given it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id taken from a proxy.
const MAX_REQUEST_ID: usize = 64;

/// How long an answer may take; none where the body comes as a stream, which sees to it by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerLimit(pub(crate) Option<Duration>);

pub(crate) async fn envelope(
    State(AnswerLimit(limit)): State<AnswerLimit>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id(&request);
    let path = request.uri().path().to_owned();
    let span =
        tracing::info_span!("api", request.id = %id, http.method = %request.method(), url.path = %path);
    let begun = Instant::now();
    let answering = next.run(request);
    let late = |_| Refused::from(Problem::new(ProblemCode::AnswerTimeout, "the answer took too long"));
    let answered = async move {
        match limit {
            None => answering.await,
            Some(limit) => {
                let answered = tokio::time::timeout(limit, answering).await;
                answered.map_err(late).unwrap_or_else(IntoResponse::into_response)
            }
        }
    };
    let mut response = answered.instrument(span.clone()).await;
    if let Some(problem) = problem_in(&mut response) {
        write_problem(&mut response, Problem { instance: Some(format!("{path}#{id}")), ..problem });
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let (status, elapsed) = (response.status().as_u16(), begun.elapsed());
    tracing::debug!(parent: &span, http.status = status, ?elapsed, "answered");
    response
}

fn request_id(request: &Request) -> String {
    let good = |id: &&str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(plain)
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(good);
    given.map_or_else(new_id, str::to_owned)
}

fn new_id() -> String {
    let mut octets = [0; 8];
    aws_lc_rs::rand::fill(&mut octets).expect("the system gives random numbers");
    format!("{:016x}", u64::from_be_bytes(octets))
}

/// The problem that an endpoint told, or one made of a bare status that axum answered with.
fn problem_in(response: &mut Response) -> Option<Problem> {
    let status = response.status();
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Some(problem);
    }
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    Some(match status {
        StatusCode::NOT_FOUND => Problem::new(ProblemCode::NoSuchPath, "there is no such path"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(ProblemCode::MethodNotAllowed, "the path does not take this method")
        }
        other if other.is_client_error() => {
            Problem::new(ProblemCode::BadRequest, "the request could not be read")
        }
        _ => Problem::new(ProblemCode::Internal, "something went wrong"),
    })
}

fn write_problem(response: &mut Response, problem: Problem) {
    tracing::debug!(%problem, "refused");
    *response.status_mut() = StatusCode::from_u16(problem.code.status()).unwrap_or_default();
    let body = serde_json::to_vec(&problem.view()).unwrap_or_default();
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    *response.body_mut() = Body::from(body);
}

/// What is answered where an endpoint panicked.
pub(crate) fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("?"), "an endpoint panicked");
    Refused::from(Problem::new(ProblemCode::Internal, "something went wrong")).into_response()
}
