//! The listeners of this process: opened at the start, and brought up to date while they are in use.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use axum::Router;
use mmsgw_contract::{KeyRing, Links};
use mmsgw_edge_mm4::{Mm4Settings, ReceiverSettings, Routes, SmtpReceiver, watch_spool};
use mmsgw_edge_ops::{NamedListener, OpsParts};
use mmsgw_engine::Engine;
use mmsgw_engine::config::Protocol;
use mmsgw_net::tls::Alpn;
use mmsgw_net::{
    Admission, Drain, FreshTls, HttpLimits, Listener, ListenerCounts, ServerTls, ServerTlsSettings, bind,
    serve_http,
};

use crate::carrier_http::{self, CarrierListener};
use crate::config::{GatewaySettings, Settings};
use crate::live::LiveRouter;
use crate::roles::{Role, Roles};
use crate::systemd::{Door, Sockets};

/// All that is open.
pub(crate) struct Doors {
    engine: Engine,
    roles: Roles,
    listeners: Drain,
    sockets: Sockets,
    keys: KeyRing,
    /// What carriers that speak HTTP may have in hand, on all listeners together.
    admission: Admission,
    /// All listeners that are open, for metrics.
    counted: Arc<ArcSwap<Vec<NamedListener>>>,
    api: Option<ApiDoor>,
    ops: Option<OpsDoor>,
    smtp: Option<SmtpDoor>,
    carriers: Vec<CarrierDoor>,
}

struct ApiDoor {
    address: SocketAddr,
    router: LiveRouter,
    tls: Option<Arc<ServerTls>>,
}

struct OpsDoor {
    address: SocketAddr,
    tls: Option<Arc<ServerTls>>,
}

struct SmtpDoor {
    address: SocketAddr,
    routes: Arc<ArcSwap<Routes>>,
    settings: Arc<ArcSwap<ReceiverSettings>>,
    tls: Option<Arc<ServerTls>>,
}

struct CarrierDoor {
    place: Place,
    name: String,
    address: SocketAddr,
    router: LiveRouter,
    tls: Option<Arc<ServerTls>>,
    counts: Arc<ListenerCounts>,
    drain: Drain,
}

/// Which listener for carriers it is, whoever shares it at the time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// That of `[mm7rx]`.
    Shared,
    /// One at this address.
    At(SocketAddr),
    /// One on any free port, for this gateway.
    Anywhere(String),
}

/// What brings the listeners up to date, read and checked; nothing is changed by making it.
#[derive(Default)]
pub(crate) struct Plan {
    api: Option<Router>,
    smtp: Option<(ReceiverSettings, Routes)>,
    new_smtp: Option<SmtpReceiver>,
    carriers: Vec<PlannedCarrier>,
    fresh: Vec<(Arc<ServerTls>, FreshTls)>,
    /// Listeners that are new.
    counted: Vec<NamedListener>,
}

struct PlannedCarrier {
    place: Place,
    name: String,
    router: Router,
    limits: HttpLimits,
    /// The socket, where it is not open yet.
    opened: Option<(Listener, SocketAddr, Option<Arc<ServerTls>>)>,
}

impl Doors {
    pub(crate) fn new(
        engine: &Engine,
        roles: &Roles,
        listeners: Drain,
        sockets: Sockets,
        keys: KeyRing,
        admission: Admission,
    ) -> Self {
        let (engine, roles) = (engine.clone(), roles.clone());
        let (api, ops, smtp, carriers) = (None, None, None, Vec::new());
        let counted = Arc::default();
        Self { engine, roles, listeners, sockets, keys, admission, counted, api, ops, smtp, carriers }
    }

    /// All listeners that are open, whatever they are at the time.
    pub(crate) fn counted(&self) -> Arc<ArcSwap<Vec<NamedListener>>> {
        Arc::clone(&self.counted)
    }

    fn count(&self, name: &str, counts: &Arc<ListenerCounts>) {
        self.counted.rcu(|all| {
            let mut all = Vec::clone(all);
            all.push((name.to_owned(), Arc::clone(counts)));
            all
        });
    }

