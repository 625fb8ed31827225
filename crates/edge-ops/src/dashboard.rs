//! The dashboard: one page for browsers, made of files that the binary carries, on top of `/admin/v1`.
//!
//! The files are the same for everybody and hold no data, so they ask for nothing. What the page shows it gets from
//! the administration API, with a session that it was given for a key (`sessions`).

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::router::Ops;

mod guard;
mod sessions;

pub(crate) use guard::{is_from_here, is_told_over_tls};
pub(crate) use sessions::{COOKIE, Sessions, cookie_in};

/// `/` and the files that it names.
pub(crate) fn router() -> Router<Ops> {
    Router::new()
        .route("/", get(async || file(INDEX)))
        .route("/dashboard", get(async || file(INDEX)))
        .route("/dashboard/{name}", get(named))
}

async fn named(Path(name): Path<String>) -> Response {
    let found = FILES.iter().find(|(known, _)| *known == name);
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |found| file(*found))
}

fn file((name, octets): File) -> Response {
    let kind = match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    };
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Small, and never of another version than the API below it.
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, octets).into_response()
}

type File = (&'static str, &'static [u8]);

/// What the page may do: its own files and this listener, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const INDEX: File = ("index.html", include_bytes!("../assets/dashboard/index.html"));

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../assets/dashboard/", $name)).as_slice())),*]
    };
}

const FILES: &[File] = &files![
    "style.css",
    "theme.js",
    "app.js",
    "api.js",
    "dom.js",
    "words.js",
    "dialog.js",
    "history.js",
    "plot.js",
    "overview.js",
    "gateways.js",
    "queues.js",
    "waiting.js",
    "endpoints.js",
    "dead.js",
    "messages.js",
    "found.js",
    "batches.js",
    "latency.js",
    "counters.js",
    "live.js",
    "trace.js",
    "send.js",
    "icon.svg",
];

#[cfg(test)]
mod tests;
