//! The gateway: messages out through the pool, what came from the carrier understood.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use mmsgw_domain::{Code, InstanceId, IntakeJob, Recipient};
use mmsgw_engine::{
    Amendment, Answer, Connections, Delivery, Gateway, Incoming, Outbound, OutboundAnswer, OutboundReport,
    Outcome, Unreadable, Verdict,
};
use mmsgw_mime::Limits;
use mmsgw_net::{Alpn, ClientTls, DialCounts, TlsError};
use mmsgw_smtp::Timeouts;
use mmsgw_smtp::auth::Credentials;
use mmsgw_smtp::client::{ClientOptions, StartTls};
use secrecy::ExposeSecret;

use crate::config::{Endpoint, Mm4Settings, OutboundSection, SecureConnection, SettingsFault};
use crate::connect::{Pool, PoolLimits};
use crate::heartbeat::Heartbeat;
use crate::incoming::Reader;
use crate::link::{Dialer, Mail};
use crate::render::{Body, Renderings};
use crate::reporting::{ReportMail, Unsendable};
use crate::translate::{Batch, Translator};
use crate::verdict::{self, Judge};

/// One instance's way to a carrier that speaks MM4.
pub struct Mm4Gateway {
    instance: InstanceId,
    pub(crate) translator: Translator,
    pub(crate) renderings: Renderings,
    pool: Arc<Pool>,
    judge: Judge,
    max_octets: Option<u64>,
    heartbeat: Heartbeat,
    reader: Reader,
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings do not hold what they must.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings(Vec<SettingsFault>),
    /// The password cannot be read.
    #[error("outbound.password_file {}: {source}", file.display())]
    Password {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The files of `[outbound.tls]` cannot be used.
    #[error("outbound.tls: {0}")]
    Tls(#[from] TlsError),
}

impl Mm4Gateway {
    /// A gateway by these settings; it connects when there is a message to send. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]: faults of the settings, or a file that cannot be used.
    pub fn new(settings: &Mm4Settings, instance: InstanceId) -> Result<Self, StartError> {
        let faults = settings.check();
        let (true, Some(endpoint)) = (faults.is_empty(), settings.endpoint()) else {
            return Err(StartError::Settings(faults));
        };
        let outbound = &settings.outbound;
        let limits = PoolLimits {
            connections: outbound.connections.unwrap_or(settings.gateway.window).max(1),
            mails: outbound.max_mails_per_connection,
            idle: outbound.idle_timeout.0,
            keepalive: outbound.keepalive.0,
        };
        Ok(Self {
            instance,
            translator: Translator::new(settings),
            renderings: Renderings::new(settings.dialect.content_layout, outbound.render_cache.as_usize()),
            pool: Pool::start(dialer(outbound, endpoint)?, limits),
            judge: Judge { retry: settings.dialect.retry_statuses.clone() },
            max_octets: settings.content.max_message_octets.map(|size| size.0),
            heartbeat: outbound.heartbeat,
            reader: Reader::new(settings, Limits::DEFAULT),
        })
    }

    /// Connections that wait for a mail.
    #[cfg(test)]
    pub(crate) fn idle_connections(&self) -> usize {
        self.pool.idle()
    }

    async fn send_batch(&self, outbound: &Outbound, body: &Body, batch: Batch<'_>) -> Vec<Outcome> {
        let mail = match self.mail(outbound, body, &batch) {
            Ok(mail) => mail,
            Err(delivery) => return all(&batch.recipients, delivery),
        };
        let tried = self.pool.send(&mail, &outbound.tap).await;
        let peer_ref = self.translator.message_id(&outbound.message);
        let addressed = !self.translator.has_fixed_recipients();
        self.judge.outcomes(&tried, &batch.recipients, addressed, &peer_ref)
    }

    async fn send_report(&self, mail: &ReportMail<'_>, report: &OutboundReport) -> Vec<Outcome> {
        let tried = self.pool.send(&mail.mail, &report.tap).await;
        // One address stands for all of its numbers.
        self.judge.outcomes(&tried, &mail.recipients, false, &report.transaction_id)
    }

    pub(crate) fn mail(&self, outbound: &Outbound, body: &Body, batch: &Batch<'_>) -> Result<Mail, Delivery> {
        let request = self.translator.request(outbound, batch);
        let head = request.write_head(&body.entity, &self.translator.options);
        let head = head.map_err(|error| verdict::unwritable(&error))?;
        let octets = (head.len() + body.plain().len()) as u64;
        match self.max_octets {
            Some(limit) if octets > limit => Err(verdict::too_large(octets, limit)),
            _ => {
                let envelope = self.translator.envelope(outbound, batch, octets);
                Ok(Mail { envelope, head, body: body.clone() })
            }
        }
    }
}

#[async_trait]
impl Gateway for Mm4Gateway {
    fn instance(&self) -> &InstanceId {
        &self.instance
    }

    fn connections(&self) -> Connections {
        self.pool.connections()
    }

    async fn heartbeat(&self) -> Result<(), String> {
        let probed = match self.heartbeat {
            Heartbeat::None => Ok(()),
            Heartbeat::Greeting => self.pool.probe(true).await,
            Heartbeat::Noop => self.pool.probe(false).await,
        };
        probed.map_err(|error| error.to_string())
    }

    async fn send(&self, outbound: &Outbound) -> Verdict {
        let body = match self.renderings.body(&outbound.content).await {
            Ok(body) => body,
            Err(error) => return Verdict::all(verdict::unwritable(&error)),
        };
        let batches = self.translator.batches(outbound);
        let sent = join_all(batches.into_iter().map(|batch| self.send_batch(outbound, &body, batch))).await;
        verdict::join(sent.into_iter().flatten())
    }

    fn read(&self, intake: &IntakeJob) -> Result<Incoming, Unreadable> {
        self.reader.read(intake)
    }

    async fn report(&self, report: &OutboundReport) -> Verdict {
        let mails = match self.translator.report_mails(report) {
            Ok(mails) => mails,
            Err(error) => return Verdict::all(unsendable(&error)),
        };
        let sent = join_all(mails.iter().map(|mail| self.send_report(mail, report))).await;
        verdict::join(sent.into_iter().flatten())
    }

    async fn answer(&self, answer: &OutboundAnswer<'_>) -> Verdict {
        let mail = match self.translator.answer_mail(answer.job, answer.now) {
            Ok(mail) => mail,
            Err(error) => return Verdict::all(unsendable(&error)),
        };
        let tried = self.pool.send(&mail, &answer.tap).await;
        verdict::join(self.judge.outcomes(&tried, &[], false, &answer.job.to.transaction))
    }

    async fn amend(&self, _amendment: &Amendment) -> Verdict {
        let why = "MM4 has no request to take back or replace a message that the carrier has";
        Verdict::all(Delivery::Fail { answer: Answer::own(Code::UNSUPPORTED, why) })
    }
}

/// Nothing that another try could mend.
fn unsendable(error: &Unsendable) -> Delivery {
    let code = match error {
        Unsendable::Unwritable(_) => Code::MALFORMED,
        Unsendable::NoAddress | Unsendable::NoIds | Unsendable::NoRecipient => Code::UNKNOWN,
    };
    Delivery::Fail { answer: Answer::own(code, error.to_string()) }
}

fn all(recipients: &[&Recipient], delivery: Delivery) -> Vec<Outcome> {
    vec![Outcome { recipients: recipients.iter().map(|r| r.address.clone()).collect(), delivery }]
}

fn dialer(outbound: &OutboundSection, endpoint: Endpoint) -> Result<Dialer, StartError> {
    let secure = outbound.secure_connection;
    let options = ClientOptions {
        hostname: outbound.local_host.clone().unwrap_or_else(|| outbound.local_domain.clone()),
        encrypted: secure == SecureConnection::Tls,
        starttls: match secure {
            SecureConnection::No | SecureConnection::Tls => StartTls::Never,
            SecureConnection::StartTls => StartTls::IfOffered,
            SecureConnection::StartTlsRequired => StartTls::Required,
        },
        credentials: credentials(outbound)?,
        mechanism: None,
        auth_in_clear: outbound.auth_in_clear,
        one_by_one: !outbound.pipelining,
        chunking: outbound.chunking,
    };
    Ok(Dialer {
        counts: DialCounts::default(),
        endpoint,
        options,
        tls: ClientTls::load(&outbound.tls, Alpn::None)?,
        timeouts: timeouts(outbound),
        connect: outbound.timeout.connect.0,
    })
}

fn timeouts(outbound: &OutboundSection) -> Timeouts {
    let (command, data) = (outbound.timeout.command.0, outbound.timeout.data.0);
    Timeouts {
        greeting: command,
        command,
        data: command,
        body: data,
        body_reply: data,
        quit: command.min(LONGEST_GOODBYE),
        server: command,
    }
}

fn credentials(outbound: &OutboundSection) -> Result<Option<Credentials>, StartError> {
    let Some(user) = outbound.username.clone() else { return Ok(None) };
    let password = match (&outbound.password, &outbound.password_file) {
        (Some(password), _) => password.expose_secret().to_owned(),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|source| StartError::Password { file: file.clone(), source })?
            .trim()
            .to_owned(),
        (None, None) => String::new(),
    };
    Ok(Some(Credentials { user, password }))
}

/// Nothing depends on the answer to QUIT.
const LONGEST_GOODBYE: Duration = Duration::from_secs(5);
