//! The SMTP receiver: keeps each mail with the engine before it says 250.
//!
//! It answers for who may connect, for whom a mail is taken, and for time limits. What a mail means
//! is found out later, by the gateway of the group.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use mmsgw_domain::{GroupName, IntakeKind};
use mmsgw_engine::{Engine, Refusal};
use mmsgw_net::{
    Admission, Admitted, Alpn, BindError, Crowd, Drain, Listener, MaybeTls, Neighbours, Permit, RateLimit,
    ServerTls, TlsError, accept_tcp, bind, peer_of,
};
use mmsgw_smtp::auth::Credentials;
use mmsgw_smtp::server::{AuthPolicy, Event, Extensions, NotDue, ServerOptions, ServerSession, Step};
use mmsgw_smtp::{Enhanced, Envelope, Reply, Stage};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;

use crate::config::SettingsFault;
use crate::names::{Allowed, Names, System};
use crate::peer::{Input, Peer};
use crate::receiver::ReceiverSettings;
use crate::route::{NoRoute, Origin, Routes};
use crate::talk::Talk;

/// A receiver that is bound and ready to serve.
pub struct SmtpReceiver {
    listener: Listener,
    address: SocketAddr,
    settings: Arc<ArcSwap<ReceiverSettings>>,
    tls: Option<Arc<ServerTls>>,
    names: Arc<Names>,
}

/// Why a receiver cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// The settings do not hold what they must.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings(Vec<SettingsFault>),
    /// The files of `[tls]` cannot be used.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl SmtpReceiver {
    /// Reads certificates and binds the address.
    ///
    /// # Errors
    /// [`ReceiverError`]: faults of the settings, files or an address that cannot be used.
    pub fn bind(settings: ReceiverSettings) -> Result<Self, ReceiverError> {
        let (socket, address) = bind(settings.listen)?;
        Self::on((socket.into(), address), settings)
    }

    /// The same on a listener that is open already, with its address.
    ///
    /// # Errors
    /// [`ReceiverError`]: faults of the settings, or files that cannot be used.
    pub fn on(
        (listener, address): (Listener, SocketAddr),
        settings: ReceiverSettings,
    ) -> Result<Self, ReceiverError> {
        let faults = settings.check();
        if !faults.is_empty() {
            return Err(ReceiverError::Settings(faults));
        }
        let tls = settings.tls.as_ref().map(|tls| ServerTls::load(tls, Alpn::None)).transpose()?;
        let (settings, names) = (Arc::new(ArcSwap::from_pointee(settings)), Arc::new(Names::new(System)));
        Ok(Self { listener, address, settings, tls: tls.map(Arc::new), names })
    }

    /// The address really bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The settings, which may be replaced at any time: connections that come after that have them. Address, number of
    /// connections and whether there is TLS stay as they are; new host names are known at the next look-up.
    pub fn settings(&self) -> Arc<ArcSwap<ReceiverSettings>> {
        Arc::clone(&self.settings)
    }

    /// What TLS shows, to be renewed when its files change.
    pub fn tls(&self) -> Option<Arc<ServerTls>> {
        self.tls.clone()
    }

    /// Serves until `drain` begins; connections finish the mail in hand. `routes` may be replaced
    /// at any time.
    pub async fn serve(self, engine: Engine, routes: Arc<ArcSwap<Routes>>, drain: Drain) {
        tracing::info!(address = %self.address, "SMTP receiver listens");
        let Self { settings, tls, names, .. } = self;
        let (neighbours, rate, admission) = {
            let settings = settings.load();
            let neighbours = Neighbours::new(settings.max_connections_per_peer, settings.max_connections);
            let admission = Admission::new(usize::MAX, settings.mail_memory.as_usize());
            (neighbours, RateLimit::per_second(settings.mails_per_second), admission)
        };
        let shared = Shared { engine, routes, settings, tls, names, drain, neighbours, rate, admission };
        let shared = Arc::new(shared);
        // Peers that come meanwhile wait: nobody is turned away for our not knowing them yet.
        tokio::select! {
            () = shared.drain.draining() => {}
            () = shared.look_up() => {}
        }
        let crowd = {
            let settings = shared.settings.load();
            // Who expects TLS would not understand.
            let refusal = if settings.implicit_tls { &[] } else { TOO_MANY_CONNECTIONS };
            Crowd { most: settings.max_connections, refusal }
        };
        let (watched, beside) = (shared.drain.clone(), Arc::clone(&shared));
        let accepting = accept_tcp(self.listener, crowd, watched, move |stream, address, permit| {
            let shared = Arc::clone(&shared);
            async move {
                let Some(_place) = shared.neighbours.admit(address.ip()) else {
                    permit.refuse();
                    return shared.turn_away(stream).await;
                };
                let settings = shared.settings.load_full();
                let Some(stream) = shared.secured(&settings, stream, address).await else {
                    return permit.refuse();
                };
                Connection::new(&shared, settings, address, &permit).run(Peer::new(stream), permit).await;
            }
        });
        tokio::join!(accepting, beside.keep_looking_up());
    }
}

