//! One of the servers of a store: all of its keys, or those of one kind where a store is on two.

use std::collections::BTreeSet;
use std::sync::Arc;

use mmsgw_domain::GroupName;
use mmsgw_store::StoreError;
use parking_lot::Mutex;

use crate::call::{Answer, Call, Program, Programs};
use crate::commit::Committer;
use crate::condition::Condition;
use crate::config::RedisSettings;
use crate::keys::Layout;
use crate::link::Link;
use crate::servers::Servers;

/// A server with what leads to it.
pub(crate) struct Side {
    pub(crate) settings: RedisSettings,
    pub(crate) layout: Layout,
    /// The server keeps everything in one place: it is no cluster.
    pub(crate) together: bool,
    pub(crate) servers: Arc<Servers>,
    /// For all that waits for nothing: reads, leases, checks.
    pub(crate) link: Arc<Link>,
    pub(crate) committer: Committer,
    warnings: Mutex<BTreeSet<String>>,
}

impl Side {
    /// Connects, and finds out what the servers can do.
    pub(crate) async fn connect(settings: &RedisSettings) -> Result<Self, StoreError> {
        let servers = Arc::new(Servers::new(settings)?);
        let programs = Arc::new(Programs::new());
        let link = || Arc::new(Link::new(Arc::clone(&servers), Arc::clone(&programs), settings.timeout.0));
        let (link, changes) = (link(), link());
        let layout = Layout::new(&settings.key_prefix);
        let together = servers.are_one();
        let conditions = ask_conditions(&link, &layout, together).await?;
        let mut confirmation = None;
        for condition in &conditions {
            confirmation = condition.confirmation(settings)?.or(confirmation);
        }
        let links = (Arc::clone(&link), changes);
        let committer = Committer::new(links, confirmation, settings.max_round, layout.rings(), !together);
        let (settings, warnings) = (settings.clone(), Mutex::default());
        let side = Self { settings, layout, together, servers, link, committer, warnings };
        side.note(&conditions);
        Ok(side)
    }

    pub(crate) fn warnings(&self) -> BTreeSet<String> {
        self.warnings.lock().clone()
    }

    /// Asks whether the servers answer, and looks for warnings anew.
    pub(crate) async fn health(&self) -> Result<(), StoreError> {
        let conditions = ask_conditions(&self.link, &self.layout, self.together).await?;
        self.note(&conditions);
        Ok(())
    }

    fn note(&self, conditions: &[Condition]) {
        let warnings = conditions.iter().flat_map(|condition| condition.warnings(&self.settings)).collect();
        let mut known = self.warnings.lock();
        for news in BTreeSet::difference(&warnings, &known) {
            tracing::warn!(servers = ?self.settings.servers, "{news}");
        }
        *known = warnings;
    }

    /// Calls a script with the time as its first argument.
    pub(crate) async fn run(
        &self,
        program: Program,
        key: String,
        now: Vec<u8>,
        words: Vec<Vec<u8>>,
    ) -> Result<Answer, StoreError> {
        let args = std::iter::once(now).chain(words).collect();
        self.link.ask(&key.clone(), Call::script(program, key, args)).await
    }

    pub(crate) async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.link.ask(key, Call::plain(["GET", key])).await?.octets()
    }

    /// All places where something may be over, those of `groups` among them.
    pub(crate) fn places(&self, groups: &[GroupName]) -> Vec<String> {
        groups.iter().map(|group| self.layout.group(group)).chain(self.layout.metas()).collect()
    }
}

async fn ask_conditions(link: &Link, layout: &Layout, together: bool) -> Result<Vec<Condition>, StoreError> {
    if together {
        return Ok(vec![Condition::ask(link, &layout.groups()).await?]);
    }
    // These keys are all over the cluster.
    let keys: Vec<String> = layout.metas().collect();
    futures_util::future::try_join_all(keys.iter().map(|key| Condition::ask(link, key))).await
}
