//! `/admin/v1/session`: a browser shows a key once and goes on with a cookie.

use axum::extract::{FromRequestParts, State};
use axum::http::header::{CACHE_CONTROL, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use mmsgw_contract::Problem;
use mmsgw_contract::ProblemCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::order::Order;
use super::{Administrator, Refused, answer};
use crate::dashboard::{COOKIE, cookie_in, is_told_over_tls};
use crate::router::Ops;

/// What a browser shows once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// The API key.
    key: String,
}

/// Who asks, and with what right.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionView {
    /// Name of the key; absent where none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What changes of this session have to show as `X-CSRF-Token`; absent where there is no session.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf: Option<String>,
    /// Release of the gateway.
    version: &'static str,
}

/// Which way the browser came, for the cookie.
pub(super) struct Way {
    over_tls: bool,
    token: Option<String>,
}

impl FromRequestParts<Ops> for Way {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, ops: &Ops) -> Result<Self, Refused> {
        let token = cookie_in(&parts.headers).map(ToOwned::to_owned);
        Ok(Self { over_tls: ops.over_tls || is_told_over_tls(parts), token })
    }
}

impl Way {
    /// The cookie with this token; one that is dropped at once where it is empty.
    fn cookie(&self, token: &str, seconds: u64) -> HeaderValue {
        let secure = if self.over_tls { "; Secure" } else { "" };
        let cookie =
            format!("{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::try_from(cookie).expect("a token is letters and digits")
    }
}

/// Tells who asks.
#[utoipa::path(get, path = "/admin/v1/session", tag = "session", responses((status = 200, body = SessionView)))]
pub(super) async fn show(administrator: Administrator) -> Response {
    let name = administrator.key.as_ref().map(|key| key.name.clone());
    answer(SessionView { name, csrf: administrator.csrf, version: VERSION })
}

/// Opens a session for a key with the scope `admin`; its cookie stands for the key from then on.
#[utoipa::path(
    post, path = "/admin/v1/session", tag = "session", request_body = Login,
    responses((status = 200, body = SessionView), (status = 401, description = "The key is not known"))
)]
pub(super) async fn open(
    State(ops): State<Ops>,
    way: Way,
    Order(Login { key }): Order<Login>,
) -> Result<Response, Refused> {
    let shown = ops.keys.current().shown(Some(&format!("Bearer {key}")), ops.clock.now())?;
    let Some(key) = shown else {
        return Err(Problem::new(
            ProblemCode::Conflict,
            "no key is configured, so there is nothing to log in to",
        )
        .into());
    };
    super::may_administrate(&key)?;
    if let Some(old) = &way.token {
        ops.sessions.close(old);
    }
    let opened = ops.sessions.open(key.hash, ops.clock.now());
    tracing::warn!(target: "mmsgw_audit", who = key.name, what = "log in", "administration: log in");
    let view = SessionView { name: Some(key.name.clone()), csrf: Some(opened.csrf), version: VERSION };
    let mut response = answer(view);
    let cookie = way.cookie(&opened.token, opened.lasts.as_secs());
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

/// Ends the session.
#[utoipa::path(
    delete, path = "/admin/v1/session", tag = "session",
    responses((status = 204, description = "There is no session any more"))
)]
pub(super) async fn close(_: Administrator, State(ops): State<Ops>, way: Way) -> Response {
    if let Some(token) = &way.token {
        ops.sessions.close(token);
    }
    let headers = [(SET_COOKIE, way.cookie("", 0)), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::NO_CONTENT, headers).into_response()
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
