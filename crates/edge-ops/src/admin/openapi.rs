//! `GET /admin/v1/openapi.json`: administration described by itself (OpenAPI 3.1).

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use mmsgw_contract::{ProblemView, complete_description};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};

use super::{
    batches, callbacks, dead, endpoints, events, gateways, instances, keys, log, messages, parts, queued,
    queues, reload, session, test_message, trace,
};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "mmsgw administration",
        description = "What operators see and steer. Refusals are problems (RFC 9457)."
    ),
    paths(
        gateways::list,
        gateways::show,
        gateways::pause,
        gateways::resume,
        gateways::drain,
        instances::list,
        queues::list,
        queued::list,
        queued::show,
        queued::retry,
        queued::purge,
        queued::retry_many,
        queued::purge_many,
        queued::move_many,
        messages::find,
        messages::show,
        parts::read,
        test_message::send,
        batches::list,
        batches::show,
        dead::list,
        dead::show,
        dead::retry,
        dead::purge,
        dead::retry_many,
        dead::purge_many,
        callbacks::list,
        callbacks::replay,
        callbacks::replay_many,
        endpoints::list,
        endpoints::enable,
        events::listen,
        trace::list,
        trace::begin,
        trace::read,
        trace::end,
        session::show,
        session::open,
        session::close,
        log::show,
        log::set,
        reload::run,
        keys::list,
        keys::add,
        keys::revoke,
        read,
    ),
    components(schemas(ProblemView))
)]
struct Described;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut document = Described::openapi();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    document.security = Some(vec![SecurityRequirement::new("key", ["admin"])]);
    name_operations(&mut document);
    complete_description(&mut document);
    document.to_pretty_json().expect("the document is plain data")
});

/// Operations are called by method and path, `get_dead_id`: ids have to differ, names of functions need not.
fn name_operations(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let words = path.trim_start_matches("/admin/v1/").split(|c: char| !c.is_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let methods = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in methods {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}_{}", words.join("_")));
            }
        }
    }
}

/// Answers this document.
#[utoipa::path(
    get, path = "/admin/v1/openapi.json", tag = "openapi", security(),
    responses((status = 200, description = "This document", content_type = "application/json"))
)]
pub(super) async fn read() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// Methods and paths that are described.
#[cfg(test)]
pub(super) fn described() -> Vec<(String, String)> {
    let document: serde_json::Value = serde_json::from_str(&DOCUMENT).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &serde_json::Value)| -> Vec<(String, String)> {
        item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect()
    };
    paths.iter().flat_map(of).collect()
}
