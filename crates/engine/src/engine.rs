//! The engine itself: what it stands on, and its settings.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use mmsgw_domain::{Clock, GroupName, RetryPolicy, Timestamp};
use mmsgw_store::{BlobStore, Registry, Store};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::bulk::Bulks;
use crate::content::ContentCache;
use crate::endpoint::Endpoints;
use crate::find;
use crate::fit::Adapter;
use crate::gateway::{Fetcher, Notifier};
use crate::group::Groups;
use crate::instance::{Instance, MissedHeartbeats};
use crate::measure::StoreMeasures;
use crate::news::News;
use crate::notes::Notes;
use crate::personal::Compiled;
use crate::spans::Spans;
use crate::turns::Turns;
use crate::wiretap::{Tap, Wiretap};

/// A handle to the engine; clones share one.
#[derive(Clone)]
pub struct Engine(Arc<Core>);

/// What an engine stands on.
pub struct EngineParts {
    /// Templates, messages and jobs.
    pub store: Arc<dyn Store>,
    /// What instances share besides jobs.
    pub registry: Arc<dyn Registry>,
    /// Media.
    pub blobs: Arc<dyn BlobStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The way to media behind URLs.
    pub fetcher: Arc<dyn Fetcher>,
    /// The way to applications.
    pub notifier: Arc<dyn Notifier>,
}

/// Settings of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineSettings {
    /// How long a message is remembered after it left, and after each report on it.
    pub message_ttl: Duration,
    /// How long a template is kept.
    pub template_ttl: Duration,
    /// How long a dead job is kept.
    pub dead_ttl: Duration,
    /// Most numbers in one message.
    pub max_recipients: usize,
    /// Most parts in one template.
    pub max_parts: usize,
    /// Most octets in one part.
    pub max_part_octets: usize,
    /// The group that carries a message that names none, until [`Engine::set_default_group`] says another.
    pub default_group: Option<GroupName>,
    /// A lease lasts that long unless extended, so a job whose worker died comes back after it.
    pub lease: Duration,
    /// Octets of loaded media in memory.
    pub cache_octets: usize,
    /// Pictures that are changed at once; each takes a thread.
    pub adapt_threads: usize,
    /// A picture of more pixels is not changed. Changing takes up to about 16 octets of memory for each.
    pub adapt_pixels: u64,
    /// Above so many waiting jobs in its queue a group takes no more messages for the time being.
    pub max_waiting: u64,
    /// Above so many jobs that came from carriers and wait to be read a group takes no more of them.
    pub max_received: u64,
    /// Callbacks in flight at once, per group.
    pub callback_window: usize,
    /// Most octets of a part that has variables in it, before and after they are put in.
    pub max_personal_octets: usize,
    /// Refused lines of a bulk order that are kept.
    pub refused_lines: u64,
    /// How long a request is remembered by its idempotency key.
    pub idempotency_ttl: Duration,
    /// A request that was begun and not finished may be begun again after that.
    pub idempotency_takeover: Duration,
    /// When a callback that was not taken is posted again.
    pub callback_retry: RetryPolicy,
    /// When a report that fits no message yet is looked at again.
    pub report_retry: RetryPolicy,
    /// When a job that a defect of ours broke off is tried again.
    pub defect_retry: RetryPolicy,
    /// An instance that has not been heard of for so long counts as dead.
    pub instance_ttl: Duration,
    /// So many missed heartbeats in a row mean that the carrier is not there.
    pub max_missed_heartbeats: u32,
    /// What is done then.
    pub on_missed_heartbeats: MissedHeartbeats,
}

