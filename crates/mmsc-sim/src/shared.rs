//! What every task of one simulator holds: settings, script, memory, queue and the ways to the gateway.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::SimConfig;
use crate::mm4::client::Pool;
use crate::mm7::soap;
use crate::outbox::Outbox;
use crate::record::{Answer, Recorder};
use crate::script::LiveScript;

/// Where the gateway is; may change while the carrier runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Targets {
    /// URL of the gateway's MM7 receiver.
    pub mm7_report_url: Option<String>,
    /// `host:port` of the gateway's SMTP receiver.
    pub mm4_report_addr: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: SimConfig,
    pub(crate) recorder: Recorder,
    pub(crate) outbox: Outbox,
    pub(crate) targets: RwLock<Targets>,
    /// MessageIDs that the gateway gave to what was submitted to it.
    pub(crate) submitted: Mutex<HashSet<String>>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Distinguishes the ids of this simulator from those of one started before.
    pub(crate) era: String,
    script: RwLock<Arc<LiveScript>>,
    http: reqwest::Client,
    pool: Pool,
    ids: AtomicU64,
}

impl Shared {
    pub(crate) fn new(config: SimConfig) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(config.reports.connections)
            .build()?;
        let era = uuid::Uuid::now_v7().simple().to_string();
        Ok(Self {
            recorder: Recorder::new(config.recording.clone()),
            outbox: Outbox::new(config.reports.queue, config.reports.connections),
            targets: RwLock::new(Targets {
                mm7_report_url: config.mm7_report_url.clone(),
                mm4_report_addr: config.mm4_report_addr.clone(),
            }),
            submitted: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            era: era[4..20].to_owned(),
            script: RwLock::new(Arc::new(LiveScript::new(config.script.clone()))),
            http,
            pool: Pool::new(config.mm4.clone(), config.reports.connections),
            ids: AtomicU64::new(1),
            config,
        })
    }

    /// The script in force.
    pub(crate) fn script(&self) -> Arc<LiveScript> {
        Arc::clone(&self.script.read())
    }

    pub(crate) fn set_script(&self, script: LiveScript) {
        *self.script.write() = Arc::new(script);
    }

    /// Runs a task until it ends or the simulator stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// The MessageID given to the message with this sequence number.
    pub(crate) fn message_id(&self, seq: u64) -> String {
        format!("{}-m{seq}", self.era)
    }

    /// Whether [`Shared::message_id`] made this.
    pub(crate) fn is_own_id(&self, id: &str) -> bool {
        id.strip_prefix(&self.era).is_some_and(|rest| rest.starts_with("-m"))
    }

    /// A new id for something the carrier sends.
    pub(crate) fn fresh_id(&self) -> String {
        format!("{}-t{}", self.era, self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// Posts to the gateway's MM7 receiver.
    pub(crate) async fn post(&self, content_type: &str, body: Bytes) -> Result<Answer, String> {
        let url = self.targets.read().mm7_report_url.clone().ok_or("no mm7_report_url is configured")?;
        let mut request = self
            .http
            .post(url)
            .header(http::header::CONTENT_TYPE, content_type)
            .header("SOAPAction", "\"\"")
            .body(body);
        if let Some(auth) = &self.config.mm7.report_auth {
            request = request.header(http::header::AUTHORIZATION, auth.header());
        }
        let mut response = request.send().await.map_err(|error| chain(&error))?;
        let code = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err("the answer is too large".into());
            }
            body.extend_from_slice(&chunk);
        }
        let status = soap::read(&body).ok().and_then(|soap| soap.status());
        Ok(Answer { code, status, text: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Sends a mail to the gateway's SMTP receiver.
    pub(crate) async fn mail(&self, from: &str, to: &[String], octets: &[u8]) -> Result<Answer, String> {
        let addr = self.targets.read().mm4_report_addr.clone().ok_or("no mm4_report_addr is configured")?;
        self.pool.send(&addr, from, to, octets).await.map_err(|error| error.to_string())
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

const MAX_ANSWER: usize = 1 << 20;