/// Binds and serves in one step; see [`SmtpReceiver`].
///
/// # Errors
/// See [`SmtpReceiver::bind`].
pub async fn serve_smtp(
    engine: Engine,
    settings: ReceiverSettings,
    routes: Arc<ArcSwap<Routes>>,
    drain: Drain,
) -> Result<(), ReceiverError> {
    SmtpReceiver::bind(settings)?.serve(engine, routes, drain).await;
    Ok(())
}

/// What all connections have in common.
struct Shared {
    engine: Engine,
    routes: Arc<ArcSwap<Routes>>,
    settings: Arc<ArcSwap<ReceiverSettings>>,
    tls: Option<Arc<ServerTls>>,
    names: Arc<Names>,
    drain: Drain,
    neighbours: Neighbours,
    /// Mails begun, by peer.
    rate: Option<RateLimit<IpAddr>>,
    /// The octets of mails in hand, over all connections.
    admission: Admission,
}

/// One connection from a peer.
struct Connection<'a> {
    shared: &'a Shared,
    /// As they were when it came.
    settings: Arc<ReceiverSettings>,
    address: SocketAddr,
    session: ServerSession,
    /// Host names that have the peer's address.
    names: Vec<String>,
    host: String,
    mail_from: String,
    /// The recipients accepted for the mail in hand, and their groups.
    accepted: Vec<(String, GroupName)>,
    farewell_said: bool,
    talk: Talk<'a>,
    /// Octets of the mail that is being read, and the room that they take up.
    reading: Option<(usize, Admitted)>,
}

impl<'a> Connection<'a> {
    fn new(
        shared: &'a Shared,
        settings: Arc<ReceiverSettings>,
        address: SocketAddr,
        permit: &Permit,
    ) -> Self {
        let from = address.ip().to_canonical();
        let names = shared.names.of(from);
        let allowed = settings.allow.iter().any(|allowed| match allowed {
            Allowed::Network(network) => network.contains(&from),
            Allowed::Host(host) => names.contains(host),
        });
        let options = shared.options(&settings);
        let session = if allowed {
            ServerSession::new(options)
        } else {
            permit.refuse();
            tracing::warn!(peer = %address, "a peer that is not among those allowed was refused");
            ServerSession::refused(options, &Reply::new(554, Enhanced(5, 7, 1), "not for you"))
        };
        let (host, mail_from, accepted) = (String::new(), String::new(), Vec::new());
        let (talk, farewell_said, reading) = (Talk::new(&shared.engine), false, None);
        Self {
            shared,
            settings,
            address,
            session,
            names,
            host,
            mail_from,
            accepted,
            farewell_said,
            reading,
            talk,
        }
    }

    /// Does what the session wants until it closes. `_permit` is held as long.
    async fn run(mut self, mut peer: Peer, _permit: Permit) {
        let data = self.settings.data_timeout.0;
        if self.talk.is_on() {
            self.talk.happened(format!("connection from {}", self.address));
            self.tell_carrier();
        }
        loop {
            let step = self.step();
            match step {
                Step::Send(octets) => {
                    if let Err(error) = peer.write(&[&octets], data).await {
                        tracing::debug!(peer = %self.address, %error, "write to a peer failed");
                        return;
                    }
                }
                Step::Read(stage) => {
                    if !self.read(&mut peer, stage).await {
                        return;
                    }
                }
                Step::Event(event) => {
                    if self.decide(event).await.is_err() {
                        return;
                    }
                }
                Step::StartTls => match self.start_tls(peer).await {
                    Some(secured) => peer = secured,
                    None => return,
                },
                Step::Undecided => return,
                Step::Close(reason) => {
                    tracing::debug!(peer = %self.address, ?reason, "session over");
                    return peer.close_gently(data).await;
                }
            }
        }
    }

    /// The next step. Who watches is told what the peer said before it, and what we say.
    fn step(&mut self) -> Step {
        let is_on = self.talk.is_on();
        self.session.keep_heard(is_on);
        let step = self.session.next();
        if is_on {
            self.talk.heard(self.session.take_heard());
            if let Step::Send(octets) = &step {
                self.talk.said(octets);
            }
        }
        step
    }

    /// Tells the watch, where the tables know the carrier before there is a recipient.
    fn tell_carrier(&mut self) {
        if !self.talk.is_on() {
            return;
        }
        let routes = self.shared.routes.load();
        let carrier = routes.carrier(&self.origin());
        if let Some(group) = carrier {
            self.talk.is_with(group);
        }
    }

