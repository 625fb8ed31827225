//! The configuration is read anew while the process runs: whole and checked first, then taken over part by part.
//!
//! A gateway whose file did not change is not touched. One that changed finishes what it has in hand, hands back the
//! rest, and begins anew; nobody works for its group meanwhile, so that rate and window hold. What needs a start is told
//! by name and stays as it is.

mod changes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::future::join_all;
use mmsgw_contract::{KeyRing, Links};
use mmsgw_domain::{Clock, GroupName};
use mmsgw_edge_callout::{Callout, Fetch};
use mmsgw_edge_ops::{ChangedGateway, Controls, Reloaded};
use mmsgw_engine::Engine;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::assemble::links;
use crate::config::{Faults, Settings, Source};
use crate::crew::{Crew, Recruit};
use crate::doors::{Doors, Plan};
use crate::live::{LiveFetcher, LiveNotifier};
use crate::roles::Roles;
use crate::telemetry::LogLevel;
use changes::Changes;
pub(crate) use changes::groups;

/// Where the configuration of this process is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The main file.
    pub(crate) main: PathBuf,
    /// Gateway files, where they were named one by one.
    pub(crate) gateways: Option<Vec<PathBuf>>,
    /// What the process does.
    pub(crate) roles: Roles,
}

impl Place {
    /// Reads all of it.
    ///
    /// # Errors
    /// All faults found.
    pub(crate) fn read(&self) -> Result<Settings, Faults> {
        let settings = Settings::load_with(&self.main, self.gateways.as_deref())?;
        settings.fits(&self.roles, &self.main)?;
        Ok(settings)
    }
}

/// What an order to reload is answered with.
pub(crate) type Outcome = Result<Reloaded, String>;

/// Takes orders from administration: about the log itself, and hands on those to reload.
pub(crate) struct Switchboard {
    log: LogLevel,
    orders: mpsc::Sender<oneshot::Sender<Outcome>>,
}

impl Switchboard {
    /// A switchboard, and where its orders to reload come out.
    pub(crate) fn new(log: LogLevel) -> (Self, mpsc::Receiver<oneshot::Sender<Outcome>>) {
        let (orders, taken) = mpsc::channel(1);
        (Self { log, orders }, taken)
    }
}

#[async_trait]
impl Controls for Switchboard {
    fn log_level(&self) -> String {
        self.log.log_level()
    }

    fn set_log_level(&self, filter: &str) -> Result<(), String> {
        self.log.set_log_level(filter)
    }

    async fn reload(&self) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let ends = || "this process takes no configuration anew: it has none in files, or ends".to_owned();
        self.orders.send(answer).await.map_err(|_| ends())?;
        outcome.await.map_err(|_| ends())?
    }
}

/// All that a reload can change.
pub(crate) struct Site {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) crew: Arc<Crew>,
    pub(crate) keys: KeyRing,
    pub(crate) links: Arc<ArcSwap<Links>>,
    pub(crate) notifier: Arc<LiveNotifier>,
    pub(crate) fetcher: Arc<LiveFetcher>,
    pub(crate) log: LogLevel,
    /// The settings in use, and the listeners.
    pub(crate) state: Mutex<State>,
}

/// What changes under a reload.
pub(crate) struct State {
    pub(crate) settings: Settings,
    /// The main file as it was at the start.
    pub(crate) started: Source,
    pub(crate) doors: Doors,
}

/// All that a reload needs, made and checked.
struct Prepared {
    links: Links,
    doors: Plan,
    recruits: Vec<Recruit>,
    notifier: Option<Callout>,
    fetcher: Option<Fetch>,
}

impl Site {
    /// Takes over what `place` says now. Instances that end may take `limit` for what they have in hand.
    pub(crate) async fn reload(&self, place: &Place, limit: Duration) -> Outcome {
        let mut state = self.state.lock().await;
        let outcome = self.try_reload(&mut state, place, limit).await;
        match &outcome {
            Ok(done) => tracing::warn!("configuration reloaded: {}", in_words(done)),
            Err(faults) => tracing::error!("the configuration in use stays: {faults}"),
        }
        outcome
    }

