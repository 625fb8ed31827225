//! The keys that a process knows now: those of its settings and those kept in the store. Listeners share one ring.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use mmsgw_domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::key::Held;
use crate::{KeySettings, Keys, Scope};

/// A key that the administration API made: kept in the store, known to every process that shares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredKey {
    /// Name, hash and rights.
    pub key: KeySettings,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it: the name of a key.
    pub created_by: String,
    /// Not good any more from then on; good until it is revoked where absent.
    pub expires: Option<Timestamp>,
}

/// A key as an administrator sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownKey {
    /// Name, hash and rights.
    pub key: Arc<KeySettings>,
    /// The rest of what is kept of it, where it is in the store and not in a file.
    pub stored: Option<StoredKey>,
    /// When this process saw it last.
    pub last_used: Option<Timestamp>,
}

/// The keys that count now. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct KeyRing(Arc<ArcSwap<Ring>>);

#[derive(Debug, Clone, Default)]
struct Ring {
    settings: Vec<KeySettings>,
    stored: Vec<StoredKey>,
    /// Both, in this order.
    keys: Arc<Keys>,
}

impl KeyRing {
    /// A ring with the keys of the settings.
    pub fn new(keys: &[KeySettings]) -> Self {
        let ring = Self::default();
        ring.set_settings(keys);
        ring
    }

    /// The keys at this moment.
    pub fn current(&self) -> Arc<Keys> {
        Arc::clone(&self.0.load().keys)
    }

    /// From now on these are the keys of the settings.
    pub fn set_settings(&self, keys: &[KeySettings]) {
        self.0.rcu(|ring| Ring { settings: keys.to_vec(), ..Ring::clone(ring) }.woven());
    }

    /// From now on these are the keys of the store.
    pub fn set_stored(&self, keys: &[StoredKey]) {
        if self.0.load().stored != keys {
            self.0.rcu(|ring| Ring { stored: keys.to_vec(), ..Ring::clone(ring) }.woven());
        }
    }

    /// All keys, those of the settings first.
    pub fn known(&self) -> Vec<KnownKey> {
        let ring = self.0.load();
        let stored = ring.stored.iter().cloned().map(Some);
        let stored = ring.settings.iter().map(|_| None).chain(stored);
        let known = ring.keys.held().iter().zip(stored).map(|(held, stored)| {
            let used = held.used.load(Ordering::Relaxed);
            let last_used = (used > 0).then(|| Timestamp::from_millis(used));
            KnownKey { key: Arc::clone(&held.settings), stored, last_used }
        });
        known.collect()
    }

    /// Whether somebody could still administrate everything at `now` if the keys of the store were `stored`; true
    /// where no key would be left, as nobody needs one then.
    pub fn leaves_an_administrator(&self, stored: &[StoredKey], now: Timestamp) -> bool {
        let ring = self.0.load();
        let rules = |key: &KeySettings| {
            key.scopes.contains(&Scope::Admin) && key.gateways.is_none() && key.origins.is_none()
        };
        let good = |key: &&StoredKey| key.expires.is_none_or(|expires| now < expires);
        ring.settings.is_empty() && stored.is_empty()
            || ring.settings.iter().any(rules)
            || stored.iter().filter(good).any(|stored| rules(&stored.key))
    }
}

impl Ring {
    /// The same with keys made anew; what is known of their use stays.
    fn woven(self) -> Self {
        let of_settings = self.settings.iter().map(|key| Held::new(key.clone(), None));
        let of_store = self.stored.iter().map(|stored| Held::new(stored.key.clone(), stored.expires));
        let held = of_settings.chain(of_store).map(|new| {
            let before = self.keys.held().iter().find(|before| before.settings.hash == new.settings.hash);
            let used = before.map(|before| Arc::clone(&before.used)).unwrap_or_else(|| Arc::clone(&new.used));
            Held { used, ..new }
        });
        let keys = Arc::new(Keys::of(held.collect()));
        Self { keys, ..self }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::ApiKey;

    fn key(name: &str, scope: Scope) -> (KeySettings, String) {
        let made = ApiKey::generate();
        let settings = KeySettings {
            name: name.into(),
            hash: made.hash,
            scopes: vec![scope],
            gateways: None,
            origins: None,
        };
        (settings, format!("Bearer {}", made.secret.expose_secret()))
    }

    fn stored(key: KeySettings, expires: Option<i64>) -> StoredKey {
        let created = Timestamp::from_millis(1);
        StoredKey { key, created, created_by: "root".into(), expires: expires.map(Timestamp::from_millis) }
    }

    #[test]
    fn keys_come_go_and_run_out_while_the_ring_is_in_use() {
        let (root, root_shown) = key("root", Scope::Admin);
        let (app, app_shown) = key("app", Scope::Send);
        let ring = KeyRing::default();
        let shown =
            |text: &str, at: i64| ring.current().shown(Some(text), Timestamp::from_millis(at)).ok().flatten();
        assert!(ring.current().is_empty());
        ring.set_settings(&[root]);
        ring.set_stored(&[stored(app.clone(), Some(100))]);
        assert_eq!(shown(&root_shown, 5).unwrap().name, "root");
        assert_eq!(shown(&app_shown, 99).unwrap().name, "app");
        assert!(shown(&app_shown, 100).is_none());
        let known = ring.known();
        assert_eq!(known.iter().map(|key| key.stored.is_some()).collect::<Vec<_>>(), [false, true]);
        assert_eq!(known[1].last_used, Some(Timestamp::from_millis(99)));
        // What is known of the use of a key outlives a change of others.
        ring.set_settings(&[]);
        assert_eq!(ring.known()[0].last_used, Some(Timestamp::from_millis(99)));
        assert!(shown(&root_shown, 5).is_none());
        assert!(!ring.current().is_empty(), "a key that has run out keeps the door closed");
        ring.set_stored(&[]);
        assert!(ring.current().is_empty() && shown(&app_shown, 5).is_none());
        let text = serde_json::to_string(&stored(app.clone(), None)).unwrap();
        assert_eq!(serde_json::from_str::<StoredKey>(&text).unwrap(), stored(app, None));
    }

    #[test]
    fn somebody_has_to_be_left_who_may_administrate() {
        let ring = KeyRing::default();
        let (admin, app) = (key("admin", Scope::Admin).0, key("app", Scope::Send).0);
        let left = |keys: &[StoredKey]| ring.leaves_an_administrator(keys, Timestamp::from_millis(10));
        assert!(left(&[]), "nobody needs a key");
        assert!(!left(&[stored(app.clone(), None)]));
        assert!(left(&[stored(app.clone(), None), stored(admin.clone(), Some(11))]));
        assert!(!left(&[stored(admin.clone(), Some(10))]), "it has run out");
        let bounded = KeySettings { gateways: Some(Vec::new()), ..admin.clone() };
        assert!(!left(&[stored(bounded, None)]));
        ring.set_settings(&[admin]);
        assert!(left(&[stored(app, None)]));
    }
}