    fn origin(&self) -> Origin<'_> {
        Origin {
            address: self.address.ip(),
            names: &self.names,
            host: &self.host,
            mail_from: &self.mail_from,
        }
    }

    /// Waits for input; false where the peer is gone.
    async fn read(&mut self, peer: &mut Peer, stage: Stage) -> bool {
        let settings = &self.settings;
        let limit = if stage == Stage::Body { settings.data_timeout.0 } else { settings.command_timeout.0 };
        let input = if self.farewell_said {
            peer.read(limit).await
        } else {
            tokio::select! {
                biased;
                () = self.shared.drain.draining() => {
                    self.farewell_said = true;
                    self.session.shut_down(Reply::shutting_down());
                    return true;
                }
                input = peer.read(limit) => input,
            }
        };
        match input {
            Input::Octets(octets)
                if stage == Stage::Body && !has_room(&mut self.reading, self.shared, octets) =>
            {
                tracing::warn!(peer = %self.address, "no room for more mails in hand; the peer is to come again");
                self.session.abort(&Reply::no_room_at_all());
            }
            Input::Octets(octets) => self.session.receive(octets),
            Input::Closed => return false,
            Input::TimedOut => self.session.abort(&Reply::timed_out()),
        }
        true
    }

    async fn start_tls(&mut self, peer: Peer) -> Option<Peer> {
        let tls = self.shared.tls.as_ref()?;
        let limit = self.settings.tls_timeout.0;
        match peer.into_stream().upgrade_server(tls, limit).await {
            Ok(stream) => {
                self.session.tls_started().ok()?;
                if self.talk.is_on() {
                    self.talk.happened("TLS".to_owned());
                }
                Some(Peer::new(stream))
            }
            Err(error) => {
                tracing::info!(peer = %self.address, %error, "no encryption with a peer");
                None
            }
        }
    }

    async fn decide(&mut self, event: Event) -> Result<(), NotDue> {
        match event {
            Event::Hello { host, .. } => {
                self.host = host;
                self.tell_carrier();
                self.session.accept()
            }
            Event::Auth(credentials) if knows(&self.settings, &credentials) => self.session.accept(),
            Event::Auth(credentials) => {
                tracing::warn!(peer = %self.address, user = credentials.user, "wrong user name or password");
                self.session.reject(Reply::wrong_credentials())
            }
            Event::MailFrom(_) if !self.shared.has_turn(self.address) => self.session.reject(Reply::new(
                450,
                Enhanced(4, 7, 0),
                "too many mails in this second; come again",
            )),
            Event::MailFrom(envelope) => {
                self.mail_from = envelope.mail_from;
                self.accepted.clear();
                self.tell_carrier();
                self.reading = None;
                self.session.accept()
            }
            Event::RcptTo(address) => self.recipient(address),
            Event::Mail { envelope, octets } => {
                let kept = self.keep(envelope, octets).await;
                self.reading = None;
                match kept {
                    Ok(id) => self.session.mail_stored(&id),
                    Err(reply) => self.session.mail_failed(reply),
                }
            }
        }
    }

    fn recipient(&mut self, address: String) -> Result<(), NotDue> {
        let routes = self.shared.routes.load();
        let found = routes.group(&address, &self.origin());
        match found {
            Ok(group) => {
                if self.talk.is_on() {
                    self.talk.is_with(group);
                }
                self.accepted.push((address, group.clone()));
                self.session.accept()
            }
            Err(reason) => {
                tracing::info!(peer = %self.address, %reason, "a recipient was refused");
                self.session.reject(match reason {
                    NoRoute::UnknownRecipient => Reply::unknown_recipient(),
                    NoRoute::Relay => Reply::new(554, Enhanced(5, 7, 1), "mails are not relayed"),
                })
            }
        }
    }

    /// Keeps a mail, once for each group among its recipients; gives the id of the first job.
    async fn keep(&mut self, envelope: Envelope, octets: Bytes) -> Result<String, Reply> {
        let mut groups: Vec<(GroupName, Vec<String>)> = Vec::new();
        for (address, group) in self.accepted.drain(..) {
            match groups.iter_mut().find(|(known, _)| *known == group) {
                Some((_, addresses)) => addresses.push(address),
                None => groups.push((group, vec![address])),
            }
        }
        if self.talk.is_on() {
            self.talk.mail(&octets);
        }
        let mut first = None;
        for (group, rcpt_to) in groups {
            let kind = IntakeKind::Mail { mail_from: envelope.mail_from.clone(), rcpt_to };
            let peer = self.address.to_string();
            let kept = self.shared.engine.intake(&group, kind, peer, octets.clone()).await;
            let id = kept.map_err(|refusal| not_kept(&group, &refusal))?.to_string();
            tracing::debug!(peer = %self.address, gateway.group = %group, job.id = id, "a mail was kept");
            first.get_or_insert(id);
        }
        first.ok_or_else(Reply::local_error)
    }
}

