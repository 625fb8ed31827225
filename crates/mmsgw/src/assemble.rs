//! Puts the rooms together into a running gateway, and takes it apart again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use mmsgw_contract::{Keys, Links};
use mmsgw_domain::{Clock, InstanceId};
use mmsgw_edge_callout::{Callout, Fetch};
use mmsgw_edge_mm4::{Mm4Gateway, Mm4Scales, Mm4Settings, Routes, SmtpReceiver, watch_spool};
use mmsgw_edge_mm7::{Mm7Gateway, Mm7Scales};
use mmsgw_edge_ops::{NamedListener, OpsParts};
use mmsgw_engine::config::Protocol;
use mmsgw_engine::{Engine, EngineParts, EngineSettings, Gateway, Group, InstanceIdentity};
use mmsgw_net::tls::Alpn;
use mmsgw_net::{Drain, Listener, ServerTls, bind, serve_http};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::carrier_http;
use crate::config::{GatewaySettings, Settings};
use crate::records;
use crate::roles::{Role, Roles};
use crate::storage::{MediaSection, Sections, Storage, StorageSection};
use crate::systemd::{Door, Sockets};
use crate::telemetry::LogLevel;
use crate::traces;

/// A process of the gateway at work.
pub(crate) struct Running {
    /// Where the API is.
    pub(crate) api: Option<SocketAddr>,
    /// Where health and metrics are.
    pub(crate) ops: Option<SocketAddr>,
    /// Where carriers send mails, where a gateway speaks MM4.
    pub(crate) smtp: Option<SocketAddr>,
    /// Where carriers post, by what it is called; first the listener of `[mm7rx]`, where it is needed.
    pub(crate) carrier_http: Vec<(String, SocketAddr)>,
    engine: Engine,
    listeners: Drain,
    workers: Workers,
    beside: Vec<Beside>,
    storage: Storage,
}

/// What tells of the work elsewhere, in records or traces, until everything else has ended.
struct Beside {
    over: CancellationToken,
    telling: tokio::task::JoinHandle<()>,
}

struct Workers {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// What listens where.
    pub(crate) fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let own = [("API", self.api), ("health and metrics", self.ops), ("SMTP for carriers", self.smtp)];
        let own = own.into_iter().filter_map(|(what, address)| Some((what.to_owned(), address?)));
        own.chain(self.carrier_http.iter().cloned()).collect()
    }

    /// Resolves when the process ought to end by itself, because a carrier is not there and the settings say so.
    pub(crate) async fn exit_wanted(&self) {
        self.engine.exit_wanted().await;
    }

    /// Takes nothing new, finishes what is in hand, hands back the rest, and closes the store. False where
    /// something was left unfinished after `limit`.
    pub(crate) async fn stop(self, limit: Duration) -> bool {
        self.workers.stop.cancel();
        self.workers.tasks.close();
        let (quiet, finished) =
            tokio::join!(self.listeners.drain(limit), tokio::time::timeout(limit, self.workers.tasks.wait()));
        if let Err(error) = self.engine.leave().await {
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
        quiet && finished.is_ok() && closed.is_ok()
    }
}

/// Starts everything that `settings` ask for, as far as it belongs to `roles`. Where `sockets` has one for a
/// listener, it is served on that.
///
/// # Errors
/// What cannot be opened, bound or read, with its name.
pub(crate) async fn start(
    settings: Settings,
    roles: Roles,
    sockets: Sockets,
    log: LogLevel,
) -> anyhow::Result<Running> {
    let storage = Storage::open(&settings.storage()).await?;
    let clock = Arc::clone(&storage.clock);
    let links = links(&settings);
    let engine = make_engine(&settings, &clock, &storage, &links)?;
    let over = CancellationToken::new();
    let instance = format!("{}/{}", host_name(), std::process::id());
    let traces = traces::start(&settings.traces, &engine, instance, over.clone())?;
    let workers = Workers { stop: CancellationToken::new(), tasks: TaskTracker::new() };
    let mut doors = Doors { engine: engine.clone(), listeners: Drain::new(), sockets, counted: Vec::new() };
    let crew = Crew { engine: &engine, roles: &roles, workers: &workers };
    for gateway in &settings.gateways {
        crew.man(gateway)?;
    }
    crew.announce_process();
    let smtp = if roles.include(Role::Mm4rx) { doors.open_smtp(&settings)? } else { None };
    let carrier_http =
        if roles.include(Role::Mm7rx) { doors.open_carrier_http(&settings)? } else { Vec::new() };
    let office = OpsParts {
        engine: engine.clone(),
        clock,
        keys: Keys::new(&settings.api.keys),
        links: links.clone(),
        controls: Arc::new(log),
        drain: doors.listeners.child(),
        listeners: Vec::new(),
    };
    let api = if roles.include(Role::Api) { Some(doors.open_api(&settings, links)?) } else { None };
    // The last one: it tells of all.
    let ops = doors.open_ops(&settings, office)?;
    doors.sockets.all_served()?;
    let records = records::start(settings.records.clone(), &engine, over.clone())?;
    let telling = [records.map(tokio::spawn), traces.map(tokio::spawn)];
    let beside =
        telling.into_iter().flatten().map(|telling| Beside { over: over.clone(), telling }).collect();
    workers.tasks.spawn(engine.clone().keep_house(workers.stop.clone()));
    Ok(Running { api, ops, smtp, carrier_http, engine, listeners: doors.listeners, workers, beside, storage })
}

