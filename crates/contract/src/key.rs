//! API keys: 256 random bits, of which mmsgw keeps the digest only; what their holders may do.
//!
//! Every listener that asks for keys asks for the same ones, in the same way: `Authorization: Bearer`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, rand};
use encodify::base64::URL_SAFE_NO_PAD;
use mmsgw_domain::{Address, Digest, GroupName, Timestamp};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{Problem, ProblemCode};

/// A new key: the secret for the application, the hash for `[[api.key]]`.
#[derive(Debug)]
pub struct ApiKey {
    /// What the application sends as `Authorization: Bearer`. It is kept nowhere.
    pub secret: SecretString,
    /// What the settings hold.
    pub hash: Digest,
}

impl ApiKey {
    /// Makes a key.
    ///
    /// # Panics
    /// Where the system has no random numbers to give, which leaves no safe way on.
    pub fn generate() -> Self {
        let mut octets = [0; 32];
        rand::fill(&mut octets).expect("the system gives random numbers");
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(octets));
        Self { hash: hash(&secret), secret: secret.into() }
    }
}

/// A key, `[[api.key]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// Name, for the log.
    pub name: String,
    /// SHA-256 of the key, in lower-case hexadecimal digits.
    pub hash: Digest,
    /// What the key may do.
    pub scopes: Vec<Scope>,
    /// Gateway groups that it may use and see; all where absent.
    #[serde(default)]
    pub gateways: Option<Vec<GroupName>>,
    /// Origins that it may use and see; all where absent.
    #[serde(default)]
    pub origins: Option<Vec<Address>>,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Make and change templates and parts, send messages, order reports on inbound ones.
    Send,
    /// Look at templates, parts, messages and media.
    Read,
    /// Everything.
    Admin,
}

/// All keys at one moment; without any, everybody may do everything, and listeners are on loopback.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<Held>);

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) settings: Arc<KeySettings>,
    /// Not good any more from then on.
    pub(crate) expires: Option<Timestamp>,
    /// When it was shown last, in milliseconds since 1970; 0 for never.
    pub(crate) used: Arc<AtomicI64>,
}

impl Held {
    pub(crate) fn new(settings: KeySettings, expires: Option<Timestamp>) -> Self {
        Self { settings: Arc::new(settings), expires, used: Arc::default() }
    }

    fn is_good(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

impl Keys {
    /// The keys of the settings.
    pub fn new(keys: &[KeySettings]) -> Self {
        Self(keys.iter().map(|key| Held::new(key.clone(), None)).collect())
    }

    pub(crate) fn of(held: Vec<Held>) -> Self {
        Self(held)
    }

    pub(crate) fn held(&self) -> &[Held] {
        &self.0
    }

    /// True where nobody needs a key. One whose time is over still counts: that it ran out opens no door.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key with this hash, where it is good.
    pub fn with_hash(&self, hash: &Digest, now: Timestamp) -> Option<Arc<KeySettings>> {
        let found = self.0.iter().find(|key| key.settings.hash == *hash && key.is_good(now));
        found.map(|key| Arc::clone(&key.settings))
    }

    /// The key that a request shows in its `Authorization` header; none where nobody needs one.
    ///
    /// # Errors
    /// [`ProblemCode::Unauthorized`]: no key, or one that is not known or not good any more.
    pub fn shown(
        &self,
        authorization: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Arc<KeySettings>>, Problem> {
        if self.is_empty() {
            return Ok(None);
        }
        let secret = authorization.and_then(bearer).ok_or_else(|| {
            Problem::new(ProblemCode::Unauthorized, "the request has no `Authorization: Bearer` header")
        })?;
        let digest = hash(secret);
        // All keys are looked at, each in constant time, so that the time tells nothing.
        let same =
            |key: &&Held| verify_slices_are_equal(key.settings.hash.as_bytes(), digest.as_bytes()).is_ok();
        let found = self.0.iter().fold(None, |found, key| if same(&key) { Some(key) } else { found });
        let refused = |why| Problem::new(ProblemCode::Unauthorized, why);
        let key = found.ok_or_else(|| refused("the API key is not known"))?;
        if !key.is_good(now) {
            return Err(refused("the API key is not good any more: its time is over"));
        }
        key.used.store(now.as_millis(), Ordering::Relaxed);
        Ok(Some(Arc::clone(&key.settings)))
    }
}

impl KeySettings {
    /// Refuses what the key may not do.
    ///
    /// # Errors
    /// [`ProblemCode::Forbidden`], naming the scope.
    pub fn needs(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin) {
            return Ok(());
        }
        let detail = format!("the key `{}` lacks the scope {scope:?}", self.name).to_lowercase();
        Err(Problem::new(ProblemCode::Forbidden, detail))
    }

    /// True where the group is among those of the key.
    pub fn owns_group(&self, group: &GroupName) -> bool {
        self.gateways.as_ref().is_none_or(|gateways| gateways.contains(group))
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, secret) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// The hash of a key as it is sent.
fn hash(secret: &str) -> Digest {
    let digest = digest::digest(&digest::SHA256, secret.as_bytes());
    Digest::new(digest.as_ref().try_into().expect("SHA-256 has 32 octets"))
}

/// Marks keys, so that they are found where they should not be.
const PREFIX: &str = "mmsgw_";

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn keys_differ_and_their_hash_is_sha_256() {
        let (one, other) = (ApiKey::generate(), ApiKey::generate());
        assert_ne!(one.hash, other.hash);
        assert_eq!(hash(one.secret.expose_secret()), one.hash);
        assert_eq!(one.secret.expose_secret().len(), PREFIX.len() + 43);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash("").to_string(), empty);
    }

    #[test]
    fn a_key_is_known_by_its_hash_and_does_what_its_scopes_say() {
        let (reading, managing) = (ApiKey::generate(), ApiKey::generate());
        let settings = |name: &str, key: &ApiKey, scopes| KeySettings {
            name: name.into(),
            hash: key.hash,
            scopes,
            gateways: None,
            origins: None,
        };
        let keys = Keys::new(&[
            settings("reader", &reading, vec![Scope::Read]),
            settings("manager", &managing, vec![Scope::Admin]),
        ]);
        let now = Timestamp::from_millis(1);
        let shown = |text: &str| keys.shown(Some(text), now).map(|key| key.unwrap().name.clone());
        let header = |scheme: &str, key: &ApiKey| format!("{scheme} {}", key.secret.expose_secret());
        assert_eq!(shown(&header("Bearer", &reading)).as_deref(), Ok("reader"));
        assert_eq!(shown(&header("bearer ", &managing)).as_deref(), Ok("manager"));
        for bad in ["", "Bearer", "Bearer x", &header("Basic", &managing)] {
            assert_eq!(shown(bad).unwrap_err().code, ProblemCode::Unauthorized, "{bad}");
        }
        assert_eq!(keys.shown(None, now).unwrap_err().code, ProblemCode::Unauthorized);
        assert_eq!(keys.with_hash(&managing.hash, now).unwrap().name, "manager");
        assert!(keys.with_hash(&ApiKey::generate().hash, now).is_none());
        let held = |key: &ApiKey| keys.shown(Some(&header("Bearer", key)), now).unwrap().unwrap();
        assert!(held(&reading).needs(Scope::Read).is_ok() && held(&managing).needs(Scope::Send).is_ok());
        let refused = held(&reading).needs(Scope::Admin).unwrap_err();
        assert_eq!(
            (refused.code, refused.detail.as_str()),
            (ProblemCode::Forbidden, "the key `reader` lacks the scope admin")
        );
        assert!(Keys::default().shown(None, now).unwrap().is_none());
    }
}
