//! `GET /admin/v1/events`: what happens to messages in this process, as server-sent events.
//!
//! Nothing is kept for a listener: who connects hears of what happens from then on, and who is too slow is told
//! how much was missed.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use mmsgw_contract::{Problem, ProblemCode};
use mmsgw_domain::{Direction, GroupName, State as MessageState};
use mmsgw_engine::{Happening, Heard, Listening};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Administrator, Refused};
use crate::router::Ops;

/// What is to be heard of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    group: Option<String>,
    message: Option<String>,
    state: Option<String>,
}

/// Something that happened to a message: the data of an event `message`.
#[derive(Serialize, ToSchema)]
pub(super) struct LiveEvent {
    /// The message's id.
    message: String,
    /// The gateway group that carries it.
    group: String,
    /// `outbound` or `inbound`.
    direction: &'static str,
    /// Counts the events of one message from 1.
    sequence: u32,
    /// The state reported.
    state: &'static str,
    /// Canonical code.
    code: String,
    /// A sentence for people.
    description: String,
    /// The carrier's own word or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier_status: Option<String>,
    /// When it happened, in milliseconds since 1970.
    at_ms: i64,
    /// The gateway instance that saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// The numbers concerned, with commas; `*` for all of the message.
    destinations: String,
}

/// Tells what happens from now on, until the connection closes: events `message` with this as data, and events
/// `missed` with a number where the listener was too slow.
#[utoipa::path(
    get, path = "/admin/v1/events", tag = "events",
    params(
        ("group" = Option<String>, Query, description = "Only messages of this gateway group"),
        ("message" = Option<String>, Query, description = "Only this message"),
        ("state" = Option<String>, Query, description = "Only events with this state"),
    ),
    responses((status = 200, body = LiveEvent, content_type = "text/event-stream"))
)]
pub(super) async fn listen(
    administrator: Administrator,
    State(ops): State<Ops>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) =
        asked.map_err(|error| Refused::from(Problem::new(ProblemCode::InvalidRequest, error.body_text())))?;
    let filter = Filter { administrator, asked };
    let listener = Listener { news: ops.engine.listening(), filter, ops, is_first: true };
    let events = stream::unfold(listener, async |mut listener| {
        let text = listener.next().await?;
        Some((Ok::<Bytes, Infallible>(text.into()), listener))
    });
    let head = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((head, Body::from_stream(events)).into_response())
}

struct Listener {
    news: Listening,
    filter: Filter,
    ops: Ops,
    is_first: bool,
}

impl Listener {
    /// The next piece of the stream; none where the process ends.
    async fn next(&mut self) -> Option<String> {
        if std::mem::take(&mut self.is_first) {
            return Some(": listening\n\n".to_owned());
        }
        let heard = tokio::select! {
            () = self.ops.drain.draining() => return None,
            heard = self.news.next(PULSE, |happening| self.filter.lets_through(happening)) => heard,
        };
        match heard {
            Heard::Over => None,
            Heard::Quiet => Some(": still here\n\n".to_owned()),
            Heard::Missed(missed) => Some(format!("event: missed\ndata: {missed}\n\n")),
            Heard::Happened(happening) => {
                // A view of plain text and numbers.
                let data = serde_json::to_string(&LiveEvent::of(&happening)).unwrap_or_default();
                Some(format!("event: message\ndata: {data}\n\n"))
            }
        }
    }
}

struct Filter {
    administrator: Administrator,
    asked: Asked,
}

impl Filter {
    fn lets_through(&self, happening: &Happening) -> bool {
        let message = &happening.message;
        let is = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        let group: &GroupName = &message.group;
        self.administrator.sees(group)
            && is(&self.asked.group, group.as_str())
            && is(&self.asked.state, happening.event.state.name())
            && (self.asked.message.is_none() || is(&self.asked.message, &message.id.to_string()))
    }
}

impl LiveEvent {
    fn of(happening: &Happening) -> Self {
        let Happening { message, event } = happening;
        let numbers: Vec<String> = event.destinations.iter().map(ToString::to_string).collect();
        let state: MessageState = event.state;
        Self {
            message: message.id.to_string(),
            group: message.group.to_string(),
            direction: match message.direction {
                Direction::Outbound => "outbound",
                Direction::Inbound => "inbound",
            },
            sequence: event.sequence,
            state: state.name(),
            code: event.code.to_string(),
            description: event.description.clone(),
            carrier_status: event.carrier_status.clone(),
            at_ms: event.at.as_millis(),
            instance: event.instance.as_ref().map(ToString::to_string),
            destinations: if numbers.is_empty() { "*".to_owned() } else { numbers.join(",") },
        }
    }
}

/// How often a quiet stream shows that it is there.
const PULSE: Duration = Duration::from_secs(15);