/// Where applications find media: at the API, or where a gateway file says for its group. Without a
/// public URL the address that the API listens on has to do, where it is one that can be called.
fn links(settings: &Settings) -> Links {
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
    let engine = make_engine(settings, &storage.clock, &storage, &links(settings))?;
    weigh(&engine.know_group(gateway.group_settings()), gateway);
    Ok(engine)
}

/// Tells a group how large its messages are on the wire.
fn weigh(group: &Group, gateway: &GatewaySettings) {
    match gateway {
        GatewaySettings::Mm4(s) => group.weigh_by(Mm4Scales::new(s)),
        GatewaySettings::Mm7(s) => group.weigh_by(Mm7Scales::new(s)),
    }
}

fn make_engine(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    storage: &Storage,
    links: &Links,
) -> anyhow::Result<Engine> {
    let parts = EngineParts {
        store: Arc::clone(&storage.store),
        registry: Arc::clone(&storage.registry),
        blobs: Arc::clone(&storage.blobs),
        clock: Arc::clone(clock),
        fetcher: Arc::new(Fetch::new(&settings.callout.media)?),
        notifier: Arc::new(Callout::new(&settings.callout.callbacks, Arc::clone(clock), links.clone())?),
    };
    let limits = &settings.api.limits;
    let engine_settings = EngineSettings {
        max_recipients: limits.numbers,
        max_parts: limits.parts,
        ..settings.general.engine_settings()
    };
    Ok(Engine::new(parts, engine_settings))
}

/// Starts the workers.
struct Crew<'a> {
    engine: &'a Engine,
    roles: &'a Roles,
    workers: &'a Workers,
}

impl Crew<'_> {
    /// Makes the group of one gateway known, and starts what this process does for it.
    fn man(&self, settings: &GatewaySettings) -> anyhow::Result<()> {
        let Workers { stop, tasks } = self.workers;
        // Where a group has several files that run elsewhere, the first one says what the group is like.
        let known = self.engine.group(settings.group());
        let is_first = known.is_none();
        let group = known.unwrap_or_else(|| self.engine.know_group(settings.group_settings()));
        weigh(&group, settings);
        let (host, pid) = (host_name(), std::process::id());
        let id = |name: &str| InstanceId::new(settings.group(), name, &host, pid);
        if self.roles.include(Role::Gateway) {
            let instance = id(settings.name());
            let identity = InstanceIdentity::new(instance.clone(), self.roles.name());
            let gateway = open_gateway(settings, instance)?;
            self.engine.run_group(&group, &gateway, identity.speaking(settings.protocol()), stop, tasks);
        }
        if self.roles.include(Role::Callout) && is_first {
            let identity = InstanceIdentity::new(id("callout"), self.roles.name());
            self.engine.run_callbacks(&group, identity, stop, tasks);
        }
        Ok(())
    }

    /// Tells the others of this process, where no instance in it does.
    fn announce_process(&self) {
        if self.roles.include(Role::Gateway) || self.roles.include(Role::Callout) {
            return;
        }
        let id = InstanceId::of_process(&self.roles.name(), &host_name(), std::process::id());
        let identity = InstanceIdentity::new(id, self.roles.name());
        self.engine.run_process(identity, &self.workers.stop, &self.workers.tasks);
    }
}