    async fn try_reload(&self, state: &mut State, place: &Place, limit: Duration) -> Outcome {
        let reading = place.clone();
        let read = tokio::task::spawn_blocking(move || reading.read()).await;
        let mut new = read.map_err(|defect| defect.to_string())?.map_err(|faults| faults.to_string())?;
        let changes = Changes::between(&state.started, &state.settings, &new);
        keep_what_waits(&state.settings, &mut new);
        let prepared = self.prepare(state, &new, &changes)?;
        let mut done = self.carry_out(state, &new, &changes, prepared, limit).await;
        done.warnings.extend(self.left_behind(&changes.removed).await);
        state.settings = new;
        Ok(done)
    }

    /// All that can fail; each fault is told.
    fn prepare(&self, state: &mut State, new: &Settings, changes: &Changes) -> Result<Prepared, String> {
        let mut faults = Vec::new();
        let links = links(new);
        let came = changes.added.iter().chain(changes.changed.iter().map(|(group, _)| group));
        let files = groups(new);
        let firsts = came.filter_map(|group| files.get(group)?.first());
        let recruits: Vec<Recruit> =
            firsts.filter_map(|file| note(&mut faults, self.crew.recruit(file))).collect();
        if changes.touches(&["log.level"]) {
            note(&mut faults, LogLevel::check(&new.log.level));
        }
        let calls = &new.callout;
        let notifier = (changes.touches(&["callbacks"]) || links != **self.links.load())
            .then(|| Callout::new(&calls.callbacks, Arc::clone(&self.clock), links.clone()));
        let notifier = notifier.and_then(|made| note(&mut faults, made.map_err(anyhow::Error::from)));
        let fetcher = changes.touches(&["media"]).then(|| Fetch::new(&calls.media));
        let fetcher = fetcher.and_then(|made| note(&mut faults, made.map_err(anyhow::Error::from)));
        // Last: it opens what is missing.
        match note(&mut faults, state.doors.plan(new, &links)) {
            Some(doors) if faults.is_empty() => Ok(Prepared { links, doors, recruits, notifier, fetcher }),
            _ => Err(faults.join("\n")),
        }
    }

    /// Nothing of this can fail.
    async fn carry_out(
        &self,
        state: &mut State,
        new: &Settings,
        changes: &Changes,
        prepared: Prepared,
        limit: Duration,
    ) -> Reloaded {
        let Prepared { links, doors, recruits, notifier, fetcher } = prepared;
        let mut warnings = self.set_log(new, changes);
        self.keys.set_settings(&new.api.keys);
        self.links.store(Arc::new(links));
        if let Some(notifier) = notifier {
            self.notifier.0.store(Arc::new(notifier));
        }
        if let Some(fetcher) = fetcher {
            self.fetcher.0.store(Arc::new(fetcher));
        }
        let (fresh, others): (Vec<_>, Vec<_>) =
            recruits.into_iter().partition(|recruit| changes.added.contains(recruit.group()));
        // Groups that come are there before anything is taken for them; those that go are, after that.
        fresh.into_iter().for_each(|recruit| self.crew.man(recruit));
        self.engine.set_default_group(new.general.default_gateway.clone());
        state.doors.carry_out(doors);
        changes.removed.iter().for_each(|group| self.engine.forget_group(group));
        let gone = join_all(changes.removed.iter().map(|group| self.relieve(group, limit)));
        let renewed = join_all(others.into_iter().map(async |recruit| {
            let warning = self.relieve(recruit.group(), limit).await;
            self.crew.man(recruit);
            warning
        }));
        let (gone, renewed) = tokio::join!(gone, renewed);
        warnings.extend(gone.into_iter().chain(renewed).flatten());
        let name = |group: &GroupName| group.to_string();
        Reloaded {
            added: changes.added.iter().map(name).collect(),
            changed: changes
                .changed
                .iter()
                .map(|(group, keys)| ChangedGateway { group: group.to_string(), keys: keys.clone() })
                .collect(),
            removed: changes.removed.iter().map(name).collect(),
            settings: changes.settings.clone(),
            at_next_start: changes.at_next_start.clone(),
            warnings,
        }
    }

