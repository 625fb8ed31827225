//! `/admin/v1/keys`: API keys that are kept in the store are made, listed and revoked.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mmsgw_contract::{ApiKey, FaultCode, KeySettings, KnownKey, Problem, ProblemCode, Scope, StoredKey};
use mmsgw_domain::{Address, GroupName, Timestamp};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::order::{Order, Reason};
use super::{Administrator, Refused, answer, in_time};
use crate::keys::{read_keys, stored_keys};
use crate::router::Ops;

/// The answer.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyList {
    keys: Vec<KeyView>,
}

/// An API key, without its secret, which nobody has but its holder.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
struct KeyView {
    /// Its name.
    name: String,
    /// What it may do.
    scopes: Vec<Scope>,
    /// Gateway groups that it may use and see; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    gateways: Option<Vec<GroupName>>,
    /// Origins that it may use and see; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    origins: Option<Vec<Address>>,
    /// `file`: it stands in the configuration of this process, and can only be changed there. `store`: all processes
    /// on the store know it.
    kept_in: &'static str,
    /// When it was made, in seconds since 1970, where it is in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_ts: Option<i64>,
    /// Who made it: the name of a key, or `-` where none was needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    /// Not good any more from then on, in seconds since 1970; absent for always.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_ts: Option<i64>,
    /// When this process saw it last, in seconds since 1970; absent for not since it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_ts: Option<i64>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeKey {
    /// What its holder sends as `Authorization: Bearer`. It is shown only now.
    secret: String,
    key: KeyView,
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyOrder {
    /// Its name: up to 64 letters, digits, dots, dashes and underscores.
    name: String,
    /// What it may do; at least one.
    scopes: Vec<Scope>,
    /// Gateway groups that it may use and see; all where absent.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    gateways: Option<Vec<GroupName>>,
    /// Origins that it may use and see; all where absent.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    origins: Option<Vec<Address>>,
    /// Not good any more from then on, in seconds since 1970; absent for always.
    #[serde(default)]
    expires_ts: Option<i64>,
    /// Why; it stands in the log.
    reason: Reason,
}

/// Why a key is revoked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revocation {
    /// Why; it stands in the log.
    reason: Reason,
}

/// Lists the keys that this process knows, those of its configuration first.
#[utoipa::path(get, path = "/admin/v1/keys", tag = "keys", responses((status = 200, body = KeyList)))]
pub(super) async fn list(administrator: Administrator, State(ops): State<Ops>) -> Result<Response, Refused> {
    administrator.needs_all()?;
    in_time(&ops, read_keys(&ops.engine, &ops.keys)).await?;
    Ok(answer(KeyList { keys: ops.keys.known().into_iter().map(KeyView::of).collect() }))
}

/// Makes a key. This process knows it at once, others on the same store within 5 seconds.
#[utoipa::path(
    post, path = "/admin/v1/keys", tag = "keys", request_body = KeyOrder,
    responses(
        (status = 201, body = MadeKey),
        (status = 409, description = "There is a key of that name, or nobody could administrate any more")
    )
)]
pub(super) async fn add(
    administrator: Administrator,
    State(ops): State<Ops>,
    Order(order): Order<KeyOrder>,
) -> Result<Response, Refused> {
    administrator.needs_all()?;
    let now = ops.clock.now();
    order.check(now)?;
    in_time(&ops, read_keys(&ops.engine, &ops.keys)).await?;
    if ops.keys.known().iter().any(|known| known.key.name == order.name) {
        return Err(conflict(format!("there is a key `{}` already", order.name)));
    }
    let made = ApiKey::generate();
    let KeyOrder { name, scopes, gateways, origins, expires_ts, reason } = order;
    let stored = StoredKey {
        key: KeySettings { name, hash: made.hash, scopes, gateways, origins },
        created: now,
        created_by: administrator.name().to_owned(),
        expires: expires_ts.map(Timestamp::from_secs),
    };
    let mut all: Vec<StoredKey> = ops.keys.known().into_iter().filter_map(|known| known.stored).collect();
    all.push(stored.clone());
    if ops.keys.current().is_empty() && !ops.keys.leaves_an_administrator(&all, now) {
        return Err(conflict(
            "from the first key on everybody needs one: it has to have the scope admin, without limits",
        ));
    }
    let value = serde_json::to_vec(&stored).map_err(|error| internal(&error))?;
    in_time(&ops, ops.engine.keep_key(&stored.key.name, value.into())).await?;
    administrator.leaves("add key", &stored.key.name, &reason);
    in_time(&ops, read_keys(&ops.engine, &ops.keys)).await?;
    let key = KeyView::of(KnownKey { key: stored.key.clone().into(), stored: Some(stored), last_used: None });
    let secret = made.secret.expose_secret().to_owned();
    Ok((StatusCode::CREATED, answer(MadeKey { secret, key })).into_response())
}

