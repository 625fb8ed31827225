//! Who asks, and what they may do.
//!
//! Endpoints take a [`Reader`] or a [`Sender`]; without one of them an endpoint is open to everybody.
//! What a key may not see does not exist for it, so that nothing can be learned from a refusal.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use mmsgw_contract::{FaultCode, Problem, ProblemCode};
use mmsgw_domain::{Address, Direction, GroupName, Message, Template};
use mmsgw_engine::BulkStatus;

use crate::api::Api;
use crate::config::{KeySettings, Scope};
use crate::error::Refused;
use crate::key::hash;

/// All keys; without any, everybody may do everything (and the listener is on loopback).
pub(crate) struct Keys(Vec<Arc<KeySettings>>);

/// Who asks: the holder of a key, or anybody.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Option<Arc<KeySettings>>);

/// A caller who may read.
pub(crate) struct Reader(pub(crate) Caller);

/// A caller who may send.
pub(crate) struct Sender(pub(crate) Caller);

impl Keys {
    pub(crate) fn new(keys: &[KeySettings]) -> Self {
        Self(keys.iter().cloned().map(Arc::new).collect())
    }

    fn caller(&self, parts: &Parts) -> Result<Caller, Problem> {
        if self.0.is_empty() {
            return Ok(Caller(None));
        }
        let secret = bearer(parts).ok_or_else(|| {
            Problem::new(ProblemCode::Unauthorized, "the request has no `Authorization: Bearer` header")
        })?;
        let digest = hash(secret);
        // All keys are looked at, each in constant time, so that the time tells nothing.
        let same =
            |key: &&Arc<KeySettings>| verify_slices_are_equal(key.hash.as_bytes(), digest.as_bytes()).is_ok();
        let found = self.0.iter().fold(None, |found, key| if same(&key) { Some(key) } else { found });
        let unknown = || Problem::new(ProblemCode::Unauthorized, "the API key is not known");
        found.map(|key| Caller(Some(Arc::clone(key)))).ok_or_else(unknown)
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, secret) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

impl Caller {
    fn needs(&self, scope: Scope) -> Result<(), Problem> {
        let Some(key) = &self.0 else { return Ok(()) };
        if key.scopes.contains(&scope) || key.scopes.contains(&Scope::Admin) {
            return Ok(());
        }
        let detail = format!("the key `{}` lacks the scope {scope:?}", key.name).to_lowercase();
        Err(Problem::new(ProblemCode::Forbidden, detail))
    }

    /// Name of the key; empty where nobody needs one.
    pub(crate) fn name(&self) -> &str {
        self.0.as_ref().map_or("", |key| &key.name)
    }

    /// True where the key names the origins it may use.
    pub(crate) fn has_origins(&self) -> bool {
        self.0.as_ref().is_some_and(|key| key.origins.is_some())
    }

    /// True where some messages are not the caller's.
    pub(crate) fn is_limited(&self) -> bool {
        self.0.as_ref().is_some_and(|key| key.origins.is_some() || key.gateways.is_some())
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

    /// Hides a message that is not the caller's. An inbound message belongs to whom it was sent to.
    pub(crate) fn may_see_message(&self, message: &Message) -> Result<(), Problem> {
        let ours = match message.direction {
            Direction::Outbound => self.owns_origin(&message.origin),
            Direction::Inbound => {
                !self.has_origins() || message.recipients.iter().any(|r| self.owns_origin(&r.address))
            }
        };
        let sees = ours && self.owns_group(&message.group);
        if sees { Ok(()) } else { Err(Problem::new(ProblemCode::NotFound, "there is no such message")) }
    }

    /// Hides a batch that is not the caller's.
    pub(crate) fn may_see_batch(&self, batch: &BulkStatus) -> Result<(), Problem> {
        let sees = self.owns_origin(&batch.origin) && self.owns_group(&batch.group);
        if sees { Ok(()) } else { Err(Problem::new(ProblemCode::NotFound, "there is no such batch")) }
    }

    fn owns_origin(&self, origin: &Address) -> bool {
        let origins = self.0.as_ref().and_then(|key| key.origins.as_ref());
        origins.is_none_or(|origins| origins.contains(origin))
    }

    fn owns_group(&self, group: &GroupName) -> bool {
        let gateways = self.0.as_ref().and_then(|key| key.gateways.as_ref());
        gateways.is_none_or(|gateways| gateways.contains(group))
    }
}

fn not_permitted(pointer: &str, detail: String) -> Problem {
    Problem { code: ProblemCode::Forbidden, ..Problem::field(pointer, FaultCode::NotPermitted, detail) }
}

impl FromRequestParts<Api> for Reader {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        let caller = api.keys.caller(parts)?;
        caller.needs(Scope::Read)?;
        Ok(Self(caller))
    }
}

impl FromRequestParts<Api> for Sender {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        let caller = api.keys.caller(parts)?;
        caller.needs(Scope::Send)?;
        Ok(Self(caller))
    }
}
