//! Which path leads to which endpoint.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use mmsgw_contract::{KeyRing, Links, Problem, ProblemCode};
use mmsgw_domain::{Clock, SystemClock};
use mmsgw_engine::Engine;
use tower_http::catch_panic::CatchPanicLayer;

use crate::admission::{admit, admit_stream};
use crate::api::Api;
use crate::config::{ApiSettings, SettingsError};
use crate::envelope::{AnswerLimit, envelope, panicked};
use crate::error::Refused;
use crate::{batches, events, gateways, media, messages, openapi, parts, problems, templates};

/// The pattern that `GET` of an inbound message shares with the carriers' `POST`. Routers can be
/// merged only where both write it alike.
pub const INBOUND_PATH: &str = "/mmsgw/v1/mms/inbound/{id}";

/// The API on the machine's clock; it asks for the keys of `keys`, whatever they are at the time, and `links` lead
/// applications to media.
///
/// # Errors
/// [`SettingsError`] where the settings cannot work.
pub fn router(
    engine: Engine,
    settings: &ApiSettings,
    keys: KeyRing,
    links: Links,
) -> Result<Router, SettingsError> {
    router_with_clock(engine, settings, keys, links, Arc::new(SystemClock))
}

/// The API on another clock, which should be the engine's.
///
/// # Errors
/// [`SettingsError`] where the settings cannot work.
pub fn router_with_clock(
    engine: Engine,
    settings: &ApiSettings,
    keys: KeyRing,
    links: Links,
    clock: Arc<dyn Clock>,
) -> Result<Router, SettingsError> {
    let api = Api::new(engine, settings, keys, links, clock)?;
    let template = get(templates::read::read_template)
        .put(templates::change::change_template)
        .delete(templates::delete::delete_template);
    let router = Router::new()
        .route("/mmsgw/v1/mms", post(templates::create::create_template))
        .route("/mmsgw/v1/mms/{id}", template)
        .route("/mmsgw/v1/mms_part", post(parts::create::create_part))
        .route("/mmsgw/v1/mms_part/{id}", get(parts::read::read_part))
        .route(
            "/mmsgw/v1/mms/outbound/{id}",
            get(messages::read::read_outbound)
                .post(messages::send::send_message)
                .put(messages::amend::replace_message)
                .delete(messages::amend::withdraw_message),
        )
        .route("/mmsgw/v1/mms/outbound", get(messages::find::find_outbound))
        .route("/mmsgw/v1/mms/inbound", get(messages::find::find_inbound))
        .route(INBOUND_PATH, get(messages::read::read_inbound))
        .route("/mmsgw/v1/mms/inbound/ack/{id}", post(messages::report::report_acknowledgement))
        .route("/mmsgw/v1/mms/inbound/dr/{id}", post(messages::report::report_delivery))
        .route("/mmsgw/v1/mms/inbound/rr/{id}", post(messages::report::report_reading))
        .route("/mmsgw/v1/media/{digest}/{name}", get(media::read_media))
        .route("/mmsgw/v1/batches", get(batches::list::list_batches))
        .route("/mmsgw/v1/batches/{id}", get(batches::read::read_batch).delete(batches::cancel::cancel_batch))
        .route("/mmsgw/v1/batches/{id}/refused", get(batches::read::read_refused))
        .route("/mmsgw/v1/gateways", get(gateways::list_gateways))
        .route("/mmsgw/v1/gateways/{group}", get(gateways::read_gateway))
        .route("/mmsgw/v1/gateways/{group}/instances", get(gateways::read_instances))
        .route("/mmsgw/v1/problems/{code}", get(problems::read_problem))
        .route("/mmsgw/v1/openapi.json", get(openapi::read_document))
        .fallback(no_such_path)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(api.clone(), admit))
        // The body has a limit of its own, which comes first.
        .layer(from_fn_with_state(AnswerLimit(Some(api.request_timeout.saturating_mul(2))), envelope));
    let streams = Router::new()
        .route("/mmsgw/v1/mms/outbound/{id}/batch", post(batches::send::send_batch))
        .route("/mmsgw/v1/events/stream", get(events::stream_events))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(api.clone(), admit_stream))
        .layer(from_fn_with_state(AnswerLimit(None), envelope));
    Ok(router.merge(streams).with_state(api))
}

async fn no_such_path() -> Refused {
    Problem::new(ProblemCode::NoSuchPath, "there is no such path").into()
}
