//! `GET /mmsgw/v1/problems/<code>`: what the type of a problem refers to.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use mmsgw_contract::{Problem, ProblemCode, ProblemView};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Refused;
use crate::templates::answer;

/// What a problem code means.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemKind {
    /// The code.
    code: &'static str,
    /// HTTP status.
    status: u16,
    /// Short summary.
    title: &'static str,
    /// What can be done.
    advice: &'static str,
}

/// Explains a problem code.
#[utoipa::path(
    get, path = "/mmsgw/v1/problems/{code}", tag = "problems",
    params(("code" = String, Path, description = "The problem's code")),
    responses(
        (status = 200, description = "What it means", body = ProblemKind),
        (status = 404, description = "There is no such code", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn read_problem(Path(code): Path<String>) -> Result<Response, Refused> {
    let known = ProblemCode::ALL.into_iter().find(|known| known.name() == code);
    let code = known.ok_or_else(|| Problem::new(ProblemCode::NotFound, "there is no such problem"))?;
    let (status, title, advice) = (code.status(), code.title(), code.advice());
    Ok(answer(StatusCode::OK, None, &ProblemKind { code: code.name(), status, title, advice }))
}
