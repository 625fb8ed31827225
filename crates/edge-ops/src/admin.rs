//! The administration API, `/admin/v1`: who may use it, and how it says no.
//!
//! It asks for the same keys as the API for applications, with the scope `admin`. Without any key configured it
//! serves a listener on loopback only, whoever else may look at metrics. A key that is limited to some gateway
//! groups sees those; one that is limited to some origins sees nothing here, as jobs have no such bounds.
//!
//! A browser shows the key once (`session`) and a cookie from then on, and with each change a token that pages of other
//! sites cannot read. Without any key, requests that such pages made are known by what browsers tell of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use mmsgw_contract::{KeySettings, Problem, ProblemCode, Scope};
use mmsgw_domain::GroupName;
use mmsgw_engine::Refusal;

use crate::dashboard::{cookie_in, is_from_here};
use crate::router::Ops;

mod batches;
mod callbacks;
mod dead;
mod endpoints;
mod events;
mod gateways;
mod instances;
mod job;
mod keys;
mod log;
mod messages;
mod openapi;
mod order;
mod parts;
mod queued;
mod queues;
mod reload;
mod session;
mod test_message;
mod trace;

pub(crate) fn router() -> Router<Ops> {
    Router::new()
        .route("/admin/v1/openapi.json", get(openapi::read))
        .route("/admin/v1/gateways", get(gateways::list))
        .route("/admin/v1/gateways/{group}", get(gateways::show))
        .route("/admin/v1/gateways/{group}/pause", post(gateways::pause))
        .route("/admin/v1/gateways/{group}/resume", post(gateways::resume))
        .route("/admin/v1/gateways/{group}/drain", post(gateways::drain))
        .route("/admin/v1/instances", get(instances::list))
        .route("/admin/v1/queues", get(queues::list))
        .route("/admin/v1/queues/{group}/{kind}/jobs", get(queued::list))
        .route("/admin/v1/queues/{group}/{kind}/jobs/{id}", get(queued::show))
        .route("/admin/v1/queues/{group}/{kind}/jobs/{id}/retry", post(queued::retry))
        .route("/admin/v1/queues/{group}/{kind}/jobs/{id}/purge", post(queued::purge))
        .route("/admin/v1/queues/{group}/{kind}/retry", post(queued::retry_many))
        .route("/admin/v1/queues/{group}/{kind}/purge", post(queued::purge_many))
        .route("/admin/v1/queues/{group}/{kind}/move", post(queued::move_many))
        .route("/admin/v1/messages", get(messages::find))
        .route("/admin/v1/messages/{id}", get(messages::show))
        .route("/admin/v1/messages/{id}/parts/{part}", get(parts::read))
        .route("/admin/v1/test-message", post(test_message::send))
        .route("/admin/v1/batches", get(batches::list))
        .route("/admin/v1/batches/{id}", get(batches::show))
        .route("/admin/v1/dead", get(dead::list))
        .route("/admin/v1/dead/retry", post(dead::retry_many))
        .route("/admin/v1/dead/purge", post(dead::purge_many))
        .route("/admin/v1/dead/{id}", get(dead::show))
        .route("/admin/v1/dead/{id}/retry", post(dead::retry))
        .route("/admin/v1/dead/{id}/purge", post(dead::purge))
        .route("/admin/v1/callbacks", get(callbacks::list))
        .route("/admin/v1/callbacks/endpoints", get(endpoints::list))
        .route("/admin/v1/callbacks/endpoints/{group}/{id}/enable", post(endpoints::enable))
        .route("/admin/v1/callbacks/replay", post(callbacks::replay_many))
        .route("/admin/v1/callbacks/{id}/replay", post(callbacks::replay))
        .route("/admin/v1/events", get(events::listen))
        .route("/admin/v1/trace", get(trace::list).post(trace::begin))
        .route("/admin/v1/trace/{id}", get(trace::read).delete(trace::end))
        .route("/admin/v1/session", get(session::show).post(session::open).delete(session::close))
        .route("/admin/v1/log", get(log::show).put(log::set))
        .route("/admin/v1/reload", post(reload::run))
        .route("/admin/v1/keys", get(keys::list).post(keys::add))
        .route("/admin/v1/keys/{name}", delete(keys::revoke))
        .route("/admin/{*rest}", get(no_such_path))
}

async fn no_such_path() -> Refused {
    Problem::new(ProblemCode::NoSuchPath, "there is no such path").into()
}

/// Somebody who may administrate.
pub(crate) struct Administrator {
    /// Their key; none where none is configured.
    key: Option<Arc<KeySettings>>,
    /// Where they came with a session: what its changes have to show.
    csrf: Option<String>,
}

