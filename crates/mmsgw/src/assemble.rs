//! Puts the rooms together into a running gateway, and takes it apart again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use mmsgw_contract::{KeyRing, Links};
use mmsgw_edge_callout::{Callout, Fetch};
use mmsgw_edge_ops::{Controls, OpsParts};
use mmsgw_engine::{Engine, EngineParts, EngineSettings};
use mmsgw_net::Drain;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::{GatewaySettings, Settings};
use crate::crew::{Crew, host_name, weigh};
use crate::doors::Doors;
use crate::live::{LiveFetcher, LiveNotifier};
use crate::records;
use crate::reload::{Site, State, groups};
use crate::roles::Roles;
use crate::storage::{MediaSection, Sections, Storage, StorageSection};
use crate::systemd::Sockets;
use crate::telemetry::LogLevel;
use crate::traces;

/// A process of the gateway at work.
pub(crate) struct Running {
    /// What listens where, as it was at the start.
    addresses: Vec<(String, SocketAddr)>,
    site: Arc<Site>,
    listeners: Drain,
    beside: Vec<Beside>,
    storage: Storage,
}

/// What tells of the work elsewhere, in records or traces, until everything else has ended.
struct Beside {
    over: CancellationToken,
    telling: tokio::task::JoinHandle<()>,
}

impl Running {
    /// What listens where: the API, health and metrics, SMTP for carriers, HTTP for carriers.
    pub(crate) fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// The address that something has by this name.
    pub(crate) fn address(&self, what: &str) -> Option<SocketAddr> {
        self.addresses.iter().find(|(name, _)| name == what).map(|(_, address)| *address)
    }

    /// What can be changed about it.
    pub(crate) fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Resolves when the process ought to end by itself, because a carrier is not there and the settings say so.
    pub(crate) async fn exit_wanted(&self) {
        self.site.engine.exit_wanted().await;
    }

    /// Takes nothing new, finishes what is in hand, hands back the rest, and closes the store. False where
    /// something was left unfinished after `limit`.
    pub(crate) async fn stop(self, limit: Duration) -> bool {
        let (finished, quiet) = tokio::join!(self.site.crew.end(limit), self.listeners.drain(limit));
        if let Err(error) = self.site.engine.leave().await {
            tracing::warn!(%error, "cannot hand back what is left; it comes back when its leases lapse");
        }
        for Beside { over, telling } in self.beside {
            over.cancel();
            // A defect in it has been told already.
            let _ = telling.await;
        }
        let closed = self.storage.close().await;
        if let Err(error) = &closed {
            tracing::warn!(%error, "the store did not close in good order");
        }
        quiet && finished && closed.is_ok()
    }
}

/// Starts everything that `settings` ask for, as far as it belongs to `roles`. Where `sockets` has one for a
/// listener, it is served on that. Administration reaches the process by `controls`.
///
/// # Errors
/// What cannot be opened, bound or read, with its name.
pub(crate) async fn start(
    settings: Settings,
    roles: Roles,
    sockets: Sockets,
    log: LogLevel,
    controls: Arc<dyn Controls>,
) -> anyhow::Result<Running> {
    let storage = Storage::open(&settings.storage()).await?;
    let clock = Arc::clone(&storage.clock);
    let (links, keys) = (links(&settings), KeyRing::new(&settings.api.keys));
    let (engine, ways) = make_engine(&settings, &storage, &links)?;
    mmsgw_edge_ops::read_keys(&engine, &keys).await?;
    let over = CancellationToken::new();
    let instance = format!("{}/{}", host_name(), std::process::id());
    let traces = traces::start(&settings.traces, &engine, instance, over.clone())?;
    let (crew, listeners) = (Arc::new(Crew::new(&engine, &roles)), Drain::new());
    let mut doors =
        Doors::new(&engine, &roles, listeners.clone(), sockets, keys.clone(), settings.mm7rx.admission());
    for files in groups(&settings).values() {
        // Where a group has several files that run elsewhere, the first one says what the group is like.
        files.first().map(|file| crew.recruit(file)).transpose()?.into_iter().for_each(|one| crew.man(one));
    }
    crew.announce_process();
    let plan = doors.plan(&settings, &links)?;
    doors.carry_out(plan);
    let shared_links = Arc::new(ArcSwap::from_pointee(links.clone()));
    let office = OpsParts {
        engine: engine.clone(),
        clock: Arc::clone(&clock),
        keys: keys.clone(),
        links: Arc::clone(&shared_links),
        controls,
        drain: listeners.child(),
        listeners: doors.counted(),
    };
    doors.open_api(&settings, &links)?;
    doors.open_ops(&settings, office)?;
    doors.all_served()?;
    let records = records::start(settings.records.clone(), &engine, over.clone())?;
    let telling = [records.map(tokio::spawn), traces.map(tokio::spawn)];
    let beside =
        telling.into_iter().flatten().map(|telling| Beside { over: over.clone(), telling }).collect();
    crew.also(engine.clone().keep_house(crew.stop().clone()));
    let (fresh_keys, stop) = (mmsgw_edge_ops::keep_fresh(engine.clone(), keys.clone()), crew.stop().clone());
    crew.also(async move {
        stop.run_until_cancelled(fresh_keys).await;
    });
    let addresses = doors.addresses();
    let started = settings.source.clone();
    let state = Mutex::new(State { settings, started, doors });
    let Ways { notifier, fetcher } = ways;
    let site = Site { engine, clock, crew, keys, links: shared_links, notifier, fetcher, log, state };
    Ok(Running { addresses, site: Arc::new(site), listeners, beside, storage })
}