    /// What listens where.
    pub(crate) fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let own = [
            ("API", self.api.as_ref().map(|door| door.address)),
            ("health and metrics", self.ops.as_ref().map(|door| door.address)),
            ("SMTP for carriers", self.smtp.as_ref().map(|door| door.address)),
        ];
        let own = own.into_iter().filter_map(|(what, address)| Some((what.to_owned(), address?)));
        own.chain(self.carriers.iter().map(|door| (door.name.clone(), door.address))).collect()
    }

    /// Opens the operations listener, where the settings have one.
    ///
    /// # Errors
    /// The address cannot be listened on, or files of TLS cannot be used.
    pub(crate) fn open_ops(&mut self, settings: &Settings, parts: OpsParts) -> anyhow::Result<()> {
        if settings.without_ops {
            return Ok(());
        }
        let tls = load(settings.ops.tls.as_ref()).context("ops.tls")?;
        let (listener, address) = self.sockets.open(Door::Ops, settings.ops.listen).context("ops.listen")?;
        self.count(Door::Ops.name(), &listener.counts());
        self.ops = Some(OpsDoor { address, tls: tls.clone() });
        let section = settings.ops.clone();
        self.listeners.spawn(async move { mmsgw_edge_ops::serve(listener, tls, parts, &section).await });
        Ok(())
    }

    /// Opens the API, where this process has that role.
    ///
    /// # Errors
    /// The address cannot be listened on, or the settings cannot work.
    pub(crate) fn open_api(&mut self, settings: &Settings, links: &Links) -> anyhow::Result<()> {
        if !self.roles.include(Role::Api) {
            return Ok(());
        }
        let router = LiveRouter::new(self.api_router(settings, links)?);
        let listener = self.sockets.open(Door::Api, settings.api.listen).context("api.listen")?;
        self.count(Door::Api.name(), &listener.0.counts());
        let serving = mmsgw_edge_api::serve_on(listener, router.as_router(), &settings.api, &self.listeners);
        let serving = serving.context("api")?;
        self.api = Some(ApiDoor { address: serving.address, router, tls: serving.tls });
        Ok(())
    }

    /// Whether every socket that was opened beforehand is served.
    ///
    /// # Errors
    /// The first that is not.
    pub(crate) fn all_served(&self) -> anyhow::Result<()> {
        self.sockets.all_served()
    }

    /// Reads and checks all that the settings ask of listeners; opens sockets that are missing, which nobody serves yet.
    ///
    /// # Errors
    /// Files that cannot be used, addresses that cannot be listened on.
    pub(crate) fn plan(&mut self, settings: &Settings, links: &Links) -> anyhow::Result<Plan> {
        let mut plan = Plan::default();
        if let Some(api) = &self.api {
            plan.api = Some(self.api_router(settings, links)?);
            plan.renew("api", api.tls.as_ref(), settings.api.tls.as_ref())?;
        }
        if let Some(ops) = &self.ops {
            plan.renew("ops", ops.tls.as_ref(), settings.ops.tls.as_ref())?;
        }
        if self.roles.include(Role::Mm4rx) {
            self.plan_smtp(settings, &mut plan)?;
        }
        if self.roles.include(Role::Mm7rx) {
            for wanted in carrier_http::listeners(settings) {
                self.plan_carrier(settings, &wanted, &mut plan)?;
            }
        }
        Ok(plan)
    }

    fn plan_smtp(&mut self, settings: &Settings, plan: &mut Plan) -> anyhow::Result<()> {
        if self.smtp.is_none() && !settings.speaks(Protocol::Mm4) {
            return Ok(());
        }
        let gateways = settings.gateways.iter().filter_map(|gateway| match &gateway.settings {
            GatewaySettings::Mm4(mm4) => Some::<&Mm4Settings>(mm4),
            GatewaySettings::Mm7(_) => None,
        });
        let routes = Routes::new(&settings.mm4rx, gateways).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("mm4rx: {}", faults.join("; "))
        })?;
        match &self.smtp {
            Some(door) => plan.renew("mm4rx", door.tls.as_ref(), settings.mm4rx.tls.as_ref())?,
            None => {
                let socket = self.sockets.open(Door::Mm4rx, settings.mm4rx.listen);
                let socket = socket.context("mm4rx.listen")?;
                plan.counted.push((Door::Mm4rx.name().to_owned(), socket.0.counts()));
                plan.new_smtp = Some(SmtpReceiver::on(socket, settings.mm4rx.clone()).context("mm4rx")?);
            }
        }
        plan.smtp = Some((settings.mm4rx.clone(), routes));
        Ok(())
    }

    fn plan_carrier(
        &mut self,
        settings: &Settings,
        wanted: &CarrierListener<'_>,
        plan: &mut Plan,
    ) -> anyhow::Result<()> {
        let (place, name) = (Place::of(wanted), wanted.name());
        let router = mmsgw_edge_mm7::router(self.engine.clone(), wanted.receivers()?, &self.admission);
        let opened = match self.carriers.iter().find(|door| door.place == place) {
            Some(door) => {
                plan.renew(&name, door.tls.as_ref(), wanted.tls)?;
                None
            }
            None => {
                let tls = load(wanted.tls).with_context(|| format!("{name}: tls"))?;
                let socket = match place {
                    Place::Shared => self.sockets.open(Door::Mm7rx, wanted.listen),
                    Place::At(_) | Place::Anywhere(_) => {
                        bind(wanted.listen).map(|(socket, at)| (socket.into(), at)).map_err(Into::into)
                    }
                };
                let (listener, address): (Listener, _) = socket.with_context(|| name.clone())?;
                let counted = match &wanted.owners {
                    Some(owners) => format!("{}/{owners}", Door::Mm7rx.name()),
                    None => Door::Mm7rx.name().to_owned(),
                };
                plan.counted.push((counted, listener.counts()));
                Some((listener, address, tls))
            }
        };
        plan.carriers.push(PlannedCarrier { place, name, router, limits: settings.mm7rx.limits(), opened });
        Ok(())
    }

    /// Does what was planned. Connections that are open live on.
    pub(crate) fn carry_out(&mut self, plan: Plan) {
        for (name, counts) in &plan.counted {
            self.count(name, counts);
        }
        for (tls, fresh) in plan.fresh {
            tls.renew(fresh);
        }
        if let (Some(door), Some(router)) = (&self.api, plan.api) {
            door.router.replace(router);
        }
        match (plan.smtp, plan.new_smtp) {
            (Some((settings, routes)), Some(receiver)) => self.serve_smtp(&settings, routes, receiver),
            (Some((settings, routes)), None) => {
                if let Some(door) = &self.smtp {
                    door.routes.store(Arc::new(routes));
                    door.settings.store(Arc::new(settings));
                }
            }
            (None, _) => {}
        }
        if self.roles.include(Role::Mm7rx) {
            self.carry_out_carriers(plan.carriers);
        }
    }

    fn serve_smtp(&mut self, settings: &ReceiverSettings, routes: Routes, receiver: SmtpReceiver) {
        let routes = Arc::new(ArcSwap::from_pointee(routes));
        self.smtp = Some(SmtpDoor {
            address: receiver.address(),
            routes: Arc::clone(&routes),
            settings: receiver.settings(),
            tls: receiver.tls(),
        });
        for spool in &settings.spool {
            let (engine, routes) = (self.engine.clone(), Arc::clone(&routes));
            self.listeners.spawn(watch_spool(engine, spool.clone(), routes, self.listeners.child()));
        }
        self.listeners.spawn(receiver.serve(self.engine.clone(), routes, self.listeners.child()));
    }

    fn carry_out_carriers(&mut self, wanted: Vec<PlannedCarrier>) {
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.carriers)
            .into_iter()
            .partition(|door| wanted.iter().any(|wanted| wanted.place == door.place));
        self.carriers = kept;
        for door in gone {
            if door.place == Place::Shared {
                // It is a socket of systemd perhaps, which is to be had only once.
                door.router.replace(mmsgw_edge_mm7::router(self.engine.clone(), Vec::new(), &self.admission));
                self.carriers.push(door);
            } else {
                tracing::info!(address = %door.address, "{} closes", door.name);
                self.counted.rcu(|all| {
                    let others = all.iter().filter(|(_, counts)| !Arc::ptr_eq(counts, &door.counts));
                    others.cloned().collect::<Vec<_>>()
                });
                tokio::spawn(async move { door.drain.drain(CLOSING).await });
            }
        }
        for PlannedCarrier { place, name, router, limits, opened } in wanted {
            if let Some(door) = self.carriers.iter_mut().find(|door| door.place == place) {
                door.name = name;
                door.router.replace(router);
            } else if let Some((listener, address, tls)) = opened {
                let (router, drain) = (LiveRouter::new(router), self.listeners.child());
                let counts = listener.counts();
                let serving = serve_http(listener, tls.clone(), limits, drain.clone(), router.as_router());
                drain.spawn(serving);
                self.carriers.push(CarrierDoor { place, name, address, router, tls, counts, drain });
            }
        }
    }

    fn api_router(&self, settings: &Settings, links: &Links) -> anyhow::Result<Router> {
        settings.api.check()?;
        let (engine, keys) = (self.engine.clone(), self.keys.clone());
        let router = mmsgw_edge_api::router(engine, &settings.api, keys, links.clone())?;
        let shared = carrier_http::listeners(settings).into_iter().find(|l| l.owners.is_none());
        Ok(match shared.filter(|_| settings.mm7rx.on_api) {
            Some(carriers) => router.merge(mmsgw_edge_mm7::router(
                self.engine.clone(),
                carriers.receivers()?,
                &self.admission,
            )),
            None => router,
        })
    }
}

impl Place {
    fn of(listener: &CarrierListener<'_>) -> Self {
        match &listener.owners {
            None => Self::Shared,
            Some(owners) if listener.listen.port() == 0 => Self::Anywhere(owners.clone()),
            Some(_) => Self::At(listener.listen),
        }
    }
}

impl Plan {
    /// Reads the files of a listener that speaks TLS already and goes on doing so.
    fn renew(
        &mut self,
        what: &str,
        tls: Option<&Arc<ServerTls>>,
        settings: Option<&ServerTlsSettings>,
    ) -> anyhow::Result<()> {
        if let (Some(tls), Some(settings)) = (tls, settings) {
            let fresh = tls.read_anew(settings).with_context(|| format!("{what}: tls"))?;
            self.fresh.push((Arc::clone(tls), fresh));
        }
        Ok(())
    }
}

fn load(settings: Option<&ServerTlsSettings>) -> anyhow::Result<Option<Arc<ServerTls>>> {
    Ok(settings.map(|tls| ServerTls::load(tls, Alpn::Http)).transpose()?.map(Arc::new))
}

/// How long requests in hand may take when a listener closes.
const CLOSING: Duration = Duration::from_secs(30);