    async fn relieve(&self, group: &GroupName, limit: Duration) -> Option<String> {
        let ended = self.crew.relieve(group, limit).await;
        (!ended).then(|| {
            let secs = limit.as_secs();
            format!(
                "gateway {group}: what it had in hand is not finished after {secs} s; it goes on as it began"
            )
        })
    }

    /// Log settings that hold at once; what somebody should know about them.
    fn set_log(&self, new: &Settings, changes: &Changes) -> Vec<String> {
        self.log.set_masking(new.log.mask_numbers);
        if !changes.touches(&["log.level"]) {
            return Vec::new();
        }
        if LogLevel::is_overridden() {
            return vec!["log.level: the environment variable MMSGW_LOG says it for this process".to_owned()];
        }
        self.log.set_log_level(&new.log.level).err().into_iter().collect()
    }

    /// What waits for groups that are not there any more.
    async fn left_behind(&self, removed: &[GroupName]) -> Vec<String> {
        if removed.is_empty() {
            return Vec::new();
        }
        let asked = tokio::time::timeout(STORE_PATIENCE, self.engine.queues());
        let Ok(Ok(queues)) = asked.await else {
            return vec!["the store does not tell what waits for the groups that are gone".to_owned()];
        };
        let left = removed.iter().filter_map(|group| {
            let own = queues.iter().filter(|queue| queue.queue.group == *group);
            let jobs: u64 = own.map(|queue| queue.waiting + queue.leased + queue.dead).sum();
            (jobs > 0).then(|| {
                format!(
                    "gateway {group}: {jobs} jobs stay in its queues until a gateway file has the group again"
                )
            })
        });
        left.collect()
    }
}

/// What was made, or one fault more.
fn note<T>(faults: &mut Vec<String>, made: anyhow::Result<T>) -> Option<T> {
    made.map_err(|fault| faults.push(format!("{fault:#}"))).ok()
}

/// What is in use and needs a start to change stays, so that all who look see what is in use.
fn keep_what_waits(now: &Settings, new: &mut Settings) {
    new.api.listen = now.api.listen;
    new.api.max_connections = now.api.max_connections;
    new.api.max_connections_per_peer = now.api.max_connections_per_peer;
    new.api.request_timeout = now.api.request_timeout;
    new.api.limits.numbers = now.api.limits.numbers;
    new.api.limits.parts = now.api.limits.parts;
    if now.api.tls.is_some() != new.api.tls.is_some() {
        new.api.tls.clone_from(&now.api.tls);
    }
    new.ops.listen = now.ops.listen;
    new.without_ops = now.without_ops;
    new.mm4rx.listen = now.mm4rx.listen;
    new.mm7rx.listen = now.mm7rx.listen;
}

/// The same for the log, in a line.
fn in_words(done: &Reloaded) -> String {
    let changed: Vec<String> =
        done.changed.iter().map(|change| format!("{} ({})", change.group, change.keys.join(", "))).collect();
    let parts = [
        ("added", &done.added),
        ("changed", &changed),
        ("removed", &done.removed),
        ("settings", &done.settings),
        ("only from the next start on", &done.at_next_start),
        ("warnings", &done.warnings),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(what, list)| format!("{what}: {}", list.join(", ")))
        .collect();
    if told.is_empty() { "nothing has changed".to_owned() } else { told.join("; ") }
}

/// How long the store may take to tell of its queues.
const STORE_PATIENCE: Duration = Duration::from_secs(3);
