//! One SMTP connection to the carrier: drives the session over a socket, mail after mail.
//!
//! It answers for time limits and octets; which mail goes over which connection is the pool's.

use std::time::Duration;

use bytes::Bytes;
use mmsgw_engine::Tap;
use mmsgw_net::{ClientTls, ConnectError, DialCounts, HandshakeError, MaybeTls, UpgradeError, connect_tcp};
use mmsgw_smtp::client::{
    BodyForm, ClientError, ClientOptions, ClientSession, EnvelopeError, MailOutcome, Step,
};
use mmsgw_smtp::text::TextError;
use mmsgw_smtp::{Envelope, Reply, Stage, Timeouts, lines};
use tokio::time::Instant;

use crate::config::Endpoint;
use crate::peer::{Input, Peer};
use crate::render::Body;
use crate::wire::Wire;

/// How to make a connection.
pub(crate) struct Dialer {
    pub(crate) endpoint: Endpoint,
    pub(crate) options: ClientOptions,
    /// Whom to trust; there also where STARTTLS is only possible.
    pub(crate) tls: ClientTls,
    pub(crate) timeouts: Timeouts,
    /// For connecting, and then for a handshake.
    pub(crate) connect: Duration,
    pub(crate) counts: DialCounts,
}

/// One mail to be sent.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) envelope: Envelope,
    /// Header block with its empty line.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Body,
}

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    #[error("settings: {0}")]
    Options(#[from] TextError),
    #[error(transparent)]
    Session(#[from] ClientError),
    #[error("the server closed the session{}", .0.as_ref().map(|reply| format!(": {reply}")).unwrap_or_default())]
    Closed(Option<Reply>),
    #[error("no answer in time at {0:?}")]
    TimedOut(Stage),
}

/// What became of one mail on a connection that lived long enough to say so.
pub(crate) type Tried = Result<MailOutcome, EnvelopeError>;

/// A connection with its session.
pub(crate) struct Link {
    /// Gone only while STARTTLS is under way.
    peer: Option<Peer>,
    session: ClientSession,
    timeouts: Timeouts,
    mails: u32,
    idle_since: Instant,
    heard: Instant,
    wire: Wire,
}

enum Stop {
    Ready,
    Mail(MailOutcome),
}

impl Dialer {
    /// Connects and goes on until the session is ready for a mail.
    pub(crate) async fn open(&self, tap: &Tap) -> Result<Link, LinkError> {
        let opened = self.opened(tap).await;
        self.counts.count(opened.is_ok());
        if let Err(error) = &opened {
            tap.happened(&error.to_string());
        }
        opened
    }

    async fn opened(&self, tap: &Tap) -> Result<Link, LinkError> {
        let Endpoint { host, port } = &self.endpoint;
        let session = ClientSession::new(self.options.clone())?;
        let stream = connect_tcp(host, *port, self.connect).await?;
        let stream = match self.options.encrypted {
            true => self.tls.connect(stream, host, self.connect).await?,
            false => MaybeTls::Plain(stream),
        };
        tap.happened(&format!("connected to {host}:{port}"));
        let (now, wire) = (Instant::now(), Wire::new(tap));
        let peer = Some(Peer::new(stream));
        let timeouts = self.timeouts;
        let mut link = Link { peer, session, timeouts, mails: 0, idle_since: now, heard: now, wire };
        loop {
            match link.drive(None).await? {
                Some(_) => return Ok(link),
                None => link.start_tls(self).await?,
            }
        }
    }
}

impl Link {
    /// Sends one mail.
    pub(crate) async fn send(&mut self, mail: &Mail, tap: &Tap) -> Result<Tried, LinkError> {
        self.wire = Wire::new(tap);
        let tried = self.sent(mail).await;
        if let Err(error) = &tried {
            tap.happened(&error.to_string());
        }
        self.wire = Wire::default();
        tried
    }

    async fn sent(&mut self, mail: &Mail) -> Result<Tried, LinkError> {
        if let Err(error) = self.session.begin(mail.envelope.clone()) {
            return Ok(Err(error));
        }
        self.mails += 1;
        match self.drive(Some(mail)).await? {
            Some(Stop::Mail(outcome)) => Ok(Ok(outcome)),
            // A ready session has told what became of its mail; STARTTLS comes before any mail.
            Some(Stop::Ready) | None => Err(ClientError::OutOfStep.into()),
        }
    }

    /// Asks the server whether it is there.
    pub(crate) async fn noop(&mut self) -> Result<(), LinkError> {
        if self.session.noop() {
            self.drive(None).await?;
        }
        Ok(())
    }

    /// Says QUIT and closes.
    pub(crate) async fn quit(mut self) {
        if self.session.quit() {
            // It ends in Closed or in a failure; both close the connection.
            let _ = self.drive(None).await;
        }
        if let Some(peer) = &mut self.peer {
            peer.close(self.timeouts.quit).await;
        }
    }

    /// Whether another mail can go over this connection; looks at what came without being asked for.
    pub(crate) fn is_usable(&mut self) -> bool {
        match self.peer.as_mut().and_then(Peer::peek) {
            None => {}
            Some(Input::Octets(octets)) => self.session.receive(octets),
            Some(Input::Closed | Input::TimedOut) => self.session.peer_closed(),
        }
        matches!(self.session.next(), Step::Ready)
    }

    /// Whether the server may have taken a mail although nothing says so.
    pub(crate) fn in_doubt(&self) -> bool {
        self.session.in_doubt()
    }

    pub(crate) fn mails(&self) -> u32 {
        self.mails
    }

    pub(crate) fn rest(&mut self) {
        self.idle_since = Instant::now();
    }

    pub(crate) fn idle_for(&self) -> Duration {
        self.idle_since.elapsed()
    }

    pub(crate) fn unheard_for(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Does what the session wants until it is ready or a mail is done; `None` where STARTTLS is due.
    async fn drive(&mut self, mail: Option<&Mail>) -> Result<Option<Stop>, LinkError> {
        loop {
            match self.session.next() {
                Step::Send(octets) => {
                    let limit = self.timeouts.body;
                    self.wire.said(&octets);
                    self.write(&[&octets], limit).await;
                }
                Step::SendBody(form) => {
                    let Some(mail) = mail else { return Err(ClientError::OutOfStep.into()) };
                    self.write_mail(mail, form).await;
                }
                Step::Read(stage) => self.read(stage).await?,
                Step::StartTls => return Ok(None),
                Step::Ready => return Ok(Some(Stop::Ready)),
                Step::MailDone(outcome) => return Ok(Some(Stop::Mail(outcome))),
                Step::Closed(reply) => return Err(LinkError::Closed(reply)),
                Step::Failed(error) => return Err(error.into()),
            }
        }
    }

    async fn read(&mut self, stage: Stage) -> Result<(), LinkError> {
        let limit = self.timeouts.of(stage);
        let Some(peer) = &mut self.peer else { return Err(ClientError::PeerClosed { stage }.into()) };
        match peer.read(limit).await {
            Input::Octets(octets) => {
                self.wire.heard(octets);
                self.session.receive(octets);
                self.heard = Instant::now();
            }
            Input::Closed => self.session.peer_closed(),
            Input::TimedOut => return Err(LinkError::TimedOut(stage)),
        }
        Ok(())
    }

    async fn write_mail(&mut self, mail: &Mail, form: BodyForm) {
        let limit = self.timeouts.body;
        self.wire.said_mail(&mail.head, mail.body.plain());
        let head = lines::dot_stuff(&mail.head, true);
        let parts: [&[u8]; 3] = match form {
            BodyForm::Dots => [&head, &mail.body.stuffed, mail.end_of_data()],
            BodyForm::Plain => [&mail.head, mail.body.plain(), b""],
        };
        self.write(&parts, limit).await;
        self.session.body_sent();
    }

    /// Writes. Where that fails the server may have said why before it closed, so its last words are
    /// read; then the session sees a connection that the server closed.
    async fn write(&mut self, parts: &[&[u8]], limit: Duration) {
        let Some(peer) = &mut self.peer else { return self.session.peer_closed() };
        if let Err(error) = peer.write(parts, limit).await {
            tracing::debug!(%error, "write to the carrier failed");
            while let Input::Octets(octets) = peer.read(LAST_WORDS).await {
                self.wire.heard(octets);
                self.session.receive(octets);
            }
            self.session.peer_closed();
            self.peer = None;
        }
    }

    async fn start_tls(&mut self, dialer: &Dialer) -> Result<(), LinkError> {
        let Some(peer) = self.peer.take() else { return Err(LinkError::Closed(None)) };
        let stream =
            peer.into_stream().upgrade_client(&dialer.tls, &dialer.endpoint.host, dialer.connect).await?;
        self.peer = Some(Peer::new(stream));
        self.wire.is_encrypted();
        self.session.tls_started();
        Ok(())
    }
}

impl Mail {
    fn end_of_data(&self) -> &'static [u8] {
        let body: &Bytes = self.body.plain();
        lines::end_of_data(if body.is_empty() { &self.head } else { body })
    }
}

/// How long the last words of a server that takes no more octets are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