impl Administrator {
    /// What the log calls them: the name of their key.
    fn name(&self) -> &str {
        self.key.as_ref().map_or("-", |key| &key.name)
    }

    /// Refuses a key that is limited to some groups, for what concerns the whole process.
    fn needs_all(&self) -> Result<(), Refused> {
        match &self.key {
            Some(key) if key.gateways.is_some() => {
                let detail = format!("the key `{}` is limited to some gateways", key.name);
                Err(Problem::new(ProblemCode::Forbidden, detail).into())
            }
            _ => Ok(()),
        }
    }

    /// Whether the group is the administrator's.
    fn sees(&self, group: &GroupName) -> bool {
        self.key.as_ref().is_none_or(|key| key.owns_group(group))
    }
}

impl FromRequestParts<Ops> for Administrator {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, ops: &Ops) -> Result<Self, Refused> {
        let keys = ops.keys.current();
        if keys.is_empty() && !ops.on_loopback {
            let detail = "without any [[api.key]] administration is served on loopback only, and ops.listen is not there";
            return Err(Problem::new(ProblemCode::Forbidden, detail).into());
        }
        if keys.is_empty() && !is_from_here(parts) {
            let detail = "without any [[api.key]] administration is for this host: the request names another, or a page of another site made it";
            return Err(Problem::new(ProblemCode::Forbidden, detail).into());
        }
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = cookie_in(&parts.headers).filter(|_| authorization.is_none() && !keys.is_empty());
        let (key, csrf) = match token {
            Some(token) => {
                let (key, csrf) = of_session(parts, ops, token)?;
                (Some(key), Some(csrf))
            }
            None => (keys.shown(authorization, ops.clock.now())?, None),
        };
        key.as_ref().map_or(Ok(()), |key| may_administrate(key))?;
        Ok(Self { key, csrf })
    }
}

/// The key that a session stands for, and the token of its changes, which a change has to show.
fn of_session(parts: &Parts, ops: &Ops, token: &str) -> Result<(Arc<KeySettings>, String), Refused> {
    let over = || Problem::new(ProblemCode::Unauthorized, "the session is over");
    let now = ops.clock.now();
    let session = ops.sessions.shown(token, now).ok_or_else(over)?;
    let key = ops.keys.current().with_hash(&session.key, now).ok_or_else(over)?;
    let shown = parts.headers.get(CSRF_TOKEN).map(HeaderValue::as_bytes);
    if !parts.method.is_safe() && !shown.is_some_and(|shown| session.trusts(shown)) {
        let detail = "a change by a session has to show its X-CSRF-Token";
        return Err(Problem::new(ProblemCode::Forbidden, detail).into());
    }
    Ok((key, session.csrf))
}

/// Refuses a key that may not administrate anything.
fn may_administrate(key: &KeySettings) -> Result<(), Refused> {
    key.needs(Scope::Admin)?;
    if key.origins.is_some() {
        let detail = format!("the key `{}` is limited to some origins", key.name);
        return Err(Problem::new(ProblemCode::Forbidden, detail).into());
    }
    Ok(())
}

/// An answer that says no (RFC 9457).
pub(crate) struct Refused(Box<Problem>);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let why = refusal.to_string();
        match refusal {
            Refusal::Unknown(_) => Problem::new(ProblemCode::NotFound, why),
            Refusal::Conflict => Problem::new(ProblemCode::Conflict, why),
            _ => {
                tracing::error!(error = why, "the store refuses");
                let detail = "the store cannot do it now";
                Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(STORE_PAUSE)
            }
        }
        .into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (code, pause) = (self.0.code, self.0.retry_after);
        let status = StatusCode::from_u16(code.status()).unwrap_or_default();
        let mut response = (status, axum::Json(self.0.view())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if code == ProblemCode::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"mmsgw\""));
        }
        if let Some(pause) = pause {
            headers.insert(RETRY_AFTER, HeaderValue::from(pause.as_secs().max(1)));
        }
        response
    }
}

/// An answer that is not to be kept by anybody on the way.
fn answer<T: serde::Serialize>(body: T) -> Response {
    ([(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

/// Waits for the store, but not for ever.
async fn in_time<T>(ops: &Ops, asked: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refused> {
    match tokio::time::timeout(ops.patience, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => {
            let detail = "the store does not answer";
            Err(Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(STORE_PAUSE).into())
        }
    }
}

/// Where a browser shows the token of its session's changes.
const CSRF_TOKEN: &str = "x-csrf-token";
/// When to ask a store again that cannot answer now.
const STORE_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
