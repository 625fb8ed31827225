//! What the descriptions of our HTTP interfaces have in common.

use utoipa::ToSchema;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

use crate::ProblemView;

/// Completes a document whose schemas have that of [`ProblemView`]: an operation that needs a key says that it may refuse,
/// and every answer has words, which OpenAPI demands.
pub fn complete_description(document: &mut OpenApi) {
    let everywhere = document.security.is_some();
    for path in document.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete];
        for operation in operations.into_iter().flatten() {
            // An operation that asks for no key says so by an empty list, where the document asks for one.
            if operation.security.as_ref().map_or(everywhere, |needed| !needed.is_empty()) {
                describe_refusals(operation);
            }
            describe_success(operation);
        }
    }
}

fn describe_refusals(operation: &mut Operation) {
    let problem = Ref::from_schema_name(ProblemView::name());
    let problem = ContentBuilder::new().schema(Some(problem)).build();
    for (status, description) in REFUSALS {
        let refusal = ResponseBuilder::new().description(description);
        let refusal = refusal.content("application/problem+json", problem.clone()).build();
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| refusal.into());
    }
}

fn describe_success(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            let is_success = status.starts_with('2');
            response.description =
                if is_success { "Done, or what was asked for" } else { "Refused" }.to_owned();
        }
    }
}

const REFUSALS: [(&str, &str); 2] = [
    ("4XX", "Refused: no key that permits it, or a request that is at fault"),
    ("5XX", "The store or the gateway is in trouble; with 504 the request may have been carried out"),
];
