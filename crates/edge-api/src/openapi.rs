//! `GET /mmsgw/v1/openapi.json`: the API described by itself (OpenAPI 3.1), callbacks included.

use std::sync::LazyLock;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use mmsgw_contract::{
    CallbackAnswerForm, EventCallback, MessageView, ProblemView, TemplateForm, complete_description,
};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, Required, ResponseBuilder};
use utoipa::{OpenApi as _, ToSchema};

use crate::{batches, events, gateways, media, messages, parts, problems, templates};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "mmsgw", description = "A high-volume MMS gateway: the REST API for applications"),
    paths(
        templates::create::create_template,
        templates::read::read_template,
        templates::change::change_template,
        templates::delete::delete_template,
        parts::create::create_part,
        parts::read::read_part,
        messages::send::send_message,
        messages::amend::withdraw_message,
        messages::amend::replace_message,
        messages::find::find_outbound,
        messages::find::find_inbound,
        messages::read::read_outbound,
        messages::read::read_inbound,
        messages::report::report_acknowledgement,
        messages::report::report_delivery,
        messages::report::report_reading,
        batches::send::send_batch,
        batches::list::list_batches,
        batches::read::read_batch,
        batches::read::read_refused,
        batches::cancel::cancel_batch,
        gateways::list_gateways,
        gateways::read_gateway,
        gateways::read_instances,
        events::stream_events,
        media::read_media,
        problems::read_problem,
        read_document,
    ),
    components(schemas(CallbackAnswerForm, EventCallback, MessageView, ProblemView, TemplateForm))
)]
struct Described;

/// The OpenAPI document.
pub fn document() -> OpenApi {
    let mut document = Described::openapi();
    let taken = || ResponseBuilder::new().description("Taken; any 2xx is success");
    let orders = Ref::from_schema_name(CallbackAnswerForm::name());
    let answer = ContentBuilder::new().schema(Some(orders)).build();
    let ordering = taken().content("application/json", answer);
    let callbacks = PathsBuilder::new()
        .path("event", callback::<EventCallback>("Something happened to a message", EVENT, taken()))
        .path("inboundMessage", callback::<MessageView<'_>>("A message came in", INBOUND, ordering));
    document.webhooks = Some(callbacks.build());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    complete_description(&mut document);
    document
}

const EVENT: &str = "Posted to every events_url of the message and of its gateway.";
const INBOUND: &str = "Posted to the gateway's mms_received_url. The answer may order reports to the carrier, \
    instead of those that would be sent by themselves; any other body is taken as well.";

fn callback<T: ToSchema>(summary: &str, description: &str, taken: ResponseBuilder) -> PathItem {
    let schema = Ref::from_schema_name(T::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let body = RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True));
    let operation = OperationBuilder::new()
        .summary(Some(summary))
        .description(Some(description))
        .request_body(Some(body.build()))
        .response("2XX", taken.build());
    PathItem::new(HttpMethod::Post, operation)
}

static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| document().to_pretty_json().expect("the document is plain data").into());

/// Answers this document.
#[utoipa::path(
    get, path = "/mmsgw/v1/openapi.json", tag = "openapi",
    responses((status = 200, description = "This document", content_type = "application/json"))
)]
pub(crate) async fn read_document() -> Response {
    let mut response = Response::new(Body::from(Bytes::clone(&DOCUMENT)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read() -> Value {
        serde_json::from_slice(&DOCUMENT).unwrap()
    }

    #[test]
    fn what_a_key_is_needed_for_says_how_it_is_refused() {
        let document = read();
        let mut behind_a_key = 0;
        for path in document["paths"].as_object().unwrap().values() {
            for operation in path.as_object().unwrap().values().filter(|o| o.get("security").is_some()) {
                for status in ["4XX", "5XX"] {
                    let content = &operation["responses"][status]["content"]["application/problem+json"];
                    assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem", "{operation}");
                }
                behind_a_key += 1;
            }
        }
        assert!(behind_a_key > 10);
    }

    #[test]
    fn every_route_and_callback_is_described() {
        let document = read();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
        let methods = |path: &str| -> Vec<String> {
            document["paths"][path].as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default()
        };
        for (path, expected) in [
            ("/mmsgw/v1/mms", &["post"][..]),
            ("/mmsgw/v1/mms/{id}", &["delete", "get", "put"]),
            ("/mmsgw/v1/mms_part", &["post"]),
            ("/mmsgw/v1/mms_part/{id}", &["get"]),
            ("/mmsgw/v1/mms/outbound/{id}", &["delete", "get", "post", "put"]),
            ("/mmsgw/v1/mms/outbound", &["get"]),
            ("/mmsgw/v1/mms/inbound", &["get"]),
            (crate::INBOUND_PATH, &["get"]),
            ("/mmsgw/v1/mms/inbound/ack/{id}", &["post"]),
            ("/mmsgw/v1/mms/inbound/dr/{id}", &["post"]),
            ("/mmsgw/v1/mms/inbound/rr/{id}", &["post"]),
            ("/mmsgw/v1/mms/outbound/{id}/batch", &["post"]),
            ("/mmsgw/v1/batches", &["get"]),
            ("/mmsgw/v1/batches/{id}", &["delete", "get"]),
            ("/mmsgw/v1/batches/{id}/refused", &["get"]),
            ("/mmsgw/v1/gateways", &["get"]),
            ("/mmsgw/v1/gateways/{group}", &["get"]),
            ("/mmsgw/v1/gateways/{group}/instances", &["get"]),
            ("/mmsgw/v1/events/stream", &["get"]),
            ("/mmsgw/v1/media/{digest}/{name}", &["get"]),
            ("/mmsgw/v1/problems/{code}", &["get"]),
            ("/mmsgw/v1/openapi.json", &["get"]),
        ] {
            let mut found = methods(path);
            found.sort();
            assert_eq!(found, expected, "{path}");
        }
        assert_eq!(document["paths"].as_object().unwrap().len(), 22);
        assert!(document["webhooks"]["event"]["post"].is_object());
        assert!(document["webhooks"]["inboundMessage"]["post"].is_object());
        let answer = "/webhooks/inboundMessage/post/responses/2XX/content/application~1json/schema/$ref";
        assert_eq!(document.pointer(answer), Some(&"#/components/schemas/CallbackAnswer".into()));
        let report = document.pointer("/components/schemas/ReportRequest").unwrap().to_string();
        for name in ["gateway", "message", "peer_ref", "event_for", "ReportOrder"] {
            assert!(report.contains(name), "{name}: {report}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|v| references(v, found));
                }
                Value::Array(items) => items.iter().for_each(|v| references(v, found)),
                _ => {}
            }
        }
        let document = read();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        let fields = document.pointer("/components/schemas/Message/properties").unwrap();
        for name in ["id", "provider_ref", "ack_at_addr", "gateway_id", "recipients", "template", "events"] {
            assert!(fields.get(name).is_some(), "{name}");
        }
    }
}
