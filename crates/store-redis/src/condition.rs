//! The state a server is in, as far as it decides whether a queue is safe there.

use std::collections::{BTreeSet, HashMap};

use mmsgw_store::StoreError;

use crate::call::{Answer, Call};
use crate::config::{Durability, RedisSettings};
use crate::link::{Confirmation, Link};

/// What was found out about a server.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    info: HashMap<String, String>,
    /// `None` where it was not told: managed services forbid CONFIG.
    appendfsync: Option<String>,
}

impl Condition {
    /// Asks the master of `key`.
    pub(crate) async fn ask(link: &Link, key: &str) -> Result<Self, StoreError> {
        let text = link.ask(key, Call::plain(["INFO"])).await?.text()?;
        let info = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        let info = info.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let config = link.ask(key, Call::plain(["CONFIG", "GET", "appendfsync"])).await;
        let pair = config.and_then(Answer::list).unwrap_or_default();
        let appendfsync = pair.into_iter().nth(1).and_then(|value| value.text().ok());
        Ok(Self { info, appendfsync })
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.info.get(name).is_some_and(|found| found == value)
    }

    /// Major and minor version. Valkey states the version of Redis that it is compatible with.
    fn version(&self) -> (u32, u32) {
        let text = self.info.get("redis_version").map_or("", String::as_str);
        let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// What an operator should know, a sentence each.
    pub(crate) fn warnings(&self, settings: &RedisSettings) -> BTreeSet<String> {
        let mut warnings = BTreeSet::new();
        let policy = self.info.get("maxmemory_policy").map_or("", String::as_str);
        if policy.starts_with("allkeys-") {
            warnings.insert(format!(
                "maxmemory-policy is {policy}: the server may throw away queued messages; set noeviction"
            ));
        } else if policy.starts_with("volatile-") {
            warnings.insert(format!(
                "maxmemory-policy is {policy}: when memory is short, records of sent messages, templates and parts \
                 go before their time; queues stay"
            ));
        }
        if settings.durability == Durability::None {
            return warnings;
        }
        if self.is("aof_enabled", "0") {
            warnings.insert(
                "appendonly is no: what was stored since the last snapshot is gone when the server's process ends"
                    .to_owned(),
            );
        }
        if self.info.get("aof_last_write_status").is_some_and(|status| status != "ok") {
            warnings.insert("the server cannot write its append-only file".to_owned());
        }
        let lazy = self.appendfsync.as_deref().filter(|value| *value != "always");
        if let (Durability::Server, Some(value), true) =
            (settings.durability, lazy, self.is("aof_enabled", "1"))
        {
            warnings.insert(format!(
                "appendfsync is {value}: a power cut takes back the last of what was answered; always does not"
            ));
        }
        warnings
    }

    /// What commits wait for.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] where this server cannot do what the settings ask.
    pub(crate) fn confirmation(&self, settings: &RedisSettings) -> Result<Option<Confirmation>, StoreError> {
        if self.version() < OLDEST {
            let found = self.info.get("redis_version").map_or("unknown", String::as_str);
            return Err(StoreError::Unusable(format!(
                "the server's version is {found}; 6.2 or later is needed"
            )));
        }
        match settings.durability {
            Durability::None | Durability::Server => Ok(None),
            Durability::Replicas => {
                let needed = i64::from(settings.replicas);
                let command = vec!["WAIT".to_owned(), needed.to_string()];
                let shortage = format!("it is done, but fewer than {needed} replicas said that they have it");
                Ok(Some(Confirmation { command, needed, shortage }))
            }
            Durability::Fsync if self.is("aof_enabled", "0") => Err(StoreError::Unusable(
                "durability = \"fsync\" needs a server with `appendonly yes`".to_owned(),
            )),
            Durability::Fsync if self.version() >= WAITAOF => {
                let command = ["WAITAOF", "1", "0"].map(str::to_owned).to_vec();
                let shortage = "it is done, but the server's disk did not say so in time".to_owned();
                Ok(Some(Confirmation { command, needed: 1, shortage }))
            }
            Durability::Fsync if self.appendfsync.as_deref() == Some("always") => Ok(None),
            Durability::Fsync => Err(StoreError::Unusable(
                "durability = \"fsync\" needs Redis 7.2, Valkey, or a server with `appendfsync always`"
                    .to_owned(),
            )),
        }
    }
}

/// `SET … PXAT` and `ZADD … GT` came with it.
const OLDEST: (u32, u32) = (6, 2);
/// WAITAOF came with it.
const WAITAOF: (u32, u32) = (7, 2);