impl Default for EngineSettings {
    fn default() -> Self {
        let secs = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect();
        Self {
            message_ttl: Duration::from_secs(3 * 86_400),
            template_ttl: Duration::from_secs(86_400),
            dead_ttl: Duration::from_secs(7 * 86_400),
            max_recipients: 1_000,
            max_parts: 100,
            max_part_octets: 10 << 20,
            default_group: None,
            lease: Duration::from_secs(60),
            cache_octets: 64 << 20,
            adapt_threads: 1,
            adapt_pixels: 25_000_000,
            max_waiting: 5_000_000,
            max_received: 1_000_000,
            callback_window: 256,
            max_personal_octets: 256 << 10,
            refused_lines: 10_000,
            idempotency_ttl: Duration::from_secs(86_400),
            idempotency_takeover: Duration::from_secs(60),
            callback_retry: RetryPolicy {
                delays: secs(&[5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 72_000]),
                max_tries: 12,
            },
            report_retry: RetryPolicy { delays: secs(&[1, 2, 5, 10, 30, 60]), max_tries: 8 },
            defect_retry: RetryPolicy { delays: secs(&[1, 10, 60]), max_tries: 4 },
            instance_ttl: Duration::from_secs(15),
            max_missed_heartbeats: 3,
            on_missed_heartbeats: MissedHeartbeats::default(),
        }
    }
}

/// What the handles share. Its fields are for the rooms of this crate only.
pub struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fetcher: Arc<dyn Fetcher>,
    pub(crate) notifier: Arc<dyn Notifier>,
    pub(crate) settings: EngineSettings,
    pub(crate) groups: Groups,
    pub(crate) default_group: ArcSwapOption<GroupName>,
    pub(crate) cache: ContentCache,
    pub(crate) adapter: Adapter,
    pub(crate) turns: Turns,
    /// Turns at handing a message over: whoever wants to change what is said waits for its end.
    pub(crate) flights: Turns,
    pub(crate) compiled: Compiled,
    pub(crate) bulks: Bulks,
    /// Looks through many messages.
    pub(crate) looks: Semaphore,
    pub(crate) endpoints: Endpoints,
    /// The instances of this process.
    pub(crate) instances: Mutex<Vec<Arc<Instance>>>,
    /// Cancelled when an instance wants this process to end.
    pub(crate) exit: CancellationToken,
    pub(crate) notes: Notes,
    pub(crate) wiretap: Arc<Wiretap>,
    pub(crate) news: News,
    pub(crate) store_measures: StoreMeasures,
    pub(crate) spans: Spans,
    /// Revisions that were claimed for long enough already, so that not each message claims again.
    pub(crate) claimed: Mutex<std::collections::HashMap<mmsgw_domain::RevisionId, Timestamp>>,
}

impl Deref for Engine {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.0
    }
}

impl Engine {
    /// An engine that knows no group yet; see [`Engine::know_group`] and [`Engine::run_group`].
    pub fn new(parts: EngineParts, settings: EngineSettings) -> Self {
        let EngineParts { store, registry, blobs, clock, fetcher, notifier } = parts;
        let adapter = Adapter::new(settings.adapt_threads);
        let wiretap = Arc::new(Wiretap::new(Arc::clone(&clock)));
        Self(Arc::new(Core {
            store,
            registry,
            blobs,
            clock,
            fetcher,
            notifier,
            cache: ContentCache::new(settings.cache_octets),
            default_group: ArcSwapOption::from_pointee(settings.default_group.clone()),
            settings,
            adapter,
            groups: Groups::default(),
            turns: Turns::default(),
            notes: Notes::default(),
            wiretap,
            news: News::default(),
            store_measures: StoreMeasures::default(),
            spans: Spans::default(),
            instances: Mutex::default(),
            exit: CancellationToken::new(),
            claimed: Mutex::default(),
            flights: Turns::default(),
            compiled: Compiled::default(),
            bulks: Bulks::default(),
            looks: Semaphore::new(find::AT_ONCE),
            endpoints: Endpoints::default(),
        }))
    }

    /// The settings.
    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// Where what is said with carriers is kept, for people who look for a fault.
    pub fn wiretap(&self) -> &Wiretap {
        &self.wiretap
    }

    /// Notes what is said in an exchange that the carrier of `group` begins now.
    pub fn tap(&self, group: &GroupName) -> Tap {
        self.wiretap.tap(group, None)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Until when that which a message needs is to be kept, where the message ends at `deadline`:
    /// reports still come after that.
    pub(crate) fn keep_until(&self, deadline: Timestamp) -> Timestamp {
        deadline.max(self.now()).after(self.settings.message_ttl).after(CLAIM_SLACK)
    }
}

/// Claims run so much longer than needed, so that one claim serves many messages.
pub(crate) const CLAIM_SLACK: Duration = Duration::from_secs(3_600);
