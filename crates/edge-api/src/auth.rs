//! Who asks, and what they may do.
//!
//! Endpoints take a [`Reader`] or a [`Sender`]; without one of them an endpoint is open to everybody.
//! What a key may not see does not exist for it, so that nothing can be learned from a refusal.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use mmsgw_contract::{FaultCode, KeySettings, Problem, ProblemCode, Scope};
use mmsgw_domain::{Address, Direction, GroupName, Message, Template, TraceParent};
use mmsgw_engine::BulkStatus;
use mmsgw_net::{Peer, peer_of};

use crate::api::Api;
use crate::error::Refused;

/// Who asks: the holder of a key, or anybody.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    key: Option<Arc<KeySettings>>,
    trace: Option<TraceParent>,
}

/// A caller who may read.
pub(crate) struct Reader(pub(crate) Caller);

/// A caller who may send.
pub(crate) struct Sender(pub(crate) Caller);

fn caller(api: &Api, parts: &Parts) -> Result<Caller, Problem> {
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    // What cannot be read is as good as absent (W3C Trace Context, clause 3.2.2.5).
    let trace = parts.headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()?.parse().ok());
    api.keys.current().shown(authorization, api.now()).map(|key| Caller { key, trace })
}

/// Refuses a caller that asks for more than it may in a second.
fn in_time(api: &Api, caller: &Caller, parts: &Parts) -> Result<(), Problem> {
    let Some(rate) = &api.rate else { return Ok(()) };
    let who = match &caller.key {
        Some(key) => key.name.clone(),
        None => {
            parts.extensions.get::<Peer>().map_or_else(String::new, |p| peer_of(p.address.ip()).to_string())
        }
    };
    rate.take(who).map_err(|wait| {
        let whole = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        Problem::new(ProblemCode::RateLimited, "more requests than one may send in a second")
            .retry_after(whole)
    })
}

impl Caller {
    fn needs(&self, scope: Scope) -> Result<(), Problem> {
        self.key.as_ref().map_or(Ok(()), |key| key.needs(scope))
    }

    /// Name of the key; empty where nobody needs one.
    pub(crate) fn name(&self) -> &str {
        self.key.as_ref().map_or("", |key| &key.name)
    }

    /// The trace that the request belongs to, as its `traceparent` says.
    pub(crate) fn trace(&self) -> Option<TraceParent> {
        self.trace
    }

    /// True where the key names the origins it may use.
    pub(crate) fn has_origins(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.origins.is_some())
    }

    /// True where some messages are not the caller's.
    pub(crate) fn is_limited(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.origins.is_some() || key.gateways.is_some())
    }

    /// Refuses an origin that is not the caller's; `pointer` is where the request states it.
    pub(crate) fn may_use_origin(&self, origin: &Address, pointer: &str) -> Result<(), Problem> {
        if self.owns_origin(origin) {
            return Ok(());
        }
        Err(not_permitted(pointer, format!("the API key may not use the origin `{origin}`")))
    }

    /// Refuses a gateway group that is not the caller's.
    pub(crate) fn may_use_group(&self, group: &GroupName, pointer: &str) -> Result<(), Problem> {
        if self.owns_group(group) {
            return Ok(());
        }
        Err(not_permitted(pointer, format!("the API key may not use the gateway `{group}`")))
    }

    /// Hides a template that is not the caller's.
    pub(crate) fn may_see_template(&self, template: &Template) -> Result<(), Problem> {
        let sees = self.owns_origin(&template.content.origin);
        if sees { Ok(()) } else { Err(Problem::new(ProblemCode::NotFound, "there is no such template")) }
    }

    /// Hides a message that is not the caller's.
    pub(crate) fn may_see_message(&self, message: &Message) -> Result<(), Problem> {
        let sees = self.sees_message(message);
        if sees { Ok(()) } else { Err(Problem::new(ProblemCode::NotFound, "there is no such message")) }
    }

    /// True where a message is the caller's. An inbound message belongs to whom it was sent to.
    pub(crate) fn sees_message(&self, message: &Message) -> bool {
        let ours = match message.direction {
            Direction::Outbound => self.owns_origin(&message.origin),
            Direction::Inbound => {
                !self.has_origins() || message.recipients.iter().any(|r| self.owns_origin(&r.address))
            }
        };
        ours && self.owns_group(&message.group)
    }

    /// Hides a batch that is not the caller's.
    pub(crate) fn may_see_batch(&self, batch: &BulkStatus) -> Result<(), Problem> {
        let sees = self.owns_origin(&batch.origin) && self.owns_group(&batch.group);
        if sees { Ok(()) } else { Err(Problem::new(ProblemCode::NotFound, "there is no such batch")) }
    }

    /// True where messages of that origin are the caller's.
    pub(crate) fn owns_origin(&self, origin: &Address) -> bool {
        let origins = self.key.as_ref().and_then(|key| key.origins.as_ref());
        origins.is_none_or(|origins| origins.contains(origin))
    }

    /// True where the group is the caller's.
    pub(crate) fn owns_group(&self, group: &GroupName) -> bool {
        self.key.as_ref().is_none_or(|key| key.owns_group(group))
    }
}

fn not_permitted(pointer: &str, detail: String) -> Problem {
    Problem { code: ProblemCode::Forbidden, ..Problem::field(pointer, FaultCode::NotPermitted, detail) }
}

impl FromRequestParts<Api> for Reader {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        let caller = caller(api, parts)?;
        caller.needs(Scope::Read)?;
        in_time(api, &caller, parts)?;
        Ok(Self(caller))
    }
}

impl FromRequestParts<Api> for Sender {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        let caller = caller(api, parts)?;
        caller.needs(Scope::Send)?;
        in_time(api, &caller, parts)?;
        Ok(Self(caller))
    }
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