/// Where applications find media: at the API, or where a gateway file says for its group. Without a
/// public URL the address that the API listens on has to do, where it is one that can be called.
pub(crate) fn links(settings: &Settings) -> Links {
    let api = &settings.api;
    let scheme = if api.tls.is_some() { "https" } else { "http" };
    let callable = api.public_url.is_none() && api.listen.port() != 0 && !api.listen.ip().is_unspecified();
    let at_api = if callable {
        Links::at(&format!("{scheme}://{}", api.listen))
    } else {
        Links::at(&api.public_base())
    };
    settings.gateways.iter().fold(at_api, |links, gateway| match gateway.media_url_prefix() {
        Some(prefix) => links.with_group(gateway.group().clone(), prefix),
        None => links,
    })
}

/// An engine with a store of its own in `directory`, for work that leaves nothing behind.
///
/// # Errors
/// What cannot be opened.
pub(crate) async fn engine_in(
    settings: &Settings,
    directory: &std::path::Path,
    gateway: &GatewaySettings,
) -> anyhow::Result<Engine> {
    let messages = StorageSection { directory: directory.to_owned(), ..StorageSection::default() };
    let media = MediaSection::default().at(directory, &messages);
    let storage = Storage::open(&Sections { messages: &messages, queues: None, media: &media }).await?;
    let (engine, _) = make_engine(settings, &storage, &links(settings))?;
    weigh(&engine.know_group(gateway.group_settings()), gateway);
    Ok(engine)
}

/// The ways out of the engine that can be replaced while it runs.
struct Ways {
    notifier: Arc<LiveNotifier>,
    fetcher: Arc<LiveFetcher>,
}

fn make_engine(settings: &Settings, storage: &Storage, links: &Links) -> anyhow::Result<(Engine, Ways)> {
    let clock = &storage.clock;
    let notifier = Callout::new(&settings.callout.callbacks, Arc::clone(clock), links.clone())?;
    let fetcher = Fetch::new(&settings.callout.media)?;
    let notifier = Arc::new(LiveNotifier(ArcSwap::from_pointee(notifier)));
    let fetcher = Arc::new(LiveFetcher(ArcSwap::from_pointee(fetcher)));
    let parts = EngineParts {
        store: Arc::clone(&storage.store),
        registry: Arc::clone(&storage.registry),
        blobs: Arc::clone(&storage.blobs),
        clock: Arc::clone(clock),
        fetcher: fetcher.clone(),
        notifier: notifier.clone(),
    };
    let limits = &settings.api.limits;
    let engine_settings = EngineSettings {
        max_recipients: limits.numbers,
        max_parts: limits.parts,
        ..settings.general.engine_settings()
    };
    Ok((Engine::new(parts, engine_settings), Ways { notifier, fetcher }))
}