/// One instance's way to its carrier.
fn open_gateway(settings: &GatewaySettings, instance: InstanceId) -> anyhow::Result<Arc<dyn Gateway>> {
    let named = || format!("gateway {} of group {}", settings.name(), settings.group());
    Ok(match settings {
        GatewaySettings::Mm4(s) => Arc::new(Mm4Gateway::new(s, instance).with_context(named)?),
        GatewaySettings::Mm7(s) => Arc::new(Mm7Gateway::new(s, instance).with_context(named)?),
    })
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

/// Opens the listeners.
struct Doors {
    engine: Engine,
    listeners: Drain,
    sockets: Sockets,
    /// What was opened so far, for metrics.
    counted: Vec<NamedListener>,
}

impl Doors {
    fn open(&mut self, door: Door, address: SocketAddr) -> anyhow::Result<(Listener, SocketAddr)> {
        let (listener, address) = self.sockets.open(door, address)?;
        self.counted.push((door.name().to_owned(), listener.counts()));
        Ok((listener, address))
    }

    fn open_smtp(&mut self, settings: &Settings) -> anyhow::Result<Option<SocketAddr>> {
        if !settings.speaks(Protocol::Mm4) {
            return Ok(None);
        }
        let gateways = settings.gateways.iter().filter_map(|gateway| match gateway {
            GatewaySettings::Mm4(mm4) => Some::<&Mm4Settings>(mm4),
            GatewaySettings::Mm7(_) => None,
        });
        let routes = Routes::new(&settings.mm4rx, gateways).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("mm4rx: {}", faults.join("; "))
        })?;
        let receiver = self.open(Door::Mm4rx, settings.mm4rx.listen).context("mm4rx.listen")?;
        let receiver = SmtpReceiver::on(receiver, settings.mm4rx.clone()).context("mm4rx")?;
        let address = receiver.address();
        let routes = Arc::new(ArcSwap::from_pointee(routes));
        for spool in &settings.mm4rx.spool {
            let (engine, routes) = (self.engine.clone(), Arc::clone(&routes));
            self.listeners.spawn(watch_spool(engine, spool.clone(), routes, self.listeners.child()));
        }
        self.listeners.spawn(receiver.serve(self.engine.clone(), routes, self.listeners.child()));
        Ok(Some(address))
    }

    fn open_carrier_http(&mut self, settings: &Settings) -> anyhow::Result<Vec<(String, SocketAddr)>> {
        let (mut opened, admission) = (Vec::new(), settings.mm7rx.admission());
        for wanted in carrier_http::listeners(settings) {
            let tls = wanted.tls.map(|tls| ServerTls::load(tls, Alpn::Http)).transpose();
            let tls = tls.with_context(|| format!("{}: tls", wanted.name()))?;
            let opened_here = match &wanted.owners {
                Some(owners) => self.open_own(owners, wanted.listen),
                None => self.open(Door::Mm7rx, wanted.listen),
            };
            let (listener, address) = opened_here.with_context(|| wanted.name())?;
            let router = mmsgw_edge_mm7::router(self.engine.clone(), wanted.receivers()?, &admission);
            let (limits, drain) = (settings.mm7rx.limits(), self.listeners.child());
            self.listeners.spawn(serve_http(listener, tls.map(Arc::new), limits, drain, router));
            opened.push((wanted.name(), address));
        }
        Ok(opened)
    }

    /// A listener that gateway files ask for, `owners` by name.
    fn open_own(&mut self, owners: &str, address: SocketAddr) -> anyhow::Result<(Listener, SocketAddr)> {
        let (socket, address) = bind(address)?;
        let listener = Listener::from(socket);
        self.counted.push((format!("{}/{owners}", Door::Mm7rx.name()), listener.counts()));
        Ok((listener, address))
    }

    fn open_ops(&mut self, settings: &Settings, parts: OpsParts) -> anyhow::Result<Option<SocketAddr>> {
        if settings.without_ops {
            return Ok(None);
        }
        let (listener, address) = self.open(Door::Ops, settings.ops.listen).context("ops.listen")?;
        let parts = OpsParts { listeners: self.counted.clone(), ..parts };
        let section = settings.ops.clone();
        self.listeners.spawn(async move { mmsgw_edge_ops::serve(listener, parts, &section).await });
        Ok(Some(address))
    }

    fn open_api(&mut self, settings: &Settings, links: Links) -> anyhow::Result<SocketAddr> {
        let mut router = mmsgw_edge_api::router(self.engine.clone(), &settings.api, links)?;
        let shared = carrier_http::listeners(settings).into_iter().find(|l| l.owners.is_none());
        if let Some(carriers) = shared.filter(|_| settings.mm7rx.on_api) {
            let admission = settings.mm7rx.admission();
            router =
                router.merge(mmsgw_edge_mm7::router(self.engine.clone(), carriers.receivers()?, &admission));
        }
        settings.api.check()?;
        let listener = self.open(Door::Api, settings.api.listen).context("api.listen")?;
        let serving = mmsgw_edge_api::serve_on(listener, router, &settings.api, &self.listeners);
        Ok(serving.context("api")?.address)
    }
}
