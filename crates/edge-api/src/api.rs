//! What all endpoints stand on.

use std::sync::Arc;
use std::time::Duration;

use mmsgw_contract::{KeyRing, Links, Rules};
use mmsgw_domain::{Clock, Timestamp};
use mmsgw_engine::Engine;
use mmsgw_net::{Admission, RateLimit};

use crate::config::{ApiSettings, SettingsError};
use crate::events::Streams;

/// A handle to what the endpoints share; clones are cheap.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Rules,
    pub(crate) links: Links,
    pub(crate) keys: KeyRing,
    /// What each key, or peer, may ask for.
    pub(crate) rate: Option<RateLimit<String>>,
    /// The public address, empty where there is none.
    pub(crate) base: String,
    /// What may be in hand at a time.
    pub(crate) admission: Admission,
    pub(crate) max_body: usize,
    /// Most octets of a line of a batch.
    pub(crate) max_line: usize,
    pub(crate) request_timeout: Duration,
    /// Streams of events that are open.
    pub(crate) streams: Streams,
}

impl std::ops::Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Api {
    pub(crate) fn new(
        engine: Engine,
        settings: &ApiSettings,
        keys: KeyRing,
        links: Links,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let base = settings.public_base();
        Ok(Self(Arc::new(Shared {
            engine,
            clock,
            rules: settings.rules()?,
            links,
            keys,
            rate: RateLimit::per_second(settings.requests_per_second),
            base,
            admission: Admission::new(settings.max_requests, settings.body_memory.as_usize()),
            max_body: settings.max_body.as_usize(),
            max_line: settings.max_line.as_usize(),
            request_timeout: settings.request_timeout.0,
            streams: Streams::default(),
        })))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
