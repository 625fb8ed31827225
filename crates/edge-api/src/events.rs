//! `GET /mmsgw/v1/events/stream`: what happens to the caller's messages in this process, as server-sent events.
//!
//! Nothing is kept for a listener: who connects hears of what happens from then on, also where it says what it heard
//! last. Who is too slow is told how much was missed. Callbacks are the way that loses nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use mmsgw_contract::{EventCallback, Problem, ProblemCode, ProblemView};
use mmsgw_engine::{Happening, Heard, Listening};
use mmsgw_net::Drain;
use serde::Deserialize;

use crate::api::Api;
use crate::auth::{Caller, Reader};
use crate::error::Refused;

/// What is to be heard of.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    gateway: Option<String>,
    message: Option<String>,
}

/// Tells what happens to the key's messages from now on, until the connection closes: events `message` with what event
/// callbacks have, and events `missed` with a number where the listener was too slow. A comment shows every 15 seconds that the
/// stream is there. `Last-Event-ID` cannot be honoured, since nothing is kept for listeners. It is about what happens in
/// the process that serves it: with many processes, callbacks tell all.
#[utoipa::path(
    get, path = "/mmsgw/v1/events/stream", tag = "events",
    params(
        ("gateway" = Option<String>, Query, description = "Only messages of this gateway group"),
        ("message" = Option<String>, Query, description = "Only this message"),
    ),
    responses(
        (status = 200, body = EventCallback, content_type = "text/event-stream"),
        (status = 429, description = "Too many streams of this key are open", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["read"]))
)]
pub(crate) async fn stream_events(
    State(api): State<Api>,
    Reader(caller): Reader,
    drain: Option<Extension<Drain>>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Refused> {
    let name = caller.name().to_owned();
    if !api.streams.enter(&name) {
        let detail = format!("at most {MOST_STREAMS} streams of events may be open for one key");
        return Err(Problem::new(ProblemCode::Overloaded, detail).retry_after(PULSE).into());
    }
    let resumes = headers.contains_key("last-event-id");
    let listener = Listener {
        news: api.engine.listening(),
        seat: Seat { api, name },
        caller,
        asked,
        drain: drain.map_or_else(Drain::new, |Extension(drain)| drain),
        greeting: Some(if resumes { NOT_RESUMED } else { GREETING }),
    };
    let events = stream::unfold(listener, async |mut listener| {
        let text = listener.next().await?;
        Some((Ok::<Bytes, Infallible>(text.into()), listener))
    });
    let head = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((head, Body::from_stream(events)).into_response())
}

struct Listener {
    news: Listening,
    seat: Seat,
    caller: Caller,
    asked: Asked,
    drain: Drain,
    greeting: Option<&'static str>,
}

impl Listener {
    /// The next piece of the stream; none where the process ends.
    async fn next(&mut self) -> Option<String> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting.to_owned());
        }
        let (caller, asked) = (&self.caller, &self.asked);
        let concerns = |happening: &Happening| {
            asked.means(happening) && caller.may_see_message(&happening.message).is_ok()
        };
        let heard = tokio::select! {
            () = self.drain.draining() => return None,
            heard = self.news.next(PULSE, concerns) => heard,
        };
        match heard {
            Heard::Over => None,
            Heard::Quiet => Some(": still here\n\n".to_owned()),
            Heard::Missed(missed) => {
                tracing::debug!(key = self.seat.name, missed, "a listener is too slow");
                Some(format!("event: missed\ndata: {missed}\n\n"))
            }
            Heard::Happened(Happening { message, event }) => {
                let view = EventCallback::of(message.id, &event);
                let data = serde_json::to_string(&view).expect("a view has text keys and plain values only");
                Some(format!("event: message\ndata: {data}\n\n"))
            }
        }
    }
}

impl Asked {
    fn means(&self, happening: &Happening) -> bool {
        let message = &happening.message;
        self.gateway.as_deref().is_none_or(|name| name == message.group.as_str())
            && self.message.as_ref().is_none_or(|id| *id == message.id.to_string())
    }
}

/// How many streams each key has open.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashMap<String, usize>>);

impl Streams {
    fn open(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more; false where that would be too many.
    fn enter(&self, key: &str) -> bool {
        let mut open = self.open();
        let count = open.entry(key.to_owned()).or_default();
        let may = *count < MOST_STREAMS;
        *count += usize::from(may);
        may
    }

    fn leave(&self, key: &str) {
        let mut open = self.open();
        let left = open.get_mut(key).map_or(0, |count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == 0 {
            open.remove(key);
        }
    }
}

/// One open stream of a key; it is given up when dropped.
struct Seat {
    api: Api,
    name: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.api.streams.leave(&self.name);
    }
}

const GREETING: &str = ": listening\n\n";
const NOT_RESUMED: &str =
    ": listening from now on: Last-Event-ID is not honoured, nothing is kept for listeners\n\n";

/// How often a quiet stream shows that it is there.
const PULSE: Duration = Duration::from_secs(15);
/// Most streams of one key at a time.
const MOST_STREAMS: usize = 16;