impl Shared {
    /// Looks up the names of peers again and again until the drain begins.
    async fn keep_looking_up(&self) {
        loop {
            let pause = self.settings.load().resolve_interval.0;
            tokio::select! {
                () = self.drain.draining() => return,
                () = tokio::time::sleep(pause) => {}
            }
            tokio::select! {
                () = self.drain.draining() => return,
                () = self.look_up() => {}
            }
        }
    }

    /// Looks up all host names of the settings.
    async fn look_up(&self) {
        let settings = self.settings.load_full();
        let allowed = settings.allow.iter().filter_map(|allowed| match allowed {
            Allowed::Host(host) => Some(host.clone()),
            Allowed::Network(_) => None,
        });
        let peers: Vec<String> = self.routes.load().hosts().map(str::to_owned).collect();
        self.names.refresh(allowed.chain(peers).collect()).await;
    }

    /// The connection, encrypted where that is to be so from the first octet.
    async fn secured(
        &self,
        settings: &ReceiverSettings,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<MaybeTls> {
        let stream = MaybeTls::Plain(stream);
        let Some(tls) = self.tls.as_ref().filter(|_| settings.implicit_tls) else { return Some(stream) };
        let secured = stream.upgrade_server(tls, settings.tls_timeout.0).await;
        secured.inspect_err(|error| tracing::info!(peer = %address, %error, "no encryption with a peer")).ok()
    }

    /// Whether the peer may begin one more mail now.
    fn has_turn(&self, address: SocketAddr) -> bool {
        let taken = self.rate.as_ref().is_none_or(|rate| rate.take(peer_of(address.ip())).is_ok());
        if !taken {
            tracing::debug!(peer = %address, "more mails than a peer may begin in a second");
        }
        taken
    }

    /// A word to a peer that has connections enough, where it would be understood.
    async fn turn_away(&self, stream: TcpStream) {
        if self.settings.load().implicit_tls {
            return;
        }
        let mut reply = Vec::new();
        Reply::too_many_connections().write(&mut reply);
        let mut peer = Peer::new(MaybeTls::Plain(stream));
        if peer.write(&[&reply], FAREWELL).await.is_ok() {
            peer.close(FAREWELL).await;
        }
    }

    fn options(&self, settings: &ReceiverSettings) -> ServerOptions {
        ServerOptions {
            hostname: settings.hostname.clone(),
            max_size: settings.max_size.as_usize(),
            max_recipients: settings.max_recipients,
            max_errors: settings.max_errors,
            extensions: Extensions { smtputf8: true, ..Extensions::default() },
            encrypted: settings.implicit_tls,
            tls_available: self.tls.is_some() && !settings.implicit_tls,
            require_tls: settings.require_tls,
            auth: if settings.users.is_empty() { AuthPolicy::Off } else { AuthPolicy::Required },
            auth_in_clear: settings.auth_in_clear,
            ..ServerOptions::default()
        }
    }
}

fn knows(settings: &ReceiverSettings, given: &Credentials) -> bool {
    let password = settings.users.get(&given.user).map(|p| p.expose_secret().as_bytes());
    password.is_some_and(|password| {
        let given = given.password.as_bytes();
        aws_lc_rs::constant_time::verify_slices_are_equal(password, given).is_ok()
    })
}

/// Time for the word to a peer that is turned away.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whether there is room for `more` octets of the mail that is being read; they count from then on.
fn has_room(reading: &mut Option<(usize, Admitted)>, shared: &Shared, more: &[u8]) -> bool {
    let (octets, room) = match reading {
        Some(reading) => reading,
        None => match shared.admission.admit(0) {
            Some(room) => reading.insert((0, room)),
            None => return false,
        },
    };
    *octets += more.len();
    room.grow(*octets)
}

/// What connections beyond the limit are told.
const TOO_MANY_CONNECTIONS: &[u8] = b"421 4.7.0 too many connections, try again later\r\n";

/// Whatever it is, the peer shall come again: nothing is wrong with its mail.
fn not_kept(group: &GroupName, refusal: &Refusal) -> Reply {
    if let Refusal::Overloaded { .. } = refusal {
        tracing::warn!(gateway.group = %group, "a mail was put off: {refusal}");
        return Reply::no_room();
    }
    tracing::error!(gateway.group = %group, error = %refusal, "a mail could not be kept");
    Reply::local_error()
}