/// Revokes a key of the store. This process knows that at once, others on the same store within 5 seconds.
#[utoipa::path(
    delete, path = "/admin/v1/keys/{name}", tag = "keys",
    params(
        ("name" = String, Path, description = "The key's name"),
        ("reason" = String, Query, description = "Why; it stands in the log")
    ),
    responses(
        (status = 204, description = "It is not good any more"),
        (status = 404, description = "There is none"),
        (status = 409, description = "It stands in the configuration, or nobody could administrate any more")
    )
)]
pub(super) async fn revoke(
    administrator: Administrator,
    State(ops): State<Ops>,
    Path(name): Path<String>,
    asked: Result<Query<Revocation>, QueryRejection>,
) -> Result<Response, Refused> {
    administrator.needs_all()?;
    let Query(Revocation { reason }) =
        asked.map_err(|error| Problem::new(ProblemCode::BadRequest, error.body_text()))?;
    let mut left = in_time(&ops, stored_keys(&ops.engine)).await?;
    let before = left.len();
    left.retain(|stored| stored.key.name != name);
    if left.len() == before {
        let in_file = ops.keys.known().iter().any(|known| known.stored.is_none() && known.key.name == name);
        return Err(match in_file {
            true => conflict(format!(
                "the key `{name}` stands in the configuration file: take it out there and reload"
            )),
            false => Problem::new(ProblemCode::NotFound, "there is no such key").into(),
        });
    }
    if !ops.keys.leaves_an_administrator(&left, ops.clock.now()) {
        return Err(conflict("no key would be left that may administrate everything"));
    }
    in_time(&ops, ops.engine.drop_key(&name)).await?;
    administrator.leaves("revoke key", &name, &reason);
    in_time(&ops, read_keys(&ops.engine, &ops.keys)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl KeyOrder {
    fn check(&self, now: Timestamp) -> Result<(), Refused> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let wrong = |pointer, code, why| Err(Problem::field(pointer, code, why).into());
        if self.name.is_empty() || self.name.len() > LONGEST_NAME || !self.name.chars().all(is_word) {
            let why = "a name has 1 to 64 letters, digits, dots, dashes and underscores";
            return wrong("/name", FaultCode::BadName, why);
        }
        if self.scopes.is_empty() {
            return wrong("/scopes", FaultCode::Empty, "give at least one of send, read, admin");
        }
        if self.expires_ts.is_some_and(|expires| Timestamp::from_secs(expires) <= now) {
            return wrong("/expires_ts", FaultCode::NotInFuture, "that time is over");
        }
        Ok(())
    }
}

impl KeyView {
    fn of(known: KnownKey) -> Self {
        let KnownKey { key, stored, last_used } = known;
        let KeySettings { name, scopes, gateways, origins, .. } = (*key).clone();
        Self {
            name,
            scopes,
            gateways,
            origins,
            kept_in: if stored.is_some() { "store" } else { "file" },
            created_ts: stored.as_ref().map(|stored| stored.created.as_secs()),
            created_by: stored.as_ref().map(|stored| stored.created_by.clone()),
            expires_ts: stored.and_then(|stored| stored.expires).map(Timestamp::as_secs),
            last_used_ts: last_used.map(Timestamp::as_secs),
        }
    }
}

fn conflict(why: impl Into<String>) -> Refused {
    Problem::new(ProblemCode::Conflict, why).into()
}

fn internal(error: &serde_json::Error) -> Refused {
    tracing::error!(%error, "a key cannot be written");
    Problem::new(ProblemCode::Internal, "the key cannot be written").into()
}

const LONGEST_NAME: usize = 64;
